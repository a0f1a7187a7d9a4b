//! What must hold, whatever happened.

use std::collections::BTreeMap;

use sluice_core::checkpoint::{Checkpoint, CheckpointStore};
use sluice_core::fold::{decode_states, stored_version};
use sluice_core::{Kind, row};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;

use crate::host::Host;
use crate::world::{PIPELINE, World};

/// What a fold may have in memory beyond its bound: the groups of the last batch, and those of a flush under way.
const SLACK: usize = 64 << 10;

/// Invariants of every moment.
pub fn every_step(world: &World, host: &Host) {
    if let Some(head) = world.store.head(PIPELINE).unwrap() {
        states_are_those_of_the_intervals(world, &head);
    }
    if let Some(fold) = host.chain.fold() {
        assert!(fold.bytes() <= world.memory.saturating_add(SLACK), "memory is bounded");
    }
}

/// Every record of the committed intervals is in the committed states once, and no other is.
fn states_are_those_of_the_intervals(world: &World, head: &Checkpoint) {
    if !world.folds {
        return;
    }
    let mut expected = BTreeMap::new();
    for (partition, interval) in head.intervals.iter() {
        let range = usize::try_from(interval.start().0).unwrap()..usize::try_from(interval.end().0).unwrap();
        for (key, value) in &world.topic[usize::try_from(partition.0).unwrap()][range] {
            *expected.entry(*key).or_insert(0) += value;
        }
    }
    assert_eq!(stored_sums(world), expected, "committed states are the sums of the committed intervals");
}

fn stored_sums(world: &World) -> BTreeMap<i64, i64> {
    let groups = world.store.scan(PIPELINE, None, usize::MAX).unwrap();
    let kinds = [Kind::Int64];
    let keys = row::decode(&kinds, groups.iter().map(|(key, _)| key.as_slice())).expect("keys are whole");
    let states = decode_states(&kinds, groups.iter().map(|(_, state)| state.as_slice())).expect("states are whole");
    let numbers = |array: &arrow_array::ArrayRef| array.as_primitive::<Int64Type>().values().to_vec();
    let versions = groups.iter().map(|(_, state)| i64::from(stored_version(state).expect("states say their version")));
    let sums = numbers(&states.columns[0]).into_iter().zip(versions).map(|(sum, version)| sum / version);
    numbers(&keys[0]).into_iter().zip(sums).collect()
}

/// The table equals that of a run without faults.
pub fn at_the_end(world: &World) {
    let mut expected: BTreeMap<i64, i64> = BTreeMap::new();
    for (key, value) in world.topic.iter().flatten() {
        let row = expected.entry(*key).or_insert(0);
        *row = if world.folds { *row + value } else { *value };
    }
    assert_eq!(world.table, expected, "the table is that of an undisturbed run");
}
