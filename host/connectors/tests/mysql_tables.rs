//! Table and connections of the MySQL sink: which table it is, and how many connections there are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[macro_use]
mod mysql_server;
mod rows;

use mysql_server::{connection, gifts, open, read, run, table, url, user};
use rows::{ints, rows, target, texts};
use sluice_connectors::mysql::{MysqlConnection, MysqlSink, Pool};
use sluice_connectors::roles::SinkRole;
use sluice_connectors::sink::{Rows, Sink, SinkError};

const COLUMNS: &str = "kind VARCHAR(32) PRIMARY KEY, total BIGINT";

fn flush() -> Rows {
    rows(vec![texts(["a"]), ints([1])])
}

async fn filled(name: &str) -> MysqlSink {
    let mut sink = open(&connection(), name, false).await.unwrap();
    sink.expect_rows();
    sink.upsert(&flush()).await.unwrap();
    sink
}

fn replaced(answer: Result<(), SinkError>) -> String {
    match answer {
        Err(SinkError::Replaced(message)) => message,
        other => panic!("{other:?}"),
    }
}

on_each_server!(a_table_is_known_by_server_database_and_making);
async fn a_table_is_known_by_server_database_and_making() {
    let table = table(COLUMNS).await;
    let found = open(&connection(), &table, false).await.unwrap().found().clone();
    let database = url().rsplit_once('/').unwrap().1.to_owned();
    let said = found.database.unwrap();
    assert!(said.starts_with(&format!("database `{database}` of the server ")), "{said}");
    let query = format!(
        "SELECT CONCAT('made at ', create_time, ' UTC') FROM information_schema.tables WHERE table_schema = DATABASE() AND \
         table_name = '{table}'"
    );
    // The session of the test may have another zone, whose seconds are the same.
    assert_eq!(found.table.unwrap()[24..], read(&query).await[0][24..]);
    assert!(found.is_empty);
    filled(&table).await;
    assert!(!open(&connection(), &table, false).await.unwrap().found().is_empty);
}

on_each_server!(a_table_that_was_dropped_or_emptied_takes_no_row);
async fn a_table_that_was_dropped_or_emptied_takes_no_row() {
    let gone = table(COLUMNS).await;
    let mut sink = filled(&gone).await;
    run(&format!("DROP TABLE {gone}")).await;
    assert!(replaced(sink.upsert(&flush()).await).contains("is gone"));
    for emptying in ["TRUNCATE TABLE", "DELETE FROM"] {
        let table = table(COLUMNS).await;
        let mut sink = filled(&table).await;
        sink.verify().await.unwrap();
        run(&format!("{emptying} {table}")).await;
        replaced(sink.verify().await);
        replaced(sink.upsert(&flush()).await);
        assert_eq!(read(&format!("SELECT kind FROM {table}")).await, Vec::<String>::new());
    }
}

on_each_server!(a_table_that_nobody_expects_rows_of_may_be_emptied);
async fn a_table_that_nobody_expects_rows_of_may_be_emptied() {
    let table = table(COLUMNS).await;
    let mut sink = open(&connection(), &table, false).await.unwrap();
    sink.upsert(&flush()).await.unwrap();
    run(&format!("DELETE FROM {table}")).await;
    sink.upsert(&flush()).await.unwrap();
}

on_each_server!(a_user_who_may_not_read_writes_all_the_same);
async fn a_user_who_may_not_read_writes_all_the_same() {
    let table = table(COLUMNS).await;
    let user = user("blind", &format!("INSERT, UPDATE ON {table}")).await;
    // `ON DUPLICATE KEY UPDATE … VALUES(…)` reads nothing.
    let opened = open(&user.connection(), &table, false).await;
    if let Ok(mut sink) = opened {
        sink.expect_rows();
        sink.upsert(&flush()).await.unwrap();
        run(&format!("TRUNCATE TABLE {table}")).await;
        sink.upsert(&flush()).await.unwrap();
    }
    user.drop().await;
}

on_each_server!(so_many_sinks_as_you_like_share_so_many_connections_as_are_allowed);
async fn so_many_sinks_as_you_like_share_so_many_connections_as_are_allowed() {
    const SINKS: usize = 20;
    const CONNECTIONS: usize = 3;
    let table = table(COLUMNS).await;
    let user = user("sharing", &format!("SELECT, INSERT, UPDATE ON {table}")).await;
    let shared = MysqlConnection { pool: Pool::new(CONNECTIONS as u32), ..user.connection() };
    let sessions =
        format!("SELECT CAST(COUNT(*) AS CHAR) FROM information_schema.processlist WHERE user = '{}'", user.name);
    let mut writers = Vec::new();
    for writer in 0..SINKS {
        let (shared, table) = (shared.clone(), table.clone());
        writers.push(tokio::spawn(async move {
            let mut sink = open(&shared, &table, false).await.unwrap();
            for total in 0..20 {
                let kind = format!("writer {writer}");
                sink.upsert(&rows(vec![texts([kind.as_str()]), ints([total])])).await.unwrap();
            }
        }));
    }
    let mut most = 0;
    while !writers.iter().all(tokio::task::JoinHandle::is_finished) {
        most = most.max(read(&sessions).await[0].parse::<usize>().unwrap());
    }
    for writer in writers {
        writer.await.unwrap();
    }
    // One that was closed after an error may still be listed; here there was none.
    assert!((1..=CONNECTIONS).contains(&most), "{most} connections");
    assert_eq!(
        read(&format!("SELECT CAST(COUNT(*) AS CHAR) FROM {table} WHERE total = 19")).await,
        [SINKS.to_string()]
    );
    user.drop().await;
}

on_each_server!(a_column_that_a_table_lacks_is_added_where_the_table_may_be_made_and_its_rows_stay);
async fn a_column_that_a_table_lacks_is_added_where_the_table_may_be_made_and_its_rows_stay() {
    let table = table("kind VARCHAR(32) PRIMARY KEY").await;
    run(&format!("INSERT INTO {table} VALUES ('old')")).await;
    let target = target(&table, &["kind"], true);
    connection().check_sink(&target, &gifts()).await.unwrap();
    let columns =
        format!("SELECT GROUP_CONCAT(column_name) FROM information_schema.columns WHERE table_name = '{table}'");
    assert_eq!(read(&columns).await, ["kind"], "a check makes nothing");

    // Two hosts that open it at once.
    let (one, other) = (connection(), connection());
    let (one, other) = tokio::join!(open(&one, &table, true), open(&other, &table, true));
    one.unwrap().upsert(&flush()).await.unwrap();
    other.unwrap().upsert(&rows(vec![texts(["b"]), ints([2])])).await.unwrap();
    let found = read(&format!("SELECT CONCAT(kind, COALESCE(total, '?')) FROM {table} ORDER BY kind")).await;
    assert_eq!(found, ["a1", "b2", "old?"]);
}

on_each_server!(a_column_that_is_a_key_or_whose_table_may_not_be_made_is_never_added);
async fn a_column_that_is_a_key_or_whose_table_may_not_be_made_is_never_added() {
    let lacks_total = table("kind VARCHAR(32) PRIMARY KEY").await;
    let lacks_key = table("total BIGINT").await;
    for (table, create, column) in [(lacks_total, false, "total"), (lacks_key, true, "kind")] {
        let refused = open(&connection(), &table, create).await.err();
        let Some(SinkError::Mismatch(problems)) = refused else { panic!("{refused:?}") };
        assert!(problems[0].contains(&format!("ALTER TABLE `{table}` ADD COLUMN `{column}`")), "{problems:?}");
    }
}
