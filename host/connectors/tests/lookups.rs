//! Lookups in tables of real MySQL servers and of SQLite.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[macro_use]
mod mysql_server;
mod rows;

use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use mysql_server::{fresh, read, run, url, user};
use sluice_connectors::lookup::{CacheConfig, Caches, LookupTable};
use sluice_connectors::mysql::MysqlConnection;
use sluice_connectors::roles::LookupRole;
use sluice_connectors::sqlite::SqliteConnection;
use sluice_core::Kind;
use sluice_core::lookup::{Found, Lookup, LookupError};
use sqlx::{AssertSqlSafe, Connection};
use tokio::runtime::Runtime;

/// A runtime as the service has it, and a database to look up in. What asks is a thread that isn't tokio's, as a lane is.
struct Here {
    runtime: Runtime,
    directory: tempfile::TempDir,
}

fn caches(ttl: Duration) -> Caches {
    Caches::new(CacheConfig { ttl, ..CacheConfig::default() })
}

impl Here {
    fn new() -> Here {
        Here { runtime: Runtime::new().unwrap(), directory: tempfile::tempdir().unwrap() }
    }

    fn mysql(&self) -> MysqlConnection {
        MysqlConnection { url: url(), caches: caches(Duration::ZERO), ..MysqlConnection::default() }
    }

    /// Makes a table of these columns in MySQL, with these rows.
    fn mysql_table(&self, columns: &str, rows: &str) -> String {
        self.runtime.block_on(async {
            let table = fresh().await;
            run(&format!("CREATE TABLE {table} ({columns}) DEFAULT CHARSET=utf8mb4")).await;
            if !rows.is_empty() {
                run(&format!("INSERT INTO {table} VALUES {rows}")).await;
            }
            table
        })
    }

    fn run(&self, sql: &str) {
        self.runtime.block_on(run(sql));
    }

    fn sqlite(&self) -> SqliteConnection {
        SqliteConnection { path: self.directory.path().join("live.db"), caches: caches(Duration::ZERO) }
    }

    fn sqlite_run(&self, sql: &str) {
        self.runtime.block_on(async {
            let options = sqlx::sqlite::SqliteConnectOptions::new()
                .filename(self.directory.path().join("live.db"))
                .create_if_missing(true);
            let mut session = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut session).await.unwrap();
            session.close().await.unwrap();
        });
    }

    fn in_mysql(&self, what: &LookupTable) -> Box<dyn Lookup> {
        let _guard = self.runtime.enter();
        self.mysql().lookup(what).unwrap()
    }

    fn in_sqlite(&self, what: &LookupTable) -> Box<dyn Lookup> {
        let _guard = self.runtime.enter();
        self.sqlite().lookup(what).unwrap()
    }

    /// The words of a check in MySQL that finds a fault.
    fn mysql_fault(&self, connection: &MysqlConnection, what: &LookupTable) -> String {
        let _guard = self.runtime.enter();
        let Err(LookupError::Unusable(words)) = connection.check_lookup(what) else { panic!("{what:?} is taken") };
        words
    }

    fn sqlite_fault(&self, what: &LookupTable) -> String {
        let _guard = self.runtime.enter();
        let Err(LookupError::Unusable(words)) = self.sqlite().check_lookup(what) else { panic!("{what:?} is taken") };
        words
    }
}

fn get(lookup: &mut Box<dyn Lookup>, keys: &[&str]) -> Found {
    let keys: Vec<_> = keys.iter().map(|key| key.as_bytes()).collect();
    lookup.get(&keys).unwrap()
}

fn texts(found: &Found, column: usize) -> Vec<Option<&str>> {
    found.columns[column].as_string::<i32>().iter().collect()
}

fn named(table: &str, name: &str) -> LookupTable {
    LookupTable::new(table, "id", [(name, Kind::Utf8)])
}

const KINDS: [(&str, Kind); 8] = [
    ("b", Kind::Boolean),
    ("i", Kind::Int64),
    ("f", Kind::Float64),
    ("d", Kind::Float64),
    ("u", Kind::Utf8),
    ("raw", Kind::Binary),
    ("at", Kind::Timestamp),
    ("day", Kind::Utf8),
];

fn assert_kinds(found: &Found) {
    assert!(found.unfit.is_empty(), "{:?}", found.unfit);
    assert_eq!(found.found, [false, true, true]);
    assert_eq!(found.columns[0].as_boolean().iter().collect::<Vec<_>>(), [None, Some(true), None]);
    let integers = found.columns[1].as_primitive::<Int64Type>();
    assert_eq!(integers.iter().collect::<Vec<_>>(), [None, Some(-7), None]);
    for (column, value) in [(2, 0.5), (3, 12.25)] {
        let floats = found.columns[column].as_primitive::<Float64Type>();
        assert_eq!(floats.iter().collect::<Vec<_>>(), [None, Some(value), None]);
    }
    assert_eq!(texts(found, 4), [None, Some("礼物"), None]);
    assert_eq!(found.columns[5].as_binary::<i32>().iter().collect::<Vec<_>>(), [None, Some(&b"\xff\0"[..]), None]);
    let times = found.columns[6].as_primitive::<TimestampMicrosecondType>();
    assert_eq!(times.iter().collect::<Vec<_>>(), [None, Some(1_629_107_281_000_050), None]);
    assert_eq!(texts(found, 7), [None, Some("2021-08-16"), None]);
}

on_each_server!(blocking values_of_every_kind_are_as_the_table_has_them_and_null_is_null);
fn values_of_every_kind_are_as_the_table_has_them_and_null_is_null() {
    let here = Here::new();
    let table = here.mysql_table(
        "id BIGINT PRIMARY KEY, b BIT(1), i INT, f FLOAT, d DECIMAL(10,2), u VARCHAR(9), raw VARBINARY(9), at DATETIME(6), day DATE",
        "(1, 1, -7, 0.5, 12.25, '礼物', X'ff00', '2021-08-16 09:48:01.000050', '2021-08-16'), \
         (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
    );
    assert_kinds(&get(&mut here.in_mysql(&LookupTable::new(&table, "id", KINDS)), &["9", "1", "2"]));
    here.sqlite_run(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, b BOOLEAN, i INT, f REAL, d NUMERIC, u TEXT, raw BLOB, at DATETIME, day TEXT);
         INSERT INTO t VALUES (1, 1, -7, 0.5, 12.25, '礼物', X'ff00', '2021-08-16 09:48:01.000050', '2021-08-16');
         INSERT INTO t (id) VALUES (2)",
    );
    assert_kinds(&get(&mut here.in_sqlite(&LookupTable::new("t", "id", KINDS)), &["9", "1", "2"]));
}

on_each_server!(blocking keys_are_the_same_only_if_their_texts_are_whatever_the_table_takes_for_equal);
fn keys_are_the_same_only_if_their_texts_are_whatever_the_table_takes_for_equal() {
    let here = Here::new();
    let asked = ["a", "A", "a ", "B", "b", "é", "e", "1", "01", ""];
    let found = [true, false, false, true, false, true, false, true, false, true];
    let table = here.mysql_table(
        "id VARCHAR(9) COLLATE utf8mb4_general_ci PRIMARY KEY, m TEXT",
        "('a', 'a'), ('B', 'B'), ('é', 'é'), ('1', '1'), ('', '')",
    );
    assert_eq!(get(&mut here.in_mysql(&named(&table, "m")), &asked).found, found);
    here.sqlite_run(
        "CREATE TABLE t (id TEXT COLLATE NOCASE PRIMARY KEY, m TEXT);
         INSERT INTO t VALUES ('a', 'a'), ('B', 'B'), ('é', 'é'), ('1', '1'), ('', '')",
    );
    assert_eq!(get(&mut here.in_sqlite(&named("t", "m")), &asked).found, found);
}

on_each_server!(blocking an_integers_key_is_its_decimal_text_alone);
fn an_integers_key_is_its_decimal_text_alone() {
    let here = Here::new();
    let asked = ["7", "07", "+7", "7 ", "7a", "7.0", "", "-1", "18446744073709551615"];
    let found = [true, false, false, false, false, false, false, false, true];
    let table =
        here.mysql_table("id BIGINT UNSIGNED ZEROFILL PRIMARY KEY, m TEXT", "(7, 'm'), (18446744073709551615, 'last')");
    assert_eq!(get(&mut here.in_mysql(&named(&table, "m")), &asked).found, found);
    here.sqlite_run("CREATE TABLE t (id INTEGER PRIMARY KEY, m TEXT); INSERT INTO t VALUES (7, 'm'), (-9, 'n')");
    assert_eq!(get(&mut here.in_sqlite(&named("t", "m")), &asked[..8]).found, found[..8]);
}

on_each_server!(blocking more_keys_than_a_statement_takes_are_all_answered_in_their_order);
fn more_keys_than_a_statement_takes_are_all_answered_in_their_order() {
    let here = Here::new();
    let rows: Vec<_> = (0..1300).step_by(2).map(|id| format!("({id}, 'm{id}')")).collect();
    let table = here.mysql_table("id INT PRIMARY KEY, m TEXT", &rows.join(", "));
    here.sqlite_run(&format!("CREATE TABLE t (id INT PRIMARY KEY, m TEXT); INSERT INTO t VALUES {}", rows.join(", ")));
    let keys: Vec<_> = (0..1300).rev().map(|id: usize| id.to_string()).collect();
    let expected: Vec<_> = (0..1300).rev().map(|id: usize| id.is_multiple_of(2).then(|| format!("m{id}"))).collect();
    for mut lookup in [here.in_mysql(&named(&table, "m")), here.in_sqlite(&named("t", "m"))] {
        for size in [1300, 1, 9, 600] {
            let asked: Vec<_> = keys.iter().take(size).map(String::as_str).collect();
            let found = get(&mut lookup, &asked);
            assert_eq!(texts(&found, 0), expected.iter().take(size).map(Option::as_deref).collect::<Vec<_>>());
        }
    }
}

on_each_server!(blocking a_row_that_holds_something_else_is_unfit_and_the_others_are_answered);
fn a_row_that_holds_something_else_is_unfit_and_the_others_are_answered() {
    let here = Here::new();
    let table = here.mysql_table(
        "id INT PRIMARY KEY, big BIGINT UNSIGNED, b TINYINT, raw VARBINARY(9)",
        "(1, 9223372036854775808, 1, 'a'), (2, 1, 2, 'a'), (3, 1, 1, X'ff'), (4, 1, 0, 'a')",
    );
    let what = LookupTable::new(&table, "id", [("big", Kind::Int64), ("b", Kind::Boolean), ("raw", Kind::Utf8)]);
    let found = get(&mut here.in_mysql(&what), &["1", "2", "3", "4"]);
    assert_eq!(found.found, [false, false, false, true], "{:?}", found.unfit);
    let whys: Vec<_> = found.unfit.iter().map(|(key, why)| format!("{key} {why}")).collect();
    for (why, part) in whys.iter().zip(["0 `big`", "1 `b`", "2 `raw`"]) {
        assert!(why.starts_with(part) && why.contains(&table), "{why}");
    }
    assert_eq!(whys.len(), 3);
    here.sqlite_run(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, i INT, at TEXT);
         INSERT INTO t VALUES (1, 'seven', NULL), (2, 1.5, NULL), (3, 1, 'noon'), (4, 1, '2021-08-16 09:48')",
    );
    let what = LookupTable::new("t", "id", [("i", Kind::Int64), ("at", Kind::Timestamp)]);
    let found = get(&mut here.in_sqlite(&what), &["1", "2", "3", "4"]);
    assert_eq!(found.found, [false, false, false, true]);
    assert!(found.unfit[0].1.contains("is TEXT, and not int64"), "{:?}", found.unfit);
    assert!(found.unfit[1].1.contains("is REAL") && found.unfit[2].1.contains("\"noon\""), "{:?}", found.unfit);
}

on_each_server!(blocking a_time_of_zeros_is_no_time_and_a_timestamp_is_the_sessions_wall_clock);
fn a_time_of_zeros_is_no_time_and_a_timestamp_is_the_sessions_wall_clock() {
    let here = Here::new();
    let table = here.mysql_table("id INT PRIMARY KEY, at TIMESTAMP NULL, zero DATETIME", "");
    here.run(&format!(
        "SET sql_mode = '', time_zone = '+00:00'; INSERT INTO {table} VALUES (1, '2021-08-16 01:48:01', '2021-01-01'), \
         (2, NULL, '0000-00-00 00:00:00')"
    ));
    let connection = MysqlConnection { time_zone: Some("+08:00".into()), ..here.mysql() };
    let what = LookupTable::new(&table, "id", [("at", Kind::Timestamp), ("zero", Kind::Timestamp)]);
    let guard = here.runtime.enter();
    let mut lookup = connection.lookup(&what).unwrap();
    drop(guard);
    let found = get(&mut lookup, &["1", "2"]);
    assert_eq!(found.found, [true, false]);
    assert_eq!(found.columns[0].as_primitive::<TimestampMicrosecondType>().value(0), 1_629_107_281_000_000);
    assert!(found.unfit[0].1.contains("a date of zeros"), "{:?}", found.unfit);
}

on_each_server!(blocking what_keeps_a_table_of_mysql_from_answering_is_told_with_what_to_do);
fn what_keeps_a_table_of_mysql_from_answering_is_told_with_what_to_do() {
    let here = Here::new();
    let table =
        here.mysql_table("id INT PRIMARY KEY, n INT, day DATE UNIQUE, u VARCHAR(99), UNIQUE (u(9)), m TEXT", "");
    let connection = here.mysql();
    let of = |key: &str, column: &str, kind| LookupTable::new(&table, key, [(column, kind)]);
    for (what, parts) in [
        (named("no_such_table", "m"), vec!["has no table `no_such_table`"]),
        (named("a.b.c", "m"), vec!["more than one dot"]),
        (of("id", "x", Kind::Utf8), vec!["has no column `x`", "id, n, day, u, m"]),
        (of("nokey", "m", Kind::Utf8), vec!["has no column `nokey`"]),
        (of("n", "m", Kind::Utf8), vec!["several rows", "CREATE UNIQUE INDEX `one_n` ON", "(`n`)"]),
        (of("u", "m", Kind::Utf8), vec!["several rows", "`u`"]),
        (of("day", "m", Kind::Utf8), vec!["`day`", "is date, and a key is an integer, a text or bytes"]),
        (of("id", "m", Kind::Int64), vec!["`m`", "is text, which isn't read as int64: let its kind be utf8 or binary"]),
    ] {
        let words = here.mysql_fault(&connection, &what);
        assert!(parts.iter().all(|part| words.contains(part)), "{what:?}: {words}");
    }
    here.run(&format!("CREATE OR REPLACE VIEW {table}_view AS SELECT * FROM {table}"));
    assert!(here.mysql_fault(&connection, &named(&format!("{table}_view"), "m")).contains("VIEW"));
    here.run(&format!("DROP VIEW {table}_view"));
    let database = here.runtime.block_on(read("SELECT DATABASE()")).remove(0);
    let writer = here.runtime.block_on(user("writer", &format!("INSERT ON {database}.{table}")));
    let words = here.mysql_fault(&writer.connection(), &named(&table, "m"));
    assert!(words.contains("GRANT SELECT ON") && words.contains(&table), "{words}");
    let guard = here.runtime.enter();
    connection.check_lookup(&of("id", "n", Kind::Int64)).unwrap();
    drop(guard);
}

on_each_server!(blocking a_user_who_may_only_read_is_enough);
fn a_user_who_may_only_read_is_enough() {
    let here = Here::new();
    let table = here.mysql_table("id INT PRIMARY KEY, m TEXT", "(1, 'one')");
    let database = here.runtime.block_on(read("SELECT DATABASE()")).remove(0);
    let reader = here.runtime.block_on(user("reader", &format!("SELECT ON {database}.{table}")));
    let connection = MysqlConnection { caches: caches(Duration::ZERO), ..reader.connection() };
    let guard = here.runtime.enter();
    connection.check_lookup(&named(&table, "m")).unwrap();
    let mut lookup = connection.lookup(&named(&table, "m")).unwrap();
    drop(guard);
    assert_eq!(texts(&get(&mut lookup, &["1"]), 0), [Some("one")]);
}

#[test]
fn what_keeps_a_table_of_sqlite_from_answering_is_told_with_what_to_do() {
    let here = Here::new();
    assert!(here.sqlite_fault(&named("t", "m")).contains("the file is missing"));
    here.sqlite_run(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n INT, f REAL UNIQUE, u TEXT, m TEXT);
         CREATE UNIQUE INDEX some ON t (u) WHERE u > 'a'; CREATE VIEW v AS SELECT * FROM t",
    );
    let of = |key: &str, column: &str, kind| LookupTable::new("t", key, [(column, kind)]);
    for (what, part) in [
        (named("no_such_table", "m"), "there is no table `no_such_table`"),
        (named("v", "m"), "is a view"),
        (of("id", "x", Kind::Utf8), "has no column `x`"),
        (of("n", "m", Kind::Utf8), "CREATE UNIQUE INDEX \"one_n\" ON \"t\" (\"n\")"),
        (of("u", "m", Kind::Utf8), "several rows"),
        (of("f", "m", Kind::Utf8), "a key is an integer, a text or bytes"),
        (of("id", "f", Kind::Int64), "which isn't read as int64: let its kind be float64"),
    ] {
        let words = here.sqlite_fault(&what);
        assert!(words.contains(part), "{what:?}: {words}");
    }
    let guard = here.runtime.enter();
    here.sqlite().check_lookup(&of("id", "f", Kind::Float64)).unwrap();
    drop(guard);
}

on_each_server!(blocking names_are_names_whatever_is_in_them);
fn names_are_names_whatever_is_in_them() {
    let here = Here::new();
    let (key, column) = ("id`; DROP TABLE x --", "m`) OR 1=1 --");
    let quoted = |name: &str| format!("`{}`", name.replace('`', "``"));
    let table = here
        .mysql_table(&format!("{} INT PRIMARY KEY, {} TEXT", quoted(key), quoted(column)), "(1, 'one'), (2, 'two')");
    let mut lookup = here.in_mysql(&LookupTable::new(&table, key, [(column, Kind::Utf8)]));
    assert_eq!(texts(&get(&mut lookup, &["2", "' OR '1'='1"]), 0), [Some("two"), None]);
    here.sqlite_run(
        "CREATE TABLE t (\"id\"\"; DROP TABLE t --\" INTEGER PRIMARY KEY, \"m'\" TEXT); INSERT INTO t VALUES (1, 'one'), (2, 'two')",
    );
    let mut lookup = here.in_sqlite(&LookupTable::new("t", "id\"; DROP TABLE t --", [("m'", Kind::Utf8)]));
    assert_eq!(texts(&get(&mut lookup, &["2", "1 OR 1=1"]), 0), [Some("two"), None]);
}

on_each_server!(blocking what_is_remembered_is_asked_for_again_when_its_time_to_live_is_over_and_not_before);
fn what_is_remembered_is_asked_for_again_when_its_time_to_live_is_over_and_not_before() {
    let here = Here::new();
    let table = here.mysql_table("id INT PRIMARY KEY, m TEXT", "(1, 'old')");
    let remembering = MysqlConnection { caches: caches(Duration::from_secs(3600)), ..here.mysql() };
    let guard = here.runtime.enter();
    let mut remembering = remembering.lookup(&named(&table, "m")).unwrap();
    drop(guard);
    let mut asking = here.in_mysql(&named(&table, "m"));
    assert_eq!(texts(&get(&mut remembering, &["1"]), 0), [Some("old")]);
    assert_eq!(texts(&get(&mut asking, &["1"]), 0), [Some("old")]);
    here.run(&format!("UPDATE {table} SET m = 'new'"));
    assert_eq!(texts(&get(&mut remembering, &["1"]), 0), [Some("old")]);
    assert_eq!(texts(&get(&mut asking, &["1"]), 0), [Some("new")], "no transaction stays open");
}

on_each_server!(blocking a_connection_that_the_server_closed_is_replaced_without_an_error);
fn a_connection_that_the_server_closed_is_replaced_without_an_error() {
    let here = Here::new();
    let table = here.mysql_table("id INT PRIMARY KEY, m TEXT", "(1, 'one')");
    let database = here.runtime.block_on(read("SELECT DATABASE()")).remove(0);
    let killed = here.runtime.block_on(user("killed", &format!("SELECT ON {database}.*")));
    let connection = MysqlConnection { caches: caches(Duration::ZERO), ..killed.connection() };
    let guard = here.runtime.enter();
    let mut lookup = connection.lookup(&named(&table, "m")).unwrap();
    drop(guard);
    for _ in 0..2 {
        assert_eq!(texts(&get(&mut lookup, &["1"]), 0), [Some("one")]);
        let sessions =
            format!("SELECT CAST(id AS CHAR) FROM information_schema.processlist WHERE user = '{}'", killed.name);
        for session in here.runtime.block_on(read(&sessions)) {
            here.run(&format!("KILL {session}"));
        }
    }
}

#[test]
fn a_server_that_is_not_there_is_unavailable_and_named() {
    let here = Here::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let away = MysqlConnection { url: format!("mysql://u:s3cret@{free}/live"), ..MysqlConnection::default() };
    let guard = here.runtime.enter();
    let mut lookup = away.lookup(&named("t", "m")).unwrap();
    let checked = away.check_lookup(&named("t", "m"));
    drop(guard);
    for answer in [checked, lookup.get(&[b"1"]).map(drop)] {
        let Err(LookupError::Unavailable(words)) = answer else { panic!("{answer:?}") };
        assert!(words.contains(&free.to_string()) && !words.contains("s3cret"), "{words}");
    }
}

/// Lets everything through that comes to the listener, as a server that has started.
fn start_serving(listener: TcpListener, server: String) {
    std::thread::spawn(move || {
        for (client, server) in
            listener.incoming().map_while(|client| Some((client.ok()?, TcpStream::connect(&server).ok()?)))
        {
            for (mut from, mut to) in [(client.try_clone(), server.try_clone()), (Ok(server), Ok(client))]
                .map(|(from, to)| (from.unwrap(), to.unwrap()))
            {
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            }
        }
    });
}

on_each_server!(blocking a_server_that_comes_back_answers_the_same_lookup);
fn a_server_that_comes_back_answers_the_same_lookup() {
    let here = Here::new();
    let table = here.mysql_table("id INT PRIMARY KEY, m TEXT", "(1, 'one')");
    let (login, place) = url().rsplit_once('@').map(|(login, place)| (login.to_owned(), place.to_owned())).unwrap();
    let (server, database) = place.split_once('/').unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let away = MysqlConnection { url: format!("{login}@{free}/{database}"), ..here.mysql() };
    let guard = here.runtime.enter();
    let mut lookup = away.lookup(&named(&table, "m")).unwrap();
    drop(guard);
    assert!(matches!(lookup.get(&[b"1"]), Err(LookupError::Unavailable(_))));
    start_serving(TcpListener::bind(free).unwrap(), server.to_owned());
    assert_eq!(texts(&get(&mut lookup, &["1"]), 0), [Some("one")]);
}

on_each_server!(blocking a_table_that_changes_under_a_lookup_is_told_and_never_answered_wrongly);
fn a_table_that_changes_under_a_lookup_is_told_and_never_answered_wrongly() {
    let here = Here::new();
    let table = here.mysql_table("id INT PRIMARY KEY, m TEXT", "(1, 'one')");
    here.sqlite_run("CREATE TABLE t (id INTEGER PRIMARY KEY, m TEXT, n TEXT); INSERT INTO t VALUES (1, 'one', 'n')");
    let (mut mysql, mut sqlite) = (here.in_mysql(&named(&table, "m")), here.in_sqlite(&named("t", "m")));
    get(&mut mysql, &["1"]);
    get(&mut sqlite, &["1"]);
    here.run(&format!("ALTER TABLE {table} DROP COLUMN m"));
    here.sqlite_run("ALTER TABLE t DROP COLUMN m");
    for lookup in [&mut mysql, &mut sqlite] {
        let Err(LookupError::Unusable(words)) = lookup.get(&[b"1"]) else { panic!("answered") };
        assert!(words.contains('m'), "{words}");
    }
    here.run(&format!("DROP TABLE {table}"));
    let Err(LookupError::Unusable(words)) = mysql.get(&[b"1"]) else { panic!("answered") };
    assert!(words.contains(&table), "{words}");
}

#[test]
fn another_file_in_the_place_of_sqlites_is_read_from_the_next_call_on() {
    let here = Here::new();
    here.sqlite_run("CREATE TABLE t (id INTEGER PRIMARY KEY, m TEXT); INSERT INTO t VALUES (1, 'old')");
    let mut lookup = here.in_sqlite(&named("t", "m"));
    assert_eq!(texts(&get(&mut lookup, &["1"]), 0), [Some("old")]);
    std::fs::rename(here.directory.path().join("live.db"), here.directory.path().join("before.db")).unwrap();
    here.sqlite_run("CREATE TABLE t (id INTEGER PRIMARY KEY, m TEXT); INSERT INTO t VALUES (1, 'new')");
    assert_eq!(texts(&get(&mut lookup, &["1"]), 0), [Some("new")]);
}

#[test]
fn rows_that_are_too_many_bytes_for_an_answer_are_asked_for_by_halves() {
    let here = Here::new();
    here.sqlite_run(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, m BLOB);
         INSERT INTO t VALUES (1, zeroblob(30000000)), (2, zeroblob(30000000)), (3, zeroblob(30000000)), (4, zeroblob(70000000))",
    );
    let what = LookupTable::new("t", "id", [("m", Kind::Binary)]);
    let found = get(&mut here.in_sqlite(&what), &["1", "2", "3", "4", "5"]);
    assert_eq!(found.found, [true, true, true, false, false]);
    assert!(found.unfit[0].1.contains("row \"4\", is too large to be read"), "{:?}", found.unfit);
}
