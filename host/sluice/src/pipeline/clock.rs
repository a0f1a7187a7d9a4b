//! Clock of a run.

use std::time::Duration;

use sluice_clock::{Stopwatch, now_micros};
use sluice_core::run::Now;

/// The clocks of a run, since it began.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Stopwatch);

impl Clock {
    /// A clock that begins now.
    pub fn begin() -> Clock {
        Clock(Stopwatch::start())
    }

    /// The moment that it is.
    pub fn now(self) -> Now {
        Now { since: self.since(), micros: now_micros() }
    }

    /// The time since the clock began.
    pub fn since(self) -> Duration {
        self.0.elapsed()
    }
}
