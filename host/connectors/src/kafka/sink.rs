//! Topic that rows are upserted to: each row is a record, whose key is the row's, and of a key the last record counts.
//!
//! | part    | what it is                                                                                                  |
//! |---------|--------------------------------------------------------------------------------------------------------------|
//! | key     | the key's columns as a JSON object; none for a sink without a key                                            |
//! | value   | all columns as a JSON object ([`sluice_core::encode`]); none (a tombstone) where the key's group has ended     |
//! | headers | [`GENERATION`] and [`DIGEST`]: the operators that made the row; a tombstone has none                           |
//!
//! **Delivery**: through an idempotent producer with `acks=all`. After an error, or a crash, rows are written again: a record may be
//! there several times, and for each key the last one is that of the table. Nothing is in a transaction, so readers need no isolation
//! level. **Order**: a key's records are in one partition, as Kafka's own clients place them (murmur2), in the order of the flushes.

mod headers;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::admin::{NewTopic, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::BaseRecord;
use sluice_core::Field;
use sluice_core::deploy::Provenance;
use sluice_core::encode::{JsonObjects, constraints};

pub use headers::{DIGEST, GENERATION};

use super::KafkaConnection;
use super::blocking::blocking;
use super::described::topic_id;
use super::producer::{self, Producer};
use super::topic::missing;
use crate::sink::{Constraint, FoundTable, Refused, Rows, Sink, SinkError, Target};

/// Time in which a broker must answer when a sink opens or is checked. Shorter: a broker that elects a leader counts as away.
/// Longer: `sluice check` keeps people waiting.
const PATIENCE: Duration = Duration::from_secs(5);

/// The time that a flush waits to hear which topic it writes to. A broker that is away takes no records either, which says more.
const SAMENESS_PATIENCE: Duration = Duration::from_secs(1);

/// The longest record of a topic, unless the cluster tells: Kafka's own `message.max.bytes`.
const USUAL_MAX_BYTES: usize = 1_048_588;

/// Bytes of a batch beyond the keys and values of its records, for a batch of one: its head, the record's lengths and headers.
const OVERHEAD: usize = 512;

/// The largest batch of records, in bytes, that librdkafka makes unless told otherwise. A topic that takes less gets smaller ones.
const MAX_BATCH_BYTES: usize = 1_000_000;

/// librdkafka's bounds of `message.max.bytes`.
const MESSAGE_BYTES: (usize, usize) = (1_000, 1_000_000_000);

/// Number of records after which delivery reports are taken up: librdkafka queues them, and each costs a little memory.
const REPORTS_EVERY: usize = 1_024;

/// A topic that takes upserts.
pub struct KafkaSink {
    topic: Arc<Topic>,
    constraints: Vec<Constraint>,
    found: FoundTable,
    headers: OwnedHeaders,
}

/// The topic, for the threads that block.
#[derive(Clone)]
struct Topic {
    connection: KafkaConnection,
    target: Target,
    fields: Vec<Field>,
    /// The places of the key's columns among the fields.
    key: Vec<usize>,
    producer: Arc<Producer>,
    /// The topic's id, where the cluster knows one.
    id: Option<String>,
    /// The most bytes of a record's key and value.
    max_bytes: usize,
}

impl KafkaSink {
    /// Opens the topic, and makes it if it is missing and the target says so.
    pub(super) async fn open(
        connection: &KafkaConnection,
        target: &Target,
        fields: &[Field],
    ) -> Result<KafkaSink, SinkError> {
        let (connection, target, fields) = (connection.clone(), target.clone(), fields.to_vec());
        blocking(move || KafkaSink::open_now(connection, target, fields)).await
    }

    fn open_now(connection: KafkaConnection, target: Target, fields: Vec<Field>) -> Result<KafkaSink, SinkError> {
        let key = key(&target, &fields)?;
        let asking = Producer::open(&connection, &[])?;
        if !is_there(&asking, &target)? {
            if !target.create {
                return Err(SinkError::Unusable(missing(&target.table, &connection.brokers)));
            }
            create(&asking, &target)?;
        }
        let max_bytes = max_bytes(&asking, &target.table);
        let producer = Arc::new(Producer::open(&connection, &properties(max_bytes))?);
        let (id, found) = find(&producer, &target.table)?;
        let max_bytes = max_bytes.saturating_sub(OVERHEAD);
        let constraints = constraints(&fields);
        let topic = Arc::new(Topic { connection, target, fields, key, producer, id, max_bytes });
        Ok(KafkaSink { topic, constraints, found, headers: OwnedHeaders::new() })
    }

    /// Reports every fault that opening the topic would find.
    pub(super) async fn check(
        connection: &KafkaConnection,
        target: &Target,
        fields: &[Field],
    ) -> Result<(), SinkError> {
        let (connection, target) = (connection.clone(), target.clone());
        key(&target, fields)?;
        blocking(move || {
            let is_there = is_there(&Producer::open(&connection, &[])?, &target)?;
            if is_there || target.create {
                return Ok(());
            }
            Err(SinkError::Unusable(missing(&target.table, &connection.brokers)))
        })
        .await
    }

    /// Says whether the topic is there and has a record.
    pub(super) async fn has_rows(connection: &KafkaConnection, topic: &str) -> Result<bool, SinkError> {
        let (connection, topic) = (connection.clone(), topic.to_owned());
        blocking(move || {
            let producer = Producer::open(&connection, &[])?;
            let cluster = producer.cluster(PATIENCE);
            let Some(partitions) = cluster.look(&topic, || ())? else { return Ok(false) };
            for partition in 0..partitions {
                let (low, high) = edges(&producer, &topic, partition)?;
                if low < high {
                    return Ok(true);
                }
            }
            Ok(false)
        })
        .await
    }

    /// Works on the topic in a thread that may block.
    async fn on_topic<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Topic) -> Result<T, SinkError> + Send + 'static,
    ) -> Result<T, SinkError> {
        let topic = Arc::clone(&self.topic);
        blocking(move || work(&topic)).await
    }

    /// Opens another producer in place of one that an error has ended.
    fn mend(&mut self) -> Result<(), SinkError> {
        if !self.topic.producer.is_broken() {
            return Ok(());
        }
        let mut topic = Topic::clone(&self.topic);
        topic.producer = Arc::new(Producer::open(&topic.connection, &properties(topic.max_bytes + OVERHEAD))?);
        self.topic = Arc::new(topic);
        Ok(())
    }
}

#[async_trait]
impl Sink for KafkaSink {
    fn constraints(&self) -> &[Constraint] {
        &self.constraints
    }

    fn found(&self) -> &FoundTable {
        &self.found
    }

    /// Changes nothing: a topic that is emptied has another id, and what retention takes away is not missed.
    fn expect_rows(&mut self) {}

    async fn verify(&mut self) -> Result<(), SinkError> {
        self.on_topic(Topic::verify).await
    }

    fn attribute(&mut self, provenance: &Provenance) {
        self.headers = headers::of(provenance);
    }

    async fn upsert(&mut self, rows: &Rows) -> Result<(), SinkError> {
        self.mend()?;
        let (rows, headers) = (rows.clone(), self.headers.clone());
        self.on_topic(move |topic| topic.upsert(&rows, &headers)).await
    }

    async fn end(&mut self, keys: &Rows) -> Result<(), SinkError> {
        self.mend()?;
        let keys = keys.clone();
        self.on_topic(move |topic| topic.end(&keys)).await
    }

    async fn refused(&mut self, rows: &Rows) -> Result<Vec<Refused>, SinkError> {
        let rows = rows.clone();
        self.on_topic(move |topic| topic.refused(&rows)).await
    }
}

impl Topic {
    fn name(&self) -> &str {
        &self.target.table
    }

    /// Checks that the topic is still the one that was opened, where the cluster tells topics of one name apart.
    fn verify(&self) -> Result<(), SinkError> {
        let Some(before) = &self.id else { return Ok(()) };
        let name = self.name();
        match topic_id(self.producer.cluster(SAMENESS_PATIENCE).client, name, SAMENESS_PATIENCE) {
            Ok(Some(now)) if now != *before => {
                Err(SinkError::Replaced(format!("the topic {name} is another than before: {now}, before {before}")))
            }
            Err(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                Err(SinkError::Replaced(format!("the topic {name} is gone")))
            }
            // The answer to the records says more.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn upsert(&self, rows: &Rows, headers: &OwnedHeaders) -> Result<(), SinkError> {
        self.verify()?;
        let (keys, values) = (self.keys(self.key_of(rows))?, self.values(rows)?);
        self.write(rows.rows, |row, record| {
            keys.write(row, &mut record.key);
            values.write(row, &mut record.value);
            if record.key.len() + record.value.len() > self.max_bytes {
                return Err(SinkError::Rows(self.too_long(record)));
            }
            let message = BaseRecord::to(self.name()).payload(record.value.as_slice()).headers(headers.clone());
            let sent = match self.key.is_empty() {
                true => self.producer.send::<[u8], _>(message),
                false => self.producer.send(message.key(record.key.as_slice())),
            };
            sent.map_err(|error| self.error(&error))
        })
    }

    fn end(&self, keys: &Rows) -> Result<(), SinkError> {
        self.verify()?;
        let objects = self.keys(keys.columns.iter())?;
        self.write(keys.rows, |row, record| {
            objects.write(row, &mut record.key);
            let message = BaseRecord::<[u8], [u8]>::to(self.name()).key(&record.key);
            self.producer.send(message).map_err(|error| self.error(&error))
        })
    }

    /// Writes so many records, and waits until all of them are in the topic.
    fn write(
        &self,
        records: usize,
        mut send: impl FnMut(usize, &mut Record) -> Result<(), SinkError>,
    ) -> Result<(), SinkError> {
        self.producer.begin().map_err(|error| self.error(&error))?;
        let mut record = Record::default();
        for row in 0..records {
            record.key.clear();
            record.value.clear();
            send(row, &mut record)?;
            if row % REPORTS_EVERY == 0 {
                self.producer.serve().map_err(|error| self.error(&error))?;
            }
        }
        self.producer.confirm().map_err(|error| self.error(&error))
    }

    fn refused(&self, rows: &Rows) -> Result<Vec<Refused>, SinkError> {
        let (keys, values) = (self.keys(self.key_of(rows))?, self.values(rows)?);
        let mut refused = Vec::new();
        for row in 0..rows.rows {
            let mut record = Record::default();
            keys.write(row, &mut record.key);
            values.write(row, &mut record.value);
            if record.key.len() + record.value.len() > self.max_bytes {
                refused.push(Refused { row, reason: self.too_long(&record) });
            }
        }
        if refused.is_empty() {
            let name = self.name();
            return Err(SinkError::Unusable(format!(
                "the topic {name} refuses records as too long, and none of them takes more than the {} bytes that it is known to \
                 take: let this client describe the topic's settings, or raise its `max.message.bytes`",
                self.max_bytes
            )));
        }
        Ok(refused)
    }

    fn too_long(&self, record: &Record) -> String {
        let (name, bytes) = (self.name(), record.key.len() + record.value.len());
        let (most, limit) = (self.max_bytes, self.max_bytes + OVERHEAD);
        format!(
            "its key and value take {bytes} bytes, and a record of the topic {name} has room for {most} (`max.message.bytes` is {limit})"
        )
    }

    fn key_of<'a>(&self, rows: &'a Rows) -> impl Iterator<Item = &'a arrow_array::ArrayRef> {
        self.key.iter().filter_map(|place| rows.columns.get(*place))
    }

    fn keys<'a>(
        &'a self,
        columns: impl Iterator<Item = &'a arrow_array::ArrayRef>,
    ) -> Result<JsonObjects<'a>, SinkError> {
        JsonObjects::new(self.key.iter().map(|place| &self.fields[*place]).zip(columns)).ok_or_else(no_kind)
    }

    fn values<'a>(&'a self, rows: &'a Rows) -> Result<JsonObjects<'a>, SinkError> {
        JsonObjects::new(self.fields.iter().zip(&rows.columns)).ok_or_else(no_kind)
    }

    fn error(&self, error: &KafkaError) -> SinkError {
        self.producer.error(self.name(), error)
    }
}

/// A record that is made: its buffers serve for all.
#[derive(Default)]
struct Record {
    key: Vec<u8>,
    value: Vec<u8>,
}

fn no_kind() -> SinkError {
    SinkError::Unusable("a column is of no kind; this is a defect".to_owned())
}

/// The places of the key's columns among the fields.
fn key(target: &Target, fields: &[Field]) -> Result<Vec<usize>, SinkError> {
    if fields.is_empty() {
        let none = "the pipeline's result has no column: there is nothing to write";
        return Err(SinkError::Unusable(none.to_owned()));
    }
    let place = |name: &String| fields.iter().position(|field| field.name == *name);
    let missing = |name: &String| format!("the key column `{name}` is not in the pipeline's result");
    target.key.iter().map(|name| place(name).ok_or_else(|| SinkError::Unusable(missing(name)))).collect()
}

fn is_there(producer: &Producer, target: &Target) -> Result<bool, SinkError> {
    Ok(producer.cluster(PATIENCE).look(&target.table, || ())?.is_some())
}

/// Makes the topic with the cluster's own number of partitions and replicas; compacted, if a key's last record is what counts.
fn create(producer: &Producer, target: &Target) -> Result<(), SinkError> {
    let new = NewTopic::new(&target.table, -1, TopicReplication::Fixed(-1));
    let new = if target.key.is_empty() { new } else { new.set("cleanup.policy", "compact") };
    producer.cluster(PATIENCE).create(producer.config(), &target.table, &new, || ())?;
    Ok(())
}

/// The most bytes of a batch that the topic takes.
fn max_bytes(producer: &Producer, topic: &str) -> usize {
    let setting = producer.cluster(PATIENCE).setting(producer.config(), topic, "max.message.bytes");
    setting.and_then(|bytes| bytes.parse().ok()).unwrap_or(USUAL_MAX_BYTES)
}

/// The properties of a producer for a topic that takes batches of so many bytes.
fn properties(max_bytes: usize) -> [(&'static str, String); 3] {
    [
        ("partitioner", "murmur2_random".to_owned()),
        ("message.max.bytes", max_bytes.clamp(MESSAGE_BYTES.0, MESSAGE_BYTES.1).to_string()),
        ("batch.size", max_bytes.min(MAX_BATCH_BYTES).to_string()),
    ]
}

/// The topic's id, and what identifies it as a table.
fn find(producer: &Producer, topic: &str) -> Result<(Option<String>, FoundTable), SinkError> {
    let cluster = producer.cluster(PATIENCE);
    let id = topic_id(cluster.client, topic, PATIENCE).map_err(|code| SinkError::from(cluster.unanswered(code)))?;
    let database = cluster.client.fetch_cluster_id(PATIENCE).map(|id| format!("cluster {id}"));
    let partitions = cluster.look(topic, || ())?.unwrap_or_default();
    let mut is_empty = true;
    for partition in 0..partitions {
        // Also what retention has taken away was there.
        is_empty &= edges(producer, topic, partition)?.1 == 0;
    }
    Ok((id.clone(), FoundTable { database, table: id, is_empty, is_widened: false }))
}

fn edges(producer: &Producer, topic: &str, partition: i32) -> Result<(i64, i64), SinkError> {
    let client = producer.cluster(PATIENCE).client;
    client.fetch_watermarks(topic, partition, producer::PATIENCE).map_err(|error| producer.error(topic, &error))
}
