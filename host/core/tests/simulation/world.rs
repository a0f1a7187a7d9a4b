//! Everything outside of the host: the topic, the table, the store, and how they misbehave.

use std::collections::BTreeMap;
use std::sync::Arc;

use fastrand::Rng;
use sluice_core::checkpoint::memory::MemoryStore;
use sluice_core::checkpoint::{Changes, Checkpoint, CheckpointStore, StoreError};
use sluice_core::records::Records;
use sluice_core::{Interval, Offset, Partition};

/// The pipeline's name in the store.
pub const PIPELINE: &str = "simulated";

/// A record's key and value.
pub type Pair = (i64, i64);

/// What outlives the host.
pub struct World {
    pub rng: Rng,
    /// For each partition, its records.
    pub topic: Vec<Vec<Pair>>,
    /// The sink's name, and the rows of its table.
    pub sink: String,
    pub table: BTreeMap<i64, i64>,
    pub store: Arc<MemoryStore>,
    /// Whether the pipeline folds.
    pub folds: bool,
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
        World {
            topic: vec![Vec::new(); partitions],
            sink: "table 0".to_owned(),
            table: BTreeMap::new(),
            store: Arc::new(MemoryStore::default()),
            folds: rng.u8(0..4) > 0,
            // From "every committed group leaves" to "all stay".
            memory: *rng.choice([1, 2_000, usize::MAX].iter()).unwrap_or(&1),
            calm: false,
            trace: Vec::new(),
            rng,
        }
    }

    /// Somebody writes records.
    pub fn grow(&mut self) {
        for _ in 0..self.rng.usize(0..6) {
            let partition = self.rng.usize(0..self.topic.len());
            // Without a fold the last row of a key wins, which only means something within a partition.
            let key = self.rng.i64(0..40) * 4 + i64::try_from(partition).unwrap() * i64::from(!self.folds);
            let value = self.rng.i64(-50..50);
            self.topic[partition].push((key, value));
        }
    }

    /// Now and then somebody names another table, which is empty; a fold has to write all of its groups there.
    pub fn change_sink(&mut self) {
        if self.folds && self.happens(3) {
            self.sink = format!("table {}", self.trace.len());
            self.table.clear();
            self.note("another sink");
        }
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
    pub fn upsert(&mut self, rows: &[Pair]) -> Result<(), ()> {
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
    pub fn commit(&mut self, head: &Checkpoint, changes: &Changes) -> Result<(), StoreError> {
        let luck = self.luck();
        if luck != Luck::Before {
            self.store.commit(PIPELINE, head, changes)?;
        }
        self.note(&format!("commit {} of {} groups, {luck:?}", head.commits, changes.len()));
        if luck == Luck::Good { Ok(()) } else { Err(StoreError::Unavailable("the disk is full".to_owned())) }
    }

    /// Where each partition ends.
    pub fn ends(&self) -> BTreeMap<Partition, Offset> {
        let end = |(number, records): (i32, &Vec<Pair>)| (Partition(number), Offset(0).advanced(records.len()));
        (0..).zip(&self.topic).map(end).collect()
    }
}

/// Records of the topic, as the source hands them over.
pub struct Polled {
    records: Vec<(Partition, Offset, String)>,
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
            for (key, value) in rest.iter().take(taken) {
                polled.records.push((partition, offset, format!(r#"{{"k":{key},"v":{value}}}"#)));
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
}

impl Records for Polled {
    fn len(&self) -> usize {
        self.records.len()
    }
    fn topic(&self) -> &str {
        "topic"
    }
    fn value(&self, i: usize) -> Option<&[u8]> {
        Some(self.records[i].2.as_bytes())
    }
    fn key(&self, _: usize) -> Option<&[u8]> {
        None
    }
    fn position(&self, i: usize) -> (Partition, Offset) {
        (self.records[i].0, self.records[i].1)
    }
    fn timestamp(&self, _: usize) -> Option<i64> {
        None
    }
    fn intervals(&self) -> &[(Partition, Interval)] {
        &self.intervals
    }
}
