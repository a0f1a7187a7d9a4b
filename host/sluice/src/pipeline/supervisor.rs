//! Starts a pipeline, keeps it going, changes its operator, ends it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sluice_connectors::source::SourceError;
use sluice_core::checkpoint::CheckpointStore;
use sluice_core::disabled::Disablings;
use sluice_runtime::Artifact;
use tokio::sync::watch;

use super::assemble::{self, Trouble};
use super::lane::End;
use super::letters;
use super::patience::Backoff;
use super::restore;
use super::run::{Opened, Prepared, Run, Settings};
use super::status::{RunningOperator, State, Status};
use crate::config::{OnError, Pipeline};
use crate::connections::Connections;
use crate::operators::Deployed;

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
    /// True once the host is asked to end.
    pub ending: watch::Receiver<bool>,
    /// Read up to where the topic ends at the start, then end.
    pub until_caught_up: bool,
    /// How often its operator was at fault.
    pub disablings: Disablings,
}

/// What a running pipeline hears.
enum Event {
    Ended(End),
    Stop,
    Operators,
}

/// The artifacts of a pipeline's operators, by name.
type Artifacts = BTreeMap<String, Artifact>;

impl Supervisor {
    /// Runs the pipeline until the host ends; with `until_caught_up` until it has caught up or is at fault.
    pub async fn run(mut self) -> Ended {
        let mut ending = self.ending.clone();
        loop {
            let opened = tokio::select! {
                opened = self.open() => opened,
                () = asked_to_end(&mut ending) => return Ended::Well,
            };
            let mendable = opened.is_err();
            let end = match opened {
                Ok((opened, artifacts)) => self.live(opened, artifacts).await,
                Err(end) => end,
            };
            let reason = match end {
                End::Done => {
                    self.status.set(State::Finished, None);
                    return Ended::Well;
                }
                End::Disabled(reason) => match self.disabled(reason).await {
                    Some(ended) => return ended,
                    None => continue,
                },
                End::Fault(reason) => reason,
            };
            if self.status.set(State::Stopped, Some(reason.clone())) {
                tracing::error!(pipeline = self.status.name(), "stopped: {reason}");
            }
            if self.until_caught_up || *self.ending.borrow() {
                return Ended::Fault(reason);
            }
            // A new operator goes on from the checkpoint.
            tokio::select! {
                changed = self.operators.changed() => if changed.is_err() { return Ended::Fault(reason) },
                () = tokio::time::sleep(OPEN_AGAIN), if mendable => {}
                () = asked_to_end(&mut self.ending) => return Ended::Well,
            }
        }
    }

    /// Opens everything, waiting for what isn't there yet.
    async fn open(&mut self) -> Result<(Opened, Artifacts), End> {
        let mut backoff = Backoff::new();
        loop {
            let deployed = self.operators.borrow_and_update().clone();
            let artifacts = match needed(&self.pipeline, &deployed) {
                Ok(artifacts) => artifacts,
                Err(reason) if self.until_caught_up => return Err(End::Fault(reason)),
                Err(reason) => {
                    wait(&self.status, &reason);
                    self.operators.changed().await.map_err(|_| End::Fault(reason))?;
                    continue;
                }
            };
            match self.open_once(&artifacts).await {
                Ok(opened) => return Ok((opened, artifacts)),
                Err(Trouble::Away(reason)) => wait(&self.status, &reason),
                Err(Trouble::Operator(reason)) => return Err(End::Disabled(reason)),
                Err(wrong) => return Err(End::Fault(wrong.to_string())),
            }
            tokio::time::sleep(backoff.wait()).await;
        }
    }

    /// The source is opened beside the operators and sinks: a pipeline's first row is sooner by the shorter of the two.
    async fn open_once(&self, artifacts: &Artifacts) -> Result<Opened, Trouble> {
        let (pipeline, shared, store) = (self.pipeline.clone(), Arc::clone(&self.connections), Arc::clone(&self.store));
        let until_caught_up = self.until_caught_up;
        let source = blocking(move || {
            let head = restore::load(&pipeline, store.as_ref())?;
            let mut source =
                shared.open_source(&pipeline.source, restore::start(head.as_ref())).map_err(source_trouble)?;
            let until = if until_caught_up { Some(source.ends().map_err(source_trouble)?) } else { None };
            Ok((head, source, until))
        });
        let (source, prepared) = tokio::join!(source, prepare(&self.pipeline, &self.connections, artifacts));
        let (head, source, until) = source??;
        let Prepared { mut chain, sinks, constraints } = prepared?;
        let operators = restore::digests(artifacts);
        let head = restore::resume(&self.pipeline, &self.store, head, source.as_ref(), &mut chain, operators)?;
        let letters = letters::open(&self.pipeline, &self.connections, &head).await?;
        Ok(Opened { source, chain, sinks, constraints, until, letters, head, store: Arc::clone(&self.store) })
    }

    /// From the first record to the last flush.
    async fn live(&mut self, opened: Opened, mut artifacts: Artifacts) -> End {
        let settings = Settings {
            flush: assemble::flush_policy(&self.pipeline),
            batch_rows: self.pipeline.source.batch.rows as usize,
            stops: self.pipeline.on_error == Some(OnError::Stop),
        };
        let mut generation = opened.head.generation;
        self.show_operator(&artifacts, generation);
        self.status.set(State::Running, None);
        let mut run = match Run::start(opened, settings, &self.status, self.ending.clone()) {
            Ok(run) => run,
            Err(error) => return End::Fault(format!("no thread for the lane: {error}")),
        };
        let end = loop {
            let event = tokio::select! {
                end = run.lane_end() => Event::Ended(end),
                () = asked_to_end(&mut self.ending) => Event::Stop,
                changed = self.operators.changed() => if changed.is_ok() { Event::Operators } else { Event::Stop },
            };
            match event {
                Event::Ended(end) => break end,
                Event::Stop => {
                    run.stop();
                    break run.lane_end().await;
                }
                Event::Operators => {
                    if self.swap(&run, &mut artifacts).await {
                        generation += 1;
                        self.show_operator(&artifacts, generation);
                    }
                }
            }
        };
        run.finish(end).await
    }

    /// Lets a changed operator take over; says whether it did.
    async fn swap(&mut self, run: &Run, running: &mut Artifacts) -> bool {
        let deployed = self.operators.borrow_and_update().clone();
        let refused = assemble::operator_names(&self.pipeline).find_map(|name| deployed.refused.get(name));
        self.status.set_refused(refused.cloned());
        let Ok(artifacts) = needed(&self.pipeline, &deployed) else { return false };
        if artifacts
            .iter()
            .all(|(name, artifact)| running.get(name).is_some_and(|old| old.digest() == artifact.digest()))
        {
            return false;
        }
        let outcome = match prepare(&self.pipeline, &self.connections, &artifacts).await {
            Ok(prepared) => run.swap(prepared, restore::digests(&artifacts)).await,
            Err(trouble) => Err(trouble.to_string()),
        };
        match outcome {
            Ok(()) => {
                tracing::info!(pipeline = self.status.name(), "swapped");
                *running = artifacts;
                true
            }
            Err(reason) => {
                tracing::warn!(pipeline = self.status.name(), "swap refused, the operator before runs on: {reason}");
                self.status.set_refused(Some(reason));
                false
            }
        }
    }

    fn show_operator(&self, artifacts: &Artifacts, generation: u64) {
        let operator = assemble::operator_names(&self.pipeline).last().and_then(|name| {
            let artifact = artifacts.get(name)?;
            Some(RunningOperator { name: name.to_owned(), digest: artifact.digest().to_string(), generation })
        });
        self.status.set_operator(operator);
    }
}

/// Returns once the host is asked to end.
pub(super) async fn asked_to_end(ending: &mut watch::Receiver<bool>) {
    // The sender outlives every supervisor.
    let _ = ending.wait_for(|ending| *ending).await;
}

fn wait(status: &Status, reason: &str) {
    if status.set(State::Waiting, Some(reason.to_owned())) {
        tracing::warn!(pipeline = status.name(), "waiting: {reason}");
    }
}

/// The artifacts that a pipeline's file names.
fn needed(pipeline: &Pipeline, deployed: &Deployed) -> Result<Artifacts, String> {
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
    let (sinks, constraints) = assemble::sinks(pipeline, connections, chain.output_fields()).await?;
    Ok(Prepared { chain, sinks, constraints })
}

fn source_trouble(error: SourceError) -> Trouble {
    match error {
        SourceError::Unavailable(reason) => Trouble::Away(reason),
        SourceError::Unusable(reason) => Trouble::wrong(reason),
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Trouble> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Trouble::wrong(format!("{error}; this is a defect")))
}
