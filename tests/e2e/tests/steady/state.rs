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

/// What stands between a fold without a checkpoint and a total that is too small.
fn assert_lost(said: &Finished, evidence: &str) {
    assert_eq!(said.code, Some(1), "{}", said.output);
    for part in ["there is no checkpoint of it here", evidence, "state import", "sluice state reset gift_sum --yes"] {
        assert!(said.output.contains(part), "{part} in {}", said.output);
    }
}

#[test]
fn a_fold_whose_state_directory_is_gone_does_not_count_from_nothing() {
    let (corpus, site) = totals();
    let before = site.tables().rows(metric("gift_sum"), "live_gift_total_amount").unwrap();
    for start in ["committed", "latest"] {
        site.edit_pipeline("gift_sum", |pipeline| pipeline["source"]["start"] = start.into());
        std::fs::remove_dir_all(site.path("state")).unwrap();
        assert_lost(&catch_up(&site), "the consumer group");
        std::fs::remove_dir_all(site.path("events/.groups")).unwrap();
        assert_lost(&catch_up(&site), "live_gift_total_amount has rows");
        assert_eq!(site.tables().rows(metric("gift_sum"), "live_gift_total_amount").unwrap(), before);
        // Said on purpose, it begins.
        assert_eq!(state(&site, &["reset", "gift_sum", "--yes"]).code, Some(0));
        assert_eq!(catch_up(&site).code, Some(0));
    }
    // Everything is there to be read again.
    site.edit_pipeline("gift_sum", |pipeline| pipeline["source"]["start"] = "earliest".into());
    std::fs::remove_dir_all(site.path("state")).unwrap();
    corpus.append(GIFTS, &site.path("events"), 0.5, 1.0);
    assert_eq!(catch_up(&site).code, Some(0));
    let expected = expected_of(&[*metric("gift_sum")], &corpus.topics(), &[]);
    assert_eq!(site.tables().rows(metric("gift_sum"), "live_gift_total_amount").unwrap(), expected[0]);
}

#[test]
fn a_fold_whose_first_records_are_gone_does_not_count_the_rest_as_if_it_were_all() {
    let corpus = Corpus::generate(23, 1, 500, 1);
    let site = Site::empty(World::Servers, 1);
    site.add_pipeline("gift_sum", "gift_sum", |_| {});
    corpus.load(GIFTS, site.topic(GIFTS), 0.0, 1.0);
    assert_eq!(catch_up(&site).code, Some(0));
    std::fs::remove_dir_all(site.path("state")).unwrap();
    site.topic(GIFTS).delete_before(0, 10);
    assert_lost(&catch_up(&site), "the consumer group");
}

#[test]
fn a_new_pipeline_on_an_old_topic_begins() {
    let corpus = Corpus::generate(24, 1, 100, 1);
    let site = Site::empty(World::Servers, 1);
    corpus.load(GIFTS, site.topic(GIFTS), 0.0, 1.0);
    site.topic(GIFTS).delete_before(0, 10);
    for (name, start) in [("one", "earliest"), ("two", "latest"), ("three", "committed")] {
        site.add_pipeline(name, "gift_sum", |pipeline| {
            pipeline["source"]["start"] = start.into();
            pipeline["sink"][0]["table"] = format!("sums_{name}").into();
            pipeline["sink"][0].as_table_mut().unwrap().insert("create".into(), true.into());
        });
    }
    let done = catch_up(&site);
    assert_eq!(done.code, Some(0), "{}", done.output);
}

#[test]
fn a_renamed_pipeline_is_refused_until_its_states_have_the_new_name() {
    let (corpus, site) = totals();
    let rename = || std::fs::rename(site.path("pipelines/gift_sum.toml"), site.path("pipelines/sums.toml")).unwrap();
    rename();
    site.edit_pipeline("sums", |pipeline| pipeline["source"]["start"] = "latest".into());
    corpus.append(GIFTS, &site.path("events"), 0.5, 1.0);
    let refused = catch_up(&site);
    assert_eq!(refused.code, Some(1));
    for said in ["its table livedb.live_gift_total_amount", "sluice state move gift_sum sums"] {
        assert!(refused.output.contains(said), "{said} in {}", refused.output);
    }
    assert_ne!(state(&site, &["move", "gift_sum", "other"]).code, Some(0), "nobody reads for that name");
    let moved = state(&site, &["move", "gift_sum", "sums"]);
    assert_eq!(moved.code, Some(0), "{}", moved.output);
    assert!(!state(&site, &["list"]).output.contains("gift_sum:"));
    assert_eq!(catch_up(&site).code, Some(0));
    let expected = expected_of(&[*metric("gift_sum")], &corpus.topics(), &[]);
    assert_eq!(site.tables().rows(metric("gift_sum"), "live_gift_total_amount").unwrap(), expected[0]);
}

#[test]
fn a_state_directory_that_is_removed_stops_the_pipelines_and_nothing_is_written_after() {
    let (corpus, site) = totals();
    let before = site.tables().rows(metric("gift_sum"), "live_gift_total_amount").unwrap();
    let mut host = Host::start(&site);
    host.wait("gift_sum", "it runs", |pipeline| pipeline.state == "running");
    std::fs::remove_dir_all(site.path("state")).unwrap();
    let stopped = host.wait("gift_sum", "it stops", |pipeline| pipeline.state == "stopped");
    assert!(stopped.reason.unwrap().contains("was removed or replaced under this host"));
    corpus.append(GIFTS, &site.path("events"), 0.5, 1.0);
    // Another host takes what is there now; the first doesn't wake up in it.
    assert_eq!(catch_up(&site).code, Some(0));
    let expected = expected_of(&[*metric("gift_sum")], &corpus.topics(), &[]);
    assert_ne!(before, expected[0]);
    assert_eq!(site.tables().rows(metric("gift_sum"), "live_gift_total_amount").unwrap(), expected[0]);
    host.wait("gift_sum", "it stays stopped", |pipeline| pipeline.state == "stopped");
    host.terminate();
}

#[test]
fn the_state_directory_is_its_owners() {
    use std::os::unix::fs::PermissionsExt;
    let (_corpus, site) = totals();
    let mode = || std::fs::metadata(site.path("state")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o700);
    std::fs::set_permissions(site.path("state"), std::fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(catch_up(&site).code, Some(0));
    assert_eq!(mode(), 0o700);
}
