//! The SQLite sink on real files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod rows;

use std::sync::Arc;

use arrow_array::{BinaryArray, BooleanArray, Float64Array};
use proptest::prelude::*;
use rows::{MORNING, fields, ints, rows, target, texts, times};
use sluice_connectors::roles::SinkRole;
use sluice_connectors::sink::{Sink, SinkError};
use sluice_connectors::sqlite::{SqliteConnection, SqliteSink};
use sluice_core::{Field, Kind};
use sqlx::{AssertSqlSafe, Connection, Row};

struct Database {
    directory: tempfile::TempDir,
}

impl Database {
    fn new() -> Database {
        Database { directory: tempfile::tempdir().unwrap() }
    }

    async fn with(sql: &str) -> Database {
        let database = Database::new();
        database.run(sql).await;
        database
    }

    fn connection(&self) -> SqliteConnection {
        SqliteConnection::new(self.directory.path().join("live.db"))
    }

    async fn session(&self) -> sqlx::SqliteConnection {
        let options =
            sqlx::sqlite::SqliteConnectOptions::new().filename(self.connection().path).create_if_missing(true);
        sqlx::SqliteConnection::connect_with(&options).await.unwrap()
    }

    async fn run(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.session().await).await.unwrap();
    }

    /// Each row as one text, as SQL made it.
    async fn texts(&self, sql: &str) -> Vec<String> {
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut self.session().await).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
}

fn gifts() -> Vec<Field> {
    fields(&[("kind", Kind::Utf8), ("total", Kind::Int64)])
}

async fn open(database: &Database, create: bool) -> Result<SqliteSink, SinkError> {
    SqliteSink::open(&database.connection(), &target("gifts", &["kind"], create), &gifts()).await
}

#[tokio::test]
async fn a_table_that_was_made_takes_every_kind_and_gives_it_back() {
    let database = Database::new();
    let all = fields(&[
        ("k", Kind::Int64),
        ("b", Kind::Boolean),
        ("f", Kind::Float64),
        ("u", Kind::Utf8),
        ("x", Kind::Binary),
        ("t", Kind::Timestamp),
    ]);
    let mut sink = SqliteSink::open(&database.connection(), &target("all", &["k"], true), &all).await.unwrap();
    let written = rows(vec![
        ints([i64::MIN, i64::MAX]),
        Arc::new(BooleanArray::from(vec![Some(true), None])),
        Arc::new(Float64Array::from(vec![Some(0.1), None])),
        texts([Some("礼'\"物"), None]),
        Arc::new(BinaryArray::from(vec![Some(&b"\0\xff"[..]), None])),
        times([Some(MORNING + 5), None]),
    ]);
    sink.upsert(&written).await.unwrap();
    let read = "SELECT k || '|' || quote(b) || '|' || quote(f) || '|' || quote(u) || '|' || quote(x) || '|' || quote(t) \
                FROM \"all\" ORDER BY k";
    assert_eq!(
        database.texts(read).await,
        [
            "-9223372036854775808|1|0.1|'礼''\"物'|X'00FF'|'2021-08-16 09:48:01.000005'",
            "9223372036854775807|NULL|NULL|NULL|NULL|NULL",
        ]
    );
}

#[tokio::test]
async fn a_missing_table_is_told_with_the_statement_that_makes_it() {
    let expected = "has no table \"gifts\": set create = true, or run CREATE TABLE \"gifts\" (\"kind\" TEXT NOT NULL, \
                    \"total\" INTEGER, PRIMARY KEY (\"kind\")) WITHOUT ROWID";
    for database in [Database::new(), Database::with("CREATE TABLE other (x)").await] {
        let Err(SinkError::Unusable(message)) = open(&database, false).await else { panic!("opened") };
        assert!(message.ends_with(expected), "{message}");
    }
}

#[tokio::test]
async fn a_check_makes_neither_file_nor_table() {
    let database = Database::new();
    database.connection().check_sink(&target("gifts", &["kind"], true), &gifts()).await.unwrap();
    assert!(!database.connection().path.exists());
    assert!(database.connection().check_sink(&target("gifts", &["kind"], false), &gifts()).await.is_err());
    let database = Database::with("CREATE TABLE other (x)").await;
    database.connection().check_sink(&target("gifts", &["kind"], true), &gifts()).await.unwrap();
    assert_eq!(database.texts("SELECT name FROM sqlite_master").await, ["other"]);
}

#[tokio::test]
async fn a_column_that_a_table_lacks_is_added_where_the_table_may_be_made_and_its_rows_stay() {
    let database = Database::with("CREATE TABLE gifts (kind TEXT PRIMARY KEY); INSERT INTO gifts VALUES ('old')").await;
    let refused = open(&database, false).await.err();
    let Some(SinkError::Mismatch(problems)) = refused else { panic!("{refused:?}") };
    assert!(problems[0].contains("ADD COLUMN \"total\" INTEGER"), "{problems:?}");

    database.connection().check_sink(&target("gifts", &["kind"], true), &gifts()).await.unwrap();
    let columns = "SELECT name FROM pragma_table_info('gifts')";
    assert_eq!(database.texts(columns).await, ["kind"], "a check makes nothing");
    open(&database, true).await.unwrap().upsert(&rows(vec![texts(["a"]), ints([1])])).await.unwrap();
    let found = database.texts("SELECT kind || COALESCE(total, '?') FROM gifts ORDER BY kind").await;
    assert_eq!(found, ["a1", "old?"]);
}

#[tokio::test]
async fn every_mismatch_is_told_at_once() {
    let database = Database::with("CREATE TABLE gifts (kind INTEGER, shop TEXT NOT NULL PRIMARY KEY)").await;
    let anew = "SQLite can't change that in place, so move the table away and run CREATE TABLE \"gifts\" (\"kind\" TEXT \
                NOT NULL, \"total\" INTEGER, PRIMARY KEY (\"kind\")) WITHOUT ROWID";
    let problems = vec![
        "column \"kind\" of table \"gifts\" is INTEGER, the pipeline writes utf8: write int64 or boolean into it, or name the \
         column otherwise, and run ALTER TABLE \"gifts\" ADD COLUMN … TEXT"
            .into(),
        "table \"gifts\" has no column \"total\", for the pipeline's total:int64: run ALTER TABLE \"gifts\" ADD COLUMN \
         \"total\" INTEGER"
            .into(),
        "table \"gifts\" has no primary key or unique index on exactly (\"kind\"), the pipeline's key: run CREATE UNIQUE \
         INDEX \"gifts_key\" ON \"gifts\" (\"kind\")"
            .into(),
        format!(
            "unique index \"PRIMARY KEY\" (\"shop\") of table \"gifts\" would make rows of different keys replace each \
             other: {anew}"
        ),
        format!(
            "column \"shop\" of table \"gifts\" is NOT NULL without a default, and the pipeline doesn't write it: {anew}"
        ),
    ];
    for answer in [
        open(&database, false).await.map(|_| ()),
        database.connection().check_sink(&target("gifts", &["kind"], false), &gifts()).await,
    ] {
        let Err(SinkError::Mismatch(told)) = answer else { panic!("taken") };
        assert_eq!(told, problems);
    }
}

#[tokio::test]
async fn tables_as_people_make_them_are_taken() {
    for sql in [
        "CREATE TABLE gifts (kind VARCHAR(20) PRIMARY KEY, total BIGINT)",
        "CREATE TABLE Gifts (KIND TEXT, Total INT, note TEXT, UNIQUE (kind))",
        "CREATE TABLE gifts (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, total INTEGER); \
         CREATE UNIQUE INDEX by_kind ON gifts (kind)",
        "CREATE TABLE gifts (kind, total, PRIMARY KEY (kind))",
        "CREATE TABLE gifts (kind TEXT PRIMARY KEY, total INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    ] {
        let database = Database::with(sql).await;
        let mut sink = open(&database, false).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
        assert!(!sink.constraints()[0].nullable);
        for total in [1, 2] {
            sink.upsert(&rows(vec![texts(["a"]), ints([total])])).await.unwrap();
        }
        assert_eq!(database.texts("SELECT kind || total FROM gifts").await, ["a2"], "{sql}");
    }
}

#[tokio::test]
async fn an_index_of_some_rows_and_a_generated_column_are_no_key_and_no_column() {
    let database = Database::with(
        "CREATE TABLE gifts (kind TEXT, total INTEGER AS (1)); \
         CREATE UNIQUE INDEX some ON gifts (kind) WHERE total > 0",
    )
    .await;
    let Err(SinkError::Mismatch(told)) = open(&database, false).await else { panic!("taken") };
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].contains("is computed by the database"), "{told:?}");
}

#[tokio::test]
async fn nothing_of_a_flush_stays_when_a_row_of_it_is_refused_and_the_next_one_goes_on() {
    let database =
        Database::with("CREATE TABLE gifts (kind TEXT PRIMARY KEY, total INTEGER CHECK (total < 1000))").await;
    let mut sink = open(&database, false).await.unwrap();
    let kinds: Vec<_> = (0..500).map(|i| format!("k{i}")).collect();
    let kinds = texts(kinds.iter().map(String::as_str));
    let Err(SinkError::Rows(message)) = sink.upsert(&rows(vec![kinds.clone(), ints(501..1001)])).await else {
        panic!("taken")
    };
    assert!(message.contains("CHECK"), "{message}");
    assert_eq!(database.texts("SELECT count(*) || '' FROM gifts").await, ["0"]);
    sink.upsert(&rows(vec![kinds, ints(500..1000)])).await.unwrap();
    assert_eq!(database.texts("SELECT count(*) || '' FROM gifts").await, ["500"]);
}

#[tokio::test]
async fn a_null_in_the_key_is_refused() {
    let database = Database::with("CREATE TABLE gifts (kind TEXT UNIQUE, total INTEGER)").await;
    let mut sink = open(&database, false).await.unwrap();
    let answer = sink.upsert(&rows(vec![texts([None::<&str>]), ints([1])])).await;
    assert!(matches!(answer, Err(SinkError::Unusable(_))), "{answer:?}");
}

#[tokio::test]
async fn what_is_no_database_and_where_there_is_no_directory_is_told() {
    let database = Database::new();
    std::fs::write(database.connection().path, "no database, but long enough to have a header of one, in text")
        .unwrap();
    let Err(SinkError::Unusable(message)) = open(&database, true).await else { panic!("opened") };
    assert!(message.contains("name another, or restore it"), "{message}");
    let nowhere = SqliteConnection::new(database.directory.path().join("no/live.db"));
    let answer = SqliteSink::open(&nowhere, &target("gifts", &["kind"], true), &gifts()).await;
    let Err(SinkError::Unusable(message)) = answer else { panic!("opened") };
    assert!(message.contains("make it, or name another path"), "{message}");
}

#[tokio::test]
async fn values_at_the_ends_of_the_constraints_are_taken_and_no_number_becomes_null() {
    let database = Database::new();
    let columns = fields(&[("t", Kind::Timestamp), ("f", Kind::Float64)]);
    let mut sink = SqliteSink::open(&database.connection(), &target("ends", &["t"], true), &columns).await.unwrap();
    let (first, last) = sink.constraints()[0].times.unwrap();
    let (least, most) = sink.constraints()[1].floats.unwrap();
    let floats = |values: [f64; 2]| Arc::new(Float64Array::from(values.to_vec()));
    sink.upsert(&rows(vec![times([first, last]), floats([most, least])])).await.unwrap();
    assert_eq!(
        database.texts("SELECT t || (f > 0) || (f < 0) FROM ends ORDER BY t").await,
        ["0000-01-01 00:00:0010", "9999-12-31 23:59:59.99999901"]
    );
    let answer = sink.upsert(&rows(vec![times([first, last]), floats([1.0, f64::NAN])])).await;
    assert!(matches!(answer, Err(SinkError::Rows(_))), "{answer:?}");
    for beyond in [first - 1, last + 1] {
        let answer = sink.upsert(&rows(vec![times([beyond]), Arc::new(Float64Array::from(vec![1.0]))])).await;
        assert!(matches!(answer, Err(SinkError::Rows(_))), "{answer:?}");
    }
}

#[tokio::test]
async fn a_file_that_another_writer_holds_is_unavailable_and_free_again_later() {
    let database = Database::with("CREATE TABLE gifts (kind TEXT PRIMARY KEY, total INTEGER)").await;
    let mut sink = open(&database, false).await.unwrap();
    let mut other = database.session().await;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let flush = rows(vec![texts(["a"]), ints([1])]);
    let answer = sink.upsert(&flush).await;
    assert!(matches!(answer, Err(SinkError::Unavailable(_))), "{answer:?}");
    sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
    sink.upsert(&flush).await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_table_holds_the_latest_row_of_each_key_also_when_flushes_are_written_twice(
        flushes in proptest::collection::vec(
            (proptest::collection::btree_map("[a-zA-Z\u{4e00}-\u{4e10}']{0,3}", any::<i64>(), 1..300), any::<bool>()), 1..5),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let database = Database::new();
            let mut expected = std::collections::BTreeMap::new();
            for (flush, again) in flushes {
                let mut sink = open(&database, true).await.unwrap();
                let written = rows(vec![texts(flush.keys().map(String::as_str)), ints(flush.values().copied())]);
                for _ in 0..=u8::from(again) {
                    sink.upsert(&written).await.unwrap();
                }
                expected.extend(flush);
            }
            let expected: Vec<_> = expected.iter().map(|(kind, total)| format!("{kind}={total}")).collect();
            assert_eq!(database.texts("SELECT kind || '=' || total FROM gifts ORDER BY kind").await, expected);
        });
    }
}
