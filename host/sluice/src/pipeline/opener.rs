//! Opening of a run, and what it is opened from: checkpoint, source, operators, lookups, sinks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sluice_clock::now_micros;
use sluice_connectors::kafka::Membership;
use sluice_connectors::source::Source;
use sluice_connectors::transaction::Written;
use sluice_core::checkpoint::{Checkpoint, CheckpointStore, begin_anew};
use sluice_core::identity::Identity;
use sluice_core::interval::Intervals;
use sluice_core::{Offset, Partition};
use sluice_runtime::CallTimer;

use super::assemble;
use super::flush::OpenSink;
use super::fresh::{self, Begins};
use super::identity;
use super::letters;
use super::restore;
use super::run::{Opened, Prepared};
use super::status::Status;
use super::trouble::{Trouble, blocking};
use super::{tables, transaction};
use crate::config::Pipeline;
use crate::connections::Connections;
use crate::operators::Artifacts;

/// Opener of a pipeline's runs: the pipeline's file, and the places of what it names. Clones share them.
#[derive(Clone)]
pub struct Opener {
    pub pipeline: Arc<Pipeline>,
    pub connections: Arc<Connections>,
    pub store: Arc<dyn CheckpointStore>,
    pub status: Arc<Status>,
    /// Longest time that a server may be away before it is given up, for a backfill: its runs end where the topic ends when they are opened.
    pub backfill: Option<Duration>,
}

/// A source that is open, and what was found on the way.
struct OpenSource {
    source: Box<dyn Source>,
    head: Option<Checkpoint>,
    /// The store has groups whose rows are to be in the tables.
    groups: bool,
    until: Option<BTreeMap<Partition, Offset>>,
    begins: Begins,
}

impl Opener {
    /// Opens everything. The source is opened beside the operators and sinks: a pipeline's first row is sooner by the shorter of the
    /// two.
    pub async fn open(&self, artifacts: &Artifacts, membership: Option<Arc<Membership>>) -> Result<Opened, Trouble> {
        let written = transaction::written(&self.pipeline, &self.connections).await?;
        let (opener, rows) = (self.clone(), written.clone());
        let source = blocking(move || opener.open_source(membership.as_deref(), &rows));
        let (opened, prepared) = tokio::join!(source, self.prepare(artifacts));
        let OpenSource { source, mut head, groups, until, begins } = opened??;
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

    /// Opens the source where the checkpoint, and the rows of a sink with transactions, say that it goes on. Blocks.
    fn open_source(&self, membership: Option<&Membership>, rows: &Written) -> Result<OpenSource, Trouble> {
        let (pipeline, store) = (self.pipeline.as_ref(), self.store.as_ref());
        let trouble = |error| identity::trouble(&pipeline.name, error);
        let begins = Begins::look(pipeline, store)?;
        let head = restore::load(pipeline, store)?;
        let head = transaction::reconcile(pipeline, &restore::resumption(pipeline), head, rows);
        let start = restore::start(head.as_ref());
        let known = head.as_ref().map(Identity::of_source).unwrap_or_default();
        let source = self.connections.open_source(&pipeline.source, start, known, membership);
        let mut source = source.map_err(trouble)?;
        let begins = begins.ask_group(pipeline, source.as_mut()).map_err(trouble)?;
        transaction::check_topic(head.as_ref(), rows, source.as_mut()).map_err(trouble)?;
        let until = if self.backfill.is_some() { Some(source.last_ends().map_err(trouble)?) } else { None };
        let groups = tables::has_groups(&pipeline.name, head.as_ref(), store).map_err(fresh::store_trouble)?;
        let groups = groups && !assemble::shows_closed_windows(pipeline);
        Ok(OpenSource { source, head, groups, until, begins })
    }

    /// Makes a chain of these operators, and opens the sinks for its rows.
    pub async fn prepare(&self, artifacts: &Artifacts) -> Result<Prepared, Trouble> {
        let (opener, operators) = (self.clone(), artifacts.clone());
        let chain = blocking(move || {
            assemble::check_lookups(&opener.pipeline, &opener.connections)?;
            let status = Arc::clone(&opener.status);
            let timer: CallTimer = Arc::new(move |time| status.meters.operator_seconds.add(time));
            assemble::chain(&opener.pipeline, &operators, &opener.connections, Some(&timer))
        });
        let mut chain = chain.await??;
        let groups = chain.fold().map(|fold| fold.form());
        let sinks = assemble::sinks(&self.pipeline, &self.connections, chain.output_fields(), groups);
        let (sinks, constraints) = sinks.await?;
        chain.constrain(constraints);
        Ok(Prepared { chain, sinks })
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

    /// The head of the pipeline's checkpoint, if there is one that can be read.
    pub async fn head(&self) -> Option<Checkpoint> {
        self.read_head().await.flatten()
    }

    /// Returns the intervals that the pipeline's checkpoint covers, empty if there is none; nothing if the store can't say it.
    pub async fn consumed(&self) -> Option<Intervals> {
        self.read_head().await.map(|head| head.map(|head| head.intervals).unwrap_or_default())
    }

    async fn read_head(&self) -> Option<Option<Checkpoint>> {
        let (store, name) = (Arc::clone(&self.store), self.pipeline.name.clone());
        let head = tokio::task::spawn_blocking(move || store.head(&name)).await;
        head.ok().and_then(Result::ok)
    }

    /// Forgets the states, so that the next run begins without a checkpoint.
    pub async fn forget(&self) -> Result<(), String> {
        let (store, name) = (Arc::clone(&self.store), self.pipeline.name.clone());
        tracing::warn!(pipeline = name, "begins anew: its states are forgotten, as `on_incompatible` says");
        let reset = blocking(move || begin_anew(store.as_ref(), &name)).await;
        reset.map_err(|trouble| trouble.to_string())?.map_err(|error| error.to_string())
    }
}
