//! A table being written.

use async_trait::async_trait;
use sluice_core::Field;
use sqlx::{AssertSqlSafe, SqliteConnection as Connection};

use super::describe::{Described, describe};
use super::file::File;
use super::inserts::Inserts;
use super::{SqliteConnection, identity};
use crate::found::Watched;
use crate::sink::{Constraint, FoundTable, Refused, Rows, Sink, SinkError, Target};
use crate::sql::{Dialect, UpsertPlan};

/// An SQLite table that takes upserts.
///
/// An upsert is one transaction. After an error the file is closed, and with it what was not committed is undone; the next
/// upsert opens it anew.
pub struct SqliteSink {
    file: File,
    inserts: Inserts,
    constraints: Vec<Constraint>,
    watched: Watched,
    connection: Option<Connection>,
}

impl SqliteSink {
    /// Opens the file, checks the table against the fields, and makes it if it is missing and the target says so.
    pub async fn open(
        connection: &SqliteConnection,
        target: &Target,
        fields: &[Field],
    ) -> Result<SqliteSink, SinkError> {
        let file = File::new(&connection.path);
        let plan = UpsertPlan::new(Dialect::Sqlite, target, fields).map_err(SinkError::Mismatch)?;
        let Opened { connection, constraints, watched } = open_table(&file, &plan).await?;
        Ok(SqliteSink { file, inserts: Inserts::new(plan), constraints, watched, connection: Some(connection) })
    }

    async fn write(&mut self, connection: &mut Connection, rows: &Rows) -> Result<(), SinkError> {
        self.file.begin(connection).await?;
        identity::verify_rows(&self.file, connection, &self.inserts.plan, &self.watched).await?;
        self.inserts.write(&self.file, connection, rows).await?;
        self.file.commit(connection).await
    }
}

#[async_trait]
impl Sink for SqliteSink {
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
        self.connection = identity::verify_open(&self.file, self.connection.take(), &self.watched).await?;
        let Some(connection) = self.connection.as_mut() else { return Ok(()) };
        identity::verify_rows(&self.file, connection, &self.inserts.plan, &self.watched).await
    }

    async fn upsert(&mut self, rows: &Rows) -> Result<(), SinkError> {
        let connection = identity::verify_open(&self.file, self.connection.take(), &self.watched).await?;
        let mut connection = match connection {
            Some(connection) => connection,
            None => self.file.open_existing().await?,
        };
        self.write(&mut connection, rows).await?;
        // It may have been moved meanwhile.
        self.connection = identity::verify_open(&self.file, Some(connection), &self.watched).await?;
        self.watched.has_written();
        Ok(())
    }

    async fn refused(&mut self, rows: &Rows) -> Result<Vec<Refused>, SinkError> {
        // Closing it undoes what was tried.
        let mut connection = self.file.open_existing().await?;
        self.file.begin(&mut connection).await?;
        self.inserts.refused(&self.file, &mut connection, rows).await
    }
}

/// An open table.
pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) constraints: Vec<Constraint>,
    pub(super) watched: Watched,
}

/// Opens file and table, and makes them if they are missing and the target says so.
pub(super) async fn open_table(file: &File, plan: &UpsertPlan) -> Result<Opened, SinkError> {
    if !file.exists() && !plan.target.create {
        return Err(missing(file, plan));
    }
    let mut connection = file.open().await?;
    let before = file.identity();
    let is_widened = plan.target.create && create_what_is_missing(file, &mut connection, plan).await?;
    let constraints = inspect(file, &mut connection, plan).await?.ok_or_else(|| missing(file, plan))?;
    let found = identity::find(file, &mut connection, plan, before).await?;
    let watched = Watched::new(FoundTable { is_widened, ..found });
    Ok(Opened { connection, constraints, watched })
}

/// Finds what opening a sink would find at fault.
pub(super) async fn check(connection: &SqliteConnection, target: &Target, fields: &[Field]) -> Result<(), SinkError> {
    let plan = UpsertPlan::new(Dialect::Sqlite, target, fields).map_err(SinkError::Mismatch)?;
    check_table(&File::new(&connection.path), &plan).await
}

/// Finds what opening this table would find at fault.
pub(super) async fn check_table(file: &File, plan: &UpsertPlan) -> Result<(), SinkError> {
    if !file.exists() {
        file.find_directory()?;
        return if plan.target.create { file.check_writable() } else { Err(missing(file, plan)) };
    }
    file.check_writable()?;
    let mut connection = file.open_to_read().await?;
    match inspect(file, &mut connection, plan).await? {
        None if !plan.target.create => Err(missing(file, plan)),
        _ => Ok(()),
    }
}

/// Makes the table, or the columns that it lacks; answers whether it had to make columns.
async fn create_what_is_missing(
    file: &File,
    connection: &mut Connection,
    plan: &UpsertPlan,
) -> Result<bool, SinkError> {
    if what_is_missing(file, connection, plan).await?.1.is_empty() {
        return Ok(false);
    }
    // Nobody else may make it meanwhile.
    file.begin(connection).await?;
    let (is_there, statements) = what_is_missing(file, connection, plan).await?;
    for statement in &statements {
        file.run(sqlx::raw_sql(AssertSqlSafe(statement.as_str())).execute(&mut *connection)).await?;
        if is_there {
            tracing::info!(target: "sqlite", "{}: {statement}", file.path());
        }
    }
    file.commit(connection).await?;
    Ok(is_there && !statements.is_empty())
}

/// Returns whether the table is there, and the statements that make the missing table or columns.
async fn what_is_missing(
    file: &File,
    connection: &mut Connection,
    plan: &UpsertPlan,
) -> Result<(bool, Vec<String>), SinkError> {
    let there = match file.run(describe(connection, &plan.target.table)).await? {
        Described::Missing => None,
        Described::Table(table) => Some(table),
        Described::View => return Ok((false, Vec::new())),
    };
    let statements = plan.make(there.as_ref()).map_err(SinkError::Mismatch)?;
    Ok((there.is_some(), statements))
}

/// Asks what the table's columns take; none if there is no table.
async fn inspect(
    file: &File,
    connection: &mut Connection,
    plan: &UpsertPlan,
) -> Result<Option<Vec<Constraint>>, SinkError> {
    match describe(connection, &plan.target.table).await.map_err(|e| file.error(&e))? {
        Described::Missing => Ok(None),
        Described::View => Err(SinkError::Unusable(format!(
            "SQLite at {}: {} is a view: name a table to write into",
            file.path(),
            plan.table()
        ))),
        Described::Table(table) => plan.check(&table).map(Some).map_err(SinkError::Mismatch),
    }
}

fn missing(file: &File, plan: &UpsertPlan) -> SinkError {
    SinkError::Unusable(format!(
        "SQLite at {} has no table {}: set create = true, or run {}",
        file.path(),
        plan.table(),
        plan.create_table()
    ))
}
