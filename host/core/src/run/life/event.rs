//! Events in a pipeline's life.

use std::time::Duration;

use super::super::End;
use crate::deploy::Operators;
use crate::interval::Intervals;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LifeEvent {
    /// The pipeline is asked to end. This may come at any time: an open run hears of it by itself, and a look, an opening or a wait is left
    /// unfinished.
    Ending,
    /// The performer of the effects died, with these words, and began anew. This may come at any time.
    Died(String),
    /// An order was carried out while nothing runs. The look, the opening or the wait under way is left unfinished, so that the sender of
    /// the order sees at once what comes of it.
    Obeyed,
    /// All groups are to be written again once the open run has ended, which it is asked to do.
    Resync,
    /// Newer operators can't go on with the states of the open run. These are to be forgotten once it has ended, which it is asked to do.
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
    /// The answer to [`LifeEffect::Locate`](super::LifeEffect::Locate): the intervals that the checkpoint covers, empty if there is none;
    /// nothing if the store can't say it.
    Located(Option<Intervals>),
    /// A wait has lasted as long as it may.
    Waited,
    /// The awaited thing is there.
    Came,
    /// The awaited thing can't come any more, since nobody deploys.
    Gone,
    /// An effect without another answer is performed.
    Done,
}

/// The operators that may be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidates {
    /// Operator that the pipeline names, and of which it isn't known yet whether it is deployed.
    pub unread: Option<String>,
    /// Operators that the pipeline is to run, which are the newest unless it is pinned; or the reason why there are none.
    pub newest: Result<Operators, String>,
    /// The generation and the operators that the checkpoint is of.
    pub good: Option<(u64, Operators)>,
    /// Operators that were rolled back last.
    pub shunned: Option<Operators>,
}

/// End of a run, and what its driver knows of that.
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
    /// Things that somebody must change, each as a sentence.
    #[error("{}", .0.join("; "))]
    Wrong(Vec<String>),
}

impl Trouble {
    /// A single thing that somebody must change.
    pub fn wrong(reason: impl Into<String>) -> Trouble {
        Trouble::Wrong(vec![reason.into()])
    }
}
