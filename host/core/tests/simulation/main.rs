//! A pipeline in a world that fails: source, sink, store and clock are actors that fail, delay, answer twice and restart
//! between any two effects, all from one seed.
//!
//! ```text
//! world: topic ──poll──▶ lane (chain, fold, head) ──seal──▶ [flush] ──▶ 1 sink ──▶ 2 store ──▶ done
//!          each arrow may fail before or after it took effect; at any point the host may die and start anew
//! ```
//!
//! In some worlds the fold has windows, records come out of their order and late, and a clock moves for those who write them and for
//! the host, which hears of silent partitions.
//!
//! An auditor looks at every batch, seal and step (see `audit.rs`). A seed that fails is printed with the command that repeats it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod audit;
mod book;
mod host;
mod operator;
mod rows;
mod shape;
mod world;

use audit::Auditor;
use host::Host;
use world::World;

/// The seeds of one run of the test suite.
const SEEDS: u64 = 200;

/// The steps in which a world misbehaves, before it is left in peace and must come to its end.
const STEPS: usize = 400;

/// The most steps in peace until everything is consumed.
const PEACE: usize = 10_000;

/// Runs one seed to its end; answers what happened, step by step.
fn run(seed: u64) -> Vec<String> {
    let mut world = World::new(seed);
    let mut host = Host::start(&mut world);
    let mut auditor = Auditor::default();
    for _ in 0..STEPS {
        world.grow();
        step(&mut world, &mut host, &mut auditor);
    }
    world.calm_down();
    for _ in 0..PEACE {
        if host.is_done(&world) {
            audit::at_the_end(&world);
            return world.trace;
        }
        step(&mut world, &mut host, &mut auditor);
    }
    panic!("a world in peace comes to its end");
}

fn step(world: &mut World, host: &mut Host, auditor: &mut Auditor) {
    world.tick();
    host.step(world);
    auditor.look(world, host);
}

fn run_and_name(seed: u64) {
    let outcome = std::panic::catch_unwind(|| run(seed));
    if outcome.is_err() {
        panic!("seed {seed}; again: SLUICE_SEED={seed} cargo test --release --test simulation");
    }
}

/// `SLUICE_SEED=n` runs that seed alone, `SLUICE_SEEDS=n` so many from an arbitrary one on.
#[test]
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
