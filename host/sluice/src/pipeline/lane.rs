//! A lane: the thread that takes a pipeline's records through its chain.
//!
//! ```text
//! source ──poll──▶ chain ──rows, or changed groups──▶ [queue of 1] ──▶ flusher
//! ```
//!
//! A lane never waits for the flusher while it has room: rows gather (or groups change) until the flusher takes them. When
//! there is no room it stops polling, and the source's bounded buffer stops the fetching.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use sluice_connectors::sink::Rows;
use sluice_connectors::source::{Source, SourceError};
use sluice_core::chain::{Chain, Outcome, OutputRows, ProcessError};
use sluice_core::interval::Intervals;
use sluice_core::lookup::LookupError;
use sluice_core::records::Records;
use sluice_core::{Interval, Offset, Partition};
use tokio::sync::{mpsc, oneshot};

use super::constraint::{self, Constraints};
use super::flush::{Flush, OpenSink, Work};
use super::patience::Backoff;
use super::pending::Pending;
use super::rejects::Rejects;
use super::status::{State, Status};

/// The longest a lane is deaf to control while no record comes. Shorter: idle pipelines wake more often. Longer: stopping
/// and swapping take that much longer.
const LISTEN: Duration = Duration::from_millis(20);

/// How often the source is asked how far behind the lane is.
const LAG_INTERVAL: Duration = Duration::from_secs(1);

/// What a lane is told.
pub enum Control {
    /// At the next batch boundary, run this chain; the answer says why not, if it can't.
    Swap(Box<Swap>),
    /// Flush what there is, and end.
    Stop,
}

/// A chain that takes over.
pub struct Swap {
    pub chain: Chain,
    pub constraints: Constraints,
    pub sinks: Vec<OpenSink>,
    pub outcome: oneshot::Sender<Result<(), String>>,
}

/// Why a lane ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It was told to, or reached the ends that it was to read up to. Everything is handed to the flusher.
    Done,
    /// It can't go on until somebody changes something.
    Fault(String),
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
    /// The most rows of a batch.
    pub batch_rows: usize,
    /// Where to end, if the lane is to end by itself.
    pub until: Option<BTreeMap<Partition, Offset>>,
    pub progress: Progress,
}

/// What a lane remembers from batch to batch.
pub struct Progress {
    consumed: Intervals,
    /// What the last flush covered.
    flushed: BTreeMap<Partition, Offset>,
    rejects: Rejects,
    lag_asked: Option<Instant>,
    /// The source has said that it is away.
    source_away: bool,
}

impl Progress {
    /// Of a lane that begins at these positions.
    pub fn starting_at(positions: &BTreeMap<Partition, Offset>) -> Progress {
        let mut consumed = Intervals::default();
        for (partition, offset) in positions {
            if let Some(nothing) = Interval::new(*offset, *offset) {
                // The first interval of a partition always fits.
                let _ = consumed.extend(*partition, nothing);
            }
        }
        Progress {
            consumed,
            flushed: BTreeMap::new(),
            rejects: Rejects::default(),
            lag_asked: None,
            source_away: false,
        }
    }
}

/// What ends a lane early; `Done` and `Fault` are [`End`]'s.
type Step = Result<(), End>;

impl Lane {
    /// Runs until told to stop, caught up, or at fault. Blocks the thread.
    pub fn run(mut self) -> End {
        let end = loop {
            if let Err(end) = self.turn() {
                break end;
            }
        };
        // Whatever ended the lane: rows of whole batches are good, and are kept.
        match self.flush_all() {
            Err(fault) if end == End::Done => fault,
            _ => end,
        }
    }

    fn turn(&mut self) -> Step {
        self.listen(Duration::ZERO)?;
        self.flush_if_due()?;
        if self.pending.is_full() {
            return self.listen(LISTEN);
        }
        if self.until.as_ref().is_some_and(|ends| self.progress.consumed.reaches(ends)) {
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

    /// Hears control for at most this long.
    fn listen(&mut self, wait: Duration) -> Step {
        let heard = if wait.is_zero() {
            self.control.try_recv().map_err(|e| e == TryRecvError::Disconnected)
        } else {
            self.control.recv_timeout(wait).map_err(|e| e == RecvTimeoutError::Disconnected)
        };
        match heard {
            Ok(Control::Swap(swap)) => self.swap(*swap),
            Ok(Control::Stop) | Err(true) => Err(End::Done),
            Err(false) => Ok(()),
        }
    }

    /// At a batch boundary: the old chain's rows go first, then the new chain takes over with the old one's groups.
    fn swap(&mut self, swap: Swap) -> Step {
        self.flush_all()?;
        let Swap { chain, constraints, sinks, outcome } = swap;
        let old = std::mem::replace(&mut self.chain, chain);
        let answer = match self.chain.adopt(old) {
            Ok(()) => {
                self.constraints = constraints;
                self.flushes.blocking_send(Work::Sinks(sinks)).map_err(|_| flusher_gone())
            }
            Err((old, reason)) => {
                self.chain = *old;
                // Who asked may have gone; the old chain runs on in any case.
                let _ = outcome.send(Err(reason));
                return Ok(());
            }
        };
        let _ = outcome.send(Ok(()));
        answer
    }

    fn take(&mut self, records: &dyn Records) -> Step {
        let mut start = 0;
        while start < records.len() {
            let outcome = self.process(records, start)?;
            self.status.add_records(outcome.next - start);
            start = outcome.next;
            self.account(records, outcome)?;
        }
        for (partition, interval) in records.intervals() {
            self.progress.consumed.extend(*partition, *interval).map_err(|misfit| {
                End::Fault(format!("{}: {misfit}; this is a defect of the source's connector", records.topic()))
            })?;
        }
        self.status.set_pending(self.waiting());
        Ok(())
    }

    /// One call to the chain; while a lookup's server is away, again and again.
    fn process(&mut self, records: &dyn Records, start: usize) -> Result<Outcome, End> {
        let mut backoff = Backoff::new();
        loop {
            let error = match self.chain.process(records, start, self.batch_rows) {
                Ok(outcome) => {
                    if backoff.tries() > 0 {
                        self.status.set(State::Running, None);
                    }
                    return Ok(outcome);
                }
                Err(error) => error,
            };
            let ProcessError::Lookup(LookupError::Unavailable(reason)) = error else {
                return Err(End::Fault(error.to_string()));
            };
            self.hold(&reason, &mut backoff)?;
        }
    }

    /// Waits a while; hears only that it should stop, since a batch is in hand.
    fn hold(&mut self, reason: &str, backoff: &mut Backoff) -> Step {
        if self.status.set(State::Holding, Some(reason.to_owned())) {
            tracing::warn!(pipeline = self.status.name(), "holding, nothing is lost: {reason}");
        }
        match self.control.recv_timeout(backoff.wait()) {
            Ok(Control::Stop) | Err(RecvTimeoutError::Disconnected) => Err(End::Done),
            Ok(Control::Swap(swap)) => {
                let _ =
                    swap.outcome.send(Err("a lookup's server is away, in the middle of a batch; try again".to_owned()));
                Ok(())
            }
            Err(RecvTimeoutError::Timeout) => Ok(()),
        }
    }

    fn account(&mut self, records: &dyn Records, outcome: Outcome) -> Step {
        let now = Instant::now();
        for rejected in &outcome.rejected {
            self.reject(records, rejected.record, &rejected.reason, now);
        }
        if outcome.ignored > 0 {
            self.status.add_rejected(outcome.ignored);
        }
        if let Some(output) = outcome.output {
            let output = self.fitting(records, output, now)?;
            self.pending.push(output);
        }
        outcome.stopped.map_or(Ok(()), |bad| Err(End::Fault(bad.to_string())))
    }

    /// The rows that the tables take.
    fn fitting(&mut self, records: &dyn Records, output: OutputRows, now: Instant) -> Result<OutputRows, End> {
        let refused = self.constraints.refused(&output.columns);
        if refused.is_empty() {
            return Ok(output);
        }
        for refused in &refused {
            self.reject(records, output.origins.record(refused.row), &refused.reason, now);
        }
        let (columns, kept) = constraint::without(&output.columns, output.rows, &refused).map_err(End::Fault)?;
        Ok(OutputRows { rows: kept.len(), columns, origins: output.origins.select(&kept) })
    }

    fn reject(&mut self, records: &dyn Records, record: usize, reason: &str, now: Instant) {
        let (partition, offset) = records.position(record);
        let place = format!("{}, partition {partition}, offset {offset}", records.topic());
        self.progress.rejects.add(&self.status, &place, reason, now);
    }

    /// Rows or changed groups that wait for a flush.
    fn waiting(&self) -> usize {
        self.pending.rows() + self.chain.fold().map_or(0, |fold| fold.size().1)
    }

    fn flush_if_due(&mut self) -> Step {
        if !self.pending.is_due(self.waiting(), Instant::now()) {
            return Ok(());
        }
        // Without a place in the queue things wait, and gather.
        let flushes = self.flushes.clone();
        match flushes.try_reserve() {
            Ok(permit) => {
                permit.send(Work::Flush(self.seal()?));
                Ok(())
            }
            Err(mpsc::error::TrySendError::Full(())) => Ok(()),
            Err(mpsc::error::TrySendError::Closed(())) => Err(flusher_gone()),
        }
    }

    /// Hands over everything that waits, however long the flusher takes to have a place.
    fn flush_all(&mut self) -> Step {
        let flush = self.seal()?;
        if flush.batches.is_empty() && flush.next == self.progress.flushed {
            return Ok(());
        }
        self.flushes.blocking_send(Work::Flush(flush)).map_err(|_| flusher_gone())
    }

    /// A copy of all that changed, as of this batch boundary.
    fn seal(&mut self) -> Result<Flush, End> {
        let now = Instant::now();
        let mut batches = self.pending.take(now);
        for emitted in self.chain.emit_changed().map_err(|error| End::Fault(error.to_string()))? {
            let refused = self.constraints.refused(&emitted.columns);
            let (columns, rows) = if refused.is_empty() {
                (emitted.columns, emitted.rows)
            } else {
                for refused in &refused {
                    self.progress.rejects.add(&self.status, "a group", &refused.reason, now);
                }
                let left = constraint::without(&emitted.columns, emitted.rows, &refused).map_err(End::Fault)?;
                (left.0, left.1.len())
            };
            batches.push(Rows { rows, columns });
        }
        self.status.set_pending(0);
        let next: BTreeMap<_, _> =
            self.progress.consumed.iter().map(|(partition, interval)| (partition, interval.end())).collect();
        self.progress.flushed.clone_from(&next);
        Ok(Flush { batches, next })
    }

    fn source_failed(&mut self, error: SourceError) -> Step {
        match error {
            SourceError::Unusable(reason) => Err(End::Fault(reason)),
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
        let answer = self.source.ends();
        self.progress.lag_asked = Some(Instant::now());
        match answer {
            Ok(ends) => {
                if std::mem::take(&mut self.progress.source_away) {
                    tracing::info!(pipeline = self.status.name(), "the source is back");
                    self.status.set(State::Running, None);
                }
                let consumed = &self.progress.consumed;
                let behind = |(partition, end): (&Partition, &Offset)| {
                    let next = consumed.end(*partition).unwrap_or(Offset(0));
                    u64::try_from(end.0.saturating_sub(next.0)).unwrap_or(0)
                };
                self.status.set_lag(Some(ends.iter().map(behind).sum()));
                Ok(())
            }
            Err(error) => {
                self.status.set_lag(None);
                self.source_failed(error)
            }
        }
    }
}

fn flusher_gone() -> End {
    // The flusher's own error is the one that is shown.
    End::Fault("the flusher ended".to_owned())
}
