//! The flusher: makes durable what a lane hands over, one effect at a time.
//!
//! Order of effects: (1) upserts to the sinks, with tombstones of groups that have ended, then the dead letters, (2) the checkpoint: changed states and consumed intervals, as
//! one, (3) the letters of retried records are removed, then the group's offsets at the source. Why a crash between any two is
//! harmless:
//!
//! | crash               | what the next start finds                                                                        |
//! |---------------------|--------------------------------------------------------------------------------------------------|
//! | before or within 1  | the checkpoint before: the same records are read again, and give the same states and rows           |
//! | between 1 and 2     | the same; rows that were written are written again, absolute values under the same keys            |
//! | between 2 and 3     | this checkpoint; the group's offsets are behind until the next flush, which only monitors see       |
//!
//! A sink with `delivery = "transaction"` comes last in 1, with the dead letters where they are in its database: rows and consumed
//! intervals, once ([`super::resume`]).
//! During a trial ([`crate::deploy`]) there is only the first half of 1: rows. A pipeline with such a sink has no trials.
//!
//! A checkpoint ahead of its rows would lose them, which is why the sinks come first. Rows of a later batch boundary than the
//! checkpoint's can be in the table for a while after a crash: until the replay passes that boundary again.

use std::sync::Arc;
use std::time::Duration;

use super::Now;
use super::backoff::Backoff;
use super::flush::{Flush, FlushError, Handover};
use super::latest::{Latest, latest, with_generation};
use super::poison::{Poison, Searches};
use super::progress::Ends;
use super::report::Report;
use super::swap::SwapId;
use crate::checkpoint::{Changes, Checkpoint, StoreError};
use crate::dead_letter::{DeadLetter, LetterId};
use crate::deploy::Provenance;
use crate::port::{LeaseError, Refused, SinkError, Written};
use crate::row;
use crate::rows::Rows;
use crate::schema::Kind;

/// The time that a flush waits for the group's commit. Shorter: a coordinator that moves costs the monitors a commit. Longer: rows
/// of the next flush wait for something that no row depends on.
const COMMIT_PATIENCE: Duration = Duration::from_secs(5);

/// The same once the pipeline is to end. Shorter: a coordinator that moves at that moment costs the next host records that it reads
/// again. Longer: less is left of the time that the end may take, for leaving the group.
const LAST_COMMIT_PATIENCE: Duration = Duration::from_secs(2);

/// Failed tries to reach the dead letters' place after which the pipeline says that it is holding: as many as a sink has unless
/// told otherwise.
const LETTER_RETRIES: u32 = 3;

/// Failed tries after which a sink is given up at the end, however many it has otherwise: a pipeline that follows under its name, or
/// the end of the host, waits for them.
const RETRIES_AT_THE_END: u32 = 3;

/// The facts of a sink that a flusher needs.
#[derive(Debug, Clone)]
pub struct SinkForm {
    /// `connection.table`, for messages.
    pub name: String,
    /// The result columns that identify a row.
    pub key: Vec<usize>,
    /// True if the sink writes the generation of a row, too.
    pub generation: bool,
    /// Failed tries after which the pipeline says that it is holding.
    pub retries: u32,
    /// True if the sink is told which groups have ended.
    pub tombstones: bool,
    /// Rows and intervals are one transaction; else rows are upserts.
    pub transaction: Option<TransactionForm>,
}

/// The facts of a sink that takes rows and intervals in one transaction.
#[derive(Debug, Clone, Copy)]
pub struct TransactionForm {
    /// Dead letters go into it, too.
    pub takes_letters: bool,
}

/// Something that is to be done next.
pub enum FlusherEffect {
    /// Wait for a flush.
    Idle,
    /// Ask whether the store can be used. Answered by [`FlusherEvent::Store`].
    CheckStore,
    /// Ask whether what was read is of the topic that was opened. Answered by [`FlusherEvent::Lease`].
    AskTopic,
    /// Ask whether this host may write. Answered by [`FlusherEvent::Lease`].
    AskLease,
    /// Write rows to a sink under their keys. Answered by [`FlusherEvent::Wrote`].
    Upsert {
        /// The sink.
        sink: usize,
        /// The rows, one of each key.
        rows: Rows,
        /// The operators that made the rows.
        by: Provenance,
    },
    /// Tell a sink which groups have ended. Answered by [`FlusherEvent::Wrote`].
    Tombstones {
        /// The sink.
        sink: usize,
        /// The columns of the sink's key, a row for each group.
        keys: Rows,
    },
    /// Find the rows that a sink's server refuses, and write none. Answered by [`FlusherEvent::Found`].
    Search {
        /// The sink.
        sink: usize,
        /// The rows.
        rows: Rows,
    },
    /// Write rows, letters and intervals to a sink, in one transaction. Answered by [`FlusherEvent::Wrote`].
    Transact {
        /// The sink.
        sink: usize,
        /// The rows.
        rows: Rows,
        /// The letters, for a sink that takes them.
        letters: Vec<DeadLetter>,
        /// The records whose rows are in the table.
        before: Written,
        /// The same, with these rows.
        after: Written,
    },
    /// Keep these letters. Answered by [`FlusherEvent::Wrote`].
    WriteLetters(Vec<DeadLetter>),
    /// Make this checkpoint. Answered by [`FlusherEvent::Store`].
    Commit(Arc<(Checkpoint, Changes)>),
    /// Remove the letters of these records. Answered by [`FlusherEvent::Wrote`].
    RemoveLetters(Vec<LetterId>),
    /// Tell the group how far it is, and wait for its answer no longer than this. Answered by [`FlusherEvent::Told`].
    CommitOffsets(Ends, Duration),
    /// Wait, unless the run is to end meanwhile. Answered by [`FlusherEvent::Waited`].
    Wait(Duration),
    /// The sinks of this swap take over. Answered by [`FlusherEvent::Sinks`].
    TakeSinks(SwapId),
}

/// Something that happened.
pub enum FlusherEvent {
    /// A lane hands this over.
    Flush(Handover),
    /// The store has answered.
    Store(Result<(), StoreError>),
    /// The source has answered.
    Lease(Result<(), LeaseError>),
    /// A sink, or the place for letters, has answered.
    Wrote(Result<(), SinkError>),
    /// A search has ended.
    Found(Result<Vec<Refused>, SinkError>),
    /// The group was told, or wasn't: only monitors miss it.
    Told,
    /// The wait is over.
    Waited,
    /// The sinks that took over.
    Sinks(Vec<SinkForm>),
    /// The run is to end: servers that are away aren't waited for much longer.
    Ending,
}

/// The step that a flush is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FlushStage {
    Store,
    Topic,
    /// The source is asked whether this host may write at all, also where there are no rows.
    Lease,
    /// The rows go to this sink.
    Upsert(usize),
    /// This sink is told which groups have ended.
    Tombstones(usize),
    /// The server of this sink refused a row.
    Search(usize),
    Letters,
    Transaction,
    Commit,
    Remove,
    Offsets,
    Sinks,
}

/// A flush under way.
struct AtWork {
    flush: Flush,
    cut_over: Option<SwapId>,
    stage: FlushStage,
    /// The source said that this host may write, and nothing was written since.
    leased: bool,
    /// The searches in the sink of this stage.
    searches: Searches,
    /// The words of the server that refused a row, and the rows that are searched.
    refused: Option<(String, Latest)>,
    /// The letters that the transaction under way has.
    in_transaction: usize,
    /// The records whose rows are in the table once the transaction under way is.
    after: Written,
    commit: Option<Arc<(Checkpoint, Changes)>>,
}

/// The flusher of a run.
pub struct Flusher {
    sinks: Vec<SinkForm>,
    written: Written,
    poison: Poison,
    /// The name of the place for letters; none if no letters are made.
    letters: Option<String>,
    /// The offsets that the group was told last; at first the offsets that reading begins at.
    told: Ends,
    at_work: Option<AtWork>,
    backoff: Backoff,
    /// The waits between questions to the source.
    unasked: Backoff,
    wait: Option<Duration>,
    ending: bool,
    reports: Vec<Report>,
}

/// The things that a flusher begins with.
pub struct FlusherStart {
    /// The sinks.
    pub sinks: Vec<SinkForm>,
    /// The records whose rows are in the table of a sink with transactions.
    pub written: Written,
    /// The name of the place for letters; none if no letters are made.
    pub letters: Option<String>,
    /// True if a row that a server refuses ends the run.
    pub stops: bool,
    /// The offsets that the group was told last.
    pub told: Ends,
    /// Seed of what is left to chance.
    pub seed: u64,
}

impl AtWork {
    /// The rows, or letters, that this stage was to write.
    fn unwritten(&self) -> usize {
        match self.stage {
            FlushStage::Remove => 0,
            FlushStage::Letters => self.flush.letters.len(),
            _ => self.flush.rows(),
        }
    }
}

impl Flusher {
    /// A flusher that has nothing to do yet.
    pub fn new(start: FlusherStart) -> Flusher {
        Flusher {
            sinks: start.sinks,
            written: start.written,
            poison: Poison::new(start.letters.is_some(), start.stops),
            letters: start.letters,
            told: start.told,
            at_work: None,
            backoff: Backoff::new(start.seed),
            unasked: Backoff::new(start.seed.wrapping_add(1)),
            wait: None,
            ending: false,
            reports: Vec::new(),
        }
    }

    /// Says whether a flush is under way.
    pub fn is_at_work(&self) -> bool {
        self.at_work.is_some()
    }

    /// Takes what is to be said since the last call.
    pub fn reports(&mut self) -> Vec<Report> {
        let mut reports = std::mem::take(&mut self.reports);
        reports.extend(self.poison.reports());
        reports
    }

    /// Takes an event.
    ///
    /// # Errors
    /// The reason that ends flushing. Nothing more is to be done with this flusher.
    pub fn on(&mut self, event: FlusherEvent, now: Now) -> Result<(), FlushError> {
        match event {
            FlusherEvent::Flush(handover) => {
                self.begin(handover);
                Ok(())
            }
            FlusherEvent::Store(answer) => self.on_store(answer),
            FlusherEvent::Lease(answer) => self.on_lease(answer),
            FlusherEvent::Wrote(answer) => self.on_wrote(answer),
            FlusherEvent::Found(answer) => self.on_found(answer, now),
            FlusherEvent::Told => {
                self.go_to(FlushStage::Sinks);
                Ok(())
            }
            FlusherEvent::Waited => {
                self.wait = None;
                Ok(())
            }
            FlusherEvent::Sinks(sinks) => {
                self.sinks = sinks;
                self.at_work = None;
                Ok(())
            }
            FlusherEvent::Ending => {
                (self.ending, self.wait) = (true, None);
                Ok(())
            }
        }
    }

    /// Answers what is to be done next.
    ///
    /// # Errors
    /// The reason that ends flushing.
    pub fn next_effect(&mut self) -> Result<FlusherEffect, FlushError> {
        if let Some(wait) = self.wait {
            return Ok(FlusherEffect::Wait(wait));
        }
        loop {
            let Some(work) = &self.at_work else { return Ok(FlusherEffect::Idle) };
            let effect = match work.stage {
                FlushStage::Store => Some(FlusherEffect::CheckStore),
                FlushStage::Topic => Some(FlusherEffect::AskTopic),
                FlushStage::Lease => Some(FlusherEffect::AskLease),
                FlushStage::Upsert(sink) => self.upsert(sink)?,
                FlushStage::Tombstones(sink) => self.tombstones(sink)?,
                FlushStage::Search(sink) => self.search(sink),
                FlushStage::Letters => self.write_letters(),
                FlushStage::Transaction => self.transact()?,
                FlushStage::Commit => self.commit(),
                FlushStage::Remove => self.remove_letters(),
                FlushStage::Offsets => self.tell_group(),
                FlushStage::Sinks => self.take_sinks(),
            };
            if let Some(effect) = effect {
                return Ok(effect);
            }
        }
    }

    /// Begins with a flush, also if it has no rows: the store and the topic are asked first, since a checkpoint of another topic's records,
    /// or in a directory that is gone, is none.
    fn begin(&mut self, handover: Handover) {
        self.at_work = Some(AtWork {
            flush: *handover.flush,
            cut_over: handover.cut_over,
            stage: FlushStage::Store,
            leased: false,
            searches: Searches::default(),
            refused: None,
            in_transaction: 0,
            after: Written::default(),
            commit: None,
        });
    }

    fn go_to(&mut self, stage: FlushStage) {
        if let Some(work) = &mut self.at_work {
            work.stage = stage;
        }
    }

    /// Goes on to a stage for the first time: nothing was searched there yet.
    fn go_on_to(&mut self, stage: FlushStage) {
        if let Some(work) = &mut self.at_work {
            (work.stage, work.searches, work.refused) = (stage, Searches::default(), None);
        }
    }

    /// Rows for a sink that takes upserts.
    fn upsert(&mut self, sink: usize) -> Result<Option<FlusherEffect>, FlushError> {
        let Some(work) = &mut self.at_work else { return Ok(None) };
        let Some(form) = self.sinks.get(sink) else {
            self.go_on_to(FlushStage::Letters);
            return Ok(None);
        };
        if form.transaction.is_some() || work.flush.rows() == 0 {
            self.go_on_to(FlushStage::Tombstones(sink));
            return Ok(None);
        }
        if !work.leased {
            return Ok(Some(FlusherEffect::AskLease));
        }
        let rows = form.rows(&work.flush, &form.key)?.rows;
        Ok(Some(FlusherEffect::Upsert { sink, rows, by: work.flush.head.provenance() }))
    }

    /// Groups that have ended, for a sink that is told of them. Their last rows are written by then.
    fn tombstones(&mut self, sink: usize) -> Result<Option<FlusherEffect>, FlushError> {
        let (Some(work), Some(form)) = (&self.at_work, self.sinks.get(sink)) else { return Ok(None) };
        let keys = if form.tombstones { form.ended(&work.flush)? } else { Rows::default() };
        if keys.rows == 0 {
            self.go_on_to(FlushStage::Upsert(sink + 1));
            return Ok(None);
        }
        if !work.leased {
            return Ok(Some(FlusherEffect::AskLease));
        }
        Ok(Some(FlusherEffect::Tombstones { sink, keys }))
    }

    fn search(&mut self, sink: usize) -> Option<FlusherEffect> {
        let Some((_, tried)) = self.at_work.as_ref().and_then(|work| work.refused.as_ref()) else {
            self.go_to(FlushStage::Upsert(sink));
            return None;
        };
        Some(FlusherEffect::Search { sink, rows: tried.rows.clone() })
    }

    /// The letters that are not in the transaction with the rows.
    fn write_letters(&mut self) -> Option<FlusherEffect> {
        let (takes_letters, keeps) = (self.transaction_takes_letters(), self.letters.is_some());
        let work = self.at_work.as_mut()?;
        if work.flush.durable && !takes_letters {
            work.flush.letters.extend(self.poison.letters());
        }
        if !work.flush.durable || takes_letters || !keeps || work.flush.letters.is_empty() {
            self.go_to(FlushStage::Transaction);
            return None;
        }
        if !work.leased {
            return Some(FlusherEffect::AskLease);
        }
        Some(FlusherEffect::WriteLetters(work.flush.letters.clone()))
    }

    /// Returns the effect that writes rows, letters and intervals once; none without a sink that takes transactions.
    fn transact(&mut self) -> Result<Option<FlusherEffect>, FlushError> {
        let sink = self.transaction_sink();
        let Some(work) = &mut self.at_work else { return Ok(None) };
        let Some((sink, form)) = sink.and_then(|sink| Some((sink, self.sinks.get(sink)?))) else {
            return Ok(self.rows_are_written());
        };
        if !work.leased {
            return Ok(Some(FlusherEffect::AskLease));
        }
        let takes_letters = form.transaction.is_some_and(|form| form.takes_letters);
        if takes_letters {
            work.flush.letters.extend(self.poison.letters());
        }
        let letters = if takes_letters { work.flush.letters.clone() } else { Vec::new() };
        let rows = form.rows(&work.flush, &form.key)?.rows;
        work.after = after(&self.written, &work.flush.head);
        work.in_transaction = letters.len();
        let (before, after) = (self.written.clone(), work.after.clone());
        Ok(Some(FlusherEffect::Transact { sink, rows, letters, before, after }))
    }

    fn rows_are_written(&mut self) -> Option<FlusherEffect> {
        let work = self.at_work.as_ref()?;
        let (rows, durable) = (work.flush.rows(), work.flush.durable);
        if rows > 0 {
            self.reports.push(Report::Flushed(rows));
        }
        self.go_on_to(if durable { FlushStage::Commit } else { FlushStage::Sinks });
        None
    }

    fn commit(&mut self) -> Option<FlusherEffect> {
        let work = self.at_work.as_mut()?;
        let flush = &mut work.flush;
        let commit = work
            .commit
            .get_or_insert_with(|| Arc::new((std::mem::take(&mut flush.head), std::mem::take(&mut flush.changes))));
        Some(FlusherEffect::Commit(Arc::clone(commit)))
    }

    /// Removes the letters of retried records. A removal that is given up is made at the next start: the checkpoint says which letters it
    /// is of.
    fn remove_letters(&mut self) -> Option<FlusherEffect> {
        let retried = self.committed().map(|head| head.retried.clone()).unwrap_or_default();
        if self.letters.is_some() && !retried.is_empty() {
            return Some(FlusherEffect::RemoveLetters(retried));
        }
        self.letters_are_removed();
        None
    }

    fn letters_are_removed(&mut self) {
        let retries = self.at_work.as_mut().map(|work| std::mem::take(&mut work.flush.retries)).unwrap_or_default();
        self.reports.extend(retries.into_iter().map(Report::Retried));
        self.go_on_to(FlushStage::Offsets);
    }

    /// Tells the group how far the run is, if that is news. The first flush only keeps where reading begins: rows must not wait for a
    /// coordinator to be told nothing new.
    fn tell_group(&mut self) -> Option<FlusherEffect> {
        let ends = self.committed().map(|head| head.intervals.ends()).unwrap_or_default();
        if ends == self.told || ends.is_empty() {
            self.go_to(FlushStage::Sinks);
            return None;
        }
        self.told.clone_from(&ends);
        let patience = if self.ending { LAST_COMMIT_PATIENCE } else { COMMIT_PATIENCE };
        Some(FlusherEffect::CommitOffsets(ends, patience))
    }

    fn take_sinks(&mut self) -> Option<FlusherEffect> {
        match self.at_work.as_ref()?.cut_over {
            Some(swap) => Some(FlusherEffect::TakeSinks(swap)),
            None => {
                self.at_work = None;
                None
            }
        }
    }

    /// The head of the checkpoint that this flush made.
    fn committed(&self) -> Option<&Checkpoint> {
        self.at_work.as_ref()?.commit.as_ref().map(|commit| &commit.0)
    }

    fn transaction_takes_letters(&self) -> bool {
        self.sinks.iter().filter_map(|sink| sink.transaction).any(|form| form.takes_letters)
    }

    fn on_store(&mut self, answer: Result<(), StoreError>) -> Result<(), FlushError> {
        let Some(work) = &self.at_work else { return Ok(()) };
        match (work.stage, answer) {
            (FlushStage::Store, Err(gone @ StoreError::Unusable(_))) => Err(gone.into()),
            // What else is wrong with it shows when the checkpoint is made.
            (FlushStage::Store, _) => {
                self.go_to(FlushStage::Topic);
                Ok(())
            }
            (_, Ok(())) => {
                self.is_durable();
                Ok(())
            }
            // While the disk is full, again and again.
            (_, Err(StoreError::Unavailable(reason))) if !self.ending => {
                self.reports.push(Report::Holds(reason));
                self.wait = Some(self.backoff.wait());
                Ok(())
            }
            (_, Err(error)) => Err(error.into()),
        }
    }

    fn is_durable(&mut self) {
        if self.backoff.answered() {
            self.reports.push(Report::GoesOn(Some("checkpoints are made again".to_owned())));
        }
        let refreshing = self.committed().is_some_and(|head| head.refreshing);
        self.reports.push(Report::Refreshing(refreshing));
        let passed = self.at_work.as_mut().and_then(|work| work.flush.passed.take());
        self.reports.extend(passed.map(Report::Passed));
        self.go_on_to(FlushStage::Remove);
    }

    fn on_lease(&mut self, answer: Result<(), LeaseError>) -> Result<(), FlushError> {
        match answer {
            Ok(()) => {
                if self.unasked.answered() {
                    self.reports.push(Report::GoesOn(None));
                }
                let Some(work) = &mut self.at_work else { return Ok(()) };
                match work.stage {
                    FlushStage::Topic => work.stage = FlushStage::Lease,
                    FlushStage::Lease => (work.stage, work.leased) = (FlushStage::Upsert(0), true),
                    _ => work.leased = true,
                }
                Ok(())
            }
            Err(LeaseError::Lost(reason)) => Err(FlushError::Lost(reason)),
            Err(LeaseError::Unknown(reason)) if self.ending => Err(FlushError::Unasked(reason)),
            Err(LeaseError::Unknown(reason)) => {
                self.reports.push(Report::Holds(reason));
                self.wait = Some(self.unasked.wait());
                Ok(())
            }
        }
    }

    fn on_wrote(&mut self, answer: Result<(), SinkError>) -> Result<(), FlushError> {
        let Some(work) = &mut self.at_work else { return Ok(()) };
        work.leased = false;
        let stage = work.stage;
        match (self.sink_of(stage), answer) {
            (_, Ok(())) => {
                self.wrote(stage);
                Ok(())
            }
            (Some(sink), Err(SinkError::Rows(words))) if !matches!(stage, FlushStage::Tombstones(_)) => {
                self.refused(sink, words)
            }
            (_, Err(error)) => self.away(error),
        }
    }

    fn transaction_sink(&self) -> Option<usize> {
        self.sinks.iter().position(|sink| sink.transaction.is_some())
    }

    /// The sink that this stage writes to.
    fn sink_of(&self, stage: FlushStage) -> Option<usize> {
        match stage {
            FlushStage::Upsert(sink) | FlushStage::Search(sink) | FlushStage::Tombstones(sink) => Some(sink),
            FlushStage::Transaction => self.transaction_sink(),
            _ => None,
        }
    }

    /// Goes on after a sink, or the place for letters, took what it was given.
    fn wrote(&mut self, stage: FlushStage) {
        self.is_back();
        let Some(work) = &mut self.at_work else { return };
        match stage {
            FlushStage::Upsert(sink) => self.go_on_to(FlushStage::Tombstones(sink)),
            FlushStage::Tombstones(sink) => self.go_on_to(FlushStage::Upsert(sink + 1)),
            FlushStage::Letters => {
                self.reports.push(Report::Letters(work.flush.letters.len()));
                // What is found from here on are others.
                work.flush.letters.clear();
                self.go_to(FlushStage::Transaction);
            }
            FlushStage::Transaction => {
                if work.in_transaction > 0 {
                    self.reports.push(Report::Letters(work.in_transaction));
                }
                self.written = std::mem::take(&mut work.after);
                self.rows_are_written();
            }
            FlushStage::Remove => self.letters_are_removed(),
            _ => {}
        }
    }

    /// Begins a search, since a sink's server refuses a row of the flush.
    fn refused(&mut self, sink: usize, words: String) -> Result<(), FlushError> {
        let (Some(work), Some(form)) = (&mut self.at_work, self.sinks.get(sink)) else { return Ok(()) };
        let key = if work.searches.of_all_rows() { &[] } else { form.key.as_slice() };
        work.refused = Some((words, form.rows(&work.flush, key)?));
        work.stage = FlushStage::Search(sink);
        Ok(())
    }

    /// Leaves what the search found out of the flush.
    fn on_found(&mut self, answer: Result<Vec<Refused>, SinkError>, now: Now) -> Result<(), FlushError> {
        if answer.is_ok() {
            self.is_back();
        }
        let Some(work) = &mut self.at_work else { return Ok(()) };
        let FlushStage::Search(sink) = work.stage else { return Ok(()) };
        let Some(form) = self.sinks.get(sink) else { return Ok(()) };
        // If the search has no answer, the rows are tried again as they were.
        let transaction = form.transaction.is_some();
        work.stage = if transaction { FlushStage::Transaction } else { FlushStage::Upsert(sink) };
        let refused = match answer {
            Ok(refused) => refused,
            Err(error) => return self.away(error),
        };
        let Some((words, tried)) = work.refused.take() else { return Ok(()) };
        work.searches.found(refused.len(), &form.name, words.clone())?;
        let refused = tried.among_all(refused);
        self.poison.leave_out(&mut work.flush, (&form.name, &form.key), refused, now)?;
        self.reports.push(Report::Searched(words));
        if transaction && work.flush.durable {
            // What one search found goes with the transaction, or before it.
            work.stage = FlushStage::Letters;
        }
        Ok(())
    }

    /// Waits if a table, or the place for letters, has no answer; or says why a wait would not help.
    fn away(&mut self, error: SinkError) -> Result<(), FlushError> {
        let (sink, retries) = self.asked();
        let sink = sink.to_owned();
        let reason = match error {
            SinkError::Unavailable(reason) => reason,
            SinkError::Replaced(reason) => return Err(FlushError::Replaced { sink, reason }),
            error => return Err(FlushError::Unusable { sink, reason: error.to_string() }),
        };
        let wait = self.backoff.wait();
        if self.ending && self.backoff.tries() > retries.min(RETRIES_AT_THE_END) {
            let rows = self.at_work.as_ref().map_or(0, AtWork::unwritten);
            return Err(FlushError::GaveUp { sink, reason, rows });
        }
        if self.backoff.tries() > retries {
            self.reports.push(Report::Holds(format!("{sink}: {reason}")));
        }
        self.wait = Some(wait);
        Ok(())
    }

    fn is_back(&mut self) {
        let (name, retries) = self.asked();
        let news = (self.backoff.tries() > retries).then(|| format!("{name} is back"));
        self.backoff.answered();
        self.reports.extend(news.map(|news| Report::GoesOn(Some(news))));
    }

    /// The name of what this stage writes to, and the failed tries after which the pipeline says that it holds.
    fn asked(&self) -> (&str, u32) {
        let sink = self.at_work.as_ref().and_then(|work| self.sinks.get(self.sink_of(work.stage)?));
        match sink {
            Some(sink) => (&sink.name, sink.retries),
            None => (self.letters.as_deref().unwrap_or_default(), LETTER_RETRIES),
        }
    }
}

impl SinkForm {
    /// The rows of a flush that the sink writes: the last of each key, or all without a key.
    fn rows(&self, flush: &Flush, key: &[usize]) -> Result<Latest, FlushError> {
        let batches: Vec<&Rows> = flush.batches.iter().map(|made| &made.rows).collect();
        let latest = latest(&batches, key);
        let mut latest = latest.map_err(|reason| FlushError::Unusable { sink: self.name.clone(), reason })?;
        if self.generation {
            latest.rows = with_generation(latest.rows, flush.head.generation);
        }
        Ok(latest)
    }

    /// The sink's keys of the groups that end with a flush.
    fn ended(&self, flush: &Flush) -> Result<Rows, FlushError> {
        let Some(form) = &flush.head.form else { return Ok(Rows::default()) };
        let kinds: Vec<Kind> = form.keys.iter().map(|field| field.kind).collect();
        let rows = flush.changes.ended().count();
        // The group's columns are the first of the result's, and the key's are among them.
        let columns = row::decode(&kinds, flush.changes.ended())
            .and_then(|groups| self.key.iter().map(|column| groups.get(*column).cloned()).collect::<Option<_>>());
        let reason = || "the keys of groups that ended can't be read; this is a defect".to_owned();
        let columns = columns.ok_or_else(|| FlushError::Unusable { sink: self.name.clone(), reason: reason() })?;
        Ok(Rows { rows, columns })
    }
}

/// The records whose rows are in the table once the flush of this head is written.
fn after(written: &Written, head: &Checkpoint) -> Written {
    Written {
        intervals: head.intervals.clone(),
        retries: written.retries + i64::from(!head.retried.is_empty()),
        retried: head.retried.clone(),
    }
}

#[cfg(test)]
#[path = "flusher_tests.rs"]
mod tests;
