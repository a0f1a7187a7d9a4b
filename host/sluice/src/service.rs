//! The service: everything that the configuration names, wired together and kept running.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use sluice_clock::Stopwatch;
use sluice_core::checkpoint::CheckpointStore;
use sluice_runtime::{Runtime, RuntimeConfig};
use sluice_store::Store;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::checkpoints;
use crate::command::compile;
use crate::config::{Config, Pipeline};
use crate::connections::Connections;
use crate::died::kept_alive;
use crate::kept::OperatorArchive;
use crate::operators::Looker;
use crate::pipelines::Refused;
use crate::running::{PipelineOutcome, Running, Shared, Statuses, operator_names};
use crate::{admin, board, identity, operators, pipelines, private};

/// A running service.
pub struct Service {
    statuses: Statuses,
    store: Arc<Store>,
    pipelines: JoinHandle<Vec<PipelineOutcome>>,
    refused: watch::Receiver<Vec<Refused>>,
    /// What the pipelines' files say.
    files: watch::Receiver<Vec<Pipeline>>,
    looker: Looker,
    ending: watch::Sender<bool>,
}

/// The runtime for operators, with its compile cache in the service's state directory.
pub fn runtime(config: &Config) -> anyhow::Result<Runtime> {
    let cache = std::path::absolute(config.state.join("compiled"))?;
    private::directory(&config.state).with_context(|| format!("the state directory {}", config.state.display()))?;
    private::cache(&cache).with_context(|| format!("the directory for compiled code {}", cache.display()))?;
    let helper = compile::helper(&cache, config.compile);
    let memory = config.operators_memory;
    let runtime = Runtime::new(RuntimeConfig { cache_dir: Some(cache), helper, memory, ..RuntimeConfig::default() });
    runtime.context("the WebAssembly runtime can't start")
}

/// The service's checkpoints, which are this process's alone.
async fn store(config: &Config) -> anyhow::Result<Arc<Store>> {
    let config = config.clone();
    let store = tokio::task::spawn_blocking(move || checkpoints::open(&config)).await??;
    Ok(Arc::new(store))
}

impl Service {
    /// Starts every pipeline whose file is good, and from then on what the directory of pipelines holds; those of `config` don't
    /// count. With `backfill` those that are there now, and each ends by itself where its topic ends now, or once a server
    /// was away for so long.
    pub async fn start(config: &Config, backfill: Option<Duration>) -> anyhow::Result<Service> {
        let started = Stopwatch::start();
        let directory = pipelines(config).await?;
        let wanted = directory.pipelines();
        let (name, names) = watch::channel(operator_names(&wanted));
        let runtime = Arc::new(runtime(config)?);
        let (operators, looker) = deployed(config, names, Arc::clone(&runtime));
        let store = store(config).await?;
        let host = identity::of(&config.state).context("no name for this host in its state directory")?;
        let shared = Shared {
            operators,
            connections: Arc::new(Connections::new(&config.connections)),
            store: Arc::clone(&store) as Arc<dyn CheckpointStore>,
            kept: OperatorArchive::new(Arc::clone(&store), runtime),
            host,
            backfill,
            started,
            stop_within: config.stop_within,
        };
        let mut running = Running::new(shared, name);
        running.change_to(&wanted);
        let statuses = running.statuses();
        let (ending, ended) = watch::channel(false);
        let (publish_refused, refused) = watch::channel(directory.refused());
        let (publish, files) = watch::channel(wanted);
        let pipelines = if backfill.is_some() {
            tokio::spawn(running.finish(ended))
        } else {
            watch_pipelines(config.clone(), directory, publish, publish_refused);
            tokio::spawn(running.follow(files.clone(), ended))
        };
        Ok(Service { statuses, store, pipelines, refused, files, looker, ending })
    }

    /// Returns the status of each pipeline, now and as pipelines come and go.
    pub fn statuses(&self) -> Statuses {
        self.statuses.clone()
    }

    /// The files of pipelines that are refused, now and later.
    pub fn refused(&self) -> watch::Receiver<Vec<Refused>> {
        self.refused.clone()
    }

    /// Answers requests at the configured address, if there is one, for as long as the service runs.
    pub async fn serve_admin(&self, config: &Config) -> anyhow::Result<()> {
        let Some(address) = config.admin else { return Ok(()) };
        admin::serve(address, &config.state, self.seen()).await
    }

    /// Serves the board at the configured address, if there is one, for as long as the service runs; returns the address.
    pub async fn serve_board(&self, config: &Config) -> anyhow::Result<Option<SocketAddr>> {
        let Some(settings) = &config.board else { return Ok(None) };
        board::serve(settings, config, self.seen(), self.files.clone()).await.map(Some)
    }

    /// Returns the parts of the service that others show and give orders to.
    fn seen(&self) -> admin::Service {
        admin::Service {
            statuses: self.statuses(),
            refused: self.refused(),
            looker: self.looker.clone(),
            checkpoints: Arc::clone(&self.store),
        }
    }

    /// Asks every pipeline to flush and end, and waits for that; not longer than the configuration says.
    pub async fn end(&mut self) -> anyhow::Result<Vec<PipelineOutcome>> {
        self.ending.send_replace(true);
        self.finished().await
    }

    /// Waits until every pipeline has ended. Safe to drop and call again.
    pub async fn finished(&mut self) -> anyhow::Result<Vec<PipelineOutcome>> {
        (&mut self.pipelines).await.context("the task that keeps the pipelines died; this is a defect")
    }
}

/// The directory of pipelines, looked at once.
async fn pipelines(config: &Config) -> anyhow::Result<pipelines::Directory> {
    let mut directory = pipelines::Directory::new(config);
    let histories = checkpoints::histories(&config.state);
    let looked = tokio::task::spawn_blocking(move || {
        directory.look(|name| histories.load(name).is_ok_and(|history| history.running().is_some()));
        directory
    });
    Ok(looked.await?)
}

/// The operators of these names, as they are deployed now and later: none yet. Pipelines start with what they ran before
/// meanwhile.
fn deployed(
    config: &Config,
    names: watch::Receiver<BTreeSet<String>>,
    runtime: Arc<Runtime>,
) -> (watch::Receiver<operators::Deployed>, Looker) {
    let (publish, deployed) = watch::channel(operators::Deployed::default());
    let (looker, asked) = operators::looker();
    let (path, asked) = (config.operators.clone(), Arc::new(tokio::sync::Mutex::new(asked)));
    tokio::spawn(async move {
        let watch = || {
            let directory = operators::Directory::new(&path, &names.borrow(), Arc::clone(&runtime));
            operators::watch(directory, names.clone(), publish.clone(), Arc::clone(&asked))
        };
        kept_alive("the watch of the operators", watch).await;
    });
    (deployed, looker)
}

/// Watches the directory of pipelines, which was looked at once.
fn watch_pipelines(
    config: Config,
    directory: pipelines::Directory,
    publish: watch::Sender<Vec<Pipeline>>,
    publish_refused: watch::Sender<Vec<Refused>>,
) {
    // At first it goes on with what was looked at.
    let looked = Mutex::new(Some(directory));
    tokio::spawn(async move {
        let looked = || looked.lock().unwrap_or_else(PoisonError::into_inner).take();
        let directory = || looked().unwrap_or_else(|| pipelines::Directory::new(&config));
        let watch = || pipelines::watch(directory(), publish.clone(), publish_refused.clone());
        kept_alive("the watch of the pipelines", watch).await;
    });
}
