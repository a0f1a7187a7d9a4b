//! A table being written.

use async_trait::async_trait;
use sluice_core::Field;
use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Executor};

use super::MysqlConnection;
use super::describe::{Described, describe};
use super::inserts::{Failure, Inserts, MAX_BINDS};
use super::session::Server;
use crate::sink::{Constraint, Refused, Rows, Sink, SinkError, Target};
use crate::sql::{Dialect, UpsertPlan};

/// A MySQL table that takes upserts.
///
/// An upsert is one transaction. After an error the connection is dropped, and with it what was not committed; the next
/// upsert connects anew. A connection that the server closed while it was idle is replaced without an error.
pub struct MysqlSink {
    server: Server,
    inserts: Inserts,
    constraints: Vec<Constraint>,
    is_new: bool,
    connection: Option<MySqlConnection>,
}

impl MysqlSink {
    /// Connects, checks the table against the fields, and makes it if it is missing and the target says so.
    pub async fn open(connection: &MysqlConnection, target: &Target, fields: &[Field]) -> Result<MysqlSink, SinkError> {
        let server = Server::of(connection)?;
        let plan = UpsertPlan::new(Dialect::Mysql, target, fields).map_err(SinkError::Mismatch)?;
        let mut connection = server.connect().await?;
        let Opened { constraints, is_new } = open_table(&server, &mut connection, &plan).await?;
        Ok(MysqlSink { server, inserts: Inserts::new(plan), constraints, is_new, connection: Some(connection) })
    }

    async fn write(&mut self, mut connection: MySqlConnection, rows: &Rows) -> Result<(), Failure> {
        self.inserts.write(&self.server, &mut connection, rows).await?;
        self.inserts.commit(&self.server, &mut connection).await?;
        self.connection = Some(connection);
        Ok(())
    }
}

#[async_trait]
impl Sink for MysqlSink {
    fn constraints(&self) -> &[Constraint] {
        &self.constraints
    }

    fn is_new(&self) -> bool {
        self.is_new
    }

    async fn upsert(&mut self, rows: &Rows) -> Result<(), SinkError> {
        if let Some(connection) = self.connection.take() {
            match self.write(connection, rows).await {
                // It may have been closed long ago, while it was idle. Writing again changes nothing.
                Err(Failure::Lost(_)) => {}
                other => return Ok(other?),
            }
        }
        let connection = self.server.connect().await?;
        Ok(self.write(connection, rows).await?)
    }

    async fn refused(&mut self, rows: &Rows) -> Result<Vec<Refused>, SinkError> {
        let mut connection = self.server.connect().await?;
        let refused = self.inserts.refused(&self.server, &mut connection, rows).await?;
        self.inserts.rollback(&self.server, &mut connection).await?;
        self.connection = Some(connection);
        Ok(refused)
    }
}

/// An open table.
pub(super) struct Opened {
    pub(super) constraints: Vec<Constraint>,
    /// It was made just now.
    pub(super) is_new: bool,
}

/// Opens the table, and makes it if it is missing and the target says so.
pub(super) async fn open_table(
    server: &Server,
    connection: &mut MySqlConnection,
    plan: &UpsertPlan,
) -> Result<Opened, SinkError> {
    let is_new = plan.target.create
        && matches!(server.answer(describe(connection, &plan.target.table)).await?, Described::Missing);
    if is_new {
        let create = sqlx::raw_sql(AssertSqlSafe(plan.create_missing_table())).execute(&mut *connection);
        server.answer(create).await?;
    }
    let constraints = inspect(server, connection, plan).await?.ok_or_else(|| missing(server, plan))?;
    Ok(Opened { constraints, is_new })
}

/// What opening a sink would find at fault.
pub(super) async fn check(connection: &MysqlConnection, target: &Target, fields: &[Field]) -> Result<(), SinkError> {
    let server = Server::of(connection)?;
    let plan = UpsertPlan::new(Dialect::Mysql, target, fields).map_err(SinkError::Mismatch)?;
    let mut connection = server.connect().await?;
    check_table(&server, &mut connection, &plan).await
}

/// What opening this table would find at fault.
pub(super) async fn check_table(
    server: &Server,
    connection: &mut MySqlConnection,
    plan: &UpsertPlan,
) -> Result<(), SinkError> {
    match inspect(server, connection, plan).await? {
        None if !plan.target.create => Err(missing(server, plan)),
        _ => Ok(()),
    }
}

/// What the table's columns take; none if there is no table.
async fn inspect(
    server: &Server,
    connection: &mut MySqlConnection,
    plan: &UpsertPlan,
) -> Result<Option<Vec<Constraint>>, SinkError> {
    let table = match server.answer(describe(connection, &plan.target.table)).await? {
        Described::Missing => return Ok(None),
        Described::Other(kind) => {
            return Err(SinkError::Unusable(format!(
                "{server}: {} is a {kind}: name a table to write into",
                plan.table()
            )));
        }
        Described::Table(table) => table,
    };
    let constraints = plan.check(&table).map_err(SinkError::Mismatch)?;
    // The server checks the user's rights when it prepares a statement.
    let one_row = AssertSqlSafe(plan.upsert(1, MAX_BINDS).text(1));
    server.answer(connection.prepare(sqlx::SqlSafeStr::into_sql_str(one_row))).await?;
    Ok(Some(constraints))
}

fn missing(server: &Server, plan: &UpsertPlan) -> SinkError {
    SinkError::Unusable(format!(
        "{server} has no table {} that this user may see: set create = true, or run {}",
        plan.table(),
        plan.create_table()
    ))
}
