//! Records of the topic, as the source hands them over.

use std::collections::BTreeMap;

use sluice_core::records::Records;
use sluice_core::{Interval, Offset, Partition};

use crate::world::{Record, World};

/// Some records of the topic.
#[derive(Debug, Clone)]
pub struct Polled {
    records: Vec<(Partition, Offset, Record, String)>,
    intervals: Vec<(Partition, Interval)>,
}

impl Polled {
    /// Some records from each partition's position on, at most so many; and the positions after them.
    pub fn poll(world: &mut World, positions: &mut BTreeMap<Partition, Offset>, max: usize) -> Polled {
        let mut polled = Polled { records: Vec::new(), intervals: Vec::new() };
        for (partition, position) in positions {
            let (partition, start) = (*partition, *position);
            let number = usize::try_from(partition.0).unwrap();
            let first = usize::try_from(start.0).unwrap();
            let there = world.topic[number].len().saturating_sub(first).min(max - polled.records.len());
            let taken = if world.calm { there } else { world.rng.usize(0..=there) };
            let mut offset = start;
            for record in &world.topic[number][first..first + taken] {
                polled.records.push((partition, offset, *record, json(record)));
                offset = offset.next();
            }
            if let Some(interval) = Interval::new(start, offset).filter(|interval| !interval.is_empty()) {
                polled.intervals.push((partition, interval));
                *position = offset;
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

fn json(record: &Record) -> String {
    match (record.key, record.value) {
        (key, Some(value)) => format!(r#"{{"k":{key},"v":{value}}}"#),
        (_, None) => "not JSON".to_owned(),
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
