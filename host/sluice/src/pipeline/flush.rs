//! The flusher: takes what a lane hands over, writes it to every sink, makes the checkpoint, then commits the offsets.
//!
//! Order of effects: (1) upserts to the sinks, then the dead letters, (2) the checkpoint: changed states and consumed intervals, as
//! one, (3) the letters of retried records are removed (see [`super::letters`]), then the group's offsets at the source. Why a
//! crash between any two is harmless:
//!
//! | crash               | what the next start finds                                                                        |
//! |---------------------|--------------------------------------------------------------------------------------------------|
//! | before or within 1  | the checkpoint before: the same records are read again, and give the same states and rows           |
//! | between 1 and 2     | the same; rows that were written are written again, absolute values under the same keys            |
//! | between 2 and 3     | this checkpoint; the group's offsets are behind until the next flush, which only monitors see       |
//!
//! A sink with `delivery = "transaction"` comes last in 1, with the dead letters where they are in its database: rows and consumed
//! intervals, once ([`super::transaction`]).
//! During a trial ([`sluice_core::deploy`]) there is only the first half of 1: rows. A pipeline with such a sink has no trials.
//!
//! A checkpoint ahead of its rows would lose them, which is why the sinks come first. Rows of a later batch boundary than the
//! checkpoint's can be in the table for a while after a crash: until the replay passes that boundary again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sluice_connectors::sink::{Constraint, FoundTable, Refused, Rows, Sink, SinkError};
use sluice_connectors::source::Committer;
use sluice_connectors::transaction::{TransactionSink, Written};
use sluice_core::checkpoint::{Changes, Checkpoint, CheckpointStore, StoreError};
use sluice_core::dead_letter::{DeadLetter, LetterId};
use sluice_core::{Offset, Partition};
use tokio::sync::{mpsc, oneshot, watch};

use super::lane::Passed;
use super::latest::{Latest, latest};
use super::lease::{may_write, still_same};
use super::letters::OpenLetters;
use super::made::Made;
use super::patience::Backoff;
use super::poison::{Poison, Searches};
use super::provenance::with_generation;
use super::status::{State, Status};

/// How many flushes may wait for the flusher: one, so that it finds the next when it is done with the last.
pub const QUEUE: usize = 1;

/// How long a flush waits for the group's commit. Shorter: a coordinator that moves costs the monitors a commit. Longer: rows
/// of the next flush wait for something that no row depends on.
const COMMIT_PATIENCE: Duration = Duration::from_secs(5);

/// The same once the pipeline is to end. Shorter: a coordinator that moves at that moment costs the next host records that it reads
/// again. Longer: less is left of the time that the end may take, for leaving the group.
const LAST_COMMIT_PATIENCE: Duration = Duration::from_secs(2);

/// Failed tries to reach the dead letters' place after which the pipeline says that it is holding: as many as a sink has unless
/// told otherwise.
const LETTER_RETRIES: u32 = 3;

/// How often a flusher that has nothing to write looks whether its tables are still there. Each flush looks, too. Shorter: idle
/// pipelines ask for nothing. Longer: a table that somebody emptied stays empty, while no record comes.
const LOOK_AT_TABLES_EVERY: Duration = Duration::from_secs(5);

/// Failed tries after which a sink is given up at the end, however many it has otherwise: a pipeline that follows under its name, or
/// the end of the host, waits for them.
const RETRIES_AT_THE_END: u32 = 3;

/// What a lane hands over.
pub enum Work {
    /// Rows, and the checkpoint that is true once they are written.
    Flush(Box<Flush>),
    /// The same, the last of a chain; from here on, these sinks.
    CutOver(Box<Flush>, Vec<OpenSink>),
}

/// All that changed up to one batch boundary.
#[derive(Default)]
pub struct Flush {
    pub batches: Vec<Made>,
    /// Records that were left out.
    pub letters: Vec<DeadLetter>,
    pub head: Checkpoint,
    pub changes: Changes,
    /// Who waits until the letters of the retried records are removed.
    pub retried: Vec<oneshot::Sender<()>>,
    /// Whether a checkpoint follows. During a trial only rows are written; of the head just the generation counts.
    pub durable: bool,
    /// Operators of which this is the first checkpoint.
    pub passed: Option<Passed>,
}

impl Flush {
    /// How many rows there are.
    pub(super) fn rows(&self) -> usize {
        self.batches.iter().map(|made| made.rows.rows).sum()
    }
}

/// How rows get into a table.
pub enum Table {
    /// Under their key, as often as it takes.
    Upserts(Box<dyn Sink>),
    /// Once, with the intervals of their records.
    Transactions(Box<dyn TransactionSink>),
}

impl Table {
    /// What each column takes.
    pub fn constraints(&self) -> &[Constraint] {
        match self {
            Table::Upserts(sink) => sink.constraints(),
            Table::Transactions(sink) => sink.constraints(),
        }
    }

    /// What the table was when it was opened.
    pub fn found(&self) -> &FoundTable {
        match self {
            Table::Upserts(sink) => sink.found(),
            Table::Transactions(sink) => sink.found(),
        }
    }

    /// Whether the table is still the one that was opened.
    async fn verify(&mut self) -> Result<(), SinkError> {
        match self {
            Table::Upserts(sink) => sink.verify().await,
            Table::Transactions(sink) => sink.verify().await,
        }
    }

    /// From now on, a table that loses all of its rows is another.
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
    /// Whether it writes the generation of a row, too.
    pub generation: bool,
    /// Failed tries after which the pipeline says that it is holding.
    pub retries: u32,
}

impl OpenSink {
    /// What it writes of a flush.
    pub(super) fn rows(&self, flush: &Flush) -> Result<Latest, FlushError> {
        self.rows_by(flush, &self.key)
    }

    fn rows_by(&self, flush: &Flush, key: &[usize]) -> Result<Latest, FlushError> {
        let batches: Vec<&Rows> = flush.batches.iter().map(|made| &made.rows).collect();
        let latest = latest(&batches, key);
        let mut latest = latest.map_err(|reason| FlushError::Unusable { sink: self.name.clone(), reason })?;
        if self.generation {
            latest.rows = with_generation(latest.rows, flush.head.generation);
        }
        Ok(latest)
    }

    /// Leaves out of a flush what its server refuses, after it said these words of the whole.
    pub(super) async fn search(
        &mut self,
        flush: &mut Flush,
        words: String,
        searches: &mut Searches,
        (poison, status): (&mut Poison, &Status),
    ) -> Result<(), Unwritten> {
        let tried = if searches.of_all_rows() { self.rows_by(flush, &[])? } else { self.rows(flush)? };
        let refused = self.table.refused(&tried.rows).await?;
        searches.found(refused.len(), &self.name, words)?;
        Ok(poison.leave_out(status, flush, (&self.name, &self.key), tried.among_all(refused))?)
    }
}

/// Why a flush isn't in a table yet.
pub(super) enum Unwritten {
    /// The table's server has no answer, or one that may pass.
    Sink(SinkError),
    /// The flush is over.
    Over(FlushError),
}

impl From<SinkError> for Unwritten {
    fn from(error: SinkError) -> Unwritten {
        Unwritten::Sink(error)
    }
}

impl From<FlushError> for Unwritten {
    fn from(error: FlushError) -> Unwritten {
        Unwritten::Over(error)
    }
}

/// Why flushing ended before the lane did.
#[derive(Debug, thiserror::Error)]
pub enum FlushError {
    #[error("{sink}: {reason}")]
    Unusable { sink: String, reason: String },
    #[error("{sink}: {reason}; {rows} rows were not written and will be read again at the next start")]
    GaveUp { sink: String, reason: String, rows: usize },
    /// With `on_error = "stop"`.
    #[error("{what}: {reason}")]
    Refused { what: String, reason: String },
    #[error("{0}")]
    Lost(String),
    #[error("{sink}: {reason}")]
    Replaced { sink: String, reason: String },
    #[error("{0}; what was not written is read again at the next start")]
    Unasked(String),
    #[error("the checkpoint was not made: {0}")]
    Store(#[from] StoreError),
    /// What writes it panicked.
    #[error("{0}")]
    Died(String),
}

/// Writes flushes until the lane is gone.
pub struct Flusher {
    pub sinks: Vec<OpenSink>,
    /// How far the rows of a sink with transactions are.
    pub written: Written,
    /// What the sinks' servers refused.
    pub poison: Poison,
    /// None if the pipeline makes no letters.
    pub letters: Option<OpenLetters>,
    pub store: Arc<dyn CheckpointStore>,
    /// The last flush whose checkpoint is made, for the lane.
    pub committed: Arc<AtomicU64>,
    pub committer: Arc<dyn Committer>,
    /// The offsets that the group was told last; at first those that reading begins at.
    pub told: BTreeMap<Partition, Offset>,
    pub status: Arc<Status>,
    /// True once the host is asked to end: then a sink that is away is given up at the next failure.
    pub ending: watch::Receiver<bool>,
}

impl Flusher {
    pub async fn run(mut self, mut work: mpsc::Receiver<Work>) -> Result<(), FlushError> {
        loop {
            match tokio::time::timeout(LOOK_AT_TABLES_EVERY, work.recv()).await {
                Ok(None) => return Ok(()),
                Ok(Some(Work::CutOver(flush, sinks))) => {
                    self.flush(*flush).await?;
                    self.sinks = sinks;
                }
                Ok(Some(Work::Flush(flush))) => self.flush(*flush).await?,
                Err(_) => {
                    let mut ending = self.ending.clone();
                    tokio::select! {
                        looked = tokio::time::timeout(LOOK_AT_TABLES_EVERY, self.look_at_tables()) => looked.unwrap_or(Ok(()))?,
                        // Its sender outlives every flusher.
                        _ = ending.wait_for(|ending| *ending) => {}
                    }
                }
            }
        }
    }

    /// Whether the tables are still those that were opened. That a server is away is said by who has rows for it.
    async fn look_at_tables(&mut self) -> Result<(), FlushError> {
        for open in &mut self.sinks {
            if let Err(SinkError::Replaced(reason)) = open.table.verify().await {
                return Err(FlushError::Replaced { sink: open.name.clone(), reason });
            }
        }
        Ok(())
    }

    async fn flush(&mut self, mut flush: Flush) -> Result<(), FlushError> {
        // Also where there are no rows: a checkpoint of another topic's records, or in a directory that is gone, is none.
        if let Err(gone @ StoreError::Unusable(_)) = self.store.check() {
            return Err(gone.into());
        }
        still_same(&self.committer, &self.status, &mut self.ending).await?;
        may_write(&self.committer, &self.status, &mut self.ending).await?;
        for sink in 0..self.sinks.len() {
            self.upsert(sink, &mut flush).await?;
        }
        if flush.durable && !self.transaction_takes_letters() {
            flush.letters.extend(self.poison.letters());
            self.write_letters(&flush.letters).await?;
        }
        self.commit_transaction(&mut flush).await?;
        let rows = flush.rows();
        if rows > 0 {
            self.status.flushed(rows);
        }
        if !flush.durable {
            return Ok(());
        }
        let ends = flush.head.intervals.ends();
        let (retried, refreshing) = (flush.head.retried.clone(), flush.head.refreshing);
        self.checkpoint(flush.head, flush.changes).await?;
        self.status.set_refreshing(refreshing);
        if let Some(passed) = flush.passed {
            passed.tell().await;
        }
        self.remove_letters(&retried).await?;
        for waiting in flush.retried {
            // Who waited may have gone.
            let _ = waiting.send(());
        }
        // The first flush only keeps where reading begins: rows must not wait for a coordinator to be told nothing new.
        if ends != self.told {
            let patience = if *self.ending.borrow() { LAST_COMMIT_PATIENCE } else { COMMIT_PATIENCE };
            commit(&self.committer, &self.status, ends.clone(), patience).await;
            self.told = ends;
        }
        Ok(())
    }

    /// Writes the rows to a sink that takes upserts; what its server refuses is left out of the flush.
    async fn upsert(&mut self, sink: usize, flush: &mut Flush) -> Result<(), FlushError> {
        let open = &mut self.sinks[sink];
        if !matches!(open.table, Table::Upserts(_)) {
            return Ok(());
        }
        let (name, mut searches) = (open.name.clone(), Searches::default());
        let mut patience = Patience::new(&name, open.retries, &self.status, &mut self.ending);
        while flush.rows() > 0 {
            may_write(&self.committer, patience.status, patience.ending).await?;
            let rows = open.rows(flush)?.rows;
            let Table::Upserts(table) = &mut open.table else { break };
            let error = match table.upsert(&rows).await {
                Ok(()) => break,
                Err(SinkError::Rows(words)) => {
                    let found = open.search(flush, words, &mut searches, (&mut self.poison, &self.status)).await;
                    match found {
                        Ok(()) => continue,
                        Err(Unwritten::Over(error)) => return Err(error),
                        Err(Unwritten::Sink(error)) => error,
                    }
                }
                Err(error) => error,
            };
            patience.wait(error, rows.rows).await?;
        }
        patience.end();
        Ok(())
    }

    pub(super) async fn write_letters(&mut self, letters: &[DeadLetter]) -> Result<(), FlushError> {
        let Some(open) = self.letters.as_mut().filter(|_| !letters.is_empty()) else { return Ok(()) };
        may_write(&self.committer, &self.status, &mut self.ending).await?;
        let pipeline = self.status.name();
        let mut patience = Patience::new(&open.name, LETTER_RETRIES, &self.status, &mut self.ending);
        while let Err(error) = open.letters.write(pipeline, letters).await {
            patience.wait(error, letters.len()).await?;
        }
        patience.end();
        self.status.add_dead_letters(letters.len());
        Ok(())
    }

    /// A removal that is given up is made at the next start: the checkpoint says what it is.
    async fn remove_letters(&mut self, retried: &[LetterId]) -> Result<(), FlushError> {
        let Some(open) = self.letters.as_mut().filter(|_| !retried.is_empty()) else { return Ok(()) };
        let pipeline = self.status.name();
        let mut patience = Patience::new(&open.name, LETTER_RETRIES, &self.status, &mut self.ending);
        while let Err(error) = open.letters.remove(pipeline, retried).await {
            patience.wait(error, 0).await?;
        }
        patience.end();
        Ok(())
    }

    /// Makes the checkpoint; while the disk is full, again and again.
    async fn checkpoint(&mut self, head: Checkpoint, changes: Changes) -> Result<(), FlushError> {
        let flush = head.commits;
        let commit = Arc::new((head, changes));
        let mut backoff = Backoff::new();
        loop {
            let (store, name, commit) = (Arc::clone(&self.store), self.status.name().to_owned(), Arc::clone(&commit));
            let answer = tokio::task::spawn_blocking(move || store.commit(&name, &commit.0, &commit.1)).await;
            match answer.map_err(|error| FlushError::Died(format!("its checkpoint was not made: {error}")))? {
                Ok(()) => break,
                Err(StoreError::Unavailable(reason)) if !*self.ending.borrow() => {
                    let wait = backoff.wait();
                    if self.status.set(State::Holding, Some(reason.clone())) {
                        tracing::warn!(pipeline = self.status.name(), "holding, nothing is lost: {reason}");
                    }
                    // A change of `ending` cuts the wait short; its sender outlives every flusher.
                    let _ = tokio::time::timeout(wait, self.ending.changed()).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
        if backoff.tries() > 0 && self.status.set(State::Running, None) {
            tracing::info!(pipeline = self.status.name(), "checkpoints are made again");
        }
        self.committed.store(flush, Ordering::Release);
        Ok(())
    }
}

/// A failed commit costs nothing but a lag monitor's accuracy until the next one.
async fn commit(
    committer: &Arc<dyn Committer>,
    status: &Status,
    next: BTreeMap<Partition, Offset>,
    patience: Duration,
) {
    if next.is_empty() {
        return;
    }
    let committer = Arc::clone(committer);
    let commit = tokio::task::spawn_blocking(move || committer.commit(&next));
    match tokio::time::timeout(patience, commit).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(error))) => tracing::warn!(pipeline = status.name(), "offsets not committed to the group: {error}"),
        Ok(Err(_)) | Err(_) => {
            tracing::warn!(pipeline = status.name(), "offsets not committed to the group: no answer in {patience:?}");
        }
    }
}

/// Waits for a table's server that is away, and says so.
pub(super) struct Patience<'a> {
    /// Of the table.
    name: &'a str,
    retries: u32,
    status: &'a Status,
    ending: &'a mut watch::Receiver<bool>,
    backoff: Backoff,
}

impl<'a> Patience<'a> {
    pub(super) fn new(
        name: &'a str,
        retries: u32,
        status: &'a Status,
        ending: &'a mut watch::Receiver<bool>,
    ) -> Patience<'a> {
        Patience { name, retries, status, ending, backoff: Backoff::new() }
    }

    /// Returns when it is time to try again; or says why that would not help. `rows` are those that wait.
    pub(super) async fn wait(&mut self, error: SinkError, rows: usize) -> Result<(), FlushError> {
        let sink = self.name;
        let reason = match error {
            SinkError::Unavailable(reason) => reason,
            SinkError::Replaced(reason) => return Err(FlushError::Replaced { sink: sink.to_owned(), reason }),
            error => return Err(FlushError::Unusable { sink: sink.to_owned(), reason: error.to_string() }),
        };
        let wait = self.backoff.wait();
        let long = self.backoff.tries() > self.retries;
        if *self.ending.borrow() && self.backoff.tries() > self.retries.min(RETRIES_AT_THE_END) {
            return Err(FlushError::GaveUp { sink: sink.to_owned(), reason, rows });
        }
        if long && self.status.set(State::Holding, Some(format!("{sink}: {reason}"))) {
            tracing::warn!(pipeline = self.status.name(), "holding, nothing is lost: {sink}: {reason}");
        }
        // A change of `ending` cuts the wait short; its sender outlives every flusher.
        let _ = tokio::time::timeout(wait, self.ending.changed()).await;
        Ok(())
    }

    /// The table took what it was given.
    pub(super) fn end(self) {
        if self.backoff.tries() > self.retries && self.status.set(State::Running, None) {
            tracing::info!(pipeline = self.status.name(), "{} is back", self.name);
        }
    }
}
