//! Two ways of doing the same, in turn, so that a machine whose speed wanders slows both.

use std::time::{Duration, Instant};

/// What the two took: medians.
#[derive(Debug, Clone, Copy)]
pub struct Pairs {
    /// The first way's time.
    pub first: Duration,
    /// The second way's time.
    pub second: Duration,
    /// The first's by the second's, pair by pair.
    pub ratio: f64,
}

/// Times both this many times, one after the other.
pub fn pairs(rounds: usize, mut first: impl FnMut(), mut second: impl FnMut()) -> Pairs {
    let mut taken = Vec::with_capacity(rounds);
    for _ in 0..rounds.max(1) {
        taken.push((timed(&mut first), timed(&mut second)));
    }
    let ratios = taken.iter().map(|(first, second)| first.as_secs_f64() / second.as_secs_f64()).collect();
    let (firsts, seconds) = taken.into_iter().unzip();
    Pairs { first: median(firsts), second: median(seconds), ratio: median(ratios) }
}

fn timed(work: &mut impl FnMut()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn median<T: PartialOrd + Copy>(mut values: Vec<T>) -> T {
    values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    values[values.len() / 2]
}
