//! Sessions of the MySQL sink on a real server: zones, credentials, connections that end, rows that others hold.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[macro_use]
mod mysql_server;
mod rows;

use mysql_server::{connection, open, read, run, table, unusable, url, user};
use rows::{ints, rows, texts};
use sluice_connectors::mysql::MysqlConnection;
use sluice_connectors::sink::{Sink, SinkError};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection};

on_each_server!(a_zone_that_is_none_or_has_no_offset_for_good_is_told);
async fn a_zone_that_is_none_or_has_no_offset_for_good_is_told() {
    for (zone, what) in
        [("Mars/Olympus", "is no zone"), ("+99:00", "is no zone"), ("Europe/Berlin", "load the server's zones")]
    {
        let connection = MysqlConnection { time_zone: Some(zone.into()), ..connection() };
        let message = unusable(open(&connection, "any", false).await);
        assert!(message.contains(zone) && message.contains(what), "{message}");
    }
}

on_each_server!(credentials_and_databases_that_are_wrong_are_told_without_the_password);
async fn credentials_and_databases_that_are_wrong_are_told_without_the_password() {
    let (server, database) = url().rsplit_once('/').map(|(a, b)| (a.to_string(), b.to_string())).unwrap();
    let host = server.rsplit_once('@').unwrap().1.to_string();
    for (url, what) in [
        (format!("mysql://root:s3cret@{host}/{database}"), "check user and password"),
        (format!("mysql://nobody:s3cret@{host}/{database}"), "check user and password"),
        (format!("{server}/no_such_database"), "create the database"),
    ] {
        let connection = MysqlConnection { url, ..MysqlConnection::default() };
        let message = unusable(open(&connection, "any", false).await);
        assert!(message.contains(what) && message.contains(&host) && !message.contains("s3cret"), "{message}");
    }
}

on_each_server!(a_user_who_may_not_write_is_told_at_the_opening);
async fn a_user_who_may_not_write_is_told_at_the_opening() {
    let table = table("kind VARCHAR(32) PRIMARY KEY, total BIGINT").await;
    let user = user("reader", &format!("SELECT ON {table}")).await;
    let message = unusable(open(&user.connection(), &table, false).await);
    user.drop().await;
    assert!(message.contains("GRANT SELECT, INSERT, UPDATE ON") && !message.contains("s3cret"), "{message}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable_and_named() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let connection =
        MysqlConnection { url: format!("mysql://root:s3cret@{free}/livedb"), ..MysqlConnection::default() };
    match open(&connection, "any", false).await.map(|_| ()) {
        Err(SinkError::Unavailable(message)) => {
            assert!(message.contains(&free.to_string()) && !message.contains("s3cret"), "{message}");
        }
        other => panic!("{other:?}"),
    }
}

on_each_server!(a_connection_that_the_server_closed_is_replaced_without_an_error);
async fn a_connection_that_the_server_closed_is_replaced_without_an_error() {
    let table = table("kind VARCHAR(32) PRIMARY KEY, total BIGINT").await;
    let user = user("writer", &format!("SELECT, INSERT, UPDATE ON {table}")).await;
    let mut sink = open(&user.connection(), &table, false).await.unwrap();
    sink.upsert(&rows(vec![texts(["a"]), ints([1])])).await.unwrap();
    let sessions = format!("SELECT CAST(id AS CHAR) FROM information_schema.processlist WHERE user = '{}'", user.name);
    let before = read(&sessions).await;
    assert_eq!(before.len(), 1);
    run(&format!("KILL {}", before[0])).await;
    sink.upsert(&rows(vec![texts(["a"]), ints([2])])).await.unwrap();
    assert_eq!(read(&format!("SELECT CAST(total AS CHAR) FROM {table}")).await, ["2"]);
    assert!(!read(&sessions).await.contains(&before[0]));
    user.drop().await;
}

on_each_server!(a_row_that_somebody_else_holds_is_unavailable_and_free_again_later);
async fn a_row_that_somebody_else_holds_is_unavailable_and_free_again_later() {
    let table = table("kind VARCHAR(32) PRIMARY KEY, total BIGINT").await;
    let mut sink = open(&connection(), &table, false).await.unwrap();
    let flush = rows(vec![texts(["a"]), ints([1])]);
    sink.upsert(&flush).await.unwrap();
    let mut other = MySqlConnection::connect(&url()).await.unwrap();
    let lock = format!("BEGIN; SELECT * FROM {table} FOR UPDATE");
    sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut other).await.unwrap();
    let answer = sink.upsert(&flush).await;
    assert!(matches!(answer, Err(SinkError::Unavailable(_))), "{answer:?}");
    sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
    sink.upsert(&flush).await.unwrap();
}
