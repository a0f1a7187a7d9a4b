//! Rows that only the server can judge, on a real MySQL server and in real SQLite files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[macro_use]
mod mysql_server;
mod rows;

use arrow_array::ArrayRef;
use mysql_server::{connection, own, read, run, table};
use rows::{fields, ints, rows, target, texts, times};
use sluice_connectors::letters::Filter;
use sluice_connectors::mysql::{MysqlConnection, MysqlSink};
use sluice_connectors::roles::LettersRole;
use sluice_connectors::sink::{Rows, Sink, SinkError};
use sluice_connectors::sqlite::{SqliteConnection, SqliteSink};
use sluice_core::dead_letter::{DeadLetter, LetterId};
use sluice_core::rejected::Stage;
use sluice_core::{Field, Kind, Offset, Partition};
use sqlx::{AssertSqlSafe, Connection};

/// Number of rows of a flush, and the places of those that are at fault.
const ROWS: usize = 2500;
const BAD: [usize; 6] = [0, 1, 999, 1000, 1777, ROWS - 1];

fn flush(good: &dyn Fn(Vec<bool>) -> ArrayRef) -> Rows {
    let is_good = (0..ROWS).map(|row| !BAD.contains(&row)).collect();
    rows(vec![ints(0..ROWS as i64), good(is_good)])
}

fn written(kind: Kind) -> Vec<Field> {
    fields(&[("id", Kind::Int64), ("v", kind)])
}

fn picked(all: &Rows, bad: &[usize]) -> Rows {
    let left: Vec<u32> = (0..all.rows as u32).filter(|row| !bad.contains(&(*row as usize))).collect();
    let left = arrow_array::UInt32Array::from(left);
    let columns = all.columns.iter().map(|column| arrow_select::take::take(column, &left, None).unwrap()).collect();
    Rows { rows: left.len(), columns }
}

/// The law: the flush is refused as rows, the rows at fault are found, nothing is left of the search, and the others are taken.
async fn holds(sink: &mut dyn Sink, all: &Rows, words: &str) {
    let answer = sink.upsert(all).await;
    assert!(matches!(&answer, Err(SinkError::Rows(_))), "{answer:?}");
    for _ in 0..2 {
        let refused = sink.refused(all).await.unwrap();
        assert_eq!(refused.iter().map(|refused| refused.row).collect::<Vec<_>>(), BAD, "{:?}", refused.first());
        for refused in &refused {
            assert!(refused.reason.contains(words), "{}", refused.reason);
        }
    }
    let good = picked(all, &BAD);
    assert_eq!(sink.refused(&good).await.unwrap(), []);
    sink.upsert(&good).await.unwrap();
}

async fn mysql_holds(columns: &str, zone: Option<&str>, kind: Kind, good: &dyn Fn(Vec<bool>) -> ArrayRef, words: &str) {
    let table = table(&format!("id BIGINT PRIMARY KEY, {columns}")).await;
    mysql_table_holds(&table, zone, kind, good, words).await;
    run(&format!("DROP TABLE {table}")).await;
}

async fn mysql_table_holds(
    table: &str,
    zone: Option<&str>,
    kind: Kind,
    good: &dyn Fn(Vec<bool>) -> ArrayRef,
    words: &str,
) {
    let connection = MysqlConnection { time_zone: zone.map(str::to_owned), ..connection() };
    let mut sink = MysqlSink::open(&connection, &target(table, &["id"], false), &written(kind)).await.unwrap();
    let all = flush(good);
    assert!(matches!(sink.upsert(&all).await, Err(SinkError::Rows(_))));
    let count = format!("SELECT CAST(COUNT(*) AS CHAR) FROM {table}");
    assert_eq!(read(&count).await, ["0"], "nothing of a refused flush stays");
    sink.refused(&all).await.unwrap();
    assert_eq!(read(&count).await, ["0"], "nothing of a search stays");
    holds(&mut sink, &all, words).await;
    assert_eq!(read(&count).await, [(ROWS - BAD.len()).to_string()]);
}

fn numbers(good: Vec<bool>) -> ArrayRef {
    ints(good.into_iter().map(|good| if good { 7 } else { -7 }))
}

fn words<'a>(good: Vec<bool>, well: &'a str, ill: &'a str) -> ArrayRef {
    texts(good.into_iter().map(|good| if good { well } else { ill }))
}

on_each_server!(mysqls_foreign_keys_and_checks_refuse_rows);
async fn mysqls_foreign_keys_and_checks_refuse_rows() {
    let parent = table("n BIGINT PRIMARY KEY").await;
    run(&format!("INSERT INTO {parent} VALUES (7)")).await;
    let foreign = format!("v BIGINT, CONSTRAINT fk_{parent} FOREIGN KEY (v) REFERENCES {parent} (n)");
    mysql_holds(&foreign, None, Kind::Int64, &numbers, "foreign key constraint fails").await;
    mysql_holds("v BIGINT, CONSTRAINT positive CHECK (v > 0)", None, Kind::Int64, &numbers, "positive").await;
    let json = |good| words(good, r#"{"a": 1}"#, r#"{"a": "#);
    mysql_holds("v LONGTEXT CHECK (json_valid(v))", None, Kind::Utf8, &json, own("failed", "is violated")).await;
}

on_each_server!(mysqls_narrow_character_sets_refuse_rows);
async fn mysqls_narrow_character_sets_refuse_rows() {
    let refusal = own("Incorrect string value", "Conversion from collation");
    for charset in ["latin1", "gbk", "koi8r"] {
        let text = |good| words(good, "Wien", "Wien 😀");
        let column = format!("v VARCHAR(100) CHARACTER SET {charset}");
        mysql_holds(&column, None, Kind::Utf8, &text, refusal).await;
    }
}

on_each_server!(an_hour_that_summer_time_skips_refuses_rows);
async fn an_hour_that_summer_time_skips_refuses_rows() {
    // 1987-04-12T02:30:00, which Shanghai didn't have, and an hour before.
    const SKIPPED: i64 = 545_193_000_000_000;
    let moments =
        |good: Vec<bool>| times(good.into_iter().map(|good| if good { SKIPPED - 3_600_000_000 } else { SKIPPED }));
    mysql_holds("v TIMESTAMP(6) NULL", Some("Asia/Shanghai"), Kind::Timestamp, &moments, "Incorrect datetime").await;
}

on_each_server!(triggers_and_partitions_refuse_rows);
async fn triggers_and_partitions_refuse_rows() {
    let guarded = table("id BIGINT PRIMARY KEY, v BIGINT").await;
    let signal = "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no negative gifts', MYSQL_ERRNO = 1205";
    run(&format!(
        "CREATE TRIGGER guard_{guarded} BEFORE INSERT ON {guarded} FOR EACH ROW BEGIN IF NEW.v < 0 THEN {signal}; END IF; END"
    ))
    .await;
    mysql_table_holds(&guarded, None, Kind::Int64, &numbers, "no negative gifts").await;
    run(&format!("DROP TABLE {guarded}")).await;
    let cut = table("id BIGINT, v BIGINT, PRIMARY KEY (id, v)").await;
    run(&format!("ALTER TABLE {cut} PARTITION BY LIST (v) (PARTITION p VALUES IN (7))")).await;
    let target = target(&cut, &["id", "v"], false);
    let mut sink = MysqlSink::open(&connection(), &target, &written(Kind::Int64)).await.unwrap();
    holds(&mut sink, &flush(&numbers), "no partition").await;
}

on_each_server!(a_fault_of_the_table_that_comes_while_it_is_written_blames_no_row);
async fn a_fault_of_the_table_that_comes_while_it_is_written_blames_no_row() {
    let table = table("id BIGINT PRIMARY KEY, v BIGINT").await;
    let mut sink =
        MysqlSink::open(&connection(), &target(&table, &["id"], false), &written(Kind::Int64)).await.unwrap();
    let all = flush(&numbers);
    sink.upsert(&all).await.unwrap();
    run(&format!("ALTER TABLE {table} ADD COLUMN w BIGINT NOT NULL")).await;
    assert!(
        matches!(sink.upsert(&all).await, Err(SinkError::Unusable(_) | SinkError::Replaced(_))),
        "it is opened again, which says why not"
    );
    run(&format!("ALTER TABLE {table} DROP COLUMN w, DROP COLUMN v")).await;
    assert!(
        matches!(sink.upsert(&all).await, Err(SinkError::Unusable(_) | SinkError::Replaced(_))),
        "it is opened again, which says why not"
    );
    run(&format!("DROP TABLE {table}")).await;
    assert!(
        matches!(sink.upsert(&all).await, Err(SinkError::Unusable(_) | SinkError::Replaced(_))),
        "it is opened again, which says why not"
    );
    assert!(matches!(sink.refused(&all).await, Err(SinkError::Unusable(_))));
}

on_each_server!(statements_are_cut_to_what_the_server_takes_and_a_row_that_is_larger_is_refused_without_asking);
/// The server's limit is for all of its clients, so only texts are as long as it takes to reach it.
async fn statements_are_cut_to_what_the_server_takes_and_a_row_that_is_larger_is_refused_without_asking() {
    let limit: usize = read("SELECT CAST(@@max_allowed_packet AS CHAR)").await[0].parse().unwrap();
    let table = table("id BIGINT PRIMARY KEY, v LONGTEXT").await;
    let mut sink = MysqlSink::open(&connection(), &target(&table, &["id"], false), &written(Kind::Utf8)).await.unwrap();
    let half = "x".repeat(limit / 2 + 1);
    let many = rows(vec![ints(0..4), texts([half.as_str(); 4])]);
    sink.upsert(&many).await.unwrap();
    let (nearly, beyond) = ("x".repeat(limit - 200), "x".repeat(limit));
    let mixed = rows(vec![ints(0..3), texts([nearly.as_str(), beyond.as_str(), "x"])]);
    assert!(matches!(sink.upsert(&mixed).await, Err(SinkError::Rows(_))));
    let refused = sink.refused(&mixed).await.unwrap();
    assert_eq!(refused.len(), 1);
    assert!(refused[0].row == 1 && refused[0].reason.contains("max_allowed_packet"), "{}", refused[0].reason);
    sink.upsert(&picked(&mixed, &[1])).await.unwrap();
    run(&format!("DROP TABLE {table}")).await;
}

fn letter(offset: i64, bytes: usize) -> DeadLetter {
    DeadLetter {
        id: LetterId { topic: "t".to_owned(), partition: Partition(0), offset: Offset(offset) },
        key: Some(b"k".to_vec()),
        value: Some(vec![b'x'; bytes]),
        timestamp: None,
        stage: Stage::Decode,
        reason: "it is wrong".to_owned(),
        operator: None,
        time: 0,
        retry: false,
    }
}

on_each_server!(a_letter_that_a_table_does_not_take_whole_is_kept_without_its_record_and_can_not_be_retried);
async fn a_letter_that_a_table_does_not_take_whole_is_kept_without_its_record_and_can_not_be_retried() {
    let limit: usize = read("SELECT CAST(@@max_allowed_packet AS CHAR)").await[0].parse().unwrap();
    let table = mysql_server::fresh().await;
    let mut letters = connection().open_letters(&table, true).await.unwrap();
    letters.write("p", &[letter(0, 10), letter(1, limit), letter(2, 1000)]).await.unwrap();
    // And one that a column of somebody's own is too small for.
    run(&format!("ALTER TABLE {table} MODIFY record_value BLOB")).await;
    let mut letters = connection().open_letters(&table, true).await.unwrap();
    letters.write("p", &[letter(3, 65_536), letter(4, 65_535)]).await.unwrap();
    let found = letters.find(&Filter::default(), None).await.unwrap();
    assert_eq!(found.iter().map(|found| found.letter.id.offset.0).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    for found in &found {
        let cut = [1, 3].contains(&found.letter.id.offset.0);
        assert_eq!(found.letter.value.is_none(), cut);
        assert_eq!(found.letter.reason.starts_with("(kept without its record of "), cut, "{}", found.letter.reason);
        assert!(found.letter.reason.ends_with("it is wrong"), "{}", found.letter.reason);
    }
    assert_eq!(letters.mark(&Filter::default()).await.unwrap(), 3);
    run(&format!("DROP TABLE {table}")).await;
}

#[tokio::test]
async fn sqlites_constraints_and_triggers_refuse_rows_and_a_fault_of_the_table_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let database = SqliteConnection::new(directory.path().join("live.db"));
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&database.path).create_if_missing(true);
    let mut session = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    let cases = [
        ("f", "v INTEGER REFERENCES parent (n)", "", "FOREIGN KEY"),
        ("c", "v INTEGER CHECK (v > 0)", "", "CHECK"),
        ("r", "v INTEGER", "SELECT RAISE(ABORT, 'no negative gifts')", "no negative gifts"),
    ];
    sqlx::raw_sql("CREATE TABLE parent (n INTEGER PRIMARY KEY); INSERT INTO parent VALUES (7)")
        .execute(&mut session)
        .await
        .unwrap();
    for (table, column, trigger, words) in cases {
        let create = format!("CREATE TABLE {table} (id INTEGER PRIMARY KEY, {column})");
        sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut session).await.unwrap();
        if !trigger.is_empty() {
            let create = format!("CREATE TRIGGER guard BEFORE INSERT ON {table} WHEN NEW.v < 0 BEGIN {trigger}; END");
            sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut session).await.unwrap();
        }
        let target = target(table, &["id"], false);
        let mut sink = SqliteSink::open(&database, &target, &written(Kind::Int64)).await.unwrap();
        holds(&mut sink, &flush(&numbers), words).await;
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(format!("SELECT count(*) FROM {table}")))
            .fetch_one(&mut session)
            .await
            .unwrap();
        assert_eq!(count as usize, ROWS - BAD.len());
    }
    let target = target("c", &["id"], false);
    let mut sink = SqliteSink::open(&database, &target, &written(Kind::Int64)).await.unwrap();
    sqlx::raw_sql("DROP TABLE c").execute(&mut session).await.unwrap();
    let all = flush(&numbers);
    assert!(sink.upsert(&all).await.is_err());
    assert!(matches!(sink.refused(&all).await, Err(SinkError::Unusable(_))));
}

/// Rows after such a one would be outside of any transaction, and stay.
#[tokio::test]
async fn a_trigger_of_sqlite_that_ends_the_whole_transaction_is_the_tables_fault_and_nothing_stays() {
    let directory = tempfile::tempdir().unwrap();
    let database = SqliteConnection::new(directory.path().join("live.db"));
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&database.path).create_if_missing(true);
    let mut session = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    let create = "CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER); CREATE TRIGGER guard BEFORE INSERT ON t WHEN NEW.v < 0 \
                  BEGIN SELECT RAISE(ROLLBACK, 'no negative gifts'); END";
    sqlx::raw_sql(create).execute(&mut session).await.unwrap();
    let mut sink = SqliteSink::open(&database, &target("t", &["id"], false), &written(Kind::Int64)).await.unwrap();
    let all = flush(&numbers);
    for answer in [sink.upsert(&all).await, sink.refused(&all).await.map(drop)] {
        let Err(SinkError::Unusable(message)) = answer else { panic!("{answer:?}") };
        assert!(message.contains("no negative gifts") && message.contains("ABORT"), "{message}");
    }
    drop(sink);
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM t").fetch_one(&mut session).await.unwrap();
    assert_eq!(count, 0);
}
