//! Appending to topics.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_executor::block_on;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use sluice_clock::Stopwatch;

use super::reports::Reports;
use super::topic::{code_of, missing, partitions, refusal, refused, silent};
use super::{KafkaConnection, config};
use crate::writer::{WriteError, Writer};

/// The time that a question waits before credentials are looked at.
const ATTEMPT: Duration = Duration::from_millis(500);

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

    /// The number of the topic's partitions; none if there is no such topic. Waits for a broker.
    fn look(&self, topic: &str) -> Result<Option<i32>, WriteError> {
        let asked = Stopwatch::start();
        loop {
            let left = self.patience.saturating_sub(asked.elapsed());
            let answer = partitions(self.producer.client(), topic, left.min(ATTEMPT));
            self.producer.poll(Duration::ZERO);
            match answer {
                Ok(count) => return Ok(count),
                Err(code) if asked.elapsed() >= self.patience => return Err(self.unanswered(code)),
                Err(code) if refusal(self.producer.context(), code).is_some() => return Err(self.unanswered(code)),
                Err(_) => {}
            }
        }
    }

    fn unanswered(&self, code: RDKafkaErrorCode) -> WriteError {
        let reports: &Reports = self.producer.context();
        match refusal(reports, code) {
            Some(why) => WriteError::Unusable(refused(&self.brokers, &why)),
            None => WriteError::Unavailable(silent(&self.brokers, self.patience, reports.trouble(), code)),
        }
    }

    fn create(&self, topic: &str, partitions: i32) -> Result<(), WriteError> {
        let failed = |error: KafkaError| self.unanswered(code_of(&error));
        let admin: AdminClient<_> = self.config.create().map_err(failed)?;
        // The cluster's own replication.
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(-1));
        let options = AdminOptions::new().operation_timeout(Some(self.patience)).request_timeout(Some(self.patience));
        for result in block_on(admin.create_topics([&new], &options)).map_err(failed)? {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((_, code)) => {
                    let brokers = &self.brokers;
                    return Err(WriteError::Unusable(format!("Kafka at {brokers} doesn't create `{topic}`: {code}")));
                }
            }
        }
        Ok(())
    }

    /// Waits until a topic that was just made is known everywhere.
    fn wait_for(&self, topic: &str) -> Result<i32, WriteError> {
        let asked = Stopwatch::start();
        loop {
            match self.look(topic)? {
                Some(count) => return Ok(count),
                None if asked.elapsed() >= self.patience => {
                    return Err(WriteError::Unavailable(missing(topic, &self.brokers)));
                }
                None => self.producer.poll(WHILE_FULL),
            }
        }
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
                self.create(topic, wanted)?;
                self.wait_for(topic)?
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
            self.producer.poll(Duration::ZERO);
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
