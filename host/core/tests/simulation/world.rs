//! World outside of the host: the topic, the tables, the store, the letters, the group, and how they misbehave.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use sluice_core::checkpoint::{Changes, Checkpoint, CheckpointStore};
use sluice_core::dead_letter::{DeadLetter, LetterId};
use sluice_core::port::{LeaseError, Refused, SinkError, SourceError, Written};
use sluice_core::rows::Rows;
use sluice_core::run::Now;
use sluice_core::share::{Share, Want};
use sluice_core::{Offset, Partition};

use crate::book::Book;
use crate::dimension::Dimension;
use crate::disk::Disk;
use crate::group::Group;
use crate::operator::Version;
use crate::rows::{self, Row, rows};
use crate::shape::{Pipeline, Shape};

/// The pipeline's name in the store.
pub const PIPELINE: &str = "simulated";

/// Length of a microsecond of the records' time on the host's clock: its waits are long, and windows are short.
pub const UNIT: Duration = Duration::from_millis(5);

/// Number of the last steps that a world tells of when it fails.
const LAST_WORDS: usize = 40;

/// Value that tables don't take: a column's range ends before it.
pub const UNFIT: i64 = 49;

/// Value that the first table's server refuses, which nothing but asking it shows.
pub const REFUSED: i64 = -50;

/// A record: its time is the source's, in microseconds, if it knows.
#[derive(Debug, Clone, Copy)]
pub struct Record {
    pub key: i64,
    /// Number of the record; none where it isn't JSON.
    pub value: Option<i64>,
    pub time: Option<i64>,
}

/// Things that outlive the host.
pub struct World {
    pub rng: Rng,
    /// Records of each partition.
    pub topic: Vec<Vec<Record>>,
    /// Partition that nobody writes to for now; the number after the last stands for none.
    silent: usize,
    /// The world's clock: records are made by it, and silence is measured by it.
    pub clock: Duration,
    pub tables: Vec<Table>,
    /// Records whose rows are in a table with transactions.
    pub written: Written,
    /// Rows that good operators have written of windows that are closed for good.
    pub closed: BTreeMap<rows::Group, i64>,
    /// Things that each host keeps for itself.
    pub kept: Vec<Kept>,
    /// The host that does something.
    pub me: usize,
    pub letters: BTreeMap<LetterId, DeadLetter>,
    pub group: Group,
    /// Table in which rows are looked up.
    pub dimension: Dimension,
    pub pipeline: Pipeline,
    /// A record at fault stops the pipeline, until somebody changes that.
    pub stops: bool,
    /// The newest file of the operator.
    pub newest: Version,
    /// Number of bytes that the fold may keep in memory.
    pub memory: usize,
    /// True once nothing fails any more.
    pub calm: bool,
    pub trace: Vec<String>,
}

/// Things that a host keeps for itself, whatever becomes of its process.
pub struct Kept {
    pub disk: Arc<Disk>,
    /// The auditor's book as of the last commit.
    pub book: Book,
    /// An operator that was rolled back and is not to be tried again.
    pub shunned: Option<Version>,
    /// The group has said that it may write, and it hasn't written since.
    pub leased: bool,
}

/// A table of the database.
#[derive(Debug, Clone, Default)]
pub struct Table {
    pub name: String,
    /// Number of times that it was made.
    pub made: u64,
    pub rows: BTreeMap<rows::Group, i64>,
    /// Rows that were ever inserted, of a table without a key.
    pub inserted: Vec<Row>,
    /// Watermark when the table was made: what was over by then is in no state any more.
    pub shown_since: Option<i64>,
}

/// Luck of an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Luck {
    Good,
    /// The effect did not happen, and an error was answered.
    Before,
    /// The effect happened in part or whole, and an error was answered.
    After,
}

impl Kept {
    fn new(pipeline: Pipeline, partitions: usize) -> Kept {
        let book = Book::new(pipeline, partitions);
        Kept { disk: Arc::new(Disk::default()), book, shunned: None, leased: false }
    }
}

impl World {
    pub fn new(seed: u64) -> World {
        let mut rng = Rng::with_seed(seed);
        let partitions = rng.usize(1..=4);
        let pipeline = Pipeline::any(&mut rng);
        let table = |number| Table { name: format!("table {number}"), ..Table::default() };
        World {
            topic: vec![Vec::new(); partitions],
            silent: partitions,
            clock: Duration::ZERO,
            tables: (0..pipeline.sinks).map(table).collect(),
            written: Written::default(),
            closed: BTreeMap::new(),
            kept: (0..pipeline.hosts).map(|_| Kept::new(pipeline, partitions)).collect(),
            me: 0,
            letters: BTreeMap::new(),
            group: Group::new(&mut rng, pipeline.hosts, partitions, pipeline.want()),
            dimension: Dimension::default(),
            pipeline,
            stops: rng.u8(0..4) == 0,
            newest: Version::FIRST,
            // From "every committed group leaves", or "no window has room", to "all stay".
            memory: *rng.choice([1, 2_000, usize::MAX].iter()).unwrap_or(&1),
            calm: false,
            trace: Vec::new(),
            rng,
        }
    }

    /// The clock moves.
    pub fn tick(&mut self) {
        self.clock += UNIT.mul_f64(self.rng.f64() * 20.0);
    }

    /// Returns the time by the host's clocks, for a run that began at this moment.
    pub fn now(&self, begun: Duration) -> Now {
        Now { since: self.clock - begun, micros: self.micros() }
    }

    /// The calendar's time.
    pub fn micros(&self) -> i64 {
        i64::try_from(self.clock.as_micros() / UNIT.as_micros()).unwrap()
    }

    /// Writes records to the topic, as their producers do.
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
        let (key, time) = match self.pipeline.shape {
            // Without a fold the last row of a key wins, which only means something within a partition.
            Shape::Rows => (self.rng.i64(0..40) * 4 + partition, None),
            Shape::Sums => (self.rng.i64(0..40) * 4, None),
            Shape::Windows(_) => (self.rng.i64(0..6), self.time()),
        };
        let value = (self.rng.u8(0..60) > 0).then(|| self.rng.i64(-50..50));
        Record { key, value, time }
    }

    /// Returns the time at which a record is said to have been made: in most cases not long ago.
    fn time(&mut self) -> Option<i64> {
        let now = self.micros();
        match self.rng.u16(0..400) {
            0..10 => None,
            10..20 => Some(i64::MAX),
            // A clock is ahead: what comes in time is late for a while.
            20..22 => Some(now + self.rng.i64(0..300)),
            22..80 => Some(now - self.rng.i64(0..500)),
            _ => Some(now - self.rng.i64(0..30)),
        }
    }

    /// Returns what is kept by the host that does something.
    pub fn mine(&mut self) -> &mut Kept {
        &mut self.kept[self.me]
    }

    /// The auditor's book as of the last commit, of this host or, where all hosts go on from the rows, of all.
    pub fn book(&self) -> &Book {
        &self.kept[self.book_of()].book
    }

    fn book_of(&self) -> usize {
        if self.goes_on_from_rows() { 0 } else { self.me }
    }

    fn keep_book(&mut self, book: &Book) {
        let host = self.book_of();
        self.kept[host].book.clone_from(book);
    }

    /// Lets the group's coordinator move partitions, and forget hosts that it doesn't hear from for too long. It doesn't forget one that
    /// was just told that it may write: that holds for as long as a write takes.
    pub fn move_partitions(&mut self, has_run: impl Fn(usize) -> bool) {
        if self.happens(30) {
            self.group.rebalance(&mut self.rng);
        }
        let host = self.rng.usize(0..self.kept.len());
        if self.kept.len() > 1 && self.happens(60) && !self.kept[host].leased {
            self.note(&format!("host {host} is expelled"));
            self.group.lose(host);
        }
        let impatient = self.happens(40);
        let kept = &self.kept;
        self.group.hand_on(|host| !has_run(host) || impatient && !kept[host].leased);
    }

    /// Names another table now and then, which is empty; a fold has to write all of its groups there.
    pub fn change_sink(&mut self) {
        // What windows that are over have shown is gone for good: there the auditor would soon have little to compare.
        let odds = if self.pipeline.shape.windows().is_some() { 12 } else { 3 };
        if self.pipeline.shape.folds() && !self.pipeline.transaction && self.kept.len() == 1 && self.happens(odds) {
            let name = format!("table {}", self.trace.len());
            self.tables[0] = Table { name, shown_since: self.watermark(), ..Table::default() };
            self.note("another sink");
        }
    }

    /// Deploys another version; a file that was rolled back may be tried again once another was there.
    pub fn deploy(&mut self, version: Version) {
        self.note(&format!("deploys {version:?}"));
        self.newest = version;
        self.kept.iter_mut().for_each(|kept| kept.shunned = kept.shunned.filter(|shunned| *shunned == version));
    }

    /// The checkpoint, as a host reads it that begins.
    pub fn head(&self) -> Option<Checkpoint> {
        self.kept[self.me].disk.head(PIPELINE).ok().flatten()
    }

    /// Returns the watermark at the last commit.
    pub fn watermark(&self) -> Option<i64> {
        self.head().and_then(|head| head.event_times.watermark)
    }

    /// Has the checkpoint say from now on that all groups are to be written again.
    pub fn resync(&mut self) {
        self.note("all groups are to be written again");
        if let Some(head) = self.head().filter(|head| head.form.is_some()) {
            let head = Checkpoint { refreshing: true, ..head };
            self.mine().disk.kept.commit(PIPELINE, &head, &Changes::default()).unwrap();
        }
    }

    /// Gives the fold twice the memory, since the windows needed more.
    pub fn raise_memory(&mut self) {
        self.memory *= 2;
        self.note(&format!("{} bytes of memory", self.memory));
    }

    pub fn calm_down(&mut self) {
        self.calm = true;
        self.stops = false;
        self.dimension.set_away(false);
        self.kept.iter().for_each(|kept| kept.disk.set_away(false));
        self.note("peace");
    }

    pub fn note(&mut self, what: &str) {
        self.trace.push(format!("{}: {what}", self.me));
    }

    /// Returns the last steps that were noted.
    pub fn last_words(&self) -> &[String] {
        &self.trace[self.trace.len().saturating_sub(LAST_WORDS)..]
    }

    /// Returns true once in `odds`, while there is no peace.
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

    /// Asks whether the source's server answers.
    pub fn source(&mut self) -> Result<(), SourceError> {
        if self.happens(12) { Err(SourceError::Unavailable("the broker is away".to_owned())) } else { Ok(()) }
    }

    /// Asks whether this host may write of the share of this epoch. It mostly may while that is its own; now and then there is no answer.
    /// The question is to commit again what the group was told.
    pub fn lease(&mut self, epoch: u64, told: &BTreeMap<Partition, Offset>) -> Result<(), LeaseError> {
        if self.happens(60) || !self.group.may_write(self.me, epoch) {
            return Err(LeaseError::Lost("others have the partitions".to_owned()));
        }
        if self.happens(12) {
            return Err(LeaseError::Unknown("no coordinator".to_owned()));
        }
        self.mine().leased = true;
        self.group.commit(told);
        Ok(())
    }

    /// Writes rows as absolute values; after bad luck only some of them are there. A server refuses all of them for one.
    pub fn upsert(&mut self, sink: usize, columns: &Rows) -> Result<(), SinkError> {
        let rows = rows(&columns.columns);
        if !self.refused(sink, &rows).is_empty() {
            return Err(SinkError::Rows("a check says no".to_owned()));
        }
        if self.happens(200) {
            return Err(SinkError::Unusable("somebody dropped a column".to_owned()));
        }
        if self.pipeline.shape.folds() && self.happens(200) {
            self.note("a table was made anew");
            let made = Table { shown_since: self.watermark(), ..Table::default() };
            let before = std::mem::replace(&mut self.tables[sink], made);
            (self.tables[sink].name, self.tables[sink].made) = (before.name, before.made + 1);
            return Err(SinkError::Replaced("another table".to_owned()));
        }
        let luck = self.luck();
        let written = match luck {
            Luck::Good => rows.len(),
            Luck::Before => 0,
            Luck::After => self.rng.usize(0..=rows.len()),
        };
        self.tables[sink].rows.extend(rows.iter().take(written).copied());
        self.note(&format!("upsert {written} of {} rows into {sink}, {luck:?}", rows.len()));
        answer(luck)
    }

    /// Takes the rows of groups that have ended away; after bad luck only some of them.
    pub fn tombstones(&mut self, sink: usize, keys: &Rows) -> Result<(), SinkError> {
        assert!(sink == 0 && self.pipeline.tombstones && keys.rows > 0, "only who asks is told, and of something");
        let luck = self.luck();
        let written = match luck {
            Luck::Good => keys.rows,
            Luck::Before => 0,
            Luck::After => self.rng.usize(0..=keys.rows),
        };
        for group in rows::groups(&keys.columns).iter().take(written) {
            self.tables[sink].rows.remove(group);
        }
        self.note(&format!("{written} of {} tombstones, {luck:?}", keys.rows));
        answer(luck)
    }

    /// The rows that a server refuses.
    pub fn refused(&self, sink: usize, rows: &[Row]) -> Vec<Refused> {
        let refuses = sink == 0 && self.pipeline.has_refusals();
        let refused = rows.iter().enumerate().filter(|(_, (_, value))| refuses && *value == REFUSED);
        refused.map(|(row, _)| Refused { row, reason: "no".to_owned() }).collect()
    }

    /// Writes rows, letters and intervals at once, or nothing; and only once, however often it is asked to.
    pub fn transact(
        &mut self,
        sink: usize,
        columns: &Rows,
        letters: &[DeadLetter],
        (before, after): (&Written, &Written),
        book: &Book,
    ) -> Result<(), SinkError> {
        let rows = rows(&columns.columns);
        if !self.refused(sink, &rows).is_empty() {
            return Err(SinkError::Rows("a check says no".to_owned()));
        }
        let luck = self.luck();
        self.note(&format!("transaction of {} rows, {luck:?}", rows.len()));
        if luck == Luck::Before {
            return answer(luck);
        }
        if self.written != *after || before == after {
            assert_eq!(self.written, *before, "a transaction begins where the one before ended");
            // With little memory, states that are behind their rows have to be written before they have caught up.
            let goes_on = after.intervals.reaches(&before.intervals.ends());
            assert!(goes_on || self.memory < usize::MAX, "rows never go back");
            let table = &mut self.tables[sink];
            table.rows.extend(rows.iter().copied());
            if self.pipeline.inserts() {
                table.inserted.extend(rows);
            }
            self.written = after.clone();
            if self.goes_on_from_rows() {
                self.keep_book(book);
            }
            self.keep(letters);
        }
        answer(luck)
    }

    /// Says whether a host that begins goes on from where its rows are, and not from where its checkpoint is.
    pub fn goes_on_from_rows(&self) -> bool {
        self.pipeline.transaction && !self.pipeline.shape.folds()
    }

    /// Keeps letters, each in the place of the one of the same record.
    pub fn write_letters(&mut self, letters: &[DeadLetter]) -> Result<(), SinkError> {
        let luck = self.luck();
        let kept = match luck {
            Luck::Good => letters.len(),
            Luck::Before => 0,
            Luck::After => self.rng.usize(0..=letters.len()),
        };
        self.note(&format!("{kept} of {} letters, {luck:?}", letters.len()));
        self.keep(&letters[..kept]);
        answer(luck)
    }

    fn keep(&mut self, letters: &[DeadLetter]) {
        self.letters.extend(letters.iter().map(|letter| (letter.id.clone(), letter.clone())));
    }

    pub fn remove_letters(&mut self, ids: &[LetterId]) -> Result<(), SinkError> {
        let luck = self.luck();
        if luck != Luck::Before {
            self.letters.retain(|id, _| !ids.contains(id));
        }
        self.note(&format!("{} letters are removed, {luck:?}", ids.len()));
        answer(luck)
    }

    /// Says whether hosts read partitions of their own, of which others have read what comes before.
    pub fn shares_partitions(&self) -> bool {
        self.pipeline.want() == Want::Any && self.kept.len() > 1
    }

    /// Marks some letters to be driven through again.
    pub fn mark_letters(&mut self) {
        for letter in self.letters.values_mut() {
            letter.retry |= self.rng.u8(0..3) == 0;
        }
    }

    /// Commits; after bad luck it may have happened all the same.
    pub fn commit(
        &mut self,
        head: &Checkpoint,
        changes: &Changes,
        book: &Book,
    ) -> Result<(), sluice_core::checkpoint::StoreError> {
        let luck = self.luck();
        if luck != Luck::Before {
            self.mine().disk.kept.commit(PIPELINE, head, changes)?;
            if !self.goes_on_from_rows() {
                self.keep_book(book);
            }
        }
        self.note(&format!("commit {} of {} groups, {luck:?}", head.commits, changes.len()));
        if luck == Luck::Good { Ok(()) } else { Err(Disk::full()) }
    }

    /// Returns the end of each partition.
    pub fn ends(&self) -> BTreeMap<Partition, Offset> {
        let end = |(number, records): (i32, &Vec<Record>)| (Partition(number), Offset(0).advanced(records.len()));
        (0..).zip(&self.topic).map(end).collect()
    }

    /// Returns the end of each partition of a share.
    pub fn ends_of(&self, share: &Share) -> BTreeMap<Partition, Offset> {
        let mut ends = self.ends();
        ends.retain(|partition, _| share.partitions.contains(partition));
        ends
    }
}

fn answer(luck: Luck) -> Result<(), SinkError> {
    if luck == Luck::Good { Ok(()) } else { Err(SinkError::Unavailable("no answer".to_owned())) }
}
