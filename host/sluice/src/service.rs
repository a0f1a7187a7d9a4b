//! The service: everything that the configuration names, wired together and kept running.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use sluice_core::checkpoint::CheckpointStore;
use sluice_runtime::{Runtime, RuntimeConfig};
use sluice_store::Store;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::checkpoints;
use crate::command::compile;
use crate::config::Config;
use crate::connections::Connections;
use crate::kept::Kept;
use crate::running::{Outcome, Running, Shared, Statuses, operator_names};
use crate::{admin, identity, operators, pipelines};

/// A running service.
pub struct Service {
    statuses: Statuses,
    store: Arc<Store>,
    pipelines: JoinHandle<Vec<Outcome>>,
    ending: watch::Sender<bool>,
}

/// The runtime for operators, with its compile cache in the service's state directory.
pub fn runtime(config: &Config) -> anyhow::Result<Runtime> {
    let cache = std::path::absolute(config.state.join("compiled"))?;
    let helper = compile::helper(&cache, config.compile);
    let runtime = Runtime::new(RuntimeConfig { cache_dir: Some(cache), helper, ..RuntimeConfig::default() });
    runtime.context("the WebAssembly runtime can't start")
}

/// The service's checkpoints, which are this process's alone.
async fn store(config: &Config) -> anyhow::Result<Arc<Store>> {
    let config = config.clone();
    let store = tokio::task::spawn_blocking(move || checkpoints::open(&config)).await??;
    Ok(Arc::new(store))
}

impl Service {
    /// Starts every pipeline, and from then on what the directory of pipelines holds. With `until_caught_up` those that are
    /// there now, and each ends by itself where its topic ends now, or once a server was away for so long.
    pub async fn start(config: &Config, until_caught_up: Option<Duration>) -> anyhow::Result<Service> {
        let (patience, until_caught_up) = (until_caught_up, until_caught_up.is_some());
        let started = Instant::now();
        let (name, names) = watch::channel(operator_names(&config.pipelines));
        let runtime = Arc::new(runtime(config)?);
        let operators = deployed(config, names, Arc::clone(&runtime)).await?;
        let store = store(config).await?;
        let host = identity::of(&config.state).context("no name for this host in its state directory")?;
        let shared = Shared {
            operators,
            connections: Arc::new(Connections::new(&config.connections)?),
            store: Arc::clone(&store) as Arc<dyn CheckpointStore>,
            kept: Kept::new(Arc::clone(&store), runtime),
            host,
            until_caught_up,
            patience,
            started,
        };
        let mut running = Running::new(shared, name);
        running.change_to(&config.pipelines).await;
        let statuses = running.statuses();
        let (ending, ended) = watch::channel(false);
        let pipelines = if until_caught_up {
            tokio::spawn(running.finish(ended))
        } else {
            let (publish, wanted) = watch::channel(config.pipelines.clone());
            tokio::spawn(pipelines::watch(pipelines::Directory::new(config), publish));
            tokio::spawn(running.follow(wanted, ended))
        };
        Ok(Service { statuses, store, pipelines, ending })
    }

    /// What each pipeline says of itself, now and later.
    pub fn statuses(&self) -> Statuses {
        self.statuses.clone()
    }

    /// Answers requests at the configured address, if there is one, for as long as the service runs.
    pub async fn serve_admin(&self, config: &Config) -> anyhow::Result<()> {
        let Some(address) = config.admin else { return Ok(()) };
        admin::serve(address, &config.state, self.statuses(), Arc::clone(&self.store)).await
    }

    /// Asks every pipeline to flush and end.
    pub fn stop(&self) {
        self.ending.send_replace(true);
    }

    /// Waits until every pipeline has ended. Safe to drop and call again.
    pub async fn finished(&mut self) -> anyhow::Result<Vec<Outcome>> {
        (&mut self.pipelines).await.context("the task that keeps the pipelines died; this is a defect")
    }
}

/// The operators of these names, as they are deployed now and later.
async fn deployed(
    config: &Config,
    names: watch::Receiver<BTreeSet<String>>,
    runtime: Arc<Runtime>,
) -> anyhow::Result<watch::Receiver<operators::Deployed>> {
    let mut directory = operators::Directory::new(&config.operators, names.borrow().clone(), runtime);
    let looked = tokio::task::spawn_blocking(move || {
        directory.look();
        directory
    });
    let directory = looked.await?;
    let (publish, deployed) = watch::channel(directory.deployed().clone());
    tokio::spawn(operators::watch(directory, names, publish));
    Ok(deployed)
}
