//! Performs what [`Life`] says of a pipeline between its runs, and what [`Rollout`](sluice_core::deploy::Rollout) says while one is
//! open.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use sluice_clock::chance;
use sluice_core::checkpoint::{CheckpointStore, StoreError};
use sluice_core::deploy::Operators;
use sluice_core::fold::Fold;
use sluice_core::run::life::{Awaited, Candidates, Ended, RunEnd, Wait};
use sluice_core::run::{End, Life, LifeEffect, LifeEvent, LifeSettings};
use tokio::sync::{Mutex, mpsc, watch};

use super::again::Again;
use super::answers::Answers;
use super::assemble;
use super::clock::Clock;
use super::deployments::Deployments;
use super::giving_up::{GivingUp, asked_to_end};
use super::identity;
use super::member::GroupMember;
use super::opener::Opener;
use super::orders::Asked;
use super::restore;
use super::run::{Opened, Run, Said, Settings, Works};
use super::status::{PipelineState, RunningOperator, Status};
use super::told::tell_life;
use super::trouble::{Trouble, blocking};
use crate::config::{OnError, Pipeline};
use crate::died::caught_in;
use crate::operators::Artifacts;

mod obey;
mod swap;

/// Time between two looks of a pipeline whether the state directory is still there; a flush looks, too. Longer: an idle pipeline says later
/// that it was removed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The parts of the time for an end: one for the batch in hand, one for the last calls to operators, the others for the tables and the
/// group.
const PARTS_OF_AN_END: u32 = 4;

/// Things that a supervisor is given.
pub struct SupervisorStart {
    pub opener: Opener,
    pub deployments: Deployments,
    pub member: GroupMember,
    /// True once the host is asked to end.
    pub ending: watch::Receiver<bool>,
    /// Longest time that an end may take.
    pub stop_within: Duration,
    /// Sign that is dropped once nobody works for the pipeline any more.
    pub works: Works,
}

/// Supervisor of one pipeline. It drives the machine, and everything that a run is told goes through it.
pub struct Supervisor {
    /// Machine that decides what happens between runs, and which operators run.
    life: Life,
    clock: Clock,
    status: Arc<Status>,
    opener: Opener,
    /// History of the pipeline, the operators that are deployed, and those that it is pinned to.
    deployments: Deployments,
    again: Again,
    answers: Answers,
    member: GroupMember,
    /// Operators that were to be run when that was last looked for.
    newest: Option<Artifacts>,
    ending: watch::Receiver<bool>,
    stop_within: Duration,
    /// Held by a run: there is one at a time.
    alone: Arc<Mutex<Works>>,
}

/// Event that a running pipeline hears of.
enum Event {
    Said(Said),
    /// The group gives this host other partitions than before.
    Moved,
    Stop,
    Operators,
    /// Operators that were refused are to be tried again.
    Again,
    Asked(Asked),
    /// The checkpoint that was committed is no longer there.
    Lost(String),
}

/// Parts of a run that are open and not yet at work.
struct Ready {
    opened: Opened,
    artifacts: Artifacts,
}

/// Operators that run, and their generation.
#[derive(Clone)]
struct Current {
    artifacts: Artifacts,
    generation: u64,
}

impl Supervisor {
    /// Returns the supervisor of a pipeline that has not begun.
    pub fn new(start: SupervisorStart) -> Supervisor {
        let SupervisorStart { opener, deployments, member, ending, stop_within, works } = start;
        Supervisor {
            life: Life::new(LifeSettings { backfill: opener.backfill, seed: chance() }),
            clock: Clock::begin(),
            status: Arc::clone(&opener.status),
            opener,
            deployments,
            again: Again::default(),
            answers: Answers::default(),
            member,
            newest: None,
            ending,
            stop_within,
            alone: Arc::new(Mutex::new(works)),
        }
    }

    /// Runs the pipeline until the host ends; a backfill until it has caught up or is at fault.
    pub async fn run(mut self, mut orders: mpsc::Receiver<Asked>) -> Ended {
        loop {
            match caught_in(self.keep_going(&mut orders)).await {
                Ok(ended) => return ended,
                Err(panic) => self.hear(LifeEvent::Died(panic)),
            }
        }
    }

    async fn keep_going(&mut self, orders: &mut mpsc::Receiver<Asked>) -> Ended {
        let mut ready = None;
        loop {
            for report in self.life.reports() {
                tell_life(&self.status, report);
            }
            let event = match self.life.next_effect() {
                LifeEffect::End(ended) => return ended,
                LifeEffect::Run => self.live(ready.take(), orders).await,
                effect if effect.may_be_left() => self.perform_unless_called(effect, &mut ready, orders).await,
                effect => self.perform(effect, &mut ready).await,
            };
            self.hear(event);
        }
    }

    /// Tells the machine of an event, and before that whether the host is asked to end.
    fn hear(&mut self, event: LifeEvent) {
        let now = self.clock.now();
        if *self.ending.borrow() {
            self.life.on(LifeEvent::Ending, now);
        }
        self.life.on(event, now);
    }

    /// Performs an effect that may be left unfinished, unless the host is asked to end, or somebody gives an order.
    async fn perform_unless_called(
        &mut self,
        effect: LifeEffect,
        ready: &mut Option<Ready>,
        orders: &mut mpsc::Receiver<Asked>,
    ) -> LifeEvent {
        let hears_orders = effect.hears_orders();
        let mut ending = self.ending.clone();
        let asked = tokio::select! {
            event = self.perform(effect, ready) => return event,
            () = asked_to_end(&mut ending) => return LifeEvent::Ending,
            Some(asked) = orders.recv(), if hears_orders => asked,
        };
        self.obey_at_rest(asked).await;
        LifeEvent::Obeyed
    }

    async fn perform(&mut self, effect: LifeEffect, ready: &mut Option<Ready>) -> LifeEvent {
        match effect {
            LifeEffect::Wait(wait) => return self.wait(wait).await,
            LifeEffect::Look => return LifeEvent::Looked(self.look().await),
            LifeEffect::Open(operators) => match self.open(operators).await {
                Ok(opened) => {
                    *ready = Some(opened);
                    return LifeEvent::Opened;
                }
                Err(event) => return event,
            },
            LifeEffect::Forget => return LifeEvent::Forgotten(self.opener.forget().await),
            LifeEffect::Locate => return LifeEvent::Located(self.opener.consumed().await),
            LifeEffect::Record { deployments, flushed } => {
                for deployment in deployments {
                    self.record(deployment).await;
                }
                self.show_ended(flushed);
                self.answers.recorded();
            }
            LifeEffect::Settle => self.member.settle().await,
            LifeEffect::Resync => {
                let answer = self.begin_again().await;
                self.answers.resynced(&answer);
            }
            LifeEffect::Leave => {
                // What is open has a part in the group.
                *ready = None;
                self.member.leave().await;
            }
            // Whoever drives the machine sees to these.
            LifeEffect::Run | LifeEffect::End(_) => {}
        }
        LifeEvent::Done
    }

    async fn wait(&mut self, wait: Wait) -> LifeEvent {
        let came = self.come(&wait.awaited);
        let came = match wait.at_most {
            Some(at_most) => tokio::time::timeout(at_most, came).await,
            None => Ok(came.await),
        };
        match came {
            Ok(true) => LifeEvent::Came,
            Ok(false) => LifeEvent::Gone,
            Err(_) => LifeEvent::Waited,
        }
    }

    /// Waits until the awaited thing is there. Returns false if it can't come any more, since nobody deploys.
    async fn come(&mut self, awaited: &Awaited) -> bool {
        match awaited {
            Awaited::Time => pending().await,
            Awaited::Known => self.deployments.known().await,
            Awaited::Deployment => self.deployments.changed().await,
            Awaited::OtherOperators => self.deployments.others().await,
            Awaited::Turn(held) => tokio::select! {
                () = self.member.changed_from(held) => true,
                // Where nobody deploys any more, the host ends.
                _ = self.deployments.changed() => true,
            },
            Awaited::OldRun => {
                drop(self.alone.lock().await);
                true
            }
        }
    }

    /// Looks which operators may be opened.
    async fn look(&mut self) -> Result<Candidates, Trouble> {
        self.deployments.load().await?;
        let deployed = self.deployments.look();
        let unread = self.deployments.unread(&deployed);
        let newest = self.deployments.wanted(&deployed).await;
        self.newest = newest.as_ref().ok().cloned();
        let (pipeline, store) = (Arc::clone(&self.opener.pipeline), Arc::clone(&self.opener.store));
        let head = blocking(move || restore::load(&pipeline, store.as_ref())).await?;
        let good = restore::good(head, self.deployments.names())?;
        let shunned = self.deployments.shunned().map(|shunned| shunned.operators.clone());
        Ok(Candidates { unread, newest: newest.map(|newest| restore::digests(&newest)), good, shunned })
    }

    /// Opens everything, with these operators; or says why not.
    async fn open(&mut self, operators: Operators) -> Result<Ready, LifeEvent> {
        let artifacts = match self.newest.clone().filter(|newest| restore::digests(newest) == operators) {
            Some(newest) => newest,
            None => self.deployments.open(operators).await.map_err(LifeEvent::NotKept)?,
        };
        let Opener { pipeline, connections, .. } = &self.opener;
        let membership = self.member.join(pipeline, &artifacts, connections).await;
        let trouble = |error| LifeEvent::NotOpened(identity::trouble(&pipeline.name, error));
        let opened = self.opener.open(&artifacts, membership.map_err(trouble)?).await;
        let opened = opened.map_err(LifeEvent::NotOpened)?;
        Ok(Ready { opened, artifacts })
    }

    /// Runs what is open, from the first record to the last flush.
    async fn live(&mut self, ready: Option<Ready>, orders: &mut mpsc::Receiver<Asked>) -> LifeEvent {
        let Some(Ready { opened, artifacts }) = ready else {
            return LifeEvent::NotBegun("nothing is open; this is a defect".to_owned());
        };
        let mut current = Current { artifacts, generation: opened.head.generation };
        self.show_begun(&opened, &current);
        self.member.work_on(opened.source.share().cloned());
        let giving_up = Arc::new(GivingUp::watch(&self.status, self.ending.clone(), self.opener.backfill));
        let mut ending = giving_up.ending();
        let alone = Arc::clone(&self.alone).lock_owned().await;
        let settings = settings(&self.opener.pipeline);
        let mut run = match Run::start(opened, settings, &self.status, &giving_up, alone) {
            Ok(run) => run,
            Err(error) => return LifeEvent::NotBegun(format!("no thread for the lane: {error}")),
        };
        self.deployments.started(current.generation, &current.artifacts).await;
        self.opened(&run, &mut current).await;
        self.begin_retries(&mut run);
        let end = loop {
            let event = self.next_event(&mut run, &mut ending, orders).await;
            if let Some(end) = self.on(event, &mut run, &mut current).await {
                break end;
            }
        };
        let (end, passed) = run.finish(end).await;
        let head = self.opener.head().await.map(|head| (head.generation, head.operators));
        let waited = self.status.waits().map(|(waited, _)| waited);
        LifeEvent::Ended(RunEnd { end, given_up: giving_up.reason(), passed, head, waited })
    }

    async fn next_event(
        &mut self,
        run: &mut Run,
        ending: &mut watch::Receiver<bool>,
        orders: &mut mpsc::Receiver<Asked>,
    ) -> Event {
        tokio::select! {
            said = run.hear() => Event::Said(said),
            () = asked_to_end(ending) => Event::Stop,
            () = self.member.moved() => Event::Moved,
            changed = self.deployments.changed() => if changed { Event::Operators } else { Event::Stop },
            () = self.again.due() => Event::Again,
            Some(asked) = orders.recv() => Event::Asked(asked),
            reason = lost(&self.opener.store) => Event::Lost(reason),
        }
    }

    /// Answers how the lane has ended, if it has.
    async fn on(&mut self, event: Event, run: &mut Run, current: &mut Current) -> Option<End> {
        match event {
            Event::Said(Said::Ended(end)) => return Some(end),
            Event::Stop | Event::Said(Said::Broken) => return Some(self.stop(run).await),
            Event::Lost(reason) => {
                // The flusher sees the same, and writes nothing.
                self.stop(run).await;
                return Some(End::Fault(reason));
            }
            Event::Moved => {
                let end = self.stop(run).await;
                let moved = || End::Moved("the group moves partitions".to_owned());
                return Some(if end == End::Done { moved() } else { end });
            }
            Event::Operators => {
                if self.again.are_put_again(self.deployments.puts()) {
                    self.life.rollout.try_again();
                }
                self.swap(run, current).await;
                self.begin_retries(run);
            }
            Event::Again => {
                self.life.rollout.try_again();
                self.swap(run, current).await;
            }
            Event::Said(Said::Passed(operators)) => self.passed(operators, run, current).await,
            Event::Asked(asked) => self.obey(asked, run, current).await,
        }
        None
    }

    /// Has the lane flush and end. An operator's call, or the search for rows at fault, is ended if it takes more than a part of the time
    /// that there is: its batch is read again. The work after it has another part of the time: the operator's calls for the last flush.
    async fn stop(&self, run: &mut Run) -> End {
        run.stop();
        loop {
            match tokio::time::timeout(self.stop_within / PARTS_OF_AN_END, run.lane_end()).await {
                Ok(end) => return end,
                Err(_) => run.interrupt(),
            }
        }
    }

    /// Lets letters be driven through again, once the newest operators are known: a person who asks for a retry means these, and a run may
    /// begin with the ones before.
    fn begin_retries(&self, run: &mut Run) {
        if self.deployments.are_known() {
            run.begin_retries();
        }
    }

    fn show_begun(&self, opened: &Opened, current: &Current) {
        self.show_operator(current);
        self.status.set_partitions(opened.source.positions().into_keys());
        self.status.freshness().begin(opened.head.intervals.ends());
        self.status.set(PipelineState::Running, None);
        self.status.set_refreshing(opened.chain.fold().is_some_and(Fold::is_showing));
    }

    fn show_ended(&self, flushed: bool) {
        self.status.set_on_trial(false);
        self.status.set_partitions([]);
        if !flushed {
            // What was read and not flushed is read again; how much that is, nobody has asked.
            self.status.meters.lag.set(None);
        }
    }

    fn show_operator(&self, current: &Current) {
        let operator = self.deployments.names().next_back().and_then(|name| {
            let digest = current.artifacts.get(name)?.digest().to_string();
            Some(RunningOperator { name: name.to_owned(), digest, generation: current.generation })
        });
        self.status.set_operator(operator);
        self.status.set_on_trial(self.life.rollout.is_on_trial());
        self.status.set_refused(self.deployments.passed_over(&self.deployments.glance()));
    }
}

/// Waits until the checkpoints are taken away under the host. Returns a text that says what to do.
async fn lost(store: &Arc<dyn CheckpointStore>) -> String {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let store = Arc::clone(store);
        if let Ok(Err(StoreError::Unusable(reason))) = tokio::task::spawn_blocking(move || store.check()).await {
            return reason;
        }
    }
}

fn settings(pipeline: &Pipeline) -> Settings {
    Settings {
        flush: assemble::flush_policy(pipeline),
        batch_rows: pipeline.source.batch.rows as usize,
        stops: pipeline.on_error == Some(OnError::Stop),
    }
}
