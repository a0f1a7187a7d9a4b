//! A pipeline's life that can be checked at any commit: which groups each commit writes, and what is there after it.

use sluice_core::checkpoint::{Changes, Checkpoint, CheckpointStore, StoreError};

pub const PIPELINE: &str = "gifts";
pub const CACHE: u64 = 1 << 20;
/// A commit writes so many groups of [`GROUPS`], in rotation.
const CHANGED: u64 = 200;
const GROUPS: u64 = 5000;
/// Size of a state, so large that the tree is written every 40 commits.
const STATE_BYTES: usize = 1000;

fn key(group: u64) -> Vec<u8> {
    // Scattered, as hashes of users are.
    group.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes().to_vec()
}

fn state(commit: u64) -> Vec<u8> {
    commit.to_le_bytes().iter().copied().cycle().take(STATE_BYTES).collect()
}

/// Every seventh commit drops its groups.
fn writes(commit: u64) -> bool {
    !commit.is_multiple_of(7)
}

/// The commit of this number, from 1.
pub fn commit(store: &dyn CheckpointStore, number: u64) -> Result<(), StoreError> {
    let mut changes = Changes::default();
    let state = state(number);
    for change in 0..CHANGED {
        changes.push(&key((number * CHANGED + change) % GROUPS), writes(number).then_some(&state));
    }
    store.commit(PIPELINE, &Checkpoint { commits: number, ..Checkpoint::default() }, &changes)
}

/// The last commit before this one, or this one, that wrote the group.
fn last_write(group: u64, commits: u64) -> Option<u64> {
    let rounds = GROUPS / CHANGED;
    let back = (commits + rounds - group / CHANGED) % rounds;
    commits.checked_sub(back).filter(|number| *number > 0)
}

/// The number of the commit that the store is at; fails unless every group is as that commit left it.
pub fn at_one_commit(store: &dyn CheckpointStore) -> Result<u64, StoreError> {
    let commits = store.head(PIPELINE)?.map_or(0, |head| head.commits);
    let keys: Vec<Vec<u8>> = (0..GROUPS).map(key).collect();
    let states = store.states(PIPELINE, &keys.iter().map(|key| &key[..]).collect::<Vec<_>>())?;
    let mut there = 0;
    for (group, found) in (0..).zip(&states) {
        let written = last_write(group, commits).filter(|number| writes(*number));
        assert!(*found == written.map(state), "group {group} is not as commit {commits} left it");
        there += usize::from(found.is_some());
    }
    assert_eq!(store.scan(PIPELINE, None, usize::MAX)?.len(), there, "groups in order, after commit {commits}");
    Ok(commits)
}
