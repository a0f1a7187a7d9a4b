//! Steps before a run: the choice of the operators that it is opened with, and the waits for what isn't there.

use super::event::{Candidates, Trouble};
use super::phase::{Opening, Phase};
use super::report::{LifeReport, PipelineState};
use super::{Life, Now};
use crate::deploy;
use crate::run::End;

impl Life {
    /// Begins to open a run, with no failed try behind it. If the run of a supervisor that died may still write, its end is waited for.
    pub(super) fn opens_anew(&mut self) -> Phase {
        self.backoff.answered();
        self.rolled_back = false;
        if self.orphaned { Phase::OldRun } else { Phase::Looks }
    }

    pub(super) fn on_looked(&mut self, answer: Result<Candidates, Trouble>, now: Now) -> Phase {
        match answer {
            // What runs is to be the newest, also if that is over before it is compiled.
            Ok(Candidates { unread: Some(operator), .. }) if self.settings.backfill.is_some() => {
                Phase::Unread { operator, said: false }
            }
            Ok(candidates) => self.choose(candidates, false, now),
            Err(Trouble::Away(reason)) => self.away(reason, now),
            Err(wrong) => self.fault(wrong.to_string(), now),
        }
    }

    /// Chooses the operators that are opened first: those of the checkpoint's generation, or the newest if there is none or that one is at
    /// fault.
    pub(super) fn choose(&mut self, candidates: Candidates, mut chosen: bool, now: Now) -> Phase {
        if self.rollout.opening().is_none() && !std::mem::replace(&mut chosen, true) {
            self.rollout.resume(candidates.good.clone());
            self.rollout.shun(candidates.shunned.clone());
            let event = match &candidates.newest {
                Ok(newest) => deploy::Event::Wanted(newest.clone()),
                Err(_) => deploy::Event::Again,
            };
            self.rollout.on(event, now.micros);
        }
        match self.rollout.opening().cloned() {
            Some(operators) => Phase::Opens(Opening { operators, candidates, chosen }),
            None => self.without_operators(candidates, now),
        }
    }

    pub(super) fn without_operators(&mut self, candidates: Candidates, now: Now) -> Phase {
        if let Some(operator) = candidates.unread {
            return Phase::Unread { operator, said: false };
        }
        let reason = candidates.newest.err().unwrap_or_else(|| "no generation can be run".to_owned());
        if self.settings.backfill.is_some() {
            return self.fault(reason, now);
        }
        self.say(LifeReport::Waits(PipelineState::Waiting, reason.clone()), now);
        Phase::Without(reason)
    }

    /// Says that an operator is compiled, if it was said that this takes long.
    pub(super) fn looked_at(&mut self, said: bool, now: Now) {
        if said {
            // That was no wait for a server.
            self.say(LifeReport::Compiled, now);
        }
    }

    pub(super) fn on_not_opened(&mut self, trouble: Trouble, now: Now) -> Phase {
        match trouble {
            Trouble::Away(reason) => return self.away(reason, now),
            Trouble::Held(reason) if self.settings.backfill.is_none() => {
                self.say(LifeReport::Held(reason.clone()), now);
                return Phase::Held(reason);
            }
            Trouble::Held(_) | Trouble::Operator(_) | Trouble::Wrong(_) => {}
        }
        self.rollout.on(deploy::Event::NotOpened, now.micros);
        match trouble {
            Trouble::Held(reason) => self.fault(reason, now),
            trouble if self.rollout.opening().is_some() => {
                self.say(LifeReport::OthersInstead(trouble.to_string()), now);
                Phase::Looks
            }
            Trouble::Operator(reason) => self.after(End::Disabled(reason), now),
            wrong => self.fault(wrong.to_string(), now),
        }
    }

    /// Waits until the server may be asked again, or gives it up.
    pub(super) fn away(&mut self, reason: String, now: Now) -> Phase {
        let state = if self.moved { PipelineState::Holding } else { PipelineState::Waiting };
        self.say(LifeReport::Waits(state, reason.clone()), now);
        match self.patience.is_over(&reason, now.since) {
            Some(fault) => {
                self.rollout.on(deploy::Event::NotOpened, now.micros);
                self.fault(fault, now)
            }
            None => Phase::Away(self.backoff.wait()),
        }
    }
}
