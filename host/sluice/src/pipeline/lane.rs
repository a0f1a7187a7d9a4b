//! A lane: the thread that takes a pipeline's records through its chain.
//!
//! ```text
//! source ──poll──▶ chain ──rows, or changed groups──▶ [queue of 1] ──▶ flusher
//! ```
//!
//! A lane never waits for the flusher while it has room: rows gather (or groups change) until the flusher takes them. When
//! there is no room it stops polling, and the source's bounded buffer stops the fetching.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant, SystemTime};

use sluice_connectors::source::{Source, SourceError};
use sluice_core::chain::{Chain, Outcome, ProcessError};
use sluice_core::checkpoint::{Checkpoint, StoreError};
use sluice_core::dead_letter::LetterId;
use sluice_core::decode::BadRecord;
use sluice_core::fold::Fold;
use sluice_core::interval::Intervals;
use sluice_core::lookup::LookupError;
use sluice_core::operator::Interrupt;
use sluice_core::records::{Records, consumed};
use sluice_core::{Offset, Partition};
use tokio::sync::{mpsc, oneshot};

use super::constraint::Constraints;
use super::flush::{Flush, Work};
use super::letters::Retry;
use super::patience::Backoff;
use super::pending::{MAX_CHANGED_GROUPS, Pending};
use super::rejects::Rejects;
use super::status::{State, Status};

mod left_out;
mod swap;

use swap::Swaps;
pub use swap::{PASSED, Passed, Swap};

/// The longest a lane is deaf to control while no record comes. Shorter: idle pipelines wake more often. Longer: stopping
/// and swapping take that much longer.
const LISTEN: Duration = Duration::from_millis(20);

/// How often the source is asked how far behind the lane is.
const LAG_INTERVAL: Duration = Duration::from_secs(1);

/// What a lane is told.
pub enum Control {
    /// At the next batch boundary, run this chain; the answer says why not, if it can't.
    Swap(Box<Swap>),
    /// At the next batch boundary, take these letters' records in.
    Retry(Box<Retry>),
    /// Flush what there is, and end.
    Stop,
}

/// Why a lane ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It was told to, or reached the ends that it was to read up to. Everything is handed to the flusher.
    Done,
    /// It can't go on until somebody changes something.
    Fault(String),
    /// An operator fails whatever the records.
    Disabled(String),
    /// Its partitions are no longer this host's.
    Moved(String),
    /// A table is no longer the one that was opened.
    Replaced(String),
    /// Something in it panicked, which is a defect: it can begin anew.
    Died(String),
}

/// One pipeline's thread.
pub struct Lane {
    pub source: Box<dyn Source>,
    pub chain: Chain,
    pub constraints: Constraints,
    pub pending: Pending,
    pub status: Arc<Status>,
    pub control: Receiver<Control>,
    pub flushes: mpsc::Sender<Work>,
    /// The last flush whose checkpoint is made, as the flusher says.
    pub committed: Arc<AtomicU64>,
    /// The most rows of a batch.
    pub batch_rows: usize,
    /// Whether a record at fault ends it.
    pub stops: bool,
    /// Where to end, if the lane is to end by itself.
    pub until: Option<BTreeMap<Partition, Offset>>,
    /// Where the rows of a fold are, if they are ahead of its states: flushes wait until the lane has passed this.
    pub rows_ahead: BTreeMap<Partition, Offset>,
    /// There is no letter to retry.
    pub retries_idle: Arc<AtomicBool>,
    /// Ends operators' calls, once the lane is to end and doesn't.
    pub interrupt: Interrupt,
    pub progress: Progress,
}

/// What a lane remembers from batch to batch.
pub struct Progress {
    /// The checkpoint as of this batch boundary.
    head: Checkpoint,
    /// What the last flush covered; none before the first, which keeps where reading began.
    flushed: Option<Intervals>,
    rejects: Rejects,
    swaps: Swaps,
    /// Letters whose records are taken in again since the last flush, and who waits for that.
    retried: (BTreeSet<LetterId>, Vec<oneshot::Sender<()>>),
    lag_asked: Option<Instant>,
    /// When the lane began: the moment that windows count the host's time from.
    begun: Instant,
    /// The source has said that it is away.
    source_away: bool,
    /// A flush was begun that can't be handed over; no other may follow.
    torn: bool,
}

impl Progress {
    /// Of a lane that goes on from this checkpoint.
    pub fn from(head: Checkpoint, rejects: Rejects) -> Progress {
        Progress {
            head,
            flushed: None,
            rejects,
            swaps: Swaps::default(),
            retried: Default::default(),
            lag_asked: None,
            begun: Instant::now(),
            source_away: false,
            torn: false,
        }
    }
}

/// What ends a lane early.
type Step = Result<(), End>;

impl Lane {
    /// Runs until told to stop, caught up, or at fault. Blocks the thread.
    pub fn run(mut self) -> End {
        let end = loop {
            if let Err(end) = self.turn() {
                break end;
            }
        };
        if self.is_on_trial() || matches!(end, End::Moved(_)) {
            // As if it had never been: the next start goes on from the checkpoint before it.
            return end;
        }
        // What is raised from here on ends the last flush.
        self.interrupt.lower();
        // Whatever ended the lane: rows of whole batches are good, and are kept.
        match self.flush_all() {
            Err(fault) if end == End::Done => fault,
            _ => end,
        }
    }

    fn turn(&mut self) -> Step {
        self.listen(Duration::ZERO)?;
        self.keep_house();
        self.judge()?;
        self.cut_over()?;
        self.flush_if_due()?;
        if self.is_full() {
            // Who watches wants to see the lag grow.
            self.ask_lag()?;
            return self.listen(LISTEN);
        }
        self.refresh()?;
        if self.has_caught_up() {
            if self.is_on_trial() {
                self.settle();
                return Ok(());
            }
            return Err(End::Done);
        }
        self.ask_lag()?;
        let wait = if self.waiting() > 0 { LISTEN.min(self.pending.until_due(Instant::now())) } else { LISTEN };
        match self.source.poll(self.batch_rows, wait) {
            Ok(None) => Ok(()),
            Ok(Some(records)) => self.take(records.as_ref()),
            Err(error) => self.source_failed(error),
        }
    }

    /// Tells the fold what it can't know: the time, and what is committed. Groups may then leave memory.
    fn keep_house(&mut self) {
        if let Some(fold) = self.chain.fold_mut() {
            fold.set_time(now_micros());
            fold.set_committed(self.committed.load(Ordering::Acquire));
            fold.evict();
        }
    }

    /// Whether nothing more may be taken in before a flush.
    fn is_full(&self) -> bool {
        let fold_is_full = |fold: &Fold| {
            // A flush that the table has had must not be written again in parts: they would be of earlier states.
            fold.is_full() || fold.waiting() >= MAX_CHANGED_GROUPS && self.has_passed_rows()
        };
        self.pending.is_full() || self.progress.rejects.is_full() || self.chain.fold().is_some_and(fold_is_full)
    }

    /// Whether no row in the table is ahead of the states.
    fn has_passed_rows(&self) -> bool {
        self.progress.head.intervals.reaches(&self.rows_ahead)
    }

    /// Whether a lane that is to end by itself has nothing left to do.
    fn has_caught_up(&self) -> bool {
        let caught_up = self.until.as_ref().is_some_and(|ends| self.progress.head.intervals.reaches(ends));
        caught_up && !self.is_refreshing() && self.retries_idle.load(Ordering::Acquire)
    }

    fn is_refreshing(&self) -> bool {
        self.chain.fold().is_some_and(Fold::is_refreshing)
    }

    /// Brings in stored groups that are to be written again.
    fn refresh(&mut self) -> Step {
        if !self.is_refreshing() {
            return Ok(());
        }
        match self.chain.refresh() {
            Ok(()) => Ok(()),
            Err(ProcessError::Store(StoreError::Unavailable(reason))) => self.hold(&reason, &mut Backoff::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// Hears control for at most this long.
    fn listen(&mut self, wait: Duration) -> Step {
        let heard = if wait.is_zero() {
            self.control.try_recv().map_err(|e| e == TryRecvError::Disconnected)
        } else {
            self.control.recv_timeout(wait).map_err(|e| e == RecvTimeoutError::Disconnected)
        };
        match heard {
            Ok(Control::Swap(swap)) => {
                self.ask_swap(*swap);
                Ok(())
            }
            // Who asked waits in vain, and asks again.
            Ok(Control::Retry(_)) if self.is_on_trial() => Ok(()),
            Ok(Control::Retry(retry)) => self.retry(*retry),
            Ok(Control::Stop) | Err(true) => Err(End::Done),
            Err(false) => Ok(()),
        }
    }

    /// All of the records; if the lane ends in the middle, those before count as consumed and the others don't.
    fn take(&mut self, records: &dyn Records) -> Step {
        let mut start = 0;
        let mut step = Ok(());
        while step.is_ok() && start < records.len() {
            step = match self.process(records, start) {
                Ok(outcome) => {
                    self.status.add_records(outcome.next - start);
                    self.progress.swaps.count(outcome.next - start, outcome.rejected.len());
                    start = outcome.next;
                    self.account(records, outcome)
                }
                Err(end) => Err(end),
            };
        }
        for (partition, interval) in consumed(records, start) {
            self.progress.head.intervals.extend(partition, interval).map_err(|misfit| {
                End::Fault(format!("{}: {misfit}; this is a defect of the source's connector", records.topic()))
            })?;
        }
        self.status.set_pending(self.waiting());
        step
    }

    /// One call to the chain; while a lookup's server or the disk is away, again and again.
    fn process(&mut self, records: &dyn Records, start: usize) -> Result<Outcome, End> {
        let mut backoff = Backoff::new();
        let (mut max_rows, mut stopped) = (self.batch_rows, None);
        loop {
            let error = match self.chain.process(records, start, max_rows) {
                Ok(outcome) => {
                    if backoff.tries() > 0 {
                        self.status.set(State::Running, None);
                    }
                    let Some(refused) = self.stopping(&outcome) else {
                        return Ok(Outcome { stopped: stopped.or(outcome.stopped), ..outcome });
                    };
                    // Again, as if the records had ended there: a chain that answers rows keeps none.
                    max_rows = refused.record - start;
                    stopped = Some(BadRecord::rejected(records, refused));
                    continue;
                }
                Err(error) => error,
            };
            match error {
                ProcessError::Lookup(LookupError::Unavailable(reason))
                | ProcessError::Store(StoreError::Unavailable(reason)) => self.hold(&reason, &mut backoff)?,
                error => {
                    if error.is_interrupted() {
                        tracing::warn!(
                            pipeline = self.status.name(),
                            "an operator's call was ended, since the pipeline ends: its batch is read again"
                        );
                    }
                    return Err(error.into());
                }
            }
        }
    }

    /// Waits a while; hears only that it should stop, since a batch is in hand.
    fn hold(&mut self, reason: &str, backoff: &mut Backoff) -> Step {
        if self.status.set(State::Holding, Some(reason.to_owned())) {
            tracing::warn!(pipeline = self.status.name(), "holding, nothing is lost: {reason}");
        }
        match self.control.recv_timeout(backoff.wait()) {
            Ok(Control::Stop) | Err(RecvTimeoutError::Disconnected) => Err(End::Done),
            // Who asked waits in vain, and asks again.
            Ok(Control::Retry(_)) => Ok(()),
            Ok(Control::Swap(swap)) => {
                self.ask_swap(*swap);
                Ok(())
            }
            Err(RecvTimeoutError::Timeout) => Ok(()),
        }
    }

    fn account(&mut self, records: &dyn Records, outcome: Outcome) -> Step {
        for rejected in &outcome.rejected {
            self.reject(records, rejected);
        }
        self.status.add_late(outcome.late);
        for note in &outcome.notes {
            self.progress.rejects.note(&self.status, records, note, Instant::now());
        }
        if let Some(output) = outcome.output {
            self.deliver(records, output);
        }
        outcome.stopped.map_or(Ok(()), |bad| Err(End::Fault(bad.to_string())))
    }

    /// Rows, changed groups or letters that wait for a flush.
    fn waiting(&self) -> usize {
        // Those of a trial go with the first flush after it.
        let letters =
            if self.is_on_trial() { 0 } else { self.progress.rejects.waiting() + self.progress.retried.1.len() };
        self.pending.rows() + self.chain.fold().map_or(0, Fold::waiting) + letters
    }

    fn flush_if_due(&mut self) -> Step {
        // It may have ended over the last flush there is.
        if self.flushes.is_closed() {
            return Err(flusher_gone());
        }
        let full = self.is_full() && self.waiting() > 0;
        if !full && !self.has_passed_rows() {
            return Ok(());
        }
        // The next letters to be retried are looked for once these are flushed.
        let retried = !self.progress.retried.1.is_empty();
        let due = || retried || self.pending.is_due(self.waiting(), Instant::now());
        if !(full || self.has_news() && due()) {
            return Ok(());
        }
        // Without a place in the queue things wait, and gather.
        let flushes = self.flushes.clone();
        match flushes.try_reserve() {
            Ok(permit) => {
                permit.send(Work::Flush(Box::new(self.seal()?)));
                Ok(())
            }
            Err(mpsc::error::TrySendError::Full(())) => Ok(()),
            Err(mpsc::error::TrySendError::Closed(())) => Err(flusher_gone()),
        }
    }

    /// Hands over everything that waits, however long the flusher takes to have a place.
    fn flush_all(&mut self) -> Step {
        if !self.has_news() || self.progress.torn {
            return Ok(());
        }
        let flush = match self.seal() {
            // Nothing else is done with in the middle of a seal.
            Err(End::Done) => {
                let reason = "the last flush was given up, as its operator's call did not end in time: what was not written is read \
                              again at the next start";
                return Err(End::Fault(reason.to_owned()));
            }
            sealed => sealed?,
        };
        self.flushes.blocking_send(Work::Flush(Box::new(flush))).map_err(|_| flusher_gone())
    }

    /// Whether a flush would change anything.
    fn has_news(&self) -> bool {
        let consumed = || self.progress.flushed.as_ref() != Some(&self.progress.head.intervals);
        // The last flush said that groups are to be shown, and now all are.
        let shown = || self.progress.head.refreshing && !self.chain.fold().is_some_and(Fold::is_showing);
        self.waiting() > 0 || !self.is_on_trial() && (consumed() || shown())
    }

    /// A copy of all that changed, as of this batch boundary.
    fn seal(&mut self) -> Result<Flush, End> {
        let now = Instant::now();
        let mut batches = self.pending.take(self.waiting(), now);
        self.progress.head.commits += u64::from(!self.is_on_trial());
        let sealed = self.chain.seal(self.progress.head.commits)?;
        for emitted in sealed.emitted {
            batches.push(self.fitting(emitted, now)?);
        }
        self.status.set_pending(0);
        if self.is_on_trial() {
            let head = Checkpoint { generation: self.progress.head.generation + 1, ..Checkpoint::default() };
            return Ok(Flush { batches, head, durable: false, ..Flush::default() });
        }
        let letters = self.progress.rejects.take();
        let (mut retried, waiting) = std::mem::take(&mut self.progress.retried);
        // Left out again: the letter is written anew.
        for letter in &letters {
            retried.remove(&letter.id);
        }
        self.progress.head.retried = retried.into_iter().collect();
        if let Some(fold) = self.chain.fold() {
            self.progress.head.form = Some(fold.form().clone());
            self.progress.head.older = fold.older().to_vec();
            self.progress.head.refreshing = fold.is_showing();
            self.progress.head.event_times = fold.event_times();
        }
        self.source.identity().keep_in(&mut self.progress.head);
        self.progress.flushed = Some(self.progress.head.intervals.clone());
        let head = self.progress.head.clone();
        let passed = self.progress.swaps.take_passed();
        Ok(Flush { batches, letters, head, changes: sealed.changes, retried: waiting, durable: true, passed })
    }

    fn source_failed(&mut self, error: SourceError) -> Step {
        match error {
            SourceError::Unusable(reason) | SourceError::Held(reason) => Err(End::Fault(reason)),
            // What was read since may be of the other one: none of it is kept, and the next opening says what to do.
            another @ SourceError::Another { .. } => Err(End::Moved(another.to_string())),
            SourceError::Unavailable(reason) => {
                self.progress.source_away = true;
                self.hold(&reason, &mut Backoff::new())
            }
        }
    }

    /// Once in a while: how far behind. The answer, or none, also shows whether the source is there.
    fn ask_lag(&mut self) -> Step {
        let now = Instant::now();
        if self.progress.lag_asked.is_some_and(|asked| now.duration_since(asked) < LAG_INTERVAL) {
            return Ok(());
        }
        self.status.sample(now, self.chain.fold().map(|fold| (fold.size().0, fold.bytes())));
        let answer = self.source.ends();
        self.progress.lag_asked = Some(Instant::now());
        match answer {
            Ok(ends) => {
                if std::mem::take(&mut self.progress.source_away) {
                    tracing::info!(pipeline = self.status.name(), "the source is back");
                    self.status.set(State::Running, None);
                }
                let consumed = &self.progress.head.intervals;
                let behind = |(partition, end): (&Partition, &Offset)| {
                    let next = consumed.end(*partition).unwrap_or(Offset(0));
                    u64::try_from(end.0.saturating_sub(next.0)).unwrap_or(0)
                };
                self.status.set_lag(Some(ends.iter().map(behind).sum()));
                let lags = ends.iter().map(|(partition, end)| (*partition, behind((partition, end)))).collect();
                self.tell_silence(lags);
                Ok(())
            }
            Err(error) => {
                self.status.set_lag(None);
                if let Some(windows) = self.chain.fold_mut().and_then(Fold::windows) {
                    windows.watermark().unknown();
                }
                self.source_failed(error)
            }
        }
    }

    /// Windows don't wait for a partition that has had nothing to read for long enough.
    fn tell_silence(&mut self, lags: Vec<(Partition, u64)>) {
        let now = self.progress.begun.elapsed();
        let Some(windows) = self.chain.fold_mut().and_then(Fold::windows) else { return };
        for (partition, lag) in lags {
            match lag {
                0 => windows.watermark().at_end(partition, now),
                _ => windows.watermark().behind(partition),
            }
        }
        windows.watermark().advance();
    }
}

/// The host's time, in microseconds since 1970-01-01T00:00:00 UTC.
pub(super) fn now_micros() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

fn flusher_gone() -> End {
    // The flusher's own error is the one that is shown.
    End::Fault("the flusher ended".to_owned())
}
