//! Clocks of the host, and random numbers. No other file of the pipelines uses them.

use std::time::{Duration, Instant, SystemTime};

use sluice_core::run::Now;

/// The clocks of a run, since it began.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Instant);

impl Clock {
    /// A clock that begins now.
    pub fn begin() -> Clock {
        Clock(Instant::now())
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

/// Returns a random number, so that things don't happen everywhere at the same time.
pub fn chance() -> u64 {
    fastrand::u64(..)
}

/// The calendar's time, in microseconds since 1970-01-01T00:00:00 UTC.
pub fn now_micros() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
