//! Dead letters: what is kept of a record that was left out, so that people can see why and drive it through again.
//!
//! A letter is known by its record's place, so that writing it again, as happens after a crash, changes nothing.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, BooleanArray, Int64Array, StringArray, TimestampMicrosecondArray};
use serde::{Deserialize, Serialize};

use crate::interval::{Interval, Offset, Partition};
use crate::records::Records;
use crate::rejected::Stage;
use crate::schema::{Field, Kind};
use crate::time;

/// The most letters that are held before they are written. Fewer: flushes of a few rows while a producer is broken. More:
/// memory, and a long flush.
pub const MAX_HELD: usize = 10_000;

/// The most bytes of letters that are held before they are written; a batch's own come on top, of 16 MiB at most.
pub const MAX_HELD_BYTES: usize = 8 << 20;

/// The longest reason that is kept, in bytes: a sentence or two, and what an operator may say of a row.
pub const MAX_REASON_BYTES: usize = 1024;

/// Character between a topic's name and the identity of an earlier topic of that name, in the letters of the earlier topic. No
/// topic's name contains it.
const SET_ASIDE: char = '@';

/// Number of characters of the identity that are added. With the longest name of a topic the result is as long as a table's
/// column.
const SET_ASIDE_CHARS: usize = 5;

/// Beginning of the reason of a letter whose record could not be stored in the place for letters. Such a letter can't be
/// processed again.
pub const WITHOUT_RECORD: &str = "(kept without its record";

/// Longest part of the message from the place for letters that such a reason repeats, in bytes. The rest of the space is for the
/// letter's own reason.
const MAX_PLACE_WORDS: usize = 300;

/// The partition of a letter that has no record.
const NO_PARTITION: Partition = Partition(-1);

/// Identity of a letter within its pipeline: the place of its record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LetterId {
    /// The record's topic; empty for a group's letter.
    pub topic: String,
    /// The record's partition; -1 for a group's letter.
    pub partition: Partition,
    /// The record's offset; a hash of the key for a group's letter.
    pub offset: Offset,
}

impl LetterId {
    /// Makes the identity of the letter for a fold's group that a table can't take. The group comes from many records, so no
    /// single record stands for it. `key` is the group's key as text; the same key always gives the same identity.
    pub fn of_group(key: &str) -> LetterId {
        // FNV-1a: the hash must be the same in every version and on every machine.
        let hash = key
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        LetterId { topic: String::new(), partition: NO_PARTITION, offset: Offset((hash >> 1) as i64) }
    }

    /// Returns the identity for the letter after another topic has taken the name of its topic, so that letters of the two topics
    /// don't replace each other. `identity` tells the topics apart.
    pub fn set_aside(&self, identity: &str) -> LetterId {
        let told: String = identity.chars().take(SET_ASIDE_CHARS).collect();
        LetterId { topic: format!("{}{SET_ASIDE}{told}", self.topic), ..self.clone() }
    }

    /// Returns true if the letter has a record that can be processed again.
    pub fn has_record(&self) -> bool {
        self.partition != NO_PARTITION
    }
}

/// A record that was left out, with why and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Identity of the letter.
    pub id: LetterId,
    /// The record's key, as it was.
    pub key: Option<Vec<u8>>,
    /// The record's value, as it was.
    pub value: Option<Vec<u8>>,
    /// Time when the record was made, in microseconds since 1970-01-01T00:00:00 UTC, if its source knew.
    pub timestamp: Option<i64>,
    /// Stage at which the record was refused.
    pub stage: Stage,
    /// Reason why the record was left out.
    pub reason: String,
    /// SHA-256 of the operator that refused the record, in hexadecimal; none where no operator did.
    pub operator: Option<String>,
    /// Time when the record was left out, in microseconds since 1970-01-01T00:00:00 UTC.
    pub time: i64,
    /// True if somebody asked to process the record again.
    pub retry: bool,
}

impl DeadLetter {
    /// Leaves out the record's key and value, which a place for letters can't store for this reason.
    pub fn leave_record_out(&mut self, why: &str) {
        let size = |bytes: &mut Option<Vec<u8>>| bytes.take().map_or(0, |bytes| bytes.len());
        let bytes = size(&mut self.key) + size(&mut self.value);
        let why = &why[..why.floor_char_boundary(MAX_PLACE_WORDS)];
        self.reason = format!("{WITHOUT_RECORD} of {bytes} bytes: {why}) {}", self.reason);
        self.reason.truncate(self.reason.floor_char_boundary(MAX_REASON_BYTES));
    }

    /// Returns the approximate memory that the letter takes, in bytes.
    pub fn bytes(&self) -> usize {
        let optional = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        size_of::<DeadLetter>() + self.id.topic.len() + optional(&self.key) + optional(&self.value) + self.reason.len()
    }
}

/// Reason and time of leaving a record out.
#[derive(Debug, Clone, Copy)]
pub struct Cause<'a> {
    /// Stage at which the record was refused.
    pub stage: Stage,
    /// Reason why the record was left out.
    pub reason: &'a str,
    /// SHA-256 of the operator that refused the record.
    pub operator: Option<&'a str>,
    /// Microseconds since 1970-01-01T00:00:00 UTC.
    pub time: i64,
}

/// The letters that wait for the next flush; of a record the latest.
#[derive(Debug, Default)]
pub struct DeadLetters {
    letters: BTreeMap<LetterId, DeadLetter>,
    bytes: usize,
}

impl DeadLetters {
    /// Adds the letter of a record.
    pub fn add_record(&mut self, records: &dyn Records, record: usize, cause: Cause<'_>) {
        let (partition, offset) = records.position(record);
        let id = LetterId { topic: records.letter_topic().to_owned(), partition, offset };
        let (key, value) = (records.key(record), records.value(record));
        self.add(DeadLetter {
            key: key.map(<[u8]>::to_vec),
            value: value.map(<[u8]>::to_vec),
            timestamp: records.timestamp(record),
            ..letter(id, cause)
        });
    }

    /// Adds the letter of a fold's group, whose reason names the key.
    pub fn add_group(&mut self, key: &str, cause: Cause<'_>) {
        let reason = format!("the group ({key}): {}", cause.reason);
        self.add(letter(LetterId::of_group(key), Cause { reason: &reason, ..cause }));
    }

    fn add(&mut self, letter: DeadLetter) {
        self.bytes += letter.bytes();
        if let Some(before) = self.letters.insert(letter.id.clone(), letter) {
            self.bytes -= before.bytes();
        }
    }

    /// Returns the number of letters.
    pub fn len(&self) -> usize {
        self.letters.len()
    }

    /// Returns true if there are no letters.
    pub fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }

    /// Returns true if the letters should be written before more are added.
    pub fn is_full(&self) -> bool {
        self.letters.len() >= MAX_HELD || self.bytes >= MAX_HELD_BYTES
    }

    /// Takes all of them, in the order of their places.
    pub fn take(&mut self) -> Vec<DeadLetter> {
        self.bytes = 0;
        std::mem::take(&mut self.letters).into_values().collect()
    }
}

fn letter(id: LetterId, cause: Cause<'_>) -> DeadLetter {
    let mut reason = cause.reason.to_owned();
    reason.truncate(reason.floor_char_boundary(MAX_REASON_BYTES));
    DeadLetter {
        id,
        key: None,
        value: None,
        timestamp: None,
        stage: cause.stage,
        reason,
        operator: cause.operator.map(str::to_owned),
        time: cause.time,
        retry: false,
    }
}

/// The columns of a table of letters. Names that no database reserves, so that people needn't quote them.
pub fn fields() -> Vec<Field> {
    let fields = [
        ("pipeline", Kind::Utf8),
        ("topic", Kind::Utf8),
        ("record_partition", Kind::Int64),
        ("record_offset", Kind::Int64),
        ("record_time", Kind::Timestamp),
        ("record_key", Kind::Binary),
        ("record_value", Kind::Binary),
        ("stage", Kind::Utf8),
        ("reason", Kind::Utf8),
        ("operator", Kind::Utf8),
        ("rejected_at", Kind::Timestamp),
        ("retry", Kind::Boolean),
    ];
    fields.map(|(name, kind)| Field::new(name, kind)).to_vec()
}

/// The columns that identify a row of a table of letters: two texts, which fit an index of InnoDB at their longest.
pub const KEY: [&str; 4] = ["pipeline", "topic", "record_partition", "record_offset"];

/// Text before a time that no table can hold, at the end of a reason.
const BEYOND: &str = "; the record's time in microseconds since 1970 is ";

/// The reason as a table has it: with the record's time, if no column of a table holds that.
fn written_reason(letter: &DeadLetter) -> Cow<'_, str> {
    match letter.timestamp.filter(|micros| !time::in_calendar(*micros)) {
        Some(micros) => format!("{}{BEYOND}{micros}", letter.reason).into(),
        None => letter.reason.as_str().into(),
    }
}

/// The reason and the record's time out of what a table has.
pub fn read_reason(reason: String, timestamp: Option<i64>) -> (String, Option<i64>) {
    let beyond = reason.rsplit_once(BEYOND).and_then(|(reason, micros)| Some((reason, micros.parse().ok()?)));
    match beyond.filter(|(_, micros)| timestamp.is_none() && !time::in_calendar(*micros)) {
        Some((said, micros)) => (said.to_owned(), Some(micros)),
        None => (reason, timestamp),
    }
}

/// A pipeline's letters as rows of [`fields`].
pub fn columns(pipeline: &str, letters: &[DeadLetter]) -> Vec<ArrayRef> {
    fn column<'a, A: FromIterator<T> + arrow_array::Array + 'static, T>(
        letters: &'a [DeadLetter],
        value: impl Fn(&'a DeadLetter) -> T,
    ) -> ArrayRef {
        Arc::new(letters.iter().map(value).collect::<A>())
    }
    vec![
        column::<StringArray, _>(letters, |_| Some(pipeline)),
        column::<StringArray, _>(letters, |letter| Some(letter.id.topic.as_str())),
        column::<Int64Array, _>(letters, |letter| Some(i64::from(letter.id.partition.0))),
        column::<Int64Array, _>(letters, |letter| Some(letter.id.offset.0)),
        column::<TimestampMicrosecondArray, _>(letters, |letter| {
            letter.timestamp.filter(|micros| time::in_calendar(*micros))
        }),
        column::<BinaryArray, _>(letters, |letter| letter.key.as_deref()),
        column::<BinaryArray, _>(letters, |letter| letter.value.as_deref()),
        column::<StringArray, _>(letters, |letter| Some(letter.stage.to_string())),
        column::<StringArray, _>(letters, |letter| Some(written_reason(letter))),
        column::<StringArray, _>(letters, |letter| letter.operator.as_deref()),
        column::<TimestampMicrosecondArray, _>(letters, |letter| Some(letter.time)),
        column::<BooleanArray, _>(letters, |letter| Some(letter.retry)),
    ]
}

/// Records of dead letters of one topic, to be processed again. They account for no offsets: those were consumed when the records
/// were left out.
#[derive(Debug)]
pub struct RetriedRecords {
    letters: Vec<DeadLetter>,
}

impl RetriedRecords {
    /// Cuts the letters into runs of the same topic. Each letter must have a record.
    pub fn by_topic(letters: Vec<DeadLetter>) -> Vec<RetriedRecords> {
        let mut runs: Vec<RetriedRecords> = Vec::new();
        for letter in letters {
            match runs.last_mut().filter(|run| run.letter_topic() == letter.id.topic) {
                Some(run) => run.letters.push(letter),
                None => runs.push(RetriedRecords { letters: vec![letter] }),
            }
        }
        runs
    }
}

impl Records for RetriedRecords {
    fn len(&self) -> usize {
        self.letters.len()
    }

    fn topic(&self) -> &str {
        self.letter_topic().split(SET_ASIDE).next().unwrap_or_default()
    }

    fn letter_topic(&self) -> &str {
        self.letters.first().map_or("", |letter| &letter.id.topic)
    }

    fn value(&self, i: usize) -> Option<&[u8]> {
        self.letters[i].value.as_deref()
    }

    fn key(&self, i: usize) -> Option<&[u8]> {
        self.letters[i].key.as_deref()
    }

    fn position(&self, i: usize) -> (Partition, Offset) {
        (self.letters[i].id.partition, self.letters[i].id.offset)
    }

    fn timestamp(&self, i: usize) -> Option<i64> {
        self.letters[i].timestamp
    }

    fn intervals(&self) -> &[(Partition, Interval)] {
        &[]
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::Array;
    use arrow_array::cast::AsArray;
    use proptest::prelude::*;

    use super::*;

    fn letters() -> impl Strategy<Value = Vec<DeadLetter>> {
        let bytes = || prop::option::of(prop::collection::vec(any::<u8>(), 0..20));
        let letter = ("[ab]", 0i32..2, 0i64..5, bytes(), bytes(), any::<Option<i64>>(), any::<i64>());
        let letter = letter.prop_map(|(topic, partition, offset, key, value, timestamp, time)| DeadLetter {
            id: LetterId { topic, partition: Partition(partition), offset: Offset(offset) },
            key,
            value,
            timestamp,
            stage: Stage::Decode,
            reason: "bad".to_owned(),
            operator: None,
            time,
            retry: false,
        });
        prop::collection::vec(letter, 0..40)
    }

    fn cause(reason: &str) -> Cause<'_> {
        Cause { stage: Stage::Sink, reason, operator: None, time: 0 }
    }

    proptest! {
        #[test]
        fn a_retried_letter_becomes_the_same_letter_again(letters in letters()) {
            let mut held = DeadLetters::default();
            let mut latest = BTreeMap::new();
            for records in RetriedRecords::by_topic(letters.clone()) {
                for record in 0..records.len() {
                    let time = records.letters[record].time;
                    held.add_record(&records, record, Cause { stage: Stage::Decode, time, ..cause("bad") });
                }
            }
            letters.into_iter().for_each(|letter| drop(latest.insert(letter.id.clone(), letter)));
            prop_assert_eq!(held.len(), latest.len());
            prop_assert_eq!(held.take(), latest.into_values().collect::<Vec<_>>());
            prop_assert!(held.is_empty());
        }

        #[test]
        fn rows_of_letters_are_as_a_table_of_letters_has_them(letters in letters()) {
            let columns = columns("p", &letters);
            let kinds: Vec<_> = columns.iter().map(|column| Kind::of(column.data_type())).collect();
            prop_assert_eq!(kinds, fields().iter().map(|field| Some(field.kind)).collect::<Vec<_>>());
            prop_assert!(columns.iter().all(|column| column.len() == letters.len()));
        }

        #[test]
        fn what_is_held_counts_each_letter_once(letters in letters()) {
            let mut held = DeadLetters::default();
            letters.into_iter().for_each(|letter| held.add(letter));
            let bytes: usize = held.letters.values().map(DeadLetter::bytes).sum();
            prop_assert_eq!(held.bytes, bytes);
        }
    }

    #[test]
    fn a_letter_that_was_set_aside_is_driven_through_as_a_record_of_its_topic_and_keeps_its_place() {
        let id = LetterId { topic: "gifts".to_owned(), partition: Partition(0), offset: Offset(3) };
        let letters = [DeadLetter { id: id.set_aside("hV7bQ9xyz"), ..letter(id.clone(), cause("bad")) }];
        let records = RetriedRecords::by_topic(letters.to_vec()).remove(0);
        assert_eq!((records.topic(), records.letter_topic()), ("gifts", "gifts@hV7bQ"));
        let mut held = DeadLetters::default();
        held.add_record(&records, 0, cause("bad"));
        let again = &held.take()[0].id;
        assert_eq!(*again, letters[0].id);
        assert_ne!(*again, id);
    }

    #[test]
    fn letters_are_full_by_bytes_before_they_are_by_number() {
        let mut held = DeadLetters::default();
        let big = DeadLetter { value: Some(vec![0; MAX_HELD_BYTES]), ..letter(LetterId::of_group("a"), cause("")) };
        assert!(!held.is_full());
        held.add(big);
        assert!(held.is_full());
    }

    #[test]
    fn a_groups_letter_has_no_record_and_is_the_same_for_the_same_key() {
        assert_eq!(LetterId::of_group("a, 1"), LetterId::of_group("a, 1"));
        assert_ne!(LetterId::of_group("a, 1"), LetterId::of_group("a, 2"));
        assert!(!LetterId::of_group("a").has_record());
        let mut held = DeadLetters::default();
        held.add_group("a, 1", cause("`n` is null"));
        assert_eq!(held.take()[0].reason, "the group (a, 1): `n` is null");
    }

    #[test]
    fn a_time_that_no_table_holds_is_kept_in_the_reason_and_read_back() {
        let id = LetterId::of_group("a");
        for (timestamp, kept) in
            [(Some(i64::MAX), true), (Some(253_402_300_800_000_000), true), (Some(0), false), (None, false)]
        {
            let letter = DeadLetter { timestamp, ..letter(id.clone(), cause("bad")) };
            let columns = columns("p", std::slice::from_ref(&letter));
            assert_eq!(columns[4].is_null(0), kept || timestamp.is_none());
            let reason = columns[8].as_string::<i32>().value(0).to_owned();
            assert_eq!(reason != "bad", kept);
            let in_table = timestamp.filter(|_| !kept);
            assert_eq!(read_reason(reason, in_table), ("bad".to_owned(), timestamp));
        }
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let letter = letter(LetterId::of_group("a"), cause(&"é".repeat(MAX_REASON_BYTES)));
        assert_eq!(letter.reason, "é".repeat(MAX_REASON_BYTES / 2));
    }
}
