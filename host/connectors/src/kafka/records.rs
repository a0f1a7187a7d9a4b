//! A batch as the core sees it.

use std::sync::Arc;

use sluice_core::records::Records;
use sluice_core::{Interval, Offset, Partition};

use super::batch_queue::Batch;

/// Approximate memory that librdkafka takes for a message beside its key and value, in bytes: an operation of its queue.
const A_MESSAGE: usize = 512;

/// Microseconds in one of Kafka's milliseconds.
const MICROS: i64 = 1000;

/// Records of one topic, as slices of librdkafka's messages.
pub(super) struct KafkaRecords {
    pub topic: Arc<str>,
    /// Records only: errors are taken out.
    pub batch: Batch,
    /// Bytes of their keys and values.
    pub bytes: usize,
    pub intervals: Vec<(Partition, Interval)>,
}

impl Records for KafkaRecords {
    fn len(&self) -> usize {
        self.batch.len()
    }

    fn topic(&self) -> &str {
        &self.topic
    }

    fn value(&self, i: usize) -> Option<&[u8]> {
        self.batch.get(i).payload()
    }

    fn key(&self, i: usize) -> Option<&[u8]> {
        self.batch.get(i).key()
    }

    fn position(&self, i: usize) -> (Partition, Offset) {
        let message = self.batch.get(i);
        (Partition(message.partition()), Offset(message.offset()))
    }

    fn timestamp(&self, i: usize) -> Option<i64> {
        // One that no int64 of microseconds holds is as far beyond every calendar as the last one that it does hold.
        self.batch.get(i).timestamp().map(|millis| millis.saturating_mul(MICROS))
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn memory(&self) -> usize {
        self.bytes + self.len() * A_MESSAGE
    }

    fn intervals(&self) -> &[(Partition, Interval)] {
        &self.intervals
    }
}
