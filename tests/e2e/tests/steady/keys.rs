//! Keys, and numbers that don't wrap.

use std::fs;

use serde_json::{Value, json};
use sluice_e2e::{ENTRIES, GIFTS, Host, PATIENCE, Site, World, eventually, guest, metric, sluice};

const GIFT: &str = r#"{"user_id":7,"gift_type":1,"gift_total_amount":5}"#;

#[test]
fn keys_that_a_collation_would_take_for_one_are_rows_of_their_own() {
    for world in [World::Embedded, World::Servers] {
        let site = Site::empty(world, 1);
        site.add_pipeline("live_cleanup", "live_cleanup", |_| {});
        let names = ["Anna", "anna", "anna ", "Ánna"];
        let entry = |ip| format!(r#"{{"user_id":1,"ip":"{ip}","room_id":1,"arrive_time":"2021-08-16 09:48:01"}}"#);
        site.send(ENTRIES, &names.map(entry));
        let row = |ip| json!([1, ip, "1", "2021-08-16 09:48:01.000000", null, null, null, null, null]);
        let host = Host::start(&site);
        let cleanup = metric("live_cleanup");
        site.tables().await_rows(cleanup, cleanup.table, json!(names.map(row)));
        assert_eq!(host.terminate().code, Some(0));
    }
}

#[test]
fn an_overflow_of_an_authors_own_arithmetic_is_a_letter_with_its_reason_and_no_wrong_total() {
    let site = Site::empty(World::Embedded, 1);
    site.write(&site.path("operators/doubled.wasm"), &guest("gift_sum_doubled"));
    site.add_pipeline("gifts", "gift_sum", |pipeline| {
        pipeline["step"][0]["operator"] = "doubled".into();
        pipeline.insert("on_error".into(), "dead_letter".into());
    });
    let large = GIFT.replace(":5}", ":5000000000000000000}");
    site.send(GIFTS, &[GIFT, &large, GIFT, &large, &large, GIFT]);
    let mut host = Host::start(&site);
    site.tables().await_rows(metric("gift_sum"), metric("gift_sum").table, json!([["1", 30]]));
    host.wait("gifts", "the others are letters", |pipeline| pipeline.count("dead_letters") == 3);
    assert_eq!(host.terminate().code, Some(0));
    let config = site.config();
    let shown = sluice(&["dead-letters", "show", "--json", "--config", config.to_str().unwrap()]);
    let start = shown.output.find('[').unwrap_or_else(|| panic!("{}", shown.output));
    let letters: Vec<Value> =
        serde_json::Deserializer::from_str(&shown.output[start..]).into_iter().next().unwrap().unwrap();
    let reasons: Vec<_> = letters.iter().map(|letter| letter["reason"].as_str().unwrap()).collect();
    assert!(
        reasons.len() == 3 && reasons.iter().all(|reason| reason.contains("multiply with overflow")),
        "{reasons:?}"
    );
}

#[test]
fn a_second_pipeline_on_a_table_is_refused_and_the_first_one_runs_on_until_both_say_that_they_share_it() {
    let site = Site::empty(World::Embedded, 1);
    site.add_pipeline("first", "gift_sum", |_| {});
    site.send(GIFTS, &[GIFT]);
    let host = Host::start(&site);
    let (gifts, table) = (metric("gift_sum"), metric("gift_sum").table);
    site.tables().await_rows(gifts, table, json!([["1", 5]]));
    site.add_pipeline("second", "gift_sum", |_| {});
    eventually("the log says who writes the table", PATIENCE, || {
        let log = host.log();
        let said = log.lines().any(|line| line.contains("second.toml") && line.contains("which pipeline first writes"));
        said.then_some(()).ok_or(log)
    });
    let config = site.config();
    let check = sluice(&["check", "--offline", "--config", config.to_str().unwrap()]);
    assert!(check.code == Some(1) && check.output.contains("which pipeline first writes"), "{}", check.output);
    site.send(GIFTS, &[GIFT]);
    site.tables().await_rows(gifts, table, json!([["1", 10]]));
    for name in ["first", "second"] {
        site.edit_pipeline(name, |pipeline| {
            pipeline["sink"][0].as_table_mut().unwrap().insert("shared".into(), true.into());
        });
    }
    let check = sluice(&["check", "--offline", "--config", config.to_str().unwrap()]);
    assert_eq!(check.code, Some(0), "{}", check.output);
    fs::remove_file(site.path("pipelines/second.toml")).unwrap();
    assert_eq!(host.terminate().code, Some(0));
}
