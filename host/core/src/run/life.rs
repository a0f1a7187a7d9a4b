//! The life of a pipeline from run to run: what it waits for, when it opens a run, and what follows the end of one.
//!
//! ```text
//!                    ┌────── at once: moved · rolled back · groups written again ───────┐
//!                    ▼                                                                  │
//! operators ──────▶ look ──▶ open ──────────────▶ run ──ended──▶ record ──▶ settle ─────┤
//!  known, or        ▲ ▲       │ server away · others have it                            │
//!  a second         │ └─waits─┘ · no operators                                          ▼
//!                   └──────── after a wait, that grows where it gets no further ── locate, leave: replaced, disabled, stopped
//!                                                                                        │
//!  asked to end, from anywhere but a run and what follows it ─────────▶ leave ──▶ end ◀──┘ done · a backfill at fault
//! ```
//!
//! [`Rollout`] decides which operators a run is of. While a run is open, its driver tells that machine of swaps and trials; between runs,
//! [`Life`] does.

mod after;
mod effect;
mod event;
mod opening;
mod patience;
mod phase;
mod report;

use std::time::Duration;

pub use effect::{Awaited, Ended, LifeEffect, Wait};
pub use event::{Candidates, LifeEvent, RunEnd, Trouble};
pub use patience::given_up;
pub use report::{Culprit, LifeReport, PipelineState};

use super::{Backoff, End, Now};
use crate::deploy::{self, Rollout};
use crate::disabled::Disablings;
use patience::Patience;
use phase::{Phase, Rest, ends, leaves};

/// Longest time that a pipeline waits for its operators to be looked at and compiled, before it begins without the newest, and before the
/// status says that it waits. Shorter: more starts begin with the checkpoint's operators, which the newest replace at once, and each first
/// start shows a wait. Longer: an operator that takes long to compile keeps the pipeline waiting, and nobody knows for what.
const COMPILING: Duration = Duration::from_secs(1);

/// The settings of a life.
#[derive(Debug, Clone, Copy)]
pub struct LifeSettings {
    /// Longest time that a server may be away, for a backfill: a pipeline that reads up to where its topic ends, then ends, and ends at any
    /// fault. None for a pipeline that runs until it is asked to end.
    pub backfill: Option<Duration>,
    /// Seed of what is left to chance.
    pub seed: u64,
}

/// The life of a pipeline.
///
/// Invariants: a run is opened only when the one before it has ended; nothing is opened once the pipeline is asked to end.
#[derive(Debug)]
pub struct Life {
    /// Machine that decides which operators run, and what is done about others.
    pub rollout: Rollout,
    settings: LifeSettings,
    phase: Phase,
    disablings: Disablings,
    backoff: Backoff,
    patience: Patience,
    /// Reason why the pipeline stopped last.
    stopped: Option<String>,
    /// True if the last run ended because partitions moved, until the next is open.
    moved: bool,
    /// The states are to be forgotten, since the newest operators can't go on with them.
    begins_anew: bool,
    /// The run that has ended is to be followed by one of the checkpoint's operators.
    rolled_back: bool,
    /// All groups are to be written again.
    resync: bool,
    /// True if the run of a supervisor that died may still write.
    orphaned: bool,
    ending: bool,
    reports: Vec<LifeReport>,
}

impl Life {
    /// The life of a pipeline that begins.
    pub fn new(settings: LifeSettings) -> Life {
        Life {
            rollout: Rollout::default(),
            settings,
            phase: Phase::Begins,
            disablings: Disablings::default(),
            backoff: Backoff::new(settings.seed),
            patience: Patience::new(settings.backfill),
            stopped: None,
            moved: false,
            begins_anew: false,
            rolled_back: false,
            resync: false,
            orphaned: false,
            ending: false,
            reports: Vec::new(),
        }
    }

    /// Says whether a run is open.
    pub fn is_running(&self) -> bool {
        self.phase == Phase::Runs
    }

    /// Takes what is to be said since the last call.
    pub fn reports(&mut self) -> Vec<LifeReport> {
        std::mem::take(&mut self.reports)
    }

    /// Answers what is to be done next. The same again until an event changes that.
    pub fn next_effect(&self) -> LifeEffect {
        let phase = &self.phase;
        match phase {
            Phase::Begins => phase.wait(Awaited::Known, Some(COMPILING)),
            Phase::Looks => LifeEffect::Look,
            Phase::Unread { said, .. } => phase.wait(Awaited::Deployment, (!said).then_some(COMPILING)),
            Phase::Without(_) => phase.wait(Awaited::Deployment, None),
            Phase::Opens(opening) => LifeEffect::Open(opening.operators.clone()),
            Phase::Away(wait) => phase.wait(Awaited::Time, Some(*wait)),
            Phase::Held(reason) => phase.wait(Awaited::Turn(reason.clone()), None),
            Phase::Runs => LifeEffect::Run,
            Phase::Records { deployments, end, .. } => {
                LifeEffect::Record { deployments: deployments.clone(), flushed: *end == End::Done }
            }
            Phase::Forgets => LifeEffect::Forget,
            Phase::Settles(_) => LifeEffect::Settle,
            Phase::Resyncs(_) => LifeEffect::Resync,
            Phase::Locates(_) => LifeEffect::Locate,
            Phase::Leaves(_) => LifeEffect::Leave,
            Phase::Rests(Rest::Replaced, wait) => phase.wait(Awaited::Time, Some(*wait)),
            Phase::Rests(Rest::Disabled(..), wait) => phase.wait(Awaited::OtherOperators, Some(*wait)),
            Phase::Rests(Rest::Stopped(_), wait) => phase.wait(Awaited::Deployment, Some(*wait)),
            Phase::OldRun => phase.wait(Awaited::OldRun, None),
            Phase::Over(ended) => LifeEffect::End(ended.clone()),
        }
    }

    /// Takes an event. One that doesn't belong to the effect under way changes nothing.
    pub fn on(&mut self, event: LifeEvent, now: Now) {
        let phase = std::mem::take(&mut self.phase);
        let next = match event {
            LifeEvent::Ending => {
                self.ending = true;
                phase
            }
            LifeEvent::Died(panic) => self.on_died(phase, &panic),
            LifeEvent::Obeyed if phase.hears_orders() => self.opens_anew(),
            LifeEvent::Waited => self.on_waited(phase, now),
            LifeEvent::Came => self.on_came(phase, now),
            LifeEvent::Gone => self.on_gone(phase, now),
            event => self.on_answer(phase, event, now),
        };
        self.phase = if self.ending && next.gives_way() { ends(Ended::Well) } else { next };
    }

    fn on_answer(&mut self, phase: Phase, event: LifeEvent, now: Now) -> Phase {
        match (phase, event) {
            (Phase::Looks, LifeEvent::Looked(answer)) => self.on_looked(answer, now),
            (Phase::Opens(_), LifeEvent::Opened) => {
                (self.moved, self.begins_anew) = (false, false);
                self.patience.is_in(PipelineState::Running, false, now.since);
                Phase::Runs
            }
            (Phase::Opens(_), LifeEvent::NotOpened(trouble)) => self.on_not_opened(trouble, now),
            (Phase::Opens(opening), LifeEvent::NotKept(reason)) => {
                self.say(LifeReport::NotKept(reason), now);
                self.rollout.on(deploy::Event::NotOpened, now.micros);
                self.choose(opening.candidates, opening.chosen, now)
            }
            (Phase::Runs, LifeEvent::Resync) => {
                self.resync = true;
                Phase::Runs
            }
            (Phase::Runs, LifeEvent::StatesRefused) => {
                self.begins_anew = true;
                Phase::Runs
            }
            (Phase::Runs, LifeEvent::NotBegun(reason)) => self.fault(reason, now),
            (Phase::Runs, LifeEvent::Ended(run)) => self.on_ended(run, now),
            (Phase::Records { end, forgets, .. }, LifeEvent::Done) => self.on_recorded(end, forgets, now),
            (Phase::Forgets, LifeEvent::Forgotten(answer)) => self.on_forgotten(answer, now),
            (Phase::Settles(end), LifeEvent::Done) => self.after(end, now),
            (Phase::Resyncs(None), LifeEvent::Done) => Phase::Begins,
            (Phase::Resyncs(Some(_)), LifeEvent::Done) if !self.ending => self.opens_anew(),
            (Phase::Resyncs(Some(end)), LifeEvent::Done) => self.follow(end, now),
            (Phase::Locates(rest), LifeEvent::Located(consumed)) => self.on_located(rest, consumed.as_ref(), now),
            (Phase::Leaves(next), LifeEvent::Done) => *next,
            (phase, _) => phase,
        }
    }

    fn on_waited(&mut self, phase: Phase, now: Now) -> Phase {
        match phase {
            Phase::Begins | Phase::Rests(..) => self.opens_anew(),
            Phase::Unread { operator, said: false } => {
                self.say(LifeReport::Compiling(operator.clone()), now);
                Phase::Unread { operator, said: true }
            }
            Phase::Away(_) => Phase::Looks,
            phase => phase,
        }
    }

    fn on_came(&mut self, phase: Phase, now: Now) -> Phase {
        match phase {
            Phase::Begins | Phase::Rests(Rest::Stopped(_), _) => self.opens_anew(),
            Phase::Rests(Rest::Disabled(..), _) => {
                self.disablings.forget();
                self.opens_anew()
            }
            Phase::Unread { said, .. } => {
                self.looked_at(said, now);
                Phase::Looks
            }
            Phase::Without(_) | Phase::Held(_) => Phase::Looks,
            Phase::OldRun => {
                self.orphaned = false;
                // Whoever asked for that waits, and that run has ended.
                if std::mem::take(&mut self.resync) { Phase::Resyncs(None) } else { Phase::Begins }
            }
            phase => phase,
        }
    }

    /// Gives up a wait for a deployment, since nobody deploys any more.
    fn on_gone(&mut self, phase: Phase, now: Now) -> Phase {
        match phase {
            Phase::Begins => self.opens_anew(),
            Phase::Unread { said, .. } => {
                self.looked_at(said, now);
                self.fault("nobody looks for operators any more".to_owned(), now)
            }
            Phase::Without(reason) => self.fault(reason, now),
            Phase::Held(_) => Phase::Looks,
            Phase::Rests(Rest::Disabled(_, reason) | Rest::Stopped(reason), _) => ends(Ended::Fault(reason)),
            phase => phase,
        }
    }

    /// Forgets the operators, leaves the group and rests, then begins as if the host had just begun; what is known of waits is kept. The
    /// run of the supervisor that died ends by itself, as nobody controls it any more.
    fn on_died(&mut self, phase: Phase, panic: &str) -> Phase {
        match phase {
            // Nothing is left to be done.
            Phase::Leaves(next) if matches!(*next, Phase::Over(_)) => return *next,
            Phase::Over(_) => return phase,
            _ => {}
        }
        (self.rollout, self.begins_anew, self.orphaned) = (Rollout::default(), false, true);
        leaves(Phase::Locates(Rest::died(&format!("its supervisor died: {panic}"))))
    }

    fn say(&mut self, report: LifeReport, now: Now) {
        if let Some((state, reason)) = report.state() {
            self.patience.is_in(state, reason.is_some(), now.since);
        }
        self.reports.push(report);
    }
}

#[cfg(test)]
#[path = "life_tests.rs"]
mod tests;
