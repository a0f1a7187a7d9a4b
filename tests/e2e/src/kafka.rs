//! Topics on the real broker, to the exact byte.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::ClientContext;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::{PATIENCE, eventually, server};

/// A topic of a test; deleted with the value.
pub struct Topic {
    /// Its name on the broker.
    pub name: String,
    producer: ThreadedProducer<Deliveries>,
    failed: Arc<Mutex<Option<KafkaError>>>,
}

/// Keeps the first record's fate that is not to be in the topic.
#[derive(Clone)]
struct Deliveries(Arc<Mutex<Option<KafkaError>>>);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.0.lock().unwrap().get_or_insert(error.clone());
        }
    }
}

impl Topic {
    /// Makes the topic.
    pub fn create(name: &str, partitions: i32) -> Topic {
        Topic::try_create(name, partitions).unwrap()
    }

    /// Makes the topic, or says why it can't be made now: one of its name may still be going.
    pub fn try_create(name: &str, partitions: i32) -> Result<Topic, String> {
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        let results = block_on(admin().create_topics([&topic], &AdminOptions::new())).unwrap();
        if !results.iter().all(Result::is_ok) {
            return Err(format!("{results:?}"));
        }
        let failed = Arc::default();
        Ok(Topic { name: name.to_owned(), producer: producer(Deliveries(Arc::clone(&failed))), failed })
    }

    /// Deletes a topic that other runs may have left.
    pub fn remove(name: &str) {
        let results = block_on(admin().delete_topics(&[name], &AdminOptions::new())).unwrap();
        assert!(matches!(results[..], [Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition))]), "{results:?}");
    }

    /// Appends a record; no value is a tombstone.
    pub fn send(&self, partition: i32, value: Option<&[u8]>) {
        loop {
            let mut record: BaseRecord<'_, (), [u8]> = BaseRecord::to(&self.name).partition(partition);
            record.payload = value;
            match self.producer.send(record) {
                Ok(()) => return,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => self.flush(),
                Err((e, _)) => panic!("{}: {e}", self.name),
            }
        }
    }

    /// Forgets the records before this offset, as retention does.
    pub fn delete_before(&self, partition: i32, offset: i64) {
        let mut before = TopicPartitionList::new();
        before.add_partition_offset(&self.name, partition, Offset::Offset(offset)).unwrap();
        let deleted = block_on(admin().delete_records(&before, &AdminOptions::new())).unwrap();
        assert!(deleted.elements().iter().all(|element| element.error().is_ok()), "{deleted:?}");
    }

    /// Waits until every record is in the topic.
    pub fn flush(&self) {
        self.producer.flush(PATIENCE).unwrap();
        let failed = self.failed.lock().unwrap();
        assert!(failed.is_none(), "a record isn't in {}: {failed:?}", self.name);
    }

    /// Writes what the topic holds as `DIR/PARTITION.jsonl`.
    pub fn dump(name: &str, directory: &Path) {
        let consumer: BaseConsumer =
            client().set("group.id", "dump").set("enable.partition.eof", "true").create().unwrap();
        std::fs::create_dir_all(directory).unwrap();
        for partition in 0..partitions(&consumer, name) {
            let (_, end) = consumer.fetch_watermarks(name, partition, PATIENCE).unwrap();
            let mut assignment = TopicPartitionList::new();
            assignment.add_partition_offset(name, partition, Offset::Beginning).unwrap();
            consumer.assign(&assignment).unwrap();
            let mut lines = Vec::new();
            let mut next = 0;
            while next < end {
                // None comes also for events that are no record's.
                let polled = eventually(&format!("{name} has records up to {end}"), PATIENCE, || {
                    consumer.poll(Duration::from_secs(1)).ok_or_else(|| format!("read up to {next}"))
                });
                match polled {
                    Ok(record) => {
                        lines.extend_from_slice(record.payload().unwrap_or_default());
                        lines.push(b'\n');
                        next = record.offset() + 1;
                    }
                    Err(KafkaError::PartitionEOF(_)) => {}
                    Err(e) => panic!("{name}: {e}"),
                }
            }
            std::fs::write(directory.join(format!("{partition}.jsonl")), lines).unwrap();
        }
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        block_on(admin().delete_topics(&[&self.name], &AdminOptions::new())).ok();
    }
}

fn partitions(consumer: &BaseConsumer, topic: &str) -> i32 {
    eventually(&format!("{topic} has partitions"), PATIENCE, || {
        let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(5)).map_err(|e| e.to_string())?;
        let count = metadata.topics()[0].partitions().len();
        i32::try_from(count).ok().filter(|count| *count > 0).ok_or_else(|| "none yet".to_owned())
    })
}

pub(crate) fn client() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", server("SLUICE_TEST_KAFKA"));
    config
}

fn admin() -> AdminClient<DefaultClientContext> {
    client().create().unwrap()
}

/// Waits for broker outages as long as a test does; keeps order.
fn producer(deliveries: Deliveries) -> ThreadedProducer<Deliveries> {
    client().set("enable.idempotence", "true").set("linger.ms", "5").create_with_context(deliveries).unwrap()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
