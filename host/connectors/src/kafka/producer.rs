//! Producer whose records are confirmed: what is written is in its topic, on all replicas in sync, or an error says that it may not be.
//!
//! librdkafka delivers in the background, and gives a record up after `message.timeout.ms`. What a call left undelivered is delivered
//! or given up before the next call writes anything, and a producer is only replaced after an error that ends it: so of two calls'
//! records with one key the later call's is the later one in the topic.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, ToBytes};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use sluice_clock::Stopwatch;

use super::cluster::Cluster;
use super::reports::Reports;
use super::topic::{code_of, missing, refusal, refused};
use super::{KafkaConnection, config};
use crate::sink::SinkError;

/// The time that a broker has to answer, and records to be confirmed. Shorter: a broker that restarts counts as away. Longer: people
/// wait to be told that it is.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Time beyond that in which librdkafka, which looks once a second, gives up what wasn't delivered.
const GIVING_UP: Duration = Duration::from_secs(2);

/// The time that a full queue is served before the next attempt.
const WHILE_FULL: Duration = Duration::from_millis(10);

/// A producer for confirmed records.
pub(super) struct Producer {
    producer: BaseProducer<Deliveries>,
    config: ClientConfig,
    brokers: Arc<str>,
}

impl Producer {
    /// A producer to this cluster, with properties that the connection's don't override; nothing is asked of the cluster yet.
    pub fn open(connection: &KafkaConnection, properties: &[(&str, String)]) -> Result<Producer, SinkError> {
        let mut config = config::producer(connection).map_err(SinkError::Unusable)?;
        config.set("message.timeout.ms", PATIENCE.as_millis().to_string());
        for (name, value) in properties {
            config.set(*name, value);
        }
        let producer = config.create_with_context(Deliveries::default());
        let producer = producer.map_err(|e| SinkError::Unusable(config::refusal(&e)))?;
        Ok(Producer { producer, config, brokers: connection.brokers.as_str().into() })
    }

    /// The configuration of its client.
    pub fn config(&self) -> &ClientConfig {
        &self.config
    }

    /// The cluster, to be asked.
    pub fn cluster(&self, patience: Duration) -> Cluster<'_, Deliveries> {
        let client = self.producer.client();
        Cluster { client, reports: &client.context().reports, brokers: &self.brokers, patience }
    }

    /// Says whether an error has ended it, so that only another producer can write.
    pub fn is_broken(&self) -> bool {
        self.producer.client().fatal_error().is_some()
    }

    /// Begins a call: what an earlier one left is delivered or given up. Blocks.
    pub fn begin(&self) -> Result<(), KafkaError> {
        let flushed = self.producer.flush(PATIENCE + GIVING_UP);
        // What failed of it was said then.
        self.deliveries().take();
        flushed
    }

    /// Sends a record, which is copied. Blocks while its queue is full.
    pub fn send<'a, K: ToBytes + ?Sized, P: ToBytes + ?Sized>(
        &self,
        mut record: BaseRecord<'a, K, P>,
    ) -> Result<(), KafkaError> {
        let asked = Stopwatch::start();
        while let Err((error, returned)) = self.producer.send(record) {
            if code_of(&error) != RDKafkaErrorCode::QueueFull || asked.elapsed() >= PATIENCE {
                return Err(error);
            }
            self.producer.poll(WHILE_FULL);
            record = returned;
        }
        Ok(())
    }

    /// Takes up the reports of records that were sent, so that they don't pile up; an error if one wasn't delivered.
    pub fn serve(&self) -> Result<(), KafkaError> {
        self.producer.poll(Duration::ZERO);
        self.deliveries().take().map_or(Ok(()), Err)
    }

    /// Waits until all that was sent is in its topic. Blocks.
    pub fn confirm(&self) -> Result<(), KafkaError> {
        let flushed = self.producer.flush(PATIENCE + GIVING_UP);
        self.deliveries().take().map_or(flushed, Err)
    }

    /// Returns the error of a sink whose records for this topic weren't taken.
    pub fn error(&self, topic: &str, error: &KafkaError) -> SinkError {
        let (code, brokers) = (code_of(error), &self.brokers);
        if let Some(why) = refusal(&self.deliveries().reports, code) {
            return SinkError::Unusable(refused(brokers, &why));
        }
        match code {
            RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownPartition => SinkError::Unusable(missing(topic, brokers)),
            RDKafkaErrorCode::MessageSizeTooLarge => {
                SinkError::Rows(format!("it is longer than `max.message.bytes` of the topic `{topic}`"))
            }
            _ => SinkError::Unavailable(format!("Kafka at {brokers}, topic `{topic}`: {error}")),
        }
    }

    fn deliveries(&self) -> &Deliveries {
        self.producer.context()
    }
}

/// Listens to a producer: keeps the first reason why a record wasn't delivered.
#[derive(Default)]
pub(super) struct Deliveries {
    reports: Reports,
    failed: Mutex<Option<KafkaError>>,
}

impl Deliveries {
    fn take(&self) -> Option<KafkaError> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.reports.log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        ClientContext::error(&self.reports, error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): Self::DeliveryOpaque) {
        if let Err((error, _)) = result {
            self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.clone());
        }
    }
}
