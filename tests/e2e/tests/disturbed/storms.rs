use sluice_e2e::{storm, swap_storm};

use crate::alone;

/// A short one of those that `make soak` makes, which has something of each kind.
#[test]
fn every_table_is_right_after_a_storm_of_faults() {
    let _alone = alone();
    storm(4, 4);
}

/// Two hundred deployments at random moments, a third of them of what may not run, and kills of the host among them.
#[test]
fn every_table_is_right_and_the_newest_good_operator_runs_after_a_storm_of_swaps() {
    let _alone = alone();
    swap_storm(5, 20);
}
