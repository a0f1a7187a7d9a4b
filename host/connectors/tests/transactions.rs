//! Promises of every table written in transactions, on SQLite and on a real MySQL server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "these are tests")]

#[macro_use]
mod mysql_server;
mod rows;

use std::path::PathBuf;
use std::task::Poll;

use rows::{fields, ints, rows, target};
use sluice_connectors::mysql::MysqlConnection;
use sluice_connectors::roles::{LettersRole, TransactionRole};
use sluice_connectors::sink::{Rows, SinkError};
use sluice_connectors::sqlite::SqliteConnection;
use sluice_connectors::transaction::{Ledger, Transaction, TransactionSink, Written};
use sluice_core::dead_letter::{DeadLetter, LetterId};
use sluice_core::rejected::Stage;
use sluice_core::{Field, Interval, Kind, Offset, Partition};
use sluice_testing::proxy::{Cut, Proxy, authority};
use sqlx::{AssertSqlSafe, Connection, Row};

/// A database, and tables in it that are this test's own.
enum Database {
    Mysql { connection: MysqlConnection, table: String },
    Sqlite { connection: SqliteConnection, _directory: tempfile::TempDir },
}

impl Database {
    async fn mysql() -> Database {
        Database::Mysql { connection: mysql_server::connection(), table: mysql_server::fresh().await }
    }

    fn sqlite() -> Database {
        let directory = tempfile::tempdir().unwrap();
        let path: PathBuf = directory.path().join("live.db");
        Database::Sqlite { connection: SqliteConnection::new(path), _directory: directory }
    }

    fn table(&self) -> &str {
        match self {
            Database::Mysql { table, .. } => table,
            Database::Sqlite { .. } => "visits",
        }
    }

    /// Tables without a key; the pipeline is called as the table, so that tests share a server.
    fn ledger(&self, host: &str) -> Ledger {
        let [pipeline, topic, host] = [self.table(), "t", host].map(str::to_owned);
        let letters = Some(format!("{}_letters", self.table()));
        Ledger { target: target(self.table(), &[], true), pipeline, topic, letters, host }
    }

    async fn open(&self, host: &str) -> Box<dyn TransactionSink> {
        let (ledger, letters) = (self.ledger(host), format!("{}_letters", self.table()));
        match self {
            Database::Mysql { connection, .. } => {
                drop(connection.open_letters(&letters, true).await.unwrap());
                connection.open_transactions(&ledger, &visits()).await.unwrap()
            }
            Database::Sqlite { connection, .. } => {
                drop(connection.open_letters(&letters, true).await.unwrap());
                connection.open_transactions(&ledger, &visits()).await.unwrap()
            }
        }
    }

    async fn written(&self) -> Written {
        match self {
            Database::Mysql { connection, table } => connection.written(table, "t").await.unwrap(),
            Database::Sqlite { connection, .. } => connection.written("visits", "t").await.unwrap(),
        }
    }

    /// The numbers in a column, in order.
    async fn numbers(&self, sql: &str) -> Vec<i64> {
        let sql = AssertSqlSafe(sql.replace("{table}", self.table()));
        match self {
            Database::Mysql { .. } => {
                let mut session = sqlx::MySqlConnection::connect(&mysql_server::url()).await.unwrap();
                let rows = sqlx::query(sql).fetch_all(&mut session).await.unwrap();
                rows.iter().map(|row| row.get(0)).collect()
            }
            Database::Sqlite { connection, .. } => {
                let url = format!("sqlite://{}", connection.path.display());
                let mut session = sqlx::SqliteConnection::connect(&url).await.unwrap();
                let rows = sqlx::query(sql).fetch_all(&mut session).await.unwrap();
                rows.iter().map(|row| row.get(0)).collect()
            }
        }
    }

    async fn visits(&self) -> Vec<i64> {
        self.numbers("SELECT user FROM {table} ORDER BY user").await
    }

    async fn letters(&self) -> Vec<i64> {
        self.numbers("SELECT record_offset FROM {table}_letters ORDER BY record_offset").await
    }
}

fn visits() -> Vec<Field> {
    fields(&[("user", Kind::Int64)])
}

fn users(users: impl IntoIterator<Item = i64>) -> Rows {
    rows(vec![ints(users)])
}

fn at(ends: &[(i32, i64)]) -> Written {
    let mut written = Written::default();
    for (partition, end) in ends {
        written.intervals.extend(Partition(*partition), Interval::new(Offset(0), Offset(*end)).unwrap()).unwrap();
    }
    written
}

fn letter(offset: i64) -> DeadLetter {
    DeadLetter {
        id: LetterId { topic: "t".to_owned(), partition: Partition(0), offset: Offset(offset) },
        key: None,
        value: Some(b"{".to_vec()),
        timestamp: None,
        stage: Stage::Decode,
        reason: "no JSON".to_owned(),
        operator: None,
        time: 1_700_000_000_000_000,
        retry: false,
    }
}

/// Again, as a host does, where InnoDB undid it for another test's first rows of `sluice_checkpoint`: it locks the gap that both go to.
async fn commit(
    sink: &mut dyn TransactionSink,
    rows: &Rows,
    letters: &[DeadLetter],
    before: &Written,
    after: &Written,
) -> Result<(), SinkError> {
    loop {
        let done = sink.commit(&Transaction { rows, letters, before, after }).await;
        if !matches!(&done, Err(SinkError::Unavailable(why)) if why.contains("Deadlock found")) {
            return done;
        }
    }
}

/// The laws, on a database without tables.
async fn keeps_its_promises(database: &Database) {
    assert_eq!(database.written().await, Written::default());
    let mut sink = database.open("one").await;
    assert!(sink.takes_letters());
    let begin = at(&[(0, 0), (1, 5)]);
    commit(sink.as_mut(), &users([]), &[], &Written::default(), &begin).await.unwrap();
    assert_eq!(database.written().await, begin);

    // The same again, as after a lost answer: once.
    let one = at(&[(0, 3), (1, 5)]);
    for _ in 0..2 {
        commit(sink.as_mut(), &users([1, 1, 2]), &[letter(2)], &begin, &one).await.unwrap();
        assert_eq!((database.visits().await, database.letters().await), (vec![1, 1, 2], vec![2]));
        assert_eq!(database.written().await, one);
    }
    // And by another sink of the host; but not by another host, which didn't write them, as far as they may be the same.
    commit(database.open("one").await.as_mut(), &users([1, 1, 2]), &[letter(2)], &begin, &one).await.unwrap();
    let other = commit(database.open("two").await.as_mut(), &users([1, 1, 2]), &[letter(2)], &begin, &one).await;
    let Err(SinkError::Unusable(refused)) = other else { panic!("{other:?}") };
    assert!(refused.contains("one wrote that at 20") && refused.contains("this is two"), "{refused}");
    assert_eq!(database.visits().await, [1, 1, 2]);

    refuses_what_does_not_fit(database, &begin, &one).await;
    counts_retries(database, &one).await;
}

/// The table is at `there`.
async fn refuses_what_does_not_fit(database: &Database, before: &Written, there: &Written) {
    let mut other = database.open("two").await;
    for (begin, end) in [(before, at(&[(0, 4), (1, 5)])), (&at(&[(0, 9), (1, 5)]), at(&[(0, 12), (1, 5)]))] {
        let refused = commit(other.as_mut(), &users([9]), &[letter(9)], begin, &end).await;
        let Err(SinkError::Unusable(refused)) = refused else { panic!("{refused:?}") };
        let begins = begin.intervals.end(Partition(0)).unwrap();
        for part in [
            "partition 0 of topic `t`",
            "up to 3",
            &format!("begin at {begins}"),
            "one wrote that at 20",
            "this is two",
        ] {
            assert!(refused.contains(part), "{part}: {refused}");
        }
    }
    assert_eq!((database.visits().await, database.letters().await), (vec![1, 1, 2], vec![2]));
    assert_eq!(database.written().await, *there);
    // A partition that somebody else is at is nothing to a transaction of another one.
    let (far, farther) = (at(&[(0, 999), (1, 5)]), at(&[(0, 999), (1, 6)]));
    commit(other.as_mut(), &users([3]), &[], &far, &farther).await.unwrap();
    assert_eq!(database.written().await, at(&[(0, 3), (1, 6)]));
}

/// Records of dead letters have no interval of their own: they are counted.
async fn counts_retries(database: &Database, at: &Written) {
    let mut sink = database.open("one").await;
    let before = database.written().await;
    let once = Written { retries: 1, retried: vec![letter(2).id], ..before.clone() };
    for _ in 0..2 {
        commit(sink.as_mut(), &users([4]), &[], &before, &once).await.unwrap();
        assert_eq!(database.visits().await, [1, 1, 2, 3, 4]);
        assert_eq!(database.written().await, once);
    }
    // Other letters, as many: another host's.
    let other = Written { retried: vec![letter(3).id], ..once.clone() };
    assert!(commit(sink.as_mut(), &users([5]), &[], &before, &other).await.is_err());
    assert!(commit(sink.as_mut(), &users([4]), &[], &before, &Written { retries: 2, ..once.clone() }).await.is_err());
    let after = Written { retried: vec![], ..once.clone() };
    commit(sink.as_mut(), &users([]), &[], &once, &after).await.unwrap();
    assert_eq!(database.written().await, after);
    assert_ne!(*at, after);
}

#[tokio::test]
async fn a_table_of_sqlite_keeps_its_promises() {
    keeps_its_promises(&Database::sqlite()).await;
}

on_each_server!(a_table_of_mysql_keeps_its_promises);
async fn a_table_of_mysql_keeps_its_promises() {
    let database = Database::mysql().await;
    forget(&database).await;
    keeps_its_promises(&database).await;
}

/// Removes what an earlier run left.
async fn forget(database: &Database) {
    mysql_server::run(&format!("DROP TABLE IF EXISTS {}_letters", database.table())).await;
    drop(mysql_server::connection().open_transactions(&database.ledger("one"), &visits()).await.unwrap());
    mysql_server::run(&format!("DELETE FROM sluice_checkpoint WHERE pipeline = '{}'", database.table())).await;
}

/// Eight writers that race, in steps of different lengths: each record's row is written once, by one of them.
async fn is_written_by_one(database: &Database) {
    const RECORDS: i64 = 30;
    let mut sinks = Vec::new();
    for writer in 0..8i64 {
        sinks.push((writer, database.open(&writer.to_string()).await));
    }
    // With its line there they wait for each other. Without it InnoDB lets all of them lock where it would be, and undoes all but one,
    // again and again for those that don't wait between two attempts as hosts do.
    commit(sinks[0].1.as_mut(), &users([]), &[], &Written::default(), &at(&[(0, 0)])).await.unwrap();
    let writers = sinks.into_iter().map(|(writer, mut sink)| async move {
        let end_of = |written: &Written| written.intervals.end(Partition(0)).map_or(0, |end| end.0);
        let mut now = database.written().await;
        while end_of(&now) < RECORDS {
            let begin = end_of(&now);
            let after = at(&[(0, RECORDS.min(begin + 1 + writer % 3))]);
            match commit(sink.as_mut(), &users(begin..end_of(&after)), &[], &now, &after).await {
                // Somebody else was quicker, or is at it.
                Ok(()) | Err(SinkError::Unavailable(_) | SinkError::Unusable(_)) => {}
                Err(other) => panic!("{other}"),
            }
            now = database.written().await;
        }
    });
    futures_of(writers).await;
    assert_eq!(database.visits().await, (0..RECORDS).collect::<Vec<_>>());
}

/// Waits for all of them, at the same time.
async fn futures_of(all: impl Iterator<Item = impl Future<Output = ()>>) {
    let mut pending: Vec<_> = all.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        pending.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if pending.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

on_each_server!(of_writers_that_race_on_mysql_one_writes_each_interval);
async fn of_writers_that_race_on_mysql_one_writes_each_interval() {
    let database = Database::mysql().await;
    forget(&database).await;
    is_written_by_one(&database).await;
}

#[tokio::test]
async fn of_writers_that_race_on_sqlite_one_writes_each_interval() {
    is_written_by_one(&Database::sqlite()).await;
}

on_each_server!(a_commit_that_nobody_knows_the_outcome_of_is_made_once);
/// Commits of which the request or the answer is lost, in every order.
async fn a_commit_that_nobody_knows_the_outcome_of_is_made_once() {
    const STEPS: i64 = 30;
    let database = Database::mysql().await;
    forget(&database).await;
    drop(database.open("before").await);
    let proxy = Proxy::before(&authority(&mysql_server::url()), |commit| match commit % 5 {
        1 | 3 => Some(Cut::Answer),
        4 => Some(Cut::Request),
        _ => None,
    });
    let through = MysqlConnection { url: proxy.url(&mysql_server::url()), ..MysqlConnection::default() };
    let (mut before, mut sink) = (Written::default(), None);
    for step in 0..STEPS {
        let after = at(&[(0, step + 1)]);
        // The flusher's part: the same call until it answers.
        loop {
            if sink.is_none() {
                sink = through.open_transactions(&database.ledger("me"), &visits()).await.ok();
            }
            let Some(open) = sink.as_mut() else { continue };
            match commit(open.as_mut(), &users([step]), &[], &before, &after).await {
                Ok(()) => break,
                Err(SinkError::Unavailable(_)) => {}
                Err(wrong) => panic!("{wrong}"),
            }
        }
        before = after;
    }
    assert!(proxy.cuts() as i64 > STEPS / 3, "{} of {} commits were cut", proxy.cuts(), proxy.commits());
    assert_eq!(database.visits().await, (0..STEPS).collect::<Vec<_>>());
    assert_eq!(database.written().await, at(&[(0, STEPS)]));
}

on_each_server!(a_table_whose_engine_has_no_transactions_is_refused_with_the_statement_that_changes_it);
async fn a_table_whose_engine_has_no_transactions_is_refused_with_the_statement_that_changes_it() {
    let table = mysql_server::fresh().await;
    mysql_server::run(&format!("CREATE TABLE {table} (user BIGINT) ENGINE=MyISAM")).await;
    let database = Database::Mysql { connection: mysql_server::connection(), table };
    let ledger = database.ledger("me");
    let connection = mysql_server::connection();
    for refused in [
        connection.check_transactions(&ledger, &visits()).await,
        connection.open_transactions(&ledger, &visits()).await.map(drop),
    ] {
        assert!(mysql_server::unusable(refused).contains("ENGINE=InnoDB"));
    }
}

on_each_server!(the_rows_of_a_transaction_that_fails_are_not_there);
async fn the_rows_of_a_transaction_that_fails_are_not_there() {
    let database = Database::mysql().await;
    forget(&database).await;
    let mut sink = database.open("me").await;
    mysql_server::run(&format!("ALTER TABLE {}_letters MODIFY COLUMN reason VARCHAR(3)", database.table())).await;
    let failed = commit(sink.as_mut(), &users([1]), &[letter(1)], &Written::default(), &at(&[(0, 2)])).await;
    assert!(failed.is_err());
    assert_eq!(database.visits().await, Vec::<i64>::new());
    assert_eq!(database.written().await, Written::default());
    mysql_server::run(&format!("ALTER TABLE {}_letters MODIFY COLUMN reason TEXT", database.table())).await;
    commit(sink.as_mut(), &users([1]), &[letter(1)], &Written::default(), &at(&[(0, 2)])).await.unwrap();
    assert_eq!(database.visits().await, [1]);
}
