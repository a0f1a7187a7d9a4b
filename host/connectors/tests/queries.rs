//! Queries of boards, on SQLite and on real servers: what they answer, that nothing they say changes anything, and that they end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests wait, and measure how long")]

#[macro_use]
mod mysql_server;
mod rows;

use std::time::{Duration, Instant};

use mysql_server::{connection, read, run, table, user};
use sluice_connectors::query::{ColumnType, Query, QueryError, QueryLimits, QueryRole, QueryRows, Value};
use sluice_connectors::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection};

/// Time of a query that is to be ended.
const SHORT: Duration = Duration::from_millis(300);

/// The longest that a query may take which is ended after [`SHORT`], on a machine that does much else.
const SOON: Duration = Duration::from_secs(20);

/// A statement that takes hours, and no more than a session's memory.
const ENDLESS: &str = "WITH RECURSIVE a(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM a WHERE n < 900) \
     SELECT COUNT(*) AS n FROM a AS b, a AS c, a AS d, a AS e, a AS f WHERE b.n + c.n * d.n - e.n * f.n = 7";

fn query(sql: &str, limits: QueryLimits) -> Query {
    let parameters = [("today", "2026-11-28 00:00:00"), ("now", "2026-11-28 09:30:00")]
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .into();
    Query { sql: sql.to_owned(), parameters, limits }
}

async fn ask(connection: &dyn QueryRole, sql: &str) -> Result<QueryRows, QueryError> {
    ask_within(connection, sql, QueryLimits::default()).await
}

async fn ask_within(connection: &dyn QueryRole, sql: &str, limits: QueryLimits) -> Result<QueryRows, QueryError> {
    connection.open_reader().unwrap().read(&query(sql, limits)).await
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// A file with a table of gifts.
struct Database(tempfile::TempDir);

impl Database {
    async fn new() -> Database {
        let database = Database(tempfile::tempdir().unwrap());
        database
            .run(
                "CREATE TABLE gifts (kind TEXT, total INTEGER, at TEXT, price REAL); PRAGMA journal_mode = WAL;
                  INSERT INTO gifts VALUES ('1', 3, '2026-11-28 09:00:00', 0.5), ('2', 4, '2026-11-27 23:59:59', NULL)",
            )
            .await;
        database
    }

    fn connection(&self) -> SqliteConnection {
        SqliteConnection::new(self.0.path().join("live.db"))
    }

    async fn session(&self) -> sqlx::SqliteConnection {
        let options =
            sqlx::sqlite::SqliteConnectOptions::new().filename(self.connection().path).create_if_missing(true);
        sqlx::SqliteConnection::connect_with(&options).await.unwrap()
    }

    async fn run(&self, sql: &str) {
        let mut session = self.session().await;
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut session).await.unwrap();
        session.close().await.unwrap();
    }

    /// All that the file holds, as a text.
    async fn content(&self) -> String {
        let sql = "SELECT group_concat(kind || total || at, ' ') || (SELECT count(*) FROM sqlite_master) FROM gifts";
        let mut session = self.session().await;
        let content = sqlx::query_scalar(sql).fetch_one(&mut session).await.unwrap();
        session.close().await.unwrap();
        content
    }

    /// The number of files, without those that SQLite has beside one that is open.
    fn files(&self) -> usize {
        let names = std::fs::read_dir(self.0.path()).unwrap().map(|file| file.unwrap().file_name());
        let own = |name: &str| !name.ends_with("-wal") && !name.ends_with("-shm");
        names.filter(|name| own(&name.to_string_lossy())).count()
    }
}

#[tokio::test]
async fn sqlite_answers_columns_with_their_types_and_rows_in_their_order() {
    let database = Database::new().await;
    let sql = "SELECT kind, total, at, price, date(at) AS day FROM gifts WHERE at < :now ORDER BY total;";
    let answer = ask(&database.connection(), sql).await.unwrap();
    let columns: Vec<_> = answer.columns.iter().map(|column| (column.name.as_str(), column.of)).collect();
    let types = [ColumnType::Text, ColumnType::Number, ColumnType::Time, ColumnType::Number, ColumnType::Date];
    assert_eq!(columns, ["kind", "total", "at", "price", "day"].into_iter().zip(types).collect::<Vec<_>>());
    let first = [text("1"), Value::Integer(3), text("2026-11-28T09:00:00"), Value::Float(0.5), text("2026-11-28")];
    assert_eq!(answer.rows[0], first);
    assert_eq!(answer.rows[1][3], Value::Null);
    let today = ask(&database.connection(), "SELECT kind FROM gifts WHERE at >= :today AND ':x' = ':x'").await.unwrap();
    assert_eq!(today.rows, [[text("1")]]);
    let none = ask(&database.connection(), "SELECT kind, total FROM gifts WHERE kind = 'x'").await.unwrap();
    assert_eq!((none.columns.len(), none.rows.len()), (2, 0));
}

#[tokio::test]
async fn nothing_that_sqlite_is_asked_changes_anything() {
    let database = Database::new().await;
    let (before, connection) = (database.content().await, database.connection());
    let files = database.files();
    let beside = database.0.path().join("beside.db");
    let reader = connection.open_reader().unwrap();
    for sql in [
        "INSERT INTO gifts VALUES ('3', 1, 'x', 1)",
        "REPLACE INTO gifts VALUES ('3', 1, 'x', 1)",
        "UPDATE gifts SET total = 0",
        "DELETE FROM gifts",
        "CREATE TABLE x (a)",
        "CREATE TEMP TABLE x (a)",
        "DROP TABLE gifts",
        "VACUUM",
        "REINDEX",
        "BEGIN IMMEDIATE",
        "PRAGMA query_only = OFF",
        "PRAGMA user_version = 7",
        "SELECT 1; DELETE FROM gifts",
        "WITH x AS (SELECT 1) INSERT INTO gifts SELECT '3', 1, 'x', 1",
        "WITH x AS (SELECT 1) DELETE FROM gifts",
        "SELECT load_extension('/tmp/x')",
        "SELECT \"load_extension\"('/tmp/x')",
        "SELECT * FROM pragma_journal_mode('delete')",
        "SELECT * FROM pragma_wal_checkpoint",
        &format!("ATTACH '{}' AS other", beside.display()),
        &format!("VACUUM INTO '{}'", beside.display()),
        &format!("SELECT writefile('{}', 'x')", beside.display()),
    ] {
        let answer = reader.read(&query(sql, QueryLimits::default())).await;
        assert!(answer.is_err(), "{sql}: {answer:?}");
    }
    assert_eq!(database.content().await, before);
    assert_eq!(database.files(), files);
    // The reader is as good as before.
    assert_eq!(
        reader.read(&query("SELECT COUNT(*) FROM gifts", QueryLimits::default())).await.unwrap().rows,
        [[Value::Integer(2)]]
    );
}

#[tokio::test]
async fn a_query_of_sqlite_that_never_ends_is_ended_and_others_go_on() {
    let database = Database::new().await;
    let reader = database.connection().open_reader().unwrap();
    let begun = Instant::now();
    let short = QueryLimits { time: SHORT, ..QueryLimits::default() };
    assert_eq!(reader.read(&query(ENDLESS, short)).await, Err(QueryError::Late(SHORT)));
    assert!(begun.elapsed() < SOON);
    // One that nobody waits for any more ends, too: more of them than there are places.
    for _ in 0..10 {
        let long = QueryLimits { time: SOON * 100, ..QueryLimits::default() };
        assert!(tokio::time::timeout(SHORT, reader.read(&query(ENDLESS, long))).await.is_err());
    }
    let rows = reader.read(&query("SELECT total FROM gifts", QueryLimits::default())).await.unwrap();
    assert_eq!(rows.rows.len(), 2);
}

#[tokio::test]
async fn rows_and_bytes_of_sqlite_are_limited_and_the_next_query_is_as_good() {
    let database = Database::new().await;
    let reader = database.connection().open_reader().unwrap();
    let many = "WITH RECURSIVE a(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM a WHERE n < 1000000000) SELECT n FROM a";
    for _ in 0..3 {
        let limits = QueryLimits { rows: 10, ..QueryLimits::default() };
        let answer = reader.read(&query(many, limits)).await.unwrap();
        assert_eq!((answer.rows.len(), answer.truncated, &answer.rows[9][0]), (10, true, &Value::Integer(10)));
    }
}

#[tokio::test]
async fn a_file_that_is_missing_is_not_made_and_one_in_its_place_is_found() {
    let database = Database::new().await;
    let (connection, aside) = (database.connection(), database.0.path().join("aside.db"));
    let reader = connection.open_reader().unwrap();
    let counting = query("SELECT COUNT(*) FROM gifts", QueryLimits::default());
    let count = || reader.read(&counting);
    let mut session = database.session().await;
    sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE").execute(&mut session).await.unwrap();
    session.close().await.unwrap();
    assert!(count().await.is_ok());
    std::fs::rename(&connection.path, aside).unwrap();
    assert!(matches!(count().await, Err(QueryError::Unavailable(_))));
    assert!(!connection.path.exists());
    database.run("CREATE TABLE gifts (kind TEXT, total INTEGER, at TEXT)").await;
    assert_eq!(count().await.unwrap().rows, [[Value::Integer(0)]]);
}

async fn gifts() -> String {
    let gifts = table("kind VARCHAR(20), total BIGINT, at DATETIME(6), price DECIMAL(10, 2), day DATE, flags BIT(9), big BIGINT UNSIGNED, y YEAR, t TIME, d DOUBLE, j JSON, b BLOB").await;
    run(&format!(
        "INSERT INTO {gifts} VALUES
         ('礼', 3, '2026-11-28 09:00:00', 1.50, '2026-11-28', b'100000001', 18446744073709551615, 2026, '-01:02:03', 0.25, '[1]', x'ff'),
         ('b', 4, '2026-11-27 23:59:59.5', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"
    ))
    .await;
    gifts
}

on_each_server!(a_server_answers_columns_with_their_types_and_rows_in_their_order);
async fn a_server_answers_columns_with_their_types_and_rows_in_their_order() {
    let gifts = gifts().await;
    let answer = ask(&connection(), &format!("SELECT * FROM {gifts} ORDER BY total")).await.unwrap();
    let expected = [
        text("礼"),
        Value::Integer(3),
        text("2026-11-28T09:00:00"),
        Value::Digits("1.50".into()),
        text("2026-11-28"),
        Value::Integer(257),
        Value::Digits("18446744073709551615".into()),
        Value::Integer(2026),
    ];
    assert_eq!(answer.rows[0][..8], expected);
    assert!(matches!(&answer.rows[0][8], Value::Text(time) if time.contains("1:02:03")), "{answer:?}");
    assert_eq!(answer.rows[0][9..], [Value::Float(0.25), text("[1]"), text("1 bytes")]);
    assert_eq!(answer.rows[1][2], text("2026-11-27T23:59:59.500000"));
    assert!(answer.rows[1][3..].iter().all(|cell| *cell == Value::Null));
    assert_eq!(answer.columns[2].of, ColumnType::Time);
    // A sum is a whole number, as SQLite's is.
    let sum = ask(&connection(), &format!("SELECT SUM(total) AS n FROM {gifts} WHERE at >= :today")).await.unwrap();
    assert_eq!((sum.columns[0].name.as_str(), &sum.rows[0][0]), ("n", &Value::Integer(3)));
    let none = ask(&connection(), &format!("SELECT kind, total FROM {gifts} WHERE kind = 'x'")).await.unwrap();
    assert_eq!((none.columns.len(), none.rows.len()), (2, 0));
    let limited = QueryLimits { rows: 1, ..QueryLimits::default() };
    for sql in [format!("SELECT kind FROM {gifts}"), format!("SELECT kind FROM {gifts} LIMIT 2")] {
        let answer = ask_within(&connection(), &sql, limited).await.unwrap();
        assert_eq!((answer.rows.len(), answer.truncated), (1, true), "{sql}");
    }
    let error = ask(&connection(), "SELECT * FROM no_such_table").await.unwrap_err();
    assert!(matches!(&error, QueryError::Failed(words) if words.contains("no_such_table")), "{error}");
}

on_each_server!(nothing_that_a_server_is_asked_changes_anything);
async fn nothing_that_a_server_is_asked_changes_anything() {
    let gifts = gifts().await;
    let content = format!("SELECT CONCAT(COUNT(*), '/', SUM(total)) FROM {gifts}");
    let before = read(&content).await;
    let reader = connection().open_reader().unwrap();
    for sql in [
        format!("INSERT INTO {gifts} (total) VALUES (1)"),
        format!("REPLACE {gifts} (total) VALUES (1)"),
        format!("UPDATE {gifts} SET total = 0"),
        format!("DELETE FROM {gifts}"),
        format!("TRUNCATE {gifts}"),
        format!("DROP TABLE {gifts}"),
        format!("CREATE TABLE {gifts}_x (a INT)"),
        "CREATE TEMPORARY TABLE x (a INT)".to_owned(),
        format!("SELECT 1; DELETE FROM {gifts}"),
        format!("SELECT * FROM {gifts} INTO OUTFILE '/tmp/sluice_x'"),
        "SELECT 1 INTO DUMPFILE '/tmp/sluice_x'".to_owned(),
        "SELECT 1 INTO @a".to_owned(),
        format!("SELECT * FROM {gifts} FOR UPDATE"),
        format!("SELECT * FROM {gifts} LOCK IN SHARE MODE"),
        format!("WITH x AS (SELECT 1) DELETE FROM {gifts}"),
        format!("WITH x AS (SELECT 1) UPDATE {gifts} SET total = 0"),
        "SET GLOBAL max_connections = 10".to_owned(),
        "SET SESSION TRANSACTION READ WRITE".to_owned(),
        "SET STATEMENT max_statement_time = 0 FOR SELECT 1".to_owned(),
        "COMMIT".to_owned(),
        "LOCK TABLES x READ".to_owned(),
        "FLUSH TABLES".to_owned(),
        "KILL 1".to_owned(),
        "CALL p()".to_owned(),
        "DO SLEEP(1)".to_owned(),
        "HANDLER x OPEN".to_owned(),
        "LOAD DATA INFILE '/etc/passwd' INTO TABLE x".to_owned(),
        "SELECT LOAD_FILE('/etc/passwd')".to_owned(),
        "SELECT GET_LOCK('x', 1)".to_owned(),
        "SELECT `get_lock`('x', 1)".to_owned(),
        "SELECT SLEEP(100)".to_owned(),
        "SELECT /*! SLEEP(100) */".to_owned(),
    ] {
        let answer = reader.read(&query(&sql, QueryLimits::default())).await;
        assert!(answer.is_err(), "{sql}: {answer:?}");
    }
    assert_eq!(read(&content).await, before);
    reader.read(&query("SELECT 1", QueryLimits::default())).await.unwrap();
}

on_each_server!(a_function_that_writes_is_stopped_by_the_transaction);
async fn a_function_that_writes_is_stopped_by_the_transaction() {
    let gifts = gifts().await;
    let function = format!("{gifts}_f");
    // The statement's words say nothing of what the function does.
    run(&format!("DROP FUNCTION IF EXISTS {function}")).await;
    run("SET GLOBAL log_bin_trust_function_creators = 1").await;
    run(&format!(
        "CREATE FUNCTION {function}() RETURNS INT DETERMINISTIC MODIFIES SQL DATA BEGIN DELETE FROM {gifts}; RETURN 1; END"
    ))
    .await;
    let error = ask(&connection(), &format!("SELECT {function}()")).await.unwrap_err();
    assert!(matches!(&error, QueryError::Failed(words) if words.contains("READ ONLY")), "{error}");
    assert_eq!(read(&format!("SELECT CAST(COUNT(*) AS CHAR) FROM {gifts}")).await, ["2"]);
    run(&format!("DROP FUNCTION {function}")).await;
}

/// The endless statements that the server runs now.
async fn running(mark: &str) -> usize {
    let sql = format!(
        "SELECT CAST(COUNT(*) AS CHAR) FROM information_schema.processlist WHERE info LIKE '%{mark}%' AND info NOT LIKE '%processlist%'"
    );
    read(&sql).await[0].parse().unwrap()
}

on_each_server!(a_query_that_never_ends_is_ended_at_the_server_too);
async fn a_query_that_never_ends_is_ended_at_the_server_too() {
    let reader = connection().open_reader().unwrap();
    let mark = "a_query_that_never_ends";
    let endless = ENDLESS.replace(" AS n ", &format!(" AS {mark} "));
    let begun = Instant::now();
    let limits = QueryLimits { time: SHORT, ..QueryLimits::default() };
    assert_eq!(reader.read(&query(&endless, limits)).await, Err(QueryError::Late(SHORT)));
    assert!(begun.elapsed() < SOON);
    assert_eq!(running(mark).await, 0);
    // One that its asker left is ended by the server's own clock.
    let limits = QueryLimits { time: Duration::from_secs(2), ..QueryLimits::default() };
    assert!(tokio::time::timeout(SHORT, reader.read(&query(&endless, limits))).await.is_err());
    while running(mark).await > 0 {
        assert!(begun.elapsed() < SOON, "the server goes on with it");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    reader.read(&query("SELECT 1", limits)).await.unwrap();
}

on_each_server!(a_connection_that_the_server_ended_is_made_anew_and_an_account_that_may_only_read_is_enough);
async fn a_connection_that_the_server_ended_is_made_anew_and_an_account_that_may_only_read_is_enough() {
    let gifts = gifts().await;
    let account =
        user("board", &format!("SELECT ON {gifts}").replace(&gifts, &format!("`{}`.`{gifts}`", database().await)))
            .await;
    let reader = account.connection().open_reader().unwrap();
    let sql = format!("SELECT COUNT(*) FROM {gifts}");
    for _ in 0..2 {
        assert_eq!(reader.read(&query(&sql, QueryLimits::default())).await.unwrap().rows, [[Value::Integer(2)]]);
        let ids = read(&format!(
            "SELECT CAST(id AS CHAR) FROM information_schema.processlist WHERE user = '{}'",
            account.name
        ))
        .await;
        assert_eq!(ids.len(), 1, "one connection is enough for queries one after another");
        run(&format!("KILL {}", ids[0])).await;
    }
    drop(reader);
    account.drop().await;
}

async fn database() -> String {
    read("SELECT DATABASE()").await.remove(0)
}
