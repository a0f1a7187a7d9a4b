//! Deployment of a pipeline's code: how a new version takes over, and how it is left again.
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
//! of all four. During a trial ([`Probation`]) nothing but rows of the sinks becomes durable. The way back is therefore to
//! forget everything in memory and to open the last good generation at the checkpoint; a crash during a trial does the same
//! by itself.

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

/// Provenance of rows: what made them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provenance {
    /// Generation of the operators.
    pub generation: u64,
    /// The operators.
    pub operators: Operators,
}

/// Outcome of an attempt to run other operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The operators run, and passed their probation if there was one.
    Applied,
    /// The operators never ran; the ones before continue to run.
    Refused,
    /// The operators ran and failed; the last good generation runs again, from the checkpoint before them.
    RolledBack,
}

/// Entry about an attempt to run other operators, for the log, the status and the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// Outcome of the attempt.
    pub outcome: Outcome,
    /// Generation of the operators, or the one that they would have been.
    pub generation: u64,
    /// The operators that were tried; none where their files can't be read as operators.
    pub operators: Operators,
    /// Reason of the outcome: why the operators don't run, or who asked for them.
    pub reason: Option<String>,
    /// Time when the outcome was known, in microseconds since 1970-01-01T00:00:00 UTC; written as a text.
    #[serde(with = "text_time")]
    pub time: i64,
}
