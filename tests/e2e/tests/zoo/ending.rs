//! A host that is asked to end while its operators misbehave ends in time.

use std::time::{Duration, Instant};

use serde_json::json;
use sluice_e2e::{GIFTS, Host, metric};

use crate::cage::{self, Case};
use crate::{aggregators, transformers};

/// What docs promise, and containers are given: 10 s.
const BOUND: Duration = Duration::from_secs(10);

/// Has each guest take its time, and ends the host in the middle: what the good pipeline has read is flushed.
fn assert_ends_in_time(operator: &str, cases: &[Case], shape: (&str, &str)) {
    let records: Vec<String> = (0..cage::RECORDS).map(|n| format!(r#"{{"n":{n},"gift":{n},"amount":1}}"#)).collect();
    let site = cage::site(&records);
    cage::add_with(&site, operator, cases, shape, ("5s", "5s"));
    let mut host = Host::start(&site);
    host.wait("neighbour", "it has read what there is", |pipeline| pipeline.count("records") == 1);
    site.send(GIFTS, &[r#"{"gift_type":1,"gift_total_amount":5}"#]);
    host.wait("neighbour", "it has read everything", |pipeline| pipeline.count("records") == 2);
    let begun = Instant::now();
    let finished = host.terminate();
    assert!(begun.elapsed() < BOUND, "{:?}: {}", begun.elapsed(), finished.output);
    assert!(finished.code.is_some(), "{}", finished.output);
    let sums = metric("gift_sum");
    site.tables().await_rows(sums, sums.table, json!([["1", 10]]));
}

#[test]
fn a_host_with_each_transformer_of_the_zoo_ends_in_time() {
    assert_ends_in_time("transformer", transformers::CASES, (r#"{ n = "int64", t = "utf8" }"#, r#"["n"]"#));
}

#[test]
fn a_host_with_each_aggregator_of_the_zoo_ends_in_time() {
    assert_ends_in_time("aggregator", aggregators::CASES, (r#"{ gift = "int64", amount = "int64" }"#, r#"["gift"]"#));
}
