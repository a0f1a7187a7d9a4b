//! A run: the product's lane and flusher, whose effects the world performs, one by one and as the seed says.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use sluice_core::checkpoint::{Checkpoint, CheckpointStore};
use sluice_core::dead_letter::{DeadLetter, LetterId};
use sluice_core::decode::AtFault;
use sluice_core::deploy::{Bounds, Operators};
use sluice_core::fold::{Fold, Keeping};
use sluice_core::identity::Identity;
use sluice_core::operator::Interrupt;
use sluice_core::port::{Refused, SinkError};
use sluice_core::records::Records;
use sluice_core::rows::Rows;
use sluice_core::run::resume::{rows_ahead, rows_without_states, stale_letters};
use sluice_core::run::{
    End, FlushError, FlushPolicy, FlushSlot, Flusher, FlusherEffect, FlusherEvent, FlusherStart, Handover, Lane,
    LaneEffect, LaneEvent, LaneSettings, Progress, Report, Resumption, Retry, SinkForm, Swap, SwapId, TransactionForm,
};
use sluice_core::share::{Share, resume_at};
use sluice_core::{Offset, Partition};

use crate::audit;
use crate::book::{Book, Fate, Then};
use crate::operator::{Version, chain};
use crate::polled::Polled;
use crate::rows::{Row, rows};
use crate::world::{Luck, PIPELINE, Record, World};

/// The most letters that are driven through at once: one call of the chain.
const RETRIED: usize = 8;

/// All that a crash takes away.
pub struct Run {
    pub lane: Lane,
    pub flusher: Flusher,
    /// The auditor's book of what the lane has consumed.
    pub book: Book,
    pub last: LastSeal,
    /// The version that the lane runs, and the one that it ran before that.
    pub version: Version,
    before: Version,
    begun: Duration,
    batch_rows: usize,
    positions: BTreeMap<Partition, Offset>,
    in_hand: VecDeque<InHand>,
    /// The flush that waits, and the book as of it; at the end of a lane perhaps another behind it.
    queue: VecDeque<(Handover, Book)>,
    at_work: Option<Book>,
    /// An answer that is late.
    answer: Option<FlusherEvent>,
    /// A checkpoint that the lane hasn't heard of.
    committed: Option<u64>,
    /// Chains that were handed to the lane, and what they are.
    swaps: BTreeMap<SwapId, Version>,
    retry: Option<u64>,
    next_id: u64,
    /// The end of the lane, once it has ended.
    lane_end: Option<End>,
    /// The share of the topic that it reads.
    share: Share,
    /// The offsets that the group was told last: those where reading began, at first.
    told: BTreeMap<Partition, Offset>,
    /// A record at fault ends it.
    stops: bool,
    /// The offsets at which the run is to end by itself, if it is.
    until: Option<BTreeMap<Partition, Offset>>,
    is_told_to_end: bool,
    /// Messages that the supervisor has to hear.
    pub said: VecDeque<Said>,
}

/// State of things as of the last seal, or the start.
pub struct LastSeal {
    pub watermark: Option<i64>,
    /// The calendar's time.
    pub now: i64,
    /// Number of values that the book had.
    pub values: usize,
    /// Groups become rows again that haven't changed since.
    pub shows_again: bool,
}

/// Records that the lane has in hand, as the auditor knows them.
enum InHand {
    Polled(Polled),
    Retried(Vec<(Partition, Offset)>),
}

/// Something that a supervisor hears.
#[derive(Debug)]
pub enum Said {
    TookOver(Version),
    NotTaken,
    Passed(Operators),
}

impl Run {
    /// Starts a run from the checkpoint, or from nothing, on these partitions; perhaps up to where they end now.
    pub fn start(world: &mut World, operators: &Operators, share: Share, is_backfill: bool) -> Run {
        let version = Version::of(operators).unwrap();
        let resumption = resumption(world);
        let tables = tables(world);
        let head = head(world, &resumption, &tables);
        world.note(&format!("start {version:?} from {:?}", head.as_ref().map(|head| head.commits)));
        let ends = head.as_ref().map(|head| head.intervals.ends()).unwrap_or_default();
        let position = |partition: &Partition| {
            let committed = world.group.committed(*partition).filter(|_| world.shares_partitions());
            (*partition, resume_at(ends.get(partition).copied(), committed).unwrap_or(Offset(0)))
        };
        let told: BTreeMap<Partition, Offset> = share.partitions.iter().map(position).collect();
        let positions = told.clone();
        world.note(&format!("reads on at {positions:?}"));
        let mut chain = chain(world.pipeline, version, &world.dimension, at_fault(world.stops));
        let store = Arc::clone(&world.mine().disk) as Arc<dyn CheckpointStore>;
        world.mine().disk.set_away(false);
        world.mine().leased = false;
        let place = (positions.clone(), &Identity::default());
        let mut head = resumption.resume(&store, head, &mut chain, operators.clone(), place).unwrap();
        head.identities.extend(tables);
        clear_letters(world, &head, &share);
        let shows_again = chain.fold().is_some_and(Fold::is_showing);
        let book = match world.shares_partitions() {
            true => Book::of_others(world, &positions),
            false => world.book().clone(),
        };
        let last =
            LastSeal { watermark: head.event_times.watermark, now: world.micros(), values: book.values(), shows_again };
        let (settings, flusher) = (settings(world), flusher(world));
        let ahead = rows_ahead(&head, &world.written);
        let until = is_backfill.then(|| world.ends_of(&share));
        let progress = Progress::from(head, ahead, until.clone());
        Run {
            lane: Lane::new(chain, progress, settings, Interrupt::default()),
            flusher,
            book,
            last,
            version,
            before: version,
            begun: world.clock,
            batch_rows: settings.batch_rows,
            positions,
            in_hand: VecDeque::new(),
            queue: VecDeque::new(),
            at_work: None,
            answer: None,
            committed: None,
            swaps: BTreeMap::new(),
            retry: None,
            next_id: 0,
            lane_end: None,
            share,
            told,
            stops: world.stops,
            until,
            is_told_to_end: false,
            said: VecDeque::new(),
        }
    }

    /// Returns the watermark.
    pub fn passed(&self) -> Option<i64> {
        self.lane.chain().fold().and_then(|fold| fold.event_times().watermark)
    }

    /// Says what is left to be done.
    pub fn what_is_left(&self, world: &World) -> String {
        let is_refreshing = self.lane.chain().fold().is_some_and(Fold::is_refreshing);
        let has_read_all = world.head().is_some_and(|head| head.intervals.reaches(&world.ends_of(&self.share)));
        let left = [
            ("rows wait", self.lane.waiting() > 0),
            ("a flush waits", !self.queue.is_empty()),
            ("a flush is under way", self.flusher.is_at_work()),
            ("a trial", self.lane.is_on_trial()),
            ("groups are written again", is_refreshing),
            ("letters are retried", self.retry.is_some()),
            ("letters are to be retried", world.letters.values().any(|letter| letter.retry && self.reads(letter))),
            ("records are not consumed", !has_read_all),
        ];
        left.iter().filter(|(_, is_left)| *is_left).map(|(what, _)| *what).collect::<Vec<_>>().join(", ")
    }

    fn reads(&self, letter: &DeadLetter) -> bool {
        self.share.partitions.contains(&letter.id.partition)
    }

    /// Says whether the group gives its host other partitions than it began with.
    pub fn is_moved_from(&self, world: &World) -> bool {
        !world.group.is_of(world.me, self.share.epoch)
    }

    /// Asks the lane to flush what there is, and to end.
    pub fn stop(&mut self, world: &mut World) {
        if std::mem::replace(&mut self.is_told_to_end, true) {
            return;
        }
        world.note("the run is to end");
        self.lane.on(LaneEvent::Stop, world.now(self.begun));
        self.flusher.on(FlusherEvent::Ending, world.now(self.begun)).unwrap();
    }

    /// Hands another chain to the lane.
    pub fn swap(&mut self, world: &mut World, operators: &Operators, trial: bool) {
        let version = Version::of(operators).unwrap();
        self.next_id += 1;
        let probation = match trial {
            true if version.is_good() => {
                Bounds { time: Duration::from_millis(world.rng.u64(1..1_000)), rows: world.rng.u64(1..200) }
            }
            // Only a person ends it.
            true => Bounds { time: Duration::MAX, rows: u64::MAX },
            false => Bounds::NONE,
        };
        world.note(&format!("swap {} to {version:?}, {probation:?}", self.next_id));
        self.swaps.insert(self.next_id, version);
        let chain = chain(world.pipeline, version, &world.dimension, at_fault(self.stops));
        let swap = Swap { id: self.next_id, chain, operators: operators.clone(), probation };
        self.lane.on(LaneEvent::Swap(Box::new(swap)), world.now(self.begun));
    }

    /// Looks for letters that are marked to be driven through again.
    pub fn retry(&mut self, world: &mut World) {
        let marked = world.letters.values().filter(|letter| letter.retry && self.reads(letter)).take(RETRIED).cloned();
        let letters: Vec<_> = marked.collect();
        // Where silence has a say in what is late, the auditor has to know the watermark at each call.
        let unsure = world.pipeline.shape.idles() && !self.in_hand.is_empty();
        if self.retry.is_some() || self.lane_end.is_some() || unsure {
            return;
        }
        if letters.is_empty() {
            self.lane.on(LaneEvent::NothingToRetry, world.now(self.begun));
            return;
        }
        self.next_id += 1;
        world.note(&format!("retry {} of {} letters", self.next_id, letters.len()));
        self.retry = Some(self.next_id);
        let places = letters.iter().map(|letter| (letter.id.partition, letter.id.offset)).collect();
        if !self.lane.is_on_trial() {
            self.in_hand.push_back(InHand::Retried(places));
        }
        self.lane.on(LaneEvent::Retry(Retry { id: self.next_id, letters }), world.now(self.begun));
        self.hear_lane(world, self.version, self.then(world));
    }

    /// Returns what the lane knows at this moment.
    fn then(&self, world: &World) -> Then {
        Then { passed: self.passed(), now: world.now(self.begun).micros }
    }

    /// The lane's next effect. Says how it ended, if it has.
    pub fn step_lane(&mut self, world: &mut World) {
        if self.lane_end.is_some() {
            return;
        }
        if let Some(commits) = self.committed.take_if(|_| world.calm || world.rng.bool()) {
            self.lane.on(LaneEvent::Committed(commits), world.now(self.begun));
        }
        let now = world.now(self.begun);
        let place = if self.queue.is_empty() { FlushSlot::Free } else { FlushSlot::Taken };
        let (version, then) = (self.version, self.then(world));
        let effect = self.lane.next_effect(now, place);
        self.hear_lane(world, version, then);
        match effect {
            LaneEffect::Poll { max_records, .. } => {
                let polled = world.source().map(|()| self.poll(world, max_records));
                self.lane.on(LaneEvent::Polled(polled), world.now(self.begun));
            }
            LaneEffect::AskEnds => {
                let ends = world.source().map(|()| world.ends_of(&self.share));
                self.lane.on(LaneEvent::Ends(ends), world.now(self.begun));
            }
            LaneEffect::Listen(wait) => world.clock += wait.mul_f64(world.rng.f64()),
            LaneEffect::HandOver(handover) => self.hand_over(world, handover, now.micros),
            LaneEffect::End(end) => {
                world.note(&format!("the lane ended: {end:?}"));
                if let Some(until) = self.until.as_ref().filter(|_| end == End::Done && !self.is_told_to_end) {
                    assert!(
                        self.lane.head().intervals.reaches(until),
                        "a run that ends by itself has read all that it was to read"
                    );
                }
                self.lane_end = Some(end);
            }
        }
        self.hear_lane(world, self.version, self.then(world));
    }

    fn poll(&mut self, world: &mut World, max: usize) -> (Option<Box<dyn Records>>, Identity) {
        let polled = Polled::poll(world, &mut self.positions, max.min(self.batch_rows));
        if polled.is_empty() {
            return (None, Identity::default());
        }
        self.in_hand.push_back(InHand::Polled(polled.clone()));
        (Some(Box::new(polled)), Identity::default())
    }

    /// Books what the lane has processed, when it knew this.
    fn hear_lane(&mut self, world: &mut World, version: Version, then: Then) {
        let (mut left_out, mut late, mut records) = (0, 0, 0);
        for report in self.lane.reports() {
            match report {
                Report::Records(number) | Report::Again(number) => records += number,
                Report::LeftOut { times, .. } => left_out += times,
                Report::Late(rows) => late += rows,
                Report::TookOver(id, _) => {
                    self.before = std::mem::replace(&mut self.version, self.swaps[&id]);
                    self.last.shows_again = true;
                    self.said.push_back(Said::TookOver(self.version));
                }
                Report::NotTaken(id, reason) => {
                    self.swaps.remove(&id);
                    world.note(&format!("not taken: {reason}"));
                    self.said.push_back(Said::NotTaken);
                }
                Report::RetryLater(id) => {
                    self.retry.take_if(|retry| *retry == id);
                }
                _ => {}
            }
        }
        let was_late = self.book.late;
        let expected = self.book_what_was_processed(world, records, (version, then));
        assert_eq!(
            (left_out, late),
            (expected, self.book.late - was_late),
            "what is at fault is left out, and late rows are counted"
        );
    }

    /// Answers how many are left out of these.
    fn book_what_was_processed(&mut self, world: &World, records: usize, (version, then): (Version, Then)) -> usize {
        let (mut fates, mut left) = (Vec::new(), records);
        while left > 0 {
            match self.in_hand.pop_front().expect("only what is in hand is processed") {
                InHand::Polled(polled) => {
                    // One call takes all, or those before the record that stops it.
                    let taken = left.min(polled.len());
                    assert!(taken == polled.len() || self.stops, "{taken} of {}", polled.len());
                    left -= taken;
                    for i in 0..taken {
                        let (partition, offset) = polled.position(i);
                        let partition = usize::try_from(partition.0).unwrap();
                        let next = self.book.consumed[partition];
                        assert_eq!(usize::try_from(offset.0), Ok(next), "each record once, in its order");
                        fates.push(self.book.take(partition, polled.record(i), version, then));
                    }
                }
                InHand::Retried(places) => {
                    left = left.checked_sub(places.len()).expect("one call takes all");
                    for (partition, offset) in places {
                        let place = (usize::try_from(partition.0).unwrap(), usize::try_from(offset.0).unwrap());
                        fates.push(self.book.take_again(place, record(world, place), version, then));
                    }
                }
            }
        }
        fates.into_iter().filter(|fate| *fate == Fate::IsLeftOut).count()
    }

    fn hand_over(&mut self, world: &mut World, handover: Handover, now: i64) {
        let shape = world.pipeline.shape;
        let flush = &handover.flush;
        assert!(
            flush.durable || flush.changes.is_empty() && flush.letters.is_empty(),
            "nothing of a trial becomes durable"
        );
        let sealed: Vec<Row> = flush.batches.iter().flat_map(|made| rows(&made.rows.columns)).collect();
        world.note(&format!("seal {} rows, durable: {}", sealed.len(), flush.durable));
        if shape.folds() {
            let version = if handover.cut_over.is_some() { self.before } else { self.version };
            audit::sealed(world, self, version, &sealed);
        }
        self.book.flushed(now);
        let shows_again = handover.cut_over.is_some() || self.lane.chain().fold().is_some_and(Fold::is_showing);
        self.last = LastSeal { watermark: self.passed(), now, values: self.book.values(), shows_again };
        self.queue.push_back((handover, self.book.clone()));
    }

    /// The flusher's next effect, or the answer to its last. Says how the run ended, once it has.
    pub fn step_flusher(&mut self, world: &mut World) -> Option<End> {
        let turn = self.flusher_turn(world);
        self.hear_flusher();
        match turn {
            Ok(true) => None,
            Ok(false) => self.lane_end.clone(),
            Err(error) => {
                world.note(&format!("the flusher ended: {error}"));
                self.lane.on(LaneEvent::FlusherGone, world.now(self.begun));
                Some(error.into())
            }
        }
    }

    /// Says whether there was anything to do.
    fn flusher_turn(&mut self, world: &mut World) -> Result<bool, FlushError> {
        let now = world.now(self.begun);
        if let Some(answer) = self.answer.take() {
            self.flusher.on(answer, now)?;
            return Ok(true);
        }
        let event = match self.flusher.next_effect()? {
            FlusherEffect::Idle => {
                let Some((handover, book)) = self.queue.pop_front() else { return Ok(false) };
                self.at_work = Some(book);
                self.flusher.on(FlusherEvent::Flush(handover), now)?;
                return Ok(true);
            }
            effect => self.perform(world, effect),
        };
        // Answers may be late: the lane goes on meanwhile, or all dies.
        self.answer = Some(event);
        if world.rng.bool() {
            return self.flusher_turn(world);
        }
        Ok(true)
    }

    fn perform(&mut self, world: &mut World, effect: FlusherEffect) -> FlusherEvent {
        world.mine().leased = false;
        match effect {
            FlusherEffect::Idle => FlusherEvent::Waited,
            FlusherEffect::CheckStore => FlusherEvent::Store(Ok(())),
            FlusherEffect::AskTopic | FlusherEffect::AskLease => {
                FlusherEvent::Lease(world.lease(self.share.epoch, &self.told))
            }
            FlusherEffect::Upsert { sink, rows, by } => {
                assert!(!by.operators.is_empty() && by.generation > 0, "rows say what made them");
                FlusherEvent::Wrote(world.upsert(sink, &rows))
            }
            FlusherEffect::Tombstones { sink, keys } => FlusherEvent::Wrote(world.tombstones(sink, &keys)),
            FlusherEffect::Search { sink, rows } => FlusherEvent::Found(self.search(world, sink, &rows)),
            FlusherEffect::Transact { sink, rows, letters, before, after } => {
                let book = self.at_work.clone().unwrap();
                FlusherEvent::Wrote(world.transact(sink, &rows, &letters, (&before, &after), &book))
            }
            FlusherEffect::WriteLetters(letters) => FlusherEvent::Wrote(world.write_letters(&letters)),
            FlusherEffect::Commit(commit) => {
                let book = self.at_work.clone().unwrap();
                let answer = world.commit(&commit.0, &commit.1, &book);
                if answer.is_ok() {
                    self.committed = Some(commit.0.commits);
                }
                FlusherEvent::Store(answer)
            }
            FlusherEffect::RemoveLetters(ids) => FlusherEvent::Wrote(world.remove_letters(&ids)),
            FlusherEffect::CommitOffsets(mut ends, _) => {
                ends.retain(|partition, _| self.share.partitions.contains(partition));
                let luck = world.luck();
                if luck != Luck::Before && world.group.may_write(world.me, self.share.epoch) {
                    world.group.commit(&ends);
                }
                if luck == Luck::Good {
                    self.told = ends;
                }
                FlusherEvent::Told
            }
            FlusherEffect::Wait(wait) => {
                world.clock += wait.mul_f64(world.rng.f64());
                FlusherEvent::Waited
            }
            FlusherEffect::TakeSinks(_) => FlusherEvent::Sinks(sinks(world)),
        }
    }

    fn search(&self, world: &mut World, sink: usize, columns: &Rows) -> Result<Vec<Refused>, SinkError> {
        if world.happens(6) {
            return Err(SinkError::Unavailable("no answer".to_owned()));
        }
        Ok(world.refused(sink, &rows(&columns.columns)))
    }

    fn hear_flusher(&mut self) {
        for report in self.flusher.reports() {
            match report {
                Report::Passed(operators) => self.said.push_back(Said::Passed(operators)),
                Report::Retried(id) => {
                    self.retry.take_if(|retry| *retry == id);
                }
                _ => {}
            }
        }
    }
}

/// The checkpoint that a run goes on from, which knows whether a table lacks rows.
fn head(world: &World, resumption: &Resumption, tables: &BTreeMap<String, String>) -> Option<Checkpoint> {
    let mut head = resumption.reconcile(world.head(), &world.written);
    let lost = rows_without_states(head.as_ref(), &world.written).filter(|_| world.pipeline.shape.folds());
    assert_eq!(lost, None, "states are never behind rows by all that they are of");
    if let Some(head) = head.as_mut().filter(|head| head.form.is_some()) {
        let known = |(name, is): (&String, &String)| head.identities.get(name).is_none_or(|was| was == is);
        head.refreshing |= !tables.iter().all(known);
    }
    head
}

/// Settings of a lane, as a configuration may have them.
fn settings(world: &mut World) -> LaneSettings {
    let interval = Duration::from_millis(world.rng.u64(0..2_000));
    LaneSettings {
        flush: FlushPolicy { rows: world.rng.usize(1..60), interval },
        batch_rows: world.rng.usize(4..24),
        stops: world.stops,
        keeps_letters: true,
        seed: world.rng.u64(..),
    }
}

fn flusher(world: &mut World) -> Flusher {
    Flusher::new(FlusherStart {
        sinks: sinks(world),
        written: world.written.clone(),
        letters: Some("letters".to_owned()),
        stops: world.stops,
        told: BTreeMap::new(),
        seed: world.rng.u64(..),
    })
}

fn resumption(world: &World) -> Resumption {
    Resumption {
        pipeline: PIPELINE.to_owned(),
        topic: "topic".to_owned(),
        sinks: world.tables.iter().map(|table| table.name.clone()).collect(),
        transaction: world.pipeline.transaction.then(|| "database".to_owned()),
        keeping: Keeping { memory: world.memory, ttl: world.pipeline.ttl },
    }
}

/// Returns the identity of each table, as the checkpoint knows it.
fn tables(world: &World) -> BTreeMap<String, String> {
    let tables = world.tables.iter().enumerate();
    tables.map(|(sink, table)| (format!("sink {sink}"), format!("{} {}", table.name, table.made))).collect()
}

fn sinks(world: &World) -> Vec<SinkForm> {
    let last = world.tables.len() - 1;
    let form = |sink: usize| {
        let transaction = (world.pipeline.transaction && sink == last)
            .then_some(TransactionForm { takes_letters: world.pipeline.letters_in_transaction });
        let key = if transaction.is_some() && world.pipeline.inserts() { vec![] } else { key(world) };
        let tombstones = world.pipeline.tombstones && sink == 0 && transaction.is_none();
        SinkForm { name: format!("sink {sink}"), key, generation: false, retries: 2, tombstones, transaction }
    };
    (0..=last).map(form).collect()
}

fn key(world: &World) -> Vec<usize> {
    if world.pipeline.shape.windows().is_some() { vec![0, 1, 2] } else { vec![0] }
}

/// Removes letters that are out of date, as a host does before a run begins.
fn clear_letters(world: &mut World, head: &Checkpoint, share: &Share) {
    let (retried, from) = stale_letters(head, |partition| share.partitions.contains(&partition));
    let stale = |id: &LetterId| from.get(&id.partition).is_some_and(|from| id.offset >= *from) || retried.contains(id);
    world.letters.retain(|id, _| !stale(id));
}

fn at_fault(stops: bool) -> AtFault {
    if stops { AtFault::Stops } else { AtFault::IsLeftOut }
}

fn record(world: &World, (partition, offset): (usize, usize)) -> Record {
    world.topic[partition][offset]
}
