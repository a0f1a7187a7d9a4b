//! The service: everything that the configuration names, wired together and kept running.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use sluice_core::checkpoint::CheckpointStore;
use sluice_core::checkpoint::memory::MemoryStore;
use sluice_runtime::{Runtime, RuntimeConfig};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::connections::Connections;
use crate::operators::{self, Directory};
use crate::pipeline::{Ended, Status, Supervisor, assemble};

/// A running service.
pub struct Service {
    statuses: Vec<Arc<Status>>,
    pipelines: Vec<JoinHandle<(Ended, f64)>>,
    ending: watch::Sender<bool>,
}

/// How one pipeline ended.
pub struct Outcome {
    pub status: Arc<Status>,
    pub ended: Ended,
    /// From the service's start to the pipeline's last flush.
    pub seconds: f64,
}

/// The runtime for operators, with its compile cache in the service's state directory.
pub fn runtime(config: &Config) -> anyhow::Result<Runtime> {
    let cache = std::path::absolute(config.state.join("compiled"))?;
    let runtime = Runtime::new(RuntimeConfig { cache_dir: Some(cache), ..RuntimeConfig::default() });
    runtime.context("the WebAssembly runtime can't start")
}

impl Service {
    /// Starts every pipeline. With `until_caught_up` each ends by itself where its topic ends now.
    pub async fn start(config: &Config, until_caught_up: bool) -> anyhow::Result<Service> {
        let started = Instant::now();
        let runtime = Arc::new(runtime(config)?);
        let connections = Arc::new(Connections::new(&config.connections)?);
        let store: Arc<dyn CheckpointStore> = Arc::new(MemoryStore::default());
        let names: BTreeSet<String> =
            config.pipelines.iter().flat_map(assemble::operator_names).map(str::to_owned).collect();
        let mut directory = Directory::new(&config.operators, names, runtime);
        let directory = tokio::task::spawn_blocking(move || {
            directory.look();
            directory
        });
        let directory = directory.await?;
        let (publish, deployed) = watch::channel(directory.deployed().clone());
        tokio::spawn(operators::watch(directory, publish));
        let (ending, ended) = watch::channel(false);
        let mut service = Service { statuses: Vec::new(), pipelines: Vec::new(), ending };
        for pipeline in &config.pipelines {
            let status = Arc::new(Status::new(&pipeline.name));
            let supervisor = Supervisor {
                pipeline: pipeline.clone(),
                connections: Arc::clone(&connections),
                store: Arc::clone(&store),
                operators: deployed.clone(),
                status: Arc::clone(&status),
                ending: ended.clone(),
                until_caught_up,
            };
            service.statuses.push(status);
            service.pipelines.push(tokio::spawn(async move {
                let ended = supervisor.run().await;
                (ended, started.elapsed().as_secs_f64())
            }));
        }
        Ok(service)
    }

    /// What each pipeline says of itself, now and later.
    pub fn statuses(&self) -> Vec<Arc<Status>> {
        self.statuses.clone()
    }

    /// Asks every pipeline to flush and end.
    pub fn stop(&self) {
        self.ending.send_replace(true);
    }

    /// Waits until every pipeline has ended.
    pub async fn finished(&mut self) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(self.pipelines.len());
        for (status, pipeline) in self.statuses.iter().zip(self.pipelines.iter_mut()) {
            let (ended, seconds) = pipeline
                .await
                .unwrap_or_else(|error| (Ended::Fault(format!("the supervisor died: {error}; this is a defect")), 0.0));
            outcomes.push(Outcome { status: Arc::clone(status), ended, seconds });
        }
        outcomes
    }
}
