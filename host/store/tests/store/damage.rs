//! Damaged directories: every file, in every way, and what is said then.

use std::path::{Path, PathBuf};

use crate::numbered::{CACHE, PIPELINE, at_one_commit, commit};
use sluice_core::checkpoint::{Changes, Checkpoint, CheckpointStore, StoreError};
use sluice_store::Store;

/// Number of commits: enough that there are files of the tree and a log.
const COMMITS: u64 = 100;

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn pipeline_directory(directory: &Path) -> PathBuf {
    directory.join("pipelines").join(PIPELINE)
}

/// A directory with the pipeline and another one.
fn written() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), CACHE).unwrap();
    (1..=COMMITS).for_each(|number| commit(&store, number).unwrap());
    let mut other = Changes::default();
    other.push(b"key", Some(b"state"));
    store.commit("other", &Checkpoint::default(), &other).unwrap();
    drop(store);
    assert!(files(&pipeline_directory(directory.path())).iter().any(|file| file.parent().unwrap().ends_with("tables")));
    directory
}

fn damages(whole: &[u8]) -> Vec<Option<Vec<u8>>> {
    let middle = whole.len() / 2;
    let flipped = |at: usize| {
        let mut bytes = whole.to_vec();
        bytes[at] ^= 0x20;
        bytes
    };
    let mut zeroed = whole.to_vec();
    zeroed[middle..].fill(0);
    let mut damages =
        vec![None, Some(Vec::new()), Some(whole[..middle].to_vec()), Some(zeroed), Some(vec![0xff; whole.len()])];
    if !whole.is_empty() {
        let places =
            [0, 8, whole.len() / 3, middle, whole.len() - whole.len() / 8 - 1, whole.len() - 9, whole.len() - 1];
        damages.extend(places.iter().map(|at| Some(flipped((*at).min(whole.len() - 1)))));
    }
    damages
}

#[test]
fn whatever_file_is_damaged_what_is_read_is_one_commit_or_the_damage_with_the_pipelines_name() {
    let directory = written();
    let mut refused = 0;
    for file in files(&pipeline_directory(directory.path())) {
        let whole = std::fs::read(&file).unwrap();
        for damage in damages(&whole) {
            let copy = tempfile::tempdir().unwrap();
            copy_all(directory.path(), copy.path());
            let damaged = copy.path().join(file.strip_prefix(directory.path()).unwrap());
            match &damage {
                Some(bytes) => std::fs::write(&damaged, bytes).unwrap(),
                None => std::fs::remove_file(&damaged).unwrap(),
            }
            let store = Store::open(copy.path(), CACHE).unwrap();
            match at_one_commit(&store) {
                Ok(found) => assert!((1..=COMMITS).contains(&found), "{damaged:?}: {found} commits"),
                Err(StoreError::Damaged(reason)) => {
                    assert!(
                        reason.contains("pipeline gifts") && reason.contains("sluice state reset gifts"),
                        "{reason}"
                    );
                    refused += 1;
                }
                Err(error) => unreachable!("{damaged:?}: {error}"),
            }
            assert!(store.pipelines().unwrap().contains(&PIPELINE.to_owned()));
            assert_eq!(store.states("other", &[b"key"]).unwrap(), vec![Some(b"state".to_vec())]);
            store.reset(PIPELINE).unwrap();
            (1..=3).for_each(|number| commit(&store, number).unwrap());
            assert_eq!(at_one_commit(&store).unwrap(), 3);
        }
    }
    assert!(refused > 0);
}

fn copy_all(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(&file, &target).unwrap();
    }
}

#[test]
fn a_checkpoint_that_is_not_there_any_more_is_not_taken_for_one_that_never_was() {
    for damage in [None, Some(&b""[..]), Some(&[0; 4096])] {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), CACHE).unwrap();
        (1..=3).for_each(|number| commit(&store, number).unwrap());
        drop(store);
        let log = pipeline_directory(directory.path()).join("log.1");
        match damage {
            None => std::fs::remove_file(&log).unwrap(),
            Some(bytes) => std::fs::write(&log, bytes).unwrap(),
        }
        let store = Store::open(directory.path(), CACHE).unwrap();
        let StoreError::Damaged(reason) = store.head(PIPELINE).unwrap_err() else { unreachable!() };
        assert!(reason.contains("commit 1 was made") && reason.contains("sluice state reset gifts"), "{reason}");
        store.reset(PIPELINE).unwrap();
        assert_eq!(store.head(PIPELINE), Ok(None));
    }
}

#[test]
fn a_damaged_file_of_the_tree_is_named() {
    let directory = written();
    let tables = files(&pipeline_directory(directory.path()).join("tree").join("tables"));
    for table in &tables {
        let mut bytes = std::fs::read(table).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(table, bytes).unwrap();
    }
    let store = Store::open(directory.path(), CACHE).unwrap();
    let StoreError::Damaged(reason) = at_one_commit(&store).unwrap_err() else { unreachable!() };
    let name = tables[0].file_name().unwrap().to_str().unwrap();
    assert!(reason.contains("tree/tables: ") && reason.contains(name), "{reason}");
}

#[test]
fn a_directory_of_another_format_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    drop(Store::open(directory.path(), CACHE).unwrap());
    std::fs::write(directory.path().join("format"), "1").unwrap();
    let Err(StoreError::Damaged(reason)) = Store::open(directory.path(), CACHE) else { unreachable!() };
    assert!(reason.contains("format 2"), "{reason}");
    assert_eq!(std::fs::read_to_string(directory.path().join("format")).unwrap(), "1");
}
