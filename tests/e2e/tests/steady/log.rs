//! A log that can't be written, or that nobody reads, harms nobody.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sluice_e2e::{GIFTS, Host, PATIENCE, Site, World, digest, eventually, metric, rebuilt, sluice, sluice_command};

const GIFT: &str = r#"{"gift_type":1,"gift_total_amount":5}"#;
const NO_GIFT: &str = "no gift at all";

/// A site on which each record that is no gift is a line of the log.
fn site() -> Site {
    let site = Site::empty(World::Embedded, 1);
    site.add_pipeline("gifts", "gift_sum", |pipeline| drop(pipeline.insert("on_error".into(), "skip".into())));
    site.send(GIFTS, &[GIFT, NO_GIFT]);
    site
}

fn start(site: &Site, change: impl FnOnce(&mut Command)) -> Host {
    let host = Host::start_changed(&site.seat(), change);
    host.find_admin_in(&site.path("state"));
    host
}

/// Every part of the host that speaks has something to say: the lane of a record, the supervisor of an operator, the watch of a pipeline.
/// Then the host ends as if all had been heard.
fn assert_goes_on_and_ends(site: &Site, mut host: Host) {
    let sums = metric("gift_sum");
    site.tables().await_rows(sums, sums.table, json!([["1", 5]]));
    let newest = rebuilt(&std::fs::read(site.path("operators/gift_sum.wasm")).unwrap(), 1);
    site.write(&site.path("operators/gift_sum.wasm"), &newest);
    host.wait_for_artifact("gifts", &digest(&newest));
    site.write(&site.path("operators/gift_sum.wasm"), b"no operator");
    host.wait("gifts", "the next one is refused", |pipeline| pipeline.refused.is_some());
    site.edit_pipeline("gifts", |pipeline| pipeline["sink"][0]["flush"]["rows"] = 7.into());
    site.send(GIFTS, &[NO_GIFT, GIFT]);
    site.tables().await_rows(sums, sums.table, json!([["1", 10]]));
    site.send(GIFTS, &[GIFT]);
    // The lag may be of the moment before, and the number of records of the run before.
    site.tables().await_rows(sums, sums.table, json!([["1", 15]]));
    assert!(host.status().unwrap().log_lines_lost > 0);
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn a_log_on_a_full_disk_harms_nobody() {
    let site = site();
    let host = start(&site, |command| {
        command.stderr(File::options().write(true).open("/dev/full").unwrap());
    });
    assert_goes_on_and_ends(&site, host);
}

#[test]
fn a_log_whose_reader_has_gone_harms_nobody() {
    let site = site();
    let mut host = start(&site, |command| {
        command.stderr(Stdio::piped());
    });
    drop(host.take_stderr());
    assert_goes_on_and_ends(&site, host);
}

#[test]
fn a_log_that_nobody_reads_holds_up_nobody_and_later_says_how_much_was_lost() {
    let site = site();
    let mut host = start(&site, |command| {
        command.stderr(Stdio::piped());
    });
    // Kept open, and not read.
    let unread = host.take_stderr();
    let mut times = 0;
    eventually("more is said than fits anywhere", PATIENCE, || {
        // A line for each of many mistakes, other ones each time.
        times += 1;
        let mistakes: String = (0..5_000).map(|n| format!("mistake_{times}_{n} = 1\n")).collect();
        site.write(&site.path("pipelines/noise.toml"), mistakes.as_bytes());
        let status = host.status()?;
        (status.log_lines_lost > 0).then_some(()).ok_or_else(|| format!("{} of them", times))
    });
    std::fs::remove_file(site.path("pipelines/noise.toml")).unwrap();
    site.send(GIFTS, &[GIFT]);
    let sums = metric("gift_sum");
    site.tables().await_rows(sums, sums.table, json!([["1", 10]]));
    host.wait("gifts", "it reads on", |pipeline| pipeline.lag() == Some(0));
    let said =
        BufReader::new(unread).lines().map(Result::unwrap).find(|line| line.contains("lines of the log were lost"));
    let said: Value = serde_json::from_str(&said.expect("the loss is said")).unwrap();
    assert!(said["fields"]["lines"].as_u64().unwrap() > 0, "{said}");
    // Nobody reads any more.
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn levels_that_are_none_are_an_error_that_is_said() {
    let site = site();
    for (levels, hint) in
        [("verbose", "did you mean \\\"debug\\\""), ("WARNING", "did you mean \\\"warn\\\""), ("", "empty")]
    {
        let mut command = sluice_command(&["run", "--log", "json", "--config", site.config().to_str().unwrap()]);
        let ended = command.env("SLUICE_LOG", levels).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(1), "{levels}: {said}");
        assert!(said.contains("SLUICE_LOG") && said.contains(hint), "{levels}: {said}");
    }
}

#[test]
fn what_a_verb_fails_of_is_said_whatever_the_levels() {
    for levels in ["off", "info"] {
        let mut command = sluice_command(&["status", "--config", "/nowhere/sluice.toml"]);
        let ended = command.env("SLUICE_LOG", levels).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(ended.status.code() == Some(1) && said.contains("/nowhere/sluice.toml"), "{levels}: {said}");
    }
}

#[test]
fn a_verb_whose_answer_nobody_reads_ends_well_and_one_whose_answer_cannot_be_written_does_not() {
    let site = site();
    let mut host = Host::start(&site);
    host.wait("gifts", "it has begun", |pipeline| pipeline.count("flushes") > 0);
    let config = site.config();
    let config = config.to_str().unwrap();
    let operator = site.path("operators/gift_sum.wasm");
    let verbs: [&[&str]; 6] = [
        &["status", "--config", config],
        &["status", "--json", "--config", config],
        &["history", "gifts", "--config", config],
        &["check", "--offline", "--config", config],
        &["inspect", operator.to_str().unwrap()],
        &["dead-letters", "list", "--config", config],
    ];
    for verb in verbs {
        let mut unread = sluice_command(verb).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(unread.stdout.take());
        let mut said = String::new();
        unread.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(unread.wait().unwrap().code(), Some(0), "{verb:?}: {said}");
        let full = File::options().write(true).open("/dev/full").unwrap();
        let ended = sluice_command(verb).stdout(full).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(ended.status.code() == Some(1) && said.contains("standard output"), "{verb:?}: {said}");
    }
    assert_eq!(sluice(&["status", "--config", config]).code, Some(0));
    assert_eq!(host.terminate().code, Some(0));
}
