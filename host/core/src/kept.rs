//! Copies of records that must live longer than their source's buffers.

use std::ops::Range;

use crate::interval::{Interval, Offset, Partition};
use crate::records::Records;

/// Copies of some records of a batch, kept for as long as a fault may still be found in the rows that were made of them. They
/// account for no offsets.
#[derive(Debug, Default)]
pub struct KeptRecords {
    topic: String,
    letter_topic: String,
    records: Vec<KeptRecord>,
    /// The keys and values, one after the other.
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct KeptRecord {
    position: (Partition, Offset),
    timestamp: Option<i64>,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
}

impl KeptRecords {
    /// Copies these records; unless `whole`, only their topic and position.
    pub fn of(records: &dyn Records, which: &[usize], whole: bool) -> KeptRecords {
        let bytes = |record: &usize| {
            let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
            length(records.key(*record)) + length(records.value(*record))
        };
        // Growing by and by would copy all of it again, into pages that the kernel has to clear first.
        let all = if whole { which.iter().map(bytes).sum() } else { 0 };
        let mut kept = KeptRecords {
            topic: records.topic().to_owned(),
            letter_topic: records.letter_topic().to_owned(),
            records: Vec::with_capacity(which.len()),
            bytes: Vec::with_capacity(all),
        };
        for record in which {
            let position = records.position(*record);
            let (mut key, mut value, mut timestamp) = (None, None, None);
            if whole {
                (key, value) = (kept.copy(records.key(*record)), kept.copy(records.value(*record)));
                timestamp = records.timestamp(*record);
            }
            kept.records.push(KeptRecord { position, timestamp, key, value });
        }
        kept
    }

    fn copy(&mut self, bytes: Option<&[u8]>) -> Option<Range<usize>> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes?);
        Some(start..self.bytes.len())
    }

    fn slice(&self, range: &Option<Range<usize>>) -> Option<&[u8]> {
        self.bytes.get(range.clone()?)
    }
}

impl Records for KeptRecords {
    fn len(&self) -> usize {
        self.records.len()
    }

    fn topic(&self) -> &str {
        &self.topic
    }

    fn letter_topic(&self) -> &str {
        &self.letter_topic
    }

    fn memory(&self) -> usize {
        self.bytes.capacity() + self.records.capacity() * size_of::<KeptRecord>()
    }

    fn value(&self, i: usize) -> Option<&[u8]> {
        self.slice(&self.records[i].value)
    }

    fn key(&self, i: usize) -> Option<&[u8]> {
        self.slice(&self.records[i].key)
    }

    fn position(&self, i: usize) -> (Partition, Offset) {
        self.records[i].position
    }

    fn timestamp(&self, i: usize) -> Option<i64> {
        self.records[i].timestamp
    }

    fn intervals(&self) -> &[(Partition, Interval)] {
        &[]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Key, value, time.
    type Parts<T> = (Option<T>, Option<T>, Option<i64>);

    struct Several(Vec<Parts<Vec<u8>>>);

    impl Records for Several {
        fn len(&self) -> usize {
            self.0.len()
        }
        fn topic(&self) -> &str {
            "t"
        }
        fn value(&self, i: usize) -> Option<&[u8]> {
            self.0[i].1.as_deref()
        }
        fn key(&self, i: usize) -> Option<&[u8]> {
            self.0[i].0.as_deref()
        }
        fn position(&self, i: usize) -> (Partition, Offset) {
            (Partition(3), Offset(i as i64))
        }
        fn timestamp(&self, i: usize) -> Option<i64> {
            self.0[i].2
        }
        fn intervals(&self) -> &[(Partition, Interval)] {
            &[]
        }
    }

    fn all(records: &dyn Records, i: usize) -> (Parts<&[u8]>, (Partition, Offset)) {
        ((records.key(i), records.value(i), records.timestamp(i)), records.position(i))
    }

    proptest! {
        #[test]
        fn what_is_kept_is_what_was_there(
            records in prop::collection::vec(
                (any::<Option<Vec<u8>>>(), any::<Option<Vec<u8>>>(), any::<Option<i64>>()), 1..20,
            ),
            which in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let which: Vec<usize> = which.into_iter().map(|index| index.index(records.len())).collect();
            let records = Several(records);
            let kept = KeptRecords::of(&records, &which, true);
            prop_assert_eq!((kept.len(), kept.topic()), (which.len(), "t"));
            for (place, record) in which.iter().enumerate() {
                prop_assert_eq!(all(&kept, place), all(&records, *record));
            }
        }
    }
}
