//! A table being written.

use async_trait::async_trait;
use sluice_core::Field;
use sqlx::{AssertSqlSafe, SqliteConnection as Connection};

use super::SqliteConnection;
use super::describe::{Described, describe};
use super::file::File;
use super::inserts::Inserts;
use crate::sink::{Constraint, Refused, Rows, Sink, SinkError, Target};
use crate::sql::{Dialect, UpsertPlan};

/// An SQLite table that takes upserts.
///
/// An upsert is one transaction. After an error the file is closed, and with it what was not committed is undone; the next
/// upsert opens it anew.
pub struct SqliteSink {
    file: File,
    inserts: Inserts,
    constraints: Vec<Constraint>,
    is_new: bool,
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
        let Opened { connection, constraints, is_new } = open_table(&file, &plan).await?;
        Ok(SqliteSink { file, inserts: Inserts::new(plan), constraints, is_new, connection: Some(connection) })
    }

    async fn write(&mut self, connection: &mut Connection, rows: &Rows) -> Result<(), SinkError> {
        self.file.begin(connection).await?;
        self.inserts.write(&self.file, connection, rows).await?;
        self.file.commit(connection).await
    }
}

#[async_trait]
impl Sink for SqliteSink {
    fn constraints(&self) -> &[Constraint] {
        &self.constraints
    }

    fn is_new(&self) -> bool {
        self.is_new
    }

    async fn upsert(&mut self, rows: &Rows) -> Result<(), SinkError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.file.open().await?,
        };
        self.write(&mut connection, rows).await?;
        self.connection = Some(connection);
        Ok(())
    }

    async fn refused(&mut self, rows: &Rows) -> Result<Vec<Refused>, SinkError> {
        // Closing it undoes what was tried.
        let mut connection = self.file.open().await?;
        self.file.begin(&mut connection).await?;
        self.inserts.refused(&self.file, &mut connection, rows).await
    }
}

/// An open table.
pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) constraints: Vec<Constraint>,
    /// It was made just now.
    pub(super) is_new: bool,
}

/// Opens file and table, and makes them if they are missing and the target says so.
pub(super) async fn open_table(file: &File, plan: &UpsertPlan) -> Result<Opened, SinkError> {
    if !file.exists() && !plan.target.create {
        return Err(missing(file, plan));
    }
    let mut connection = file.open().await?;
    let is_new = plan.target.create && create_if_missing(file, &mut connection, plan).await?;
    let constraints = inspect(file, &mut connection, plan).await?.ok_or_else(|| missing(file, plan))?;
    Ok(Opened { connection, constraints, is_new })
}

/// What opening a sink would find at fault.
pub(super) async fn check(connection: &SqliteConnection, target: &Target, fields: &[Field]) -> Result<(), SinkError> {
    let plan = UpsertPlan::new(Dialect::Sqlite, target, fields).map_err(SinkError::Mismatch)?;
    check_table(&File::new(&connection.path), &plan).await
}

/// What opening this table would find at fault.
pub(super) async fn check_table(file: &File, plan: &UpsertPlan) -> Result<(), SinkError> {
    if !file.exists() {
        return if plan.target.create { file.find_directory() } else { Err(missing(file, plan)) };
    }
    let mut connection = file.open_to_read().await?;
    match inspect(file, &mut connection, plan).await? {
        None if !plan.target.create => Err(missing(file, plan)),
        _ => Ok(()),
    }
}

/// Whether it was missing.
async fn create_if_missing(file: &File, connection: &mut Connection, plan: &UpsertPlan) -> Result<bool, SinkError> {
    let described = describe(connection, &plan.target.table).await.map_err(|e| file.error(&e))?;
    let missing = matches!(described, Described::Missing);
    if missing {
        let create = sqlx::raw_sql(AssertSqlSafe(plan.create_missing_table())).execute(connection);
        create.await.map_err(|e| file.error(&e))?;
    }
    Ok(missing)
}

/// What the table's columns take; none if there is no table.
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
