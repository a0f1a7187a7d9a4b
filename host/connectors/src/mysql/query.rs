//! Queries of boards to MySQL and MariaDB.
//!
//! The session and each transaction are read-only, the statement is prepared, which takes one statement and no other, and the
//! server ends it when its time is up (`max_execution_time` of MySQL, `max_statement_time` of MariaDB).

use async_trait::async_trait;
use futures_util::TryStreamExt;
use sqlx::mysql::types::MySqlTime;
use sqlx::mysql::{MySqlArguments, MySqlRow, MySqlValueRef};
use sqlx::types::chrono::{NaiveDate, NaiveDateTime};
use sqlx::{
    Arguments, AssertSqlSafe, Column, Decode, Executor, MySql, Row, SqlSafeStr, Statement as _, TypeInfo, ValueRef,
};

use super::pool::{Lease, Pool};
use super::session::Server;
use super::{MysqlConnection, error};
use crate::query::{Query, QueryError, QueryLimits, QueryRole, QueryRows, Reader, StatementNames, Value};
use crate::sink::SinkError;
use crate::sql::rows::{self, Taken};
use crate::sql::{Dialect, GRACE, READ_AT_ONCE, ReadStatement};

/// Errors of a query whose time was up, or that somebody ended: MySQL's and MariaDB's.
const ENDED: [u16; 4] = [1317, 1969, 3024, 1028];

impl QueryRole for MysqlConnection {
    fn read_statement(&self, sql: &str) -> Result<StatementNames, QueryError> {
        ReadStatement::parse(Dialect::Mysql, sql).map(|statement| statement.names)
    }

    fn open_reader(&self) -> Result<Box<dyn Reader>, QueryError> {
        // A pool of its own: a query never takes a connection that a flush waits for.
        let own = MysqlConnection { pool: Pool::new(READ_AT_ONCE), ..self.clone() };
        Ok(Box::new(MysqlReader { server: Server::of(&own).map_err(query_error)? }))
    }
}

struct MysqlReader {
    server: Server,
}

#[async_trait]
impl Reader for MysqlReader {
    async fn read(&self, query: &Query) -> Result<QueryRows, QueryError> {
        let statement = ReadStatement::parse(Dialect::Mysql, &query.sql)?;
        // The server ends it before; a server that hangs is left.
        let late = |_| QueryError::Late(query.limits.time);
        tokio::time::timeout(query.limits.time + GRACE, self.answer(&statement, query)).await.map_err(late)?
    }
}

impl MysqlReader {
    async fn answer(&self, statement: &ReadStatement, query: &Query) -> Result<QueryRows, QueryError> {
        let mut lease = self.server.open().await.map_err(query_error)?;
        self.begin(&mut lease, query.limits).await.map_err(|error| self.failed(query.limits, &error))?;
        let (rows, whole) = answer(&mut lease, statement, query).await.map_err(|error| match error {
            Failed::Asking(error) => self.failed(query.limits, &error),
            Failed::Said(words) => QueryError::Failed(words),
        })?;
        // A connection with rows that nobody takes is closed.
        if whole && self.server.done(lease).await.is_err() {
            tracing::debug!("a connection for queries broke after its answer");
        }
        Ok(rows)
    }

    /// Begins a transaction that may not write, in a session that may not, with the server's own limits.
    async fn begin(&self, lease: &mut Lease, limits: QueryLimits) -> Result<(), sqlx::Error> {
        let version: String = sqlx::query_scalar("SELECT VERSION()").fetch_one(&mut **lease).await?;
        let millis = limits.time.as_millis().max(1);
        let time = if version.contains("MariaDB") {
            format!("max_statement_time = {}.{:03}", millis / 1_000, millis % 1_000)
        } else {
            format!("max_execution_time = {millis}")
        };
        let begin = format!(
            "ROLLBACK; SET SESSION {time}, sql_select_limit = {}; SET SESSION TRANSACTION READ ONLY; START TRANSACTION READ ONLY",
            limits.rows.saturating_add(1)
        );
        sqlx::raw_sql(AssertSqlSafe(begin)).execute(&mut **lease).await.map(drop)
    }

    fn failed(&self, limits: QueryLimits, error: &sqlx::Error) -> QueryError {
        match error::number(error) {
            Some(number) if ENDED.contains(&number) => QueryError::Late(limits.time),
            Some(_) => QueryError::Failed(format!("{}: {}", self.server, error::plain(error))),
            None => query_error(error::sink_error(&self.server, error)),
        }
    }
}

enum Failed {
    Asking(sqlx::Error),
    Said(String),
}

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Failed {
        Failed::Asking(error)
    }
}

/// The rows, and whether they are all.
async fn answer(lease: &mut Lease, statement: &ReadStatement, query: &Query) -> Result<(QueryRows, bool), Failed> {
    let prepared = (&mut **lease).prepare(AssertSqlSafe(statement.text.clone()).into_sql_str()).await?;
    let names = prepared.columns().iter().map(|column| column.name().to_owned()).collect();
    let mut arguments = MySqlArguments::default();
    for value in statement.values(query).map_err(|error| Failed::Said(error.to_string()))? {
        arguments.add(value).map_err(|error| Failed::Said(error.to_string()))?;
    }
    let mut taken = Taken::within(query.limits);
    let mut found = sqlx::query_with(AssertSqlSafe(statement.text.clone()), arguments).fetch(&mut **lease);
    let mut whole = true;
    while let Some(row) = found.try_next().await? {
        let row = values(&row).map_err(Failed::Said)?;
        whole = taken.add(row);
        if !whole {
            break;
        }
    }
    drop(found);
    Ok((taken.done(names), whole))
}

fn values(row: &MySqlRow) -> Result<Vec<Value>, String> {
    let value = |index: usize| {
        let unreadable = |error: &dyn std::fmt::Display| {
            let name = row.try_column(index).map(|column| column.name().to_owned()).unwrap_or_default();
            format!("the column `{name}` can't be read ({error}): cast it to a text, a number or a time")
        };
        let raw = row.try_get_raw(index).map_err(|error| unreadable(&error))?;
        value(raw).map_err(|error| unreadable(&error))
    };
    (0..row.len()).map(value).collect()
}

fn value(raw: MySqlValueRef<'_>) -> Result<Value, sqlx::error::BoxDynError> {
    if raw.is_null() {
        return Ok(Value::Null);
    }
    let of = raw.type_info().name().to_owned();
    Ok(match of.as_str() {
        "FLOAT" | "DOUBLE" => rows::float(Decode::<MySql>::decode(raw)?),
        "DECIMAL" => rows::digits(<&str as Decode<MySql>>::decode(raw)?),
        "DATETIME" | "TIMESTAMP" => {
            let time = <NaiveDateTime as Decode<MySql>>::decode(raw)?.and_utc().timestamp_micros();
            sluice_core::time::shown(time).map_or(Value::Null, Value::Text)
        }
        "DATE" => Value::Text(<NaiveDate as Decode<MySql>>::decode(raw)?.to_string()),
        "TIME" => Value::Text(<MySqlTime as Decode<MySql>>::decode(raw)?.to_string()),
        "BIT" => {
            let bytes = <&[u8] as Decode<MySql>>::decode(raw)?;
            let bits = bytes.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
            rows::digits(&bits.to_string())
        }
        of if of == "YEAR" || of.ends_with("UNSIGNED") => {
            rows::digits(&<u64 as Decode<MySql>>::decode(raw)?.to_string())
        }
        of if of.ends_with("INT") || of == "BOOLEAN" => Value::Integer(Decode::<MySql>::decode(raw)?),
        _ => rows::text(Decode::<MySql>::decode(raw)?),
    })
}

fn query_error(error: SinkError) -> QueryError {
    match error {
        SinkError::Unavailable(words) => QueryError::Unavailable(words),
        error => QueryError::Failed(error.to_string()),
    }
}
