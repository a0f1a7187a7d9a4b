//! Operators that misbehave, each through the whole host: what becomes of its pipeline, that its neighbours don't notice, and that
//! no record is lost.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "tests fail by panicking, and their names are their claims"
)]

mod aggregators;
mod cage;
#[path = "../../../../host/runtime/tests/zoo/components.rs"]
mod components;
mod ending;
mod files;
mod neighbours;
mod probe;
mod transformers;

use std::collections::BTreeSet;

/// What a guest's sources call behaviours: arms of a match, and comparisons.
fn behaviours(directory: &str) -> BTreeSet<String> {
    let sources = std::fs::read_dir(sluice_e2e::root().join(directory)).unwrap();
    let text: String = sources.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    let named = |line: &str| {
        let (quoted, arm) = match line.trim().strip_prefix('"') {
            Some(rest) => (rest, true),
            None => (line.split_once("behaviour() == \"")?.1, false),
        };
        let (name, rest) = quoted.split_once('"')?;
        (!arm || rest.starts_with(" =>") || rest.starts_with(" if ")).then(|| name.to_owned())
    };
    text.lines().filter_map(named).collect()
}

#[test]
fn every_behaviour_of_the_guests_goes_through_the_whole_host() {
    for (directory, cases) in
        [("tests/guests/transformer/src", transformers::CASES), ("tests/guests/aggregator/src", aggregators::CASES)]
    {
        let tried: BTreeSet<String> = cases.iter().map(|case| case.behaviour.to_owned()).collect();
        let missing: Vec<String> = behaviours(directory).difference(&tried).cloned().collect();
        assert!(missing.is_empty(), "nothing tries {missing:?} of {directory}");
        assert_eq!(tried.len(), cases.len(), "{directory}");
    }
}
