//! The task of a flusher: performs what [`sluice_core::run::Flusher`] says, with the tables, the letters, the store and the group.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sluice_clock::{Stopwatch, now_micros};
use sluice_connectors::sink::{Constraint, FoundTable, Refused, Rows, Sink, SinkError};
use sluice_connectors::source::{Committer, LeaseError};
use sluice_connectors::transaction::{Transaction, TransactionSink};
use sluice_core::checkpoint::{Changes, Checkpoint, CheckpointStore, StoreError};
use sluice_core::dead_letter::{DeadLetter, LetterId};
use sluice_core::deploy::Operators;
use sluice_core::run::{self, FlushError, FlusherEffect, FlusherEvent, Handover, Report, SinkForm, TransactionForm};
use sluice_core::{Offset, Partition};
use tokio::sync::{mpsc, watch};

use super::clock::Clock;
use super::freshness::Ends;
use super::letters::{OpenLetters, RetryState};
use super::status::Status;
use super::told::tell;

/// Number of flushes that may wait for the flusher: one, so that the flusher has the next flush when it finishes the last.
pub const QUEUE: usize = 1;

/// Time between two looks of an idle flusher at its tables, whether they are still there. Each flush looks, too. Shorter: idle
/// pipelines ask for nothing. Longer: a table that somebody emptied stays empty while no record comes.
const LOOK_AT_TABLES_EVERY: Duration = Duration::from_secs(5);

/// Work that a lane hands over.
pub struct Work {
    pub handover: Handover,
    /// Sinks from this flush on, if other operators take over.
    pub sinks: Option<Vec<OpenSink>>,
    /// The offsets that its rows are at.
    pub read_to: Ends,
}

/// Way in which rows get into a table.
pub enum Table {
    /// Rows are written under their key, and written again if need be.
    Upserts(Box<dyn Sink>),
    /// Rows are written once, with the intervals of their records.
    Transactions(Box<dyn TransactionSink>),
}

impl Table {
    /// Returns the values that each column takes.
    pub fn constraints(&self) -> &[Constraint] {
        match self {
            Table::Upserts(sink) => sink.constraints(),
            Table::Transactions(sink) => sink.constraints(),
        }
    }

    /// Returns the table's state when it was opened.
    pub fn found(&self) -> &FoundTable {
        match self {
            Table::Upserts(sink) => sink.found(),
            Table::Transactions(sink) => sink.found(),
        }
    }

    /// Checks that the table is still the one that was opened.
    async fn verify(&mut self) -> Result<(), SinkError> {
        match self {
            Table::Upserts(sink) => sink.verify().await,
            Table::Transactions(sink) => sink.verify().await,
        }
    }

    /// Expects rows from now on: a table that then loses all of its rows counts as another one.
    pub fn expect_rows(&mut self) {
        match self {
            Table::Upserts(sink) => sink.expect_rows(),
            Table::Transactions(sink) => sink.expect_rows(),
        }
    }

    /// The rows that its server refuses.
    async fn refused(&mut self, rows: &Rows) -> Result<Vec<Refused>, SinkError> {
        match self {
            Table::Upserts(sink) => sink.refused(rows).await,
            Table::Transactions(sink) => sink.refused(rows).await,
        }
    }
}

/// A sink and how a pipeline uses it.
pub struct OpenSink {
    pub table: Table,
    /// `connection.table`, for messages.
    pub name: String,
    /// The result columns that identify a row.
    pub key: Vec<usize>,
    /// True if the generation of each row is written too.
    pub generation: bool,
    /// True if the table is told which groups have ended.
    pub tombstones: bool,
    /// Failed tries after which the pipeline says that it is holding.
    pub retries: u32,
}

impl OpenSink {
    /// The facts of the sink that the core needs.
    pub fn form(&self) -> SinkForm {
        let transaction = match &self.table {
            Table::Upserts(_) => None,
            Table::Transactions(sink) => Some(TransactionForm { takes_letters: sink.takes_letters() }),
        };
        SinkForm {
            name: self.name.clone(),
            key: self.key.clone(),
            generation: self.generation,
            retries: self.retries,
            tombstones: self.tombstones,
            transaction,
        }
    }
}

/// A flusher, and what it works with.
pub struct FlusherTask {
    pub flusher: run::Flusher,
    pub sinks: Vec<OpenSink>,
    /// The sinks that are to take over once the flush in hand is done.
    pub next_sinks: Option<Vec<OpenSink>>,
    /// Open place for letters; none if the pipeline makes none.
    pub letters: Option<OpenLetters>,
    pub store: Arc<dyn CheckpointStore>,
    /// The last flush whose checkpoint is made, for the lane.
    pub committed: Arc<AtomicU64>,
    pub committer: Arc<dyn Committer>,
    /// Hears of operators whose trial is over, and durable.
    pub passed: mpsc::Sender<Operators>,
    pub retries: RetryState,
    pub status: Arc<Status>,
    /// Request to end: true once the run is to end.
    pub ending: watch::Receiver<bool>,
    pub clock: Clock,
}

impl FlusherTask {
    /// Writes flushes until the lane is gone.
    pub async fn run(mut self, mut work: mpsc::Receiver<Work>) -> Result<(), FlushError> {
        let mut is_told = false;
        // Runs since the flush in hand began.
        let mut begun: Option<(Stopwatch, Ends)> = None;
        loop {
            if !is_told && *self.ending.borrow() {
                is_told = true;
                self.flusher.on(FlusherEvent::Ending, self.clock.now())?;
            }
            let effect = self.flusher.next_effect();
            self.tell().await;
            let event = match effect? {
                FlusherEffect::Idle => {
                    if let Some((begun, read_to)) = begun.take() {
                        self.status.meters.flush_seconds.observe(begun.elapsed());
                        self.status.freshness().has_written(read_to);
                    }
                    let Some(Work { handover, sinks, read_to }) = self.next_work(&mut work).await? else {
                        return Ok(());
                    };
                    (self.next_sinks, begun) = (sinks, Some((Stopwatch::start(), read_to)));
                    FlusherEvent::Flush(handover)
                }
                effect => self.perform(effect).await?,
            };
            let step = self.flusher.on(event, self.clock.now());
            self.tell().await;
            step?;
        }
    }

    /// The next flush; none once the lane is gone. Meanwhile, looks at the tables.
    async fn next_work(&mut self, work: &mut mpsc::Receiver<Work>) -> Result<Option<Work>, FlushError> {
        loop {
            if let Ok(work) = tokio::time::timeout(LOOK_AT_TABLES_EVERY, work.recv()).await {
                return Ok(work);
            }
            let mut ending = self.ending.clone();
            tokio::select! {
                looked = tokio::time::timeout(LOOK_AT_TABLES_EVERY, self.look_at_tables()) => looked.unwrap_or(Ok(()))?,
                // Its sender outlives every flusher.
                _ = ending.wait_for(|ending| *ending) => {}
            }
        }
    }

    /// Checks that the tables are still those that were opened. A server that is away is not an error here: it is reported when
    /// rows are written.
    async fn look_at_tables(&mut self) -> Result<(), FlushError> {
        for open in &mut self.sinks {
            if let Err(SinkError::Replaced(reason)) = open.table.verify().await {
                return Err(FlushError::Replaced { sink: open.name.clone(), reason });
            }
        }
        Ok(())
    }

    async fn perform(&mut self, effect: FlusherEffect) -> Result<FlusherEvent, FlushError> {
        Ok(match effect {
            // Nothing to perform.
            FlusherEffect::Idle => FlusherEvent::Waited,
            FlusherEffect::CheckStore => FlusherEvent::Store(self.store.check()),
            FlusherEffect::AskTopic => FlusherEvent::Lease(self.ask(|committer| committer.still_same()).await),
            FlusherEffect::AskLease => FlusherEvent::Lease(self.ask(|committer| committer.may_write()).await),
            FlusherEffect::Upsert { sink, rows, by } => FlusherEvent::Wrote(match &mut self.sinks[sink].table {
                Table::Upserts(table) => {
                    table.attribute(&by);
                    table.upsert(&rows).await
                }
                Table::Transactions(_) => Err(not_its_kind()),
            }),
            FlusherEffect::Tombstones { sink, keys } => FlusherEvent::Wrote(match &mut self.sinks[sink].table {
                Table::Upserts(table) => table.end(&keys).await,
                Table::Transactions(_) => Err(not_its_kind()),
            }),
            FlusherEffect::Search { sink, rows } => FlusherEvent::Found(self.sinks[sink].table.refused(&rows).await),
            FlusherEffect::Transact { sink, rows, letters, before, after } => {
                let transaction = Transaction { rows: &rows, letters: &letters, before: &before, after: &after };
                FlusherEvent::Wrote(match &mut self.sinks[sink].table {
                    Table::Transactions(table) => table.commit(&transaction).await,
                    Table::Upserts(_) => Err(not_its_kind()),
                })
            }
            FlusherEffect::WriteLetters(letters) => FlusherEvent::Wrote(self.write_letters(&letters).await),
            FlusherEffect::RemoveLetters(ids) => FlusherEvent::Wrote(self.remove_letters(&ids).await),
            FlusherEffect::Commit(commit) => FlusherEvent::Store(self.commit(commit).await?),
            FlusherEffect::CommitOffsets(ends, patience) => {
                self.commit_offsets(ends, patience).await;
                FlusherEvent::Told
            }
            FlusherEffect::Wait(wait) => {
                self.status.meters.flush_retries.add(1);
                // A change of `ending` cuts the wait short; its sender outlives every flusher.
                let _ = tokio::time::timeout(wait, self.ending.changed()).await;
                FlusherEvent::Waited
            }
            FlusherEffect::TakeSinks(_) => {
                if let Some(sinks) = self.next_sinks.take() {
                    self.sinks = sinks;
                }
                FlusherEvent::Sinks(self.sinks.iter().map(OpenSink::form).collect())
            }
        })
    }

    async fn ask(&mut self, question: fn(&dyn Committer) -> Result<(), LeaseError>) -> Result<(), LeaseError> {
        let committer = Arc::clone(&self.committer);
        let asked = tokio::task::spawn_blocking(move || question(committer.as_ref())).await;
        asked.unwrap_or_else(|error| Err(LeaseError::Unknown(format!("{error}; this is a defect"))))
    }

    async fn write_letters(&mut self, letters: &[DeadLetter]) -> Result<(), SinkError> {
        match &mut self.letters {
            Some(open) => open.letters.write(self.status.name(), letters).await,
            None => Ok(()),
        }
    }

    async fn remove_letters(&mut self, ids: &[LetterId]) -> Result<(), SinkError> {
        match &mut self.letters {
            Some(open) => open.letters.remove(self.status.name(), ids).await,
            None => Ok(()),
        }
    }

    async fn commit(&mut self, commit: Arc<(Checkpoint, Changes)>) -> Result<Result<(), StoreError>, FlushError> {
        let (store, name) = (Arc::clone(&self.store), self.status.name().to_owned());
        let commits = commit.0.commits;
        let answer = tokio::task::spawn_blocking(move || store.commit(&name, &commit.0, &commit.1)).await;
        let answer = answer.map_err(|error| FlushError::Died(format!("its checkpoint was not made: {error}")))?;
        if answer.is_ok() {
            self.committed.store(commits, Ordering::Release);
            let seconds = now_micros() / 1_000_000;
            self.status.meters.checkpoint_timestamp_seconds.set(u64::try_from(seconds).ok());
        }
        Ok(answer)
    }

    /// Commits the group's offsets. A failed commit costs nothing but a lag monitor's accuracy until the next one.
    async fn commit_offsets(&mut self, ends: BTreeMap<Partition, Offset>, patience: Duration) {
        let (committer, pipeline) = (Arc::clone(&self.committer), self.status.name());
        let commit = tokio::task::spawn_blocking(move || committer.commit(&ends));
        match tokio::time::timeout(patience, commit).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(pipeline, "offsets not committed to the group: {error}"),
            Ok(Err(_)) | Err(_) => {
                tracing::warn!(pipeline, "offsets not committed to the group: no answer in {patience:?}");
            }
        }
    }

    async fn tell(&mut self) {
        for report in self.flusher.reports() {
            match report {
                // Nobody listens once the supervisor is gone.
                Report::Passed(operators) => drop(self.passed.send(operators).await),
                Report::Retried(retry) => self.retries.done(retry),
                report => tell(&self.status, report),
            }
        }
    }
}

/// Returns the error for a request that doesn't fit the sink's form. It never occurs: the core asks each sink only for what its
/// form allows.
fn not_its_kind() -> SinkError {
    SinkError::Unusable("it was asked for what it doesn't do; this is a defect".to_owned())
}
