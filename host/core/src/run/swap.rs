//! Swaps, as a lane knows them: the chain that is to take over, and the operators that are on trial.
//!
//! ```text
//! asked ──a place for its flush──▶ seal, adopt, hand over ──▶ trial: rows go to the sinks, all else is held ──▶ passed
//!   (the old chain works on until then)                        └─ fails: the run ends, and what is held is forgotten
//! ```

use std::time::Duration;

use crate::chain::Chain;
use crate::deploy::{Bounds, Operators, Probation, Rate};

/// The number of a swap, as the side that asks for swaps counts them.
pub type SwapId = u64;

/// A chain that is to take over.
pub struct Swap {
    /// The number of the swap.
    pub id: SwapId,
    /// The chain, with what the tables take.
    pub chain: Chain,
    /// The operators of the chain.
    pub operators: Operators,
    /// The length of their trial.
    pub probation: Bounds,
}

/// The chain that is to take over, and the operators on trial.
#[derive(Default)]
pub(super) struct Swaps {
    /// The chain that takes over at the next batch boundary.
    pub(super) next: Option<Box<Swap>>,
    trial: Option<Trial>,
    /// The operators that passed, for the next flush.
    passed: Option<Operators>,
    /// The records that operators which are not on trial took in, and left out.
    rate: Rate,
}

struct Trial {
    probation: Probation,
    begun: Duration,
    operators: Operators,
}

/// The outcome of a look at a trial.
pub(super) enum TrialVerdict {
    /// The trial goes on, or there is none.
    GoesOn,
    /// The trial is passed.
    Passed,
    /// The trial has failed, for this reason.
    Failed(String),
}

impl Swaps {
    /// Keeps a swap until a batch boundary with a place for its flush; answers the one that waited already, which is overtaken.
    pub(super) fn ask(&mut self, swap: Box<Swap>) -> Option<SwapId> {
        self.next.replace(swap).map(|before| before.id)
    }

    /// Counts records that were taken in.
    pub(super) fn count(&mut self, records: usize, rejected: usize) {
        match &mut self.trial {
            Some(trial) => trial.probation.count(records, rejected),
            None => self.rate.add(records, rejected),
        }
    }

    pub(super) fn is_on_trial(&self) -> bool {
        self.trial.is_some()
    }

    /// Returns the operators on trial.
    pub(super) fn on_trial(&self) -> Option<&Operators> {
        self.trial.as_ref().map(|trial| &trial.operators)
    }

    /// Begins a trial. One on top of another begins anew, and is measured by the operators before both.
    pub(super) fn begin(&mut self, bounds: Bounds, operators: Operators, now: Duration) {
        let before = self.trial.take().map_or(self.rate, |trial| trial.probation.before());
        self.trial = Some(Trial { probation: Probation::new(bounds, before), begun: now, operators });
    }

    /// Judges the trial. It is over if its time is, or if as much is held as may be: by the operators on trial, or by those before them, so
    /// that nothing more can be taken in.
    pub(super) fn judge(&self, holds_enough: bool, is_stuck: bool, now: Duration) -> TrialVerdict {
        let Some(trial) = &self.trial else { return TrialVerdict::GoesOn };
        match trial.probation.failed() {
            Some(reason) => TrialVerdict::Failed(reason),
            None if is_stuck || trial.probation.is_over(now.saturating_sub(trial.begun)) => TrialVerdict::Passed,
            // What was held before says nothing of those on trial: if they can, they have to take a record in.
            None if holds_enough && trial.probation.has_taken() => TrialVerdict::Passed,
            None => TrialVerdict::GoesOn,
        }
    }

    /// Ends a trial that is passed. Returns its operators, which the next checkpoint is the first of.
    pub(super) fn settle(&mut self) -> Option<Operators> {
        let trial = self.trial.take()?;
        self.rate = trial.probation.seen();
        self.passed = Some(trial.operators.clone());
        Some(trial.operators)
    }

    /// Returns the operators that the next checkpoint is the first of, if they passed a trial.
    pub(super) fn take_passed(&mut self) -> Option<Operators> {
        self.passed.take()
    }
}
