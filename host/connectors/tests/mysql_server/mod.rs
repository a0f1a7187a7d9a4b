//! Real servers for tests, each named by a variable that is its url, with a database in which tables may be made.
#![allow(dead_code, reason = "each test file uses some of these")]

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use sluice_connectors::mysql::{MysqlConnection, MysqlSink};
use sluice_connectors::sink::SinkError;
use sluice_core::{Field, Kind};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, Row};

use crate::rows::{fields, target};

/// Makes two tests of a function, `NAME::mariadb` and `NAME::mysql`; `blocking` is one that isn't async.
macro_rules! on_each_server {
    ($name:ident) => { on_each_server! { $name, [#[tokio::test] async], [.await] } };
    (blocking $name:ident) => { on_each_server! { $name, [#[test]], [] } };
    ($name:ident, [$($test:tt)*], [$($wait:tt)*]) => {
        mod $name {
            use crate::mysql_server::{Server, on};

            $($test)* fn mariadb() {
                on(Server::Mariadb);
                super::$name()$($wait)*;
            }

            $($test)* fn mysql() {
                on(Server::Mysql);
                super::$name()$($wait)*;
            }
        }
    };
}

/// A kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    Mariadb,
    Mysql,
}

thread_local! {
    /// The server of the test, which is alone on its thread.
    static SERVER: Cell<Option<Server>> = const { Cell::new(None) };
}

/// Begins a test on this server.
pub fn on(server: Server) {
    SERVER.set(Some(server));
}

/// The server that this test is on.
pub fn server() -> Server {
    SERVER.get().expect("a test of on_each_server!")
}

pub fn url() -> String {
    let variable = own("SLUICE_TEST_MARIADB", "SLUICE_TEST_MYSQL");
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("run `make services` and set {variable} to mysql://root:PASSWORD@127.0.0.1:PORT/DATABASE")
    })
}

pub fn connection() -> MysqlConnection {
    MysqlConnection { url: url(), ..MysqlConnection::default() }
}

pub async fn run(sql: &str) {
    let mut session = MySqlConnection::connect(&url()).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut session).await.unwrap();
}

/// Each row as one text, as SQL made it.
pub async fn read(sql: &str) -> Vec<String> {
    let mut session = MySqlConnection::connect(&url()).await.unwrap();
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut session).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// A table's name that no other test has; there is no such table. Names come again in the next run, so that no run leaves
/// more behind.
pub async fn fresh() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let table = format!("{}_{}", env!("CARGO_CRATE_NAME"), NEXT.fetch_add(1, Ordering::Relaxed));
    run(&format!("DROP TABLE IF EXISTS {table}")).await;
    table
}

/// The collation in which texts are the same only if they are, as this server calls it.
pub fn exact() -> &'static str {
    own("utf8mb4_nopad_bin", "utf8mb4_0900_bin")
}

/// Returns the one of two names or words that is this server's.
pub fn own<'a>(mariadb: &'a str, mysql: &'a str) -> &'a str {
    match server() {
        Server::Mariadb => mariadb,
        Server::Mysql => mysql,
    }
}

/// A table of these columns and constraints.
pub async fn table(definition: &str) -> String {
    let (table, exact) = (fresh().await, exact());
    run(&format!("CREATE TABLE {table} ({definition}) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE={exact}")).await;
    table
}

/// User with few rights.
pub struct User {
    pub name: String,
}

pub async fn user(role: &str, rights: &str) -> User {
    let name = format!("{}_{role}", env!("CARGO_CRATE_NAME"));
    run(&format!("DROP USER IF EXISTS '{name}'@'%'; CREATE USER '{name}'@'%' IDENTIFIED BY 's3cret'")).await;
    run(&format!("GRANT {rights} TO '{name}'@'%'")).await;
    User { name }
}

impl User {
    pub fn connection(&self) -> MysqlConnection {
        let place = url().rsplit_once('@').unwrap().1.to_string();
        MysqlConnection { url: format!("mysql://{}:s3cret@{place}", self.name), ..MysqlConnection::default() }
    }

    pub async fn drop(self) {
        run(&format!("DROP USER '{}'@'%'", self.name)).await;
    }
}

pub fn gifts() -> Vec<Field> {
    fields(&[("kind", Kind::Utf8), ("total", Kind::Int64)])
}

pub async fn open(connection: &MysqlConnection, table: &str, create: bool) -> Result<MysqlSink, SinkError> {
    MysqlSink::open(connection, &target(table, &["kind"], create), &gifts()).await
}

pub fn unusable<T>(answer: Result<T, SinkError>) -> String {
    match answer.map(|_| ()) {
        Err(SinkError::Unusable(message)) => message,
        other => panic!("{other:?}"),
    }
}
