//! What files do to a service that are no good, that hang, or that others can't tell from those before; and what it tries again.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use sluice_e2e::{
    Finished, GIFTS, Host, PATIENCE, Pipeline, Site, World, digest, eventually, guest, metric, rebuilt, sluice, toml,
};

const GIFT: &str = r#"{"gift_type":1,"gift_total_amount":5}"#;

fn await_sum(site: &Site, sum: i64) {
    let gifts = metric("gift_sum");
    site.tables().await_rows(gifts, gifts.table, json!([["1", sum]]));
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

/// The files that the status says are refused, and whatever it says of each.
fn refused(site: &Site) -> Vec<(String, String)> {
    let status: Value = serde_json::from_str(&done(site, &["status", "--json"])).unwrap();
    let refused = status["refused"].as_array().unwrap();
    let name = |file: &Value| Path::new(file.as_str().unwrap()).file_name().unwrap().to_str().unwrap().to_owned();
    refused.iter().map(|refused| (name(&refused["file"]), refused["problems"].to_string())).collect()
}

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

fn generation(number: u64) -> impl Fn(&Pipeline) -> bool {
    move |pipeline| pipeline.operator.as_ref().is_some_and(|operator| operator.generation == number)
}

#[test]
fn broken_files_beside_a_good_one_are_refused_at_the_start_as_later_and_what_is_mended_runs() {
    let site = Site::empty(World::Embedded, 1);
    site.add_pipeline("gifts", "gift_sum", |_| {});
    let good = fs::read_to_string(site.path("pipelines/gifts.toml")).unwrap();
    site.write(&site.path("pipelines/torn.toml"), b"[source]\nconnection = \"events\n");
    site.write(&site.path("pipelines/gifts (copy).toml"), good.as_bytes());
    site.write(&site.path("pipelines/twin.toml"), good.as_bytes());
    pipe(&site.path("pipelines/pipe.toml"));
    site.send(GIFTS, &[GIFT]);

    let checked = command(&site, &["check", "--offline"]);
    assert_eq!(checked.code, Some(1), "{}", checked.output);
    let whole = command(&site, &["run", "--until-caught-up"]);
    assert_eq!(whole.code, Some(1), "what is refused has not caught up: {}", whole.output);
    await_sum(&site, 5);

    let mut host = Host::start(&site);
    site.send(GIFTS, &[GIFT]);
    await_sum(&site, 10);
    let parts = [
        ("gifts (copy).toml", "this file name"),
        ("pipe.toml", "something that isn't a file"),
        ("torn.toml", "TOML"),
        ("twin.toml", "source.group"),
    ];
    let said = refused(&site);
    assert_eq!(said.len(), parts.len(), "{said:?}");
    for ((file, part), (name, problems)) in parts.iter().zip(&said) {
        assert!(name == file && problems.contains(part), "{file}: {part} in {said:?}");
        assert!(checked.output.contains(file) && whole.output.contains(file), "{file} in {}", checked.output);
    }
    let shown = done(&site, &["status"]);
    assert!(shown.contains("torn.toml") && shown.contains("twin.toml"), "{shown}");

    let mended = good.replace("live_gift_total_amount", "mended").replace("-gifts\"", "-mended\"");
    assert_ne!(mended, good);
    site.write(&site.path("pipelines/torn.toml"), mended.as_bytes());
    site.tables().await_rows(metric("gift_sum"), "mended", json!([["1", 10]]));
    host.wait("torn", "it runs", |pipeline| pipeline.state == "running");
    assert_eq!(refused(&site).len(), parts.len() - 1);
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn of_two_files_with_one_group_the_one_that_ran_before_runs_after_a_restart() {
    let site = Site::empty(World::Embedded, 1);
    site.add_pipeline("second", "gift_sum", |_| {});
    site.send(GIFTS, &[GIFT]);
    let host = Host::start(&site);
    await_sum(&site, 5);
    let text = fs::read(site.path("pipelines/second.toml")).unwrap();
    // Its name comes before.
    site.write(&site.path("pipelines/first.toml"), &text);
    eventually("the twin is refused", PATIENCE, || match refused(&site).as_slice() {
        [(file, _)] if file == "first.toml" => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(host.terminate().code, Some(0));
    let mut host = Host::start(&site);
    site.send(GIFTS, &[GIFT]);
    await_sum(&site, 10);
    host.wait("second", "it runs", |pipeline| pipeline.state == "running");
    assert_eq!(refused(&site)[0].0, "first.toml");
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn a_pipe_with_an_operators_name_keeps_nobody_from_starting_or_being_deployed() {
    let site = Site::empty(World::Embedded, 1);
    site.add_pipeline("gifts", "gift_sum", |_| {});
    for name in ["early", "late"] {
        site.add_pipeline(name, "gift_sum", |pipeline| {
            pipeline["step"][0]["operator"] = name.into();
            pipeline["sink"][0]["table"] = name.into();
        });
    }
    pipe(&site.path("operators/early.wasm"));
    site.send(GIFTS, &[GIFT]);
    let checked = command(&site, &["check", "--offline"]);
    assert!(checked.output.contains("early.wasm: it is no regular file"), "{}", checked.output);
    let mut host = Host::start(&site);
    await_sum(&site, 5);
    pipe(&site.path("operators/late.wasm"));
    for name in ["early", "late"] {
        host.wait(name, "it waits for a file", |pipeline| {
            pipeline.state == "waiting"
                && pipeline.reason.as_ref().is_some_and(|reason| reason.contains("no regular file"))
        });
    }
    site.write(&site.path("operators/gift_sum.wasm"), &guest("gift_sum_doubled"));
    host.wait("gifts", "what comes later is deployed", generation(2));
    site.write(&site.path("operators/early.wasm"), &guest("gift_sum_doubled"));
    host.wait("early", "a file in the pipe's place is taken", |pipeline| pipeline.state == "running");
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn a_file_of_the_same_size_and_times_as_the_one_before_is_what_runs() {
    let site = Site::empty(World::Embedded, 1);
    site.add_pipeline("gifts", "gift_sum", |_| {});
    let file = site.path("operators/gift_sum.wasm");
    let built = fs::read(&file).unwrap();
    let reproducible = fs::metadata(&file).unwrap().modified().unwrap();
    // Written in place, so that it is the same file, too.
    let put = |content: &[u8]| {
        let mut out = fs::File::options().write(true).truncate(true).open(&file).unwrap();
        out.write_all(content).unwrap();
        out.set_modified(reproducible).unwrap();
    };
    put(&rebuilt(&built, 1));
    site.send(GIFTS, &[GIFT]);
    let mut host = Host::start(&site);
    host.wait_for_artifact("gifts", &digest(&rebuilt(&built, 1)));
    for mark in 2..5 {
        put(&rebuilt(&built, mark));
        host.wait_for_artifact("gifts", &digest(&rebuilt(&built, mark)));
        // Also one that comes right after it.
        put(&rebuilt(&built, mark + 10));
        host.wait_for_artifact("gifts", &digest(&rebuilt(&built, mark + 10)));
    }
    assert_eq!(host.terminate().code, Some(0));
}

/// A host that has summed two gifts into a table that was made by hand.
fn with_own_table() -> (Site, Host) {
    let site = Site::empty(World::Embedded, 1);
    let table = metric("gift_sum").table;
    site.add_pipeline("gifts", "gift_sum", |pipeline| pipeline["sink"][0]["create"] = false.into());
    // An empty file is an empty database.
    fs::write(site.path("live.db"), "").unwrap();
    site.tables().execute(format!("CREATE TABLE {table} (gift_type TEXT PRIMARY KEY, gift_total_amount INTEGER)"));
    site.send(GIFTS, &[GIFT, GIFT]);
    let host = Host::start(&site);
    await_sum(&site, 10);
    (site, host)
}

#[test]
fn a_stop_that_a_flush_found_heals_by_itself_and_is_said_once() {
    let (site, mut host) = with_own_table();
    let table = metric("gift_sum").table;
    site.tables().execute(format!("ALTER TABLE {table} RENAME TO elsewhere"));
    site.send(GIFTS, &[GIFT]);
    let stopped = host.wait("gifts", "it stops", |pipeline| pipeline.state == "stopped");
    assert!(stopped.reason.as_ref().is_some_and(|reason| reason.contains(table)), "{stopped:?}");
    assert_eq!(stopped.lag(), None, "nobody knows how much there is");
    let said = |log: String| log.lines().filter(|line| line.contains("stopped: ")).count();
    // At the flush, then at openings: of the table that isn't there, whoever asks.
    for _ in 0..3 {
        let answer = done(&site, &["start", "gifts"]);
        assert!(answer.contains("from its checkpoint"), "{answer}");
        host.wait("gifts", "it stops again", |pipeline| pipeline.state == "stopped");
    }
    assert!(said(host.log()) <= 2, "{}", host.log());
    site.tables().execute(format!("ALTER TABLE elsewhere RENAME TO {table}"));
    await_sum(&site, 15);
    host.wait("gifts", "it runs", |pipeline| pipeline.state == "running");
    let answer = done(&site, &["start", "gifts"]);
    assert!(answer.contains("has begun already"), "{answer}");
    site.send(GIFTS, &[GIFT]);
    await_sum(&site, 20);
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn a_deployment_that_was_refused_for_a_missing_column_runs_once_it_is_there() {
    let (site, mut host) = with_own_table();
    let table = metric("gift_sum").table;
    let column =
        |from: &str, to: &str| site.tables().execute(format!("ALTER TABLE {table} RENAME COLUMN {from} TO {to}"));
    column("gift_total_amount", "other");
    site.write(&site.path("operators/gift_sum.wasm"), &guest("gift_sum_doubled"));
    let refused = host.wait("gifts", "the new one is refused", |pipeline| pipeline.refused.is_some());
    assert!(refused.refused.as_ref().is_some_and(|reason| reason.contains("gift_total_amount")), "{refused:?}");
    assert!(generation(1)(&refused) && refused.state == "running", "{refused:?}");
    let asked = command(&site, &["deploy", "gifts"]);
    assert_eq!(asked.code, Some(1), "{}", asked.output);
    assert!(asked.output.contains("is refused") && asked.output.contains("gift_total_amount"), "{}", asked.output);
    column("other", "gift_total_amount");
    host.wait("gifts", "the new one runs by itself", |pipeline| generation(2)(pipeline) && pipeline.refused.is_none());
    site.send(GIFTS, &[GIFT]);
    await_sum(&site, 20);
    let answer = done(&site, &["deploy", "gifts"]);
    assert!(answer.contains("runs what is newest"), "{answer}");
    let history: Value = serde_json::from_str(&done(&site, &["history", "gifts", "--json"])).unwrap();
    let outcomes: Vec<&str> =
        history["deployments"].as_array().unwrap().iter().map(|line| line["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["applied", "refused", "applied"], "{history}");
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn a_trial_has_a_time_of_its_own_and_its_roll_back_is_in_the_history_when_it_is_answered() {
    let site = Site::empty(World::Embedded, 1);
    site.add_pipeline("gifts", "gift_sum", |pipeline| {
        pipeline.insert("probation".into(), toml("time = '1h'\nrows = 1000000"));
    });
    site.send(GIFTS, &[GIFT]);
    let mut host = Host::start(&site);
    await_sum(&site, 5);
    let since = || {
        let status: Value = serde_json::from_str(&done(&site, &["status", "--json"])).unwrap();
        status["pipelines"][0]["since"].as_str().unwrap().to_owned()
    };
    let before = since();
    site.write(&site.path("operators/gift_sum.wasm"), &guest("gift_sum_doubled"));
    host.wait("gifts", "it is on trial", |pipeline| pipeline.on_trial);
    assert!(since() > before, "{before}");
    done(&site, &["rollback", "gifts"]);
    let history: Value = serde_json::from_str(&done(&site, &["history", "gifts", "--json"])).unwrap();
    assert_eq!(history["deployments"][0]["outcome"], json!("rolled_back"), "{history}");
    host.wait("gifts", "the one before runs", |pipeline| !pipeline.on_trial && generation(1)(pipeline));
    assert_eq!(since(), before);
    assert_eq!(host.terminate().code, Some(0));
}
