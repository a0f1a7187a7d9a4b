//! The directory: one host at a time, a full disk, what was left of a reset, and the artifacts in it.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::numbered::{CACHE, PIPELINE, at_one_commit, commit};
use sluice_core::checkpoint::{Changes, Checkpoint, CheckpointStore, StoreError};
use sluice_store::{KEPT_ARTIFACTS, KEY_BYTES, Store};

const CHILD: &str = "SLUICE_STORE_TEST_DIRECTORY";

#[test]
fn a_second_host_is_told_the_directory_and_the_process_that_has_it() {
    let directory = tempfile::tempdir().unwrap();
    let first = Store::open(directory.path(), CACHE).unwrap();
    let Err(StoreError::Unusable(reason)) = Store::open(directory.path(), CACHE) else { unreachable!() };
    assert!(reason.contains(&format!("process {}", std::process::id())), "{reason}");
    assert!(reason.contains(directory.path().to_str().unwrap()), "{reason}");
    drop(first);
    Store::open(directory.path(), CACHE).unwrap();
}

#[test]
fn a_file_where_the_directory_should_be_is_an_error_with_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("checkpoints");
    std::fs::write(&path, "").unwrap();
    let error = Store::open(&path, CACHE).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
}

#[test]
fn a_key_that_is_too_long_is_refused_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), CACHE).unwrap();
    let commit_key = |bytes: usize| {
        let mut changes = Changes::default();
        changes.push(b"short", Some(b"1"));
        changes.push(&vec![7; bytes], Some(b"2"));
        store.commit("a", &Checkpoint::default(), &changes)
    };
    assert!(matches!(commit_key(KEY_BYTES + 1), Err(StoreError::Unusable(_))));
    assert_eq!(store.scan("a", None, 10).unwrap(), vec![]);
    commit_key(KEY_BYTES).unwrap();
    drop(store);
    let store = Store::open(directory.path(), CACHE).unwrap();
    assert_eq!(store.scan("a", None, 10).unwrap().len(), 2);
}

#[test]
fn what_a_crash_left_of_a_reset_is_gone_after_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), CACHE).unwrap();
    commit(&store, 1).unwrap();
    drop(store);
    let pipelines = directory.path().join("pipelines");
    std::fs::rename(pipelines.join(PIPELINE), pipelines.join(".removed-gifts")).unwrap();
    let store = Store::open(directory.path(), CACHE).unwrap();
    assert_eq!(store.pipelines().unwrap(), Vec::<String>::new());
    assert_eq!(std::fs::read_dir(&pipelines).unwrap().count(), 0);
}

/// Number of commits that are tried.
const COMMITS: u64 = 150;

/// Says how each commit went, and goes on when it is told to; one that was refused is tried again.
fn commit_and_ask(directory: &Path) {
    let say = |what: String| {
        println!("{what}");
        std::io::stdout().flush().unwrap();
        std::io::stdin().read_line(&mut String::new()).unwrap();
    };
    let store = Store::open(directory, CACHE).unwrap();
    for number in 1..=COMMITS {
        while let Err(error) = commit(&store, number) {
            assert_eq!(at_one_commit(&store).unwrap(), number - 1);
            let StoreError::Unavailable(reason) = error else { unreachable!("{error}") };
            say(format!("refused {reason}"));
        }
        say(format!("answered {number}"));
    }
    assert_eq!(at_one_commit(&store).unwrap(), COMMITS);
}

fn limit_files(process: u32, bytes: &str) {
    let limited = Command::new("prlimit").args([&format!("--fsize={bytes}:"), "--pid", &process.to_string()]).status();
    assert!(limited.unwrap().success());
}

/// Commits in a process of its own. From the answer to this commit on, none of its files can grow past 4 MiB, until a commit was refused
/// three times. Returns the number of refusals.
fn refused_after(full_after: u64) -> usize {
    let directory = tempfile::tempdir().unwrap();
    let mut child = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--nocapture",
            "directory::a_commit_that_had_no_room_changes_nothing_and_succeeds_when_tried_again_with_room",
        ])
        .env(CHILD, directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut go_on = child.stdin.take().unwrap();
    let mut refused = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
        if line == format!("answered {full_after}") {
            limit_files(child.id(), "4194304");
        }
        if line.starts_with("refused") {
            assert!(line.contains("make room"), "{line}");
            refused += 1;
            if refused == 3 {
                limit_files(child.id(), "unlimited");
            }
        }
        if line.starts_with("refused") || line.starts_with("answered") {
            go_on.write_all(b"\n").unwrap();
        }
    }
    assert!(child.wait().unwrap().success());
    let store = Store::open(directory.path(), CACHE).unwrap();
    assert_eq!(at_one_commit(&store).unwrap(), COMMITS);
    refused
}

/// The tree is written after about 40 commits: the limit comes before, while and after.
#[test]
fn a_commit_that_had_no_room_changes_nothing_and_succeeds_when_tried_again_with_room() {
    if let Some(directory) = std::env::var_os(CHILD) {
        return commit_and_ask(directory.as_ref());
    }
    for full_after in [1, 10, 40, 45, 50, 55, 60] {
        assert!(refused_after(full_after) >= 3, "full after commit {full_after}");
    }
}

/// Counts the bytes of files that are there: the store removes some meanwhile.
fn bytes_in(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes_in(&entry.path()),
            metadata => metadata.map_or(0, |metadata| metadata.len()),
        })
        .sum()
}

#[test]
fn writing_the_same_groups_again_takes_no_more_disk_than_the_log_and_a_few_times_the_groups() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), CACHE).unwrap();
    let mut most = 0;
    for number in 1..=1500 {
        commit(&store, number).unwrap();
        if number % 50 == 0 {
            most = most.max(bytes_in(directory.path()));
        }
    }
    // 300 MB were written, of 5 MB of groups.
    assert!(most < 120 << 20, "{most} bytes");
}

fn digest(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_last_artifacts_of_each_pipeline_are_kept_and_no_others() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), CACHE).unwrap();
    let artifact = |generation: u64| format!("operator of generation {generation}").into_bytes();
    let shared = b"shared".to_vec();
    store.keep_artifact("a", 1, &digest(&shared), &shared).unwrap();
    store.keep_artifact("b", 1, &digest(&shared), &shared).unwrap();
    for generation in 2..20 {
        store.keep_artifact("a", generation, &digest(&artifact(generation)), &artifact(generation)).unwrap();
    }
    let kept = store.kept_artifacts("a").unwrap();
    assert_eq!(kept.iter().map(|(generation, _)| *generation).collect::<Vec<_>>(), (15..20).rev().collect::<Vec<_>>());
    assert_eq!(kept.len(), KEPT_ARTIFACTS);
    for generation in 2..20 {
        let found = store.artifact(&digest(&artifact(generation))).unwrap();
        assert_eq!(found, (generation >= 15).then(|| artifact(generation)));
    }
    assert_eq!(store.artifact(&digest(&shared)).unwrap(), Some(shared), "the other pipeline keeps it");
}

#[test]
fn an_artifact_is_what_its_digest_says_or_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), CACHE).unwrap();
    assert!(matches!(store.keep_artifact("a", 1, &digest(b"other"), b"this"), Err(StoreError::Unusable(_))));
    assert_eq!(store.artifact("../format").unwrap(), None);
    store.keep_artifact("a", 1, &digest(b"this"), b"this").unwrap();
    std::fs::write(directory.path().join("artifacts").join(digest(b"this")), b"that").unwrap();
    assert!(matches!(store.artifact(&digest(b"this")), Err(StoreError::Damaged(_))));
}

#[test]
fn a_generation_of_several_operators_is_kept_whole() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), CACHE).unwrap();
    for generation in 1..20 {
        for operator in ["clean", "sum"] {
            let bytes = format!("{operator} of generation {generation}").into_bytes();
            store.keep_artifact("a", generation, &digest(&bytes), &bytes).unwrap();
        }
    }
    let kept: Vec<u64> = store.kept_artifacts("a").unwrap().iter().map(|(generation, _)| *generation).collect();
    assert_eq!(kept, [19, 19, 18, 18, 17, 17, 16, 16, 15, 15]);
}

#[test]
fn a_pipeline_that_counts_from_1_again_keeps_what_it_runs_now() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), CACHE).unwrap();
    for (generation, bytes) in [(7, b"seven"), (8, b"eight"), (1, b"again")] as [(u64, &[u8; 5]); 3] {
        store.keep_artifact("a", generation, &digest(bytes), bytes).unwrap();
    }
    assert_eq!(store.kept_artifacts("a").unwrap(), [(1, digest(b"again"))]);
}

#[test]
fn a_key_that_can_not_be_stored_is_not_there_and_nothing_is_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), CACHE).unwrap();
    let longest = vec![b'k'; KEY_BYTES];
    let mut changes = Changes::default();
    changes.push(&longest, Some(b"state"));
    store.commit("a", &Checkpoint::default(), &changes).unwrap();
    let longer = vec![b'k'; KEY_BYTES + 1];
    assert_eq!(store.states("a", &[&longer, &longest]).unwrap(), vec![None, Some(b"state".to_vec())]);
    assert_eq!(store.scan("a", Some(&longer), 10).unwrap(), vec![]);
    assert_eq!(store.scan("a", Some(b"k"), 10).unwrap().len(), 1);
}

#[test]
fn a_directory_that_is_removed_or_replaced_takes_no_commit_and_gives_no_answer() {
    let refused = |error: StoreError| {
        let StoreError::Unusable(reason) = error else { panic!("{error}") };
        assert!(reason.contains("removed or replaced under this host"), "{reason}");
    };
    for replaced in [false, true] {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("checkpoints");
        let store = Store::open(&directory, CACHE).unwrap();
        store.commit("a", &Checkpoint::default(), &Changes::default()).unwrap();
        store.check().unwrap();
        std::fs::rename(&directory, place.path().join("elsewhere")).unwrap();
        let second = replaced.then(|| Store::open(&directory, CACHE).unwrap());
        refused(store.check().unwrap_err());
        refused(store.commit("a", &Checkpoint::default(), &Changes::default()).unwrap_err());
        refused(store.head("a").unwrap_err());
        if let Some(second) = second {
            assert_eq!(second.head("a").unwrap(), None);
        }
        std::fs::remove_dir_all(&directory).ok();
        std::fs::rename(place.path().join("elsewhere"), &directory).unwrap();
        store.check().unwrap();
        store.commit("a", &Checkpoint::default(), &Changes::default()).unwrap();
    }
}

#[test]
fn a_pipelines_directory_that_is_removed_takes_no_commit() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), CACHE).unwrap();
    store.commit("a", &Checkpoint::default(), &Changes::default()).unwrap();
    std::fs::remove_dir_all(directory.path().join("pipelines/a")).unwrap();
    let refused = store.commit("a", &Checkpoint::default(), &Changes::default()).unwrap_err();
    assert!(matches!(refused, StoreError::Unusable(_)), "{refused}");
}

#[test]
fn a_pipeline_that_gets_another_name_keeps_everything() {
    let directory = tempfile::tempdir().unwrap();
    let head = |commits| Checkpoint { topic: "gifts".to_owned(), commits, ..Checkpoint::default() };
    let mut changes = Changes::default();
    changes.push(b"key", Some(b"state"));
    let digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    {
        let store = Store::open(directory.path(), CACHE).unwrap();
        store.commit("old", &head(1), &changes).unwrap();
        store.commit("new", &Checkpoint::begins_anew(), &Changes::default()).unwrap();
        store.keep_artifact("old", 1, digest, b"").unwrap();
        store.histories().save("old", &sluice_core::deploy::History::default()).unwrap();
        store.rename("old", "new").unwrap();
        store.commit("new", &head(2), &Changes::default()).unwrap();
    }
    let store = Store::open(directory.path(), CACHE).unwrap();
    assert_eq!(store.head("old").unwrap(), None);
    assert_eq!(store.pipelines().unwrap(), ["new"]);
    assert_eq!(store.head("new").unwrap(), Some(head(2)));
    assert_eq!(store.states("new", &[b"key"]).unwrap(), vec![Some(b"state".to_vec())]);
    assert_eq!(store.kept_artifacts("new").unwrap(), [(1, digest.to_owned())]);
    assert_eq!(store.kept_artifacts("old").unwrap(), []);
    assert!(directory.path().join("deployments/new.json").exists());
}
