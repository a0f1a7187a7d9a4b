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
mod ending;
mod files;
mod neighbours;
mod probe;
mod transformers;

use std::collections::BTreeSet;

use sluice_testing::behaviours;

#[test]
fn every_behaviour_of_the_guests_goes_through_the_whole_host() {
    for (guest, cases) in [("transformer", transformers::CASES), ("aggregator", aggregators::CASES)] {
        let tried: BTreeSet<String> = cases.iter().map(|case| case.behaviour.to_owned()).collect();
        let missing: Vec<String> = behaviours(guest).difference(&tried).cloned().collect();
        assert!(missing.is_empty(), "nothing tries {missing:?} of the {guest}");
        assert_eq!(tried.len(), cases.len(), "{guest}");
    }
}
