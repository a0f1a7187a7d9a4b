//! Rights of a user: the check asks for those that the sinks and letters need, and nothing more.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[macro_use]
mod mysql_server;
mod rows;

use mysql_server::{User, connection, fresh, gifts, open, read, run, table, unusable, url, user};
use rows::{ints, rows, target, texts};
use sluice_connectors::mysql::MysqlConnection;
use sluice_connectors::roles::{LettersRole, SinkRole, TransactionRole};
use sluice_connectors::sink::{Sink, SinkError};
use sluice_connectors::transaction::{Ledger, TABLE};

fn database() -> String {
    url().rsplit_once('/').unwrap().1.split('?').next().unwrap().to_owned()
}

/// The statement that the message advises, run as the administrator does.
async fn obey(message: &str) {
    let grant = &message[message.find("GRANT ").unwrap_or_else(|| panic!("{message}"))..];
    run(grant).await;
}

async fn check(user: &User, table: &str, create: bool) -> Result<(), SinkError> {
    user.connection().check_sink(&target(table, &["kind"], create), &gifts()).await
}

const GIFTS: &str = "kind VARCHAR(32) PRIMARY KEY, total BIGINT";

on_each_server!(a_right_that_a_sink_lacks_is_granted_by_the_advised_statement);
async fn a_right_that_a_sink_lacks_is_granted_by_the_advised_statement() {
    let table = table(GIFTS).await;
    for (role, given) in [("reads", "SELECT"), ("inserts", "SELECT, INSERT"), ("sees", "REFERENCES")] {
        let user = user(role, &format!("{given} ON {table}")).await;
        let message = unusable(check(&user, &table, false).await);
        assert!(message.contains("command denied") && !message.contains("s3cret"), "{message}");
        assert!(message.contains(&format!("ON `{}`.`{table}` TO `{}`@`%`", database(), user.name)), "{message}");
        obey(&message).await;
        check(&user, &table, false).await.unwrap();
        open(&user.connection(), &table, false).await.unwrap();
        user.drop().await;
    }
}

on_each_server!(a_table_that_the_user_cant_see_is_not_called_missing);
async fn a_table_that_the_user_cant_see_is_not_called_missing() {
    let (there, other) = (table(GIFTS).await, table(GIFTS).await);
    let user = user("elsewhere", &format!("SELECT ON {other}")).await;
    let message = unusable(check(&user, &there, false).await);
    assert!(message.contains("GRANT SELECT, INSERT, UPDATE ON"), "{message}");
    obey(&message).await;
    check(&user, &there, false).await.unwrap();
    user.drop().await;
}

on_each_server!(making_a_table_takes_a_right_that_the_check_tries_and_it_makes_nothing);
async fn making_a_table_takes_a_right_that_the_check_tries_and_it_makes_nothing() {
    let (missing, other) = (fresh().await, table(GIFTS).await);
    let user = user("maker", &format!("SELECT ON {other}")).await;
    let message = unusable(check(&user, &missing, true).await);
    assert!(message.contains("GRANT CREATE, SELECT, INSERT, UPDATE ON"), "{message}");
    obey(&message).await;
    check(&user, &missing, true).await.unwrap();
    assert!(read(&format!("SHOW TABLES LIKE '{missing}'")).await.is_empty());
    open(&user.connection(), &missing, true).await.unwrap();
    user.drop().await;
}

on_each_server!(adding_a_column_takes_a_right_that_the_check_tries_and_it_adds_nothing);
async fn adding_a_column_takes_a_right_that_the_check_tries_and_it_adds_nothing() {
    let table = table("kind VARCHAR(32) PRIMARY KEY").await;
    let user = user("adder", &format!("SELECT, INSERT, UPDATE ON {table}")).await;
    let message = unusable(open(&user.connection(), &table, true).await);
    assert!(message.contains("ADD COLUMN `total`"), "{message}");
    let message = unusable(check(&user, &table, true).await);
    assert!(message.contains("GRANT ALTER, SELECT, INSERT, UPDATE ON"), "{message}");
    obey(&message).await;
    check(&user, &table, true).await.unwrap();
    let columns = format!("SHOW COLUMNS FROM {table}");
    assert_eq!(read(&columns).await, ["kind"]);
    open(&user.connection(), &table, true).await.unwrap();
    assert_eq!(read(&columns).await, ["kind", "total"]);
    user.drop().await;
}

on_each_server!(letters_take_the_right_to_delete);
async fn letters_take_the_right_to_delete() {
    let letters = fresh().await;
    connection().open_letters(&letters, true).await.unwrap();
    let user = user("letters", &format!("SELECT, INSERT, UPDATE ON {letters}")).await;
    let message = unusable(user.connection().check_letters(&letters, false).await);
    assert!(message.contains("DELETE command denied") && message.contains("DELETE ON"), "{message}");
    obey(&message).await;
    user.connection().check_letters(&letters, false).await.unwrap();
    user.drop().await;
    // Where it is to be made, the rights are known before it is there.
    let missing = fresh().await;
    let user = mysql_server::user("letterless", &format!("CREATE, SELECT, INSERT, UPDATE ON {missing}")).await;
    let message = unusable(user.connection().check_letters(&missing, true).await);
    assert!(message.contains("DELETE command denied"), "{message}");
    obey(&message).await;
    user.connection().check_letters(&missing, true).await.unwrap();
    user.drop().await;
}

on_each_server!(transactions_take_rights_on_the_table_of_intervals);
async fn transactions_take_rights_on_the_table_of_intervals() {
    let table = table(GIFTS).await;
    let ledger = Ledger {
        target: target(&table, &["kind"], false),
        pipeline: "p".into(),
        topic: "t".into(),
        letters: None,
        host: "me".into(),
    };
    let user = user("ledger", &format!("SELECT, INSERT, UPDATE ON {table}")).await;
    let message = unusable(user.connection().check_transactions(&ledger, &gifts()).await);
    assert!(message.contains("GRANT") && message.contains(TABLE), "{message}");
    obey(&message).await;
    user.connection().check_transactions(&ledger, &gifts()).await.unwrap();
    user.connection().open_transactions(&ledger, &gifts()).await.unwrap();
    user.drop().await;
}

on_each_server!(a_table_of_another_database_is_checked_made_and_written);
async fn a_table_of_another_database_is_checked_made_and_written() {
    let (other, table) = (format!("{}_other", database()), fresh().await);
    run(&format!("DROP DATABASE IF EXISTS {other}; CREATE DATABASE {other}")).await;
    // One of the same name beside it, which is not meant.
    run(&format!("CREATE TABLE {table} (kind INT)")).await;
    let named = format!("{other}.{table}");
    let user = user("other", &format!("SELECT ON {table}")).await;
    obey(&unusable(check(&user, &named, true).await)).await;
    check(&user, &named, true).await.unwrap();
    let mut sink = open(&user.connection(), &named, true).await.unwrap();
    assert!(sink.found().is_empty);
    sink.upsert(&rows(vec![texts(["a"]), ints([1])])).await.unwrap();
    assert_eq!(read(&format!("SELECT CONCAT(kind, total) FROM {named}")).await, ["a1"]);

    let ledger = Ledger {
        target: target(&named, &["kind"], false),
        pipeline: "elsewhere".into(),
        topic: "t".into(),
        letters: Some(format!("{other}.letters")),
        host: "me".into(),
    };
    connection().open_letters(&format!("{other}.letters"), true).await.unwrap();
    connection().check_transactions(&ledger, &gifts()).await.unwrap();
    connection().open_transactions(&ledger, &gifts()).await.unwrap();
    user.drop().await;
    run(&format!("DROP DATABASE {other}")).await;
}

on_each_server!(who_is_not_let_in_is_told_about_user_and_password);
async fn who_is_not_let_in_is_told_about_user_and_password() {
    let place = url().rsplit_once('@').unwrap().1.to_string();
    let url = format!("mysql://nobody_here:s3%3Fcr%23et@{place}");
    let message = unusable(
        MysqlConnection { url, ..MysqlConnection::default() }
            .check_sink(&target("t", &["kind"], false), &gifts())
            .await,
    );
    assert!(message.contains("check user and password") && !message.contains("s3"), "{message}");
}

on_each_server!(a_password_of_reserved_characters_lets_in);
async fn a_password_of_reserved_characters_lets_in() {
    let password = r##"a?b#c/d@e:f%41&g"h"##;
    let user = user("reserved", "SELECT ON *.*").await;
    run(&format!("ALTER USER '{}'@'%' IDENTIFIED BY '{password}'", user.name)).await;
    let mut url = sluice_connectors::mysql::MysqlUrl::parse(&url()).unwrap();
    url.user = Some(user.name.clone());
    url.password = Some(password.to_owned());
    let letters = MysqlConnection { url: url.expose(), ..MysqlConnection::default() };
    letters.written("nobody", "t").await.unwrap();
    user.drop().await;
}
