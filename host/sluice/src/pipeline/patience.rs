//! How long to wait before asking a server again.

use std::time::Duration;

/// The first wait. Shorter: a server that restarts is hammered. Longer: a hiccup is seen on the board.
const FIRST: Duration = Duration::from_millis(100);
/// The longest wait. Longer: rows come that much later after the server is back.
const LONGEST: Duration = Duration::from_secs(2);

/// Waits that double from try to try.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
    tries: u32,
}

impl Backoff {
    /// No try yet.
    pub fn new() -> Backoff {
        Backoff { next: FIRST, tries: 0 }
    }

    /// The wait after one more failed try.
    pub fn wait(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(LONGEST);
        self.tries = self.tries.saturating_add(1);
        wait
    }

    /// How many tries have failed.
    pub fn tries(&self) -> u32 {
        self.tries
    }
}
