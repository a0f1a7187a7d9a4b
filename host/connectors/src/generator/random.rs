//! Random numbers whose sequence is the same everywhere and for ever.

use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::{Rng, SeedableRng};

/// A seeded stream of random numbers.
///
/// PCG's output is specified, unlike that of a library's "small fast" generator of the day; so are the few lines that make
/// ranges of it, which is why they are here and not a library's either.
pub(super) struct Random {
    pcg: Pcg64Mcg,
}

/// The share of times that something happens: a part of 2³².
#[derive(Clone, Copy)]
pub(super) struct Probability(u64);

impl Probability {
    /// Makes a share, from 0, never, to 1, always; what lies outside is taken for the nearer of the two, and a number that is none for 0.
    pub fn of(share: f64) -> Probability {
        Probability((share.clamp(0.0, 1.0) * (1_u64 << 32) as f64) as u64)
    }

    /// Says whether it never happens.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl Random {
    pub fn new(seed: u64) -> Random {
        Random { pcg: Pcg64Mcg::seed_from_u64(seed) }
    }

    /// A number from 0 to `bound` - 1, or 0. One multiplication: the bias of at most one in 2³² doesn't matter here.
    pub fn below(&mut self, bound: u32) -> u32 {
        let drawn = u64::from(self.pcg.next_u32());
        ((drawn * u64::from(bound)) >> 32) as u32
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u32, high: u32) -> u32 {
        low + self.below(high - low + 1)
    }

    /// Draws nothing for a share of zero, so that noise that is off changes no record.
    pub fn chance(&mut self, share: Probability) -> bool {
        !share.is_zero() && u64::from(self.pcg.next_u32()) < share.0
    }

    /// Picks one of several values, each with the same probability; none if there are no values.
    pub fn one_of<'a, T>(&mut self, several: &'a [T]) -> Option<&'a T> {
        let count = u32::try_from(several.len()).unwrap_or(u32::MAX);
        several.get(self.below(count) as usize)
    }
}
