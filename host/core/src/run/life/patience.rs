//! Patience of a backfill: it waits only so long for a server that is away.

use std::time::Duration;

use super::report::PipelineState;

/// Time since which a pipeline waits, and the longest that it may.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Longest wait; none if the pipeline waits for ever.
    limit: Option<Duration>,
    since: Option<Duration>,
}

impl Patience {
    /// The patience of a pipeline that doesn't wait yet.
    pub(super) fn new(limit: Option<Duration>) -> Patience {
        Patience { limit, since: None }
    }

    /// Notes the state that the pipeline is in from now on. A wait that follows another at once is the same wait, also if it is for
    /// something else.
    pub(super) fn is_in(&mut self, state: PipelineState, has_reason: bool, now: Duration) {
        self.since = self.since.or(Some(now)).filter(|_| state.waits(has_reason));
    }

    /// Notes that a run has ended, which had waited for so long by then.
    pub(super) fn goes_on(&mut self, waited: Option<Duration>, now: Duration) {
        self.since = waited.map(|waited| now.saturating_sub(waited));
    }

    /// Returns the words with which the server is given up, if it has been waited for long enough.
    pub(super) fn is_over(self, reason: &str, now: Duration) -> Option<String> {
        let (limit, since) = (self.limit?, self.since?);
        (now.saturating_sub(since) >= limit).then(|| given_up(reason, limit))
    }
}

/// The fault of a backfill that has waited for so long.
pub fn given_up(reason: &str, patience: Duration) -> String {
    format!("{reason}; given up after {patience:?}, as --patience says")
}
