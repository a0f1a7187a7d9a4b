//! Topics that hosts write rows to, read back.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::oracle::{Kind, Metric, Rows};
use crate::{PATIENCE, kafka};

/// Longest time without a record or an end, after which a partition has been read. Its end is asked before.
const SILENCE: Duration = Duration::from_secs(30);

/// A record of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The key's text; none for a record without a key.
    pub key: Option<String>,
    /// The value's text; none for a tombstone.
    pub value: Option<String>,
    /// The headers' texts by name.
    pub headers: BTreeMap<String, String>,
}

/// All records that a topic holds, each partition's in their order; the refusal is the broker's.
pub fn records(topic: &str) -> Result<Vec<Record>, String> {
    let words = |error: KafkaError| format!("{topic}: {error}");
    let mut client = kafka::client();
    let consumer: BaseConsumer = client.set("group.id", "published").create().map_err(words)?;
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).map_err(words)?;
    let partitions = metadata.topics()[0].partitions().len() as i32;
    let (mut records, mut list, mut ends) = (Vec::new(), TopicPartitionList::new(), BTreeMap::new());
    for partition in 0..partitions {
        let (low, high) = consumer.fetch_watermarks(topic, partition, PATIENCE).map_err(words)?;
        if low < high {
            list.add_partition_offset(topic, partition, Offset::Beginning).map_err(words)?;
            ends.insert(partition, high);
        }
    }
    consumer.assign(&list).map_err(words)?;
    while !ends.is_empty() {
        let message = consumer.poll(SILENCE).ok_or_else(|| format!("{topic}: no record comes"))?.map_err(words)?;
        records.push(record(&message));
        if ends.get(&message.partition()).is_some_and(|end| message.offset() + 1 >= *end) {
            ends.remove(&message.partition());
        }
    }
    Ok(records)
}

/// The last value of each key, without those that a tombstone ends.
pub fn latest(topic: &str) -> Result<BTreeMap<String, String>, String> {
    let mut latest = BTreeMap::new();
    for Record { key, value, .. } in records(topic)? {
        latest.insert(key.ok_or("a record without a key")?, value);
    }
    Ok(latest.into_iter().filter_map(|(key, value)| Some((key, value?))).collect())
}

/// The last row of each key, with the metric's columns.
pub fn rows(topic: &str, metric: &Metric) -> Result<Rows, String> {
    let row = |value: &String| -> Result<Vec<Value>, String> {
        let object: BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(value).map_err(|e| format!("{value}: {e}"))?;
        let column = |(name, kind): &(&str, Kind)| {
            let raw = object.get(*name).ok_or_else(|| format!("{value} has no {name}"))?.get();
            Ok(cell(raw, *kind))
        };
        metric.columns.iter().map(column).collect()
    };
    latest(topic)?.values().map(row).collect()
}

fn cell(raw: &str, kind: Kind) -> Value {
    let value = || serde_json::from_str(raw).expect("a value of an object");
    match (kind, raw) {
        (_, "null") => Value::Null,
        (Kind::Integer | Kind::Text, _) => value(),
        (Kind::Decimal, digits) => digits.into(),
        (Kind::Time, _) => match value().as_str() {
            Some(time) if time.len() == 19 => format!("{time}.000000").into(),
            _ => value(),
        },
    }
}

fn record(message: &BorrowedMessage<'_>) -> Record {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    let headers = message.headers().into_iter().flat_map(Headers::iter);
    Record {
        key: message.key().map(text),
        value: message.payload().map(text),
        headers: headers.map(|header| (header.key.to_owned(), header.value.map(text).unwrap_or_default())).collect(),
    }
}
