//! Keys that are two to the pipeline are two to the table, and no value is cut: a table that would is refused, on real databases.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[macro_use]
mod mysql_server;
mod rows;

use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, Float64Array};
use mysql_server::{connection, fresh, own, read, run, table};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use rows::{MORNING, fields, ints, rows, target, texts, times};
use sluice_connectors::mysql::MysqlSink;
use sluice_connectors::roles::SinkRole;
use sluice_connectors::sink::{KeyEquality, Sink, SinkError, Target};
use sluice_connectors::sqlite::{SqliteConnection, SqliteSink};
use sluice_core::{Field, Kind};
use sqlx::{AssertSqlSafe, Connection, Row};

const PAIR: [&str; 2] = ["k", "n"];

fn pair(kind: Kind) -> Vec<Field> {
    fields(&[(PAIR[0], kind), (PAIR[1], Kind::Int64)])
}

fn told(answer: Result<impl Sized, SinkError>) -> Vec<String> {
    match answer.map(drop) {
        Ok(()) => Vec::new(),
        Err(SinkError::Mismatch(told)) => told,
        Err(other) => panic!("{other}"),
    }
}

/// Makes a table and returns what `check` and the start say of a key of this type; they say the same.
async fn mysql(definition: &str, kind: Kind, equality: KeyEquality, round: bool) -> (String, Vec<String>) {
    let table = table(&format!("{definition}, n BIGINT, PRIMARY KEY (k)")).await;
    let target = Target { equality, round, ..target(&table, &["k"], false) };
    let checked = told(connection().check_sink(&target, &pair(kind)).await);
    assert_eq!(checked, told(MysqlSink::open(&connection(), &target, &pair(kind)).await), "{definition}");
    (table, checked)
}

async fn two_rows(table: &str, kind: Kind, keys: ArrayRef) {
    let mut sink = MysqlSink::open(&connection(), &target(table, &["k"], false), &pair(kind)).await.unwrap();
    for row in 0..2 {
        sink.upsert(&rows(vec![keys.slice(row, 1), ints([1])])).await.unwrap();
    }
    assert_eq!(read(&format!("SELECT CAST(COUNT(*) AS CHAR) FROM {table}")).await, ["2"]);
}

on_each_server!(a_key_of_mysql_that_merges_what_differs_is_refused_and_its_alter_keeps_them_apart);
async fn a_key_of_mysql_that_merges_what_differs_is_refused_and_its_alter_keeps_them_apart() {
    let tiny = 0.1 + f64::EPSILON;
    let loose = format!("k VARCHAR(100) COLLATE {}", own("utf8mb4_general_nopad_ci", "utf8mb4_0900_ai_ci"));
    let narrow = format!("k VARCHAR(100) CHARACTER SET latin1 COLLATE {}", own("latin1_nopad_bin", "latin1_bin"));
    let cases: [(&str, Kind, ArrayRef); 11] = [
        ("k VARCHAR(100) COLLATE utf8mb4_general_ci", Kind::Utf8, texts(["Anna", "anna"])),
        ("k VARCHAR(100) COLLATE utf8mb4_unicode_ci", Kind::Utf8, texts(["é", "e"])),
        (&loose, Kind::Utf8, texts(["É", "é"])),
        ("k VARCHAR(100) COLLATE utf8mb4_bin", Kind::Utf8, texts(["a", "a "])),
        ("k CHAR(10) COLLATE utf8mb4_bin", Kind::Utf8, texts(["a", "a "])),
        (&narrow, Kind::Utf8, texts(["礼", "é"])),
        ("k DATETIME", Kind::Timestamp, times([MORNING, MORNING + 1])),
        ("k DATETIME(3)", Kind::Timestamp, times([MORNING, MORNING + 999])),
        ("k FLOAT", Kind::Float64, Arc::new(Float64Array::from(vec![0.1, tiny]))),
        ("k DOUBLE(10,2)", Kind::Float64, Arc::new(Float64Array::from(vec![0.001, 0.002]))),
        ("k DECIMAL(10,2)", Kind::Float64, Arc::new(Float64Array::from(vec![0.001, 0.002]))),
    ];
    for (definition, kind, keys) in cases {
        let (table, told) = mysql(definition, kind, KeyEquality::Exact, true).await;
        assert_eq!(told.len(), 1, "{definition}: {told:?}");
        let (_, alter) = told[0].split_once("run ").unwrap();
        let (alter, or) = alter.split_once(", or ").unwrap();
        assert!(or.contains("key_equality = \"table\""), "{told:?}");
        run(alter).await;
        two_rows(&table, kind, keys).await;
        let (_, told) = mysql(definition, kind, KeyEquality::Table, true).await;
        assert_eq!(told, [""; 0], "{definition}");
    }
}

on_each_server!(a_key_of_mysql_that_is_exact_is_taken_as_it_is);
async fn a_key_of_mysql_that_is_exact_is_taken_as_it_is() {
    let exact = format!("k VARCHAR(100) COLLATE {}", mysql_server::exact());
    let cases: [(&str, Kind, ArrayRef); 8] = [
        (&exact, Kind::Utf8, texts(["a", "a "])),
        ("k VARBINARY(100)", Kind::Utf8, texts(["a", "a "])),
        ("k VARBINARY(100)", Kind::Binary, Arc::new(BinaryArray::from(vec![&b"a"[..], b"a\0"]))),
        ("k BINARY(2)", Kind::Binary, Arc::new(BinaryArray::from(vec![&b"a "[..], b"a\0"]))),
        ("k DATETIME(6)", Kind::Timestamp, times([MORNING, MORNING + 1])),
        ("k TIMESTAMP(6)", Kind::Timestamp, times([MORNING, MORNING + 1])),
        ("k DOUBLE", Kind::Float64, Arc::new(Float64Array::from(vec![0.1, 0.1 + f64::EPSILON]))),
        ("k DECIMAL(30,4)", Kind::Int64, ints([i64::MAX, i64::MAX - 1])),
    ];
    for (definition, kind, keys) in cases {
        let (table, told) = mysql(definition, kind, KeyEquality::Exact, false).await;
        assert_eq!(told, [""; 0], "{definition}");
        two_rows(&table, kind, keys).await;
    }
}

on_each_server!(zero_is_one_row_whatever_its_sign);
async fn zero_is_one_row_whatever_its_sign() {
    let (table, _) = mysql("k DOUBLE", Kind::Float64, KeyEquality::Exact, false).await;
    let mut sink = MysqlSink::open(&connection(), &target(&table, &["k"], false), &pair(Kind::Float64)).await.unwrap();
    for (zero, n) in [(0.0, 1), (-0.0, 2)] {
        sink.upsert(&rows(vec![Arc::new(Float64Array::from(vec![zero])), ints([n])])).await.unwrap();
    }
    assert_eq!(read(&format!("SELECT CAST(n AS CHAR) FROM {table}")).await, ["2"]);
}

on_each_server!(a_fold_may_have_a_table_that_passes_over_spaces_at_the_end_since_no_such_key_is_written);
async fn a_fold_may_have_a_table_that_passes_over_spaces_at_the_end_since_no_such_key_is_written() {
    let (table, told) = mysql("k VARCHAR(9) COLLATE utf8mb4_bin", Kind::Utf8, KeyEquality::Trimmed, false).await;
    assert_eq!(told, [""; 0]);
    let target = Target { equality: KeyEquality::Trimmed, ..target(&table, &["k"], false) };
    let sink = MysqlSink::open(&connection(), &target, &pair(Kind::Utf8)).await.unwrap();
    assert!(!sink.constraints()[0].end_space);
    let (_, told) = mysql("k VARCHAR(9) COLLATE utf8mb4_general_ci", Kind::Utf8, KeyEquality::Trimmed, false).await;
    assert!(told.len() == 1 && told[0].ends_with("which no fold can group by"), "{told:?}");
}

on_each_server!(a_second_unique_index_that_holds_the_key_is_looked_at_too);
async fn a_second_unique_index_that_holds_the_key_is_looked_at_too() {
    let table =
        table("k VARCHAR(9) COLLATE utf8mb4_general_ci, n BIGINT, h VARBINARY(9), PRIMARY KEY (n), UNIQUE (n, k)")
            .await;
    let columns = fields(&[("n", Kind::Int64), ("k", Kind::Utf8), ("h", Kind::Utf8)]);
    let of = |key: &[&str]| target(&table, key, false);
    assert_eq!(told(connection().check_sink(&of(&["n"]), &columns).await), [""; 0], "two keys never meet in (n, k)");
    run(&format!("ALTER TABLE {table} DROP PRIMARY KEY, ADD UNIQUE (k(2)), ADD UNIQUE (h), ADD UNIQUE (h, k)")).await;
    let problems = told(connection().check_sink(&of(&["h"]), &columns).await);
    assert!(problems.iter().any(|told| told.contains("(`k`)")), "a prefix: {problems:?}");
    let problems = told(connection().check_sink(&of(&["k", "n"]), &columns).await);
    assert!(problems.iter().any(|told| told.contains("is a key in utf8mb4_general_ci")), "{problems:?}");
}

on_each_server!(a_column_of_mysql_that_rounds_is_refused_unless_it_may);
async fn a_column_of_mysql_that_rounds_is_refused_unless_it_may() {
    for (definition, kind) in [
        ("n FLOAT", Kind::Float64),
        ("n FLOAT(7,3)", Kind::Float64),
        ("n DOUBLE(10,2) NOT NULL", Kind::Float64),
        ("n DECIMAL(10,2)", Kind::Float64),
        ("n DATETIME NOT NULL", Kind::Timestamp),
        ("n DATETIME(5)", Kind::Timestamp),
        ("n TIMESTAMP NULL", Kind::Timestamp),
    ] {
        let table = table(&format!("k BIGINT PRIMARY KEY, {definition}")).await;
        let columns = fields(&[("k", Kind::Int64), ("n", kind)]);
        let exact = target(&table, &["k"], false);
        let problems = told(connection().check_sink(&exact, &columns).await);
        assert!(problems.len() == 1 && problems[0].contains("say round = true"), "{definition}: {problems:?}");
        let rounding = Target { round: true, ..exact.clone() };
        assert_eq!(told(MysqlSink::open(&connection(), &rounding, &columns).await), [""; 0], "{definition}");
        run(problems[0].split_once("run ").unwrap().1).await;
        assert_eq!(told(MysqlSink::open(&connection(), &exact, &columns).await), [""; 0], "{definition}");
        let sql = format!(
            "SELECT CAST(is_nullable AS CHAR) FROM information_schema.columns WHERE table_schema = DATABASE() AND \
             table_name = '{table}' AND column_name = 'n'"
        );
        assert_eq!(read(&sql).await, [if definition.contains("NOT NULL") { "NO" } else { "YES" }], "{definition}");
    }
}

on_each_server!(a_time_that_may_be_rounded_is_written_to_the_last_one_that_the_column_has);
async fn a_time_that_may_be_rounded_is_written_to_the_last_one_that_the_column_has() {
    for digits in 0..6 {
        let table = table(&format!("k BIGINT PRIMARY KEY, n DATETIME({digits})")).await;
        let columns = fields(&[("k", Kind::Int64), ("n", Kind::Timestamp)]);
        let rounding = Target { round: true, ..target(&table, &["k"], false) };
        let mut sink = MysqlSink::open(&connection(), &rounding, &columns).await.unwrap();
        let (first, last) = sink.constraints()[1].times.unwrap();
        sink.upsert(&rows(vec![ints([1, 2]), times([first, last])])).await.unwrap();
    }
}

on_each_server!(a_char_takes_no_text_that_ends_in_a_space_and_a_binary_only_what_fills_it);
async fn a_char_takes_no_text_that_ends_in_a_space_and_a_binary_only_what_fills_it() {
    let table = table("k BIGINT PRIMARY KEY, c CHAR(4), b BINARY(2)").await;
    let columns = fields(&[("k", Kind::Int64), ("c", Kind::Utf8), ("b", Kind::Binary)]);
    let sink = MysqlSink::open(&connection(), &target(&table, &["k"], false), &columns).await.unwrap();
    assert!(!sink.constraints()[1].end_space);
    assert_eq!((sink.constraints()[2].min_bytes, sink.constraints()[2].max_bytes), (Some(2), Some(2)));
}

struct Lite(tempfile::TempDir);

impl Lite {
    fn connection(&self) -> SqliteConnection {
        SqliteConnection::new(self.0.path().join("live.db"))
    }

    async fn session(&self) -> sqlx::SqliteConnection {
        let path = self.connection().path;
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).create_if_missing(true);
        sqlx::SqliteConnection::connect_with(&options).await.unwrap()
    }

    async fn with(sql: &str) -> Lite {
        let lite = Lite(tempfile::tempdir().unwrap());
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut lite.session().await).await.unwrap();
        lite
    }

    async fn count(&self) -> i64 {
        sqlx::query("SELECT COUNT(*) FROM t").fetch_one(&mut self.session().await).await.unwrap().get(0)
    }
}

#[tokio::test]
async fn a_key_of_sqlite_that_merges_what_differs_is_refused() {
    for (definition, merged) in [
        ("CREATE TABLE t (k TEXT COLLATE NOCASE PRIMARY KEY, n INTEGER)", true),
        ("CREATE TABLE t (k TEXT COLLATE NOCASE, n INTEGER, PRIMARY KEY (k)) WITHOUT ROWID", true),
        ("CREATE TABLE t (k TEXT, n INTEGER, UNIQUE (k COLLATE RTRIM))", true),
        ("CREATE TABLE t (k TEXT, n INTEGER); CREATE UNIQUE INDEX by_k ON t (k COLLATE NOCASE)", true),
        ("CREATE TABLE t (k TEXT COLLATE NOCASE, n INTEGER); CREATE UNIQUE INDEX by_k ON t (k COLLATE BINARY)", false),
        ("CREATE TABLE t (k BLOB PRIMARY KEY, n INTEGER)", false),
        ("CREATE TABLE t (k PRIMARY KEY, n INTEGER)", false),
    ] {
        let lite = Lite::with(definition).await;
        let exact = target("t", &["k"], false);
        let problems = told(lite.connection().check_sink(&exact, &pair(Kind::Utf8)).await);
        assert_eq!(problems, told(SqliteSink::open(&lite.connection(), &exact, &pair(Kind::Utf8)).await));
        assert_eq!(problems.len(), usize::from(merged), "{definition}: {problems:?}");
        if let Some(statement) = problems.first().and_then(|told| Some(told.split_once("run DROP INDEX")?.1)) {
            let statement = format!("DROP INDEX{}", statement.split_once(", or ").unwrap().0);
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut lite.session().await).await.unwrap();
        } else if merged {
            let table = Target { equality: KeyEquality::Table, ..exact };
            assert_eq!(told(SqliteSink::open(&lite.connection(), &table, &pair(Kind::Utf8)).await), [""; 0]);
            continue;
        }
        let mut sink = SqliteSink::open(&lite.connection(), &exact, &pair(Kind::Utf8)).await.unwrap();
        sink.upsert(&rows(vec![texts(["a", "A", "a ", "5", "5.0"]), ints([1, 2, 3, 4, 5])])).await.unwrap();
        assert_eq!(lite.count().await, 5, "{definition}");
    }
}

#[tokio::test]
async fn the_word_any_keeps_texts_in_strict_tables_only() {
    let key = target("t", &["k"], false);
    let loose = Lite::with("CREATE TABLE t (k ANY PRIMARY KEY, n INTEGER)").await;
    assert_eq!(
        told(loose.connection().check_sink(&key, &pair(Kind::Utf8)).await).len(),
        1,
        "'007' and '7' would be one"
    );
    let strict = Lite::with("CREATE TABLE t (k ANY PRIMARY KEY, n INTEGER) STRICT").await;
    let mut sink = SqliteSink::open(&strict.connection(), &key, &pair(Kind::Utf8)).await.unwrap();
    sink.upsert(&rows(vec![texts(["007", "7"]), ints([1, 2])])).await.unwrap();
    assert_eq!(strict.count().await, 2);
}

/// Texts that collations like to take for the same.
fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop::sample::select(vec!["a", "A", "á", "a\u{301}", "ß", "ss", " ", "\t", "\0", "１", "1", "İ", "i"]),
        0..4,
    )
    .prop_map(|parts| parts.concat())
}

fn sample<T>(strategy: impl Strategy<Value = T>, count: usize) -> Vec<T> {
    let mut runner = TestRunner::deterministic();
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

on_each_server!(keys_that_differ_have_a_row_each_in_a_table_that_was_made);
async fn keys_that_differ_have_a_row_each_in_a_table_that_was_made() {
    let mut keys = sample((text(), -2i64..2, prop::num::f64::NORMAL, 0i64..3_000_000), 500);
    keys.sort_by(|a, b| (&a.0, a.1, a.3).cmp(&(&b.0, b.1, b.3)).then(a.2.total_cmp(&b.2)));
    keys.dedup();
    let columns = fields(&[
        ("a", Kind::Utf8),
        ("b", Kind::Int64),
        ("c", Kind::Float64),
        ("d", Kind::Timestamp),
        ("e", Kind::Binary),
        ("n", Kind::Int64),
    ]);
    let written = rows(vec![
        texts(keys.iter().map(|key| key.0.as_str())),
        ints(keys.iter().map(|key| key.1)),
        Arc::new(keys.iter().map(|key| Some(key.2)).collect::<Float64Array>()),
        times(keys.iter().map(|key| MORNING + key.3)),
        Arc::new(keys.iter().map(|key| Some(key.0.as_bytes())).collect::<BinaryArray>()),
        ints(0..keys.len() as i64),
    ]);
    let every: Vec<&[&str]> = vec![&["a"], &["a", "b"], &["c"], &["d"], &["e"], &["a", "b", "c", "d", "e"]];
    for key in every {
        let chosen: Vec<usize> = key.iter().map(|name| columns.iter().position(|f| f.name == *name).unwrap()).collect();
        let shown =
            |row: usize| format!("{:?}", chosen.iter().map(|i| written.columns[*i].slice(row, 1)).collect::<Vec<_>>());
        let distinct = (0..keys.len()).map(shown).collect::<std::collections::BTreeSet<_>>().len();
        let table = fresh().await;
        let mut sink = MysqlSink::open(&connection(), &target(&table, key, true), &columns).await.unwrap();
        sink.upsert(&written).await.unwrap();
        assert_eq!(
            read(&format!("SELECT CAST(COUNT(*) AS CHAR) FROM {table}")).await,
            [distinct.to_string()],
            "{key:?}"
        );
        let lite = Lite(tempfile::tempdir().unwrap());
        let mut sink = SqliteSink::open(&lite.connection(), &target("t", key, true), &columns).await.unwrap();
        sink.upsert(&written).await.unwrap();
        assert_eq!(lite.count().await, distinct as i64, "{key:?}");
    }
}
