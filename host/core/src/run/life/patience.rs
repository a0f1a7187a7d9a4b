//! How long a backfill waits for somebody.

use std::time::Duration;

use super::report::PipelineState;

/// The time since when a pipeline waits, and what it does of that.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// None if it waits for ever.
    limit: Option<Duration>,
    since: Option<Duration>,
}

impl Patience {
    /// The patience of a pipeline that doesn't wait yet.
    pub(super) fn new(limit: Option<Duration>) -> Patience {
        Patience { limit, since: None }
    }

    /// The pipeline is in this state from now on. Whoever waits for one and then for another waits all along.
    pub(super) fn is_in(&mut self, state: PipelineState, has_reason: bool, now: Duration) {
        self.since = self.since.or(Some(now)).filter(|_| state.waits(has_reason));
    }

    /// A run has ended, which had waited for so long by then.
    pub(super) fn goes_on(&mut self, waited: Option<Duration>, now: Duration) {
        self.since = waited.map(|waited| now.saturating_sub(waited));
    }

    /// The words with which this is given up, if it has been waited for long enough.
    pub(super) fn is_over(self, reason: &str, now: Duration) -> Option<String> {
        let (limit, since) = (self.limit?, self.since?);
        (now.saturating_sub(since) >= limit).then(|| given_up(reason, limit))
    }
}

/// The fault of a backfill that has waited for so long.
pub fn given_up(reason: &str, patience: Duration) -> String {
    format!("{reason}; given up after {patience:?}, as --patience says")
}
