//! Rows that only the table's server can judge: the records that made them are left out, and all others are written.

use serde_json::{Value, json};
use sluice_e2e::{GIFTS, Host, Kind, Metric, PATIENCE, Site, Tables, World, eventually, metric, sluice, toml};
use toml::Table;

/// How many records there are, and which of them the tables refuse.
const RECORDS: i64 = 6_000;

fn is_bad(offset: i64) -> bool {
    offset % 500 == 250 || (3_000..3_010).contains(&offset)
}

fn bad() -> Vec<i64> {
    (0..RECORDS).filter(|offset| is_bad(*offset)).collect()
}

const NOTES: Metric =
    Metric { name: "notes", table: "notes", columns: &[("at", Kind::Integer), ("amount", Kind::Integer)] };

/// A row for each record, straight from it.
fn add(site: &Site, name: &str, delivery: &str, on_error: &str, edit: impl FnOnce(&mut Table)) {
    site.add_pipeline(name, "gift_sum", |pipeline| {
        pipeline.remove("step");
        pipeline["source"]["columns"] = toml(
            "at = { kind = 'int64', field = '_offset' }\namount = { kind = 'int64', field = 'gift_total_amount' }",
        );
        let sink = pipeline["sink"][0].as_table_mut().unwrap();
        sink.insert("key".into(), toml("x = ['at']")["x"].clone());
        sink.insert("table".into(), name.into());
        sink.insert("create".into(), false.into());
        sink.insert("delivery".into(), delivery.into());
        sink.insert("flush".into(), toml("rows = 700\ninterval = '50ms'"));
        pipeline.insert("on_error".into(), on_error.into());
        edit(pipeline);
    });
}

fn create(tables: &Tables, table: &str) {
    tables.execute(format!(
        "CREATE TABLE {table} (at BIGINT PRIMARY KEY, amount BIGINT, CONSTRAINT {table}_amount CHECK (amount > 0))"
    ));
}

/// An amount below zero is what the tables refuse.
fn send(site: &Site) {
    let record = |offset: i64| {
        format!(r#"{{"gift_type":1,"gift_total_amount":{}}}"#, if is_bad(offset) { -1 } else { offset + 1 })
    };
    let records: Vec<String> = (0..RECORDS).map(record).collect();
    site.send(GIFTS, &records);
}

fn good() -> Value {
    (0..RECORDS).filter(|offset| !is_bad(*offset)).map(|offset| json!([offset, offset + 1])).collect()
}

fn letters(site: &Site, pipeline: &str) -> Vec<Value> {
    let config = site.config();
    let shown =
        sluice(&["dead-letters", "show", "--json", "--pipeline", pipeline, "--config", config.to_str().unwrap()]);
    assert_eq!(shown.code, Some(0), "{}", shown.output);
    let start = shown.output.find('[').unwrap_or_else(|| panic!("{}", shown.output));
    serde_json::Deserializer::from_str(&shown.output[start..]).into_iter().next().unwrap().unwrap()
}

fn offsets(letters: &[Value]) -> Vec<i64> {
    letters.iter().map(|letter| letter["offset"].as_i64().unwrap()).collect()
}

fn the_others_are_written(world: World, delivery: &str) {
    let site = Site::empty(world, 1);
    for name in ["kept", "skipped"] {
        create(&site.tables(), name);
    }
    add(&site, "kept", delivery, "dead_letter", |_| {});
    add(&site, "skipped", delivery, "skip", |_| {});
    send(&site);
    // Ended in the middle, wherever that is, the tables, letters and counts are the same.
    for records in [1_000, 3_000] {
        let mut host = Host::start(&site);
        host.wait("kept", "it has come so far", |pipeline| {
            pipeline.count("records") >= records || pipeline.lag() == Some(0)
        });
        host.kill();
    }
    let mut host = Host::start(&site);
    for name in ["kept", "skipped"] {
        site.tables().await_rows(&NOTES, name, good());
        let status =
            host.wait(name, "all is read", |pipeline| pipeline.lag() == Some(0) && pipeline.count("pending") == 0);
        assert_eq!(status.state, "running", "{status:?}");
    }
    eventually("all letters are written", PATIENCE, || {
        let letters = letters(&site, "kept");
        if offsets(&letters) == bad() { Ok(()) } else { Err(format!("{:?}", offsets(&letters))) }
    });
    for letter in letters(&site, "kept") {
        let (offset, reason) = (letter["offset"].as_i64().unwrap(), letter["reason"].as_str().unwrap());
        assert_eq!(letter["value"], r#"{"gift_type":1,"gift_total_amount":-1}"#, "{letter}");
        assert_eq!(letter["stage"], "sink", "{letter}");
        assert!(reason.starts_with("livedb.kept: ") && reason.contains("amount"), "{offset}: {reason}");
    }
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn a_row_that_the_server_refuses_costs_its_record_alone_upserts_on_servers() {
    the_others_are_written(World::Servers, "upsert");
}

#[test]
fn a_row_that_the_server_refuses_costs_its_record_alone_upserts_on_mysql() {
    the_others_are_written(World::Mysql, "upsert");
}

#[test]
fn a_row_that_the_server_refuses_costs_its_record_alone_upserts_on_the_embedded_default() {
    the_others_are_written(World::Embedded, "upsert");
}

#[test]
fn a_row_that_the_server_refuses_costs_its_record_alone_transactions_on_servers() {
    the_others_are_written(World::Servers, "transaction");
}

#[test]
fn a_row_that_the_server_refuses_costs_its_record_alone_transactions_on_mysql() {
    the_others_are_written(World::Mysql, "transaction");
}

#[test]
fn a_row_that_the_server_refuses_costs_its_record_alone_transactions_on_the_embedded_default() {
    the_others_are_written(World::Embedded, "transaction");
}

#[test]
fn each_refused_record_is_counted_once_and_written_once_its_row_is_taken() {
    let site = Site::empty(World::Servers, 1);
    create(&site.tables(), "kept");
    add(&site, "kept", "upsert", "dead_letter", |_| {});
    send(&site);
    let mut host = Host::start(&site);
    site.tables().await_rows(&NOTES, "kept", good());
    let all = bad().len() as u64;
    let status = host.wait("kept", "all letters are written", |pipeline| pipeline.count("dead_letters") == all);
    assert_eq!((status.count("rejected"), status.count("rows")), (all, RECORDS as u64 - all), "{status:?}");
    // Once the table takes them, they are driven through again.
    site.tables().execute("ALTER TABLE kept DROP CONSTRAINT kept_amount".to_owned());
    let config = site.config();
    let retried =
        sluice(&["dead-letters", "retry", "--yes", "--pipeline", "kept", "--config", config.to_str().unwrap()]);
    assert_eq!(retried.code, Some(0), "{}", retried.output);
    let all: Value = (0..RECORDS).map(|offset| json!([offset, if is_bad(offset) { -1 } else { offset + 1 }])).collect();
    site.tables().await_rows(&NOTES, "kept", all);
    eventually("the letters are gone", PATIENCE, || {
        let left = letters(&site, "kept").len();
        if left == 0 { Ok(()) } else { Err(format!("{left} letters")) }
    });
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn a_row_that_the_server_refuses_stops_a_pipeline_that_says_so_and_names_record_key_and_words() {
    for world in [World::Embedded, World::Servers] {
        let site = Site::empty(world, 1);
        create(&site.tables(), "strict");
        add(&site, "strict", "upsert", "stop", |_| {});
        send(&site);
        let mut host = Host::start(&site);
        let stopped = host.wait("strict", "it has stopped", |pipeline| pipeline.state == "stopped");
        let reason = stopped.reason.unwrap();
        for part in ["partition 0, offset 250", "row (250)", "livedb.strict", "amount"] {
            assert!(reason.contains(part), "{reason}");
        }
        host.kill();
    }
}

#[test]
fn a_group_that_the_server_refuses_is_left_out_and_written_once_it_is_taken() {
    for world in [World::Embedded, World::Servers, World::Mysql] {
        let site = Site::empty(world, 1);
        let collation = world.exact_collation();
        site.tables().execute(format!(
            "CREATE TABLE sums (gift_type VARCHAR(50) COLLATE {collation} PRIMARY KEY, \
             gift_total_amount BIGINT CHECK (gift_total_amount <> 13))"
        ));
        site.add_pipeline("sums", "gift_sum", |pipeline| {
            pipeline["sink"][0]["table"] = "sums".into();
            pipeline["sink"][0]["create"] = false.into();
            pipeline.insert("on_error".into(), "dead_letter".into());
        });
        site.send(
            GIFTS,
            &[
                r#"{"gift_type":1,"gift_total_amount":13}"#,
                r#"{"gift_type":2,"gift_total_amount":5}"#,
                r#"{"gift_type":3,"gift_total_amount":6}"#,
            ],
        );
        let mut host = Host::start(&site);
        site.tables().await_rows(metric("gift_sum"), "sums", json!([["2", 5], ["3", 6]]));
        host.wait("sums", "the group is kept as a letter", |pipeline| pipeline.count("dead_letters") == 1);
        let [letter] = letters(&site, "sums").try_into().unwrap();
        let reason = letter["reason"].as_str().unwrap();
        assert!(reason.starts_with("the group (1): livedb.sums: "), "{reason}");
        // The group goes on counting, over a crash too.
        host.kill();
        let host = Host::start(&site);
        site.send(GIFTS, &[r#"{"gift_type":1,"gift_total_amount":2}"#]);
        site.tables().await_rows(metric("gift_sum"), "sums", json!([["1", 15], ["2", 5], ["3", 6]]));
        assert_eq!(host.terminate().code, Some(0));
    }
}

/// A backfill must not wait for ever for what never comes.
#[test]
fn a_backfill_ends_once_a_server_was_away_for_longer_than_its_patience() {
    let site = Site::empty(World::Embedded, 1);
    add(&site, "away", "upsert", "skip", |_| {});
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    site.configure(|config| {
        config["connections"]["livedb"] = toml(&format!("mysql = {{ url = 'mysql://u:p@{free}/live' }}"));
    });
    site.send(GIFTS, &[r#"{"gift_type":1,"gift_total_amount":5}"#]);
    let config = site.config();
    let finished = sluice(&["run", "--until-caught-up", "--patience", "2s", "--config", config.to_str().unwrap()]);
    assert_eq!(finished.code, Some(1), "{}", finished.output);
    for part in [&free.to_string(), "can't be reached", "given up after 2s"] {
        assert!(finished.output.contains(part), "{}", finished.output);
    }
}
