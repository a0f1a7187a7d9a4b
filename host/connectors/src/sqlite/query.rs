//! Queries of boards to an SQLite file.
//!
//! The file is opened read-only, with `query_only` besides, and is never made. SQLite has no server: its own count of steps ends a
//! query whose time is up, or that nobody waits for any more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::TryStreamExt;
use sluice_clock::Stopwatch;
use sqlx::sqlite::{SqliteArguments, SqliteRow, SqliteValueRef};
use sqlx::{
    Arguments, AssertSqlSafe, Column, Decode, Executor, Row, SqlSafeStr, Sqlite, Statement as _, TypeInfo, ValueRef,
};
use tokio::sync::Semaphore;

use super::file::File;
use super::{SqliteConnection, error};
use crate::query::{Query, QueryError, QueryLimits, QueryRole, QueryRows, Reader, StatementNames, Value};
use crate::sink::SinkError;
use crate::sql::rows::{self, Taken};
use crate::sql::{Dialect, GRACE, READ_AT_ONCE, ReadStatement};

/// Steps of SQLite's machine between two looks at the clock, less than a millisecond. Fewer: the looks take longer than the steps.
/// More: the end comes later.
const STEPS: i32 = 1_000;

/// SQLite's code of a query that was ended.
const INTERRUPTED: &str = "9";

impl QueryRole for SqliteConnection {
    fn read_statement(&self, sql: &str) -> Result<StatementNames, QueryError> {
        ReadStatement::parse(Dialect::Sqlite, sql).map(|statement| statement.names)
    }

    fn open_reader(&self) -> Result<Box<dyn Reader>, QueryError> {
        let places = Semaphore::new(READ_AT_ONCE as usize);
        Ok(Box::new(SqliteReader { file: File::new(&self.path), places, idle: Mutex::default() }))
    }
}

struct SqliteReader {
    file: File,
    places: Semaphore,
    /// Connections that nobody uses, at most as many as there are places.
    idle: Mutex<Vec<Open>>,
}

struct Open {
    connection: sqlx::SqliteConnection,
    /// The file that it is to: another one may have taken its name.
    identity: Option<String>,
}

#[async_trait]
impl Reader for SqliteReader {
    async fn read(&self, query: &Query) -> Result<QueryRows, QueryError> {
        let statement = ReadStatement::parse(Dialect::Sqlite, &query.sql)?;
        let late = |_| QueryError::Late(query.limits.time);
        tokio::time::timeout(query.limits.time + GRACE, self.answer(&statement, query)).await.map_err(late)?
    }
}

impl SqliteReader {
    async fn answer(&self, statement: &ReadStatement, query: &Query) -> Result<QueryRows, QueryError> {
        // Nobody closes it.
        let _place = self.places.acquire().await.map_err(|error| QueryError::Failed(error.to_string()))?;
        let mut open = self.open().await?;
        let ended = Ended::default();
        let answered = self.ask(&mut open.connection, statement, query, &ended).await;
        if answered.is_ok() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(open);
        }
        answered
    }

    async fn open(&self) -> Result<Open, QueryError> {
        if !self.file.exists() {
            let words = format!(
                "SQLite at {}: the file isn't there yet: a pipeline that writes to it makes it",
                self.file.path()
            );
            return Err(QueryError::Unavailable(words));
        }
        let identity = self.file.identity();
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(open) = idle.filter(|open| open.identity == identity) {
            return Ok(open);
        }
        let mut connection = self.file.open_to_read().await.map_err(query_error)?;
        let settings = "PRAGMA query_only = ON; PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY";
        self.file.run(sqlx::raw_sql(settings).execute(&mut connection)).await.map_err(query_error)?;
        Ok(Open { connection, identity })
    }

    async fn ask(
        &self,
        connection: &mut sqlx::SqliteConnection,
        statement: &ReadStatement,
        query: &Query,
        ended: &Ended,
    ) -> Result<QueryRows, QueryError> {
        let failed = |error: sqlx::Error| self.failed(query.limits, &error);
        let text = || AssertSqlSafe(statement.text.clone());
        let prepared = connection.prepare(text().into_sql_str()).await.map_err(failed)?;
        let names = prepared.columns().iter().map(|column| column.name().to_owned()).collect();
        let mut arguments = SqliteArguments::default();
        for value in statement.values(query)? {
            arguments.add(value).map_err(|error| QueryError::Failed(error.to_string()))?;
        }
        let (clock, limit, over) = (Stopwatch::start(), query.limits.time, Arc::clone(&ended.0));
        let mut handle = connection.lock_handle().await.map_err(failed)?;
        handle.set_progress_handler(STEPS, move || clock.elapsed() < limit && !over.load(Ordering::Relaxed));
        drop(handle);
        let mut taken = Taken::within(query.limits);
        let mut found = sqlx::query_with(text(), arguments).fetch(&mut *connection);
        while let Some(row) = found.try_next().await.map_err(failed)? {
            if !taken.add(values(&row).map_err(QueryError::Failed)?) {
                break;
            }
        }
        Ok(taken.done(names))
    }

    fn failed(&self, limits: QueryLimits, error: &sqlx::Error) -> QueryError {
        let code = error.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
        match code {
            Some(code) if code == INTERRUPTED => QueryError::Late(limits.time),
            Some(_) => QueryError::Failed(format!("SQLite at {}: {}", self.file.path(), error::plain(error))),
            None => query_error(self.file.error(error)),
        }
    }
}

/// Ends the query when it is dropped.
#[derive(Default)]
struct Ended(Arc<AtomicBool>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn values(row: &SqliteRow) -> Result<Vec<Value>, String> {
    let value = |index: usize| {
        let raw = row.try_get_raw(index).map_err(|error| error.to_string())?;
        value(raw).map_err(|error| format!("a cell can't be read ({error})"))
    };
    (0..row.len()).map(value).collect()
}

fn value(raw: SqliteValueRef<'_>) -> Result<Value, sqlx::error::BoxDynError> {
    if raw.is_null() {
        return Ok(Value::Null);
    }
    let of = raw.type_info().name().to_owned();
    Ok(match of.as_str() {
        "INTEGER" => Value::Integer(<i64 as Decode<Sqlite>>::decode(raw)?),
        "REAL" => rows::float(<f64 as Decode<Sqlite>>::decode(raw)?),
        _ => rows::text(<&[u8] as Decode<Sqlite>>::decode(raw)?),
    })
}

fn query_error(error: SinkError) -> QueryError {
    match error {
        SinkError::Unavailable(words) => QueryError::Unavailable(words),
        error => QueryError::Failed(error.to_string()),
    }
}
