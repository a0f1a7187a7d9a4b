//! What happens to a pipeline, as its life hears of it.

use std::time::Duration;

use super::super::End;
use crate::deploy::Operators;
use crate::interval::Intervals;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LifeEvent {
    /// The pipeline is asked to end. At any time; a run hears it by itself, and what is being looked at, opened or waited for is left.
    Ending,
    /// Whoever performs the effects died, with these words, and began anew. At any time.
    Died(String),
    /// While nothing runs: somebody's order was carried out, and whoever gave it wants to see what comes of it. What was being
    /// looked at, opened or waited for is left.
    Obeyed,
    /// While a run is open: all groups are to be written again once it has ended, which it is asked to.
    Resync,
    /// While a run is open: newer operators can't go on with its states, and these are to be forgotten once it has ended, which it
    /// is asked to.
    StatesRefused,
    /// The answer to [`LifeEffect::Look`](super::LifeEffect::Look).
    Looked(Result<Candidates, Trouble>),
    /// The run is open, and nothing of it is at work yet.
    Opened,
    /// The run can't be opened.
    NotOpened(Trouble),
    /// The operators that it was to be opened with are gone, for this reason.
    NotKept(String),
    /// The run that was open could not begin to work.
    NotBegun(String),
    /// The run has ended, up to its last flush.
    Ended(RunEnd),
    /// The answer to [`LifeEffect::Forget`](super::LifeEffect::Forget).
    Forgotten(Result<(), String>),
    /// The answer to [`LifeEffect::Locate`](super::LifeEffect::Locate): what the checkpoint covers, nothing if there is none that can
    /// be read.
    Located(Intervals),
    /// A wait has lasted as long as it may.
    Waited,
    /// What was waited for is there.
    Came,
    /// Whoever would tell that it is there is gone.
    Gone,
    /// An effect without another answer is performed.
    Done,
}

/// The operators that may be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidates {
    /// One that the pipeline names, of which it isn't known yet whether it is deployed.
    pub unread: Option<String>,
    /// Those that the pipeline is to run, which are the newest unless it is pinned; or why there are none.
    pub newest: Result<Operators, String>,
    /// The generation and the operators that the checkpoint is of.
    pub good: Option<(u64, Operators)>,
    /// Those that were rolled back last.
    pub shunned: Option<Operators>,
}

/// The end of a run, and what whoever drove it knows of that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunEnd {
    /// The reason.
    pub end: End,
    /// The reason why it was given up, if it was: a server was away for longer than a backfill waits.
    pub given_up: Option<String>,
    /// The operators whose trial was over, of which the machine hasn't heard.
    pub passed: Option<Operators>,
    /// The generation and the operators that the checkpoint is of now.
    pub head: Option<(u64, Operators)>,
    /// The time for which the run was waiting for a server when it ended.
    pub waited: Option<Duration>,
}

/// The reason why a pipeline can't begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// A server is away: try again.
    #[error("{0}")]
    Away(String),
    /// An operator traps, exceeds a limit or breaks the contract when it is opened, whatever the configuration says of it.
    #[error("{0}")]
    Operator(String),
    /// Other hosts have what is needed: wait until they are gone.
    #[error("{0}")]
    Held(String),
    /// Somebody must change something. Each is a sentence.
    #[error("{}", .0.join("; "))]
    Wrong(Vec<String>),
}

impl Trouble {
    /// A single thing that somebody must change.
    pub fn wrong(reason: impl Into<String>) -> Trouble {
        Trouble::Wrong(vec![reason.into()])
    }
}
