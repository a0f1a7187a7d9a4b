//! Starts a pipeline, keeps it going, changes its operator, ends it.

use std::sync::Arc;
use std::time::Duration;

use sluice_core::checkpoint::{Checkpoint, CheckpointStore, StoreError};
use sluice_core::deploy::{self, Rollout};
use sluice_core::disabled::{Disablings, FIRST_WAIT};
use sluice_core::fold::Fold;
use sluice_core::identity::Identity;
use sluice_core::run::{Backoff, End};
use tokio::sync::{Mutex, mpsc, oneshot, watch};

use super::again::Again;
use super::assemble;
use super::clock::{chance, now_micros};
use super::deployments::Deployments;
use super::flush::OpenSink;
use super::fresh::{self, Begins};
use super::giving_up::{GivingUp, asked_to_end, out_of_patience};
use super::identity;
use super::letters;
use super::orders::{Answer, Asked};
use super::place::Place;
use super::restore;
use super::run::{Opened, Prepared, Run, Said, Settings, Works};
use super::status::{RunningOperator, State, Status};
use super::trouble::{Trouble, blocking};
use super::{tables, transaction};
use crate::config::{OnError, Pipeline};
use crate::connections::Connections;
use crate::died::caught_in;
use crate::operators::{Artifacts, Deployed};

mod obey;
mod swap;

/// How long an operator may take to be compiled before the status says so. Shorter: a pipeline's first start shows it for nothing.
/// Longer: nobody knows what it waits for.
const COMPILING: Duration = Duration::from_secs(1);

/// How often a pipeline looks whether the state directory is still there; a flush does so, too. Longer: an idle one says later that it
/// was removed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The parts of the time for an end: one for the batch in hand, one for the last calls to operators, the others for the tables and the
/// group.
const PARTS_OF_AN_END: u32 = 4;

/// How a pipeline ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// As it was asked to; everything is flushed.
    Well,
    /// At fault, and nobody mended it.
    Fault(String),
}

/// One pipeline's keeper.
pub struct Supervisor {
    pub pipeline: Pipeline,
    pub connections: Arc<Connections>,
    pub store: Arc<dyn CheckpointStore>,
    pub operators: watch::Receiver<Deployed>,
    pub status: Arc<Status>,
    /// What ran, and what the pipeline stays with.
    pub deployments: Deployments,
    /// True once the host is asked to end.
    pub ending: watch::Receiver<bool>,
    /// Read up to where the topic ends at the start, then end.
    pub until_caught_up: bool,
    /// How long a server may be away before the pipeline is given up; none if it waits for ever.
    pub patience: Option<Duration>,
    /// Which operators run, and what is being done about others.
    pub rollout: Rollout,
    /// The checkpoint is to be forgotten, since the newest operators can't go on with its states.
    pub begins_anew: bool,
    /// Who asked that all groups be written again, which begins when the run has ended.
    pub resyncs: Vec<oneshot::Sender<Answer>>,
    /// How often its operator was at fault, or it stopped, at the same place.
    pub disablings: Disablings,
    pub again: Again,
    pub place: Place,
    /// Held by a run: there is one at a time.
    pub alone: Arc<Mutex<Works>>,
    /// How long an end may take.
    pub stop_within: Duration,
}

/// What a running pipeline hears.
enum Event {
    Said(Said),
    /// The group gives this host other partitions than before.
    Moved,
    Stop,
    Operators,
    /// Operators that were refused are to be tried again.
    Again,
    Asked(Asked),
    /// What was committed is no longer there.
    Lost(String),
}

/// What runs.
#[derive(Clone)]
struct Current {
    artifacts: Artifacts,
    generation: u64,
}

impl Supervisor {
    /// Runs the pipeline until the host ends; with `until_caught_up` until it has caught up or is at fault.
    pub async fn run(mut self, mut orders: mpsc::Receiver<Asked>) -> Ended {
        loop {
            let ended = caught_in(self.keep_going(&mut orders)).await;
            self.place.leave().await;
            let panic = match ended {
                Ok(ended) => return ended,
                Err(panic) => panic,
            };
            // As if the host had begun just now.
            (self.rollout, self.begins_anew) = (Rollout::default(), false);
            if let Some(ended) = self.died(format!("its supervisor died: {panic}"), &mut orders).await {
                return ended;
            }
            // Its run ends by itself, as nobody controls it any more; until then it may write.
            tokio::select! {
                _ = self.alone.lock() => {}
                () = asked_to_end(&mut self.ending) => return Ended::Well,
            }
        }
    }

    async fn keep_going(&mut self, orders: &mut mpsc::Receiver<Asked>) -> Ended {
        let mut ending = self.ending.clone();
        tokio::select! {
            () = self.await_newest() => {}
            () = asked_to_end(&mut ending) => return Ended::Well,
        }
        loop {
            let opened = tokio::select! {
                opened = self.open() => opened,
                () = asked_to_end(&mut ending) => return Ended::Well,
                Some(asked) = orders.recv() => {
                    self.obey_at_rest(asked).await;
                    continue;
                }
            };
            let end = match opened {
                Ok((opened, artifacts)) => self.live(opened, artifacts, orders).await,
                Err(end) => end,
            };
            let resynced = self.begin_resyncs().await;
            let reason = match end {
                _ if resynced && !*self.ending.borrow() => continue,
                End::Replaced(reason) if !*self.ending.borrow() => {
                    tracing::warn!(pipeline = self.status.name(), "begins anew: {reason}");
                    self.status.set(State::Waiting, Some(reason));
                    // Whoever empties the table again and again is not to have it written at full speed.
                    let wait = self.disablings.wait(&self.consumed().await);
                    // A change of `ending` cuts the wait short.
                    let _ = tokio::time::timeout(wait, asked_to_end(&mut ending)).await;
                    continue;
                }
                End::Done => {
                    self.status.set(State::Finished, None);
                    return Ended::Well;
                }
                End::Moved(reason) => {
                    tracing::info!(pipeline = self.status.name(), "begins anew: {reason}");
                    self.place.set_moved(true);
                    self.status.set(State::Holding, Some(reason));
                    continue;
                }
                // Rolled back: the last good generation goes on from the checkpoint.
                _ if self.goes_on() => continue,
                End::Disabled(reason) => {
                    self.place.leave().await;
                    match self.disabled(reason, orders).await {
                        Some(ended) => return ended,
                        None => continue,
                    }
                }
                End::Died(reason) => {
                    self.place.leave().await;
                    match self.died(reason, orders).await {
                        Some(ended) => return ended,
                        None => continue,
                    }
                }
                End::Fault(reason) | End::Replaced(reason) => reason,
            };
            // What is mended meanwhile heals by itself, wherever it was found: the checkpoint is where all of it goes on.
            let wait = self.disablings.wait(&self.consumed().await);
            self.status.set(State::Stopped, Some(reason.clone()));
            if self.again.stops(&reason, wait > FIRST_WAIT) {
                tracing::error!(pipeline = self.status.name(), "stopped: {reason}");
            }
            let ends = self.until_caught_up || *self.ending.borrow();
            // Others may do better than a host that stopped.
            self.place.leave().await;
            if ends {
                return Ended::Fault(reason);
            }
            tokio::select! {
                changed = self.operators.changed() => if changed.is_err() { return Ended::Fault(reason) },
                () = tokio::time::sleep(wait) => {}
                () = asked_to_end(&mut self.ending) => return Ended::Well,
                Some(asked) = orders.recv() => self.obey_at_rest(asked).await,
            }
        }
    }

    /// Opens everything, waiting for what isn't there yet.
    async fn open(&mut self) -> Result<(Opened, Artifacts), End> {
        let mut backoff = Backoff::new(chance());
        loop {
            match self.deployments.load().await {
                Ok(()) => {}
                Err(Trouble::Away(reason)) => {
                    self.wait_for_server(&reason, &mut backoff).await?;
                    continue;
                }
                Err(wrong) => return Err(End::Fault(wrong.to_string())),
            }
            let deployed = self.operators.borrow_and_update().clone();
            let unseen = deployed.unseen(assemble::operator_names(&self.pipeline)).map(str::to_owned);
            // What runs is to be the newest, also if that is over before it is compiled.
            if let Some(name) = unseen.as_ref().filter(|_| self.until_caught_up) {
                self.await_look(name).await?;
                continue;
            }
            let artifacts = match (self.first(&deployed).await, unseen) {
                (Ok(artifacts), _) => artifacts,
                (Err(_), Some(name)) => {
                    self.await_look(&name).await?;
                    continue;
                }
                (Err(reason), None) if self.until_caught_up => return Err(End::Fault(reason)),
                (Err(reason), None) => {
                    wait(&self.status, State::Waiting, &reason);
                    self.operators.changed().await.map_err(|_| End::Fault(reason))?;
                    continue;
                }
            };
            match self.open_once(&artifacts).await {
                Ok(opened) => return Ok((opened, artifacts)),
                Err(Trouble::Held(reason)) if self.until_caught_up => {
                    self.rollout.on(deploy::Event::NotOpened, now_micros());
                    return Err(End::Fault(reason));
                }
                Err(Trouble::Held(reason)) => {
                    self.hold(&reason).await;
                    continue;
                }
                Err(Trouble::Away(reason)) => self.wait_for_server(&reason, &mut backoff).await?,
                Err(wrong) if self.others_instead(&wrong) => continue,
                Err(Trouble::Operator(reason)) => return Err(End::Disabled(reason)),
                Err(wrong) => return Err(End::Fault(wrong.to_string())),
            }
        }
    }

    /// Until it may be asked again; or says that this took too long.
    async fn wait_for_server(&mut self, reason: &str, backoff: &mut Backoff) -> Result<(), End> {
        wait(&self.status, self.place.without_server(), reason);
        if let Some(reason) = out_of_patience(&self.status, self.patience) {
            self.rollout.on(deploy::Event::NotOpened, now_micros());
            return Err(End::Fault(reason));
        }
        tokio::time::sleep(backoff.wait()).await;
        Ok(())
    }

    /// Until the newest operators are known, if that is soon: their code is mostly kept from before. What was read since the checkpoint
    /// is then read by those that read it last, and not by the ones before. Those that take long keep nobody waiting.
    async fn await_newest(&mut self) {
        let names: Vec<String> = assemble::operator_names(&self.pipeline).map(str::to_owned).collect();
        let known = self.operators.wait_for(|deployed| deployed.unseen(names.iter().map(String::as_str)).is_none());
        // The service that says it may be gone.
        let _ = tokio::time::timeout(COMPILING, known).await;
    }

    /// Until more is known of the directory of operators, of which nothing is known of this one.
    async fn await_look(&mut self, name: &str) -> Result<(), End> {
        let looked = match tokio::time::timeout(COMPILING, self.operators.changed()).await {
            Ok(looked) => looked,
            Err(_) => {
                self.status.set(State::Waiting, Some(format!("operator `{name}` is being read and compiled")));
                let changed = self.operators.changed().await;
                // That is no wait for a server.
                self.status.set(State::Waiting, None);
                changed
            }
        };
        looked.map_err(|_| End::Fault("nobody looks for operators any more".to_owned()))
    }

    /// Until this host's turn may have come, or an operator has.
    async fn hold(&mut self, reason: &str) {
        if self.status.set(State::Holding, Some(reason.to_owned())) {
            tracing::warn!(pipeline = self.status.name(), "holding: {reason}");
        }
        tokio::select! {
            () = self.place.changed_from(reason) => {}
            // Nobody deploys any more: the host ends.
            _ = self.operators.changed() => {}
        }
    }

    /// The source is opened beside the operators and sinks: a pipeline's first row is sooner by the shorter of the two.
    async fn open_once(&mut self, artifacts: &Artifacts) -> Result<Opened, Trouble> {
        let membership = self.place.join(&self.pipeline, artifacts, &self.connections).await;
        let membership = membership.map_err(|error| identity::trouble(&self.pipeline.name, error))?;
        let (pipeline, shared, store) = (self.pipeline.clone(), Arc::clone(&self.connections), Arc::clone(&self.store));
        let until_caught_up = self.until_caught_up;
        let written = transaction::written(&self.pipeline, &self.connections).await?;
        let rows = written.clone();
        let source = blocking(move || {
            let begins = Begins::look(&pipeline, store.as_ref())?;
            let head = restore::load(&pipeline, store.as_ref())?;
            let head = transaction::reconcile(&pipeline, &restore::resumption(&pipeline), head, &rows);
            let start = restore::start(head.as_ref());
            let known = head.as_ref().map(Identity::of_source).unwrap_or_default();
            let source = shared.open_source(&pipeline.source, start, known, membership.as_deref());
            let mut source = source.map_err(|error| identity::trouble(&pipeline.name, error))?;
            let trouble = |error| identity::trouble(&pipeline.name, error);
            let begins = begins.ask_group(&pipeline, source.as_mut()).map_err(trouble)?;
            transaction::check_topic(head.as_ref(), &rows, source.as_mut()).map_err(trouble)?;
            let until = if until_caught_up { Some(source.last_ends().map_err(trouble)?) } else { None };
            let groups = tables::has_groups(&pipeline.name, head.as_ref(), store.as_ref());
            let groups = groups.map_err(fresh::store_trouble)?;
            let groups = groups && !assemble::shows_closed_windows(&pipeline);
            Ok((head, groups, source, until, begins))
        });
        let (source, prepared) = tokio::join!(source, prepare(&self.pipeline, &self.connections, artifacts));
        let (mut head, groups, source, until, begins) = source??;
        let Prepared { mut chain, sinks } = prepared?;
        transaction::check_fold(&self.pipeline, head.as_ref(), chain.fold().is_some(), &written)?;
        begins.check(&self.pipeline, &self.connections, chain.fold().is_some()).await?;
        self.find_tables(head.as_mut(), &sinks, groups)?;
        let operators = restore::digests(artifacts);
        let place = (source.positions(), &source.identity());
        let resumed = restore::resumption(&self.pipeline).resume(&self.store, head, &mut chain, operators, place);
        let mut head = resumed.map_err(|error| restore::trouble(&self.pipeline, error))?;
        fresh::keep_group(&self.pipeline, &mut head);
        tables::note(&mut head, &self.pipeline, &sinks);
        let read = source.positions().into_keys().collect();
        let letters = letters::open(&self.pipeline, &self.connections, &head, &read, &begins.before()).await?;
        let store = Arc::clone(&self.store);
        Ok(Opened { source, chain, sinks, until, letters, head, written, store })
    }

    /// Sees to tables that lack rows; the checkpoint then says that all groups are to be written again.
    fn find_tables(&self, head: Option<&mut Checkpoint>, sinks: &[OpenSink], groups: bool) -> Result<(), Trouble> {
        let lacking = tables::compare(&self.pipeline, head.as_deref(), sinks, groups)?;
        let Some(head) = head.filter(|_| !lacking.is_empty()) else { return Ok(()) };
        let said = if head.form.is_some() {
            head.refreshing = true;
            format!("{}: all groups are written again", lacking.join("; "))
        } else {
            tables::lost(&self.pipeline, &lacking)
        };
        tracing::warn!(pipeline = self.status.name(), "{said}");
        self.status.set_tables(&said, now_micros());
        Ok(())
    }

    /// Lets letters be driven through again, once the newest operators are known: whoever asked for that means those, and a run may
    /// begin with the ones before.
    fn begin_retries(&self, run: &mut Run) {
        if self.operators.borrow().unseen(assemble::operator_names(&self.pipeline)).is_none() {
            run.begin_retries();
        }
    }

    /// From the first record to the last flush.
    async fn live(&mut self, opened: Opened, artifacts: Artifacts, orders: &mut mpsc::Receiver<Asked>) -> End {
        let settings = Settings {
            flush: assemble::flush_policy(&self.pipeline),
            batch_rows: self.pipeline.source.batch.rows as usize,
            stops: self.pipeline.on_error == Some(OnError::Stop),
        };
        let mut current = Current { artifacts, generation: opened.head.generation };
        self.show_operator(&current);
        self.place.set_moved(false);
        let share = opened.source.share().cloned();
        self.status.set_partitions(opened.source.positions().into_keys());
        self.status.set(State::Running, None);
        self.status.set_refreshing(opened.chain.fold().is_some_and(Fold::is_showing));
        let giving_up = Arc::new(GivingUp::watch(&self.status, self.ending.clone(), self.patience));
        let mut ending = giving_up.ending();
        let alone = Arc::clone(&self.alone).lock_owned().await;
        let mut run = match Run::start(opened, settings, &self.status, &giving_up, alone) {
            Ok(run) => run,
            Err(error) => return End::Fault(format!("no thread for the lane: {error}")),
        };
        self.deployments.started(current.generation, &current.artifacts).await;
        self.opened(&run, &mut current).await;
        self.begin_retries(&mut run);
        let end = loop {
            let event = tokio::select! {
                said = run.hear() => Event::Said(said),
                () = asked_to_end(&mut ending) => Event::Stop,
                () = self.place.moved_from(share.as_ref()) => Event::Moved,
                changed = self.operators.changed() => if changed.is_ok() { Event::Operators } else { Event::Stop },
                () = self.again.due() => Event::Again,
                Some(asked) = orders.recv() => Event::Asked(asked),
                reason = lost(&self.store) => Event::Lost(reason),
            };
            match event {
                Event::Said(Said::Ended(end)) => break end,
                Event::Stop | Event::Said(Said::Broken) => break self.stop(&mut run).await,
                Event::Operators => {
                    let puts = self.operators.borrow().puts(assemble::operator_names(&self.pipeline));
                    if self.again.are_put_again(puts) {
                        self.rollout.try_again();
                    }
                    self.swap(&run, &mut current).await;
                    self.begin_retries(&mut run);
                }
                Event::Again => {
                    self.rollout.try_again();
                    self.swap(&run, &mut current).await;
                }
                Event::Said(Said::Passed(operators)) => self.passed(operators, &run, &mut current).await,
                Event::Asked(asked) => self.obey(asked, &run, &mut current).await,
                Event::Lost(reason) => {
                    // The flusher sees the same, and writes nothing.
                    self.stop(&mut run).await;
                    break End::Fault(reason);
                }
                Event::Moved => {
                    break match self.stop(&mut run).await {
                        End::Done => End::Moved("the group moves partitions".to_owned()),
                        fault => fault,
                    };
                }
            }
        };
        let (end, passed) = run.finish(end).await;
        let end = match (end, giving_up.reason()) {
            (End::Done | End::Moved(_), Some(reason)) => End::Fault(reason),
            (end, _) => end,
        };
        let end = self.ended(end, passed).await;
        self.again.answer();
        self.status.set_partitions([]);
        if end != End::Done {
            // What was read and not flushed is read again; how much that is, nobody has asked.
            self.status.set_lag(None);
        }
        if matches!(end, End::Moved(_)) {
            self.place.settle(share.as_ref()).await;
        }
        end
    }

    /// Has the lane flush and end. Where an operator's call, or the search for rows at fault, takes more than a part of the time that there is,
    /// it is ended: the batch is read again. What comes after it has another part: the operator's calls for the last flush.
    async fn stop(&self, run: &mut Run) -> End {
        run.stop();
        loop {
            match tokio::time::timeout(self.stop_within / PARTS_OF_AN_END, run.lane_end()).await {
                Ok(end) => return end,
                Err(_) => run.interrupt(),
            }
        }
    }

    /// Lets a changed operator take over, unless the pipeline is pinned.
    async fn swap(&mut self, run: &Run, current: &mut Current) {
        let deployed = self.operators.borrow_and_update().clone();
        if let Some(reason) = self.passed_over(&deployed) {
            self.status.set_refused(Some(reason));
            return;
        }
        let unread = assemble::operator_names(&self.pipeline).find_map(|name| deployed.refused.get(name));
        if let Some(reason) = unread
            && self.status.set_refused(Some(reason.clone()))
        {
            self.deployments.refused(Default::default(), reason.clone()).await;
        }
        let Ok(artifacts) = self.wanted(&deployed).await else { return };
        let wanted = restore::digests(&artifacts);
        let effects = self.rollout.on(deploy::Event::Wanted(wanted.clone()), now_micros());
        // What is tried again stays refused until it isn't.
        if unread.is_none() && effects.is_empty() && self.rollout.refused() != Some(&wanted) {
            self.again.nothing_refused();
            self.status.set_refused(None);
        }
        self.follow(effects, run, current, artifacts).await;
        self.show_passed_over();
    }

    fn show_operator(&self, current: &Current) {
        let operator = assemble::operator_names(&self.pipeline).last().and_then(|name| {
            let digest = current.artifacts.get(name)?.digest().to_string();
            Some(RunningOperator { name: name.to_owned(), digest, generation: current.generation })
        });
        self.status.set_operator(operator);
        self.status.set_on_trial(self.rollout.is_on_trial());
        self.status.set_refused(self.passed_over(&self.operators.borrow()));
    }
}

/// Returns once the checkpoints were taken away under the host, with what to do.
async fn lost(store: &Arc<dyn CheckpointStore>) -> String {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let store = Arc::clone(store);
        if let Ok(Err(StoreError::Unusable(reason))) = tokio::task::spawn_blocking(move || store.check()).await {
            return reason;
        }
    }
}

fn wait(status: &Status, state: State, reason: &str) {
    if status.set(state, Some(reason.to_owned())) {
        tracing::warn!(pipeline = status.name(), "waiting: {reason}");
    }
}

/// The artifacts that a pipeline's file names.
pub(super) fn needed(pipeline: &Pipeline, deployed: &Deployed) -> Result<Artifacts, String> {
    assemble::operator_names(pipeline)
        .map(|name| match (deployed.artifacts.get(name), deployed.refused.get(name)) {
            (Some(artifact), _) => Ok((name.to_owned(), artifact.clone())),
            (None, Some(reason)) => Err(format!("operator `{name}` is refused: {reason}")),
            (None, None) => Err(format!("operator `{name}` is being read and compiled")),
        })
        .collect()
}

/// A chain and the sinks for its rows.
async fn prepare(
    pipeline: &Pipeline,
    connections: &Arc<Connections>,
    artifacts: &Artifacts,
) -> Result<Prepared, Trouble> {
    let (settings, shared, operators) = (pipeline.clone(), Arc::clone(connections), artifacts.clone());
    let chain = blocking(move || {
        assemble::check_lookups(&settings, &shared)?;
        assemble::chain(&settings, &operators, &shared)
    });
    let mut chain = chain.await??;
    let groups = chain.fold().map(|fold| fold.form());
    let (sinks, constraints) = assemble::sinks(pipeline, connections, chain.output_fields(), groups).await?;
    chain.constrain(constraints);
    Ok(Prepared { chain, sinks })
}
