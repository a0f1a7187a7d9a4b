use std::collections::BTreeSet;

use serde_json::{Value, json};
use sluice_e2e::{
    ENTRIES, Finished, GIFTS, Host, Metric, PATIENCE, Site, Topic, World, eventually, guest, metric, sluice, toml,
};
use toml::Table;

const GOOD: &str = r#"{"gift_type":1,"gift_total_amount":5}"#;

/// A record that something is wrong with.
struct Bad {
    name: &'static str,
    record: &'static str,
    stage: &'static str,
    reason: &'static str,
}

/// Each kind that a pipeline with the fragile operator can meet.
const BAD: [Bad; 8] = [
    Bad { name: "malformed", record: "{", stage: "decode", reason: "JSON" },
    Bad { name: "mistyped", record: r#"{"gift_type":[]}"#, stage: "decode", reason: "gift_type" },
    Bad {
        name: "rejected",
        record: r#"{"gift_type":1,"gift_total_amount":-15}"#,
        stage: "step[0]",
        reason: "it rejects",
    },
    Bad { name: "trap", record: r#"{"gift_type":1,"gift_total_amount":-13}"#, stage: "step[0]", reason: "trapped" },
    Bad { name: "endless", record: r#"{"gift_type":1,"gift_total_amount":-14}"#, stage: "step[0]", reason: "limit" },
    Bad {
        name: "unfoldable",
        record: r#"{"gift_type":1,"gift_total_amount":9223372036854775807}"#,
        stage: "step[0]",
        reason: "overflows",
    },
    Bad { name: "array", record: "[1]", stage: "decode", reason: "object" },
    Bad { name: "empty", record: "", stage: "decode", reason: "JSON" },
];

fn gifts() -> &'static Metric {
    metric("gift_sum")
}

/// gift_sum with this operator, as a pipeline, topic and table of this name.
fn add(site: &Site, name: &str, topic: &str, on_error: &str, edit: impl FnOnce(&mut Table)) {
    site.add_pipeline(name, "gift_sum", |pipeline| {
        pipeline["source"]["topic"] = topic.into();
        pipeline["sink"][0]["table"] = name.into();
        pipeline["step"][0]["operator"] = "fragile".into();
        pipeline["step"][0].as_table_mut().unwrap().insert("limits".into(), toml("call_time = '50ms'"));
        pipeline.insert("on_error".into(), on_error.into());
        edit(pipeline);
    });
}

fn deploy(site: &Site, component: &[u8]) {
    site.write(&site.path("operators/fragile.wasm"), component);
}

/// `sluice dead-letters VERB …` on the site.
fn dead_letters(site: &Site, arguments: &[&str]) -> Finished {
    let config = site.config();
    let mut all = vec!["--log", "human", "dead-letters"];
    all.extend(arguments);
    all.extend(["--config", config.to_str().unwrap()]);
    let finished = sluice(&all);
    assert_eq!(finished.code, Some(0), "{}", finished.output);
    finished
}

fn listed(site: &Site, pipeline: &str) -> Vec<Value> {
    let output = dead_letters(site, &["show", "--json", "--pipeline", pipeline]).output;
    let start = output.find('[').unwrap_or_else(|| panic!("{output}"));
    serde_json::Deserializer::from_str(&output[start..]).into_iter().next().unwrap().unwrap()
}

fn offsets(site: &Site, pipeline: &str) -> Vec<u64> {
    listed(site, pipeline).iter().map(|letter| letter["offset"].as_u64().unwrap()).collect()
}

fn await_offsets(site: &Site, pipeline: &str, expected: &[u64]) {
    eventually(&format!("{pipeline} has letters of {expected:?}"), PATIENCE, || {
        let offsets = offsets(site, pipeline);
        if offsets == expected { Ok(()) } else { Err(format!("{offsets:?}")) }
    });
}

fn assert_is(letter: &Value, bad: &Bad, offset: u64) {
    assert_eq!(letter["offset"], offset, "{letter}");
    assert_eq!(letter["value"], bad.record, "{letter}");
    assert_eq!(letter["stage"], bad.stage, "{letter}");
    assert!(letter["reason"].as_str().unwrap().contains(bad.reason), "{letter}");
    assert_eq!(letter["operator"].is_string(), bad.stage != "decode", "{letter}");
}

/// Each bad record between two good ones.
fn mixed() -> Vec<&'static str> {
    BAD.iter().flat_map(|bad| [GOOD, bad.record]).chain([GOOD]).collect()
}

const SUM: i64 = 5 * (BAD.len() as i64 + 1);

fn every_kind_is_kept(world: World) {
    let site = Site::empty(world, 1);
    let topic = site.topic_name(GIFTS);
    deploy(&site, &guest("gift_sum_fragile"));
    add(&site, "kept", &topic, "dead_letter", |_| {});
    add(&site, "skipped", &topic, "skip", |_| {});
    site.send(GIFTS, &mixed());
    let mut host = Host::start(&site);
    for name in ["kept", "skipped"] {
        site.tables().await_rows(gifts(), name, json!([["1", SUM]]));
        let status = host.wait(name, "all are counted", |pipeline| pipeline.count("rejected") == BAD.len() as u64);
        assert_eq!(status.by_reason("reasons").values().sum::<u64>(), BAD.len() as u64, "{status:?}");
        assert_eq!(status.state, "running", "{status:?}");
    }
    host.wait("kept", "all are written", |pipeline| pipeline.count("dead_letters") == BAD.len() as u64);
    let letters = listed(&site, "kept");
    assert_eq!(letters.len(), BAD.len());
    for (i, (letter, bad)) in letters.iter().zip(&BAD).enumerate() {
        assert_is(letter, bad, 2 * i as u64 + 1);
    }
    assert_eq!(listed(&site, "skipped"), Vec::<Value>::new());
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn each_kind_of_bad_record_is_kept_or_skipped_and_the_others_count_on_the_embedded_default() {
    every_kind_is_kept(World::Embedded);
}

#[test]
fn each_kind_of_bad_record_is_kept_or_skipped_and_the_others_count_on_servers() {
    every_kind_is_kept(World::Servers);
}

#[test]
fn each_kind_of_bad_record_stops_a_pipeline_that_says_so_after_exactly_those_before_it() {
    let site = Site::empty(World::Embedded, 1);
    deploy(&site, &guest("gift_sum_fragile"));
    for bad in &BAD {
        add(&site, bad.name, bad.name, "stop", |_| {});
        site.send(bad.name, &[GOOD, GOOD, bad.record, GOOD]);
    }
    let mut host = Host::start(&site);
    for bad in &BAD {
        let stopped = host.wait(bad.name, "it has stopped", |pipeline| pipeline.state == "stopped");
        let reason = stopped.reason.unwrap();
        for part in [bad.name, "offset 2", bad.reason] {
            assert!(reason.contains(part), "{}: {part} in: {reason}", bad.name);
        }
        site.tables().await_rows(gifts(), bad.name, json!([["1", 10]]));
    }
}

#[test]
fn unless_told_otherwise_a_rejected_row_is_kept_and_a_record_that_is_no_json_stops() {
    let site = Site::empty(World::Embedded, 1);
    deploy(&site, &guest("gift_sum_fragile"));
    add(&site, "unset", GIFTS, "", |pipeline| drop(pipeline.remove("on_error")));
    site.send(GIFTS, &[GOOD, BAD[2].record, BAD[3].record, GOOD, "{", GOOD]);
    let mut host = Host::start(&site);
    host.wait("unset", "it has stopped", |pipeline| pipeline.state == "stopped");
    site.tables().await_rows(gifts(), "unset", json!([["1", 10]]));
    await_offsets(&site, "unset", &[1, 2]);
}

#[test]
fn a_required_lookup_that_misses_is_a_dead_letter_and_others_are_joined() {
    let site = Site::empty(World::Embedded, 1);
    site.add_pipeline("modules", "module_count", |pipeline| {
        pipeline["step"][0]["lookup"]["join"] = "required".into();
    });
    site.send(ENTRIES, &[r#"{"user_id":1,"room_id":20210813}"#, r#"{"user_id":1,"room_id":0}"#, r#"{"user_id":1}"#]);
    let host = Host::start(&site);
    await_offsets(&site, "modules", &[1, 2]);
    assert!(listed(&site, "modules").iter().all(|letter| letter["stage"] == "step[0]"));
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn a_row_that_the_table_does_not_take_follows_the_policy() {
    let entry = |ip: &str| format!(r#"{{"user_id":1,"ip":"{ip}","room_id":1,"arrive_time":"2021-08-16 09:48:01"}}"#);
    let (short, long, wide) = (entry("a"), entry(&"x".repeat(100)), entry("🎁"));
    let site = Site::empty(World::Servers, 1);
    for (name, on_error) in [("kept", "dead_letter"), ("skipped", "skip"), ("stopped", "stop")] {
        site.tables().execute(format!(
            "CREATE TABLE {name} (user_id BIGINT, ip VARCHAR(64) CHARACTER SET utf8mb3 COLLATE utf8mb3_nopad_bin, room_id VARCHAR(64), arrive_time DATETIME(6), leave_time \
             DATETIME(6), create_time DATETIME(6), region_code VARCHAR(32), grade INT, province VARCHAR(64), PRIMARY KEY \
             (user_id, ip, room_id, arrive_time)) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"
        ));
        site.add_pipeline(name, "live_cleanup", |pipeline| {
            pipeline["sink"][0]["table"] = name.into();
            pipeline.insert("on_error".into(), on_error.into());
        });
    }
    let third = entry("b");
    site.send(ENTRIES, &[&short, &long, &third, &wide]);
    let mut host = Host::start(&site);
    let row = |ip: &str| json!([1, ip, "1", "2021-08-16 09:48:01.000000", null, null, null, null, null]);
    let cleanup = metric("live_cleanup");
    site.tables().await_rows(cleanup, "kept", json!([row("a"), row("b")]));
    site.tables().await_rows(cleanup, "skipped", json!([row("a"), row("b")]));
    let stopped = host.wait("stopped", "it has stopped", |pipeline| pipeline.state == "stopped");
    assert!(stopped.reason.unwrap().contains("offset 1"));
    site.tables().await_rows(cleanup, "stopped", json!([row("a")]));
    await_offsets(&site, "kept", &[1, 3]);
    assert!(listed(&site, "kept").iter().all(|letter| letter["stage"] == "sink"));
    assert_eq!(listed(&site, "skipped"), Vec::<Value>::new());
}

/// Bad records that the mended operator takes, with what it then adds up to.
fn mendable() -> (Vec<&'static str>, i64) {
    let records = vec![GOOD, BAD[2].record, GOOD, BAD[3].record, BAD[4].record, GOOD];
    // Three good ones, and what the others add.
    (records, 3 * 5 + (-15 - 13 - 14))
}

#[test]
fn a_retry_after_mending_makes_the_table_equal_to_a_run_without_the_fault() {
    for world in [World::Embedded, World::Servers, World::Mysql] {
        let site = Site::empty(world, 1);
        let (records, sum) = mendable();
        deploy(&site, &guest("gift_sum_fragile"));
        add(&site, "mended", &site.topic_name(GIFTS), "dead_letter", |_| {});
        site.send(GIFTS, &records);
        let mut host = Host::start(&site);
        await_offsets(&site, "mended", &[1, 3, 4]);
        // Not yet mended: they are left out again.
        dead_letters(&site, &["retry", "--yes"]);
        eventually("every retry is done", PATIENCE, || {
            let letters = listed(&site, "mended");
            let waiting = letters.iter().filter(|letter| letter["retry"] == true).count();
            (waiting == 0 && letters.len() == 3).then_some(()).ok_or_else(|| format!("{letters:?}"))
        });
        site.tables().await_rows(gifts(), "mended", json!([["1", 15]]));
        deploy(&site, &std::fs::read(site.path("operators/gift_sum.wasm")).unwrap());
        host.wait("mended", "the mended operator runs", |pipeline| {
            pipeline.operator.as_ref().is_some_and(|operator| operator.generation == 2)
        });
        dead_letters(&site, &["retry", "--yes", "--reason", "trapped"]);
        await_offsets(&site, "mended", &[1, 4]);
        site.tables().await_rows(gifts(), "mended", json!([["1", 15 - 13]]));
        dead_letters(&site, &["retry", "--yes"]);
        await_offsets(&site, "mended", &[]);
        site.tables().await_rows(gifts(), "mended", json!([["1", sum]]));
        assert_eq!(host.terminate().code, Some(0));
    }
}

#[test]
fn a_retry_counts_once_though_the_host_is_killed_again_and_again() {
    let site = Site::empty(World::Embedded, 1);
    let (records, sum) = mendable();
    deploy(&site, &guest("gift_sum_fragile"));
    add(&site, "mended", GIFTS, "dead_letter", |_| {});
    site.send(GIFTS, &records);
    let host = Host::start(&site);
    await_offsets(&site, "mended", &[1, 3, 4]);
    host.kill();
    deploy(&site, &std::fs::read(site.path("operators/gift_sum.wasm")).unwrap());
    dead_letters(&site, &["retry", "--yes"]);
    for _ in 0..3 {
        let mut host = Host::start(&site);
        host.wait("mended", "it runs", |pipeline| pipeline.state == "running");
        host.kill();
    }
    let host = Host::start(&site);
    await_offsets(&site, "mended", &[]);
    site.tables().await_rows(gifts(), "mended", json!([["1", sum]]));
    assert_eq!(host.terminate().code, Some(0));
}

fn each_bad_record_has_one_letter_after_a_kill(world: World) {
    let site = Site::empty(world, 1);
    add(&site, "killed", &site.topic_name(GIFTS), "dead_letter", |pipeline| {
        pipeline["step"][0]["operator"] = "gift_sum".into();
    });
    let records: Vec<&str> = (0..60_000).map(|i| if i % 97 == 0 { "{" } else { GOOD }).collect();
    let bad: BTreeSet<u64> = (0..60_000).filter(|i| i % 97 == 0).collect();
    site.send(GIFTS, &records[..40_000]);
    for _ in 0..3 {
        let mut host = Host::start(&site);
        host.wait("killed", "it has begun", |pipeline| pipeline.count("dead_letters") > 0);
        host.kill();
    }
    site.send(GIFTS, &records[40_000..]);
    let host = Host::start(&site);
    let sum = 5 * (60_000 - bad.len() as i64);
    site.tables().await_rows(gifts(), "killed", json!([["1", sum]]));
    assert_eq!(host.terminate().code, Some(0));
    let letters = offsets(&site, "killed");
    assert_eq!(letters.len(), bad.len());
    assert_eq!(letters.into_iter().collect::<BTreeSet<_>>(), bad);
}

#[test]
fn after_a_kill_in_the_middle_each_bad_record_has_one_letter_and_no_good_one_is_lost_on_mariadb() {
    each_bad_record_has_one_letter_after_a_kill(World::Servers);
}

#[test]
fn after_a_kill_in_the_middle_each_bad_record_has_one_letter_and_no_good_one_is_lost_on_mysql() {
    each_bad_record_has_one_letter_after_a_kill(World::Mysql);
}

/// A place for letters that is no table.
fn elsewhere(site: &Site, world: World, name: &str) -> toml::Value {
    match world {
        World::Servers | World::Mysql => {
            toml(&format!("connection = 'events'\ntopic = '{}-{name}-letters'", site.topic_name(GIFTS)))
        }
        World::Embedded => toml(&format!("file = '../{name}.jsonl'")),
    }
}

/// Removes the topic, which is not the site's own.
fn forget(site: &Site, world: World, name: &str) {
    if world.has_servers() {
        Topic::remove(&format!("{}-{name}-letters", site.topic_name(GIFTS)));
    }
}

#[test]
fn letters_in_a_topic_or_a_file_are_kept_retried_and_dropped_as_those_in_a_table() {
    for world in [World::Embedded, World::Servers] {
        let site = Site::empty(world, 1);
        let (mut records, sum) = mendable();
        // One that no operator mends.
        records.push("{");
        deploy(&site, &guest("gift_sum_fragile"));
        let place = elsewhere(&site, world, "mended");
        add(&site, "mended", &site.topic_name(GIFTS), "dead_letter", |pipeline| {
            pipeline.insert("dead_letters".into(), place);
        });
        site.send(GIFTS, &records);
        let host = Host::start(&site);
        await_offsets(&site, "mended", &[1, 3, 4, 6]);
        let letters = listed(&site, "mended");
        for (letter, (bad, offset)) in letters.iter().zip([(&BAD[2], 1), (&BAD[3], 3), (&BAD[4], 4), (&BAD[0], 6)]) {
            assert_is(letter, bad, offset);
        }
        host.kill();
        deploy(&site, &std::fs::read(site.path("operators/gift_sum.wasm")).unwrap());
        dead_letters(&site, &["retry", "--yes"]);
        for _ in 0..3 {
            let mut host = Host::start(&site);
            host.wait("mended", "it runs", |pipeline| pipeline.state == "running");
            host.kill();
        }
        let host = Host::start(&site);
        await_offsets(&site, "mended", &[6]);
        site.tables().await_rows(gifts(), "mended", json!([["1", sum]]));
        eventually("the last is left out again", PATIENCE, || {
            let letters = listed(&site, "mended");
            if letters[0]["retry"] == false { Ok(()) } else { Err(format!("{letters:?}")) }
        });
        dead_letters(&site, &["drop", "--yes", "--reason", "JSON"]);
        await_offsets(&site, "mended", &[]);
        assert_eq!(host.terminate().code, Some(0));
        forget(&site, world, "mended");
    }
}

#[test]
fn after_kills_each_bad_record_has_one_letter_in_a_topic_or_a_file() {
    const RECORDS: i64 = 30_000;
    for world in [World::Embedded, World::Servers] {
        let site = Site::empty(world, 1);
        let place = elsewhere(&site, world, "killed");
        add(&site, "killed", &site.topic_name(GIFTS), "dead_letter", |pipeline| {
            pipeline["step"][0]["operator"] = "gift_sum".into();
            pipeline.insert("dead_letters".into(), place);
        });
        let records: Vec<&str> = (0..RECORDS).map(|i| if i % 97 == 0 { "{" } else { GOOD }).collect();
        let bad: Vec<u64> = (0..RECORDS as u64).filter(|i| i % 97 == 0).collect();
        for part in records.chunks(10_000) {
            site.send(GIFTS, part);
            let mut host = Host::start(&site);
            host.wait("killed", "it has begun", |pipeline| {
                pipeline.count("dead_letters") > 0 || pipeline.lag() == Some(0)
            });
            host.kill();
        }
        let mut host = Host::start(&site);
        site.tables().await_rows(gifts(), "killed", json!([["1", 5 * (RECORDS - bad.len() as i64)]]));
        // The rows may have been there before it was ready to be asked to end.
        host.wait("killed", "it has read all", |pipeline| pipeline.lag() == Some(0));
        assert_eq!(host.terminate().code, Some(0));
        assert_eq!(offsets(&site, "killed"), bad);
        forget(&site, world, "killed");
    }
}

#[test]
fn dropped_letters_are_gone_and_nothing_is_changed_without_a_yes() {
    let site = Site::empty(World::Embedded, 1);
    deploy(&site, &guest("gift_sum_fragile"));
    add(&site, "dropped", GIFTS, "dead_letter", |_| {});
    site.send(GIFTS, &mixed());
    let host = Host::start(&site);
    let all: Vec<u64> = (0..BAD.len() as u64).map(|i| 2 * i + 1).collect();
    await_offsets(&site, "dropped", &all);
    let config = site.config();
    let refused = sluice(&["dead-letters", "drop", "--config", config.to_str().unwrap()]);
    assert_eq!(refused.code, Some(1), "{}", refused.output);
    assert!(refused.output.contains("--yes"), "{}", refused.output);
    await_offsets(&site, "dropped", &all);
    dead_letters(&site, &["drop", "--yes", "--reason", "valid JSON"]);
    let others: Vec<u64> =
        all.iter().zip(&BAD).filter(|(_, bad)| bad.reason != "JSON").map(|(offset, _)| *offset).collect();
    await_offsets(&site, "dropped", &others);
    dead_letters(&site, &["drop", "--yes", "--offset", "3"]);
    await_offsets(&site, "dropped", &others[1..]);
    assert_eq!(host.terminate().code, Some(0));
}
