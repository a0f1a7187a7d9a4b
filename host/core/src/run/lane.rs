//! A lane: takes the records of a run through its chain, and hands over what comes of them.
//!
//! ```text
//! source ──polled──▶ in hand ──chain──▶ rows, or changed groups ──when due, with a place──▶ handed over
//! ```
//!
//! A lane never waits for the flusher while it has room: rows gather (or groups change) until the flusher takes them. When
//! there is no room it stops polling, and the source's bounded buffer stops the fetching.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::flush::{Flush, Handover};
use super::intake::{InHand, Intake};
use super::made::Made;
use super::outbox::Outbox;
use super::pending::{FlushPolicy, MAX_CHANGED_GROUPS};
use super::progress::{Ends, Progress};
use super::report::Report;
use super::swap::{Swap, Swaps, TrialVerdict};
use super::{End, Now};
use crate::chain::{Chain, Outcome, OutputRows, ProcessError};
use crate::checkpoint::{Checkpoint, StoreError};
use crate::dead_letter::{Cause, DeadLetter, LetterId};
use crate::fold::Fold;
use crate::identity::Identity;
use crate::interval::{Offset, Partition};
use crate::lookup::LookupError;
use crate::operator::Interrupt;
use crate::port::SourceError;
use crate::records::Records;
use crate::rejected::{RejectedRow, Stage};

/// The longest a lane is deaf while no record comes. Shorter: idle pipelines wake more often. Longer: stopping and swapping take
/// that much longer.
const LISTEN: Duration = Duration::from_millis(20);

/// The time between two questions to the source how far behind the lane is.
const LAG_INTERVAL: Duration = Duration::from_secs(1);

/// The settings of a lane.
#[derive(Debug, Clone, Copy)]
pub struct LaneSettings {
    /// The policy by which a flush is due.
    pub flush: FlushPolicy,
    /// The most rows of a batch.
    pub batch_rows: usize,
    /// True if a group that a table refuses ends the run. For records the chain knows.
    pub stops: bool,
    /// True if letters are made of what is left out.
    pub keeps_letters: bool,
    /// Seed of what is left to chance.
    pub seed: u64,
}

/// Something that happened.
pub enum LaneEvent {
    /// The source has answered [`LaneEffect::Poll`]: with records, if there are any, and with what the topic is as far as it is known
    /// by now.
    Polled(Result<(Option<Box<dyn Records>>, Identity), SourceError>),
    /// The source has answered [`LaneEffect::AskEnds`].
    Ends(Result<BTreeMap<Partition, Offset>, SourceError>),
    /// A chain is to take over. Answered by [`Report::TookOver`] or [`Report::NotTaken`].
    Swap(Box<Swap>),
    /// Letters are to be driven through again. Answered by [`Report::Retried`] or [`Report::RetryLater`].
    Retry(Retry),
    /// There is no letter to retry.
    NothingToRetry,
    /// The checkpoint of this number is made.
    Committed(u64),
    /// The flusher ended, and its error is the one that is shown.
    FlusherGone,
    /// The run is to flush what there is, and end.
    Stop,
}

/// Letters whose records are to be taken in again.
pub struct Retry {
    /// The number of the retry, as its sender counts them.
    pub id: u64,
    /// The letters with all of their records.
    pub letters: Vec<DeadLetter>,
}

/// Something that is to be done next.
pub enum LaneEffect {
    /// Ask the source for records.
    Poll {
        /// The most records.
        max_records: usize,
        /// The longest wait for the first.
        wait: Duration,
    },
    /// Ask the source where it ends.
    AskEnds,
    /// Wait for an event other than the source's, at most so long.
    Listen(Duration),
    /// Hand this over, once there is a place for it: while the lane runs there is one, at its end that may take a while.
    HandOver(Handover),
    /// The lane is over.
    End(End),
}

/// The flusher's place for a flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlushSlot {
    /// The next flush can be handed over.
    Free,
    /// The flusher is at work, and another flush waits.
    Taken,
}

/// The step that the end of a lane is at.
enum Ending {
    NotYet,
    /// The reason is known, and the last flush is still to be handed over.
    Begun(End),
    /// The reason is known, and no flush is handed over any more.
    Closed(End),
}

/// The lane of a run.
pub struct Lane {
    chain: Chain,
    settings: LaneSettings,
    progress: Progress,
    intake: Intake,
    outbox: Outbox,
    swaps: Swaps,
    identity: Identity,
    retries_idle: bool,
    ending: Ending,
    interrupt: Interrupt,
    reports: Vec<Report>,
}

impl Lane {
    /// A lane that goes on from here. `interrupt` ends the calls of the chain's operators.
    pub fn new(chain: Chain, progress: Progress, settings: LaneSettings, interrupt: Interrupt) -> Lane {
        Lane {
            chain,
            intake: Intake::new(settings.batch_rows, settings.seed),
            outbox: Outbox::new(settings.flush, settings.keeps_letters),
            swaps: Swaps::default(),
            identity: Identity::of_source(&progress.head),
            retries_idle: !settings.keeps_letters,
            ending: Ending::NotYet,
            settings,
            progress,
            interrupt,
            reports: Vec::new(),
        }
    }

    /// The chain that runs.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The checkpoint as of the last batch boundary.
    pub fn head(&self) -> &Checkpoint {
        &self.progress.head
    }

    /// Says whether no records are in hand: all that were taken are processed.
    pub fn is_at_a_boundary(&self) -> bool {
        self.intake.is_empty()
    }

    /// Says whether what runs is on trial.
    pub fn is_on_trial(&self) -> bool {
        self.swaps.is_on_trial()
    }

    /// Takes what is to be said since the last call.
    pub fn reports(&mut self) -> Vec<Report> {
        let mut reports = std::mem::take(&mut self.reports);
        reports.extend(self.outbox.rejects.reports());
        reports
    }

    /// Takes an event.
    pub fn on(&mut self, event: LaneEvent, now: Now) {
        let step = match event {
            LaneEvent::Polled(Ok((records, identity))) => {
                self.identity = identity;
                if let Some(records) = records {
                    self.intake.polled(records);
                }
                Ok(())
            }
            LaneEvent::Polled(Err(error)) => self.source_failed(error, now),
            LaneEvent::Ends(answer) => self.on_ends(answer, now),
            LaneEvent::Swap(swap) => {
                let not_taken = |id| Report::NotTaken(id, "others were to take over before it could".to_owned());
                self.reports.extend(self.swaps.ask(swap).map(not_taken));
                Ok(())
            }
            LaneEvent::Retry(retry) => {
                self.on_retry(retry);
                Ok(())
            }
            LaneEvent::NothingToRetry => {
                self.retries_idle = true;
                Ok(())
            }
            LaneEvent::Committed(commits) => {
                self.progress.committed = commits;
                if let Some(fold) = self.chain.fold_mut() {
                    fold.set_committed(commits);
                }
                Ok(())
            }
            LaneEvent::FlusherGone => Err(End::Fault("the flusher ended".to_owned())),
            LaneEvent::Stop => Err(End::Done),
        };
        if let Err(end) = step {
            self.end(end);
        }
    }

    /// Answers what is to be done next.
    pub fn next_effect(&mut self, now: Now, place: FlushSlot) -> LaneEffect {
        if let Some(fold) = self.chain.fold_mut() {
            fold.set_time(now.micros);
        }
        if matches!(self.ending, Ending::NotYet) {
            match self.turn(now, place) {
                Ok(effect) => return effect,
                Err(end) => self.end(end),
            }
        }
        self.finish(now)
    }

    fn turn(&mut self, now: Now, place: FlushSlot) -> Result<LaneEffect, End> {
        if let Some(wait) = self.intake.held_for(now.since) {
            return Ok(LaneEffect::Listen(wait));
        }
        if let Some(fold) = self.chain.fold_mut() {
            fold.evict();
        }
        let was_at_a_boundary = self.is_at_a_boundary();
        while let Some(hand) = self.intake.take() {
            self.process(hand, now)?;
            if let Some(wait) = self.intake.held_for(now.since) {
                return Ok(LaneEffect::Listen(wait));
            }
        }
        self.judge(now, place)?;
        if !was_at_a_boundary && self.swaps.next.is_some() && place == FlushSlot::Free {
            // A cut-over is a step of its own, so that whoever measures it measures nothing else.
            return Ok(LaneEffect::Listen(Duration::ZERO));
        }
        if let Some(handover) = self.cut_over(now, place)? {
            return Ok(LaneEffect::HandOver(handover));
        }
        if place == FlushSlot::Free && self.is_flush_due(now) {
            let flush = Box::new(self.seal(now)?);
            return Ok(LaneEffect::HandOver(Handover { flush, cut_over: None }));
        }
        if self.is_full() {
            // Who watches wants to see the lag grow.
            return Ok(self.ask_ends(now).unwrap_or(LaneEffect::Listen(LISTEN)));
        }
        self.refresh(now)?;
        if let Some(wait) = self.intake.held_for(now.since) {
            return Ok(LaneEffect::Listen(wait));
        }
        if self.has_caught_up() {
            if !self.is_on_trial() {
                return Err(End::Done);
            }
            self.settle();
        }
        if let Some(ask) = self.ask_ends(now) {
            return Ok(ask);
        }
        // What is due and has no place is not due any sooner by looking.
        let is_next = self.waiting() > 0 && place == FlushSlot::Free && self.progress.has_passed_rows();
        let wait = if is_next { LISTEN.min(self.outbox.pending.until_due(now.since)) } else { LISTEN };
        Ok(LaneEffect::Poll { max_records: self.settings.batch_rows, wait })
    }

    /// Takes some of the records in; while a server that the chain asks is away, none.
    fn process(&mut self, mut hand: InHand, now: Now) -> Result<(), End> {
        let at_once = self.intake.rows_at_once(&hand);
        let outcome = if hand.retried {
            // What is at fault again becomes a letter again, whatever others do: the pipeline would stop at it at each start.
            self.chain.process_leniently(hand.records.as_ref(), hand.next, at_once)
        } else {
            self.chain.process(hand.records.as_ref(), hand.next, at_once)
        };
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) => {
                self.intake.back(hand);
                return self.failed(error, now);
            }
        };
        self.goes_on();
        let taken = hand.next..outcome.next;
        hand.next = outcome.next;
        if hand.retried {
            self.reports.push(Report::Again(taken.len()));
            taken.for_each(|record| self.outbox.add_retried(id(hand.records.as_ref(), record)));
        } else {
            self.reports.push(Report::Records(taken.len()));
            self.swaps.count(taken.len(), outcome.rejected.len());
        }
        let step = self.account(&hand.records, outcome, now);
        if step.is_err() || hand.next < hand.records.len() {
            self.intake.back(hand);
            return step;
        }
        self.progress.consume(hand.records.as_ref(), hand.next)?;
        self.reports.push(Report::Waiting(self.waiting()));
        Ok(())
    }

    /// Waits after a call of the chain that failed and changed nothing, or ends the lane.
    fn failed(&mut self, error: ProcessError, now: Now) -> Result<(), End> {
        match error {
            ProcessError::Lookup(LookupError::Unavailable(reason))
            | ProcessError::Store(StoreError::Unavailable(reason)) => {
                self.reports.push(Report::Holds(reason));
                self.intake.hold_for_chain(now.since);
                Ok(())
            }
            error => {
                if error.is_interrupted() {
                    self.reports.push(Report::Interrupted);
                }
                Err(error.into())
            }
        }
    }

    /// Says that the servers which the chain asks have answered. For the source, its ends do.
    fn goes_on(&mut self) {
        if self.intake.chain_answered() && !self.intake.source_away {
            self.reports.push(Report::GoesOn(None));
        }
    }

    fn account(&mut self, records: &Arc<dyn Records>, outcome: Outcome, now: Now) -> Result<(), End> {
        for rejected in &outcome.rejected {
            self.reject(records.as_ref(), rejected, now);
        }
        if outcome.late > 0 {
            self.reports.push(Report::Late(outcome.late));
        }
        for note in &outcome.notes {
            self.outbox.rejects.note(records.as_ref(), note, now);
        }
        if let Some(OutputRows { rows, origins }) = outcome.output {
            let whole = self.outbox.rejects.keeps_letters();
            self.outbox.push(Made::of_records(records, rows, &origins, whole));
        }
        outcome.stopped.map_or(Ok(()), |bad| Err(End::Fault(bad.to_string())))
    }

    fn reject(&mut self, records: &dyn Records, rejected: &RejectedRow, now: Now) {
        let operators = self.swaps.on_trial().unwrap_or(&self.progress.head.operators);
        let operator = self.chain.operator(rejected.stage).and_then(|name| operators.get(name));
        let cause = Cause {
            stage: rejected.stage,
            reason: &rejected.reason,
            operator: operator.map(String::as_str),
            time: now.micros,
        };
        self.outbox.rejects.record(records, rejected.record, cause, now);
    }

    /// Takes letters in again, after what is in hand; not during a trial.
    fn on_retry(&mut self, retry: Retry) {
        if self.is_on_trial() {
            self.reports.push(Report::RetryLater(retry.id));
            return;
        }
        self.intake.retried(retry.letters);
        self.outbox.add_retry(retry.id);
    }

    /// Says whether nothing more may be taken in before a flush.
    fn is_full(&self) -> bool {
        let fold_is_full = |fold: &Fold| {
            // A flush that the table has had must not be written again in parts: they would be of earlier states.
            fold.is_full() || fold.waiting() >= MAX_CHANGED_GROUPS && self.progress.has_passed_rows()
        };
        self.outbox.is_full() || self.chain.fold().is_some_and(fold_is_full)
    }

    /// Says whether a lane that is to end by itself has nothing left to do.
    fn has_caught_up(&self) -> bool {
        self.progress.is_at_the_end() && !self.is_refreshing() && self.retries_idle
    }

    fn is_refreshing(&self) -> bool {
        self.chain.fold().is_some_and(Fold::is_refreshing)
    }

    /// Brings in stored groups that are to be written again.
    fn refresh(&mut self, now: Now) -> Result<(), End> {
        if !self.is_refreshing() {
            return Ok(());
        }
        match self.chain.refresh() {
            Ok(()) => {
                self.goes_on();
                Ok(())
            }
            Err(error) => self.failed(error, now),
        }
    }

    /// The rows, changed groups or letters that wait for a flush. Letters of a trial go with the first flush after it.
    pub fn waiting(&self) -> usize {
        let letters = if self.is_on_trial() { 0 } else { self.outbox.letters() };
        self.outbox.pending.rows() + self.chain.fold().map_or(0, Fold::waiting) + letters
    }

    fn is_flush_due(&self, now: Now) -> bool {
        if self.is_full() && self.waiting() > 0 {
            return true;
        }
        // The next letters to be retried are looked for once these are flushed.
        let due = || self.outbox.has_retries() || self.outbox.pending.is_due(self.waiting(), now.since);
        self.progress.has_passed_rows() && self.has_news() && due()
    }

    /// Says whether a flush would change anything.
    fn has_news(&self) -> bool {
        // The last flush said that groups are to be shown, and now all are.
        let shown = || self.progress.head.refreshing && !self.chain.fold().is_some_and(Fold::is_showing);
        self.waiting() > 0 || !self.is_on_trial() && (self.progress.has_news() || shown())
    }

    /// A copy of all that changed, as of this batch boundary.
    fn seal(&mut self, now: Now) -> Result<Flush, End> {
        let mut batches = self.outbox.pending.take(self.waiting(), now.since);
        let head = &mut self.progress.head;
        head.commits += u64::from(!self.swaps.is_on_trial());
        let sealed = self.chain.seal(head.commits)?;
        for (key, reason) in &sealed.refused {
            if self.settings.stops {
                let fault = End::Fault(format!("sink: the group ({key}): {reason}"));
                // What is sealed and not written must not count as flushed: no other flush may follow.
                self.ending = Ending::Closed(fault.clone());
                return Err(fault);
            }
            let cause = Cause { stage: Stage::Sink, reason, operator: None, time: now.micros };
            self.outbox.rejects.group(key, cause, now);
        }
        let keys = self.chain.fold().map_or(0, |fold| fold.form().keys.len());
        batches.extend(sealed.rows.into_iter().map(|rows| Made::of_groups(rows, keys)));
        self.reports.push(Report::Waiting(0));
        if self.swaps.is_on_trial() {
            let operators = self.swaps.on_trial().cloned().unwrap_or_default();
            let head = Checkpoint { generation: head.generation + 1, operators, ..Checkpoint::default() };
            // It isn't durable, as a flush is unless it is said.
            return Ok(Flush { batches, head, ..Flush::default() });
        }
        let (letters, retried, retries) = self.outbox.take_letters();
        head.retried = retried;
        if let Some(fold) = self.chain.fold() {
            head.form = Some(fold.form().clone());
            head.older = fold.older().to_vec();
            head.refreshing = fold.is_showing();
            head.event_times = fold.event_times();
        }
        self.identity.keep_in(head);
        self.progress.flushed = Some(head.intervals.clone());
        let (head, passed) = (head.clone(), self.swaps.take_passed());
        Ok(Flush { batches, letters, head, changes: sealed.changes, retries, durable: true, passed })
    }

    /// At a batch boundary, and with a place for its flush: what the old chain made is handed over, and the new one takes over, in one
    /// go. Until then the old chain works on.
    fn cut_over(&mut self, now: Now, place: FlushSlot) -> Result<Option<Handover>, End> {
        // Not before the states have caught up with rows that are ahead of them: see `is_flush_due`.
        if place == FlushSlot::Taken || !self.progress.has_passed_rows() {
            return Ok(None);
        }
        let Some(swap) = self.swaps.next.take() else { return Ok(None) };
        let mut flush = Box::new(self.seal(now)?);
        let Swap { id, chain, operators, probation } = *swap;
        let old = std::mem::replace(&mut self.chain, chain);
        match self.chain.adopt(old) {
            Ok(left) => self.reports.push(Report::TookOver(id, Box::new(left))),
            Err((old, reason)) => {
                self.chain = *old;
                self.reports.push(Report::NotTaken(id, reason));
                return Ok(Some(Handover { flush, cut_over: None }));
            }
        }
        // After a crash, every group is written again: the new operators may have shown some by then.
        flush.head.refreshing = true;
        self.swaps.begin(probation, operators, now.since);
        self.chain.begin_trial();
        if probation.is_none() {
            self.settle();
        }
        Ok(Some(Handover { flush, cut_over: Some(id) }))
    }

    /// Ends a trial that is over, or in which more is held than may be; or the run, if it has failed.
    fn judge(&mut self, now: Now, place: FlushSlot) -> Result<(), End> {
        let holds_enough = self.outbox.rejects.is_full() || self.chain.fold().is_some_and(Fold::is_over);
        let is_at_rest = place == FlushSlot::Free && self.waiting() == 0 && self.progress.is_committed();
        let holds_too_much = self.outbox.rejects.is_full() || self.chain.fold().is_some_and(Fold::is_stuck);
        match self.swaps.judge(holds_enough, is_at_rest && holds_too_much, now.since) {
            TrialVerdict::GoesOn => Ok(()),
            TrialVerdict::Failed(reason) => Err(End::Fault(reason)),
            TrialVerdict::Passed => {
                self.settle();
                Ok(())
            }
        }
    }

    /// Ends the trial as passed: what was held goes with the next flush.
    fn settle(&mut self) {
        let Some(operators) = self.swaps.settle() else { return };
        self.progress.head.operators = operators;
        self.progress.head.generation += 1;
        // Even if nothing came meanwhile, there is this to be kept.
        self.progress.flushed = None;
        self.chain.end_trial();
    }

    /// Asks once in a while how far behind the lane is. The answer, or none, also shows whether the source is there.
    fn ask_ends(&mut self, now: Now) -> Option<LaneEffect> {
        if self.intake.asked.is_some_and(|asked| now.since.saturating_sub(asked) < LAG_INTERVAL) {
            return None;
        }
        self.reports.push(Report::Groups(self.chain.fold().map(|fold| (fold.size().0, fold.bytes()))));
        Some(LaneEffect::AskEnds)
    }

    fn on_ends(&mut self, answer: Result<Ends, SourceError>, now: Now) -> Result<(), End> {
        self.intake.asked = Some(now.since);
        let windows = self.chain.fold_mut().and_then(Fold::windows);
        let ends = match answer {
            Ok(ends) => ends,
            Err(error) => {
                if let Some(windows) = windows {
                    windows.watermark().unknown();
                }
                self.reports.push(Report::Lag(None));
                return self.source_failed(error, now);
            }
        };
        if std::mem::take(&mut self.intake.source_away) {
            self.reports.push(Report::GoesOn(Some("the source is back".to_owned())));
        }
        let behind = self.progress.behind(&ends);
        self.reports.push(Report::Lag(Some(behind.values().sum())));
        // Windows don't wait for a partition that has had nothing to read for long enough.
        if let Some(windows) = windows {
            for (partition, lag) in behind {
                match lag {
                    0 => windows.watermark().at_end(partition, now.since),
                    _ => windows.watermark().behind(partition),
                }
            }
            windows.watermark().advance();
        }
        Ok(())
    }

    fn source_failed(&mut self, error: SourceError, now: Now) -> Result<(), End> {
        match error {
            SourceError::Unusable(reason) | SourceError::Held(reason) => Err(End::Fault(reason)),
            // What was read since may be of the other one: none of it is kept, and the next opening says what to do.
            another @ SourceError::Another { .. } => Err(End::Moved(another.to_string())),
            SourceError::Unavailable(reason) => {
                self.reports.push(Report::Holds(reason));
                self.intake.hold_for_source(now.since);
                Ok(())
            }
        }
    }

    /// Ends the lane; only the first reason counts.
    fn end(&mut self, end: End) {
        match &mut self.ending {
            Ending::NotYet => self.ending = Ending::Begun(end),
            Ending::Closed(ended) if *ended == End::Done => *ended = end,
            Ending::Begun(_) | Ending::Closed(_) => {}
        }
    }

    /// Hands the last flush over, whatever ended the lane: rows of whole batches are good, and are kept; records in hand that were not
    /// taken in are read again.
    fn finish(&mut self, now: Now) -> LaneEffect {
        let end = match std::mem::replace(&mut self.ending, Ending::NotYet) {
            Ending::Begun(end) => end,
            Ending::Closed(end) => return self.over(end),
            Ending::NotYet => End::Done,
        };
        if self.is_on_trial() || matches!(end, End::Moved(_)) {
            // As if it had never been: the next start goes on from the checkpoint before it.
            return self.over(end);
        }
        // What is raised from here on ends the last flush.
        self.interrupt.lower();
        match self.last_flush(now) {
            Ok(Some(flush)) => {
                self.ending = Ending::Closed(end);
                LaneEffect::HandOver(Handover { flush: Box::new(flush), cut_over: None })
            }
            Ok(None) => self.over(end),
            Err(fault) => self.over(if end == End::Done { fault } else { end }),
        }
    }

    fn over(&mut self, end: End) -> LaneEffect {
        self.ending = Ending::Closed(end.clone());
        LaneEffect::End(end)
    }

    fn last_flush(&mut self, now: Now) -> Result<Option<Flush>, End> {
        while let Some(hand) = self.intake.take() {
            self.progress.consume(hand.records.as_ref(), hand.next)?;
        }
        // States that are behind their rows would write them over with earlier ones; the next start reads on from where it began.
        if !self.has_news() || !self.progress.has_passed_rows() {
            return Ok(None);
        }
        match self.seal(now) {
            // Nothing else is done with in the middle of a seal.
            Err(End::Done) => {
                let reason = "the last flush was given up, as its operator's call did not end in time: what was not written is read \
                              again at the next start";
                Err(End::Fault(reason.to_owned()))
            }
            sealed => sealed.map(Some),
        }
    }
}

/// The place of the letter of a record.
fn id(records: &dyn Records, record: usize) -> LetterId {
    let (partition, offset) = records.position(record);
    LetterId { topic: records.letter_topic().to_owned(), partition, offset }
}

#[cfg(test)]
#[path = "lane_tests.rs"]
pub(super) mod tests;
