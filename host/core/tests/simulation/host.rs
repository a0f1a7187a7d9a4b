//! The host: a supervisor that has the product's rollout, and the run that it opens, ends and opens again.

use sluice_core::deploy::{Effect, Event, Outcome, Rollout};
use sluice_core::run::End;

use crate::operator::{Habit, Version};
use crate::run::{Run, Said};
use crate::world::World;

/// All of a process.
pub struct Host {
    pub run: Run,
    rollout: Rollout,
}

impl Host {
    /// A process begins, with what is stored.
    pub fn start(world: &mut World) -> Host {
        world.change_sink();
        if world.head().is_none() && !world.newest.is_good() {
            // The first of all has no trial.
            world.deploy(Version::FIRST);
        }
        let mut rollout = Rollout::default();
        let run = open(world, &mut rollout);
        let mut host = Host { run, rollout };
        host.opened(world);
        host
    }

    /// One thing that a host may do next.
    pub fn step(&mut self, world: &mut World) {
        if world.happens(40) {
            world.note("killed");
            *self = Host::start(world);
            return;
        }
        if world.happens(8) {
            let away = world.rng.u8(0..3) == 0;
            world.disk.set_away(away);
        }
        if self.is_seen_to_be_bad(world) {
            self.roll_back(world);
        }
        match world.rng.u8(0..12) {
            0..5 => self.run.step_lane(world),
            5..10 => {
                if let Some(end) = self.run.step_flusher(world) {
                    self.ended(world, end);
                    return;
                }
            }
            10 => self.people(world),
            _ => self.run.retry(world),
        }
        self.hear(world);
    }

    /// What people do now and then.
    fn people(&mut self, world: &mut World) {
        // What takes its trial over goes on with what it has counted: it is rolled back first.
        if world.newest.habit == Habit::Doubles && world.shunned != Some(world.newest) {
            return;
        }
        if world.calm {
            if !world.newest.is_good() {
                world.deploy(Version::FIRST);
                self.wanted(world);
            }
            return;
        }
        match world.rng.u8(0..4) {
            0 if world.pipeline.shape.folds() => {
                let version = Version::any(&mut world.rng, world.pipeline, world.memory == usize::MAX);
                world.deploy(version);
                self.wanted(world);
            }
            1 if !world.pipeline.steady => world.mark_letters(),
            2 if world.happens(4) => self.run.stop(world),
            _ => {}
        }
    }

    fn wanted(&mut self, world: &mut World) {
        let effects = self.rollout.on(Event::Wanted(world.newest.operators()), 0);
        self.follow(world, effects);
    }

    /// A run is open.
    fn opened(&mut self, world: &mut World) {
        let generation = self.run.lane.head().generation;
        let mut effects = self.rollout.on(Event::Opened(generation), 0);
        effects.extend(self.rollout.on(Event::Wanted(world.newest.operators()), 0));
        self.follow(world, effects);
    }

    fn follow(&mut self, world: &mut World, mut effects: Vec<Effect>) {
        while !effects.is_empty() {
            match effects.remove(0) {
                // It may be replaced while it is prepared.
                Effect::Prepare(_) if world.happens(10) => {
                    effects.extend(self.rollout.on(Event::Refused, 0));
                }
                Effect::Prepare(_) => effects.extend(self.rollout.on(Event::Prepared, 0)),
                Effect::CutOver { operators, trial } => {
                    self.run.swap(world, &operators, trial && !world.pipeline.transaction);
                }
                Effect::Close => self.run.stop(world),
                Effect::Say(deployment) => {
                    world.note(&format!("{:?} {:?}", deployment.outcome, deployment.operators));
                    if deployment.outcome == Outcome::RolledBack {
                        world.shunned = Version::of(&deployment.operators);
                    }
                }
                Effect::Open(_) => {}
            }
        }
    }

    fn hear(&mut self, world: &mut World) {
        while let Some(said) = self.run.said.pop_front() {
            world.note(&format!("{said:?}"));
            let effects = match said {
                Said::TookOver(version) => {
                    let mut effects = self.rollout.on(Event::CutOver, 0);
                    if !self.run.lane.is_on_trial() {
                        effects.extend(self.rollout.on(Event::Passed(version.operators()), 0));
                    }
                    effects
                }
                Said::NotTaken => self.rollout.on(Event::Refused, 0),
                Said::Passed(operators) => self.rollout.on(Event::Passed(operators), 0),
            };
            self.follow(world, effects);
        }
    }

    /// Whether a person sees that what is on trial counts twice.
    fn is_seen_to_be_bad(&self, world: &mut World) -> bool {
        let bad = self.run.lane.is_on_trial() && self.run.version.habit == Habit::Doubles;
        bad && (world.calm || world.happens(15))
    }

    fn roll_back(&mut self, world: &mut World) {
        let Some(good) = world.head().and_then(|head| Version::of(&head.operators)) else { return };
        world.note(&format!("back to {good:?}"));
        let effects = self.rollout.on(Event::Asked(good.operators()), 0);
        self.follow(world, effects);
    }

    /// The run has ended; another begins, as the rollout says.
    fn ended(&mut self, world: &mut World, end: End) {
        self.hear(world);
        world.note(&format!("the run ended: {end:?}"));
        let how = match &end {
            End::Done | End::Moved(_) | End::Replaced(_) => Ok(()),
            End::Fault(reason) | End::Disabled(reason) | End::Died(reason) => Err(reason.clone()),
        };
        if let Err(reason) = &how
            && reason.contains("state.memory")
        {
            world.raise_memory();
        }
        let untried =
            how.is_err() && !(self.rollout.is_on_trial() && self.run.lane.is_on_trial()) || world.head().is_none();
        if untried && !world.newest.is_good() {
            // What stopped, or never began, is opened as its newest, without a trial: whoever mends it mends that, too.
            world.deploy(Version::FIRST);
            self.rollout.on(Event::Wanted(world.newest.operators()), 0);
        }
        if let Some(head) = world.head() {
            let effects = self.rollout.found(head.generation, &head.operators, 0);
            self.follow(world, effects);
        }
        let effects = self.rollout.on(Event::Ended(how), 0);
        self.follow(world, effects);
        self.run = open(world, &mut self.rollout);
        self.opened(world);
    }
}

/// A run of what is to run: what the checkpoint is of, or the newest where there is none or that stopped at a fault.
fn open(world: &mut World, rollout: &mut Rollout) -> Run {
    let good = world.head().filter(|head| !head.operators.is_empty()).map(|head| (head.generation, head.operators));
    if rollout.opening().is_none() {
        rollout.resume(good);
        rollout.shun(world.shunned.map(Version::operators));
        let wanted = world.newest.operators();
        rollout.on(Event::Wanted(wanted), 0);
        rollout.on(Event::Start, 0);
    }
    let operators = rollout.opening().cloned().unwrap();
    Run::start(world, &operators)
}
