//! Starts a pipeline, keeps it going, changes its operator, ends it.

use std::sync::Arc;
use std::time::Duration;

use sluice_connectors::source::SourceError;
use sluice_core::checkpoint::CheckpointStore;
use sluice_core::deploy::{self, Rollout};
use sluice_core::disabled::Disablings;
use tokio::sync::{mpsc, watch};

use super::assemble::{self, Trouble};
use super::deployments::Deployments;
use super::flush::OpenSink;
use super::lane::{End, now_micros};
use super::letters;
use super::orders::Asked;
use super::patience::Backoff;
use super::place::Place;
use super::restore;
use super::run::{Opened, Prepared, Run, Said, Settings};
use super::status::{RunningOperator, State, Status};
use super::transaction;
use crate::config::{OnError, Pipeline};
use crate::connections::Connections;
use crate::operators::{Artifacts, Deployed};

mod obey;
mod swap;

/// How long after a pipeline could not be opened, as its table or topic is missing, it is tried again. Shorter: a server is asked
/// for what isn't there all the time. Longer: whoever makes it waits.
const OPEN_AGAIN: Duration = Duration::from_secs(5);

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
    /// Which operators run, and what is being done about others.
    pub rollout: Rollout,
    /// The checkpoint is to be forgotten, since the newest operators can't go on with its states.
    pub begins_anew: bool,
    /// A sink's table was made, and no run has begun since.
    pub table_made: bool,
    /// How often its operator was at fault.
    pub disablings: Disablings,
    pub place: Place,
}

/// What a running pipeline hears.
enum Event {
    Said(Said),
    /// The group gives this host other partitions than before.
    Moved,
    Stop,
    Operators,
    Asked(Asked),
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
        let ended = self.keep_going(&mut orders).await;
        self.place.leave().await;
        ended
    }

    async fn keep_going(&mut self, orders: &mut mpsc::Receiver<Asked>) -> Ended {
        let mut ending = self.ending.clone();
        loop {
            let opened = tokio::select! {
                opened = self.open() => opened,
                () = asked_to_end(&mut ending) => return Ended::Well,
                Some(asked) = orders.recv() => {
                    self.obey_at_rest(asked).await;
                    continue;
                }
            };
            let mendable = opened.is_err();
            let end = match opened {
                Ok((opened, artifacts)) => self.live(opened, artifacts, orders).await,
                Err(end) => end,
            };
            let reason = match end {
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
                End::Fault(reason) => reason,
            };
            if self.status.set(State::Stopped, Some(reason.clone())) {
                tracing::error!(pipeline = self.status.name(), "stopped: {reason}");
            }
            let ends = self.until_caught_up || *self.ending.borrow();
            // Others may do better than a host that stopped.
            self.place.leave().await;
            if ends {
                return Ended::Fault(reason);
            }
            // A new operator goes on from the checkpoint.
            tokio::select! {
                changed = self.operators.changed() => if changed.is_err() { return Ended::Fault(reason) },
                () = tokio::time::sleep(OPEN_AGAIN), if mendable => {}
                () = asked_to_end(&mut self.ending) => return Ended::Well,
                Some(asked) = orders.recv() => self.obey_at_rest(asked).await,
            }
        }
    }

    /// Opens everything, waiting for what isn't there yet.
    async fn open(&mut self) -> Result<(Opened, Artifacts), End> {
        let mut backoff = Backoff::new();
        loop {
            match self.deployments.load().await {
                Ok(()) => {}
                Err(Trouble::Away(reason)) => {
                    wait(&self.status, self.place.without_server(), &reason);
                    tokio::time::sleep(backoff.wait()).await;
                    continue;
                }
                Err(wrong) => return Err(End::Fault(wrong.to_string())),
            }
            let deployed = self.operators.borrow_and_update().clone();
            let artifacts = match self.first(&deployed).await {
                Ok(artifacts) => artifacts,
                Err(reason) if self.until_caught_up => return Err(End::Fault(reason)),
                Err(reason) => {
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
                Err(Trouble::Away(reason)) => wait(&self.status, self.place.without_server(), &reason),
                Err(wrong) if self.others_instead(&wrong) => continue,
                Err(Trouble::Operator(reason)) => return Err(End::Disabled(reason)),
                Err(wrong) => return Err(End::Fault(wrong.to_string())),
            }
            tokio::time::sleep(backoff.wait()).await;
        }
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
        let membership = membership.map_err(source_trouble)?;
        let (pipeline, shared, store) = (self.pipeline.clone(), Arc::clone(&self.connections), Arc::clone(&self.store));
        let until_caught_up = self.until_caught_up;
        let written = transaction::written(&self.pipeline, &self.connections).await?;
        let rows = written.clone();
        let source = blocking(move || {
            let head = transaction::reconcile(&pipeline, restore::load(&pipeline, store.as_ref())?, &rows)?;
            let start = restore::start(head.as_ref());
            let mut source =
                shared.open_source(&pipeline.source, start, membership.as_deref()).map_err(source_trouble)?;
            transaction::check_topic(head.as_ref(), &rows, source.as_mut()).map_err(source_trouble)?;
            let until = if until_caught_up { Some(source.last_ends().map_err(source_trouble)?) } else { None };
            Ok((head, source, until))
        });
        let (source, prepared) = tokio::join!(source, prepare(&self.pipeline, &self.connections, artifacts));
        // An attempt that fails after this leaves a table that is no longer new.
        self.table_made |= prepared.as_ref().is_ok_and(|prepared| prepared.sinks.iter().any(OpenSink::is_new));
        let (head, source, until) = source??;
        let Prepared { mut chain, sinks, constraints } = prepared?;
        transaction::check_fold(&self.pipeline, head.as_ref(), &chain, &written)?;
        let operators = restore::digests(artifacts);
        let head = restore::resume(
            &self.pipeline,
            &self.store,
            head,
            source.as_ref(),
            &mut chain,
            operators,
            self.table_made,
        )?;
        let read: Vec<_> = source.positions().into_keys().collect();
        let ends = head.intervals.ends().into_iter().filter(|(partition, _)| read.contains(partition)).collect();
        let letters = letters::open(&self.pipeline, &self.connections, &head, &ends).await?;
        let store = Arc::clone(&self.store);
        self.table_made = false;
        Ok(Opened { source, chain, sinks, constraints, until, letters, head, written, store })
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
        let mut run = match Run::start(opened, settings, &self.status, self.ending.clone()) {
            Ok(run) => run,
            Err(error) => return End::Fault(format!("no thread for the lane: {error}")),
        };
        self.deployments.started(current.generation, &current.artifacts).await;
        self.opened(&run, &mut current).await;
        run.begin_retries();
        let end = loop {
            let event = tokio::select! {
                said = run.hear() => Event::Said(said),
                () = asked_to_end(&mut self.ending) => Event::Stop,
                () = self.place.moved_from(share.as_ref()) => Event::Moved,
                changed = self.operators.changed() => if changed.is_ok() { Event::Operators } else { Event::Stop },
                Some(asked) = orders.recv() => Event::Asked(asked),
            };
            match event {
                Event::Said(Said::Ended(end)) => break end,
                Event::Stop => {
                    run.stop();
                    break run.lane_end().await;
                }
                Event::Operators => self.swap(&run, &mut current).await,
                Event::Said(Said::Passed(operators)) => self.passed(operators, &run, &mut current).await,
                Event::Asked(asked) => self.obey(asked, &run, &mut current).await,
                Event::Moved => {
                    run.stop();
                    break match run.lane_end().await {
                        End::Done => End::Moved("the group moves partitions".to_owned()),
                        fault => fault,
                    };
                }
            }
        };
        let (end, passed) = run.finish(end).await;
        let end = self.ended(end, passed, &current).await;
        self.status.set_partitions([]);
        if matches!(end, End::Moved(_)) {
            self.place.settle(share.as_ref()).await;
        }
        end
    }

    /// Lets a changed operator take over, unless the pipeline is pinned.
    async fn swap(&mut self, run: &Run, current: &mut Current) {
        let deployed = self.operators.borrow_and_update().clone();
        if let Some(reason) = self.passed_over(&deployed) {
            self.status.set_refused(Some(reason));
            return;
        }
        let unread = assemble::operator_names(&self.pipeline).find_map(|name| deployed.refused.get(name));
        if self.status.set_refused(unread.cloned())
            && let Some(reason) = unread
        {
            self.deployments.refused(Default::default(), reason.clone()).await;
        }
        let Ok(artifacts) = self.wanted(&deployed).await else { return };
        let effects = self.rollout.on(deploy::Event::Wanted(restore::digests(&artifacts)), now_micros());
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

/// Returns once the host is asked to end.
pub(super) async fn asked_to_end(ending: &mut watch::Receiver<bool>) {
    // The sender outlives every supervisor.
    let _ = ending.wait_for(|ending| *ending).await;
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
            (None, None) => Err(format!("operator `{name}` is not in the directory of operators")),
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
    let chain = chain.await??;
    let folds = chain.fold().is_some();
    let (sinks, constraints) = assemble::sinks(pipeline, connections, chain.output_fields(), folds).await?;
    Ok(Prepared { chain, sinks, constraints })
}

fn source_trouble(error: SourceError) -> Trouble {
    match error {
        SourceError::Unavailable(reason) => Trouble::Away(reason),
        SourceError::Unusable(reason) => Trouble::wrong(reason),
        SourceError::Held(reason) => Trouble::Held(reason),
    }
}

pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Trouble> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Trouble::wrong(format!("{error}; this is a defect")))
}
