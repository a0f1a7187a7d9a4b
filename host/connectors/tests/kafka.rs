//! Kafka against a real broker: `make services` starts one and says how to name it in `SLUICE_TEST_KAFKA`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "these are tests")]

mod support;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use futures_executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use rdkafka::{ClientConfig, TopicPartitionList};
use sluice_connectors::kafka::{KafkaSource, KafkaWriter};
use sluice_connectors::source::Start;
use sluice_connectors::{Source as _, SourceError, WriteError, Writer as _};
use sluice_core::{Offset, Partition};
use support::{LONG, Reader, connection, failure, subscription, unusable};

fn brokers() -> String {
    std::env::var("SLUICE_TEST_KAFKA").unwrap_or_else(|_| {
        panic!("SLUICE_TEST_KAFKA isn't set: these tests need a broker; run `make services` and export what it prints")
    })
}

fn client() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers());
    config
}

fn admin() -> AdminClient<DefaultClientContext> {
    client().create().unwrap()
}

/// A topic of this test and run alone.
fn topic(test: &str, partitions: i32) -> String {
    topic_with(test, partitions, &[])
}

fn topic_with(test: &str, partitions: i32, settings: &[(&str, &str)]) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let name = format!("{test}-{}", now.as_nanos());
    let new = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
    let new = settings.iter().fold(new, |new, (key, value)| new.set(key, value));
    let made = block_on(admin().create_topics([&new], &AdminOptions::new().operation_timeout(Some(LONG)))).unwrap();
    assert!(made.iter().all(Result::is_ok), "{made:?}");
    name
}

fn write(topic: &str, partition: u64, values: impl IntoIterator<Item = String>) {
    let mut writer = writer();
    for value in values {
        writer.write(topic, partition, value.as_bytes()).unwrap();
    }
    writer.flush().unwrap();
}

fn writer() -> KafkaWriter {
    KafkaWriter::open(&connection(&brokers(), &[]), LONG).unwrap()
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|i| format!("record {i}")).collect()
}

fn open(topic: &str, start: Start) -> KafkaSource {
    try_open(topic, start, &[]).unwrap()
}

fn try_open(topic: &str, start: Start, properties: &[(&str, &str)]) -> Result<KafkaSource, SourceError> {
    KafkaSource::open(&connection(&brokers(), properties), &subscription(topic, start), None, LONG)
}

fn read_all(source: &mut KafkaSource) -> Reader {
    let mut reader = Reader::default();
    let ends = source.ends().unwrap();
    reader.read_to(source, &ends);
    reader
}

fn delete_before(topic: &str, partition: i32, offset: i64) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, rdkafka::Offset::Offset(offset)).unwrap();
    block_on(admin().delete_records(&list, &AdminOptions::new())).unwrap();
}

fn all(offset: i64, partitions: i32) -> BTreeMap<Partition, Offset> {
    (0..partitions).map(|partition| (Partition(partition), Offset(offset))).collect()
}

#[test]
fn records_of_all_partitions_come_once_in_order() {
    let topic = topic("order", 3);
    (0..3).for_each(|partition| write(&topic, partition, numbers(0..10_000)));
    let mut source = open(&topic, Start::Earliest);
    assert_eq!(source.positions(), all(0, 3));
    let reader = read_all(&mut source);
    (0..3).for_each(|partition| assert_eq!(reader.texts(partition), numbers(0..10_000)));
}

#[test]
fn a_poll_gives_what_is_there_and_never_waits_for_more() {
    let topic = topic("latency", 1);
    let mut source = open(&topic, Start::Earliest);
    let mut reader = Reader::default();
    write(&topic, 0, numbers(0..1));
    assert_eq!(reader.poll(&mut source, 10_000, LONG).unwrap(), 1);
    assert_eq!(reader.poll(&mut source, 10_000, Duration::ZERO).unwrap(), 0);
}

#[test]
fn the_latest_start_is_a_number_and_reads_what_comes_after() {
    let topic = topic("latest", 2);
    (0..2).for_each(|partition| write(&topic, partition, numbers(0..5)));
    let mut source = open(&topic, Start::Latest);
    assert_eq!(source.positions(), all(5, 2));
    (0..2).for_each(|partition| write(&topic, partition, numbers(5..8)));
    let reader = read_all(&mut source);
    (0..2).for_each(|partition| assert_eq!(reader.texts(partition), numbers(5..8)));
}

#[test]
fn a_group_without_members_commits_and_starts_from_its_commits() {
    let topic = topic("commits", 2);
    (0..2).for_each(|partition| write(&topic, partition, numbers(0..10)));
    let source = open(&topic, Start::Committed);
    assert_eq!(source.positions(), all(0, 2));
    let committer = source.committer();
    committer.commit(&BTreeMap::from([(Partition(1), Offset(4))])).unwrap();
    committer.commit(&BTreeMap::from([(Partition(1), Offset(7))])).unwrap();
    committer.commit(&BTreeMap::new()).unwrap();
    drop(source);
    let mut source = open(&topic, Start::Committed);
    assert_eq!(source.positions(), BTreeMap::from([(Partition(0), Offset(0)), (Partition(1), Offset(7))]));
    let reader = read_all(&mut source);
    assert_eq!(reader.texts(0), numbers(0..10));
    assert_eq!(reader.texts(1), numbers(7..10));
    assert!(committer.commit(&all(10, 2)).is_ok(), "a committer may outlive its source");
}

#[test]
fn transaction_markers_and_aborted_records_do_not_keep_the_end_from_being_reached() {
    let topic = topic("transactions", 1);
    let producer: ThreadedProducer<DefaultProducerContext> = client().set("transactional.id", &topic).create().unwrap();
    producer.init_transactions(LONG).unwrap();
    for commit in [true, false, true, false] {
        producer.begin_transaction().unwrap();
        producer.send(BaseRecord::<(), str>::to(&topic).partition(0).payload(&commit.to_string())).unwrap();
        // An abort would take back what isn't sent yet.
        producer.flush(LONG).unwrap();
        if commit {
            producer.commit_transaction(LONG).unwrap();
        } else {
            producer.abort_transaction(LONG).unwrap();
        }
    }
    let mut source = open(&topic, Start::Earliest);
    assert_eq!(source.ends().unwrap(), all(8, 1));
    let reader = read_all(&mut source);
    assert_eq!(reader.texts(0), ["true", "true"]);
    assert_eq!(reader.intervals.end(Partition(0)), Some(Offset(8)));
}

#[test]
fn keys_times_tombstones_and_empty_values_are_told_apart() {
    let topic = topic("facts", 1);
    let producer: BaseProducer = client().create().unwrap();
    let record = || BaseRecord::<str, str>::to(&topic).partition(0);
    producer.send(record().key("k").payload("v").timestamp(1_629_107_281_123)).unwrap();
    producer.send(record().key("gone")).unwrap();
    producer.send(record().payload("")).unwrap();
    producer.flush(LONG).unwrap();

    let mut source = open(&topic, Start::Earliest);
    let records = loop {
        let records = source.poll(10, LONG).unwrap().unwrap();
        if records.len() == 3 {
            break records;
        }
        drop(records);
        source = open(&topic, Start::Earliest);
    };
    drop(source);
    let fact = |i| (records.key(i), records.value(i));
    assert_eq!(fact(0), (Some(b"k".as_slice()), Some(b"v".as_slice())));
    assert_eq!(fact(1), (Some(b"gone".as_slice()), None));
    assert_eq!(fact(2), (None, Some(b"".as_slice())));
    assert_eq!(records.timestamp(0), Some(1_629_107_281_123_000));
    assert_eq!(records.position(2), (Partition(0), Offset(2)));
    assert_eq!(records.topic(), topic);
}

#[test]
fn partitions_that_are_added_are_read_from_their_beginning() {
    let topic = topic("added", 1);
    write(&topic, 0, numbers(0..3));
    let mut source = try_open(&topic, Start::Latest, &[("topic.metadata.refresh.interval.ms", "200")]).unwrap();
    let options = AdminOptions::new().operation_timeout(Some(LONG));
    block_on(admin().create_partitions([&NewPartitions::new(&topic, 3)], &options)).unwrap();
    let mut writer = writer();
    while matches!(writer.ensure_topic(&topic, 3), Err(WriteError::Unavailable(_))) {}
    (0..3).for_each(|partition| writer.write(&topic, partition, b"new").unwrap());
    writer.flush().unwrap();
    let mut reader = Reader::default();
    let ends = BTreeMap::from([(Partition(0), Offset(4)), (Partition(1), Offset(1)), (Partition(2), Offset(1))]);
    reader.read_to(&mut source, &ends);
    (0..3).for_each(|partition| assert_eq!(reader.texts(partition), ["new"]));
    assert_eq!(source.ends().unwrap(), ends);
}

#[test]
fn a_commit_of_records_that_are_gone_is_named_with_what_is_there() {
    let topic = topic("gone", 1);
    write(&topic, 0, numbers(0..10));
    open(&topic, Start::Earliest).committer().commit(&all(3, 1)).unwrap();
    delete_before(&topic, 0, 6);
    let message = unusable(try_open(&topic, Start::Committed, &[]).err().unwrap());
    assert!(message.contains("the committed offset 3: it has 6 to 10"), "{message}");
    assert_eq!(open(&topic, Start::Earliest).positions(), all(6, 1));
    open(&topic, Start::Earliest).committer().commit(&all(11, 1)).unwrap();
    let message = unusable(try_open(&topic, Start::Committed, &[]).err().unwrap());
    assert!(message.contains("the committed offset 11: it has 6 to 10"), "{message}");
}

#[test]
fn records_that_go_while_they_wait_to_be_read_stop_the_source_for_good() {
    let topic = topic("retention", 1);
    let records = || (0..100).map(|_| "x".repeat(20_000));
    write(&topic, 0, records());
    let little_ahead =
        [("fetch.message.max.bytes", "30000"), ("queued.min.messages", "1"), ("queued.max.messages.kbytes", "1")];
    let mut source = try_open(&topic, Start::Earliest, &little_ahead).unwrap();
    assert!(source.poll(1, LONG).unwrap().is_some());
    delete_before(&topic, 0, 90);
    let message = unusable(failure(&mut source));
    assert!(message.contains("no longer has offset") && message.contains("it has 90 to 100"), "{message}");
    assert_eq!(unusable(failure(&mut source)), message);
}

#[test]
fn a_missing_topic_is_named_and_not_made() {
    let topic = format!("{}-not", topic("there", 1));
    for _ in 0..2 {
        let message = unusable(try_open(&topic, Start::Earliest, &[]).err().unwrap());
        assert!(message.contains(&topic) && message.contains(&brokers()) && message.contains("create it"), "{message}");
    }
    assert!(matches!(writer().write(&topic, 0, b"{}"), Err(WriteError::Unusable(_))));
}

#[test]
fn a_topic_that_is_deleted_while_it_is_read_says_so() {
    let topic = topic("deleted", 1);
    write(&topic, 0, numbers(0..3));
    let mut source = try_open(&topic, Start::Earliest, &[("topic.metadata.refresh.interval.ms", "200")]).unwrap();
    read_all(&mut source);
    block_on(admin().delete_topics(&[&topic], &AdminOptions::new())).unwrap();
    let SourceError::Unavailable(message) = failure(&mut source) else { panic!("a deleted topic may come back") };
    assert!(message.contains(&topic), "{message}");
}

#[test]
fn a_writer_makes_a_missing_topic_and_keeps_one_that_is_there() {
    let topic = format!("{}-new", topic("made", 1));
    let mut writer = writer();
    writer.ensure_topic(&topic, 3).unwrap();
    writer.ensure_topic(&topic, 5).unwrap();
    assert!(matches!(writer.ensure_topic(&topic, 0), Err(WriteError::Unusable(_))));
    for spread in 0..30_u64 {
        writer.write(&topic, spread, spread.to_string().as_bytes()).unwrap();
    }
    writer.flush().unwrap();
    let reader = read_all(&mut open(&topic, Start::Earliest));
    for partition in 0..3 {
        let expected: Vec<_> =
            (0..30).filter(|spread| spread % 3 == partition).map(|spread| spread.to_string()).collect();
        assert_eq!(reader.texts(partition), expected);
    }
}

#[test]
fn compacted_holes_are_accounted_for() {
    let settings = [("cleanup.policy", "compact"), ("segment.ms", "100"), ("min.cleanable.dirty.ratio", "0.001")];
    let topic = topic_with("compacted", 1, &settings);
    let producer: BaseProducer = client().create().unwrap();
    let mut sent = 0;
    // Segments roll and are cleaned in the background: records come until a hole does.
    let deadline = std::time::Instant::now() + LONG;
    loop {
        for _ in 0..10 {
            producer.send(BaseRecord::<str, str>::to(&topic).partition(0).key("same").payload("value")).unwrap();
            sent += 1;
        }
        producer.flush(LONG).unwrap();
        let reader = read_all(&mut open(&topic, Start::Earliest));
        assert_eq!(reader.intervals.end(Partition(0)), Some(Offset(sent)));
        if reader.texts(0).len() < sent as usize {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "the broker cleans nothing");
    }
}
