//! A table being written.

use async_trait::async_trait;
use sluice_core::Field;
use sqlx::AssertSqlSafe;
use sqlx::mysql::MySqlConnection;

use super::describe::{Described, describe, exact_collation};
use super::inserts::{Failure, Inserts, MAX_BINDS};
use super::pool::Lease;
use super::rights::Need;
use super::session::Server;
use super::{MysqlConnection, error, identity};
use crate::found::Watched;
use crate::sink::{Constraint, FoundTable, Refused, Rows, Sink, SinkError, Target};
use crate::sql::{Dialect, Table, Upsert, UpsertPlan};

/// The rights that a sink needs on a table that is there.
const RIGHTS: &str = "SELECT, INSERT, UPDATE";

/// A MySQL table that takes upserts.
///
/// An upsert is one transaction. After an error its connection is dropped, and with it what was not committed. A connection that
/// the server closed while it was idle is replaced without an error.
pub struct MysqlSink {
    server: Server,
    inserts: Inserts,
    constraints: Vec<Constraint>,
    watched: Watched,
}

impl MysqlSink {
    /// Connects, checks the table against the fields, and makes it if it is missing and the target says so.
    pub async fn open(connection: &MysqlConnection, target: &Target, fields: &[Field]) -> Result<MysqlSink, SinkError> {
        let server = Server::of(connection)?;
        let plan = UpsertPlan::new(Dialect::Mysql, target, fields).map_err(SinkError::Mismatch)?;
        let mut lease = server.open().await?;
        let Opened { constraints, watched } = open_table(&server, &mut lease, &plan).await?;
        server.done(lease).await?;
        Ok(MysqlSink { server, inserts: Inserts::new(plan), constraints, watched })
    }

    async fn write(&mut self, mut lease: Lease, rows: &Rows) -> Result<(), Failure> {
        identity::verify(&self.server, &mut lease, &self.inserts.plan, &self.watched).await?;
        self.inserts.write(&self.server, &mut lease, rows).await?;
        self.inserts.commit(&self.server, &mut lease).await?;
        lease.give_back();
        self.watched.has_written();
        Ok(())
    }
}

#[async_trait]
impl Sink for MysqlSink {
    fn constraints(&self) -> &[Constraint] {
        &self.constraints
    }

    fn found(&self) -> &FoundTable {
        &self.watched.found
    }

    fn expect_rows(&mut self) {
        self.watched.expect_rows();
    }

    async fn verify(&mut self) -> Result<(), SinkError> {
        let mut lease = self.server.open().await?;
        identity::verify(&self.server, &mut lease, &self.inserts.plan, &self.watched).await?;
        self.server.done(lease).await
    }

    async fn upsert(&mut self, rows: &Rows) -> Result<(), SinkError> {
        let lease = self.server.lease().await?;
        let was_idle = lease.was_idle;
        match self.write(lease, rows).await {
            // It may have been closed long ago, while it was idle. Writing again changes nothing.
            Err(Failure::Lost(_)) if was_idle => {}
            other => return Ok(other?),
        }
        let lease = self.server.fresh().await?;
        Ok(self.write(lease, rows).await?)
    }

    async fn refused(&mut self, rows: &Rows) -> Result<Vec<Refused>, SinkError> {
        self.inserts.refused(&self.server, rows).await
    }
}

/// An open table.
pub(super) struct Opened {
    pub(super) constraints: Vec<Constraint>,
    pub(super) watched: Watched,
}

/// Opens the table, and makes it if it is missing and the target says so.
pub(super) async fn open_table(
    server: &Server,
    connection: &mut MySqlConnection,
    plan: &UpsertPlan,
) -> Result<Opened, SinkError> {
    let plan = &suited(server, connection, plan).await?;
    let is_widened = plan.target.create && create_what_is_missing(server, connection, plan).await?;
    let constraints = inspect(server, connection, plan).await?.ok_or_else(|| missing(server, plan))?;
    let mut watched = identity::find(server, connection, plan).await?;
    watched.found.is_widened = is_widened;
    Ok(Opened { constraints, watched })
}

/// Makes the table, or the columns that it lacks; answers whether it had to make columns.
async fn create_what_is_missing(
    server: &Server,
    connection: &mut MySqlConnection,
    plan: &UpsertPlan,
) -> Result<bool, SinkError> {
    let there = match server.answer(describe(connection, &plan.target.table)).await? {
        Described::Missing => None,
        Described::Table(table) => Some(table),
        Described::Other(_) => return Ok(false),
    };
    let statements = plan.make(there.as_ref()).map_err(SinkError::Mismatch)?;
    let widens = there.is_some() && !statements.is_empty();
    for statement in statements {
        let made = sqlx::raw_sql(AssertSqlSafe(statement.as_str())).execute(&mut *connection);
        match server.raw_answer(made).await? {
            Ok(_) if widens => tracing::info!(target: "mysql", "{server}: {statement}"),
            Ok(_) => {}
            // Another host was faster.
            Err(e) if error::number(&e) == Some(error::COLUMN_IS_THERE) => {}
            Err(e) if error::lacks_a_right(&e) => {
                let why = error::plain(&e);
                return Err(SinkError::Unusable(format!("{server}: {why}: have somebody run {statement}")));
            }
            Err(e) => return Err(error::sink_error(server, &e)),
        }
    }
    Ok(widens)
}

/// Finds what opening a sink would find at fault.
pub(super) async fn check(connection: &MysqlConnection, target: &Target, fields: &[Field]) -> Result<(), SinkError> {
    let server = Server::of(connection)?;
    let plan = UpsertPlan::new(Dialect::Mysql, target, fields).map_err(SinkError::Mismatch)?;
    let mut lease = server.open().await?;
    check_table(&server, &mut lease, &plan).await?;
    server.done(lease).await
}

/// Finds what opening this table would find at fault.
pub(super) async fn check_table(
    server: &Server,
    connection: &mut MySqlConnection,
    plan: &UpsertPlan,
) -> Result<(), SinkError> {
    let plan = &suited(server, connection, plan).await?;
    if inspect(server, connection, plan).await?.is_some() {
        return Ok(());
    }
    // A table that the user may do nothing to looks as if it weren't there.
    let create = plan.target.create;
    let statements = create.then(|| plan.create_missing_table()).into_iter().chain([one_row(plan)]).collect();
    let rights = if create { "CREATE, SELECT, INSERT, UPDATE" } else { RIGHTS };
    Need { table: &plan.target.table, rights, statements, may_be_missing: true }.check(server, connection).await?;
    if create { Ok(()) } else { Err(missing(server, plan)) }
}

/// The plan in the words of this server.
async fn suited(server: &Server, connection: &mut MySqlConnection, plan: &UpsertPlan) -> Result<UpsertPlan, SinkError> {
    let exact = server.answer(exact_collation(connection)).await?;
    Ok(UpsertPlan { exact, ..plan.clone() })
}

/// Asks what the table's columns take; none if there is no table.
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
    warn_of_charsets(plan, &table);
    warn_of_numbers(plan, &table);
    // Into the columns that are there: a statement that names another can't be tried.
    let mut there = plan.clone();
    there.fields.retain(|field| table.column(&field.name).is_some());
    let is_whole = there.fields.len() == plan.fields.len();
    let rights = if is_whole { RIGHTS } else { "ALTER, SELECT, INSERT, UPDATE" };
    let need = Need { table: &plan.target.table, rights, statements: vec![one_row(&there)], may_be_missing: false };
    need.check(server, connection).await?;
    if !is_whole {
        need.check_alter(server, connection).await?;
    }
    Ok(Some(constraints))
}

fn one_row(plan: &UpsertPlan) -> String {
    Upsert::new(plan, 1, MAX_BINDS).text(1).to_string()
}

/// Warns of narrow character sets. They hold most texts; the others become dead letters, or stop the pipeline where only the
/// server knows which they are.
fn warn_of_charsets(plan: &UpsertPlan, table: &Table) {
    for column in &table.columns {
        let narrow = |charset: &&str| !["utf8mb4", "binary"].contains(charset);
        let Some(charset) = column.charset.as_deref().filter(narrow) else { continue };
        tracing::warn!(
            "column `{}` of table {table} is in {charset}, which can't hold every text: run ALTER TABLE {table} CONVERT TO \
             CHARACTER SET utf8mb4",
            column.name,
            table = plan.table()
        );
    }
}

/// Warns of an automatic number that runs out: InnoDB gives each row of an upsert a number, even where the row exists and keeps
/// its own.
fn warn_of_numbers(plan: &UpsertPlan, table: &Table) {
    let written = |name: &str| plan.fields.iter().any(|field| field.name.eq_ignore_ascii_case(name));
    let Some(column) = table.columns.iter().find(|column| column.counts && !written(&column.name)) else { return };
    if plan.target.key.is_empty() {
        return;
    }
    let last = column.takes.range.map_or(i64::MAX, |(_, last)| last);
    tracing::warn!(
        "column `{}` of table {} counts up by every row of every flush, also where the row is there already: it has gaps, and as \
         {} it ends at {last}, after which no row is written; a table whose primary key is ({}) needs no such column",
        column.name,
        plan.table(),
        column.declared,
        plan.key_list()
    );
}

fn missing(server: &Server, plan: &UpsertPlan) -> SinkError {
    SinkError::Unusable(format!(
        "{server} has no table {} that this user may see: set create = true, or run {}",
        plan.table(),
        plan.create_table()
    ))
}
