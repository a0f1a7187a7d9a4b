use std::fs;

use serde_json::json;
use sluice_e2e::{GIFTS, Host, Metric, Site, World, guest, metric};

const GIFT: &str = r#"{"gift_type":1,"gift_total_amount":5}"#;

fn gifts() -> &'static Metric {
    metric("gift_sum")
}

/// A version of gift_sum to which each gift counts twice; its state has the same form.
fn doubled() -> Vec<u8> {
    guest("gift_sum_doubled")
}

/// A host that has summed one gift of type 1.
fn running() -> (Site, Host) {
    let site = Site::empty(World::Embedded, 1);
    site.add_pipeline("gift_sum", "gift_sum", |_| {});
    site.send(GIFTS, &[GIFT]);
    let host = Host::start(&site);
    await_sum(&site, 5);
    (site, host)
}

fn await_sum(site: &Site, sum: i64) {
    site.tables().await_rows(gifts(), gifts().table, json!([["1", sum]]));
}

#[test]
fn a_replaced_operator_is_what_runs_from_then_on_over_the_same_state() {
    let (site, mut host) = running();
    let before = host.wait("gift_sum", "it runs", |pipeline| pipeline.operator.is_some()).operator.unwrap();
    assert_eq!((before.name.as_str(), before.generation), ("gift_sum", 1));
    site.write(&site.path("operators/gift_sum.wasm"), &doubled());
    let after = host.wait("gift_sum", "the new operator runs", |pipeline| {
        pipeline.operator.as_ref().is_some_and(|operator| operator.generation == 2)
    });
    assert_ne!(after.operator.unwrap().digest, before.digest);
    site.send(GIFTS, &[GIFT]);
    await_sum(&site, 15);
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn a_broken_operator_changes_nothing_and_the_reason_is_shown() {
    let (site, mut host) = running();
    let whole = fs::read(site.path("operators/gift_sum.wasm")).unwrap();
    let broken: [(&str, &[u8]); 3] = [("garbage", b"nonsense"), ("empty", b""), ("half", &whole[..whole.len() / 2])];
    let mut sum = 5;
    for (name, content) in broken {
        site.write(&site.path("operators/gift_sum.wasm"), content);
        host.wait("gift_sum", &format!("the {name} operator is refused"), |pipeline| pipeline.refused.is_some());
        site.send(GIFTS, &[GIFT]);
        sum += 5;
        await_sum(&site, sum);
        let pipeline = host.wait("gift_sum", "it runs", |pipeline| pipeline.state == "running");
        assert_eq!(pipeline.operator.unwrap().generation, 1, "{name}");
        site.write(&site.path("operators/gift_sum.wasm"), &whole);
        host.wait("gift_sum", "nothing is refused any more", |pipeline| pipeline.refused.is_none());
    }
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn a_pipeline_waits_for_its_operator_and_starts_when_it_is_there() {
    let site = Site::empty(World::Embedded, 1);
    let operator = site.path("operators/gift_sum.wasm");
    let content = fs::read(&operator).unwrap();
    fs::remove_file(&operator).unwrap();
    site.add_pipeline("gift_sum", "gift_sum", |_| {});
    site.send(GIFTS, &[GIFT]);
    let mut host = Host::start(&site);
    let waiting =
        host.wait("gift_sum", "it waits", |pipeline| pipeline.state == "waiting" && pipeline.reason.is_some());
    assert!(waiting.reason.unwrap().contains("gift_sum"));
    site.write(&operator, &content);
    await_sum(&site, 5);
    assert_eq!(host.terminate().code, Some(0));
}
