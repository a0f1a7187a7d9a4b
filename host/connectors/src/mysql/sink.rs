//! A table being written.

use async_trait::async_trait;
use sluice_core::Field;
use sqlx::error::BoxDynError;
use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Executor};

use super::describe::{Described, describe};
use super::session::Server;
use super::{MysqlConnection, bind, error};
use crate::sink::{Constraint, Rows, Sink, SinkError, Target};
use crate::sql::{Dialect, Upsert, UpsertPlan, Values};

/// The most rows in a statement: more gain nothing, and hold up other statements for longer.
const MAX_ROWS: usize = 1000;

/// The most placeholders that the protocol can count.
const MAX_BINDS: usize = 65_535;

/// A MySQL table that takes upserts.
///
/// An upsert is one transaction. After an error the connection is dropped, and with it what was not committed; the next
/// upsert connects anew. A connection that the server closed while it was idle is replaced without an error.
pub struct MysqlSink {
    server: Server,
    plan: UpsertPlan,
    upsert: Upsert,
    constraints: Vec<Constraint>,
    connection: Option<MySqlConnection>,
}

/// Why a flush failed.
enum Failure {
    /// The connection broke before the server confirmed.
    Lost(SinkError),
    Other(SinkError),
}

impl MysqlSink {
    /// Connects, checks the table against the fields, and makes it if it is missing and the target says so.
    pub async fn open(connection: &MysqlConnection, target: &Target, fields: &[Field]) -> Result<MysqlSink, SinkError> {
        let server = Server::of(connection)?;
        let plan = UpsertPlan::new(Dialect::Mysql, target, fields).map_err(SinkError::Mismatch)?;
        let mut connection = server.connect().await?;
        if target.create && matches!(server.answer(describe(&mut connection, &target.table)).await?, Described::Missing)
        {
            let create = sqlx::raw_sql(AssertSqlSafe(plan.create_missing_table())).execute(&mut connection);
            server.answer(create).await?;
        }
        let constraints = inspect(&server, &mut connection, &plan).await?.ok_or_else(|| missing(&server, &plan))?;
        let upsert = plan.upsert(MAX_ROWS, MAX_BINDS);
        Ok(MysqlSink { server, plan, upsert, constraints, connection: Some(connection) })
    }

    async fn write(
        &mut self,
        mut connection: MySqlConnection,
        values: &[Values<'_>],
        rows: usize,
    ) -> Result<(), Failure> {
        let mut written = 0;
        while let Some(chunk) = self.upsert.next_chunk(values, written, rows) {
            written = chunk.end;
            let sql = AssertSqlSafe(self.upsert.text(chunk.len()));
            let arguments = bind::arguments(values, chunk).map_err(|e| self.bad_value(e))?;
            self.run(sqlx::query_with(sql, arguments).execute(&mut connection)).await?;
        }
        self.run(sqlx::raw_sql("COMMIT").execute(&mut connection)).await?;
        self.connection = Some(connection);
        Ok(())
    }

    async fn run<T>(&self, call: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, Failure> {
        let answer = self.server.raw_answer(call).await.map_err(Failure::Other)?;
        answer.map_err(|e| {
            let words = within_table(error::sink_error(&self.server, &e), &self.plan);
            if error::is_lost(&e) { Failure::Lost(words) } else { Failure::Other(words) }
        })
    }

    fn bad_value(&self, e: BoxDynError) -> Failure {
        Failure::Other(SinkError::Unusable(format!("{}, table {}: {e}", self.server, self.plan.table())))
    }
}

#[async_trait]
impl Sink for MysqlSink {
    fn constraints(&self) -> &[Constraint] {
        &self.constraints
    }

    async fn upsert(&mut self, rows: &Rows) -> Result<(), SinkError> {
        let values = self.plan.values(rows)?;
        if let Some(connection) = self.connection.take() {
            match self.write(connection, &values, rows.rows).await {
                // It may have been closed long ago, while it was idle. Writing again changes nothing.
                Err(Failure::Lost(_)) => {}
                Err(Failure::Other(e)) => return Err(e),
                Ok(()) => return Ok(()),
            }
        }
        let connection = self.server.connect().await?;
        self.write(connection, &values, rows.rows).await.map_err(|failure| match failure {
            Failure::Lost(e) | Failure::Other(e) => e,
        })
    }
}

/// What opening a sink would find at fault.
pub(super) async fn check(connection: &MysqlConnection, target: &Target, fields: &[Field]) -> Result<(), SinkError> {
    let server = Server::of(connection)?;
    let plan = UpsertPlan::new(Dialect::Mysql, target, fields).map_err(SinkError::Mismatch)?;
    let mut connection = server.connect().await?;
    match inspect(&server, &mut connection, &plan).await? {
        None if !target.create => Err(missing(&server, &plan)),
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

fn within_table(error: SinkError, plan: &UpsertPlan) -> SinkError {
    match error {
        SinkError::Unavailable(e) => SinkError::Unavailable(format!("table {}: {e}", plan.table())),
        SinkError::Unusable(e) => SinkError::Unusable(format!("table {}: {e}", plan.table())),
        mismatch => mismatch,
    }
}
