//! Dead letters in a compacted topic.
//!
//! Letters are in partition 0, so that they have one order; of a key the last record counts ([`letter_record`]). Reading means
//! reading the partition to its end: an index of what is there is kept, and goes on where it was. Compaction may remove what
//! later records replace; it never changes an offset.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::admin::{NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _, OwnedHeaders};
use rdkafka::producer::BaseRecord;
use sluice_clock::Stopwatch;
use sluice_core::dead_letter::DeadLetter;
use sluice_core::{Offset, Partition};

use super::cluster::Cluster;
use super::letter_record::{self as record, Key};
use super::producer::{PATIENCE, Producer};
use super::reports::{Reports, is_refusal};
use super::topic::{code_of, missing, refused};
use super::{KafkaConnection, config};
use crate::letters::indexed::{Entry, Index, IndexedLetters, MAX_LETTERS, Storage, is_from, too_many};
use crate::letters::{Letter, LetterPlace, Letterbox};
use crate::sink::SinkError;

/// Partition that holds all letters.
const PARTITION: i32 = 0;

/// The group of a consumer that only reads; it commits nothing.
const GROUP: &str = "sluice-dead-letters";

/// The time that one poll waits.
const ATTEMPT: Duration = Duration::from_millis(200);

/// The largest record that is written, in bytes: a letter is its record and a kilobyte or two of headers, and brokers take records
/// of 1 MiB unless told otherwise.
const MAX_RECORD_BYTES: &str = "16777216";

impl KafkaConnection {
    /// The letters in this topic, to be looked at; a topic that is missing has none.
    pub fn letters(&self, topic: &str) -> Box<dyn Letterbox> {
        Box::new(IndexedLetters::new(self.topic_letters(topic)))
    }

    /// Reports every fault that opening the topic to add letters would find; makes nothing. Blocks.
    pub fn check_letters(&self, topic: &str, create: bool) -> Result<(), SinkError> {
        match self.topic_letters(topic).look()? {
            None if !create => Err(SinkError::Unusable(missing(topic, &self.brokers))),
            _ => Ok(()),
        }
    }

    /// The letters in this topic, to be added to; a missing topic is made if `create` says so. Blocks.
    pub fn open_letters(&self, topic: &str, create: bool) -> Result<Box<dyn Letterbox>, SinkError> {
        let mut letters = self.topic_letters(topic);
        match letters.look()? {
            Some(_) => {}
            None if create => letters.create()?,
            None => return Err(SinkError::Unusable(missing(topic, &self.brokers))),
        }
        Ok(Box::new(IndexedLetters::new(letters)))
    }

    fn topic_letters(&self, topic: &str) -> TopicLetters {
        TopicLetters {
            connection: self.clone(),
            topic: topic.to_owned(),
            consumer: None,
            producer: None,
            scope: None,
            read: None,
            index: Index::new(),
        }
    }
}

struct TopicLetters {
    connection: KafkaConnection,
    topic: String,
    consumer: Option<BaseConsumer<Reports>>,
    producer: Option<Producer>,
    /// The pipeline whose letters are in the index; none for all.
    scope: Option<String>,
    /// The offset as of which the index is; none before it is made.
    read: Option<Offset>,
    index: Index,
}

/// The answer that says whether a scan goes on.
type Goes = bool;

impl TopicLetters {
    fn consumer(&mut self) -> Result<&BaseConsumer<Reports>, SinkError> {
        if self.consumer.is_none() {
            let config = config::consumer(&self.connection, GROUP).map_err(SinkError::Unusable)?;
            let consumer = config.create_with_context(Reports::default());
            self.consumer = Some(consumer.map_err(|e| SinkError::Unusable(config::refusal(&e)))?);
        }
        self.consumer.as_ref().ok_or_else(|| SinkError::Unusable("no consumer; this is a defect".to_owned()))
    }

    /// The number of the topic's partitions; none if there is no such topic.
    fn look(&mut self) -> Result<Option<i32>, SinkError> {
        let (topic, brokers) = (self.topic.clone(), self.connection.brokers.clone());
        let client = self.consumer()?.client();
        let cluster = Cluster { client, reports: client.context(), brokers: &brokers, patience: PATIENCE };
        Ok(cluster.look(&topic, || ())?)
    }

    /// Makes the topic: one partition, compacted.
    fn create(&mut self) -> Result<(), SinkError> {
        let topic = self.topic.clone();
        let new = NewTopic::new(&topic, 1, TopicReplication::Fixed(-1))
            .set("cleanup.policy", "compact")
            .set("max.message.bytes", MAX_RECORD_BYTES);
        let producer = self.producer()?;
        producer.cluster(PATIENCE).create(producer.config(), &topic, &new, || ())?;
        Ok(())
    }

    fn away(&self, error: &KafkaError) -> SinkError {
        let (topic, brokers) = (&self.topic, &self.connection.brokers);
        match code_of(error) {
            code if is_refusal(code) => SinkError::Unusable(refused(brokers, &code.to_string())),
            RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => {
                SinkError::Unusable(missing(topic, brokers))
            }
            _ => SinkError::Unavailable(format!("Kafka at {brokers}, topic `{topic}`: {error}")),
        }
    }

    /// Hands out the records from this offset up to where the topic ends now, or until `each` says so; answers that end.
    fn scan(
        &mut self,
        from: Offset,
        each: &mut dyn FnMut(&BorrowedMessage<'_>) -> Result<Goes, SinkError>,
    ) -> Result<Offset, SinkError> {
        if self.look()?.is_none() {
            return Ok(from);
        }
        let topic = self.topic.clone();
        let consumer = self.consumer()?;
        let edges = consumer.fetch_watermarks(&topic, PARTITION, PATIENCE);
        let outcome = edges.map_err(Failure::Kafka).and_then(|(low, high)| {
            let next = from.0.max(low);
            if next < high {
                run(consumer, &topic, next, high, each)?;
            }
            Ok(Offset(high))
        });
        // Nothing is fetched while nobody reads.
        let _ = consumer.unassign();
        outcome.map_err(|failure| match failure {
            Failure::Kafka(error) => self.away(&error),
            Failure::Other(error) => error,
        })
    }

    fn unreadable(&self, offset: i64, why: &str) -> SinkError {
        SinkError::Unusable(format!("{} [{PARTITION}] at {offset}: {why}, as every dead letter has", self.topic))
    }

    fn producer(&mut self) -> Result<&Producer, SinkError> {
        if self.producer.as_ref().is_none_or(Producer::is_broken) {
            let longest = [("message.max.bytes", MAX_RECORD_BYTES.to_owned())];
            self.producer = Some(Producer::open(&self.connection, &longest)?);
        }
        self.producer.as_ref().ok_or_else(|| SinkError::Unusable("no producer; this is a defect".to_owned()))
    }

    fn produce(&mut self, records: Vec<Outgoing>) -> Result<(), SinkError> {
        let topic = self.topic.clone();
        let producer = self.producer()?;
        let send = |outgoing: &Outgoing| {
            let mut record: BaseRecord<'_, str, [u8]> =
                BaseRecord::to(&topic).partition(PARTITION).key(outgoing.key.as_str());
            record.payload = outgoing.value.as_deref();
            record.headers.clone_from(&outgoing.headers);
            producer.send(record)
        };
        let sent = producer.begin().and_then(|()| records.iter().try_for_each(send));
        sent.and_then(|()| producer.confirm()).map_err(|error| match producer.error(&topic, &error) {
            SinkError::Rows(why) => SinkError::Rows(format!("{why}; letters are a little longer than their records")),
            error => error,
        })
    }
}

/// A record to be written.
struct Outgoing {
    key: String,
    value: Option<Vec<u8>>,
    headers: Option<OwnedHeaders>,
}

impl Outgoing {
    fn tombstone(key: &Key) -> Outgoing {
        Outgoing { key: key.text(), value: None, headers: None }
    }
}

/// The reason why a scan ended early.
enum Failure {
    Kafka(KafkaError),
    Other(SinkError),
}

/// Reads `next..high`, of which not every offset need have a record.
fn run(
    consumer: &BaseConsumer<Reports>,
    topic: &str,
    next: i64,
    high: i64,
    each: &mut dyn FnMut(&BorrowedMessage<'_>) -> Result<Goes, SinkError>,
) -> Result<(), Failure> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, PARTITION, rdkafka::Offset::Offset(next)).map_err(Failure::Kafka)?;
    consumer.assign(&list).map_err(Failure::Kafka)?;
    let mut heard = Stopwatch::start();
    loop {
        match consumer.poll(ATTEMPT) {
            Some(Ok(message)) if message.offset() >= high => return Ok(()),
            Some(Ok(message)) => {
                heard = Stopwatch::start();
                if !each(&message).map_err(Failure::Other)? || Offset(message.offset()).next().0 >= high {
                    return Ok(());
                }
            }
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(()),
            Some(Err(error)) if is_refusal(code_of(&error)) => return Err(Failure::Kafka(error)),
            // Others pass, or nothing comes for too long.
            Some(Err(_)) | None => {}
        }
        if heard.elapsed() >= PATIENCE {
            return Err(Failure::Kafka(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut)));
        }
    }
}

impl Storage for TopicLetters {
    /// Locks nothing: a retry is for one version of a letter and a removal for all, so changes by others meanwhile do no harm.
    fn lock(&mut self) -> Result<Option<File>, SinkError> {
        Ok(None)
    }

    fn index(&mut self, pipeline: Option<&str>) -> Result<&Index, SinkError> {
        if self.scope.as_deref() != pipeline {
            (self.scope, self.read) = (pipeline.map(str::to_owned), None);
        }
        // Taken, so that an error leaves none that is half of it.
        let from = self.read.take();
        let mut index = if from.is_some() { std::mem::take(&mut self.index) } else { Index::new() };
        let place = format!("the topic `{}`", self.topic);
        let end = self.scan(from.unwrap_or(Offset(0)), &mut |message| {
            enter(&mut index, pipeline, message);
            if index.len() > MAX_LETTERS { Err(too_many(&place)) } else { Ok(true) }
        })?;
        (self.index, self.read) = (index, Some(end));
        Ok(&self.index)
    }

    fn read(&mut self, which: &[(LetterPlace, Entry)], bytes: usize) -> Result<Vec<Letter>, SinkError> {
        let mut left: BTreeMap<i64, &(LetterPlace, Entry)> =
            which.iter().map(|wanted| (wanted.1.position, wanted)).collect();
        let Some((first, _)) = left.first_key_value() else { return Ok(Vec::new()) };
        let (mut letters, mut wrong) = (Vec::with_capacity(which.len()), None);
        self.scan(Offset(*first), &mut |message| {
            if let Some((place, entry)) = left.remove(&message.offset()) {
                match record::letter(message, place, entry.retry, bytes) {
                    Ok(letter) => letters.push(letter),
                    Err(why) => wrong = Some((message.offset(), why)),
                }
            }
            Ok(wrong.is_none() && left.last_key_value().is_some_and(|(last, _)| *last > message.offset()))
        })?;
        match wrong {
            Some((offset, why)) => Err(self.unreadable(offset, &why)),
            None => Ok(letters),
        }
    }

    fn write(&mut self, pipeline: &str, letters: &[DeadLetter]) -> Result<(), SinkError> {
        let record = |letter: &DeadLetter| Outgoing {
            key: Key::Letter((pipeline.to_owned(), letter.id.clone())).text(),
            // No value at all would be a removal.
            value: Some(letter.value.clone().unwrap_or_default()),
            headers: Some(record::headers(pipeline, letter)),
        };
        let why = match (self.produce(letters.iter().map(record).collect()), letters) {
            (Err(SinkError::Rows(why)), [_, ..]) => why,
            (sent, _) => return sent,
        };
        // Some are too long, found by halves; written twice, a letter is the same. The one that is, is kept without its record.
        match letters {
            [letter] if letter.value.is_some() || letter.key.is_some() => {
                let mut cut = letter.clone();
                cut.leave_record_out(&why);
                self.write(pipeline, &[cut])
            }
            [_] => Err(SinkError::Unusable(why)),
            letters => {
                let (first, second) = letters.split_at(letters.len() / 2);
                self.write(pipeline, first)?;
                self.write(pipeline, second)
            }
        }
    }

    fn mark(&mut self, which: &[(LetterPlace, Entry)]) -> Result<(), SinkError> {
        let record = |(place, entry): &(LetterPlace, Entry)| Outgoing {
            key: Key::Retry(place.clone()).text(),
            value: Some(entry.position.to_string().into_bytes()),
            headers: None,
        };
        self.produce(which.iter().map(record).collect())
    }

    fn remove(&mut self, places: &[LetterPlace]) -> Result<(), SinkError> {
        let both = |place: &LetterPlace| [Key::Letter(place.clone()), Key::Retry(place.clone())];
        self.produce(places.iter().flat_map(both).map(|key| Outgoing::tombstone(&key)).collect())
    }

    fn remove_from(
        &mut self,
        pipeline: &str,
        topic: &str,
        from: &BTreeMap<Partition, Offset>,
    ) -> Result<(), SinkError> {
        let mut places = BTreeSet::new();
        self.scan(Offset(0), &mut |message| {
            match message.key().and_then(Key::read) {
                Some(Key::Letter(place)) if is_from(&place, pipeline, topic, from) => match message.payload() {
                    Some(_) => drop(places.insert(place)),
                    None => drop(places.remove(&place)),
                },
                _ => {}
            }
            Ok(true)
        })?;
        if places.is_empty() { Ok(()) } else { self.remove(&places.into_iter().collect::<Vec<_>>()) }
    }
}

/// Takes up a record of the topic.
fn enter(index: &mut Index, pipeline: Option<&str>, message: &BorrowedMessage<'_>) {
    let Some(key) = message.key().and_then(Key::read) else { return };
    let (Key::Letter(place) | Key::Retry(place)) = &key;
    if pipeline.is_some_and(|pipeline| pipeline != place.0) {
        return;
    }
    match (key, message.payload()) {
        (Key::Letter(place), Some(_)) => {
            index.insert(place, Entry { position: message.offset(), retry: false });
        }
        (Key::Letter(place), None) => {
            index.remove(&place);
        }
        (Key::Retry(place), Some(position)) => {
            let position = std::str::from_utf8(position).ok().and_then(|text| text.parse().ok());
            if let Some(entry) = index.get_mut(&place).filter(|entry| Some(entry.position) == position) {
                entry.retry = true;
            }
        }
        (Key::Retry(_), None) => {}
    }
}
