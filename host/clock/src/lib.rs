//! Clocks, waits of threads, and chance of the host. Nothing else of it asks the machine for them (`host/clippy.toml`), so that whatever
//! depends on them says so in its imports, and the rest is the same whenever it runs.
//!
//! Tasks wait with tokio's timers, which hold up nobody else.

#![allow(clippy::disallowed_methods, reason = "this is what owns them")]

use std::time::{Duration, Instant, SystemTime};

/// Stopwatch by a clock that never goes back, and goes on while the process is stopped.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts a stopwatch.
    pub fn start() -> Stopwatch {
        Stopwatch(Instant::now())
    }

    /// The time since it was started.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// The moment that it is, by the stopwatch's clock: for deadlines, and for what takes its time as an argument.
pub fn now() -> Instant {
    Instant::now()
}

/// The calendar's time, in microseconds since 1970-01-01T00:00:00 UTC. People may set it forwards and back.
pub fn now_micros() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Returns a random number, so that things don't happen everywhere at the same time. No secret is made of it.
pub fn chance() -> u64 {
    fastrand::u64(..)
}

/// Blocks this thread for that long, and never a task.
pub fn sleep(time: Duration) {
    std::thread::sleep(time);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stopwatch_never_goes_back_and_runs_at_least_as_long_as_a_sleep() {
        let (stopwatch, begun, slept) = (Stopwatch::start(), now(), Duration::from_millis(2));
        sleep(slept);
        let elapsed = stopwatch.elapsed();
        assert!(elapsed >= slept && stopwatch.elapsed() >= elapsed && now() >= begun + slept);
    }

    #[test]
    fn the_calendar_is_at_this_century_in_microseconds() {
        const YEAR: i64 = 365 * 24 * 60 * 60 * 1_000_000;
        assert!((50 * YEAR..150 * YEAR).contains(&now_micros()));
    }

    #[test]
    fn chance_is_not_the_same_again() {
        assert!((0..8).map(|_| chance()).any(|drawn| drawn != chance()));
    }
}
