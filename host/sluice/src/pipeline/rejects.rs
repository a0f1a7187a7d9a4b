//! Says which rows were left out, without flooding the log.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::status::Status;

/// At most one line in this time for a reason. Shorter: a bad producer fills the disk with log. Longer: people wait.
const QUIET: Duration = Duration::from_secs(60);
/// The most reasons that are kept apart; values in reasons could make them endless. Past it, all share one.
const MAX_REASONS: usize = 256;

/// One pipeline's rejected rows.
#[derive(Debug, Default)]
pub struct Rejects {
    by_reason: HashMap<String, Seen>,
}

#[derive(Debug)]
struct Seen {
    last_line: Instant,
    since: u64,
}

impl Rejects {
    /// Counts a row, and logs it if it is the first of its reason or the first in a minute.
    pub fn add(&mut self, status: &Status, place: &str, reason: &str, now: Instant) {
        status.add_rejected(1);
        let known = self.by_reason.contains_key(reason);
        let key = if known || self.by_reason.len() < MAX_REASONS { reason } else { "other reasons" };
        match self.by_reason.get_mut(key) {
            Some(seen) if now.duration_since(seen.last_line) < QUIET => seen.since += 1,
            seen => {
                let unsaid = seen.map_or(0, |seen| seen.since);
                tracing::warn!(pipeline = status.name(), place, unsaid, "rejected row: {reason}");
                self.by_reason.insert(key.to_owned(), Seen { last_line: now, since: 0 });
            }
        }
    }
}
