//! The state machine of start, swap, roll-back and stop: events in, effects out.

use super::{Deployment, Operators, Outcome};

/// Event that the state machine is told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The pipeline is to run.
    Start,
    /// The newest valid artifacts of the operators that the pipeline names are these.
    Wanted(Operators),
    /// A person wants these operators to run, without a trial, even if others are newer.
    Asked(Operators),
    /// With true, only a person's order changes the operators from now on; with false, new artifacts do so again.
    Pinned(bool),
    /// The run that was to be opened is open, as this generation: records flow.
    Opened(u64),
    /// The run can't be opened for now.
    NotOpened,
    /// The operators that were to be prepared are ready.
    Prepared,
    /// The operators can't be prepared, or can't take over.
    Refused,
    /// The operators took over; their trial begins, if they have one.
    CutOver,
    /// The trial of these operators is over, and its result is durable.
    Passed(Operators),
    /// The run ended: as it was asked to or because there is nothing left to do, or at fault.
    Ended(Result<(), String>),
    /// The time has come to try again to open a run that could not be opened.
    Again,
    /// The pipeline is to end.
    Stop,
}

/// Action that the caller must perform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Open a run of these operators from the last checkpoint. Answered with `Opened` or `NotOpened`.
    Open(Operators),
    /// Prepare these operators beside the run. Answered with `Prepared` or `Refused`.
    Prepare(Operators),
    /// Let the prepared operators take over at a batch boundary. Answered with `CutOver` or `Refused`.
    CutOver {
        /// The operators.
        operators: Operators,
        /// True if the operators are on trial; otherwise `Passed` follows at once.
        trial: bool,
    },
    /// The run is to end. Answered with `Ended`.
    Close,
    /// Tell people about this outcome of a deployment.
    Say(Deployment),
}

/// State machine of the operators that a pipeline runs, and of the others that it prepares or tries.
///
/// Invariants: one run is open at most; it is closed before another is opened; the checkpoint is of the generation `good`.
#[derive(Debug, Clone, Default)]
pub struct Rollout {
    /// The generation that the checkpoint is of; none before the first start.
    good: Option<(u64, Operators)>,
    /// Operators that run on trial.
    trial: Option<Operators>,
    step: Phase,
    /// Newest valid operators.
    wanted: Option<Operators>,
    /// Operators that a person asked for and that are not yet prepared.
    asked: Option<Operators>,
    /// Operators that must not be tried again until the newest ones were others in between.
    shunned: Option<Operators>,
    /// Operators that were refused since the last change or opening: the same ones would be refused again.
    refused: Option<Operators>,
    pinned: bool,
    /// True if the good operators stopped at a fault: newer ones are tried before them.
    faulty: bool,
    stopping: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Phase {
    /// No run is open.
    #[default]
    Closed,
    Opening {
        operators: Operators,
        /// Operators that are tried if these can't be opened.
        otherwise: Option<Operators>,
    },
    Open,
    Preparing {
        operators: Operators,
        asked: bool,
    },
    CuttingOver {
        operators: Operators,
        asked: bool,
    },
    /// The run was asked to end. A reason means that it is to be rolled back.
    Closing(Option<String>),
}

impl Rollout {
    /// Makes the state machine of a pipeline whose checkpoint is of the generation `good`. The operators `shunned` are not tried
    /// again without a person's order.
    pub fn new(good: Option<(u64, Operators)>, shunned: Option<Operators>) -> Rollout {
        Rollout { good, shunned, ..Rollout::default() }
    }

    /// Updates the generation that the checkpoint is of, since another host may have committed between two runs. Does nothing
    /// while a run is open.
    pub fn resume(&mut self, good: Option<(u64, Operators)>) {
        if self.step == Phase::Closed {
            self.good = good;
        }
    }

    /// Takes the generation and the operators of the checkpoint that a run left. Its last commit may have been made although the
    /// answer said otherwise; the operators on trial have then passed.
    pub fn found(&mut self, generation: u64, operators: &Operators, now: i64) -> Vec<Effect> {
        if self.good.as_ref().is_none_or(|(good, _)| *good >= generation) {
            return Vec::new();
        }
        self.trial.take_if(|trial| trial == operators);
        self.good = Some((generation, operators.clone()));
        let (outcome, operators) = (Outcome::Applied, operators.clone());
        vec![Effect::Say(Deployment { outcome, generation, operators, reason: None, time: now })]
    }

    /// Marks operators that must not be tried again without a person's order. Works only between runs, before the newest
    /// artifacts are known.
    pub fn shun(&mut self, operators: Option<Operators>) {
        if self.step == Phase::Closed && self.wanted.is_none() {
            self.shunned = operators;
        }
    }

    /// Allows the newest artifacts to be tried again, because a person asks for it.
    pub fn allow(&mut self) {
        (self.shunned, self.refused) = (None, None);
    }

    /// Allows the refused operators to be tried again, since the cause of the refusal may be gone.
    pub fn try_again(&mut self) {
        self.refused = None;
    }

    /// Returns the operators that were refused and are not tried again by themselves.
    pub fn refused(&self) -> Option<&Operators> {
        self.refused.as_ref()
    }

    /// Returns the operators of the run that is being opened.
    pub fn opening(&self) -> Option<&Operators> {
        match &self.step {
            Phase::Opening { operators, .. } => Some(operators),
            _ => None,
        }
    }

    /// Returns the generation and the operators that run, or that ran last.
    pub fn running(&self) -> Option<(u64, &Operators)> {
        match &self.trial {
            Some(operators) => Some((self.next_generation(), operators)),
            None => self.good.as_ref().map(|(generation, operators)| (*generation, operators)),
        }
    }

    /// Returns true if the running operators are on trial.
    pub fn is_on_trial(&self) -> bool {
        self.trial.is_some()
    }

    /// Returns true if no run is open or being opened: an event must come before there is one.
    pub fn is_closed(&self) -> bool {
        self.step == Phase::Closed
    }

    /// Returns the operators that are not tried although they may be the newest valid ones.
    pub fn shunned(&self) -> Option<&Operators> {
        self.shunned.as_ref()
    }

    /// Takes an event at this time, in microseconds since 1970-01-01T00:00:00 UTC; answers what is to be done, in this order.
    /// An event that doesn't belong to the step under way changes nothing.
    pub fn on(&mut self, event: Event, now: i64) -> Vec<Effect> {
        match event {
            Event::Start | Event::Again => self.open(),
            Event::Wanted(operators) => self.on_wanted(operators),
            Event::Asked(operators) => self.on_asked(operators),
            Event::Pinned(pinned) => {
                self.pinned = pinned;
                self.go_on()
            }
            Event::Opened(generation) => self.on_opened(generation),
            Event::NotOpened => self.on_not_opened(),
            Event::Prepared => self.on_prepared(),
            Event::Refused => self.on_refused(),
            Event::CutOver => self.on_cut_over(),
            Event::Passed(operators) => self.on_passed(operators, now),
            Event::Ended(end) => self.on_ended(end, now),
            Event::Stop => self.on_stop(),
        }
    }

    fn on_wanted(&mut self, operators: Operators) -> Vec<Effect> {
        if self.wanted.as_ref() != Some(&operators) {
            self.refused = None;
        }
        if self.shunned.as_ref() != Some(&operators) {
            self.shunned = None;
        }
        self.wanted = Some(operators);
        match self.step {
            Phase::Closed => self.open(),
            _ => self.go_on(),
        }
    }

    /// Handles a person's order. The newest artifacts must not come back by themselves after it, unless they are the ones asked
    /// for.
    fn on_asked(&mut self, operators: Operators) -> Vec<Effect> {
        if self.wanted.as_ref() != Some(&operators) {
            self.shunned = self.wanted.clone();
        }
        self.asked = Some(operators);
        match self.step {
            Phase::Closed => self.open(),
            _ => self.go_on(),
        }
    }

    /// Opens what a person asked for, else the good ones, or else the newest; where the good ones stopped at a fault, the newest
    /// before them.
    fn open(&mut self) -> Vec<Effect> {
        if self.step != Phase::Closed || self.stopping {
            return Vec::new();
        }
        self.refused = None;
        let good = self.good.as_ref().map(|(_, operators)| operators.clone());
        let (newest, asked) = (self.eligible().cloned(), self.asked.take());
        let (first, second) = if self.faulty { (newest, good) } else { (good, newest) };
        let mut order = [asked, first, second].into_iter().flatten();
        let Some(operators) = order.next() else { return Vec::new() };
        self.step = Phase::Opening { operators: operators.clone(), otherwise: order.next() };
        vec![Effect::Open(operators)]
    }

    /// Returns the newest operators, if they differ from the good ones and may be tried.
    fn eligible(&self) -> Option<&Operators> {
        let others = |operators: &&Operators| {
            self.good
                .as_ref()
                .is_none_or(|(_, good)| good != *operators && !self.pinned && self.shunned.as_ref() != Some(*operators))
        };
        self.wanted.as_ref().filter(others)
    }

    fn on_opened(&mut self, generation: u64) -> Vec<Effect> {
        let Phase::Opening { operators, .. } = std::mem::replace(&mut self.step, Phase::Open) else {
            return Vec::new();
        };
        self.faulty = false;
        if self.stopping {
            self.step = Phase::Closing(None);
            return vec![Effect::Close];
        }
        // Where those before could not be opened, or there were none, there is nothing to go back to, and no trial.
        self.good = Some((generation, operators));
        self.go_on()
    }

    fn on_not_opened(&mut self) -> Vec<Effect> {
        let Phase::Opening { otherwise, .. } = std::mem::replace(&mut self.step, Phase::Closed) else {
            return Vec::new();
        };
        match otherwise.filter(|_| !self.stopping) {
            Some(operators) => {
                self.step = Phase::Opening { operators: operators.clone(), otherwise: None };
                vec![Effect::Open(operators)]
            }
            None => Vec::new(),
        }
    }

    /// Prepares the next operators, if an open run isn't busy with others.
    fn go_on(&mut self) -> Vec<Effect> {
        if self.step != Phase::Open || self.stopping {
            return Vec::new();
        }
        let asked = self.asked.take();
        let (operators, asked) = match (asked, self.wanted.clone().filter(|_| !self.pinned)) {
            (Some(operators), _) => (operators, true),
            (None, Some(operators)) => (operators, false),
            (None, None) => return Vec::new(),
        };
        let passed_over = !asked && [&self.shunned, &self.refused].contains(&&Some(operators.clone()));
        if self.running().is_some_and(|(_, running)| *running == operators) || passed_over {
            return Vec::new();
        }
        let is_good = self.good.as_ref().is_some_and(|(_, good)| *good == operators);
        if self.trial.is_some() && (is_good || asked) {
            // What those on trial have counted is forgotten: whoever goes back doesn't want that either.
            let why = if is_good { "the one before it is wanted again" } else { "another one is wanted" };
            self.step = Phase::Closing(Some(why.to_owned()));
            self.asked = asked.then_some(operators);
            return vec![Effect::Close];
        }
        self.step = Phase::Preparing { operators: operators.clone(), asked };
        vec![Effect::Prepare(operators)]
    }

    fn on_prepared(&mut self) -> Vec<Effect> {
        match std::mem::replace(&mut self.step, Phase::Open) {
            Phase::Preparing { operators, asked } => {
                // Those that are no longer the newest needn't run for a moment.
                let current = asked || self.asked.is_none() && !self.pinned && self.wanted.as_ref() == Some(&operators);
                if !current || self.stopping {
                    return self.go_on();
                }
                self.step = Phase::CuttingOver { operators: operators.clone(), asked };
                vec![Effect::CutOver { operators, trial: !asked }]
            }
            step => self.unchanged(step),
        }
    }

    fn on_refused(&mut self) -> Vec<Effect> {
        match std::mem::replace(&mut self.step, Phase::Open) {
            Phase::Preparing { operators, .. } | Phase::CuttingOver { operators, .. } => {
                self.refused = Some(operators);
                self.go_on()
            }
            step => self.unchanged(step),
        }
    }

    fn on_cut_over(&mut self) -> Vec<Effect> {
        match std::mem::replace(&mut self.step, Phase::Open) {
            Phase::CuttingOver { operators, .. } => {
                // On top of others on trial, these take the trial over; the way back stays the same.
                self.trial = Some(operators);
                self.go_on()
            }
            step => self.unchanged(step),
        }
    }

    fn on_passed(&mut self, operators: Operators, now: i64) -> Vec<Effect> {
        if self.trial.as_ref() == Some(&operators) {
            self.trial = None;
        } else if self.good.as_ref().is_some_and(|(_, good)| *good == operators) {
            // Those that needed no trial are told of once more when they are durable.
            return Vec::new();
        }
        vec![self.apply(operators, now)]
    }

    fn on_ended(&mut self, end: Result<(), String>, now: i64) -> Vec<Effect> {
        let step = std::mem::replace(&mut self.step, Phase::Closed);
        if matches!(step, Phase::Closed | Phase::Opening { .. }) {
            return self.unchanged(step);
        }
        match (self.trial.take(), step, end) {
            (Some(operators), Phase::Closing(Some(reason)), _) if !self.stopping => {
                self.roll_back(operators, reason, true, now)
            }
            (Some(operators), _, Err(reason)) if !self.stopping => self.roll_back(operators, reason, false, now),
            (_, _, Err(_)) => {
                self.faulty = true;
                Vec::new()
            }
            // Those that were to be gone back from may have passed in the meantime: they are the good ones.
            (_, _, Ok(())) => Vec::new(),
        }
    }

    /// Rolls the operators back. `wanted_again` says that the good operators are the wanted ones again, so that there is nothing
    /// to shun.
    fn roll_back(&mut self, operators: Operators, reason: String, wanted_again: bool, now: i64) -> Vec<Effect> {
        if !wanted_again {
            self.shunned = Some(operators.clone());
        }
        let mut effects = vec![self.say(Outcome::RolledBack, operators, Some(reason), now)];
        effects.extend(self.open());
        effects
    }

    fn on_stop(&mut self) -> Vec<Effect> {
        self.stopping = true;
        match self.step {
            Phase::Closed | Phase::Opening { .. } | Phase::Closing(_) => Vec::new(),
            _ => {
                self.step = Phase::Closing(None);
                vec![Effect::Close]
            }
        }
    }

    fn apply(&mut self, operators: Operators, now: i64) -> Effect {
        let said = self.say(Outcome::Applied, operators.clone(), None, now);
        self.good = Some((self.next_generation(), operators));
        said
    }

    fn say(&self, outcome: Outcome, operators: Operators, reason: Option<String>, now: i64) -> Effect {
        Effect::Say(Deployment { outcome, generation: self.next_generation(), operators, reason, time: now })
    }

    fn next_generation(&self) -> u64 {
        self.good.as_ref().map_or(0, |(generation, _)| *generation) + 1
    }

    fn unchanged(&mut self, step: Phase) -> Vec<Effect> {
        self.step = step;
        Vec::new()
    }
}

#[cfg(test)]
mod tests;
