//! Figures of a pipeline: what is counted and measured is what happened.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use sluice_e2e::{GIFTS, Host, Pipeline, Site, World, metric, sluice};

const GIFTS_SENT: [&str; 3] = [
    r#"{"gift_type":1,"gift_total_amount":5}"#,
    r#"{"gift_type":2,"gift_total_amount":50}"#,
    r#"{"gift_type":1,"gift_total_amount":500}"#,
];

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn seconds(pipeline: &Pipeline, name: &str) -> f64 {
    pipeline.figure(name).as_f64().unwrap_or_else(|| panic!("{name} in {pipeline:?}"))
}

#[test]
fn a_pipeline_says_how_much_it_read_how_long_it_worked_and_when_its_checkpoint_was_made() {
    let gifts = metric("gift_sum");
    let site = Site::empty(World::Embedded, 1);
    site.add_pipeline("gift_sum", "gift_sum", |_| {});
    let begun = now();
    site.send(GIFTS, &GIFTS_SENT);
    let mut host = Host::start(&site);
    site.tables().await_rows(gifts, gifts.table, json!([["1", 505], ["2", 50]]));
    let is_durable = |pipeline: &Pipeline| {
        pipeline.figure("checkpoint_timestamp_seconds").is_u64() && pipeline.count("groups_in_memory_bytes") > 0
    };
    let seen = host.wait("gift_sum", "its checkpoint is made", |pipeline| {
        pipeline.count("records") == 3 && pipeline.figure("groups_in_memory").is_u64() && is_durable(pipeline)
    });

    assert_eq!(seen.count("read_bytes"), GIFTS_SENT.iter().map(|record| record.len() as u64).sum::<u64>());
    assert!((1..=3).contains(&seen.count("batches")), "{seen:?}");
    assert!((begun..=now()).contains(&seen.count("checkpoint_timestamp_seconds")), "{seen:?}");
    let (busy, operator) = (seconds(&seen, "busy_seconds"), seconds(&seen, "operator_seconds"));
    assert!(0.0 < operator && operator <= busy, "{seen:?}");
    assert_eq!(seen.count("groups_in_memory"), 2);
    assert_eq!(seen.figure("groups")["groups"], json!(2), "as earlier versions said it");
    assert_eq!(seen.count("flush_retries"), 0);

    // The first flush with rows is over once the second one is.
    site.send(GIFTS, &GIFTS_SENT[..1]);
    let seen = host.wait("gift_sum", "it has flushed again", |pipeline| {
        pipeline.count("flushes") > seen.count("flushes") && pipeline.figure("flush_seconds")["count"] != json!(0)
    });
    let flushes = seen.figure("flush_seconds");
    assert!(flushes["sum"].as_f64().unwrap() > 0.0, "{seen:?}");
    assert!(flushes["buckets"].as_array().unwrap().last().unwrap()["count"].as_u64() <= flushes["count"].as_u64());

    let config = site.config();
    let shown = sluice(&["status", "--figures", "--config", config.to_str().unwrap()]);
    assert_eq!(shown.code, Some(0), "{}", shown.output);
    for line in ["gift_sum\n", "Keys and values of the records", " 4 records ", " counter "] {
        assert!(shown.output.contains(line), "{line} in {}", shown.output);
    }
    assert_eq!(host.terminate().code, Some(0));
}
