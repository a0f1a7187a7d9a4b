//! Rows that the MySQL sink writes, and the tables that it writes them to, on a real server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[macro_use]
mod mysql_server;
mod rows;

use std::sync::Arc;

use arrow_array::{BinaryArray, BooleanArray, Float64Array};
use mysql_server::{connection, exact, fresh, gifts, open, read, run, table, unusable};
use rows::{MORNING, fields, ints, rows, target, texts, times};
use sluice_connectors::mysql::{MysqlConnection, MysqlSink};
use sluice_connectors::roles::SinkRole;
use sluice_connectors::sink::{Constraint, Sink, SinkError, Target};
use sluice_core::Kind;

on_each_server!(a_table_that_was_made_takes_every_kind_and_gives_it_back);
async fn a_table_that_was_made_takes_every_kind_and_gives_it_back() {
    let table = fresh().await;
    let all = fields(&[
        ("k", Kind::Int64),
        ("kt", Kind::Utf8),
        ("kx", Kind::Binary),
        ("b", Kind::Boolean),
        ("f", Kind::Float64),
        ("u", Kind::Utf8),
        ("x", Kind::Binary),
        ("t", Kind::Timestamp),
    ]);
    let target = target(&table, &["k", "kt", "kx"], true);
    let mut sink = MysqlSink::open(&connection(), &target, &all).await.unwrap();
    let written = rows(vec![
        ints([i64::MIN, i64::MAX]),
        texts(["a", "A"]),
        Arc::new(BinaryArray::from(vec![&b"\0"[..], b""])),
        Arc::new(BooleanArray::from(vec![Some(true), None])),
        Arc::new(Float64Array::from(vec![Some(0.1), None])),
        texts([Some("礼'`物😀"), None]),
        Arc::new(BinaryArray::from(vec![Some(&b"\0\xff"[..]), None])),
        times([Some(MORNING + 5), None]),
    ]);
    for _ in 0..2 {
        sink.upsert(&written).await.unwrap();
    }
    let sql = format!(
        "SELECT CONCAT_WS('|', k, kt, HEX(kx), COALESCE(b, '-'), COALESCE(f, '-'), COALESCE(u, '-'), \
         COALESCE(HEX(x), '-'), COALESCE(t, '-')) FROM {table} ORDER BY k"
    );
    assert_eq!(
        read(&sql).await,
        [
            "-9223372036854775808|a|00|1|0.1|礼'`物😀|00FF|2021-08-16 09:48:01.000005",
            "9223372036854775807|A||-|-|-|-|-"
        ]
    );
    MysqlSink::open(&connection(), &target, &all).await.unwrap();
}

on_each_server!(texts_that_differ_in_case_are_two_keys_of_a_table_that_was_made);
async fn texts_that_differ_in_case_are_two_keys_of_a_table_that_was_made() {
    let table = fresh().await;
    let mut sink = open(&connection(), &table, true).await.unwrap();
    sink.upsert(&rows(vec![texts(["a", "A"]), ints([1, 2])])).await.unwrap();
    assert_eq!(read(&format!("SELECT CAST(COUNT(*) AS CHAR) FROM {table}")).await, ["2"]);
}

on_each_server!(a_missing_table_is_told_with_the_statement_that_makes_it_and_a_check_makes_none);
async fn a_missing_table_is_told_with_the_statement_that_makes_it_and_a_check_makes_none() {
    let table = fresh().await;
    connection().check_sink(&target(&table, &["kind"], true), &gifts()).await.unwrap();
    let exact = exact();
    let create = format!(
        "set create = true, or run CREATE TABLE `{table}` (`kind` VARCHAR(255) CHARACTER SET utf8mb4 COLLATE \
         {exact} NOT NULL, `total` BIGINT, PRIMARY KEY (`kind`)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"
    );
    for message in [
        unusable(open(&connection(), &table, false).await),
        unusable(connection().check_sink(&target(&table, &["kind"], false), &gifts()).await),
    ] {
        assert!(message.ends_with(&create), "{message}");
    }
}

on_each_server!(every_mismatch_is_told_at_once_and_no_statement_in_it_changes_a_columns_type);
async fn every_mismatch_is_told_at_once_and_no_statement_in_it_changes_a_columns_type() {
    let table = table("kind DOUBLE, shop INT NOT NULL PRIMARY KEY, total INT AS (shop + 1)").await;
    let Err(SinkError::Mismatch(told)) = open(&connection(), &table, false).await else { panic!("taken") };
    assert_eq!(
        told,
        [
            format!(
                "column `kind` of table `{table}` is double, the pipeline writes utf8: write float64 into it, or \
                 name the column otherwise, and run ALTER TABLE `{table}` ADD COLUMN … TEXT"
            ),
            format!(
                "column `total` of table `{table}` is computed by the database: name the pipeline's column otherwise"
            ),
            format!(
                "table `{table}` has no primary key or unique index on exactly (`kind`), the pipeline's key: run ALTER \
                 TABLE `{table}` ADD UNIQUE INDEX (`kind`)"
            ),
            format!(
                "unique index `PRIMARY` (`shop`) of table `{table}` would make rows of different keys replace each \
                 other: run ALTER TABLE `{table}` DROP PRIMARY KEY"
            ),
            format!(
                "column `shop` of table `{table}` is NOT NULL without a default, and the pipeline doesn't write it: run \
                 ALTER TABLE `{table}` ALTER COLUMN `shop` SET DEFAULT …, with what new rows are to have"
            ),
        ]
    );
}

on_each_server!(the_statements_that_end_a_mismatch_end_it);
async fn the_statements_that_end_a_mismatch_end_it() {
    let table = table("kind VARCHAR(9) NOT NULL, shop INT NOT NULL PRIMARY KEY").await;
    let Err(SinkError::Mismatch(told)) = open(&connection(), &table, false).await else { panic!("taken") };
    assert_eq!(told.len(), 4, "{told:?}");
    for sentence in &told {
        let (_, statement) = sentence.split_once("run ").unwrap();
        run(&statement.replace("…, with what new rows are to have", "7")).await;
    }
    let mut sink = open(&connection(), &table, false).await.unwrap();
    sink.upsert(&rows(vec![texts(["a"]), ints([1])])).await.unwrap();
    assert_eq!(read(&format!("SELECT CONCAT(kind, total, shop) FROM {table}")).await, ["a17"]);
}

on_each_server!(constraints_are_what_the_columns_take);
async fn constraints_are_what_the_columns_take() {
    let table = table(
        "kind VARCHAR(32) PRIMARY KEY, a INT UNSIGNED NOT NULL, b TEXT, c DATETIME(3), d DECIMAL(5,2), e VARBINARY(7), \
         f TIMESTAMP NULL, g TINYINT(1), h FLOAT, i DOUBLE UNSIGNED",
    )
    .await;
    let columns = fields(&[
        ("kind", Kind::Utf8),
        ("a", Kind::Int64),
        ("b", Kind::Utf8),
        ("c", Kind::Timestamp),
        ("d", Kind::Int64),
        ("e", Kind::Binary),
        ("f", Kind::Timestamp),
        ("g", Kind::Boolean),
        ("h", Kind::Float64),
        ("i", Kind::Float64),
    ]);
    let target = Target { round: true, ..target(&table, &["kind"], false) };
    let sink = MysqlSink::open(&connection(), &target, &columns).await.unwrap();
    let [kind, a, b, c, d, e, f, g, h, i] = sink.constraints() else { panic!("{:?}", sink.constraints()) };
    assert_eq!(*kind, Constraint { nullable: false, max_chars: Some(32), ..Constraint::ANY });
    assert_eq!(*a, Constraint { nullable: false, range: Some((0, u32::MAX.into())), ..Constraint::ANY });
    assert_eq!(*b, Constraint { max_bytes: Some(65_535), ..Constraint::ANY });
    assert!(c.times.is_some_and(|(from, to)| from < 0 && to > 250_000_000_000_000_000));
    assert_eq!(*d, Constraint { range: Some((-999, 999)), ..Constraint::ANY });
    assert_eq!(*e, Constraint { max_bytes: Some(7), ..Constraint::ANY });
    assert!(f.times.is_some_and(|(from, to)| from > 0 && to < i64::from(i32::MAX) * 1_000_000));
    assert_eq!(*g, Constraint::ANY);
    assert_eq!(*h, Constraint { floats: Some((f64::from(f32::MIN), f64::from(f32::MAX))), ..Constraint::ANY });
    assert_eq!(*i, Constraint { floats: Some((0.0, f64::MAX)), ..Constraint::ANY });
}

on_each_server!(values_at_the_ends_of_the_constraints_are_taken_as_they_are);
async fn values_at_the_ends_of_the_constraints_are_taken_as_they_are() {
    let table = table("kind VARCHAR(4) PRIMARY KEY, n MEDIUMINT, t DATETIME(6), s TIMESTAMP(6) NULL, b TINYTEXT").await;
    let columns = fields(&[
        ("kind", Kind::Utf8),
        ("n", Kind::Int64),
        ("t", Kind::Timestamp),
        ("s", Kind::Timestamp),
        ("b", Kind::Utf8),
    ]);
    let zone = MysqlConnection { time_zone: Some("-11:00".into()), ..connection() };
    let mut sink = MysqlSink::open(&zone, &target(&table, &["kind"], false), &columns).await.unwrap();
    let of = |i: usize| sink.constraints()[i].clone();
    let ((low, high), (first, last), (from, to)) = (of(1).range.unwrap(), of(2).times.unwrap(), of(3).times.unwrap());
    let long = "x".repeat(of(4).max_bytes.unwrap());
    sink.upsert(&rows(vec![
        texts(["礼礼礼礼", "a"]),
        ints([low, high]),
        times([first, last]),
        times([from, to]),
        texts([long.as_str(), ""]),
    ]))
    .await
    .unwrap();
    let sql = format!("SELECT CONCAT_WS('|', kind, n, t, LENGTH(b)) FROM {table} ORDER BY n");
    assert_eq!(
        read(&sql).await,
        ["礼礼礼礼|-8388608|0001-01-01 00:00:00.000000|255", "a|8388607|9999-12-31 23:59:59.999999|0"]
    );
}

on_each_server!(a_value_that_a_column_cant_hold_is_refused_and_never_cut);
async fn a_value_that_a_column_cant_hold_is_refused_and_never_cut() {
    let table = table("kind VARCHAR(4) PRIMARY KEY, total TINYINT").await;
    let mut sink = open(&connection(), &table, false).await.unwrap();
    for (kind, total, column) in [("12345", 1, "kind"), ("a", 128, "total")] {
        let answer = sink.upsert(&rows(vec![texts(["b", kind]), ints([1, total])])).await;
        assert!(matches!(&answer, Err(SinkError::Rows(message)) if message.contains(column)), "{answer:?}");
    }
    assert_eq!(read(&format!("SELECT kind FROM {table}")).await, [""; 0]);
    sink.upsert(&rows(vec![texts(["b"]), ints([1])])).await.unwrap();
    assert_eq!(read(&format!("SELECT kind FROM {table}")).await, ["b"]);
}

on_each_server!(a_flush_of_any_size_holds_the_latest_row_of_each_key_also_when_it_is_written_twice);
async fn a_flush_of_any_size_holds_the_latest_row_of_each_key_also_when_it_is_written_twice() {
    let table = fresh().await;
    let columns = fields(&[("id", Kind::Int64), ("total", Kind::Int64), ("note", Kind::Utf8)]);
    let mut sink = MysqlSink::open(&connection(), &target(&table, &["id"], true), &columns).await.unwrap();
    for (pass, size) in [1i64, 7, 999, 1000, 1001, 2500, 2500].into_iter().enumerate() {
        let totals = ints((0..size).map(|i| i * 10 + pass as i64));
        sink.upsert(&rows(vec![ints(0..size), totals, texts((0..size).map(|_| "x"))])).await.unwrap();
        let sql = format!(
            "SELECT CONCAT_WS('|', COUNT(*), SUM(total = id * 10 + {pass})) FROM {table} WHERE id < {size} AND note = 'x'"
        );
        assert_eq!(read(&sql).await, [format!("{size}|{size}")]);
    }
}

on_each_server!(texts_of_megabytes_are_written_in_statements_that_the_server_takes);
async fn texts_of_megabytes_are_written_in_statements_that_the_server_takes() {
    let table = table("kind VARCHAR(32) PRIMARY KEY, total BIGINT, note MEDIUMTEXT").await;
    let columns = fields(&[("kind", Kind::Utf8), ("note", Kind::Utf8)]);
    let mut sink = MysqlSink::open(&connection(), &target(&table, &["kind"], false), &columns).await.unwrap();
    let note = "x".repeat(1_500_000);
    let kinds: Vec<_> = (0..20).map(|i| i.to_string()).collect();
    sink.upsert(&rows(vec![texts(kinds.iter().map(String::as_str)), texts([note.as_str(); 20])])).await.unwrap();
    let sql = format!("SELECT CAST(SUM(LENGTH(note)) AS CHAR) FROM {table}");
    assert_eq!(read(&sql).await, ["30000000"]);
}

on_each_server!(wall_clock_times_are_written_as_they_are_in_every_zone);
async fn wall_clock_times_are_written_as_they_are_in_every_zone() {
    let table = table("kind VARCHAR(40) PRIMARY KEY, d DATETIME(6), t TIMESTAMP(6) NULL").await;
    let columns = fields(&[("kind", Kind::Utf8), ("d", Kind::Timestamp), ("t", Kind::Timestamp)]);
    for zone in ["Asia/Shanghai", "-03:30", "UTC"] {
        let connection = MysqlConnection { time_zone: Some(zone.into()), ..connection() };
        let mut sink = MysqlSink::open(&connection, &target(&table, &["kind"], false), &columns).await.unwrap();
        sink.upsert(&rows(vec![texts([zone]), times([MORNING]), times([MORNING])])).await.unwrap();
    }
    let sql = format!(
        "SELECT CONCAT_WS('|', kind, d, TIMESTAMPDIFF(MINUTE, '1970-01-01', d) * 60 - \
                       FLOOR(UNIX_TIMESTAMP(t) / 60) * 60) FROM {table} ORDER BY kind"
    );
    let morning = "2021-08-16 09:48:01.000000";
    assert_eq!(
        read(&sql).await,
        [format!("-03:30|{morning}|-12600"), format!("Asia/Shanghai|{morning}|28800"), format!("UTC|{morning}|0")]
    );
}

on_each_server!(a_number_that_is_none_is_refused_and_never_made_another);
async fn a_number_that_is_none_is_refused_and_never_made_another() {
    let table = table("kind VARCHAR(4) PRIMARY KEY, total DOUBLE").await;
    let columns = fields(&[("kind", Kind::Utf8), ("total", Kind::Float64)]);
    let mut sink = MysqlSink::open(&connection(), &target(&table, &["kind"], false), &columns).await.unwrap();
    for number in [f64::NAN, f64::INFINITY] {
        let totals = Arc::new(Float64Array::from(vec![number]));
        let rows = rows(vec![texts(["a"]), totals]);
        assert!(matches!(sink.upsert(&rows).await, Err(SinkError::Rows(_))), "{number}");
        assert_eq!(sink.refused(&rows).await.unwrap().len(), 1, "{number}");
    }
}
