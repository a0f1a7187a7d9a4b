//! Running pipelines, and the change to other ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use sluice_clock::Stopwatch;
use sluice_core::checkpoint::CheckpointStore;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::config::Pipeline;
use crate::connections::Connections;
use crate::kept::OperatorArchive;
use crate::operators::Deployed;
use crate::pipeline::deployments::Deployments;
use crate::pipeline::status::PipelineState;
use crate::pipeline::{Ended, GroupMember, Handle, Opener, Status, Supervisor, SupervisorStart, assemble};

/// The pipelines that run, at any time.
pub type Statuses = watch::Receiver<Vec<Handle>>;

/// Outcome of one pipeline's run.
pub struct PipelineOutcome {
    pub status: Arc<Status>,
    pub ended: Ended,
    /// Seconds from the service's start to the pipeline's last flush.
    pub seconds: f64,
}

/// Resources that the pipelines of a service share.
pub struct Shared {
    pub connections: Arc<Connections>,
    /// Name of this host.
    pub host: String,
    pub store: Arc<dyn CheckpointStore>,
    pub kept: OperatorArchive,
    pub operators: watch::Receiver<Deployed>,
    /// Longest time that pipelines which read up to where their topic ends, and then end, wait for a server that is away.
    pub backfill: Option<Duration>,
    pub started: Stopwatch,
    /// Longest time that the service takes to end once it is asked to.
    pub stop_within: Duration,
}

/// Group of running pipelines, each with its supervisor.
pub struct Running {
    shared: Shared,
    /// The operators that the pipelines name.
    names: watch::Sender<BTreeSet<String>>,
    statuses: watch::Sender<Vec<Handle>>,
    pipelines: BTreeMap<String, Member>,
    /// Pipelines that were asked to end and may not have ended yet.
    leaving: Vec<Leaving>,
    /// Notified when one of these pipelines has ended.
    left: Arc<Notify>,
}

struct Member {
    pipeline: Pipeline,
    handle: Handle,
    ending: watch::Sender<bool>,
    supervisor: JoinHandle<(Ended, f64)>,
    /// Channel that closes once supervisor and run have ended, in whatever way.
    gone: watch::Receiver<()>,
}

/// A pipeline whose file changed, or is gone.
struct Leaving {
    pipeline: Pipeline,
    handle: Handle,
    said: JoinHandle<()>,
    gone: watch::Receiver<()>,
}

impl Member {
    /// Starts a pipeline. Its supervisor begins once the pipelines `before` it have ended.
    fn start(pipeline: &Pipeline, shared: &Shared, before: Vec<watch::Receiver<()>>) -> Member {
        let (handle, orders) = Handle::new(&pipeline.name, operator_names(std::slice::from_ref(pipeline)));
        let (ending, mut ended) = watch::channel(false);
        let (working, gone) = watch::channel(());
        let opener = Opener {
            pipeline: Arc::new(pipeline.clone()),
            connections: Arc::clone(&shared.connections),
            store: Arc::clone(&shared.store),
            status: Arc::clone(&handle.status),
            backfill: shared.backfill,
        };
        let supervisor = Supervisor::new(SupervisorStart {
            deployments: Deployments::new(
                shared.kept.clone(),
                Arc::clone(&handle.status),
                pipeline,
                shared.operators.clone(),
            ),
            opener,
            member: GroupMember::of(&shared.host),
            ending: ended.clone(),
            stop_within: shared.stop_within,
            works: working,
        });
        let (started, status) = (shared.started, Arc::clone(&handle.status));
        let supervisor = tokio::spawn(async move {
            let ended = tokio::select! {
                () = all_gone(before, &status) => supervisor.run(orders).await,
                () = asked(&mut ended) => Ended::Well,
            };
            (ended, started.elapsed().as_secs_f64())
        });
        Member { pipeline: pipeline.clone(), handle, ending, supervisor, gone }
    }

    fn ask_to_end(&self) {
        self.ending.send_replace(true);
    }

    async fn finished(self) -> PipelineOutcome {
        let died = |error| (Ended::Fault(format!("the supervisor died: {error}; this is a defect")), 0.0);
        let (ended, seconds) = self.supervisor.await.unwrap_or_else(died);
        PipelineOutcome { status: self.handle.status, ended, seconds }
    }

    /// Asks the pipeline to end, and logs how it ended.
    fn leave(self, left: &Arc<Notify>) -> Leaving {
        self.ask_to_end();
        let (pipeline, handle, gone) = (self.pipeline.clone(), self.handle.clone(), self.gone.clone());
        let left = Arc::clone(left);
        let said = tokio::spawn(async move {
            let name = self.pipeline.name.clone();
            match self.finished().await.ended {
                Ended::Well => tracing::info!(pipeline = name, "ended: its file changed, or is gone"),
                Ended::Fault(reason) => tracing::error!(pipeline = name, "ended, since its file changed: {reason}"),
            }
            left.notify_one();
        });
        Leaving { pipeline, handle, said, gone }
    }
}

impl Leaving {
    /// Returns true if the other pipeline must not run before this one has written its rows: it is the same pipeline, or reads as
    /// the same group, or writes a table that this one writes.
    fn is_before(&self, other: &Pipeline) -> bool {
        let own = &self.pipeline;
        let writes = |pipeline: &Pipeline, connection: &str, table: &str| {
            pipeline.sinks.iter().any(|sink| sink.connection == connection && sink.table == table)
        };
        own.name == other.name
            || (&own.source.connection, &own.source.group) == (&other.source.connection, &other.source.group)
            || own.sinks.iter().any(|sink| writes(other, &sink.connection, &sink.table))
    }

    fn is_gone(&self) -> bool {
        self.gone.has_changed().is_err()
    }
}

impl Running {
    /// Makes a group without pipelines. `names` is told which operators the pipelines name.
    pub fn new(shared: Shared, names: watch::Sender<BTreeSet<String>>) -> Running {
        Running {
            shared,
            names,
            statuses: watch::Sender::default(),
            pipelines: BTreeMap::new(),
            leaving: Vec::new(),
            left: Arc::default(),
        }
    }

    pub fn statuses(&self) -> Statuses {
        self.statuses.subscribe()
    }

    /// Stops pipelines that were removed or changed, and starts the new and changed ones. All of this happens at once, but a
    /// pipeline that depends on one that ends waits for the last flush of that one.
    pub fn change_to(&mut self, wanted: &[Pipeline]) {
        self.leaving.retain(|leaving| !leaving.is_gone());
        let gone = self.pipelines.extract_if(.., |_, member| !wanted.contains(&member.pipeline));
        self.leaving.extend(gone.map(|(_, member)| member.leave(&self.left)));
        self.names.send_if_modified(|names| {
            let before = std::mem::replace(names, operator_names(wanted));
            before != *names
        });
        for pipeline in wanted {
            let before = || self.leaving.iter().filter(|leaving| leaving.is_before(pipeline));
            let start =
                || Member::start(pipeline, &self.shared, before().map(|leaving| leaving.gone.clone()).collect());
            self.pipelines.entry(pipeline.name.clone()).or_insert_with(start);
        }
        self.publish();
    }

    /// Publishes the pipelines that run. A pipeline that has not ended yet is included, unless another of its name is to follow.
    fn publish(&mut self) {
        self.leaving.retain(|leaving| !leaving.is_gone());
        let leaving = self.leaving.iter().filter(|leaving| !self.pipelines.contains_key(&leaving.pipeline.name));
        let handles =
            self.pipelines.values().map(|member| &member.handle).chain(leaving.map(|leaving| &leaving.handle));
        self.statuses.send_replace(handles.cloned().collect());
    }

    /// Runs the wanted pipelines, as they change, until the service is asked to end.
    pub async fn follow(
        mut self,
        mut wanted: watch::Receiver<Vec<Pipeline>>,
        mut ending: watch::Receiver<bool>,
    ) -> Vec<PipelineOutcome> {
        let left = Arc::clone(&self.left);
        loop {
            tokio::select! {
                () = asked(&mut ending) => return self.finish(ending).await,
                Ok(()) = wanted.changed() => {
                    let pipelines = wanted.borrow_and_update().clone();
                    self.change_to(&pipelines);
                }
                () = left.notified() => self.publish(),
            }
        }
    }

    /// Waits until each has ended, by itself or because the service is asked to end: then not longer than it has time for that.
    pub async fn finish(self, mut ending: watch::Receiver<bool>) -> Vec<PipelineOutcome> {
        let all: Vec<_> = self.pipelines.values().map(|member| member.ending.clone()).collect();
        let within = self.shared.stop_within;
        let (over, mut time_is_up) = watch::channel(false);
        // Ends with this call.
        let mut timer = JoinSet::new();
        timer.spawn(async move {
            asked(&mut ending).await;
            for ending in all {
                ending.send_replace(true);
            }
            tokio::time::sleep(within).await;
            over.send_replace(true);
        });
        let mut outcomes = Vec::with_capacity(self.pipelines.len());
        for member in self.pipelines.into_values() {
            let status = Arc::clone(&member.handle.status);
            tokio::select! {
                biased;
                outcome = member.finished() => outcomes.push(outcome),
                () = asked(&mut time_is_up) => outcomes.push(left(status, within)),
            }
        }
        for leaving in self.leaving {
            tokio::select! {
                biased;
                _ = leaving.said => {}
                () = asked(&mut time_is_up) => outcomes.push(left(leaving.handle.status, within)),
            }
        }
        outcomes
    }
}

/// Returns the outcome of a pipeline that has not ended in time.
fn left(status: Arc<Status>, within: Duration) -> PipelineOutcome {
    let reason = format!("not ended within {within:?}, and left: what is not flushed is read again at the next start");
    tracing::error!(pipeline = status.name(), "{reason}");
    PipelineOutcome { status, ended: Ended::Fault(reason), seconds: 0.0 }
}

/// Returns once all that are waited for have ended.
async fn all_gone(before: Vec<watch::Receiver<()>>, status: &Status) {
    for mut gone in before {
        if gone.has_changed().is_ok() {
            let reason = "the pipeline that ran before it, or writes its table, has not ended yet";
            status.set(PipelineState::Waiting, Some(reason.to_owned()));
        }
        // Nothing is ever sent.
        while gone.changed().await.is_ok() {}
    }
    status.set(PipelineState::Waiting, None);
}

/// The operators that pipelines name.
pub fn operator_names(pipelines: &[Pipeline]) -> BTreeSet<String> {
    pipelines.iter().flat_map(assemble::operator_names).map(str::to_owned).collect()
}

/// Returns once this is so: that the service is asked to end, or has no more time for it.
async fn asked(ending: &mut watch::Receiver<bool>) {
    // A service that is gone wants its pipelines to end, too.
    let _ = ending.wait_for(|ending| *ending).await;
}
