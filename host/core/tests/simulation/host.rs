//! A host: the product's own life of a pipeline, whose effects are performed between the runs that it opens, and its rollout, which is
//! told of swaps and trials while one runs.

use std::time::Duration;

use sluice_core::deploy::{Deployment, Effect, Event, Operators, Outcome};
use sluice_core::run::life::{Awaited, Candidates, RunEnd, Trouble, Wait};
use sluice_core::run::{End, Life, LifeEffect, LifeEvent, LifeSettings};

use crate::operator::{Habit, Version};
use crate::run::{Run, Said};
use crate::world::World;

/// All of a process.
pub struct Host {
    /// The run that is open, if there is one.
    pub run: Option<Run>,
    life: Life,
    begun: Duration,
    /// The run ends where the topic ends as it begins.
    is_backfill: bool,
    /// The newest file of the operator that it has seen.
    seen: Version,
}

impl Host {
    /// A process begins, with what is stored.
    pub fn start(world: &mut World) -> Host {
        world.change_sink();
        world.group.joins(world.me);
        let is_backfill = world.pipeline.ends && world.rng.bool();
        let backfill = is_backfill.then_some(Duration::from_secs(10));
        let life = Life::new(LifeSettings { backfill, seed: world.rng.u64(..) });
        Host { run: None, life, begun: world.clock, is_backfill, seen: world.newest }
    }

    /// Does one thing that a host may do next.
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
        if !self.life.is_running() {
            self.between_runs(world);
            return;
        }
        let Some(run) = &mut self.run else { return };
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

    /// Says whether nothing will be done by this host any more: other hosts have what it needs.
    pub fn is_at_rest(&self, world: &World) -> bool {
        world.group.share(world.me).is_none()
    }

    fn hear_of(&mut self, world: &World, event: LifeEvent) {
        self.life.on(event, world.now(self.begun));
    }

    /// Performs an effect of the life.
    fn between_runs(&mut self, world: &mut World) {
        let effect = self.life.next_effect();
        world.note(&format!("{effect:?}"));
        let event = match effect {
            LifeEffect::Wait(wait) => match self.wait(world, &wait) {
                Some(event) => event,
                None => return,
            },
            LifeEffect::Look if world.happens(6) => LifeEvent::Looked(Err(Trouble::Away("no history".to_owned()))),
            LifeEffect::Look => LifeEvent::Looked(Ok(candidates(world))),
            LifeEffect::Open(operators) => return self.open(world, &operators),
            LifeEffect::Record { deployments, .. } => {
                deployments.iter().for_each(|deployment| record(world, deployment));
                LifeEvent::Done
            }
            LifeEffect::Forget => LifeEvent::Forgotten(Ok(())),
            LifeEffect::Settle | LifeEffect::Leave => LifeEvent::Done,
            LifeEffect::Resync => {
                world.resync();
                LifeEvent::Done
            }
            LifeEffect::Locate if world.happens(6) => LifeEvent::Located(None),
            LifeEffect::Locate => LifeEvent::Located(Some(world.head().map(|head| head.intervals).unwrap_or_default())),
            LifeEffect::End(ended) => {
                world.note(&format!("ended: {ended:?}"));
                // Somebody starts it again.
                *self = Host::start(world);
                return;
            }
            LifeEffect::Run => return,
        };
        self.hear_of(world, event);
    }

    /// Returns the event that ends a wait, if there is one for now.
    fn wait(&mut self, world: &mut World, wait: &Wait) -> Option<LifeEvent> {
        let is_there = match &wait.awaited {
            Awaited::Time => false,
            Awaited::Known | Awaited::Deployment | Awaited::OldRun => world.rng.bool(),
            Awaited::OtherOperators => std::mem::replace(&mut self.seen, world.newest) != world.newest,
            Awaited::Turn(_) => world.group.share(world.me).is_some() || world.happens(4),
        };
        if is_there {
            return Some(LifeEvent::Came);
        }
        world.clock += wait.at_most?;
        Some(LifeEvent::Waited)
    }

    fn open(&mut self, world: &mut World, operators: &Operators) {
        let Some(share) = world.group.share(world.me) else {
            return self.hear_of(world, LifeEvent::NotOpened(Trouble::Held("others have the partitions".to_owned())));
        };
        if world.happens(8) {
            return self.hear_of(world, LifeEvent::NotOpened(Trouble::Away("no table".to_owned())));
        }
        let is_known = world.head().is_some_and(|head| head.operators == *operators);
        if !is_known && !Version::of(operators).unwrap().is_good() {
            // What stopped, or never began, is opened as its newest, without a trial: whoever sees to it mends that first.
            world.deploy(Version::FIRST);
            *self = Host::start(world);
            return;
        }
        let run = Run::start(world, operators, share, self.is_backfill);
        let generation = run.lane.head().generation;
        self.run = Some(run);
        self.hear_of(world, LifeEvent::Opened);
        self.seen = world.newest;
        let mut effects = self.life.rollout.on(Event::Wanted(world.newest.operators()), 0);
        effects.extend(self.life.rollout.on(Event::Opened(generation), 0));
        self.follow(world, effects);
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

    /// Does what people do now and then.
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
            3 if world.happens(20) => self.resync(world),
            _ => {}
        }
    }

    fn wanted(&mut self, world: &mut World) {
        self.seen = world.newest;
        let effects = self.life.rollout.on(Event::Wanted(world.newest.operators()), 0);
        self.follow(world, effects);
    }

    fn follow(&mut self, world: &mut World, mut effects: Vec<Effect>) {
        while !effects.is_empty() {
            match effects.remove(0) {
                // It may be replaced while it is prepared.
                Effect::Prepare(_) if world.happens(10) => {
                    effects.extend(self.life.rollout.on(Event::Refused, 0));
                }
                Effect::Prepare(_) => effects.extend(self.life.rollout.on(Event::Prepared, 0)),
                Effect::CutOver { operators, trial } => {
                    if let Some(run) = &mut self.run {
                        run.swap(world, &operators, trial && !world.pipeline.transaction);
                    }
                }
                Effect::Close => self.run.iter_mut().for_each(|run| run.stop(world)),
                Effect::Say(deployment) => record(world, &deployment),
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
                    let mut effects = self.life.rollout.on(Event::CutOver, 0);
                    if !on_trial {
                        effects.extend(self.life.rollout.on(Event::Passed(version.operators()), 0));
                    }
                    effects
                }
                Said::NotTaken => self.life.rollout.on(Event::Refused, 0),
                Said::Passed(operators) => self.life.rollout.on(Event::Passed(operators), 0),
            };
            self.follow(world, effects);
        }
    }

    fn is_on_trial(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.lane.is_on_trial())
    }

    /// Says whether a person sees that the version on trial counts twice.
    fn is_seen_to_be_bad(&self, world: &mut World) -> bool {
        let doubles = self.run.as_ref().is_some_and(|run| run.version.habit == Habit::Doubles);
        self.is_on_trial() && doubles && (world.calm || world.happens(15))
    }

    fn roll_back(&mut self, world: &mut World) {
        let Some(good) = world.head().and_then(|head| Version::of(&head.operators)) else { return };
        world.note(&format!("back to {good:?}"));
        let effects = self.life.rollout.on(Event::Asked(good.operators()), 0);
        self.follow(world, effects);
    }

    /// Orders that all groups be written again.
    fn resync(&mut self, world: &mut World) {
        let Some(run) = self.run.as_mut().filter(|run| !run.lane.is_on_trial()) else { return };
        run.stop(world);
        self.hear_of(world, LifeEvent::Resync);
    }

    /// The run has ended; what follows is the life's to say.
    fn ended(&mut self, world: &mut World, end: End) {
        self.hear(world);
        world.note(&format!("the run ended: {end:?}"));
        let has_moved = self.run.as_ref().is_some_and(|run| run.is_moved_from(world));
        let end = match end {
            End::Done if has_moved => End::Moved("the group moves partitions".to_owned()),
            end => end,
        };
        if end.fault().is_some_and(|reason| reason.contains("state.memory")) {
            world.raise_memory();
        }
        // Whoever sees that a record stops it lets it be left out, sooner or later.
        if end.fault().is_some() && world.rng.bool() {
            world.stops = false;
        }
        self.run = None;
        world.mine().leased = false;
        let head = world.head().map(|head| (head.generation, head.operators));
        self.hear_of(world, LifeEvent::Ended(RunEnd { end, given_up: None, passed: None, head, waited: None }));
    }
}

/// Returns the operators that may be opened, as the history and the checkpoint say.
fn candidates(world: &mut World) -> Candidates {
    let good = world.head().filter(|head| !head.operators.is_empty()).map(|head| (head.generation, head.operators));
    let unread = world.happens(10).then(|| "sum".to_owned());
    let newest = match unread {
        Some(_) => Err("operator `sum` is being read and compiled".to_owned()),
        None => Ok(world.newest.operators()),
    };
    Candidates { unread, newest, good, shunned: world.mine().shunned.map(Version::operators) }
}

/// Writes down what became of operators.
fn record(world: &mut World, deployment: &Deployment) {
    world.note(&format!("{:?} {:?}", deployment.outcome, deployment.operators));
    if deployment.outcome == Outcome::RolledBack {
        world.mine().shunned = Version::of(&deployment.operators);
    }
}
