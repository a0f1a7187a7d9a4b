//! The tables that a host writes, read back.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde_json::Value;
use sqlx::mysql::MySqlConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, Row, SqliteConnection};
use tokio::runtime::Runtime;

use crate::oracle::{Kind, METRICS, Metric, Rows, ordered};
use crate::{eventually, published};

/// How many differing rows a failure shows.
const SHOWN: usize = 5;

/// A database.
#[derive(Debug, Clone)]
pub enum Tables {
    /// On the real server, by its URL.
    Mysql(String),
    /// The embedded one's file.
    Sqlite(PathBuf),
    /// Topics on the broker, each a table of its keys' last records; their names end so.
    Topics(String),
}

impl Tables {
    /// The rows of a table with the metric's columns; the refusal is the database's.
    pub fn rows(&self, metric: &Metric, table: &str) -> Result<Rows, String> {
        let rows = match self {
            Tables::Mysql(url) => block_on(mysql_rows(url, metric, table)),
            Tables::Sqlite(path) => block_on(sqlite_rows(path, metric, table)),
            Tables::Topics(ending) => return published::rows(&format!("{table}{ending}"), metric).map(ordered),
        };
        rows.map(ordered).map_err(|e| format!("{table}: {e}"))
    }

    /// Runs one statement.
    pub fn execute(&self, sql: String) {
        self.try_execute(sql).unwrap();
    }

    /// Runs one statement; the refusal is the database's.
    pub fn try_execute(&self, sql: String) -> Result<(), sqlx::Error> {
        let sql = AssertSqlSafe(sql);
        block_on(async {
            match self {
                Tables::Mysql(url) => {
                    let mut connection = MySqlConnection::connect(url).await?;
                    sqlx::raw_sql(sql).execute(&mut connection).await.map(drop)
                }
                Tables::Sqlite(path) => {
                    // Who prepares a table may come before the host.
                    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
                    let mut connection = SqliteConnection::connect_with(&options).await?;
                    let done = sqlx::raw_sql(sql).execute(&mut connection).await.map(drop);
                    connection.close().await?;
                    done
                }
                Tables::Topics(_) => panic!("a topic takes no statement"),
            }
        })
    }

    /// What a query answers whose columns are texts; a null is an empty one.
    pub fn texts(&self, sql: &str) -> Result<Vec<Vec<String>>, String> {
        block_on(async {
            match self {
                Tables::Mysql(url) => mysql_texts(url, sql).await,
                Tables::Sqlite(path) => sqlite_texts(path, sql).await,
                Tables::Topics(_) => panic!("a topic answers no query"),
            }
        })
        .map_err(|e| format!("{sql}: {e}"))
    }

    /// The one number that a query on the real server answers.
    pub fn number(&self, sql: &str) -> Result<i64, String> {
        block_on(async {
            let mut connection = MySqlConnection::connect(self.url()).await?;
            sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut connection).await
        })
        .map_err(|e: sqlx::Error| format!("{sql}: {e}"))
    }

    /// Runs these statements on the real server; what they lock stays locked until the answer is dropped.
    pub fn hold(&self, sql: &str) -> Held {
        let runtime = runtime();
        let connection = runtime.block_on(async {
            let mut connection = MySqlConnection::connect(self.url()).await?;
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await?;
            Ok::<_, sqlx::Error>(connection)
        });
        Held { connection: Some(connection.unwrap()), runtime }
    }

    fn url(&self) -> &str {
        let Tables::Mysql(url) = self else { panic!("only the real server has sessions") };
        url
    }

    /// Waits until every metric's table holds exactly these rows, given in the order of [`METRICS`].
    pub fn await_equal(&self, expected: &[Rows], patience: Duration) {
        for (metric, expected) in METRICS.iter().zip(expected) {
            eventually(&format!("{} equals the oracle's", metric.table), patience, || {
                self.compare(metric, metric.table, expected)
            });
        }
    }

    /// Fails unless every metric's table holds exactly these rows, given in the order of [`METRICS`].
    pub fn assert_equal(&self, expected: &[Rows]) {
        for (metric, expected) in METRICS.iter().zip(expected) {
            self.compare(metric, metric.table, expected).unwrap_or_else(|difference| panic!("{difference}"));
        }
    }

    /// Waits until the metric's table holds exactly these rows.
    pub fn await_table(&self, metric: &Metric, expected: &Rows) {
        let what = format!("{} equals the oracle's", metric.table);
        eventually(&what, crate::PATIENCE, || self.compare(metric, metric.table, expected));
    }

    /// Waits until a table with the metric's columns holds exactly these rows.
    pub fn await_rows(&self, metric: &Metric, table: &str, expected: Value) {
        let expected: Rows = ordered(serde_json::from_value(expected).unwrap());
        let what = format!("{table} holds {expected:?}");
        eventually(&what, crate::PATIENCE, || self.compare(metric, table, &expected));
    }

    fn compare(&self, metric: &Metric, table: &str, expected: &Rows) -> Result<(), String> {
        let actual = self.rows(metric, table)?;
        if actual == *expected {
            return Ok(());
        }
        let only = |left: &Rows, right: &Rows| {
            let right: std::collections::HashSet<String> = right.iter().map(|row| format!("{row:?}")).collect();
            left.iter().map(|row| format!("{row:?}")).filter(|row| !right.contains(row)).take(SHOWN).collect::<Vec<_>>()
        };
        Err(format!(
            "{}: {} rows, expected {}; wrong, among others: {:#?}; missing, among others: {:#?}",
            table,
            actual.len(),
            expected.len(),
            only(&actual, expected),
            only(expected, &actual)
        ))
    }
}

/// A session that keeps its locks while this lives.
#[must_use]
pub struct Held {
    connection: Option<MySqlConnection>,
    runtime: Runtime,
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            // The server lets go at the end of the session in any case.
            let _ = self.runtime.block_on(connection.close());
        }
    }
}

async fn mysql_rows(url: &str, metric: &Metric, table: &str) -> Result<Rows, sqlx::Error> {
    let options = MySqlConnectOptions::from_str(url)?;
    let mut connection = MySqlConnection::connect_with(&options).await?;
    let sql = select(metric, table, |name| format!("DATE_FORMAT(`{name}`, '%Y-%m-%d %H:%i:%s.%f')"));
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut connection).await?;
    rows.iter().map(|row| values(row, metric)).collect()
}

async fn sqlite_rows(path: &PathBuf, metric: &Metric, table: &str) -> Result<Rows, sqlx::Error> {
    let mut connection = sqlite(path).await?;
    // Times are texts there: `YYYY-MM-DD HH:MM:SS`, with a fraction if it isn't zero.
    let sql = select(metric, table, |name| {
        format!("substr(\"{name}\" || substr('.000000', max(length(\"{name}\") - 18, 1)), 1, 26)")
    });
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut connection).await;
    connection.close().await?;
    rows?.iter().map(|row| values(row, metric)).collect()
}

/// To be closed by whoever is done with it: one that is dropped is closed by a thread of its own, some time later, and then still
/// writes to a file that a test may have replaced meanwhile.
async fn sqlite(path: &PathBuf) -> Result<SqliteConnection, sqlx::Error> {
    SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(path)).await
}

fn select(metric: &Metric, table: &str, time: impl Fn(&str) -> String) -> String {
    let columns: Vec<_> = metric
        .columns
        .iter()
        .map(|(name, kind)| match kind {
            Kind::Time => time(name),
            Kind::Decimal => format!("CAST({name} AS CHAR(50))"),
            Kind::Integer | Kind::Text => (*name).to_owned(),
        })
        .collect();
    format!("SELECT {} FROM {}", columns.join(", "), table)
}

fn values<'r, R>(row: &'r R, metric: &Metric) -> Result<Vec<Value>, sqlx::Error>
where
    R: Row,
    usize: sqlx::ColumnIndex<R>,
    i64: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
    String: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
{
    let value = |(index, (_, kind)): (usize, &(&str, Kind))| match kind {
        Kind::Integer => row.try_get::<Option<i64>, _>(index).map(Value::from),
        Kind::Text | Kind::Decimal | Kind::Time => row.try_get::<Option<String>, _>(index).map(Value::from),
    };
    metric.columns.iter().enumerate().map(value).collect()
}

async fn mysql_texts(url: &str, sql: &str) -> Result<Vec<Vec<String>>, sqlx::Error> {
    let mut connection = MySqlConnection::connect(url).await?;
    sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut connection).await?.iter().map(row_of_texts).collect()
}

async fn sqlite_texts(path: &PathBuf, sql: &str) -> Result<Vec<Vec<String>>, sqlx::Error> {
    let mut connection = sqlite(path).await?;
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut connection).await;
    connection.close().await?;
    rows?.iter().map(row_of_texts).collect()
}

fn row_of_texts<'r, R>(row: &'r R) -> Result<Vec<String>, sqlx::Error>
where
    R: Row,
    usize: sqlx::ColumnIndex<R>,
    String: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
{
    (0..row.len()).map(|index| row.try_get::<Option<String>, _>(index).map(Option::unwrap_or_default)).collect()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    runtime().block_on(future)
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}
