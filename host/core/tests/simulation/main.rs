//! The product's own run in a world that fails: its lane, its flusher and its rollout, whose effects are performed by actors that fail,
//! delay, answer late and forget between any two of them, all from one seed.
//!
//! ```text
//! world: topic ──▶ Lane ──[place for 1]──▶ Flusher ──▶ tables, letters, store, group        people: files, roll-backs,
//!          each arrow may fail before or after it took effect; at any point all may die       letters to be retried
//! ```
//!
//! In some worlds two hosts share the topic as one group, or wait for each other, while partitions move. In some, the fold has windows,
//! records come out of their order and late, and a clock moves for their producers and for the host, which hears of silent partitions. In
//! some, rows and intervals are one transaction.
//!
//! An auditor looks at every batch, seal and step (see `audit.rs`). A seed that fails is printed with the command that repeats it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod audit;
mod book;
mod dimension;
mod disk;
mod group;
mod host;
mod operator;
mod polled;
mod rows;
mod run;
mod shape;
mod world;

use audit::Auditor;
use host::Host;
use world::World;

/// The seeds of one run of the test suite.
const SEEDS: u64 = 2_000;

/// The steps in which a world misbehaves, before it is left in peace and must come to its end.
const STEPS: usize = 400;

/// The most steps in peace until everything is consumed.
const PEACE: usize = 30_000;

/// Runs one seed to its end; answers what happened, step by step.
fn run(seed: u64) -> Vec<String> {
    let mut world = Last(World::new(seed));
    let world = &mut world.0;
    let mut hosts: Vec<Host> = Vec::new();
    for host in 0..world.kept.len() {
        world.me = host;
        hosts.push(Host::start(world));
    }
    let mut auditors = vec![Auditor::default(); hosts.len()];
    for _ in 0..STEPS {
        world.grow();
        step(world, &mut hosts, &mut auditors);
    }
    world.calm_down();
    for _ in 0..PEACE {
        if what_is_left(world, &hosts).is_empty() {
            world.me = world.group.owner();
            audit::at_the_end(world);
            return std::mem::take(&mut world.trace);
        }
        step(world, &mut hosts, &mut auditors);
    }
    panic!("a world in peace comes to its end, and not to {}", what_is_left(world, &hosts));
}

/// Says what the hosts have to do until everything is consumed.
fn what_is_left(world: &mut World, hosts: &[Host]) -> String {
    let mut left = String::new();
    let shares = (0..hosts.len()).filter_map(|host| world.group.share(host));
    if shares.map(|share| share.partitions.len()).sum::<usize>() < world.topic.len() {
        left += "partitions have no host";
    }
    for (number, host) in hosts.iter().enumerate() {
        world.me = number;
        match &host.run {
            Some(run) => left += &run.what_is_left(world),
            None if host.is_at_rest(world) => {}
            None => left += "a run",
        }
    }
    left
}

/// A world that says its last words if a test fails in it; all that happened, if the seed was asked for.
struct Last(World);

impl Drop for Last {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let all = std::env::var_os("SLUICE_SEED").is_some();
            eprintln!("{:#?}", if all { &self.0.trace } else { self.0.last_words() });
        }
    }
}

/// Lets one of the hosts do something.
fn step(world: &mut World, hosts: &mut [Host], auditors: &mut [Auditor]) {
    world.tick();
    world.move_partitions(|host| hosts[host].run.is_some());
    world.me = world.rng.usize(0..hosts.len());
    let host = &mut hosts[world.me];
    host.step(world);
    if let Some(run) = &host.run {
        auditors[world.me].look(world, run);
    }
}

/// Runs one seed; a failure ends in what happened last.
fn run_and_name(seed: u64) {
    let outcome = std::panic::catch_unwind(|| run(seed));
    if outcome.is_err() {
        let commit = std::process::Command::new("git").args(["rev-parse", "HEAD"]).output();
        let commit = commit.map(|commit| String::from_utf8_lossy(&commit.stdout).trim().to_owned()).unwrap_or_default();
        panic!("seed {seed} at commit {commit}; again: SLUICE_SEED={seed} cargo test --release --test simulation");
    }
}

/// `SLUICE_SEED=n` runs that seed alone, `SLUICE_SEEDS=n` so many from an arbitrary one on.
#[test]
#[allow(clippy::disallowed_methods, reason = "new seeds come from chance")]
fn whatever_fails_every_record_counts_once() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    match (number("SLUICE_SEED"), number("SLUICE_SEEDS")) {
        (Some(seed), _) => run_and_name(seed),
        (None, Some(seeds)) => {
            let first = fastrand::u64(0..u64::MAX / 2);
            (first..first + seeds).for_each(run_and_name);
        }
        (None, None) => (0..SEEDS).for_each(run_and_name),
    }
}

#[test]
fn a_seed_gives_the_same_run_each_time() {
    for seed in 0..5 {
        assert_eq!(run(seed), run(seed));
    }
}
