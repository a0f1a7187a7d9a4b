//! A table being written.

use async_trait::async_trait;
use sluice_core::Field;
use sqlx::error::BoxDynError;
use sqlx::{AssertSqlSafe, SqliteConnection as Connection};

use super::describe::{Described, describe};
use super::file::File;
use super::{SqliteConnection, bind};
use crate::sink::{Constraint, Rows, Sink, SinkError, Target};
use crate::sql::{Dialect, Upsert, UpsertPlan, Values};

/// The most rows in a statement. A statement is a message to the driver's thread, which this many rows outweigh; many more
/// rows only make its preparation longer.
const MAX_ROWS: usize = 128;

/// The most placeholders that SQLite takes by default (`SQLITE_MAX_VARIABLE_NUMBER`).
const MAX_BINDS: usize = 32_766;

/// An SQLite table that takes upserts.
///
/// An upsert is one transaction. After an error the file is closed, and with it what was not committed is undone; the next
/// upsert opens it anew.
pub struct SqliteSink {
    file: File,
    plan: UpsertPlan,
    upsert: Upsert,
    constraints: Vec<Constraint>,
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
        if !file.exists() && !target.create {
            return Err(missing(&file, &plan));
        }
        let mut connection = file.open().await?;
        if target.create {
            create_if_missing(&file, &mut connection, &plan).await?;
        }
        let constraints = inspect(&file, &mut connection, &plan).await?.ok_or_else(|| missing(&file, &plan))?;
        let upsert = plan.upsert(MAX_ROWS, MAX_BINDS);
        Ok(SqliteSink { file, plan, upsert, constraints, connection: Some(connection) })
    }

    async fn write(
        &mut self,
        connection: &mut Connection,
        values: &[Values<'_>],
        rows: usize,
    ) -> Result<(), SinkError> {
        // Immediate: wait for another writer now, rather than fail at the first row.
        self.run(sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection)).await?;
        let mut written = 0;
        while let Some(chunk) = self.upsert.next_chunk(values, written, rows) {
            written = chunk.end;
            let sql = AssertSqlSafe(self.upsert.text(chunk.len()));
            let arguments = bind::arguments(values, chunk).map_err(|e| self.bad_value(e))?;
            self.run(sqlx::query_with(sql, arguments).execute(&mut *connection)).await?;
        }
        self.run(sqlx::query("COMMIT").execute(&mut *connection)).await
    }

    async fn run<T>(&self, call: impl Future<Output = Result<T, sqlx::Error>>) -> Result<(), SinkError> {
        call.await.map(|_| ()).map_err(|e| self.file.error(&e))
    }

    fn bad_value(&self, e: BoxDynError) -> SinkError {
        SinkError::Unusable(format!("SQLite at {}, table {}: {e}", self.file.path(), self.plan.table()))
    }
}

#[async_trait]
impl Sink for SqliteSink {
    fn constraints(&self) -> &[Constraint] {
        &self.constraints
    }

    async fn upsert(&mut self, rows: &Rows) -> Result<(), SinkError> {
        let values = self.plan.values(rows)?;
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.file.open().await?,
        };
        self.write(&mut connection, &values, rows.rows).await?;
        self.connection = Some(connection);
        Ok(())
    }
}

/// What opening a sink would find at fault.
pub(super) async fn check(connection: &SqliteConnection, target: &Target, fields: &[Field]) -> Result<(), SinkError> {
    let file = File::new(&connection.path);
    let plan = UpsertPlan::new(Dialect::Sqlite, target, fields).map_err(SinkError::Mismatch)?;
    if !file.exists() {
        return if target.create { file.find_directory() } else { Err(missing(&file, &plan)) };
    }
    let mut connection = file.open_to_read().await?;
    match inspect(&file, &mut connection, &plan).await? {
        None if !target.create => Err(missing(&file, &plan)),
        _ => Ok(()),
    }
}

async fn create_if_missing(file: &File, connection: &mut Connection, plan: &UpsertPlan) -> Result<(), SinkError> {
    let described = describe(connection, &plan.target.table).await.map_err(|e| file.error(&e))?;
    if matches!(described, Described::Missing) {
        let create = sqlx::raw_sql(AssertSqlSafe(plan.create_missing_table())).execute(connection);
        create.await.map_err(|e| file.error(&e))?;
    }
    Ok(())
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
