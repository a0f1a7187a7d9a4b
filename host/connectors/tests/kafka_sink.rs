//! Topics that rows are upserted to, on a real broker: `make services` starts one and says how to name it in `SLUICE_TEST_KAFKA`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "these are tests")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use arrow_array::{ArrayRef, Int64Array, StringArray};
use futures_executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::{ClientConfig, TopicPartitionList};
use sluice_connectors::kafka::{DIGEST, GENERATION, KafkaConnection};
use sluice_connectors::roles::SinkRole as _;
use sluice_connectors::sink::{Rows, Sink, SinkError, Target};
use sluice_core::deploy::{Operators, Provenance};
use sluice_core::{Field, Kind};
use support::{LONG, connection};
use tokio::runtime::Runtime;

fn brokers() -> String {
    std::env::var("SLUICE_TEST_KAFKA").unwrap_or_else(|_| {
        panic!("SLUICE_TEST_KAFKA isn't set: these tests need a broker; run `make services` and export what it prints")
    })
}

fn kafka() -> KafkaConnection {
    connection(&brokers(), &[])
}

fn client() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers());
    config
}

fn admin() -> AdminClient<DefaultClientContext> {
    client().create().unwrap()
}

/// A name of this test and run alone.
fn name(test: &str) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    format!("sink-{test}-{}", now.as_nanos())
}

/// A topic that is made for this test.
fn topic(test: &str, partitions: i32, settings: &[(&str, &str)]) -> String {
    let name = name(test);
    make(&name, partitions, settings).unwrap();
    name
}

fn make(name: &str, partitions: i32, settings: &[(&str, &str)]) -> Result<(), String> {
    let new = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    let new = settings.iter().fold(new, |new, (key, value)| new.set(key, value));
    let made = block_on(admin().create_topics([&new], &AdminOptions::new().operation_timeout(Some(LONG)))).unwrap();
    made.iter().all(Result::is_ok).then_some(()).ok_or_else(|| format!("{made:?}"))
}

/// Deletes the topic and makes it anew.
fn replace(name: &str) {
    block_on(admin().delete_topics(&[name], &AdminOptions::new().operation_timeout(Some(LONG)))).unwrap();
    let asked = Instant::now();
    while let Err(why) = make(name, 1, &[]) {
        assert!(asked.elapsed() < LONG, "{why}");
    }
}

fn setting(topic: &str, name: &str) -> Option<String> {
    let described = block_on(admin().describe_configs([&ResourceSpecifier::Topic(topic)], &AdminOptions::new()));
    let described = described.unwrap().remove(0).unwrap();
    described.get(name).unwrap().value.clone()
}

/// A record as it is in a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Read {
    partition: i32,
    key: Option<String>,
    value: Option<String>,
    headers: BTreeMap<String, String>,
}

/// All records of a topic, partition by partition.
fn read(topic: &str) -> Vec<Read> {
    let consumer: BaseConsumer = client().set("group.id", "reader").create().unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), LONG).unwrap();
    let partitions = metadata.topics()[0].partitions().len() as i32;
    let (mut list, mut ends) = (TopicPartitionList::new(), BTreeMap::new());
    for partition in 0..partitions {
        let (low, high) = consumer.fetch_watermarks(topic, partition, LONG).unwrap();
        if low < high {
            ends.insert(partition, high);
            list.add_partition_offset(topic, partition, rdkafka::Offset::Beginning).unwrap();
        }
    }
    consumer.assign(&list).unwrap();
    let mut read = Vec::new();
    while !ends.is_empty() {
        let message = consumer.poll(LONG).unwrap().unwrap();
        let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
        let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
        read.push(Read {
            partition: message.partition(),
            key: text(message.key()),
            value: text(message.payload()),
            headers: headers.map(|header| (header.key.to_owned(), text(header.value).unwrap())).collect(),
        });
        if ends.get(&message.partition()).is_some_and(|end| message.offset() + 1 >= *end) {
            ends.remove(&message.partition());
        }
    }
    read.sort_by_key(|read| read.partition);
    read
}

/// The last value of each key, without those that a tombstone ends.
fn latest(topic: &str) -> BTreeMap<String, String> {
    let mut latest = BTreeMap::new();
    for Read { key, value, .. } in read(topic) {
        latest.insert(key.unwrap(), value);
    }
    latest.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

fn fields() -> Vec<Field> {
    vec![Field::new("id", Kind::Int64), Field::new("name", Kind::Utf8)]
}

fn target(topic: &str, key: &[&str], create: bool) -> Target {
    let key = key.iter().map(|name| (*name).to_owned()).collect();
    Target { table: topic.to_owned(), key, create, ..Target::default() }
}

fn rows(rows: &[(i64, &str)]) -> Rows {
    let (ids, names): (Vec<i64>, Vec<&str>) = rows.iter().copied().unzip();
    let columns: [ArrayRef; 2] = [Arc::new(Int64Array::from(ids)), Arc::new(StringArray::from(names))];
    Rows { rows: rows.len(), columns: columns.to_vec() }
}

fn keys(ids: &[i64]) -> Rows {
    let column: ArrayRef = Arc::new(Int64Array::from(ids.to_vec()));
    Rows { rows: ids.len(), columns: vec![column] }
}

/// A sink that is open, and the runtime that it works on.
struct Open {
    runtime: Runtime,
    sink: Box<dyn Sink>,
}

impl Open {
    fn try_at(target: &Target) -> Result<Open, SinkError> {
        let runtime = Runtime::new().unwrap();
        let sink = runtime.block_on(kafka().open_sink(target, &fields()))?;
        Ok(Open { runtime, sink })
    }

    fn at(target: &Target) -> Open {
        Open::try_at(target).unwrap()
    }

    fn upsert(&mut self, rows: &Rows) -> Result<(), SinkError> {
        self.runtime.block_on(self.sink.upsert(rows))
    }

    fn end(&mut self, keys: &Rows) -> Result<(), SinkError> {
        self.runtime.block_on(self.sink.end(keys))
    }
}

fn check(target: &Target) -> Result<(), SinkError> {
    Runtime::new().unwrap().block_on(kafka().check_sink(target, &fields()))
}

fn has_rows(topic: &str) -> bool {
    Runtime::new().unwrap().block_on(kafka().has_rows(topic)).unwrap()
}

#[test]
fn rows_are_records_under_their_key_and_the_last_of_each_key_is_the_table() {
    let topic = topic("rows", 3, &[]);
    let mut open = Open::at(&target(&topic, &["id"], false));
    assert!(open.sink.found().is_empty);
    let operators = Operators::from([("sum".to_owned(), "ab12".to_owned()), ("clean".to_owned(), "cd34".to_owned())]);
    open.sink.attribute(&Provenance { generation: 7, operators });
    open.upsert(&rows(&[(1, "one"), (2, "two\"\n"), (3, "三")])).unwrap();
    open.sink.attribute(&Provenance { generation: 8, operators: Operators::new() });
    open.upsert(&rows(&[(2, "zwei")])).unwrap();
    let read = read(&topic);
    assert_eq!(read.len(), 4, "{read:?}");
    let of = |key: &str| -> Vec<&Read> { read.iter().filter(|read| read.key.as_deref() == Some(key)).collect() };
    let [before, after] = of(r#"{"id":2}"#)[..] else { panic!("{read:?}") };
    assert_eq!(before.partition, after.partition, "a key stays in its partition");
    assert_eq!(before.value.as_deref(), Some(r#"{"id":2,"name":"two\"\n"}"#));
    assert_eq!(before.headers[GENERATION], "7");
    assert_eq!(before.headers[DIGEST], "clean=cd34,sum=ab12");
    assert_eq!((after.headers[GENERATION].as_str(), after.headers[DIGEST].as_str()), ("8", ""));
    let expected = [(1, "one"), (2, "zwei"), (3, "三")];
    let expected =
        expected.map(|(id, name)| (format!(r#"{{"id":{id}}}"#), format!(r#"{{"id":{id},"name":"{name}"}}"#)));
    assert_eq!(latest(&topic), BTreeMap::from(expected));
    assert!(!Open::at(&target(&topic, &["id"], false)).sink.found().is_empty);
}

#[test]
fn keys_are_in_the_partitions_in_which_kafkas_own_clients_look_for_them() {
    let topic = topic("partitions", 7, &[]);
    let many: Vec<(i64, &str)> = (0..200).map(|id| (id, "x")).collect();
    Open::at(&target(&topic, &["id"], false)).upsert(&rows(&many)).unwrap();
    for read in read(&topic) {
        let hash = murmur2(read.key.unwrap().as_bytes());
        assert_eq!((hash & 0x7fff_ffff) % 7, read.partition.cast_unsigned());
    }
}

/// The hash of Kafka's own clients: `org.apache.kafka.common.utils.Utils.murmur2`.
fn murmur2(key: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c_u32 ^ u32::try_from(key.len()).unwrap();
    let (words, rest) = key.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k = (k ^ (k >> 24)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    if !rest.is_empty() {
        let last = rest.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
        hash = (hash ^ last).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[test]
fn a_group_that_has_ended_is_a_tombstone_and_may_come_again() {
    let topic = topic("tombstones", 2, &[]);
    let mut open = Open::at(&target(&topic, &["id"], false));
    open.upsert(&rows(&[(1, "a"), (2, "b")])).unwrap();
    open.end(&keys(&[1])).unwrap();
    assert_eq!(latest(&topic).into_keys().collect::<Vec<_>>(), [r#"{"id":2}"#]);
    let tombstones: Vec<_> = read(&topic).into_iter().filter(|read| read.value.is_none()).collect();
    assert_eq!(tombstones.len(), 1);
    assert_eq!((tombstones[0].key.as_deref(), tombstones[0].headers.len()), (Some(r#"{"id":1}"#), 0));
    open.upsert(&rows(&[(1, "c")])).unwrap();
    assert_eq!(latest(&topic)[r#"{"id":1}"#], r#"{"id":1,"name":"c"}"#);
}

#[test]
fn without_a_key_each_row_is_a_record_of_its_own() {
    let topic = topic("keyless", 1, &[]);
    let mut open = Open::at(&target(&topic, &[], false));
    open.upsert(&rows(&[(1, "a"), (1, "b")])).unwrap();
    let read = read(&topic);
    assert!(read.iter().all(|read| read.key.is_none()), "{read:?}");
    assert_eq!(read[1].value.as_deref(), Some(r#"{"id":1,"name":"b"}"#));
}

#[test]
fn a_missing_topic_is_made_if_the_target_says_so_and_a_check_makes_none() {
    let (keyed, keyless, missing) = (name("made"), name("made-keyless"), name("missing"));
    for create in [true, false] {
        let checked = check(&target(&missing, &["id"], create));
        assert_eq!(checked.is_ok(), create, "{checked:?}");
        assert!(!has_rows(&missing));
    }
    let Err(SinkError::Unusable(why)) = Open::try_at(&target(&missing, &["id"], false)) else {
        panic!("it isn't there")
    };
    assert!(why.contains(&missing) && why.contains("create it"), "{why}");
    for (topic, key, policy) in [(&keyed, &["id"][..], "compact"), (&keyless, &[], "delete")] {
        let mut open = Open::at(&target(topic, key, true));
        assert_eq!(setting(topic, "cleanup.policy").as_deref(), Some(policy));
        assert!(!has_rows(topic));
        open.upsert(&rows(&[(1, "a")])).unwrap();
        assert!(has_rows(topic));
        check(&target(topic, key, false)).unwrap();
        let again = Open::at(&target(topic, key, true));
        assert_eq!(again.sink.found().table, open.sink.found().table);
        assert_eq!(again.sink.found().database, open.sink.found().database);
    }
}

#[test]
fn a_key_that_is_no_column_is_named() {
    let target = target(&topic("nokey", 1, &[]), &["idd"], false);
    let opened = Open::try_at(&target).err();
    for refused in [check(&target).unwrap_err(), opened.unwrap()] {
        assert!(matches!(&refused, SinkError::Unusable(why) if why.contains("`idd`")), "{refused:?}");
    }
}

#[test]
fn a_row_that_the_topic_takes_no_record_of_is_named_and_the_others_are_written_in_batches_that_it_takes() {
    let topic = topic("long", 1, &[("max.message.bytes", "4000")]);
    let mut open = Open::at(&target(&topic, &["id"], false));
    let (long, short) = ("x".repeat(4_000), "y".repeat(300));
    let all = rows(&[(1, &short), (2, &long), (3, &short)]);
    let Err(SinkError::Rows(why)) = open.upsert(&all) else { panic!("a row is too long") };
    assert!(why.contains("`max.message.bytes`"), "{why}");
    let refused = open.runtime.block_on(open.sink.refused(&all)).unwrap();
    assert_eq!(refused.iter().map(|refused| refused.row).collect::<Vec<_>>(), [1]);
    assert!(refused[0].reason.contains("4026 bytes") && refused[0].reason.contains(&topic), "{}", refused[0].reason);
    let many: Vec<(i64, &str)> = (0..1_000).map(|id| (id, short.as_str())).collect();
    open.upsert(&rows(&many)).unwrap();
    assert_eq!(latest(&topic).len(), 1_000);
}

#[test]
fn a_topic_that_was_made_anew_or_is_gone_gets_nothing() {
    let topic = topic("replaced", 1, &[]);
    let mut open = Open::at(&target(&topic, &["id"], false));
    open.upsert(&rows(&[(1, "a")])).unwrap();
    open.runtime.block_on(open.sink.verify()).unwrap();
    replace(&topic);
    for written in [open.upsert(&rows(&[(2, "b")])), open.end(&keys(&[1])), open.runtime.block_on(open.sink.verify())] {
        assert!(
            matches!(&written, Err(SinkError::Replaced(why)) if why.contains("another than before")),
            "{written:?}"
        );
    }
    assert!(!has_rows(&topic));
    let mut again = Open::at(&target(&topic, &["id"], false));
    assert!(again.sink.found().is_empty && again.sink.found().table != open.sink.found().table);
    again.upsert(&rows(&[(2, "b")])).unwrap();
    block_on(admin().delete_topics(&[&topic], &AdminOptions::new().operation_timeout(Some(LONG)))).unwrap();
    let written = again.upsert(&rows(&[(3, "c")]));
    assert!(matches!(&written, Err(SinkError::Replaced(why)) if why.contains("is gone")), "{written:?}");
}

#[test]
fn two_names_of_a_cluster_are_one_place() {
    let one = connection("a:1, b:2", &[]);
    assert_eq!(one.place("t"), connection("b:2,a:1", &[]).place("t"));
    assert_ne!(one.place("t"), one.place("T"));
}
