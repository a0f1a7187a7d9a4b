//! Appending to topics.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{NewTopic, TopicReplication};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use sluice_clock::Stopwatch;

use super::cluster::Cluster;
use super::reports::Reports;
use super::topic::{code_of, missing};
use super::{KafkaConnection, config};
use crate::writer::{WriteError, Writer};

/// The longest that a full queue is waited for, and a flush: longer than a broker's restart.
const PATIENCE: Duration = Duration::from_secs(120);

/// The time that a full queue is left alone between two attempts.
const WHILE_FULL: Duration = Duration::from_millis(10);

/// Number of records after which delivery reports are taken up: librdkafka queues them, and each costs a little memory.
const REPORTS_EVERY: u32 = 1024;

/// The most partitions that a topic is made with.
const MAX_PARTITIONS: u32 = 10_000;

/// Appends records through an idempotent producer: what `flush` confirmed is in the topic once, on all replicas.
///
/// librdkafka delivers in the background and goes on trying while brokers are away, up to its `message.timeout.ms` (5 min).
/// A record that isn't taken within that time is lost, and every later call says so.
pub struct KafkaWriter {
    config: ClientConfig,
    producer: BaseProducer<Reports>,
    brokers: Arc<str>,
    patience: Duration,
    partitions: HashMap<String, i32>,
    unreported: u32,
}

impl KafkaWriter {
    /// A writer to this cluster; nothing is asked of it before the first topic.
    ///
    /// # Errors
    /// `Unusable` if a property is not librdkafka's. Later calls wait up to `patience` for a broker to answer.
    pub fn open(connection: &KafkaConnection, patience: Duration) -> Result<KafkaWriter, WriteError> {
        let config = config::producer(connection).map_err(WriteError::Unusable)?;
        let producer = config
            .create_with_context(Reports::default())
            .map_err(|error| WriteError::Unusable(config::refusal(&error)))?;
        let brokers = connection.brokers.as_str().into();
        Ok(KafkaWriter { config, producer, brokers, patience, partitions: HashMap::new(), unreported: 0 })
    }

    fn cluster(&self) -> Cluster<'_, Reports> {
        let client = self.producer.client();
        Cluster { client, reports: client.context(), brokers: &self.brokers, patience: self.patience }
    }

    /// The number of the topic's partitions; none if there is no such topic. Waits for a broker.
    fn look(&self, topic: &str) -> Result<Option<i32>, WriteError> {
        Ok(self.cluster().look(topic, || self.serve())?)
    }

    /// Takes up delivery reports.
    fn serve(&self) {
        self.producer.poll(Duration::ZERO);
    }

    fn unanswered(&self, code: RDKafkaErrorCode) -> WriteError {
        self.cluster().unanswered(code).into()
    }

    fn partitions_of(&mut self, topic: &str) -> Result<i32, WriteError> {
        if let Some(count) = self.partitions.get(topic) {
            return Ok(*count);
        }
        let count = self.look(topic)?.ok_or_else(|| WriteError::Unusable(missing(topic, &self.brokers)))?;
        self.partitions.insert(topic.to_owned(), count);
        Ok(count)
    }

    fn check_delivered(&self) -> Result<(), WriteError> {
        match self.producer.context().undelivered() {
            None => Ok(()),
            Some((records, why)) => Err(WriteError::Unusable(format!(
                "{records} records didn't reach Kafka at {} and are lost: {why}; write them again with a new writer",
                self.brokers
            ))),
        }
    }

    fn send(&self, topic: &str, partition: i32, value: &[u8]) -> Result<(), WriteError> {
        let asked = Stopwatch::start();
        let mut record = BaseRecord::<(), [u8]>::to(topic).partition(partition).payload(value);
        loop {
            let Err((error, returned)) = self.producer.send(record) else { return Ok(()) };
            match code_of(&error) {
                RDKafkaErrorCode::QueueFull if asked.elapsed() < PATIENCE => self.producer.poll(WHILE_FULL),
                RDKafkaErrorCode::QueueFull => return Err(self.unanswered(RDKafkaErrorCode::QueueFull)),
                code => {
                    let brokers = &self.brokers;
                    return Err(WriteError::Unusable(format!(
                        "Kafka at {brokers} takes no record for `{topic}`: {code}"
                    )));
                }
            }
            record = returned;
        }
    }
}

impl Writer for KafkaWriter {
    fn ensure_topic(&mut self, topic: &str, partitions: u32) -> Result<(), WriteError> {
        let wanted = i32::try_from(partitions).ok().filter(|_| (1..=MAX_PARTITIONS).contains(&partitions));
        let wanted = wanted.ok_or_else(|| {
            let bound = format!("give it 1 to {MAX_PARTITIONS}");
            WriteError::Unusable(format!("the topic `{topic}` can't have {partitions} partitions; {bound}"))
        })?;
        let count = match self.look(topic)? {
            Some(count) => count,
            None => {
                // The cluster's own replication.
                let new = NewTopic::new(topic, wanted, TopicReplication::Fixed(-1));
                self.cluster().create(&self.config, topic, &new, || self.serve())?
            }
        };
        self.partitions.insert(topic.to_owned(), count);
        Ok(())
    }

    fn write(&mut self, topic: &str, spread: u64, value: &[u8]) -> Result<(), WriteError> {
        let count = self.partitions_of(topic)?;
        // A topic that is there has at least one partition, and the remainder fits its type.
        let partition = (spread % u64::from(count.unsigned_abs().max(1))) as i32;
        self.send(topic, partition, value)?;
        self.unreported += 1;
        if self.unreported >= REPORTS_EVERY {
            self.unreported = 0;
            self.serve();
            return self.check_delivered();
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), WriteError> {
        let flushed = self.producer.flush(PATIENCE);
        self.check_delivered()?;
        flushed.map_err(|error| self.unanswered(code_of(&error)))
    }
}
