use sluice_e2e::{Finished, GIFTS, Host, METRICS, Site, World, metric, sluice};

fn demo(site: &Site) -> Finished {
    let config = site.config();
    sluice(&["demo", "--seconds", "2", "--rate", "1000", "--config", config.to_str().unwrap()])
}

/// The records of each pipeline in the last table: one line a pipeline, with its name, state and records.
fn records(finished: &Finished) -> Vec<(String, u64)> {
    let columns = finished.output.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let ended = columns.filter(|columns| columns.get(1) == Some(&"finished"));
    ended.map(|columns| (columns[0].to_owned(), columns[2].replace(',', "").parse().unwrap())).collect()
}

#[test]
fn every_demo_begins_with_nothing_and_ends_with_a_table() {
    let site = Site::new(World::Embedded, 1);
    for _ in 0..2 {
        let finished = demo(&site);
        assert_eq!(finished.code, Some(0), "{}", finished.output);
        let records = records(&finished);
        assert_eq!(records.len(), METRICS.len(), "{}", finished.output);
        assert!(records.iter().all(|(_, records)| *records > 0), "{}", finished.output);
    }
}

#[test]
fn a_demo_leaves_another_running_one_alone() {
    let site = Site::new(World::Embedded, 1);
    // Without a record there is no topic, and nothing runs.
    site.send(GIFTS, &[r#"{"gift_type":1,"gift_total_amount":5}"#]);
    let mut host = Host::start(&site);
    host.wait("gift_sum", "it runs", |pipeline| pipeline.state == "running");
    let finished = demo(&site);
    assert_eq!(finished.code, Some(1), "{}", finished.output);
    host.assert_runs();
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn a_demo_removes_what_a_demo_made_and_nothing_else() {
    // A service of somebody's own.
    let site = Site::empty(World::Embedded, 1);
    site.add_pipeline("gift_sum", "gift_sum", |_| {});
    site.send(GIFTS, &[r#"{"gift_type":1,"gift_total_amount":5}"#]);
    let host = Host::start(&site);
    let gifts = metric("gift_sum");
    site.tables().await_rows(gifts, gifts.table, serde_json::json!([["1", 5]]));
    assert_eq!(host.terminate().code, Some(0));
    let refused = demo(&site);
    assert_eq!(refused.code, Some(1), "{}", refused.output);
    for foreign in [gifts.table, "the checkpoint of gift_sum", GIFTS, "Nothing was removed"] {
        assert!(refused.output.contains(foreign), "{foreign} in {}", refused.output);
    }
    site.tables().await_rows(gifts, gifts.table, serde_json::json!([["1", 5]]));

    let site = Site::new(World::Embedded, 1);
    assert_eq!(demo(&site).code, Some(0));
    site.tables().execute("CREATE TABLE mine (a INTEGER); INSERT INTO mine VALUES (7)".to_owned());
    let again = demo(&site);
    assert_eq!(again.code, Some(0), "{}", again.output);
    let (said, _) = again.output.split_once("it removes what the last one made").expect("it says so");
    assert!(!said.contains("running"), "first: {}", again.output);
    site.tables().execute("DELETE FROM mine WHERE a = 7".to_owned());
}
