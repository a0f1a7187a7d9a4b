//! Reports of a pipeline's life, for status and log.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// State that a pipeline is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PipelineState {
    /// Something that it needs isn't there yet: an operator's file, a server at the start.
    Waiting,
    /// Records flow, or would if there were any.
    Running,
    /// A server is away; everything is kept until it is back.
    Holding,
    /// A fault stopped the pipeline, and somebody must mend it; the pipeline is tried again after a while.
    Stopped,
    /// An operator fails whatever the records, or a part of the host died. It is tried again after a while, or with another file.
    Disabled,
    /// The pipeline did what it was asked to do and ended.
    Finished,
}

impl PipelineState {
    /// Says whether a pipeline in this state, with a reason or without, waits for a server, for other hosts or for operators.
    pub fn waits(self, has_reason: bool) -> bool {
        match self {
            PipelineState::Waiting => has_reason,
            PipelineState::Holding => true,
            PipelineState::Running | PipelineState::Stopped | PipelineState::Disabled | PipelineState::Finished => {
                false
            }
        }
    }
}

/// Something that people should hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LifeReport {
    /// A server is away, or no operators can be run. A pipeline that ran holds.
    Waits(PipelineState, String),
    /// The operator of this name is being read and compiled, and that takes a while.
    Compiling(String),
    /// The operator is read and compiled.
    Compiled,
    /// Other hosts have what the pipeline needs.
    Held(String),
    /// The partitions are no longer this host's: the pipeline begins anew.
    Moved(String),
    /// A table is another one: the pipeline begins anew, after a wait.
    Replaced(String),
    /// The pipeline is disabled, and rests.
    Disabled {
        /// The one at fault.
        culprit: Culprit,
        /// The whole reason.
        reason: String,
        /// The longest that it rests.
        wait: Duration,
    },
    /// The pipeline stops until somebody mends something, or for a while.
    Stopped {
        /// The reason.
        reason: String,
        /// True if it stopped for another reason last, or at another place.
        news: bool,
    },
    /// The pipeline is done.
    Finished,
    /// The operators that were to be opened first are gone.
    NotKept(String),
    /// The operators that were to be opened first can't be; others are opened instead.
    OthersInstead(String),
}

/// The one at fault if a pipeline is disabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Culprit {
    /// An operator, whatever the records.
    Operator,
    /// The host: something died.
    Host,
}

impl LifeReport {
    /// The state that the pipeline is in from now on, and the reason; none if that is as it was.
    pub fn state(&self) -> Option<(PipelineState, Option<String>)> {
        let (state, reason) = match self {
            LifeReport::Waits(state, reason) => (*state, Some(reason.clone())),
            LifeReport::Compiling(name) => {
                (PipelineState::Waiting, Some(format!("operator `{name}` is being read and compiled")))
            }
            LifeReport::Compiled => (PipelineState::Waiting, None),
            LifeReport::Held(reason) | LifeReport::Moved(reason) => (PipelineState::Holding, Some(reason.clone())),
            LifeReport::Replaced(reason) => (PipelineState::Waiting, Some(reason.clone())),
            LifeReport::Disabled { reason, .. } => (PipelineState::Disabled, Some(reason.clone())),
            LifeReport::Stopped { reason, .. } => (PipelineState::Stopped, Some(reason.clone())),
            LifeReport::Finished => (PipelineState::Finished, None),
            LifeReport::NotKept(_) | LifeReport::OthersInstead(_) => return None,
        };
        Some((state, reason))
    }
}
