//! `make soak`: storms from ever new seeds, until the time is up or one fails.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test by hand: says what it does, and fails by panicking"
)]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use sluice_e2e::{storm, swap_storm};

/// As long as a few minutes, so that what faults leave behind adds up.
const STEPS: usize = 10;

fn main() -> ExitCode {
    let mut minutes = 10;
    let mut only = None;
    let mut arguments = std::env::args().skip(1);
    while let (Some(name), value) = (arguments.next(), arguments.next()) {
        let number = || value.as_ref().and_then(|value| value.parse().ok());
        match (name.as_str(), number()) {
            ("--minutes", Some(number)) => minutes = number,
            ("--seed", Some(number)) => only = Some(number),
            _ => {
                eprintln!("usage: soak [--minutes N] [--seed N]");
                return ExitCode::from(64);
            }
        }
    }
    let end = Instant::now() + Duration::from_secs(60 * minutes);
    let mut storms = 0;
    loop {
        let seed = only.unwrap_or_else(|| fastrand::u64(0..1 << 32));
        println!("storm {}, seed {seed}", storms + 1);
        if std::panic::catch_unwind(|| one(seed)).is_err() {
            eprintln!("seed {seed} failed; again: make soak SEED={seed}");
            return ExitCode::FAILURE;
        }
        storms += 1;
        println!("storm {storms}: every table equals the oracle's; {} minutes are left", left(end).as_secs() / 60);
        if only.is_some() || left(end).is_zero() {
            return ExitCode::SUCCESS;
        }
    }
}

/// Every third is one of swaps.
fn one(seed: u64) {
    if seed.is_multiple_of(3) { swap_storm(seed, STEPS) } else { storm(seed, STEPS) }
}

fn left(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now())
}
