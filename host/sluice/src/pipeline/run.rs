//! Run of a pipeline: a lane's thread and a flusher's task, from the first record to the last flush.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender};

use sluice_clock::chance;
use sluice_connectors::letters::Letterbox;
use sluice_connectors::source::Source;
use sluice_connectors::transaction::Written;
use sluice_core::chain::Chain;
use sluice_core::checkpoint::{Checkpoint, CheckpointStore};
use sluice_core::deploy::{Bounds, Operators};
use sluice_core::operator::Interrupt;
use sluice_core::run::resume::rows_ahead;
use sluice_core::run::{self, End, FlushError, FlushPolicy, FlusherStart, LaneSettings, Progress};
use sluice_core::{Offset, Partition};
use tokio::sync::{OwnedMutexGuard, mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinHandle, JoinSet};

use super::clock::Clock;
use super::flush::{self, FlusherTask, OpenSink, Work};
use super::giving_up::GivingUp;
use super::lane::{Control, LaneInbox, LaneThread, SwapOrder};
use super::letters::{AnyLetters, OpenLetters, Retrier, RetryState};
use super::status::Status;
use crate::died::{caught, said};

/// The number of trials that may be over before their supervisor hears of the first: it asks for one swap at a time, and one more may pass
/// while it does.
const PASSED: usize = 4;

/// Parts of a run, all of them open.
pub struct Opened {
    pub source: Box<dyn Source>,
    pub chain: Chain,
    pub sinks: Vec<OpenSink>,
    /// The offsets to end at, if the run is to end by itself.
    pub until: Option<BTreeMap<Partition, Offset>>,
    /// The place for records that are left out, if they are kept: once for the flusher, once for the retrier.
    pub letters: Option<(OpenLetters, Box<dyn Letterbox>)>,
    /// The checkpoint that the run goes on from.
    pub head: Checkpoint,
    /// The records whose rows are in the table of a sink with transactions.
    pub written: Written,
    pub store: Arc<dyn CheckpointStore>,
}

/// A chain, and the sinks for its rows.
pub struct Prepared {
    pub chain: Chain,
    pub sinks: Vec<OpenSink>,
}

/// Settings of a run.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    pub flush: FlushPolicy,
    pub batch_rows: usize,
    /// True if a record at fault stops the pipeline.
    pub stops: bool,
}

/// Message of a run to its supervisor.
pub enum Said {
    /// The trial of these operators is over, and durable.
    Passed(Operators),
    /// The lane has ended.
    Ended(End),
    /// The flusher has ended, or the retrier died: the lane is to be ended.
    Broken,
}

/// Sign that something works for a pipeline: its supervisor, or a run that was left behind. The supervisor that is to follow hears when the
/// last of them drops it.
pub type Works = watch::Sender<()>;

/// A lane and a flusher at work.
pub struct Run {
    control: Sender<Control>,
    passed: (mpsc::Sender<Operators>, mpsc::Receiver<Operators>),
    lane: oneshot::Receiver<End>,
    flusher: JoinHandle<Result<(), FlushError>>,
    /// Outcome of the flusher, if it ended before the lane did.
    flushed: Option<Result<Result<(), FlushError>, JoinError>>,
    interrupt: Interrupt,
    /// The number of swaps that were asked for.
    swaps: AtomicU64,
    /// Sign to the retrier that it may begin; none once it was given.
    retries: Option<oneshot::Sender<()>>,
    /// Task of the retrier, which ends with this object.
    retrier: JoinSet<()>,
    /// Panic of the retrier, if it died.
    retrier_died: Option<String>,
}

impl Run {
    /// Starts lane and flusher. `giving_up` says that they are to end; it and `alone` are held until both have ended, whatever becomes of
    /// this object.
    pub fn start(
        mut opened: Opened,
        settings: Settings,
        status: &Arc<Status>,
        giving_up: &Arc<GivingUp>,
        alone: OwnedMutexGuard<Works>,
    ) -> std::io::Result<Run> {
        let (control, controlled) = std::sync::mpsc::channel();
        let (flushes, work) = mpsc::channel(flush::QUEUE);
        let (retry_state, heard) = RetryState::new();
        let passed = mpsc::channel(PASSED);
        let shared = Shared {
            settings,
            status: Arc::clone(status),
            ending: giving_up.ending(),
            interrupt: Interrupt::default(),
            clock: Clock::begin(),
            committed: Arc::new(AtomicU64::new(opened.head.commits)),
            retries: retry_state,
        };
        let (letters, marked) = opened.letters.take().unzip();
        let retrier = marked.map(|letters| shared.retrier(&opened, letters, control.clone(), heard));
        let flusher = shared.flusher(&mut opened, letters, passed.0.clone());
        let lane = shared.lane(opened, retrier.is_some(), controlled, flushes);
        let (retries, retrier) = begin_later(retrier);
        let alone = Arc::new(alone);
        let lane = spawn(lane, status.name(), Arc::clone(&alone))?;
        let giving_up = Arc::clone(giving_up);
        let flusher = async move {
            let flushed = flusher.run(work).await;
            drop((alone, giving_up));
            flushed
        };
        Ok(Run {
            control,
            passed,
            lane,
            flusher: tokio::spawn(flusher),
            flushed: None,
            interrupt: shared.interrupt,
            swaps: AtomicU64::new(0),
            retries: Some(retries),
            retrier,
            retrier_died: None,
        })
    }

    /// Hands a new chain to the lane; the answer comes once it runs, or says why it doesn't. It may take as long as a sink is away.
    pub async fn swap(&self, prepared: Prepared, operators: Operators, probation: Bounds) -> Result<(), String> {
        let (outcome, answer) = oneshot::channel();
        let Prepared { mut chain, sinks } = prepared;
        chain.interrupted_by(&self.interrupt);
        let id = self.swaps.fetch_add(1, Ordering::Relaxed);
        let swap = SwapOrder { swap: Box::new(run::Swap { id, chain, operators, probation }), sinks, outcome };
        let gone = || "the pipeline ended meanwhile".to_owned();
        self.control.send(Control::Swap(swap)).map_err(|_| gone())?;
        let left = answer.await.unwrap_or_else(|_| Err(gone()))?;
        // A million groups take a while to drop.
        tokio::task::spawn_blocking(move || drop(left));
        Ok(())
    }

    /// Returns the next message of the run. Safe to drop and call again.
    pub async fn hear(&mut self) -> Said {
        tokio::select! {
            Some(operators) = self.passed.1.recv() => Said::Passed(operators),
            end = &mut self.lane => Said::Ended(end.unwrap_or_else(|_| gone())),
            // The lane would hear of it once it has something to hand over, and not while it waits for others.
            flushed = &mut self.flusher, if self.flushed.is_none() => {
                self.flushed = Some(flushed);
                Said::Broken
            }
            Some(Err(error)) = self.retrier.join_next() => {
                self.retrier_died = Some(panic_of(error));
                Said::Broken
            }
        }
    }

    /// Lets letters be driven through again. This comes once the newest operators have had their chance to take over, since a person who
    /// asks for a retry means these.
    pub fn begin_retries(&mut self) {
        // A retrier that is gone has nobody who waits for it.
        let _ = self.retries.take().map(|retries| retries.send(()));
    }

    /// Asks the lane to flush what there is and to end.
    pub fn stop(&self) {
        // A lane that is gone has ended already.
        let _ = self.control.send(Control::Stop);
    }

    /// Ends the operator's call that the lane makes, if it makes one, and the search for rows at fault.
    pub fn interrupt(&self) {
        self.interrupt.raise();
    }

    /// Waits for the lane's end. Safe to drop and call again.
    pub async fn lane_end(&mut self) -> End {
        (&mut self.lane).await.unwrap_or_else(|_| gone())
    }

    /// Waits until the last flush is written. Returns the end of the run as a whole, with the flusher's fault first, since it is what ends
    /// a lane otherwise well; and the operators that passed last, if nobody heard of it.
    pub async fn finish(mut self, end: End) -> (End, Option<Operators>) {
        let flushed = match self.flushed.take() {
            Some(flushed) => flushed,
            None => self.flusher.await,
        };
        let end = match (flushed, self.retrier_died) {
            (Ok(Ok(())), Some(panic)) if end == End::Done => {
                End::Died(format!("what retries its letters died: {panic}"))
            }
            (Ok(Ok(())), _) => end,
            (Ok(Err(error)), _) => error.into(),
            (Err(error), _) => End::Died(format!("its flusher died: {}", panic_of(error))),
        };
        let mut passed = None;
        while let Ok(operators) = self.passed.1.try_recv() {
            passed = Some(operators);
        }
        (end, passed)
    }
}

/// Parts that lane, flusher and retrier have in common.
struct Shared {
    settings: Settings,
    status: Arc<Status>,
    ending: watch::Receiver<bool>,
    interrupt: Interrupt,
    clock: Clock,
    committed: Arc<AtomicU64>,
    retries: RetryState,
}

impl Shared {
    fn retrier(
        &self,
        opened: &Opened,
        letters: Box<dyn Letterbox>,
        control: Sender<Control>,
        heard: watch::Receiver<(u64, u64)>,
    ) -> Retrier {
        let share = opened.source.share().map(|share| (opened.head.topic.clone(), share.partitions.clone()));
        let (status, ending) = (Arc::clone(&self.status), self.ending.clone());
        Retrier { letters, share, control, status, ending, any: AnyLetters::default(), heard, asked: 0 }
    }

    /// Returns the flusher, which takes the sinks.
    fn flusher(
        &self,
        opened: &mut Opened,
        letters: Option<OpenLetters>,
        passed: mpsc::Sender<Operators>,
    ) -> FlusherTask {
        let sinks = std::mem::take(&mut opened.sinks);
        let start = FlusherStart {
            sinks: sinks.iter().map(OpenSink::form).collect(),
            letters: letters.as_ref().map(|open| open.name.clone()),
            stops: self.settings.stops,
            // The next host of a partition looks where the group is, even if nothing was read of it here.
            told: opened.source.share().map_or_else(|| opened.head.intervals.ends(), |_| BTreeMap::new()),
            written: opened.written.clone(),
            seed: chance(),
        };
        FlusherTask {
            flusher: run::Flusher::new(start),
            sinks,
            next_sinks: None,
            letters,
            store: Arc::clone(&opened.store),
            committed: Arc::clone(&self.committed),
            committer: opened.source.committer(),
            passed,
            retries: self.retries.clone(),
            status: Arc::clone(&self.status),
            ending: self.ending.clone(),
            clock: self.clock,
        }
    }

    fn lane(
        &self,
        mut opened: Opened,
        keeps_letters: bool,
        control: Receiver<Control>,
        flushes: mpsc::Sender<Work>,
    ) -> LaneThread {
        opened.chain.interrupted_by(&self.interrupt);
        let ahead = rows_ahead(&opened.head, &opened.written);
        let progress = Progress::from(opened.head, ahead, opened.until);
        let Settings { flush, batch_rows, stops } = self.settings;
        let settings = LaneSettings { flush, batch_rows, stops, keeps_letters, seed: chance() };
        LaneThread {
            lane: run::Lane::new(opened.chain, progress, settings, self.interrupt.clone()),
            source: opened.source,
            status: Arc::clone(&self.status),
            control,
            flushes,
            committed: Arc::clone(&self.committed),
            retries: self.retries.clone(),
            clock: self.clock,
            waiting: LaneInbox::default(),
        }
    }
}

/// A task for the retrier, if there is one, and what lets it begin.
fn begin_later(retrier: Option<Retrier>) -> (oneshot::Sender<()>, JoinSet<()>) {
    let (begin, may_begin) = oneshot::channel();
    let task = retrier.map(|retrier| async move {
        // A run that is gone lets nobody begin.
        if may_begin.await.is_ok() {
            retrier.run().await;
        }
    });
    (begin, task.into_iter().collect())
}

/// A thread for the lane; answers how it ends.
fn spawn(
    lane: LaneThread,
    pipeline: &str,
    alone: Arc<OwnedMutexGuard<Works>>,
) -> std::io::Result<oneshot::Receiver<End>> {
    let (ended, end) = oneshot::channel();
    std::thread::Builder::new().name(thread_name(pipeline)).spawn(move || {
        let end = caught(|| lane.run()).unwrap_or_else(|panic| End::Died(format!("its lane died: {panic}")));
        drop(alone);
        // Nobody listens once the supervisor is gone.
        let _ = ended.send(end);
    })?;
    Ok(end)
}

fn gone() -> End {
    End::Died("its lane's thread is gone".to_owned())
}

fn panic_of(error: JoinError) -> String {
    error.try_into_panic().map_or_else(|error| error.to_string(), |panic| said(panic.as_ref()))
}

/// Linux shows the first 15 bytes of a thread's name.
fn thread_name(pipeline: &str) -> String {
    pipeline.chars().take(15).collect()
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
