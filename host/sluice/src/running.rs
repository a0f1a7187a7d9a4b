//! The pipelines that run, and how they become others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sluice_core::checkpoint::CheckpointStore;
use sluice_core::deploy::Rollout;
use sluice_core::disabled::Disablings;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::Pipeline;
use crate::connections::Connections;
use crate::kept::Kept;
use crate::operators::Deployed;
use crate::pipeline::deployments::Deployments;
use crate::pipeline::{Ended, Handle, Place, Status, Supervisor, assemble};

/// The pipelines that run, at any time.
pub type Statuses = watch::Receiver<Vec<Handle>>;

/// How one pipeline ended.
pub struct Outcome {
    pub status: Arc<Status>,
    pub ended: Ended,
    /// From the service's start to the pipeline's last flush.
    pub seconds: f64,
}

/// What pipelines share.
pub struct Shared {
    pub connections: Arc<Connections>,
    /// Which host this is.
    pub host: String,
    pub store: Arc<dyn CheckpointStore>,
    pub kept: Kept,
    pub operators: watch::Receiver<Deployed>,
    pub until_caught_up: bool,
    /// How long a backfill waits for a server that is away.
    pub patience: Option<Duration>,
    pub started: Instant,
}

/// Some pipelines, each with its supervisor.
pub struct Running {
    shared: Shared,
    /// The operators that the pipelines name.
    names: watch::Sender<BTreeSet<String>>,
    statuses: watch::Sender<Vec<Handle>>,
    pipelines: BTreeMap<String, Member>,
}

struct Member {
    pipeline: Pipeline,
    handle: Handle,
    ending: watch::Sender<bool>,
    supervisor: JoinHandle<(Ended, f64)>,
}

impl Member {
    fn start(pipeline: &Pipeline, shared: &Shared) -> Member {
        let (handle, orders) = Handle::new(&pipeline.name);
        let (ending, ended) = watch::channel(false);
        let supervisor = Supervisor {
            pipeline: pipeline.clone(),
            connections: Arc::clone(&shared.connections),
            store: Arc::clone(&shared.store),
            operators: shared.operators.clone(),
            status: Arc::clone(&handle.status),
            deployments: Deployments::new(shared.kept.clone(), Arc::clone(&handle.status)),
            ending: ended,
            until_caught_up: shared.until_caught_up,
            patience: shared.patience,
            rollout: Rollout::default(),
            begins_anew: false,
            table_made: false,
            disablings: Disablings::default(),
            place: Place::of(&shared.host),
        };
        let started = shared.started;
        let supervisor = tokio::spawn(async move {
            let ended = supervisor.run(orders).await;
            (ended, started.elapsed().as_secs_f64())
        });
        Member { pipeline: pipeline.clone(), handle, ending, supervisor }
    }

    fn ask_to_end(&self) {
        self.ending.send_replace(true);
    }

    async fn finished(self) -> Outcome {
        let died = |error| (Ended::Fault(format!("the supervisor died: {error}; this is a defect")), 0.0);
        let (ended, seconds) = self.supervisor.await.unwrap_or_else(died);
        Outcome { status: self.handle.status, ended, seconds }
    }
}

impl Running {
    /// None yet. `names` hears which operators they name.
    pub fn new(shared: Shared, names: watch::Sender<BTreeSet<String>>) -> Running {
        Running { shared, names, statuses: watch::Sender::default(), pipelines: BTreeMap::new() }
    }

    pub fn statuses(&self) -> Statuses {
        self.statuses.subscribe()
    }

    /// Ends those that aren't wanted, or are wanted otherwise, and waits for their last flush; then starts what isn't there.
    pub async fn change_to(&mut self, wanted: &[Pipeline]) {
        let gone: Vec<Member> = self
            .pipelines
            .extract_if(.., |_, member| !wanted.contains(&member.pipeline))
            .map(|(_, member)| member)
            .collect();
        gone.iter().for_each(Member::ask_to_end);
        for member in gone {
            let name = member.pipeline.name.clone();
            match member.finished().await.ended {
                Ended::Well => tracing::info!(pipeline = name, "ended: its file changed, or is gone"),
                Ended::Fault(reason) => tracing::error!(pipeline = name, "ended, since its file changed: {reason}"),
            }
        }
        self.names.send_if_modified(|names| {
            let before = std::mem::replace(names, operator_names(wanted));
            before != *names
        });
        for pipeline in wanted {
            let start = || Member::start(pipeline, &self.shared);
            self.pipelines.entry(pipeline.name.clone()).or_insert_with(start);
        }
        self.statuses.send_replace(self.pipelines.values().map(|member| member.handle.clone()).collect());
    }

    /// Runs what is wanted, as that changes, until the service is asked to end.
    pub async fn follow(
        mut self,
        mut wanted: watch::Receiver<Vec<Pipeline>>,
        mut ending: watch::Receiver<bool>,
    ) -> Vec<Outcome> {
        loop {
            tokio::select! {
                () = asked(&mut ending) => return self.finish(ending).await,
                Ok(()) = wanted.changed() => {
                    let pipelines = wanted.borrow_and_update().clone();
                    self.change_to(&pipelines).await;
                }
            }
        }
    }

    /// Waits until each has ended, by itself or because the service is asked to end.
    pub async fn finish(self, mut ending: watch::Receiver<bool>) -> Vec<Outcome> {
        let all: Vec<_> = self.pipelines.values().map(|member| member.ending.clone()).collect();
        let outcomes = async {
            let mut outcomes = Vec::with_capacity(self.pipelines.len());
            for member in self.pipelines.into_values() {
                outcomes.push(member.finished().await);
            }
            outcomes
        };
        tokio::pin!(outcomes);
        tokio::select! {
            outcomes = &mut outcomes => return outcomes,
            () = asked(&mut ending) => {
                for ending in all {
                    ending.send_replace(true);
                }
            }
        }
        outcomes.await
    }
}

/// The operators that pipelines name.
pub fn operator_names(pipelines: &[Pipeline]) -> BTreeSet<String> {
    pipelines.iter().flat_map(assemble::operator_names).map(str::to_owned).collect()
}

/// Returns once the service is asked to end.
async fn asked(ending: &mut watch::Receiver<bool>) {
    // A service that is gone wants its pipelines to end, too.
    let _ = ending.wait_for(|ending| *ending).await;
}
