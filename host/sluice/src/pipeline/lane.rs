//! The thread of a lane: performs what [`sluice_core::run::Lane`] says, with the source, and tells it what happens.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use sluice_clock::now_micros;
use sluice_connectors::source::{Source, SourceError};
use sluice_core::chain::Chain;
use sluice_core::records::Records;
use sluice_core::run::{self, End, Handover, LaneEffect, LaneEvent, Now, Report, Retry, SwapId};
use tokio::sync::mpsc;
use tokio::sync::oneshot;

use super::clock::Clock;
use super::flush::{OpenSink, Work};
use super::letters::RetryState;
use super::status::Status;
use super::told::tell;

/// Message to a lane.
pub enum Control {
    /// A chain is to take over at the next batch boundary; if it can't, the answer says why not.
    Swap(SwapOrder),
    /// Process the records of these letters again.
    Retry(Retry),
    /// No letter is to be retried.
    NothingToRetry,
    /// Flush everything that waits, and end.
    Stop,
}

/// A chain that is to take over, and what goes with it.
pub struct SwapOrder {
    /// The chain.
    pub swap: Box<run::Swap>,
    /// Sinks for the chain's rows.
    pub sinks: Vec<OpenSink>,
    /// Is told that the chain runs, and gets the rest of the chain before, which may take a while to drop; or is told why the
    /// chain doesn't run.
    pub outcome: oneshot::Sender<Result<Box<Chain>, String>>,
}

/// A lane, and what it works with.
pub struct LaneThread {
    pub lane: run::Lane,
    pub source: Box<dyn Source>,
    pub status: Arc<Status>,
    pub control: Receiver<Control>,
    pub flushes: mpsc::Sender<Work>,
    /// The last flush whose checkpoint is made, as the flusher says.
    pub committed: Arc<AtomicU64>,
    pub retries: RetryState,
    pub clock: Clock,
    pub waiting: LaneInbox,
}

/// The things that wait for the lane.
#[derive(Default)]
pub struct LaneInbox {
    /// Receivers of the swaps' outcomes.
    outcomes: HashMap<SwapId, oneshot::Sender<Result<Box<Chain>, String>>>,
    sinks: HashMap<SwapId, Vec<OpenSink>>,
    /// The last flush that the lane has heard of.
    committed: u64,
}

impl LaneThread {
    /// Runs until told to stop, caught up, or at fault. Blocks the thread.
    pub fn run(mut self) -> End {
        loop {
            self.hear_what_is_there();
            let begun = self.clock.now();
            let place = if self.flushes.capacity() > 0 { run::FlushSlot::Free } else { run::FlushSlot::Taken };
            let effect = self.lane.next_effect(begun, place);
            self.tell(begun);
            self.worked(begun);
            match effect {
                LaneEffect::Poll { max_records, wait } => {
                    let polled = self.source.poll(max_records, wait);
                    self.read(&polled);
                    let polled = polled.map(|records| (records, self.source.identity()));
                    self.on(LaneEvent::Polled(polled));
                }
                LaneEffect::AskEnds => {
                    let (at, ends) = (now_micros() / 1_000, self.source.ends());
                    if let Ok(ends) = &ends {
                        self.status.freshness().source_has(at, ends.clone());
                    }
                    self.on(LaneEvent::Ends(ends));
                }
                LaneEffect::Listen(wait) => self.listen(wait),
                LaneEffect::HandOver(handover) => self.hand_over(handover),
                LaneEffect::End(end) => return end,
            }
        }
    }

    fn on(&mut self, event: LaneEvent) {
        let now = self.clock.now();
        self.lane.on(event, now);
        self.worked(now);
    }

    /// Adds the time since then, in which the lane worked.
    fn worked(&self, since: Now) {
        self.status.meters.busy_seconds.add(self.clock.since().saturating_sub(since.since));
    }

    /// Counts what the source has handed over.
    fn read(&self, polled: &Result<Option<Box<dyn Records>>, SourceError>) {
        if let Ok(Some(records)) = polled {
            self.status.meters.batches.add(usize::from(!records.is_empty()));
            self.status.meters.read_bytes.add(records.bytes());
        }
    }

    /// Takes the messages that are there, without waiting.
    fn hear_what_is_there(&mut self) {
        let committed = self.committed.load(Ordering::Acquire);
        if committed != self.waiting.committed {
            self.waiting.committed = committed;
            self.on(LaneEvent::Committed(committed));
        }
        // It may have ended over the last flush there is.
        if self.flushes.is_closed() {
            self.on(LaneEvent::FlusherGone);
        }
        match self.control.try_recv() {
            Ok(control) => self.hear(control),
            Err(TryRecvError::Disconnected) => self.on(LaneEvent::Stop),
            Err(TryRecvError::Empty) => {}
        }
    }

    /// Waits up to this time for messages, and takes them.
    fn listen(&mut self, wait: Duration) {
        match self.control.recv_timeout(wait) {
            Ok(control) => self.hear(control),
            Err(RecvTimeoutError::Disconnected) => self.on(LaneEvent::Stop),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }

    fn hear(&mut self, control: Control) {
        match control {
            Control::Swap(SwapOrder { swap, sinks, outcome }) => {
                self.waiting.outcomes.insert(swap.id, outcome);
                self.waiting.sinks.insert(swap.id, sinks);
                self.on(LaneEvent::Swap(swap));
            }
            Control::Retry(retry) => self.on(LaneEvent::Retry(retry)),
            Control::NothingToRetry => self.on(LaneEvent::NothingToRetry),
            Control::Stop => self.on(LaneEvent::Stop),
        }
    }

    fn hand_over(&mut self, handover: Handover) {
        let sinks = handover.cut_over.and_then(|swap| self.waiting.sinks.remove(&swap));
        let read_to = self.lane.head().intervals.ends();
        // While the lane runs, there is a place.
        if self.flushes.blocking_send(Work { handover, sinks, read_to }).is_err() {
            self.on(LaneEvent::FlusherGone);
        }
    }

    /// Says what the lane has to say of its last step, which began then.
    fn tell(&mut self, begun: Now) {
        for report in self.lane.reports() {
            match report {
                Report::TookOver(swap, left) => {
                    let pause = self.clock.since().saturating_sub(begun.since);
                    self.status.meters.swap_pause_us.set(u64::try_from(pause.as_micros()).ok());
                    self.answer(swap, Ok(left));
                }
                Report::NotTaken(swap, reason) => {
                    self.waiting.sinks.remove(&swap);
                    self.answer(swap, Err(reason));
                }
                Report::RetryLater(retry) => self.retries.later(retry),
                report => tell(&self.status, report),
            }
        }
    }

    fn answer(&mut self, swap: SwapId, outcome: Result<Box<Chain>, String>) {
        if let Some(asked) = self.waiting.outcomes.remove(&swap) {
            // Who asked may have gone.
            let _ = asked.send(outcome);
        }
    }
}
