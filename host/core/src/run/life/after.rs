//! Steps that follow the end of a run, or a failed try to open one.

use super::event::RunEnd;
use super::phase::{Phase, Rest, ends, leaves};
use super::report::{Culprit, LifeReport};
use super::{Ended, Life, Now};
use crate::deploy::{self, Deployment, Effect, Outcome, Rollout};
use crate::disabled::FIRST_WAIT;
use crate::interval::Intervals;
use crate::run::End;

impl Life {
    /// Takes the end of a run: well, at fault, or with a roll-back, which a fault during a trial leads to.
    pub(super) fn on_ended(&mut self, run: RunEnd, now: Now) -> Phase {
        self.patience.goes_on(run.waited, now.since);
        let end = match (run.end, run.given_up) {
            (End::Done | End::Moved(_), Some(reason)) => End::Fault(reason),
            (end, _) => end,
        };
        let mut effects = Vec::new();
        if let Some(operators) = run.passed {
            effects.extend(self.rollout.on(deploy::Event::Passed(operators), now.micros));
        }
        if let Some((generation, operators)) = run.head {
            effects.extend(self.rollout.found(generation, &operators, now.micros));
        }
        if self.ending {
            self.rollout.on(deploy::Event::Stop, now.micros);
        }
        let how = end.fault().map_or(Ok(()), |reason| Err(reason.to_owned()));
        let rolled_back = self.rollout.on(deploy::Event::Ended(how), now.micros);
        let why = reason_of_roll_back(&rolled_back);
        self.rolled_back = why.is_some() && self.rollout.opening().is_some();
        let end = why.map_or(end, End::Fault);
        effects.extend(rolled_back);
        let forgets = self.begins_anew && end == End::Done;
        let end = if forgets { End::Fault("it begins anew".to_owned()) } else { end };
        Phase::Records { deployments: effects.into_iter().filter_map(said).collect(), end, forgets }
    }

    pub(super) fn on_recorded(&mut self, end: End, forgets: bool, now: Now) -> Phase {
        match end {
            _ if forgets => Phase::Forgets,
            End::Moved(_) => Phase::Settles(end),
            end => self.after(end, now),
        }
    }

    pub(super) fn on_forgotten(&mut self, answer: Result<(), String>, now: Now) -> Phase {
        self.rollout = Rollout::default();
        let reason = match answer {
            Ok(()) => "it begins anew".to_owned(),
            Err(reason) => {
                self.begins_anew = false;
                reason
            }
        };
        self.fault(reason, now)
    }

    pub(super) fn fault(&mut self, reason: String, now: Now) -> Phase {
        self.after(End::Fault(reason), now)
    }

    /// Goes on after a run that has ended or could not be opened. Groups that are to be written again come first.
    pub(super) fn after(&mut self, end: End, now: Now) -> Phase {
        if std::mem::take(&mut self.resync) { Phase::Resyncs(Some(end)) } else { self.follow(end, now) }
    }

    /// Chooses the phase that follows an end.
    pub(super) fn follow(&mut self, end: End, now: Now) -> Phase {
        match end {
            End::Replaced(reason) if !self.ending => {
                self.say(LifeReport::Replaced(reason), now);
                // Whoever empties the table again and again is not to have it written at full speed.
                Phase::Locates(Rest::Replaced)
            }
            End::Done => {
                self.say(LifeReport::Finished, now);
                ends(Ended::Well)
            }
            End::Moved(reason) => {
                self.moved = true;
                self.say(LifeReport::Moved(reason), now);
                self.opens_anew()
            }
            // The last good generation goes on from the checkpoint, or the pipeline without one.
            _ if self.goes_on() => self.opens_anew(),
            End::Disabled(reason) => leaves(Phase::Locates(Rest::Disabled(Culprit::Operator, reason))),
            End::Died(reason) => leaves(Phase::Locates(Rest::died(&reason))),
            End::Fault(reason) | End::Replaced(reason) => Phase::Locates(Rest::Stopped(reason)),
        }
    }

    /// Says whether another run follows at once. None does if a run could not be opened, or begun: it would fail again in the same way.
    pub(super) fn goes_on(&mut self) -> bool {
        std::mem::take(&mut self.begins_anew) || self.rolled_back
    }

    /// Begins a rest, which is longer each time the pipeline gets no further; a backfill at fault ends instead. A fault that is mended
    /// meanwhile heals by itself, wherever it was found, since all of the pipeline goes on from its checkpoint.
    pub(super) fn on_located(&mut self, rest: Rest, consumed: Option<&Intervals>, now: Now) -> Phase {
        let wait = self.disablings.wait(consumed);
        match &rest {
            Rest::Replaced => {}
            Rest::Disabled(culprit, reason) => {
                let (culprit, reason) = (*culprit, reason.clone());
                self.say(LifeReport::Disabled { culprit, reason: reason.clone(), wait }, now);
                if self.settings.backfill.is_some() {
                    return ends(Ended::Fault(reason));
                }
            }
            Rest::Stopped(reason) => {
                let news = wait == FIRST_WAIT || self.stopped.as_ref() != Some(reason);
                self.stopped = Some(reason.clone());
                self.say(LifeReport::Stopped { reason: reason.clone(), news }, now);
                if self.settings.backfill.is_some() || self.ending {
                    return ends(Ended::Fault(reason.clone()));
                }
                // Others may do better than a host that stopped.
                return leaves(Phase::Rests(rest, wait));
            }
        }
        Phase::Rests(rest, wait)
    }
}

fn reason_of_roll_back(effects: &[Effect]) -> Option<String> {
    effects.iter().find_map(|effect| match effect {
        Effect::Say(Deployment { outcome: Outcome::RolledBack, reason, .. }) => {
            Some(reason.clone().unwrap_or_default())
        }
        _ => None,
    })
}

fn said(effect: Effect) -> Option<Deployment> {
    match effect {
        Effect::Say(deployment) => Some(deployment),
        _ => None,
    }
}
