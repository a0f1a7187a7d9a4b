//! Parts that the tests of Kafka share.

#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, missing_docs, reason = "these are tests")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sluice_connectors::kafka::{KafkaConnection, KafkaSource};
use sluice_connectors::source::{Start, Subscription};
use sluice_connectors::{Source, SourceError};
use sluice_core::identity::Identity;
use sluice_core::interval::Intervals;
use sluice_core::{Offset, Partition};

/// Long enough for any machine; never waited for in full when the test passes.
pub const LONG: Duration = Duration::from_secs(90);

pub fn connection(brokers: &str, properties: &[(&str, &str)]) -> KafkaConnection {
    let properties = properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    KafkaConnection { brokers: brokers.to_owned(), properties }
}

pub fn subscription(topic: &str, start: Start) -> Subscription {
    Subscription { topic: topic.to_owned(), group: format!("{topic}-group"), start, known: Identity::default() }
}

/// A record's offset and value.
pub type Read = (Offset, Option<Vec<u8>>);

/// Records that a source gave, with the interval algebra as the judge of its intervals.
#[derive(Default)]
pub struct Reader {
    pub values: BTreeMap<Partition, Vec<Read>>,
    pub intervals: Intervals,
    pub last: BTreeMap<Partition, Offset>,
}

impl Reader {
    pub fn poll(&mut self, source: &mut KafkaSource, max: usize, wait: Duration) -> Result<usize, SourceError> {
        let Some(records) = source.poll(max, wait)? else { return Ok(0) };
        assert!(records.len() <= max);
        let given: BTreeMap<_, _> = records.intervals().iter().copied().collect();
        for (partition, interval) in &given {
            let start = self.intervals.end(*partition).unwrap_or_else(|| source.positions()[partition]);
            assert_eq!(interval.start(), start, "intervals begin where the partition was");
            self.intervals.extend(*partition, *interval).unwrap();
        }
        for i in 0..records.len() {
            let (partition, offset) = records.position(i);
            let interval = given[&partition];
            assert!(interval.start() <= offset && offset < interval.end());
            let before = self.last.insert(partition, offset);
            assert!(before.is_none_or(|before| before < offset), "each once, in order");
            self.values.entry(partition).or_default().push((offset, records.value(i).map(<[u8]>::to_vec)));
        }
        let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        let bytes: usize = (0..records.len()).map(|i| length(records.key(i)) + length(records.value(i))).sum();
        assert_eq!(records.bytes(), bytes);
        Ok(records.len())
    }

    /// Reads until all before `ends` was read, through whatever is `Unavailable`.
    pub fn read_to(&mut self, source: &mut KafkaSource, ends: &BTreeMap<Partition, Offset>) {
        let asked = Instant::now();
        let starts = source.positions();
        let start = |partition| starts.get(partition).copied().unwrap_or(Offset(0));
        while !ends.iter().all(|(partition, end)| self.intervals.end(*partition).unwrap_or(start(partition)) >= *end) {
            assert!(asked.elapsed() < LONG, "{:?} after {:?} of {ends:?}", self.intervals, asked.elapsed());
            match self.poll(source, 1000, Duration::from_millis(100)) {
                Ok(_) | Err(SourceError::Unavailable(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub fn texts(&self, partition: i32) -> Vec<String> {
        let values = self.values.get(&Partition(partition)).cloned().unwrap_or_default();
        values.into_iter().map(|(_, value)| String::from_utf8(value.unwrap()).unwrap()).collect()
    }
}

pub fn unusable(error: SourceError) -> String {
    let SourceError::Unusable(message) = error else { panic!("`{error}` should be for good") };
    message
}

/// Polls until the source says what is wrong.
pub fn failure(source: &mut KafkaSource) -> SourceError {
    let asked = Instant::now();
    loop {
        assert!(asked.elapsed() < LONG, "no failure");
        if let Err(error) = source.poll(1000, Duration::from_millis(100)) {
            return error;
        }
    }
}
