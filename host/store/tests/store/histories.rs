//! History of a pipeline, as a file.

use sluice_core::checkpoint::StoreError;
use sluice_core::deploy::{Deployment, History, Operators, Outcome};
use sluice_store::{Histories, Store};

use crate::numbered::CACHE;

fn applied(generation: u64) -> Deployment {
    let operators = Operators::from([("sum".to_owned(), format!("{generation:064}"))]);
    Deployment { outcome: Outcome::Applied, generation, operators, reason: None, time: 0 }
}

#[test]
fn a_history_and_its_pin_are_there_after_a_restart_and_readable_beside_a_host() {
    let directory = tempfile::tempdir().unwrap();
    let mut history = History::default();
    history.record(applied(1));
    history.pin(Some(applied(1).operators));
    let store = Store::open(directory.path(), CACHE).unwrap();
    assert_eq!(store.histories().load("gifts/1").unwrap(), History::default());
    store.histories().save("gifts/1", &history).unwrap();
    assert_eq!(Histories::of(directory.path()).load("gifts/1").unwrap(), history);
    drop(store);
    let store = Store::open(directory.path(), CACHE).unwrap();
    assert_eq!(store.histories().load("gifts/1").unwrap(), history);
    assert_eq!(store.histories().load("gifts").unwrap(), History::default(), "each pipeline has its own");
    store.histories().forget("gifts").unwrap();
    assert_eq!(store.histories().load("gifts/1").unwrap(), history);
    store.histories().forget("gifts/1").unwrap();
    assert_eq!(store.histories().load("gifts/1").unwrap(), History::default());
}

#[test]
fn a_damaged_history_is_an_error_with_the_file_and_never_an_empty_history() {
    let directory = tempfile::tempdir().unwrap();
    let histories = Histories::of(directory.path());
    let mut history = History::default();
    (1..5).for_each(|generation| history.record(applied(generation)));
    histories.save("gifts", &history).unwrap();
    let file = directory.path().join("deployments/gifts.json");
    let whole = std::fs::read(&file).unwrap();
    for length in 0..whole.len() {
        std::fs::write(&file, &whole[..length]).unwrap();
        let Err(StoreError::Damaged(reason)) = histories.load("gifts") else { unreachable!("{length} bytes") };
        assert!(reason.contains("deployments/gifts.json"), "{reason}");
    }
}

#[test]
fn a_write_that_was_cut_off_leaves_the_history_before() {
    let directory = tempfile::tempdir().unwrap();
    let histories = Histories::of(directory.path());
    let mut history = History::default();
    history.record(applied(1));
    histories.save("gifts", &history).unwrap();
    // What a crash in the middle of a write leaves.
    std::fs::write(directory.path().join("deployments/gifts.part"), "{\"deploy").unwrap();
    assert_eq!(histories.load("gifts").unwrap(), history);
    history.record(applied(2));
    histories.save("gifts", &history).unwrap();
    assert_eq!(histories.load("gifts").unwrap(), history);
}
