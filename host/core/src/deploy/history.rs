//! History of a pipeline's deployments: which operators ran, were refused or were rolled back, and which generation a roll-back
//! by hand picks.
//!
//! ```text
//! generation   1 A      2 B      3 C      4 D          4 B again    5 E      5 A again
//! outcome      applied  applied  applied  rolled back  applied      refused  applied
//! good         A        A B      A B C    A B C        A B          A B      A
//! ```
//!
//! A roll-back picks the last good generation whose operators differ from the running ones. Generations that were rolled back are
//! not good, so two roll-backs in a row go back two steps, and none returns to operators that were rolled back.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{Deployment, Operators, Outcome};

/// Number of deployments that are remembered of a pipeline: a year of a metric that changes twice a week. Fewer: somebody who
/// looks for the change that made numbers odd doesn't find it. More: a larger file, which is written whole with each deployment.
pub const KEPT_DEPLOYMENTS: usize = 100;

/// Number of remembered deployments that may be failures. The bound keeps builds that are refused again and again from pushing
/// out the deployments that ran, which a roll-back needs.
const KEPT_FAILURES: usize = KEPT_DEPLOYMENTS / 2;

/// The longest reason that is kept, in bytes: as long as an operator's own message.
const MAX_REASON_BYTES: usize = 4 << 10;

/// History of a pipeline: its last [`KEPT_DEPLOYMENTS`], and the operators that it is pinned to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// The operators that the pipeline stays with, whatever else is deployed; none if it takes what is newest.
    #[serde(default)]
    pinned: Option<Operators>,
    /// The oldest first.
    deployments: VecDeque<Deployment>,
}

/// Reason why a roll-back isn't possible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RollBackError {
    /// No deployment ran yet.
    #[error("nothing ran yet that could be rolled back")]
    NothingRan,
    /// Every earlier deployment has the same operators, was rolled back from, or is no longer kept.
    #[error("no generation with other operators is kept from before {running}, the one that runs")]
    NothingBefore {
        /// The generation that runs.
        running: u64,
    },
    /// The generation has the operators that run now.
    #[error("generation {0} has the operators that run")]
    Runs(u64),
    /// No generation of this number ran.
    #[error("no generation {0} ran: `sluice history` shows those that did")]
    Unknown(u64),
    /// The generation is known, but its artifacts are no longer kept.
    #[error("the operators of generation {0} are no longer kept: deploy its file again")]
    NotKept(u64),
}

impl History {
    /// Adds a deployment. One that differs from the last only in its time replaces it.
    pub fn record(&mut self, mut deployment: Deployment) {
        if let Some(reason) = &mut deployment.reason {
            reason.truncate(reason.floor_char_boundary(MAX_REASON_BYTES));
        }
        if self.deployments.back().is_some_and(|last| same_but_for_time(last, &deployment)) {
            self.deployments.pop_back();
        }
        self.deployments.push_back(deployment);
        while self.deployments.len() > KEPT_DEPLOYMENTS {
            self.drop_one();
        }
    }

    fn drop_one(&mut self) {
        let failed = |deployment: &Deployment| deployment.outcome != Outcome::Applied;
        let failures = self.deployments.iter().filter(|deployment| failed(deployment)).count();
        let oldest = if failures > KEPT_FAILURES { self.deployments.iter().position(failed) } else { None };
        self.deployments.remove(oldest.unwrap_or(0));
    }

    /// Iterates over all remembered deployments, the oldest first.
    pub fn deployments(&self) -> impl DoubleEndedIterator<Item = &Deployment> + ExactSizeIterator {
        self.deployments.iter()
    }

    /// Returns the last deployment that was applied. It runs now, unless a newer one is on its trial or the pipeline was never
    /// opened again.
    pub fn running(&self) -> Option<&Deployment> {
        self.applied().next_back()
    }

    /// The operators that the pipeline stays with.
    pub fn pinned(&self) -> Option<&Operators> {
        self.pinned.as_ref()
    }

    /// Pins the pipeline to these operators; with none, the pipeline takes the newest ones again.
    pub fn pin(&mut self, operators: Option<Operators>) {
        self.pinned = operators;
    }

    /// Returns the deployment that a roll-back brings back: the wanted generation, or the last good one whose operators differ
    /// from `running`. `running` are the operators that run now; while they are on trial, the history doesn't have them as
    /// applied. `kept` says whether all artifacts of a deployment are still there.
    pub fn roll_back_to(
        &self,
        running: &Operators,
        wanted: Option<u64>,
        kept: impl Fn(&Operators) -> bool,
    ) -> Result<&Deployment, RollBackError> {
        let last = self.running().ok_or(RollBackError::NothingRan)?;
        let Some(wanted) = wanted else {
            let mut before = self.good().into_iter().rev();
            return before
                .find(|deployment| deployment.operators != *running && kept(&deployment.operators))
                .ok_or(RollBackError::NothingBefore { running: last.generation });
        };
        let found = self.applied().rfind(|deployment| deployment.generation == wanted);
        let found = found.ok_or(RollBackError::Unknown(wanted))?;
        if found.operators == *running {
            return Err(RollBackError::Runs(wanted));
        }
        if kept(&found.operators) { Ok(found) } else { Err(RollBackError::NotKept(wanted)) }
    }

    fn applied(&self) -> impl DoubleEndedIterator<Item = &Deployment> {
        self.deployments.iter().filter(|deployment| deployment.outcome == Outcome::Applied)
    }

    /// Returns the deployments that were applied and not rolled back from, the oldest first; the last one runs.
    fn good(&self) -> Vec<&Deployment> {
        let mut good: Vec<&Deployment> = Vec::new();
        for deployment in self.applied() {
            let back = good.iter().position(|before| before.operators == deployment.operators);
            good.truncate(back.unwrap_or(good.len()));
            good.push(deployment);
        }
        good
    }
}

fn same_but_for_time(one: &Deployment, other: &Deployment) -> bool {
    *one == Deployment { time: one.time, ..other.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn operators(digest: &str) -> Operators {
        Operators::from([("sum".to_owned(), digest.to_owned())])
    }

    fn deployment(generation: u64, digest: &str, outcome: Outcome) -> Deployment {
        Deployment { outcome, generation, operators: operators(digest), reason: None, time: 0 }
    }

    fn history(deployments: &[(u64, &str, Outcome)]) -> History {
        let mut history = History::default();
        for (generation, digest, outcome) in deployments {
            history.record(deployment(*generation, digest, *outcome));
        }
        history
    }

    fn back(history: &History, wanted: Option<u64>) -> Result<&str, RollBackError> {
        let running = history.running().map(|running| running.operators.clone()).unwrap_or_default();
        history.roll_back_to(&running, wanted, |_| true).map(|deployment| deployment.operators["sum"].as_str())
    }

    use Outcome::{Applied, Refused, RolledBack};

    #[test]
    fn two_roll_backs_go_back_twice_and_never_to_what_was_gone_back_from() {
        let mut known = vec![(1, "a", Applied), (2, "b", Applied), (3, "c", Applied), (4, "d", RolledBack)];
        assert_eq!(back(&history(&known), None), Ok("b"));
        known.extend([(4, "b", Applied), (5, "e", Refused)]);
        assert_eq!(back(&history(&known), None), Ok("a"));
        known.push((5, "a", Applied));
        assert_eq!(back(&history(&known), None), Err(RollBackError::NothingBefore { running: 5 }));
        assert_eq!(back(&history(&known), Some(3)), Ok("c"), "who names it may have it");
    }

    #[test]
    fn a_roll_back_that_cant_be_says_why() {
        let known = history(&[(1, "a", Applied), (2, "b", Applied), (3, "c", Refused), (3, "d", RolledBack)]);
        assert_eq!(back(&History::default(), None), Err(RollBackError::NothingRan));
        assert_eq!(back(&known, Some(2)), Err(RollBackError::Runs(2)));
        assert_eq!(back(&known, Some(3)), Err(RollBackError::Unknown(3)), "it never passed");
        assert_eq!(known.roll_back_to(&operators("b"), Some(1), |_| false), Err(RollBackError::NotKept(1)));
        assert_eq!(
            known.roll_back_to(&operators("b"), None, |_| false),
            Err(RollBackError::NothingBefore { running: 2 })
        );
    }

    #[test]
    fn what_is_on_trial_goes_back_to_the_last_that_passed() {
        let known = history(&[(1, "a", Applied), (2, "b", Applied)]);
        for wanted in [None, Some(2)] {
            let back = known.roll_back_to(&operators("on trial"), wanted, |_| true);
            assert_eq!(back.map(|deployment| deployment.generation), Ok(2));
        }
    }

    #[test]
    fn what_is_no_longer_kept_is_passed_over() {
        let known = history(&[(1, "a", Applied), (2, "b", Applied), (3, "c", Applied)]);
        let back = known.roll_back_to(&operators("c"), None, |kept| *kept != operators("b"));
        assert_eq!(back.map(|deployment| deployment.generation), Ok(1));
    }

    #[test]
    fn a_refusal_that_says_the_same_again_is_one_line() {
        let mut known = history(&[(1, "a", Applied)]);
        for time in 0..3 {
            known.record(Deployment { time, ..deployment(2, "bad", Refused) });
        }
        assert_eq!(known.deployments().len(), 2);
        assert_eq!(known.deployments().next_back().map(|last| last.time), Some(2));
    }

    #[test]
    fn refusals_never_push_out_what_ran() {
        let mut known = history(&[(1, "a", Applied), (2, "b", Applied)]);
        (0..1000).for_each(|i| known.record(deployment(3, &i.to_string(), Refused)));
        assert_eq!(back(&known, None), Ok("a"));
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let mut known = History::default();
        let reason = Some("é".repeat(MAX_REASON_BYTES));
        known.record(Deployment { reason, ..deployment(1, "a", Refused) });
        let kept = known.deployments().next().and_then(|first| first.reason.clone()).unwrap_or_default();
        assert_eq!(kept.len(), MAX_REASON_BYTES);
    }

    proptest! {
        #[test]
        fn a_history_is_bounded_keeps_the_newest_and_comes_back_from_json(
            outcomes in prop::collection::vec(prop::sample::select(vec![Applied, Refused, RolledBack]), 1..400),
        ) {
            let mut known = History::default();
            for (i, outcome) in outcomes.iter().enumerate() {
                let time = 1_790_000_000_123_456 + i as i64;
                known.record(Deployment { time, ..deployment(i as u64, &i.to_string(), *outcome) });
            }
            prop_assert_eq!(known.deployments().len(), outcomes.len().min(KEPT_DEPLOYMENTS));
            let last = known.deployments().next_back().map(|last| last.generation);
            prop_assert_eq!(last, Some(outcomes.len() as u64 - 1));
            let json = serde_json::to_string(&known).map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!(serde_json::from_str::<History>(&json).ok(), Some(known));
        }
    }
}
