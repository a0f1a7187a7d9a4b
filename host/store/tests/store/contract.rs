//! Contract of any checkpoint store: tested on the one on disk, also across closing and opening it, and on the one in memory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use sluice_core::checkpoint::memory::MemoryStore;
use sluice_core::checkpoint::{Changes, Checkpoint, CheckpointStore, Group};
use sluice_store::Store;

const CACHE: u64 = 1 << 20;

fn head(commits: u64) -> Checkpoint {
    Checkpoint { topic: "gifts".to_owned(), commits, ..Checkpoint::default() }
}

fn packed<'a>(changes: impl IntoIterator<Item = (&'a [u8], Option<&'a [u8]>)>) -> Changes {
    let mut packed = Changes::default();
    changes.into_iter().for_each(|(key, state)| packed.push(key, state));
    packed
}

/// Runs the check on a store of each kind.
fn on_each(check: impl Fn(&dyn CheckpointStore)) {
    check(&MemoryStore::default());
    let directory = tempfile::tempdir().unwrap();
    check(&Store::open(directory.path(), CACHE).unwrap());
}

#[test]
fn a_pipeline_that_never_committed_has_no_head_no_group_and_no_name() {
    on_each(|store| {
        assert_eq!(store.head("a").unwrap(), None);
        assert_eq!(store.states("a", &[b"x", b""]).unwrap(), vec![None, None]);
        assert_eq!(store.scan("a", None, 10).unwrap(), vec![]);
        assert_eq!(store.pipelines().unwrap(), Vec::<String>::new());
        store.reset("a").unwrap();
    });
}

#[test]
fn a_commit_without_changes_is_a_commit() {
    on_each(|store| {
        store.commit("a", &head(1), &Changes::default()).unwrap();
        assert_eq!(store.head("a").unwrap(), Some(head(1)));
        assert_eq!(store.pipelines().unwrap(), vec!["a".to_owned()]);
    });
}

#[test]
fn the_last_change_of_a_key_in_a_commit_counts() {
    on_each(|store| {
        let key: &[u8] = b"key";
        store.commit("a", &head(1), &packed([(key, Some(&b"1"[..])), (key, None), (key, Some(b"2"))])).unwrap();
        assert_eq!(store.states("a", &[key]).unwrap(), vec![Some(b"2".to_vec())]);
        store.commit("a", &head(2), &packed([(key, Some(&b"3"[..])), (key, None)])).unwrap();
        assert_eq!(store.states("a", &[key]).unwrap(), vec![None]);
    });
}

#[test]
fn pipelines_share_no_group_and_reset_takes_one_only() {
    on_each(|store| {
        let names = ["a", "b", "A", "with space", "../up", "räume", "a%2F"];
        for (number, name) in names.iter().enumerate() {
            store.commit(name, &head(number as u64), &packed([(&b"key"[..], Some(name.as_bytes()))])).unwrap();
        }
        store.reset("b").unwrap();
        let mut left: Vec<_> = names.iter().filter(|name| **name != "b").map(|name| (*name).to_owned()).collect();
        left.sort_unstable();
        assert_eq!(store.pipelines().unwrap(), left);
        assert_eq!(store.head("b").unwrap(), None);
        assert_eq!(store.states("b", &[b"key"]).unwrap(), vec![None]);
        for name in &left {
            assert_eq!(store.states(name, &[b"key"]).unwrap(), vec![Some(name.as_bytes().to_vec())]);
        }
        store.commit("b", &head(1), &packed([(&b"new"[..], Some(&b"1"[..]))])).unwrap();
        assert_eq!(store.scan("b", None, 10).unwrap(), vec![(b"new".to_vec(), b"1".to_vec())]);
    });
}

#[test]
fn a_read_during_a_commit_sees_all_of_it_or_nothing() {
    on_each(|store| {
        let keys: Vec<[u8; 4]> = (0u32..2000).map(u32::to_be_bytes).collect();
        let write = |round: u64| {
            let round_bytes = round.to_be_bytes();
            store
                .commit("a", &head(round), &packed(keys.iter().map(|key| (&key[..], Some(&round_bytes[..])))))
                .unwrap();
        };
        write(0);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let asked: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
                let mut seen = 0;
                while !done.load(Ordering::Acquire) {
                    let before = store.head("a").unwrap().unwrap().commits.to_be_bytes();
                    let states = store.states("a", &asked).unwrap();
                    assert!(states.iter().all(|state| *state == states[0]), "a torn read of states");
                    assert!(states[0].as_deref().unwrap() >= &before[..], "a state older than the head before it");
                    let scanned = store.scan("a", None, usize::MAX).unwrap();
                    assert!(
                        scanned.len() == keys.len() && scanned.iter().all(|group| group.1 == scanned[0].1),
                        "a torn scan"
                    );
                    seen += 1;
                }
                seen
            });
            (1..200).for_each(write);
            done.store(true, Ordering::Release);
            assert!(reader.join().unwrap() > 0);
        });
    });
}

/// A step of a pipeline's life.
#[derive(Debug, Clone)]
enum Step {
    Commit(Vec<(Vec<u8>, Option<Vec<u8>>)>),
    Reset,
    /// The host is stopped and started.
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = prop::collection::vec(0u8..4, 0..3);
    let change = (key, prop::option::of(prop::collection::vec(any::<u8>(), 0..40)));
    let step = prop_oneof![
        8 => prop::collection::vec(change, 0..12).prop_map(Step::Commit),
        1 => Just(Step::Reset),
        2 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..25)
}

fn agrees(store: &dyn CheckpointStore, commits: Option<u64>, expected: &BTreeMap<Vec<u8>, Vec<u8>>) {
    assert_eq!(store.head("p").unwrap(), commits.map(head));
    let all: Vec<Group> = expected.clone().into_iter().collect();
    assert_eq!(store.scan("p", None, usize::MAX).unwrap(), all);
    let mut paged = Vec::new();
    while let Some(more) =
        Some(store.scan("p", paged.last().map(|group: &Group| &group.0[..]), 2).unwrap()).filter(|m| !m.is_empty())
    {
        assert!(more.len() <= 2);
        paged.extend(more);
    }
    assert_eq!(paged, all);
    let keys: Vec<Vec<u8>> = (0..4).flat_map(|a| [vec![], vec![a], vec![a, a]]).collect();
    let asked: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
    let wanted: Vec<_> = keys.iter().map(|key| expected.get(key).cloned()).collect();
    assert_eq!(store.states("p", &asked).unwrap(), wanted);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn after_any_commits_resets_and_restarts_the_groups_are_those_of_a_map_in_their_keys_order(steps in steps()) {
        let directory = tempfile::tempdir().unwrap();
        let mut on_disk = Some(Store::open(directory.path(), CACHE).unwrap());
        let in_memory = MemoryStore::default();
        let (mut expected, mut commits) = (BTreeMap::new(), None);
        for step in steps {
            match step {
                Step::Commit(changes) => {
                    let number = commits.map_or(1, |commits| commits + 1);
                    let packed = packed(changes.iter().map(|(key, state)| (&key[..], state.as_deref())));
                    for store in [on_disk.as_ref().unwrap() as &dyn CheckpointStore, &in_memory] {
                        store.commit("p", &head(number), &packed).unwrap();
                    }
                    commits = Some(number);
                    for (key, state) in changes {
                        match state {
                            Some(state) => expected.insert(key, state),
                            None => expected.remove(&key),
                        };
                    }
                }
                Step::Reset => {
                    on_disk.as_ref().unwrap().reset("p").unwrap();
                    in_memory.reset("p").unwrap();
                    (expected, commits) = (BTreeMap::new(), None);
                }
                Step::Reopen => {
                    drop(on_disk.take());
                    on_disk = Some(Store::open(directory.path(), CACHE).unwrap());
                }
            }
            agrees(on_disk.as_ref().unwrap(), commits, &expected);
            agrees(&in_memory, commits, &expected);
        }
    }
}
