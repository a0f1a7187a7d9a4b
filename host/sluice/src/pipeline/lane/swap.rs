//! A lane's part in a swap: the cut-over, the trial, what comes of it.
//!
//! ```text
//! asked ──room in the queue──▶ seal, adopt, hand over ──▶ trial: rows go to the sinks, all else is held ──▶ passed
//!   (the old chain works on until then)                      └─ fails: the lane ends, and what is held is forgotten
//! ```

use std::time::Instant;

use sluice_core::chain::Chain;
use sluice_core::deploy::{Bounds, Operators, Probation, Rate};
use sluice_core::fold::Fold;
use tokio::sync::{mpsc, oneshot};

use super::{End, Lane, Step, flusher_gone};
use crate::pipeline::constraint::Constraints;
use crate::pipeline::flush::{OpenSink, Work};

/// How many swaps may have passed before their supervisor hears of the first: it asks for one at a time, and one more may
/// pass while it does.
pub const PASSED: usize = 4;

/// A chain that takes over.
pub struct Swap {
    pub chain: Chain,
    pub constraints: Constraints,
    pub sinks: Vec<OpenSink>,
    /// The operators of the chain.
    pub operators: Operators,
    /// How long they are on trial.
    pub probation: Bounds,
    /// Hears that it runs, with what is left of the chain before, which may take a while to drop; or why it doesn't.
    pub outcome: oneshot::Sender<Result<Box<Chain>, String>>,
    /// Hears once the trial is over and a checkpoint says so.
    pub passed: mpsc::Sender<Operators>,
}

/// Operators that passed, and who is to hear of it once a checkpoint says so.
pub struct Passed {
    operators: Operators,
    tell: mpsc::Sender<Operators>,
}

impl Passed {
    pub async fn tell(self) {
        // Nobody listens once the supervisor is gone.
        let _ = self.tell.send(self.operators).await;
    }
}

/// What a lane knows of swaps.
#[derive(Default)]
pub(super) struct Swaps {
    /// What is to take over.
    pub(super) next: Option<Swap>,
    trial: Option<Trial>,
    /// For the next flush.
    passed: Option<Passed>,
    /// What those that are not on trial took in, and left out.
    rate: Rate,
}

struct Trial {
    probation: Probation,
    begun: Instant,
    passed: Passed,
}

impl Swaps {
    /// Counts records that were taken in.
    pub(super) fn count(&mut self, records: usize, rejected: usize) {
        match &mut self.trial {
            Some(trial) => trial.probation.count(records, rejected),
            None => self.rate.add(records, rejected),
        }
    }

    /// The operators on trial.
    pub(super) fn on_trial(&self) -> Option<&Operators> {
        self.trial.as_ref().map(|trial| &trial.passed.operators)
    }

    /// Who hears of it, if the next checkpoint is the first of operators that passed.
    pub(super) fn take_passed(&mut self) -> Option<Passed> {
        self.passed.take()
    }
}

impl Lane {
    pub(super) fn is_on_trial(&self) -> bool {
        self.progress.swaps.trial.is_some()
    }

    /// The operators that run.
    pub(super) fn operators(&self) -> &Operators {
        self.progress.swaps.on_trial().unwrap_or(&self.progress.head.operators)
    }

    /// At the next batch boundary with room in the queue. Another that waits is overtaken.
    pub(super) fn ask_swap(&mut self, swap: Swap) {
        if let Some(before) = self.progress.swaps.next.replace(swap) {
            let _ = before.outcome.send(Err("others were to take over before it could".to_owned()));
        }
    }

    /// At a batch boundary: what the old chain made is handed over, and the new one takes over, in one go. Until the flusher has a
    /// place, the old chain works on.
    pub(super) fn cut_over(&mut self) -> Step {
        // Not before the states have caught up with rows that are ahead of them: see `flush_if_due`.
        if self.progress.swaps.next.is_none() || !self.progress.head.intervals.reaches(&self.rows_ahead) {
            return Ok(());
        }
        let flushes = self.flushes.clone();
        let permit = match flushes.try_reserve() {
            Ok(permit) => permit,
            Err(mpsc::error::TrySendError::Full(())) => return Ok(()),
            Err(mpsc::error::TrySendError::Closed(())) => return Err(flusher_gone()),
        };
        let Some(swap) = self.progress.swaps.next.take() else { return Ok(()) };
        let begun = Instant::now();
        let mut flush = self.seal()?;
        let Swap { chain, constraints, sinks, operators, probation, outcome, passed } = swap;
        let old = std::mem::replace(&mut self.chain, chain);
        let left = match self.chain.adopt(old) {
            Ok(left) => left,
            Err((old, reason)) => {
                self.chain = *old;
                permit.send(Work::Flush(Box::new(flush)));
                // Who asked may have gone; the old chain runs on in any case.
                let _ = outcome.send(Err(reason));
                return Ok(());
            }
        };
        // After a crash, every group is written again: the new operators may have shown some by then.
        flush.head.refreshing = true;
        permit.send(Work::CutOver(Box::new(flush), sinks));
        self.constraints = constraints;
        self.begin_trial(probation, Passed { operators, tell: passed });
        self.status.set_swap_pause(begun.elapsed());
        let _ = outcome.send(Ok(Box::new(left)));
        Ok(())
    }

    /// On top of another trial, it begins anew, and is measured by those before both.
    fn begin_trial(&mut self, bounds: Bounds, passed: Passed) {
        let swaps = &mut self.progress.swaps;
        let before = swaps.trial.take().map_or(swaps.rate, |trial| trial.probation.before());
        let probation = Probation::new(bounds, before);
        swaps.trial = Some(Trial { probation, begun: Instant::now(), passed });
        self.chain.begin_trial();
        if bounds.is_none() {
            self.settle();
        }
    }

    /// Ends a trial that is over, or in which more is held than may be; or the lane, if it has failed.
    pub(super) fn judge(&mut self) -> Step {
        let Some(trial) = &self.progress.swaps.trial else { return Ok(()) };
        if let Some(reason) = trial.probation.failed() {
            return Err(End::Fault(reason));
        }
        let holds_enough = self.progress.rejects.is_full() || self.chain.fold().is_some_and(Fold::is_over);
        if trial.probation.is_over(trial.begun.elapsed()) || holds_enough {
            self.settle();
        }
        Ok(())
    }

    /// The trial is passed: what was held goes with the next flush.
    pub(super) fn settle(&mut self) {
        let Some(trial) = self.progress.swaps.trial.take() else { return };
        self.progress.head.operators.clone_from(&trial.passed.operators);
        self.progress.head.generation += 1;
        self.progress.swaps.rate = trial.probation.seen();
        self.progress.swaps.passed = Some(trial.passed);
        // Even if nothing came meanwhile, there is this to be kept.
        self.progress.flushed = None;
        self.chain.end_trial();
    }
}
