//! A host: a supervisor that has the product's rollout, and the run that it opens, ends and opens again.

use sluice_core::deploy::{Effect, Event, Operators, Outcome, Rollout};
use sluice_core::run::End;

use crate::operator::{Habit, Version};
use crate::run::{Run, Said};
use crate::world::World;

/// All of a process.
pub struct Host {
    /// None while the group gives it nothing that it can work with.
    pub run: Option<Run>,
    rollout: Rollout,
    /// The newest file of the operator that it has seen.
    seen: Version,
}

impl Host {
    /// A process begins, with what is stored.
    pub fn start(world: &mut World) -> Host {
        world.change_sink();
        world.group.joins(world.me);
        let mut host = Host { run: None, rollout: Rollout::default(), seen: world.newest };
        host.open(world);
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
            world.mine().disk.set_away(away);
            let away = world.rng.u8(0..3) == 0;
            world.dimension.set_away(away);
        }
        let Some(run) = &mut self.run else {
            self.open(world);
            return;
        };
        if run.is_moved_from(world) {
            run.stop(world);
        }
        if self.seen != world.newest {
            self.wanted(world);
        }
        if self.is_seen_to_be_bad(world) {
            self.roll_back(world);
        }
        self.work(world);
    }

    fn work(&mut self, world: &mut World) {
        let Some(run) = &mut self.run else { return };
        match world.rng.u8(0..12) {
            0..5 => run.step_lane(world),
            5..10 => {
                if let Some(end) = run.step_flusher(world) {
                    self.ended(world, end);
                    return;
                }
            }
            10 => self.people(world),
            _ => run.retry(world),
        }
        self.hear(world);
    }

    /// What people do now and then.
    fn people(&mut self, world: &mut World) {
        // What takes its trial over goes on with what it has counted: it is rolled back first.
        let newest = world.newest;
        if newest.habit == Habit::Doubles && world.mine().shunned != Some(newest) {
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
            2 if world.happens(4) => self.run.iter_mut().for_each(|run| run.stop(world)),
            3 if world.happens(20) => world.stops = true,
            _ => {}
        }
    }

    fn wanted(&mut self, world: &mut World) {
        self.seen = world.newest;
        let effects = self.rollout.on(Event::Wanted(world.newest.operators()), 0);
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
                    if let Some(run) = &mut self.run {
                        run.swap(world, &operators, trial && !world.pipeline.transaction);
                    }
                }
                Effect::Close => self.run.iter_mut().for_each(|run| run.stop(world)),
                Effect::Say(deployment) => {
                    world.note(&format!("{:?} {:?}", deployment.outcome, deployment.operators));
                    if deployment.outcome == Outcome::RolledBack {
                        world.mine().shunned = Version::of(&deployment.operators);
                    }
                }
                Effect::Open(_) => {}
            }
        }
    }

    fn hear(&mut self, world: &mut World) {
        while let Some((said, on_trial)) =
            self.run.as_mut().and_then(|run| Some((run.said.pop_front()?, run.lane.is_on_trial())))
        {
            world.note(&format!("{said:?}"));
            let effects = match said {
                Said::TookOver(version) => {
                    let mut effects = self.rollout.on(Event::CutOver, 0);
                    if !on_trial {
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

    fn is_on_trial(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.lane.is_on_trial())
    }

    /// Whether a person sees that what is on trial counts twice.
    fn is_seen_to_be_bad(&self, world: &mut World) -> bool {
        let doubles = self.run.as_ref().is_some_and(|run| run.version.habit == Habit::Doubles);
        self.is_on_trial() && doubles && (world.calm || world.happens(15))
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
        // Whoever sees that a record stops it lets it be left out, sooner or later.
        if how.is_err() && world.rng.bool() {
            world.stops = false;
        }
        let untried = how.is_err() && !(self.rollout.is_on_trial() && self.is_on_trial()) || world.head().is_none();
        if untried && !world.newest.is_good() {
            // What stopped, or never began, is opened as its newest, without a trial: whoever mends it mends that, too.
            world.deploy(Version::FIRST);
            self.seen = world.newest;
            self.rollout.on(Event::Wanted(world.newest.operators()), 0);
        }
        if let Some(head) = world.head() {
            let effects = self.rollout.found(head.generation, &head.operators, 0);
            self.follow(world, effects);
        }
        let effects = self.rollout.on(Event::Ended(how), 0);
        self.follow(world, effects);
        self.run = None;
        world.mine().leased = false;
        self.open(world);
    }

    /// A run of what is to run, if the group gives anything: what the checkpoint is of, or the newest where there is none or that stopped at
    /// a fault.
    fn open(&mut self, world: &mut World) {
        let Some(share) = world.group.share(world.me) else { return };
        if world.head().is_none() && !world.newest.is_good() {
            // The first of all has no trial.
            world.deploy(Version::FIRST);
        }
        let mut operators = self.opening(world);
        let is_known = world.head().is_some_and(|head| head.operators == operators);
        if !is_known && !Version::of(&operators).unwrap().is_good() {
            // What stopped is opened as its newest, without a trial: whoever mends it mends that, too, and starts the host anew.
            world.deploy(Version::FIRST);
            self.rollout = Rollout::default();
            operators = self.opening(world);
        }
        let run = Run::start(world, &operators, share);
        let generation = run.lane.head().generation;
        self.run = Some(run);
        self.seen = world.newest;
        let mut effects = self.rollout.on(Event::Opened(generation), 0);
        effects.extend(self.rollout.on(Event::Wanted(world.newest.operators()), 0));
        self.follow(world, effects);
    }
    /// What the rollout says that is to be opened.
    fn opening(&mut self, world: &mut World) -> Operators {
        let good = world.head().filter(|head| !head.operators.is_empty()).map(|head| (head.generation, head.operators));
        if self.rollout.opening().is_none() {
            self.rollout.resume(good);
            self.rollout.shun(world.mine().shunned.map(Version::operators));
            let wanted = world.newest.operators();
            self.rollout.on(Event::Wanted(wanted), 0);
            self.rollout.on(Event::Start, 0);
        }
        self.rollout.opening().cloned().unwrap()
    }
}
