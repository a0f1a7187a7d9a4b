//! Everything outside of the host: the topic, the table, the store, and how they misbehave.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use sluice_core::checkpoint::memory::MemoryStore;
use sluice_core::checkpoint::{Changes, Checkpoint, CheckpointStore, StoreError};
use sluice_core::records::Records;
use sluice_core::{Interval, Offset, Partition};

use crate::book::Book;
use crate::rows::{Group, Row};
use crate::shape::Shape;

/// The pipeline's name in the store.
pub const PIPELINE: &str = "simulated";

/// A record: its time is the source's, in microseconds, if it knows.
#[derive(Debug, Clone, Copy)]
pub struct Record {
    pub key: i64,
    pub value: i64,
    pub time: Option<i64>,
}

/// What outlives the host.
pub struct World {
    pub rng: Rng,
    /// For each partition, its records.
    pub topic: Vec<Vec<Record>>,
    /// Nobody writes to this partition for now; none has the number after the last.
    silent: usize,
    /// The world's clock: records are made by it, and silence is measured by it.
    pub now: Duration,
    /// The sink's name, and the rows of its table.
    pub sink: String,
    pub table: BTreeMap<Group, i64>,
    /// Where the watermark was when the sink became another one: what was over by then is in no state any more.
    pub shown_since: Option<i64>,
    /// What good operators have written of windows that are closed for good.
    pub closed: BTreeMap<Group, i64>,
    pub store: Arc<MemoryStore>,
    /// The auditor's book as of the last commit.
    pub book: Book,
    /// What the pipeline does.
    pub shape: Shape,
    /// How much the fold may keep in memory.
    pub memory: usize,
    /// Nothing fails any more.
    pub calm: bool,
    pub trace: Vec<String>,
}

/// How an effect goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Luck {
    Good,
    /// Nothing happened, and an error was answered.
    Before,
    /// Some or all of it happened, and an error was answered.
    After,
}

impl World {
    pub fn new(seed: u64) -> World {
        let mut rng = Rng::with_seed(seed);
        let partitions = rng.usize(1..=4);
        let shape = Shape::any(&mut rng);
        World {
            topic: vec![Vec::new(); partitions],
            silent: partitions,
            now: Duration::ZERO,
            sink: "table 0".to_owned(),
            table: BTreeMap::new(),
            shown_since: None,
            closed: BTreeMap::new(),
            store: Arc::new(MemoryStore::default()),
            book: Book::new(shape, partitions),
            shape,
            // From "every committed group leaves", or "no window has room", to "all stay".
            memory: *rng.choice([1, 2_000, usize::MAX].iter()).unwrap_or(&1),
            calm: false,
            trace: Vec::new(),
            rng,
        }
    }

    /// The clock moves.
    pub fn tick(&mut self) {
        self.now += Duration::from_micros(self.rng.u64(0..20));
    }

    /// Somebody writes records.
    pub fn grow(&mut self) {
        if self.happens(40) {
            self.silent = self.rng.usize(0..=self.topic.len());
        }
        for _ in 0..self.rng.usize(0..6) {
            let partition = self.rng.usize(0..self.topic.len());
            if partition != self.silent {
                let record = self.record(i64::try_from(partition).unwrap());
                self.topic[partition].push(record);
            }
        }
    }

    fn record(&mut self, partition: i64) -> Record {
        let (key, time) = match self.shape {
            // Without a fold the last row of a key wins, which only means something within a partition.
            Shape::Rows => (self.rng.i64(0..40) * 4 + partition, None),
            Shape::Sums => (self.rng.i64(0..40) * 4, None),
            Shape::Windows(_) => (self.rng.i64(0..6), self.time()),
        };
        Record { key, value: self.rng.i64(-50..50), time }
    }

    /// When somebody says that a record was made: in most cases not long ago.
    fn time(&mut self) -> Option<i64> {
        let now = i64::try_from(self.now.as_micros()).unwrap();
        match self.rng.u16(0..400) {
            0..10 => None,
            10..20 => Some(i64::MAX),
            // A clock is ahead: what comes in time is late for a while.
            20..22 => Some(now + self.rng.i64(0..300)),
            22..80 => Some(now - self.rng.i64(0..500)),
            _ => Some(now - self.rng.i64(0..30)),
        }
    }

    /// Now and then somebody names another table, which is empty; a fold has to write all of its groups there.
    pub fn change_sink(&mut self) {
        // What windows that are over have shown is gone for good: there the auditor would soon have little to compare.
        let odds = if self.shape.windows().is_some() { 12 } else { 3 };
        if self.shape.folds() && self.happens(odds) {
            self.sink = format!("table {}", self.trace.len());
            self.table.clear();
            self.shown_since = self.watermark();
            self.note("another sink");
        }
    }

    /// Where the watermark was at the last commit.
    pub fn watermark(&self) -> Option<i64> {
        self.store.head(PIPELINE).unwrap().and_then(|head| head.event_times.watermark)
    }

    /// More memory than the windows had.
    pub fn raise_memory(&mut self) {
        self.memory *= 2;
        self.note(&format!("{} bytes of memory", self.memory));
    }

    pub fn calm_down(&mut self) {
        self.calm = true;
        self.note("peace");
    }

    pub fn note(&mut self, what: &str) {
        self.trace.push(what.to_owned());
    }

    /// One in `odds`, while there is no peace.
    pub fn happens(&mut self, odds: u32) -> bool {
        !self.calm && self.rng.u32(0..odds) == 0
    }

    pub fn luck(&mut self) -> Luck {
        match (self.happens(6), self.rng.bool()) {
            (false, _) => Luck::Good,
            (true, true) => Luck::Before,
            (true, false) => Luck::After,
        }
    }

    /// Writes rows as absolute values; after bad luck only some of them are there.
    pub fn upsert(&mut self, rows: &[Row]) -> Result<(), ()> {
        let luck = self.luck();
        let written = match luck {
            Luck::Good => rows.len(),
            Luck::Before => 0,
            Luck::After => self.rng.usize(0..=rows.len()),
        };
        self.table.extend(rows.iter().take(written).copied());
        self.note(&format!("upsert {written} of {} rows, {luck:?}", rows.len()));
        if luck == Luck::Good { Ok(()) } else { Err(()) }
    }

    /// Commits; after bad luck it may have happened all the same.
    pub fn commit(&mut self, head: &Checkpoint, changes: &Changes, book: &Book) -> Result<(), StoreError> {
        let luck = self.luck();
        if luck != Luck::Before {
            self.store.commit(PIPELINE, head, changes)?;
            self.book.clone_from(book);
        }
        self.note(&format!("commit {} of {} groups, {luck:?}", head.commits, changes.len()));
        if luck == Luck::Good { Ok(()) } else { Err(StoreError::Unavailable("the disk is full".to_owned())) }
    }

    /// Where each partition ends.
    pub fn ends(&self) -> BTreeMap<Partition, Offset> {
        let end = |(number, records): (i32, &Vec<Record>)| (Partition(number), Offset(0).advanced(records.len()));
        (0..).zip(&self.topic).map(end).collect()
    }
}

/// Records of the topic, as the source hands them over.
pub struct Polled {
    records: Vec<(Partition, Offset, Record, String)>,
    intervals: Vec<(Partition, Interval)>,
}

impl Polled {
    /// Some records from each partition's position on, and the positions after them.
    pub fn poll(world: &mut World, positions: &mut BTreeMap<Partition, Offset>) -> Polled {
        let mut polled = Polled { records: Vec::new(), intervals: Vec::new() };
        for (number, records) in (0..).zip(world.topic.clone()) {
            let partition = Partition(number);
            let start = positions.get(&partition).copied().unwrap_or(Offset(0));
            let rest = &records[usize::try_from(start.0).unwrap().min(records.len())..];
            let taken = world.rng.usize(0..=rest.len());
            let mut offset = start;
            for record in rest.iter().take(taken) {
                let Record { key, value, .. } = record;
                polled.records.push((partition, offset, *record, format!(r#"{{"k":{key},"v":{value}}}"#)));
                offset = offset.next();
            }
            if let Some(interval) = Interval::new(start, offset).filter(|interval| !interval.is_empty()) {
                polled.intervals.push((partition, interval));
                positions.insert(partition, offset);
            }
        }
        world.note(&format!("poll {} records", polled.records.len()));
        polled
    }

    /// A record as it was written.
    pub fn record(&self, i: usize) -> Record {
        self.records[i].2
    }
}

impl Records for Polled {
    fn len(&self) -> usize {
        self.records.len()
    }
    fn topic(&self) -> &str {
        "topic"
    }
    fn value(&self, i: usize) -> Option<&[u8]> {
        Some(self.records[i].3.as_bytes())
    }
    fn key(&self, _: usize) -> Option<&[u8]> {
        None
    }
    fn position(&self, i: usize) -> (Partition, Offset) {
        (self.records[i].0, self.records[i].1)
    }
    fn timestamp(&self, i: usize) -> Option<i64> {
        self.records[i].2.time
    }
    fn intervals(&self) -> &[(Partition, Interval)] {
        &self.intervals
    }
}
