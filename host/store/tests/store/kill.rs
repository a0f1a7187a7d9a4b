//! SIGKILL at random moments, on a real process.

use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::numbered::{CACHE, at_one_commit, commit};
use sluice_core::checkpoint::StoreError;
use sluice_store::Store;

const CHILD: &str = "SLUICE_STORE_TEST_DIRECTORY";
const KILLS: usize = 20;

/// Commits until it is killed, and says each commit that was answered.
fn commit_for_ever(directory: &Path) {
    let store = Store::open(directory, CACHE).unwrap();
    let mut number = at_one_commit(&store).unwrap();
    loop {
        number += 1;
        // A disk that doesn't keep up says so; the same commit may be made again.
        loop {
            match commit(&store, number) {
                Ok(()) => break,
                Err(StoreError::Unavailable(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        println!("answered {number}");
        std::io::stdout().flush().unwrap();
    }
}

/// Starts a process that commits, and kills it after so many answers and a moment.
fn run_and_kill(directory: &Path, answers: u64, moment: u64) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--nocapture",
            "kill::after_any_kill_all_that_was_answered_is_there_and_nothing_is_half_there",
        ])
        .env(CHILD, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut answered = lines.filter_map(|line| line.strip_prefix("answered ")?.parse::<u64>().ok());
    let mut last = answered.by_ref().take(answers as usize).last().unwrap();
    (0..moment).for_each(|_| std::hint::spin_loop());
    child.kill().unwrap();
    // Those that it still said before it died.
    last = answered.last().unwrap_or(last);
    child.wait().unwrap();
    last
}

#[test]
fn after_any_kill_all_that_was_answered_is_there_and_nothing_is_half_there() {
    if let Some(directory) = std::env::var_os(CHILD) {
        return commit_for_ever(directory.as_ref());
    }
    let directory = tempfile::tempdir().unwrap();
    for kill in 0..KILLS {
        let random = RandomState::new().hash_one(kill);
        let answered = run_and_kill(directory.path(), 1 + random % 80, (random >> 32) % 2_000_000);
        let store = Store::open(directory.path(), CACHE).unwrap();
        let found = at_one_commit(&store).unwrap();
        assert!(found >= answered, "commit {answered} was answered, and {found} is there");
    }
}
