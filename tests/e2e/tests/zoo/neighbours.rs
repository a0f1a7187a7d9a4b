//! What a bad operator's neighbours notice: nothing.

use serde_json::json;
use sluice_e2e::{
    Corpus, GIFTS, Host, METRICS, PATIENCE, Site, World, eventually, expected, guest, metric, sluice, toml, zoo_guest,
};

use crate::cage;

/// A pipeline on the gifts whose operator never comes back, with the limits that it has unless told otherwise.
fn add_spinner(site: &Site) {
    let component = zoo_guest("transformer").component;
    site.write(&site.path("operators/spinner.wasm"), &component);
    site.add_pipeline("spinner", "gift_sum", |pipeline| {
        pipeline["step"][0] = toml("operator = 'spinner'\nconfig = { do = 'spin' }");
        pipeline["sink"][0]["table"] = "spinner".into();
    });
}

#[test]
fn the_metrics_read_everything_while_a_spinning_operator_has_read_nothing() {
    let corpus = Corpus::generate(5, 20_000, 20_000, 2);
    let expected = expected(&corpus.topics(), &[]);
    let site = Site::new(World::Embedded, 2);
    add_spinner(&site);
    site.load(&corpus, 0.0, 1.0);
    let mut host = Host::start(&site);
    site.tables().await_equal(&expected, PATIENCE);
    let spinner = host.status().unwrap().pipeline("spinner").unwrap().clone();
    assert_eq!((spinner.count("records"), spinner.count("rows")), (0, 0), "{spinner:?}");
    let disabled = host.wait("spinner", "its operator is disabled", |pipeline| pipeline.state == "disabled");
    assert!(disabled.reason.unwrap().contains("ran for more than 1s"));
    for metric in &METRICS {
        let running = host.wait(metric.name, "it runs", |pipeline| pipeline.state == "running");
        assert_eq!(running.lag(), Some(0), "{running:?}");
    }
    assert_eq!(host.terminate().code, Some(0));
    assert_eq!(cage::consumed(&site, "spinner"), 0);
}

#[test]
fn a_disabled_operator_is_tried_again_and_goes_on_with_another_file_from_where_it_was() {
    let site = Site::empty(World::Embedded, 1);
    let path = site.path("operators/gift_sum.wasm");
    let mended = std::fs::read(&path).unwrap();
    // It traps on this amount, which is all that comes.
    site.write(&path, &guest("gift_sum_fragile"));
    site.add_pipeline("gifts", "gift_sum", |_| {});
    site.send(GIFTS, &vec![r#"{"gift_type":1,"gift_total_amount":-13}"#; 100]);
    let mut host = Host::start(&site);
    host.wait("gifts", "its operator is disabled", |pipeline| pipeline.state == "disabled");
    eventually("it is disabled again", PATIENCE, || {
        let times = host.log().matches("operator disabled").count();
        (times > 2).then_some(()).ok_or_else(|| format!("{times} times"))
    });
    let disabled = host.status().unwrap().pipeline("gifts").unwrap().clone();
    assert_eq!((disabled.count("records"), disabled.count("rejected"), disabled.count("dead_letters")), (0, 0, 0));
    site.write(&path, &mended);
    let sums = metric("gift_sum");
    site.tables().await_rows(sums, sums.table, json!([["1", -1300]]));
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn letters_that_are_at_fault_still_do_not_disable_the_operator() {
    let site = Site::empty(World::Embedded, 1);
    site.write(&site.path("operators/gift_sum.wasm"), &guest("gift_sum_fragile"));
    site.add_pipeline("gifts", "gift_sum", |pipeline| drop(pipeline.insert("on_error".into(), "dead_letter".into())));
    // Two of five are at fault: more than may always be, less than half.
    let amounts = [5, 5, -13, 5, -13].into_iter().cycle().take(100);
    let records: Vec<String> =
        amounts.map(|amount| format!(r#"{{"gift_type":1,"gift_total_amount":{amount}}}"#)).collect();
    site.send(GIFTS, &records);
    let mut host = Host::start(&site);
    host.wait("gifts", "the letters are written", |pipeline| pipeline.count("dead_letters") == 40);
    let config = site.config();
    let retried = sluice(&["dead-letters", "retry", "--yes", "--config", config.to_str().unwrap()]);
    assert_eq!(retried.code, Some(0), "{}", retried.output);
    let again = host.wait("gifts", "they are written again", |pipeline| pipeline.count("dead_letters") == 80);
    assert_eq!(again.state, "running");
    assert!(!host.log().contains("operator disabled"));
    let sums = metric("gift_sum");
    site.tables().await_rows(sums, sums.table, json!([["1", 300]]));
    assert_eq!(cage::letters(&site, "gifts").len(), 40);
    assert_eq!(host.terminate().code, Some(0));
}
