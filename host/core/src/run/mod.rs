//! Run of a pipeline, from a checkpoint to a last flush, as two state machines: events in, effects out, time as an argument.
//!
//! ```text
//!            poll, ask ends                                                     one effect at a time
//!  source ◀──────────────── Lane: records ─chain▶ rows or groups ──[place for 1]──▶ Flusher ──▶ sinks, letters,
//!         ────────────────▶       swap, trial, retry, stop          hand over                    store, group
//!            records, ends                  ▲                                      │
//!                                           └────────── committed, broken ─────────┘
//! ```
//!
//! | machine     | it decides                                                                                              |
//! |-------------|---------------------------------------------------------------------------------------------------------|
//! | [`Lane`]    | what is taken in, what waits, when a flush is due, what takes over, what a fault ends                      |
//! | [`Flusher`] | the order in which a flush becomes durable, what is tried again, what a server refuses                     |
//! | [`Rollout`](crate::deploy::Rollout) | which operators run, what is on trial, what is gone back to                     |
//! | [`resume`]  | where a run begins                                                                                       |
//! | [`Life`]    | what a pipeline waits for, when a run of it is opened, what follows the end of one                        |
//!
//! The driver of a machine asks it for the next effect, performs that, and tells it the answer. It is a thread and a task of the host with
//! real servers, or a test with a world that fails wherever a seed says. A crash is to drop both machines at any point.

mod backoff;
mod flush;
mod flusher;
mod intake;
mod lane;
mod latest;
pub mod life;
mod made;
mod outbox;
mod pending;
mod poison;
mod progress;
mod rejects;
mod report;
pub mod resume;
mod swap;

use std::time::Duration;

pub use backoff::Backoff;
pub use flush::{Flush, FlushError, Handover};
pub use flusher::{Flusher, FlusherEffect, FlusherEvent, FlusherStart, SinkForm, TransactionForm};
pub use lane::{FlushSlot, Lane, LaneEffect, LaneEvent, LaneSettings, Retry};
pub use life::{Life, LifeEffect, LifeEvent, LifeReport, LifeSettings};
pub use pending::FlushPolicy;
pub use progress::Progress;
pub use report::{LeftOutLine, Report};
pub use resume::{ResumeError, Resumption};
pub use swap::{Swap, SwapId};

use crate::chain::ProcessError;

/// A moment, as the host's two clocks tell it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Now {
    /// The time since the run, or the life of a pipeline, began, by a clock that never goes back.
    pub since: Duration,
    /// The calendar's time, in microseconds since 1970-01-01T00:00:00 UTC.
    pub micros: i64,
}

/// The reason why a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The run was told to end, or reached the ends that it was to read up to. Everything is handed to the flusher.
    Done,
    /// The run can't go on until somebody changes something.
    Fault(String),
    /// An operator fails whatever the records.
    Disabled(String),
    /// The partitions are no longer this host's.
    Moved(String),
    /// A table is no longer the one that was opened.
    Replaced(String),
    /// Something in the run panicked, which is a defect: the pipeline can begin anew.
    Died(String),
}

impl End {
    /// The reason of an end that is at fault.
    pub fn fault(&self) -> Option<&str> {
        match self {
            End::Done | End::Moved(_) | End::Replaced(_) => None,
            End::Fault(reason) | End::Disabled(reason) | End::Died(reason) => Some(reason),
        }
    }
}

/// Disables an operator that fails whatever the records. A call that was ended because the run is to end has done nothing. Anything else is
/// a fault that somebody must mend.
impl From<ProcessError> for End {
    fn from(error: ProcessError) -> End {
        match error {
            error if error.is_interrupted() => End::Done,
            error if error.is_the_operators() => End::Disabled(error.to_string()),
            error => End::Fault(error.to_string()),
        }
    }
}

impl From<FlushError> for End {
    fn from(error: FlushError) -> End {
        match error {
            FlushError::Lost(reason) => End::Moved(reason),
            FlushError::Died(reason) => End::Died(reason),
            error @ FlushError::Replaced { .. } => End::Replaced(error.to_string()),
            error => End::Fault(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lookup::LookupError;
    use crate::operator::OperatorError;

    #[test]
    fn a_call_that_was_ended_is_no_fault_an_operators_failure_disables_it_and_all_else_is_to_be_mended() {
        let operator = |error| ProcessError::Operator { name: "o".to_owned(), error };
        assert_eq!(End::from(operator(OperatorError::Interrupted)), End::Done);
        let trapped = || operator(OperatorError::Trap("no".to_owned()));
        assert_eq!(End::from(trapped()), End::Disabled(trapped().to_string()));
        let other = || ProcessError::Lookup(LookupError::Unusable("no table".to_owned()));
        assert_eq!(End::from(other()), End::Fault(other().to_string()));
    }

    #[test]
    fn a_flusher_that_lost_the_partitions_died_or_found_another_table_ends_the_run_so_and_else_with_a_fault() {
        let no = || "no".to_owned();
        assert_eq!(End::from(FlushError::Lost(no())), End::Moved(no()));
        assert_eq!(End::from(FlushError::Died(no())), End::Died(no()));
        let replaced = FlushError::Replaced { sink: "s".to_owned(), reason: no() };
        assert_eq!(End::from(replaced), End::Replaced("s: no".to_owned()));
        let unusable = FlushError::Unusable { sink: "s".to_owned(), reason: no() };
        assert_eq!(End::from(unusable), End::Fault("s: no".to_owned()));
    }
}
