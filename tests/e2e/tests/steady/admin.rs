//! Which code a pipeline runs, as people decide it: history, pin, roll-back, and who may ask.

use std::fs;

use serde_json::{Value, json};
use sluice_e2e::{
    Finished, GIFTS, Host, Metric, PATIENCE, Pipeline, Site, World, eventually, guest, metric, sluice, toml,
};

const GIFT: &str = r#"{"gift_type":1,"gift_total_amount":5}"#;

fn gifts() -> &'static Metric {
    metric("gift_sum")
}

/// `sluice ARGUMENTS… --config` of the site.
fn command(site: &Site, arguments: &[&str]) -> Finished {
    let config = site.config();
    sluice(&[arguments, &["--config", config.to_str().unwrap()]].concat())
}

fn done(site: &Site, arguments: &[&str]) -> String {
    let finished = command(site, arguments);
    assert_eq!(finished.code, Some(0), "{arguments:?}: {}", finished.output);
    finished.output
}

fn refused(site: &Site, arguments: &[&str], why: &str) {
    let finished = command(site, arguments);
    assert_eq!(finished.code, Some(1), "{arguments:?}: {}", finished.output);
    assert!(finished.output.contains(why), "{why} in {}", finished.output);
    assert_eq!(finished.output.trim_end().lines().count(), 1, "one sentence: {}", finished.output);
}

/// The last line of the history, of which the newest is the first.
fn history(site: &Site) -> Vec<Value> {
    let history: Value = serde_json::from_str(&done(site, &["history", "gift_sum", "--json"])).unwrap();
    history["deployments"].as_array().unwrap().clone()
}

/// A host that has summed one gift of type 1.
fn running() -> (Site, Host) {
    let site = Site::empty(World::Embedded, 1);
    site.add_pipeline("gift_sum", "gift_sum", |pipeline| {
        let sink = pipeline["sink"][0].as_table_mut().unwrap();
        sink.insert("generation".into(), true.into());
    });
    let host = start(&site);
    (site, host)
}

fn start(site: &Site) -> Host {
    site.send(GIFTS, &[GIFT]);
    let host = Host::start(site);
    await_sum(site, 5);
    host
}

fn await_sum(site: &Site, sum: i64) {
    site.tables().await_rows(gifts(), gifts().table, json!([["1", sum]]));
}

/// One more gift, and what the total is with it.
fn give(site: &Site, sum: i64) {
    site.send(GIFTS, &[GIFT]);
    await_sum(site, sum);
}

fn deploy(site: &Site, component: &[u8]) {
    site.write(&site.path("operators/gift_sum.wasm"), component);
}

/// A version of gift_sum to which each gift counts twice; its state has the same form.
fn doubled() -> Vec<u8> {
    guest("gift_sum_doubled")
}

fn generation(number: u64) -> impl Fn(&Pipeline) -> bool {
    move |pipeline| pipeline.operator.as_ref().is_some_and(|operator| operator.generation == number)
}

#[test]
fn a_roll_back_brings_the_old_code_back_says_so_and_stays_until_unpinned() {
    let (site, mut host) = running();
    let first = host.wait("gift_sum", "it runs", generation(1)).operator.unwrap();
    refused(&site, &["rollback", "gift_sum"], "no generation with other operators");
    deploy(&site, &doubled());
    let second = host.wait("gift_sum", "the new operator runs", generation(2)).operator.unwrap();
    give(&site, 15);

    let said = done(&site, &["rollback", "gift_sum"]);
    assert!(said.contains("the operators of generation 1 again, as generation 3"), "{said}");
    assert!(said.contains(&first.digest[..8]) && said.contains("sluice unpin gift_sum"), "{said}");
    let third = host.wait("gift_sum", "the old operator runs", generation(3));
    assert_eq!(third.operator.unwrap().digest, first.digest);
    assert!(third.refused.unwrap().contains("sluice unpin gift_sum"), "the file that waits is shown");
    give(&site, 20);
    let last = &history(&site)[0];
    assert_eq!((&last["outcome"], &last["generation"]), (&json!("applied"), &json!(3)));
    assert!(last["reason"].as_str().unwrap().contains("back to generation 1"), "{last}");
    assert!(host.log().contains("back to generation 1"));

    refused(&site, &["rollback", "gift_sum", "3"], "generation 3 has the operators that run");
    refused(&site, &["rollback", "gift_sum", "9"], "no generation 9 ran");
    let said = done(&site, &["unpin", "gift_sum"]);
    assert!(said.contains("generation 4 runs"), "{said}");
    let fourth = host.wait("gift_sum", "the newest operator runs", generation(4)).operator.unwrap();
    assert_eq!(fourth.digest, second.digest);
    give(&site, 30);
    refused(&site, &["unpin", "gift_sum"], "is not pinned");
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn what_is_on_trial_is_rolled_back_by_hand_as_if_it_had_never_been() {
    let site = Site::empty(World::Embedded, 1);
    site.add_pipeline("gift_sum", "gift_sum", |pipeline| {
        pipeline.insert("probation".into(), toml("time = '1h'\nrows = 1000000"));
    });
    let mut host = start(&site);
    let first = host.wait("gift_sum", "it runs", generation(1)).operator.unwrap();
    deploy(&site, &doubled());
    host.wait("gift_sum", "the new operator is on trial", |pipeline| pipeline.on_trial);
    refused(&site, &["pin", "gift_sum"], "generation 2 is on trial");
    give(&site, 15);
    let said = done(&site, &["rollback", "gift_sum"]);
    assert!(said.contains("goes back to generation 1"), "{said}");
    await_sum(&site, 10);
    let back = host.wait("gift_sum", "the old one runs", |pipeline| !pipeline.on_trial && generation(1)(pipeline));
    assert_eq!(back.operator.unwrap().digest, first.digest);
    assert_eq!(history(&site)[0]["outcome"], json!("rolled_back"));
    give(&site, 15);
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn a_pin_survives_a_restart_and_the_status_says_what_waits() {
    let (site, mut host) = running();
    let first = host.wait("gift_sum", "it runs", generation(1)).operator.unwrap();
    let said = done(&site, &["pin", "gift_sum"]);
    assert!(said.contains("stays with generation 1"), "{said}");
    deploy(&site, &doubled());
    let waits = |pipeline: &Pipeline| pipeline.refused.as_ref().is_some_and(|reason| reason.contains("pinned"));
    host.wait("gift_sum", "the newer file waits", waits);
    give(&site, 10);
    assert_eq!(host.terminate().code, Some(0));

    let mut host = Host::start(&site);
    let pinned = host.wait("gift_sum", "it runs", |pipeline| pipeline.state == "running" && waits(pipeline));
    assert_eq!(pinned.operator.unwrap().digest, first.digest);
    give(&site, 15);
    let shown = done(&site, &["status"]);
    assert!(shown.contains("pinned") && shown.contains(&first.digest[..8]), "{shown}");
    // Also without any file.
    fs::remove_file(site.path("operators/gift_sum.wasm")).unwrap();
    host.kill();
    let mut host = Host::start(&site);
    host.wait("gift_sum", "it runs", |pipeline| pipeline.state == "running");
    give(&site, 20);
    deploy(&site, &doubled());
    host.wait("gift_sum", "the newer file waits", waits);
    done(&site, &["unpin", "gift_sum"]);
    host.wait("gift_sum", "the newer one runs", generation(2));
    give(&site, 30);
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn a_stopped_pipeline_is_rolled_back_to_what_ran_before() {
    let site = Site::empty(World::Embedded, 1);
    site.add_pipeline("gift_sum", "gift_sum", |pipeline| drop(pipeline.insert("on_error".into(), "stop".into())));
    let mut host = start(&site);
    host.wait("gift_sum", "it runs", generation(1));
    deploy(&site, &guest("gift_sum_fragile"));
    host.wait("gift_sum", "the new operator runs", generation(2));
    // The fragile one traps at this amount, which is none of the old one's business.
    site.send(GIFTS, &[r#"{"gift_type":1,"gift_total_amount":-13}"#]);
    let at_rest = |pipeline: &Pipeline| ["stopped", "disabled"].contains(&pipeline.state.as_str());
    host.wait("gift_sum", "it stops", at_rest);
    let said = done(&site, &["rollback", "gift_sum"]);
    assert!(said.contains("pinned to the operators of generation 1"), "{said}");
    await_sum(&site, -8);
    let back = host.wait("gift_sum", "it runs again", generation(3));
    assert_eq!((back.state.as_str(), back.count("rejected")), ("running", 0));
    assert!(history(&site)[0]["reason"].as_str().unwrap().contains("back to generation 1"));
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn a_history_shows_what_was_applied_and_refused_also_while_the_host_is_down() {
    let (site, mut host) = running();
    host.wait("gift_sum", "it runs", generation(1));
    deploy(&site, b"nonsense");
    host.wait("gift_sum", "the nonsense is refused", |pipeline| pipeline.refused.is_some());
    let lines = eventually("the refusal is in the history", PATIENCE, || {
        let lines = history(&site);
        if lines.len() == 2 { Ok(lines) } else { Err(format!("{lines:?}")) }
    });
    assert_eq!((&lines[0]["outcome"], &lines[0]["generation"]), (&json!("refused"), &json!(2)));
    assert!(lines[0]["reason"].as_str().unwrap().contains("not WebAssembly"), "{}", lines[0]);
    assert_eq!((&lines[1]["outcome"], &lines[1]["generation"]), (&json!("applied"), &json!(1)));
    assert_eq!(host.terminate().code, Some(0));
    assert_eq!(history(&site), lines);
    let shown = done(&site, &["history", "gift_sum"]);
    assert!(shown.contains("refused") && shown.contains("applied"), "{shown}");
    refused(&site, &["history", "nobody"], "nothing ran yet");
    // A restart with the same operator is no deployment.
    deploy(&site, &fs::read(sluice_e2e::root().join("dist/operators/gift_sum.wasm")).unwrap());
    let mut host = Host::start(&site);
    host.wait("gift_sum", "it runs", generation(1));
    assert_eq!(history(&site), lines);
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn a_row_says_which_generation_wrote_it_and_a_letter_which_operator_refused_it() {
    let (site, mut host) = running();
    let first = host.wait("gift_sum", "it runs", generation(1)).operator.unwrap();
    let written = |expected: Value| {
        eventually(&format!("the generations are {expected}"), PATIENCE, || {
            let columns = &[("gift_type", sluice_e2e::Kind::Text), ("_generation", sluice_e2e::Kind::Integer)];
            let rows = site.tables().rows(&Metric { columns, ..*gifts() }, gifts().table)?;
            if json!(rows) == expected { Ok(()) } else { Err(format!("{rows:?}")) }
        });
    };
    written(json!([["1", 1]]));
    deploy(&site, &guest("gift_sum_fragile"));
    let second = host.wait("gift_sum", "the new operator runs", generation(2)).operator.unwrap();
    // All groups are written again by the new code; a new one is.
    site.send(GIFTS, &[r#"{"gift_type":2,"gift_total_amount":5}"#, r#"{"gift_type":1,"gift_total_amount":-15}"#]);
    written(json!([["1", 2], ["2", 2]]));
    host.wait("gift_sum", "the letter is written", |pipeline| pipeline.count("dead_letters") == 1);
    let letters = done(&site, &["dead-letters", "show", "--json", "--pipeline", "gift_sum"]);
    assert!(letters.contains(&second.digest) && !letters.contains(&first.digest), "{letters}");
    assert_eq!(host.terminate().code, Some(0));
    let checkpoint = sluice(&["state", "--config", site.config().to_str().unwrap(), "show", "gift_sum"]).output;
    assert!(checkpoint.contains(&second.digest) && !checkpoint.contains(&first.digest), "{checkpoint}");
    assert!(checkpoint.contains(r#""generation": 2"#), "{checkpoint}");
}

#[test]
fn without_the_token_nothing_changes_and_each_reason_is_a_sentence() {
    let (site, mut host) = running();
    host.wait("gift_sum", "it runs", generation(1));
    let token = site.path("state/admin.token");
    let right = fs::read_to_string(&token).unwrap();
    fs::write(&token, "0".repeat(64)).unwrap();
    refused(&site, &["pin", "gift_sum"], "another token");
    fs::remove_file(&token).unwrap();
    refused(&site, &["pin", "gift_sum"], "admin.token");
    site.write(&token, right.as_bytes());
    refused(&site, &["pin", "gift_sum"], "others may read it");
    let shown: Value = serde_json::from_str(&done(&site, &["status", "--json"])).unwrap();
    assert_eq!(shown["pipelines"][0]["pinned"], json!(false), "to look needs no token");
    fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    refused(&site, &["pin", "nobody"], "there are gift_sum");
    done(&site, &["pin", "gift_sum"]);
    assert_eq!(host.terminate().code, Some(0));
    refused(&site, &["status"], "sluice run");
    refused(&site, &["unpin", "gift_sum"], "sluice run");
    site.configure(|config| drop(config.remove("admin")));
    refused(&site, &["status"], "no admin API");
}

#[test]
fn a_status_needs_no_valid_pipeline_and_no_variable_of_the_service() {
    let (site, mut host) = running();
    host.wait("gift_sum", "it runs", |pipeline| pipeline.lag() == Some(0));
    let extra = "\n[connections.other]\nmysql = { url = \"${SLUICE_E2E_NOT_SET}\" }\n";
    let config = fs::read_to_string(site.config()).unwrap();
    fs::write(site.config(), config + extra).unwrap();
    fs::write(site.path("pipelines/broken.toml"), "nonsense").unwrap();
    let shown: Value = serde_json::from_str(&done(&site, &["status", "--json"])).unwrap();
    let pipeline = &shown["pipelines"][0];
    assert_eq!((&pipeline["name"], &pipeline["state"]), (&json!("gift_sum"), &json!("running")));
    assert!(pipeline["since"].is_string() && pipeline["rate"].is_number(), "{pipeline}");
    assert_eq!(pipeline["deployments"][0]["outcome"], json!("applied"));
    assert!(pipeline["checkpoint_bytes"].as_u64().unwrap() > 0, "{pipeline}");
    assert_eq!(host.terminate().code, Some(0));
}
