//! One host with a good pipeline, and one more for each case of misbehaviour.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sluice_e2e::{Finished, GIFTS, Host, Pipeline, Site, World, metric, sluice, zoo_guest};

/// The topic of the records that bad operators are given.
const TOPIC: &str = "zoo";

/// How many there are: more than may be at fault in one batch.
pub const RECORDS: u64 = 120;

/// Where the records are that some behaviours are afraid of.
pub const FEARED: [u64; 2] = [17, 63];

/// What is in the place of a number in these.
pub const FEARED_NUMBER: i64 = -7;

const GIFT: &str = r#"{"gift_type":1,"gift_total_amount":5}"#;

/// What an operator's configuration makes it do, and what is to become of its pipeline.
pub struct Case {
    pub behaviour: &'static str,
    pub outcome: Outcome,
    /// The rows of a batch, where that matters.
    pub batch: Option<u32>,
}

/// What becomes of a pipeline. Reasons are parts of what is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It stops before the first record, until somebody changes something.
    Stops(&'static str),
    /// Its operator is disabled before the first record.
    Disabled(&'static str),
    /// The records that it is afraid of become dead letters, the others are in the table.
    LeavesOut(&'static str),
    /// The records are in the table, all of them.
    Right,
    /// It reads everything; what is in the table is the operator's to answer for.
    Runs,
}

pub const fn case(behaviour: &'static str, outcome: Outcome) -> Case {
    Case { behaviour, outcome, batch: None }
}

/// A site with the neighbour, and records for all.
pub fn site(records: &[String]) -> Site {
    let site = Site::empty(World::Embedded, 1);
    site.add_pipeline("neighbour", "gift_sum", |_| {});
    site.send(GIFTS, &[GIFT]);
    site.send(TOPIC, records);
    site
}

/// Adds a pipeline for each case, with this operator; `columns` and `key` are TOML.
pub fn add(site: &Site, operator: &str, cases: &[Case], columns: &str, key: &str) {
    add_with(site, operator, cases, (columns, key), ("300ms", "500ms"));
}

/// The same, with these times for a call and for opening.
pub fn add_with(
    site: &Site,
    operator: &str,
    cases: &[Case],
    (columns, key): (&str, &str),
    (call_time, open_time): (&str, &str),
) {
    let component = zoo_guest(operator).component;
    site.write(&site.path("operators").join(format!("{operator}.wasm")), &component);
    for (index, case) in cases.iter().enumerate() {
        let name = name(operator, index);
        let batch = case.batch.map_or_else(String::new, |rows| format!("batch = {{ rows = {rows} }}"));
        let text = format!(
            r#"
[source]
connection = "events"
topic = "{TOPIC}"
group = "{name}"
start = "earliest"
columns = {columns}
{batch}
[[step]]
operator = "{operator}"
config = {{ do = "{}" }}
limits = {{ memory = "8MiB", call_time = "{call_time}", open_time = "{open_time}", state = "1KiB" }}
[[sink]]
connection = "livedb"
table = "{name}"
key = {key}
create = true
flush = {{ interval = "100ms" }}
"#,
            case.behaviour
        );
        site.write(&site.path("pipelines").join(format!("{name}.toml")), text.as_bytes());
    }
}

pub fn name(operator: &str, index: usize) -> String {
    format!("{operator}_{index}")
}

/// Runs the host until each case has come out as it is to, and its neighbour has gone on all the while.
pub fn run(site: &Site, operator: &str, cases: &[Case]) -> Finished {
    let mut host = Host::start(site);
    for (index, case) in cases.iter().enumerate() {
        let what = format!("`{}` comes out as {:?}", case.behaviour, case.outcome);
        host.wait(&name(operator, index), &what, |pipeline| is(pipeline, case.outcome));
    }
    assert_neighbour_goes_on(site, &mut host);
    let finished = host.terminate();
    assert_eq!(finished.code, Some(0));
    finished
}

/// The neighbour has read what there was, and reads what comes now.
pub fn assert_neighbour_goes_on(site: &Site, host: &mut Host) {
    let sums = metric("gift_sum");
    site.tables().await_rows(sums, sums.table, json!([["1", 5]]));
    site.send(GIFTS, &[GIFT]);
    site.tables().await_rows(sums, sums.table, json!([["1", 10]]));
    let neighbour = host.wait("neighbour", "it runs", |pipeline| pipeline.state == "running");
    assert_eq!((neighbour.count("rejected"), neighbour.refused), (0, None));
}

fn is(pipeline: &Pipeline, outcome: Outcome) -> bool {
    let says = |part: &str| pipeline.reason.as_ref().is_some_and(|reason| reason.contains(part));
    let through = pipeline.state == "running" && pipeline.lag() == Some(0) && pipeline.count("records") == RECORDS;
    match outcome {
        Outcome::Stops(reason) => pipeline.state == "stopped" && says(reason),
        Outcome::Disabled(reason) => pipeline.state == "disabled" && says(reason),
        Outcome::LeavesOut(reason) => {
            through
                && pipeline.count("dead_letters") == FEARED.len() as u64
                && pipeline.by_reason("reasons").keys().all(|said| said.contains(reason))
        }
        Outcome::Right => through && pipeline.count("rejected") == 0,
        Outcome::Runs => through,
    }
}

/// The offset before which everything is done with, as the checkpoint says; none without a checkpoint.
pub fn consumed(site: &Site, pipeline: &str) -> u64 {
    let config = site.config();
    let shown = sluice(&["state", "--config", config.to_str().unwrap(), "show", pipeline, "--limit", "0"]);
    if shown.output.contains("has no checkpoint") {
        return 0;
    }
    assert_eq!(shown.code, Some(0), "{}", shown.output);
    let head: Value = first_json(&shown.output);
    head["intervals"]["0"][1].as_u64().unwrap_or_else(|| panic!("no end of partition 0 in {head}"))
}

/// The offsets of the pipeline's dead letters.
pub fn letters(site: &Site, pipeline: &str) -> BTreeSet<u64> {
    let config = site.config();
    let show = ["--log", "human", "dead-letters", "show", "--json", "--pipeline", pipeline, "--config"];
    let shown = sluice(&[&show[..], &[config.to_str().unwrap()]].concat());
    assert_eq!(shown.code, Some(0), "{}", shown.output);
    let letters: Vec<Value> = serde_json::from_value(first_json(&shown.output)).unwrap();
    letters.iter().map(|letter| letter["offset"].as_u64().unwrap()).collect()
}

fn first_json(output: &str) -> Value {
    let start = output.find(['{', '[']).unwrap_or_else(|| panic!("no JSON: {output}"));
    serde_json::Deserializer::from_str(&output[start..]).into_iter().next().unwrap().unwrap()
}
