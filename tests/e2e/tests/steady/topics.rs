//! Rows in topics: the last record of each key is the table.

use std::collections::BTreeMap;
use std::fs;

use sluice_e2e::published::{self, Record};
use sluice_e2e::{
    Corpus, GIFTS, Host, METRICS, Metric, PATIENCE, Rows, Site, World, digest, eventually, expected, metric, rebuilt,
    sluice, toml,
};

/// Gives a pipeline a topic in place of its table, or beside it.
fn publish(site: &Site, metric: &Metric, pipeline: &mut toml::Table, beside: bool) {
    let key = pipeline["sink"][0]["key"].as_array().unwrap().clone();
    let key: Vec<&str> = key.iter().map(|name| name.as_str().unwrap()).collect();
    let sink = site.topic_sink(metric.table, &key);
    let sinks = pipeline["sink"].as_array_mut().unwrap();
    if !beside {
        sinks.clear();
    }
    sinks.push(sink);
}

fn gift(gift: i64, amount: i64) -> String {
    format!(r#"{{"user_id":1,"gift_type":{gift},"gift_total_amount":{amount}}}"#)
}

fn gift_at(amount: i64, time: &str) -> String {
    format!(r#"{{"gift_type":1,"gift_total_amount":{amount},"create_time":"2026-11-28 {time}"}}"#)
}

/// A site with gifts summed into a topic alone.
fn gifts(edit: impl FnOnce(&Site, &mut toml::Table)) -> Site {
    let site = Site::empty(World::Servers, 1);
    site.add_pipeline("gift_sum", "gift_sum", |pipeline| {
        publish(&site, metric("gift_sum"), pipeline, false);
        edit(&site, pipeline);
    });
    site
}

fn topic_of_gifts(site: &Site) -> String {
    site.topic_of(metric("gift_sum").table)
}

fn totals(topic: &str) -> Result<BTreeMap<String, String>, String> {
    let value =
        |json: &String| serde_json::from_str::<serde_json::Value>(json).unwrap()["gift_total_amount"].to_string();
    Ok(published::latest(topic)?.iter().map(|(key, json)| (key.clone(), value(json))).collect())
}

fn await_totals(topic: &str, expected: &[(&str, &str)]) {
    let key = |gift: &str| format!(r#"{{"gift_type":"{gift}"}}"#);
    let expected: BTreeMap<_, _> = expected.iter().map(|(gift, total)| (key(gift), (*total).to_owned())).collect();
    eventually(&format!("{topic} holds {expected:?}"), PATIENCE, || {
        let totals = totals(topic)?;
        (totals == expected).then_some(()).ok_or_else(|| format!("{totals:?}"))
    });
}

#[test]
fn the_rows_of_every_metric_in_a_topic_are_those_of_its_table_also_after_a_kill() {
    let corpus = Corpus::generate(12, 20_000, 40_000, 3);
    let site = Site::empty(World::Servers, 3);
    for metric in &METRICS {
        site.add_pipeline(metric.name, metric.name, |pipeline| publish(&site, metric, pipeline, true));
    }
    site.load(&corpus, 0.0, 0.5);
    let mut host = Host::start(&site);
    host.wait("live_cleanup", "it has written", |pipeline| pipeline.count("flushes") > 0);
    host.kill();
    site.load(&corpus, 0.5, 1.0);
    let host = Host::start(&site);
    let expected: Vec<Rows> = expected(&corpus.topics(), &[]);
    site.tables().await_equal(&expected, PATIENCE);
    site.published().await_equal(&expected, PATIENCE);
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn a_record_says_which_operators_made_its_row() {
    let site = gifts(|_, _| {});
    let topic = topic_of_gifts(&site);
    let old = fs::read(site.path("operators/gift_sum.wasm")).unwrap();
    let new = rebuilt(&old, 1);
    site.send(GIFTS, &[gift(1, 5)]);
    let mut host = Host::start(&site);
    await_totals(&topic, &[("1", "5")]);
    site.write(&site.path("operators/gift_sum.wasm"), &new);
    host.wait_for_artifact("gift_sum", &digest(&new));
    site.send(GIFTS, &[gift(2, 7)]);
    await_totals(&topic, &[("1", "5"), ("2", "7")]);
    let by: Vec<(String, String)> = published::records(&topic)
        .unwrap()
        .into_iter()
        .map(|Record { headers, .. }| (headers["sluice-generation"].clone(), headers["sluice-digest"].clone()))
        .collect();
    assert_eq!(by.first(), Some(&("1".to_owned(), format!("gift_sum={}", digest(&old)))));
    assert_eq!(by.last(), Some(&("2".to_owned(), format!("gift_sum={}", digest(&new)))));
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn a_window_that_is_over_ends_in_a_tombstone_and_its_row_in_a_table_stays() {
    let windowed = metric("gift_by_ten_minutes");
    let site = Site::empty(World::Servers, 1);
    site.add_pipeline(windowed.name, windowed.name, |pipeline| {
        publish(&site, windowed, pipeline, true);
        pipeline["sink"][1].as_table_mut().unwrap().insert("tombstones".into(), true.into());
        pipeline["step"][0]["window"].as_table_mut().unwrap().insert("idle_after".into(), "1d".into());
    });
    let topic = site.topic_of(windowed.table);
    let host = Host::start(&site);
    site.send(GIFTS, &[gift_at(5, "10:00:00"), gift_at(6, "10:10:00")]);
    let row = |window: &str, end: &str, total: i64| {
        serde_json::json!(["1", format!("2026-11-28 {window}.000000"), format!("2026-11-28 {end}.000000"), total])
    };
    let (first, second) = (row("10:00:00", "10:10:00", 5), row("10:10:00", "10:20:00", 6));
    let both = serde_json::json!([first, second]);
    site.published().await_rows(windowed, windowed.table, both.clone());
    // Rows are taken up to an hour after a window's end, and come a minute late.
    site.send(GIFTS, &[gift_at(7, "11:12:00")]);
    let third = row("11:10:00", "11:20:00", 7);
    site.published().await_rows(windowed, windowed.table, serde_json::json!([second, third]));
    site.tables().await_rows(windowed, windowed.table, serde_json::json!([first, second, third]));
    let ended: Vec<Record> =
        published::records(&topic).unwrap().into_iter().filter(|record| record.value.is_none()).collect();
    assert_eq!(ended.len(), 1, "{ended:?}");
    assert_eq!(ended[0].key.as_deref(), Some(r#"{"gift_type":"1","window_start":"2026-11-28 10:00:00"}"#));
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn a_group_that_nobody_touched_for_too_long_ends_in_a_tombstone() {
    let site = gifts(|_, pipeline| {
        pipeline["sink"][0].as_table_mut().unwrap().insert("tombstones".into(), true.into());
        pipeline.insert("state".into(), toml("ttl = '1s'"));
    });
    let topic = topic_of_gifts(&site);
    let host = Host::start(&site);
    site.send(GIFTS, &[gift(1, 5)]);
    await_totals(&topic, &[("1", "5")]);
    // The store is swept as flushes are made.
    eventually("the group has ended", PATIENCE, || {
        site.send(GIFTS, &[gift(2, 1)]);
        let totals = totals(&topic)?;
        (!totals.contains_key(r#"{"gift_type":"1"}"#)).then_some(()).ok_or_else(|| format!("{totals:?}"))
    });
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn a_topic_that_was_deleted_is_made_again_with_the_rows_of_all_groups() {
    let site = gifts(|_, _| {});
    let topic = topic_of_gifts(&site);
    site.send(GIFTS, &[gift(1, 5), gift(2, 6)]);
    let host = Host::start(&site);
    await_totals(&topic, &[("1", "5"), ("2", "6")]);
    sluice_e2e::Topic::remove(&topic);
    site.send(GIFTS, &[gift(2, 1)]);
    await_totals(&topic, &[("1", "5"), ("2", "7")]);
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn rows_that_are_too_long_for_the_topic_are_dead_letters_in_a_topic_beside_it() {
    let site = Site::empty(World::Servers, 1);
    let cleanup = metric("live_cleanup");
    site.add_pipeline(cleanup.name, cleanup.name, |pipeline| {
        publish(&site, cleanup, pipeline, false);
        let letters = site.topic_of("letters");
        pipeline.insert("dead_letters".into(), toml(&format!("connection = 'events'\ntopic = '{letters}'")));
    });
    let entry = |user: i64, ip: &str| {
        let time = "2026-11-28 10:00:00";
        format!(
            r#"{{"user_id":{user},"ip":"{ip}","room_id":1,"arrive_time":"{time}","leave_time":"{time}","create_time":"{time}"}}"#
        )
    };
    // It is in the key and in the value.
    site.send(sluice_e2e::ENTRIES, &[entry(1, "a"), entry(2, &"x".repeat(600_000)), entry(3, "b")]);
    let mut host = Host::start(&site);
    let read = host.wait(cleanup.name, "it has read all", |pipeline| {
        pipeline.lag() == Some(0) && pipeline.count("dead_letters") == 1
    });
    assert!(read.by_reason("reasons").keys().any(|reason| reason.contains("max.message.bytes")), "{read:?}");
    eventually("the others are there", PATIENCE, || {
        let latest = published::latest(&site.topic_of(cleanup.table))?;
        (latest.len() == 2).then_some(()).ok_or_else(|| format!("{} rows", latest.len()))
    });
    assert_eq!(host.terminate().code, Some(0));
}

/// What `sluice check` says of this site, without its first part that names the file.
fn checked(site: &Site) -> String {
    let config = site.config();
    let finished = sluice(&["check", "--config", config.to_str().unwrap()]);
    assert_ne!(finished.code, Some(0), "{}", finished.output);
    finished.output
}

#[test]
fn a_check_says_what_is_wrong_with_a_topic() {
    let missing = gifts(|_, pipeline| {
        pipeline["sink"][0].as_table_mut().unwrap().insert("create".into(), false.into());
    });
    let said = checked(&missing);
    assert!(said.contains("sink[0].topic") && said.contains("has no topic"), "{said}");
    let in_vain = gifts(|_, pipeline| {
        pipeline["sink"][0].as_table_mut().unwrap().insert("tombstones".into(), true.into());
    });
    let said = checked(&in_vain);
    assert!(said.contains("sink[0].tombstones") && said.contains("no group of this pipeline ends"), "{said}");
    let keyless = gifts(|_, pipeline| {
        pipeline["sink"][0].as_table_mut().unwrap().remove("key");
    });
    let said = checked(&keyless);
    assert!(said.contains("has no key"), "{said}");
    let own = gifts(|_, pipeline| {
        let read = pipeline["source"]["topic"].clone();
        pipeline["sink"][0].as_table_mut().unwrap().insert("topic".into(), read);
    });
    let said = checked(&own);
    assert!(said.contains("the topic that this pipeline reads"), "{said}");
}
