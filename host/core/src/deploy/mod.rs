//! Which code a pipeline runs: how a new version takes over, and how it is left again.
//!
//! ```text
//!                     ┌──────────────── refused: the one before runs on ───────────────┐
//! wanted ──prepare────┴──cut over (batch boundary)──▶ trial ──passes──▶ applied        │
//!   ▲      (data flows)                                │ fails                         ▼
//!   │                                                  └──▶ rolled back: the last good generation, from the checkpoint
//!   the newest valid artifacts, or a person's order
//! ```
//!
//! A start is a swap from nothing, a stop one into nothing, and a roll-back is a start: [`Rollout`] is the one state machine
//! of all four. During a trial ([`Probation`]) nothing but rows of the sinks becomes durable, so that the way back is to
//! forget what is in memory and to open the last good generation where the checkpoint is; a crash in the middle takes it by
//! itself.

mod history;
mod probation;
mod rollout;
mod text_time;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use history::{History, KEPT_DEPLOYMENTS, RollBackError};
pub use probation::{Bounds, Probation, Rate};
pub use rollout::{Effect, Event, Rollout};

/// The operators of a pipeline: name, and SHA-256 of the artifact in hexadecimal.
pub type Operators = BTreeMap<String, String>;

/// How an attempt to run other operators went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// They run, and passed their probation if there was one.
    Applied,
    /// They never ran; those before run on.
    Refused,
    /// They ran and failed; the last good generation runs again, from the checkpoint before them.
    RolledBack,
}

/// One attempt to run other operators, for the log, the status and the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// How it went.
    pub outcome: Outcome,
    /// The generation that they are, or would have been.
    pub generation: u64,
    /// The operators that were tried; none where their files can't be read as operators.
    pub operators: Operators,
    /// Why, where they don't run; or who asked for them.
    pub reason: Option<String>,
    /// When that was known, in microseconds since 1970-01-01T00:00:00 UTC; written as a text.
    #[serde(with = "text_time")]
    pub time: i64,
}
