use std::fs;
use std::io::Write;

use serde_json::json;
use sluice_e2e::{
    GIFTS, Host, Metric, PATIENCE, Pipeline, Site, World, compile, digest, eventually, guest, metric, rebuilt, toml,
};

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

/// What a compiler says is the reason for a refusal; too much of it, and nobody hears it out.
#[test]
fn a_compiler_says_nothing_of_a_good_operator_whatever_the_log_shows() {
    let cache = tempfile::tempdir().unwrap();
    let compiled = compile(&sluice_e2e::root().join("dist/operators/gift_sum.wasm"), cache.path());
    assert_eq!(compiled.code, Some(0), "{}", compiled.output);
    assert_eq!(compiled.output, "");
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

/// The same as [`running`], with trials that last until this.
fn running_with(probation: &str) -> (Site, Host) {
    let site = Site::empty(World::Embedded, 1);
    site.add_pipeline("gift_sum", "gift_sum", |pipeline| {
        pipeline.insert("probation".into(), toml(probation));
    });
    site.send(GIFTS, &[GIFT]);
    let host = Host::start(&site);
    await_sum(&site, 5);
    (site, host)
}

const LONG: &str = "time = '1h'\nrows = 1000000";
const SHORT: &str = "time = '50ms'\nrows = 1000000";

/// A gift on which the fragile operator traps, and others don't.
const TRAP: &str = r#"{"gift_type":1,"gift_total_amount":-13}"#;

fn operator(site: &Site) -> std::path::PathBuf {
    site.path("operators/gift_sum.wasm")
}

fn generation(pipeline: &Pipeline) -> Option<u64> {
    pipeline.operator.as_ref().map(|operator| operator.generation)
}

#[test]
fn an_operator_that_fails_on_trial_is_rolled_back_as_if_it_had_never_been() {
    let (site, mut host) = running_with(LONG);
    site.write(&operator(&site), &guest("gift_sum_fragile"));
    host.wait("gift_sum", "it is on trial", |pipeline| pipeline.on_trial && generation(pipeline) == Some(2));
    site.send(GIFTS, &[GIFT]);
    await_sum(&site, 10);
    site.send(GIFTS, &[TRAP]);
    await_sum(&site, -3);
    let back = host.wait("gift_sum", "it is rolled back", |pipeline| {
        !pipeline.on_trial && generation(pipeline) == Some(1) && pipeline.refused.is_some()
    });
    assert_eq!(back.count("rejected"), 0, "no record is left out");
    assert!(back.refused.unwrap().contains("rolled back: operator `gift_sum`: the operator trapped"));
    // The file is still there, and isn't tried again.
    host.kill();
    let mut host = Host::start(&site);
    site.send(GIFTS, &[GIFT]);
    await_sum(&site, 2);
    host.wait("gift_sum", "the good one runs", |pipeline| {
        generation(pipeline) == Some(1) && pipeline.refused.is_some()
    });
    // Another one is tried.
    site.write(&operator(&site), &doubled());
    host.wait("gift_sum", "another is on trial", |pipeline| pipeline.on_trial && pipeline.refused.is_none());
    site.send(GIFTS, &[GIFT]);
    await_sum(&site, 12);
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn a_host_that_is_killed_during_a_trial_goes_on_with_the_good_one_and_tries_again() {
    let (site, mut host) = running_with(LONG);
    site.write(&operator(&site), &doubled());
    host.wait("gift_sum", "it is on trial", |pipeline| pipeline.on_trial);
    site.send(GIFTS, &[GIFT]);
    await_sum(&site, 15);
    host.kill();
    std::fs::write(operator(&site), b"nonsense").unwrap();
    let mut host = Host::start(&site);
    await_sum(&site, 10);
    host.wait("gift_sum", "the good one runs", |pipeline| generation(pipeline) == Some(1) && !pipeline.on_trial);
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn what_passed_its_trial_runs_after_a_restart_even_if_its_file_is_gone() {
    let (site, mut host) = running_with(SHORT);
    site.write(&operator(&site), &doubled());
    host.wait("gift_sum", "it has passed", |pipeline| generation(pipeline) == Some(2) && !pipeline.on_trial);
    site.send(GIFTS, &[GIFT]);
    await_sum(&site, 15);
    fs::remove_file(operator(&site)).unwrap();
    host.wait("gift_sum", "that is said", |pipeline| pipeline.refused.is_some());
    site.send(GIFTS, &[GIFT]);
    await_sum(&site, 25);
    host.kill();
    let mut host = Host::start(&site);
    site.send(GIFTS, &[GIFT]);
    await_sum(&site, 35);
    let restarted = host.wait("gift_sum", "it runs", |pipeline| pipeline.operator.is_some());
    assert_eq!(generation(&restarted), Some(2));
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn states_are_migrated_to_another_version_and_those_of_a_newer_one_are_refused() {
    let (site, mut host) = running_with(SHORT);
    site.send(GIFTS, &[r#"{"gift_type":2,"gift_total_amount":7}"#]);
    let old = fs::read(operator(&site)).unwrap();
    site.write(&operator(&site), &guest("gift_sum_versioned"));
    host.wait("gift_sum", "it has passed", |pipeline| generation(pipeline) == Some(2) && !pipeline.on_trial);
    site.send(GIFTS, &[GIFT]);
    site.tables().await_rows(gifts(), gifts().table, json!([["1", 10], ["2", 7]]));
    // The one before can't read the states of the newer one.
    site.write(&operator(&site), &old);
    let refused = host.wait("gift_sum", "it is refused", |pipeline| pipeline.refused.is_some());
    assert!(refused.refused.as_ref().unwrap().contains("state version is 1"), "{refused:?}");
    assert_eq!(generation(&refused), Some(2));
    site.send(GIFTS, &[GIFT]);
    site.tables().await_rows(gifts(), gifts().table, json!([["1", 15], ["2", 7]]));
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn states_that_do_not_fit_are_forgotten_where_the_pipeline_says_so() {
    let site = Site::empty(World::Embedded, 1);
    let old = fs::read(operator(&site)).unwrap();
    site.write(&operator(&site), &guest("gift_sum_versioned"));
    site.add_pipeline("gift_sum", "gift_sum", |pipeline| {
        pipeline.insert("on_incompatible".into(), "reset".into());
    });
    site.send(GIFTS, &[GIFT]);
    let mut host = Host::start(&site);
    await_sum(&site, 5);
    site.write(&operator(&site), &old);
    host.wait("gift_sum", "it began anew", |pipeline| pipeline.count("records") == 2);
    site.send(GIFTS, &[GIFT]);
    await_sum(&site, 10);
    assert_eq!(host.terminate().code, Some(0));
}

/// Puts a file there as somebody does it.
type Put = fn(&Site, &[u8]);

#[test]
fn however_a_file_is_put_there_it_is_what_runs() {
    let ways: [(&str, Put); 4] = [
        ("renamed over", |site, file| site.write(&operator(site), file)),
        ("overwritten in place", |site, file| fs::write(operator(site), file).unwrap()),
        ("a flipped link", |site, file| {
            let (target, link) = (site.path("elsewhere.wasm"), site.path("link"));
            fs::write(&target, file).unwrap();
            std::os::unix::fs::symlink(&target, &link).unwrap();
            fs::rename(link, operator(site)).unwrap();
        }),
        ("written in parts", |site, file| {
            let _ = fs::remove_file(operator(site));
            let mut out = fs::File::create(operator(site)).unwrap();
            let mut host_sees = |part: &[u8]| {
                out.write_all(part).unwrap();
                out.sync_all().unwrap();
            };
            file.chunks(file.len() / 3).for_each(&mut host_sees);
        }),
    ];
    let (site, mut host) = running();
    let (once, twice) = (fs::read(operator(&site)).unwrap(), doubled());
    let mut sum = 5;
    for (number, (way, put)) in (2..).zip(ways) {
        let (file, gift) = if number % 2 == 0 { (&twice, 10) } else { (&once, 5) };
        put(&site, &rebuilt(file, number as u8));
        host.wait("gift_sum", way, |pipeline| generation(pipeline) == Some(number));
        site.send(GIFTS, &[GIFT]);
        sum += gift;
        await_sum(&site, sum);
    }
    assert_eq!(host.terminate().code, Some(0));
}

fn runs(pipeline: &Pipeline, file: &[u8]) -> bool {
    pipeline.operator.as_ref().is_some_and(|operator| operator.digest == digest(file))
}

#[test]
fn a_writer_that_takes_its_time_is_waited_for_and_the_old_one_runs_until_the_last_byte_is_there() {
    let (site, mut host) = running();
    let (old, new) = (fs::read(operator(&site)).unwrap(), doubled());
    let mut out = fs::File::create(operator(&site)).unwrap();
    let (mut sum, mut written, mut reason) = (5, 0, None);
    // Half of it, then the rest in pieces. The host has looked at each, and takes none for the whole, before the next comes.
    for part in [4, 1, 1, 1] {
        let next = written + new.len() * part / 8;
        out.write_all(&new[written..next]).unwrap();
        written = next;
        let looked = host.wait("gift_sum", "what is there of it is refused", |pipeline| {
            pipeline.refused.is_some() && pipeline.refused != reason
        });
        reason = looked.refused;
        site.send(GIFTS, &[GIFT]);
        sum += 5;
        await_sum(&site, sum);
        let pipeline = host.wait("gift_sum", "it runs", |pipeline| pipeline.state == "running");
        assert!(runs(&pipeline, &old), "{pipeline:?}");
    }
    out.write_all(&new[written..]).unwrap();
    let whole = host.wait("gift_sum", "the whole of it runs", |pipeline| runs(pipeline, &new));
    assert_eq!((whole.operator.unwrap().generation, whole.refused), (2, None));
    site.send(GIFTS, &[GIFT]);
    await_sum(&site, sum + 10);
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn a_swap_during_a_flush_loses_nothing_of_it() {
    const WAITING: &str =
        "SELECT COUNT(*) FROM information_schema.processlist WHERE db = DATABASE() AND state LIKE 'Waiting for table%'";
    let site = Site::empty(World::Servers, 1);
    site.add_pipeline("gift_sum", "gift_sum", |_| {});
    site.send(GIFTS, &[GIFT]);
    let mut host = Host::start(&site);
    await_sum(&site, 5);
    let held = site.tables().hold("LOCK TABLES live_gift_total_amount READ");
    site.send(GIFTS, &[GIFT]);
    eventually("a flush waits for the table", PATIENCE, || match site.tables().number(WAITING)? {
        0 => Err("none does".to_owned()),
        _ => Ok(()),
    });
    let new = doubled();
    site.write(&operator(&site), &new);
    let swapped = host.wait("gift_sum", "the new one runs", |pipeline| runs(pipeline, &new));
    assert_eq!((swapped.count("records"), swapped.count("flushes")), (2, 1), "the second flush is still under way");
    site.send(GIFTS, &[GIFT]);
    host.wait("gift_sum", "it has read the third gift", |pipeline| pipeline.count("records") == 3);
    drop(held);
    await_sum(&site, 5 + 5 + 10);
    let after = host.wait("gift_sum", "it runs", |pipeline| pipeline.state == "running");
    assert!(runs(&after, &new) && generation(&after) == Some(2), "{after:?}");
    // The checkpoint says the same.
    host.kill();
    let mut host = Host::start(&site);
    site.send(GIFTS, &[GIFT]);
    await_sum(&site, 5 + 5 + 10 + 10);
    host.wait("gift_sum", "the new one runs", |pipeline| runs(pipeline, &new));
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn of_five_versions_in_a_second_the_newest_runs() {
    let (site, mut host) = running_with(LONG);
    let twice = doubled();
    for mark in 0..5 {
        site.write(&operator(&site), &rebuilt(&twice, mark));
    }
    let newest = rebuilt(&twice, 9);
    site.write(&operator(&site), &newest);
    let first = host.wait("gift_sum", "one is on trial", |pipeline| pipeline.on_trial).operator.unwrap();
    site.send(GIFTS, &[GIFT]);
    await_sum(&site, 15);
    let inspected = sluice_e2e::sluice(&["inspect".as_ref(), operator(&site).as_os_str()]);
    host.wait("gift_sum", "the newest runs", |pipeline| {
        pipeline.operator.as_ref().is_some_and(|operator| inspected.output.contains(&operator.digest))
    });
    assert_eq!(first.generation, 2);
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn a_pipelines_file_may_change_together_with_its_operator() {
    let (site, mut host) = running_with(SHORT);
    site.write(&operator(&site), &doubled());
    site.add_pipeline("gift_sum", "gift_sum", |pipeline| {
        pipeline["sink"][0]["flush"] = toml("rows = 7\ninterval = '100ms'");
    });
    host.wait("gift_sum", "the new one runs", |pipeline| generation(pipeline) == Some(2) && !pipeline.on_trial);
    site.send(GIFTS, &[GIFT]);
    await_sum(&site, 15);
    assert_eq!(host.terminate().code, Some(0));
}
