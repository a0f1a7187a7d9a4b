//! Checkpoints as people handle them.

use sluice_e2e::{Corpus, Finished, GIFTS, Host, Site, World, expected_of, metric, sluice};

fn state(site: &Site, arguments: &[&str]) -> Finished {
    let config = site.config();
    sluice(&[&["state", "--config", config.to_str().unwrap()], arguments].concat())
}

fn catch_up(site: &Site) -> Finished {
    sluice(&["run", "--until-caught-up", "--config", site.config().to_str().unwrap()])
}

/// A site whose gift totals were made by a run that has ended.
fn totals() -> (Corpus, Site) {
    let corpus = Corpus::generate(21, 1, 5_000, 2);
    let site = Site::empty(World::Embedded, 2);
    site.add_pipeline("gift_sum", "gift_sum", |_| {});
    corpus.append(GIFTS, &site.path("events"), 0.0, 0.5);
    assert_eq!(catch_up(&site).code, Some(0));
    (corpus, site)
}

#[test]
fn an_exported_checkpoint_goes_on_where_it_is_imported() {
    let (corpus, site) = totals();
    let listed = state(&site, &["list"]);
    assert!(listed.output.contains("gift_sum") && listed.output.contains(GIFTS), "{}", listed.output);
    let shown = state(&site, &["show", "gift_sum", "--limit", "1000"]);
    let rows = site.tables().rows(metric("gift_sum"), "live_gift_total_amount").unwrap();
    assert!(rows.iter().all(|row| shown.output.contains(&row[1].to_string())), "{}", shown.output);
    let one = state(&site, &["show", "gift_sum", "--key", r#"{"gift_type":"1"}"#]);
    let of_one = rows.iter().find(|row| row[0] == "1").unwrap();
    assert!(
        one.output.contains(&of_one[1].to_string()) && one.output.matches("gift_type").count() < 3,
        "{}",
        one.output
    );
    let exported = state(&site, &["export", "gift_sum"]);
    let file = site.path("gift_sum.jsonl");
    std::fs::write(&file, &exported.output).unwrap();
    assert_eq!(state(&site, &["reset", "gift_sum", "--yes"]).code, Some(0));
    assert!(!state(&site, &["list"]).output.contains("gift_sum"));
    let imported = state(&site, &["import", "gift_sum", file.to_str().unwrap()]);
    assert_eq!(imported.code, Some(0), "{}", imported.output);
    corpus.append(GIFTS, &site.path("events"), 0.5, 1.0);
    assert_eq!(catch_up(&site).code, Some(0));
    let expected = expected_of(&[*metric("gift_sum")], &corpus.topics(), &[]);
    assert_eq!(site.tables().rows(metric("gift_sum"), "live_gift_total_amount").unwrap(), expected[0]);
}

#[test]
fn a_pipeline_that_is_reset_reads_its_topic_again_and_ends_in_the_same_table() {
    let (_corpus, site) = totals();
    let before = site.tables().rows(metric("gift_sum"), "live_gift_total_amount").unwrap();
    let refused = state(&site, &["reset", "gift_sum"]);
    assert_ne!(refused.code, Some(0), "nobody was there to say yes: {}", refused.output);
    assert!(catch_up(&site).output.contains("gift_sum: 0 records"));
    assert_eq!(state(&site, &["reset", "gift_sum", "--yes"]).code, Some(0));
    assert!(!catch_up(&site).output.contains("gift_sum: 0 records"));
    assert_eq!(site.tables().rows(metric("gift_sum"), "live_gift_total_amount").unwrap(), before);
}

#[test]
fn a_checkpoint_that_is_gone_stops_the_pipeline_until_somebody_resets_it() {
    let (_corpus, site) = totals();
    let before = site.tables().rows(metric("gift_sum"), "live_gift_total_amount").unwrap();
    std::fs::remove_file(site.path("state/checkpoints/pipelines/gift_sum/log.1")).unwrap();
    for said in [catch_up(&site), state(&site, &["show", "gift_sum"])] {
        assert_eq!(said.code, Some(1), "{}", said.output);
        for part in ["the checkpoint of pipeline gift_sum is damaged", "sluice state reset gift_sum"] {
            assert!(said.output.contains(part), "{}", said.output);
        }
    }
    assert_eq!(state(&site, &["reset", "gift_sum", "--yes"]).code, Some(0));
    assert_eq!(catch_up(&site).code, Some(0));
    assert_eq!(site.tables().rows(metric("gift_sum"), "live_gift_total_amount").unwrap(), before);
}

#[test]
fn a_second_host_on_the_same_directory_is_refused() {
    let (_corpus, site) = totals();
    let mut host = Host::start(&site);
    host.wait("gift_sum", "it runs", |pipeline| pipeline.state == "running");
    let second = catch_up(&site);
    assert_eq!(second.code, Some(1));
    assert!(second.output.contains("checkpoints"), "{}", second.output);
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn records_that_the_topic_no_longer_has_stop_the_pipeline_with_both_numbers() {
    let (_corpus, site) = totals();
    let file = site.path("events").join(GIFTS).join("0.jsonl");
    let text = std::fs::read_to_string(&file).unwrap();
    let lines = text.lines().count();
    std::fs::write(&file, text.lines().take(10).map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    let stopped = catch_up(&site);
    assert_eq!(stopped.code, Some(1));
    for said in [lines.to_string().as_str(), "10", "sluice state reset"] {
        assert!(stopped.output.contains(said), "{said} in {}", stopped.output);
    }
}
