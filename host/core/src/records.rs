//! Records as a source gave them: slices of buffers that the source owns.

use std::collections::BTreeMap;

use crate::interval::{Interval, Offset, Partition};

/// Batch of records of one topic, in the order of their offsets within each partition.
///
/// A source hands over whole batches; the slices point into its buffers (a broker's response, a file's block), so that
/// no record is copied or becomes an object before it is decoded.
pub trait Records: Send + Sync {
    /// Returns the number of records.
    fn len(&self) -> usize;

    /// Returns true if there is no record. There may still be intervals, of offsets that held no record.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the topic of the records.
    fn topic(&self) -> &str;

    /// Returns the topic under which letters about these records are kept. It differs from [`Records::topic`] for records of a
    /// topic that was made anew since.
    fn letter_topic(&self) -> &str {
        self.topic()
    }

    /// The payload of record `i`; none for a record without one (Kafka's tombstone).
    fn value(&self, i: usize) -> Option<&[u8]>;

    /// The key of record `i`.
    fn key(&self, i: usize) -> Option<&[u8]>;

    /// The partition and offset of record `i`.
    fn position(&self, i: usize) -> (Partition, Offset);

    /// Returns the time when record `i` was made, in microseconds since 1970-01-01T00:00:00 UTC, if the source knows.
    fn timestamp(&self, i: usize) -> Option<i64>;

    /// Returns the number of bytes in all keys and values. Called once for each batch that a source hands over, so that a source should
    /// know it without a walk.
    fn bytes(&self) -> usize {
        let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        (0..self.len()).map(|i| length(self.key(i)) + length(self.value(i))).sum()
    }

    /// Returns the approximate memory that the records take, in bytes.
    fn memory(&self) -> usize {
        self.bytes()
    }

    /// Returns the offsets that these records account for, gaps included, for each partition that advanced.
    fn intervals(&self) -> &[(Partition, Interval)];
}

/// Returns the part of the records' intervals that is consumed once the records before `next` are.
pub fn consumed(records: &dyn Records, next: usize) -> Vec<(Partition, Interval)> {
    let mut consumed = records.intervals().to_vec();
    let mut cut: BTreeMap<Partition, Offset> = BTreeMap::new();
    for (partition, offset) in (next..records.len()).map(|i| records.position(i)) {
        cut.entry(partition).or_insert(offset);
    }
    for (partition, interval) in &mut consumed {
        if let Some(shorter) = cut.get(partition).and_then(|end| Interval::new(interval.start(), *end)) {
            *interval = shorter;
        }
    }
    consumed
}
