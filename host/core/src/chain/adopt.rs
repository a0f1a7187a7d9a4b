//! A chain in the place of another, and on from a checkpoint.

use super::halving::{Halving, Spent};
use super::{Chain, ProcessError, Step, StepState, fold_error};
use crate::fold::{Fold, FoldError};
use crate::operator::Operator;
use crate::window::EventTimes;

impl Chain {
    /// Takes over the groups of the chain that this one replaces, after that one's last seal: see [`Fold::adopt`]. Answers what is
    /// left of it, which may take a while to drop; or gives the old chain back, whole, if the states don't fit.
    pub fn adopt(&mut self, mut old: Chain) -> Result<Chain, (Box<Chain>, String)> {
        let fold = old.fold.take();
        let adopted = match (self.with_operator(), fold) {
            (None, None) => Ok(None),
            (Some((new, operator, _)), Some(fold)) => {
                let mut spent = Spent::default();
                new.adopt(fold, &mut Halving::new(operator, &mut spent)).map_err(|(fold, reason)| (Some(*fold), reason))
            }
            (new, fold) => {
                let (is, was) =
                    if new.is_some() { ("an aggregator", "a transformer") } else { ("a transformer", "an aggregator") };
                Err((fold, format!("it is {is}, the running one is {was}")))
            }
        };
        match adopted {
            Ok(left) => {
                old.fold = left;
                Ok(old)
            }
            Err((fold, reason)) => {
                old.fold = fold;
                Err((Box::new(old), reason))
            }
        }
    }

    /// Begins the operators' trial. During it, the chain doesn't search for the rows that make an operator fail, and changed
    /// states aren't handed over for the store.
    pub fn begin_trial(&mut self) {
        self.on_trial = true;
        if let Some(fold) = &mut self.fold {
            fold.begin_trial();
        }
    }

    /// Ends the trial, which the operators have passed: states that changed since it began are handed over with the next seal.
    pub fn end_trial(&mut self) {
        self.on_trial = false;
        if let Some(fold) = &mut self.fold {
            fold.end_trial();
        }
    }

    /// Brings in groups that are to be shown or stored again: see [`Fold::refresh`].
    pub fn refresh(&mut self) -> Result<(), ProcessError> {
        self.call_fold(|fold, operator| fold.refresh(operator))
    }

    /// Goes on from where time was: see [`Fold::resume`].
    pub fn resume(&mut self, times: &EventTimes) -> Result<(), ProcessError> {
        self.call_fold(|fold, operator| fold.resume(times, operator))
    }

    fn call_fold(
        &mut self,
        call: impl FnOnce(&mut Fold, &mut dyn Operator) -> Result<(), FoldError>,
    ) -> Result<(), ProcessError> {
        let Some((fold, operator, name)) = self.with_operator() else { return Ok(()) };
        let mut spent = Spent::default();
        call(fold, &mut Halving::new(operator, &mut spent)).map_err(|error| fold_error(name, error))
    }

    /// The fold, its operator, and the operator's name.
    pub fn with_operator(&mut self) -> Option<(&mut Fold, &mut dyn Operator, &str)> {
        match (&mut self.fold, self.steps.last_mut()) {
            (Some(fold), Some(StepState { step: Step::Operator { name, instance }, .. })) => {
                Some((fold, instance.as_mut(), name))
            }
            _ => None,
        }
    }
}
