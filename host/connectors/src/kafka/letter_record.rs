//! A dead letter as a record of a compacted topic.
//!
//! | record    | key                                            | value                                   | headers |
//! |-----------|------------------------------------------------|------------------------------------------|---------|
//! | a letter  | `pipeline/topic/partition/offset`              | the raw value; empty for a record without | the facts, under the names of a table's columns |
//! | a retry   | `retry:` and the same                          | the offset of the letter that it is for  | none |
//! | a removal | either of them                                 | none (a tombstone)                       | none |
//!
//! A retry is asked for by a record of its own, for one version of the letter: so people who mark a letter can't bring back
//! one that the host removes at the same moment.

use rdkafka::message::{BorrowedMessage, Header, Headers as _, Message as _, OwnedHeaders};
use sluice_core::dead_letter::{DeadLetter, LetterId};
use sluice_core::{Offset, Partition};

use crate::letters::{Letter, LetterPlace, moment, moment_text};

/// The prefix of the place in the key of a retry. No pipeline's name has a colon.
const RETRY: &str = "retry:";

/// A header that a letter has whose record had no value, and its value.
const NO_VALUE: (&str, &str) = ("record_value", "none");

/// The key of a record of the topic says what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    Letter(LetterPlace),
    Retry(LetterPlace),
}

impl Key {
    /// The key's text.
    pub fn text(&self) -> String {
        let (prefix, (pipeline, id)) = match self {
            Key::Letter(place) => ("", place),
            Key::Retry(place) => (RETRY, place),
        };
        format!("{prefix}{pipeline}/{}/{}/{}", id.topic, id.partition, id.offset)
    }

    /// The key of this text; none if it is somebody else's.
    pub fn read(text: &[u8]) -> Option<Key> {
        let text = std::str::from_utf8(text).ok()?;
        let (is_retry, text) = text.strip_prefix(RETRY).map_or((false, text), |rest| (true, rest));
        let mut parts = text.split('/');
        let mut part = || parts.next();
        let (pipeline, topic, partition, offset) = (part()?, part()?, part()?, part()?);
        let (partition, offset) = (Partition(partition.parse().ok()?), Offset(offset.parse().ok()?));
        let place = (pipeline.to_owned(), LetterId { topic: topic.to_owned(), partition, offset });
        (parts.next().is_none() && !pipeline.is_empty()).then_some(if is_retry {
            Key::Retry(place)
        } else {
            Key::Letter(place)
        })
    }
}

/// The headers of a letter.
pub(super) fn headers(pipeline: &str, letter: &DeadLetter) -> OwnedHeaders {
    let text = |headers: OwnedHeaders, key: &str, value: &str| headers.insert(Header { key, value: Some(value) });
    let mut headers = text(OwnedHeaders::new(), "pipeline", pipeline);
    headers = text(headers, "topic", &letter.id.topic);
    headers = text(headers, "record_partition", &letter.id.partition.to_string());
    headers = text(headers, "record_offset", &letter.id.offset.to_string());
    if let Some(timestamp) = letter.timestamp {
        headers = text(headers, "record_time", &moment_text(timestamp));
    }
    if let Some(key) = &letter.key {
        headers = headers.insert(Header { key: "record_key", value: Some(key) });
    }
    if letter.value.is_none() {
        headers = text(headers, NO_VALUE.0, NO_VALUE.1);
    }
    headers = text(headers, "stage", &letter.stage.to_string());
    headers = text(headers, "reason", &letter.reason);
    if let Some(operator) = &letter.operator {
        headers = text(headers, "operator", operator);
    }
    text(headers, "rejected_at", &moment_text(letter.time))
}

/// Reads the letter of a record with this place, with the first `bytes` bytes of its key and value. The error names the missing
/// part.
pub(super) fn letter(
    message: &BorrowedMessage<'_>,
    (pipeline, id): &LetterPlace,
    retry: bool,
    bytes: usize,
) -> Result<Letter, String> {
    let header = |name: &str| message.headers()?.iter().find(|header| header.key == name)?.value;
    let text = |name: &str| header(name).map(|value| String::from_utf8_lossy(value).into_owned());
    let needed = |name: &str| text(name).ok_or_else(|| format!("it has no header `{name}`"));
    let time = |name: &str| {
        let parsed =
            text(name).map(|text| moment(&text).ok_or_else(|| format!("`{name}` is {text:?}, which is no time")));
        parsed.transpose()
    };
    let beginning = |value: &[u8]| value[..value.len().min(bytes)].to_vec();
    let value = message.payload().filter(|_| text(NO_VALUE.0).is_none());
    let letter = DeadLetter {
        id: id.clone(),
        key: header("record_key").map(beginning),
        value: value.map(beginning),
        timestamp: time("record_time")?,
        stage: needed("stage")?.parse()?,
        reason: needed("reason")?,
        operator: text("operator"),
        time: time("rejected_at")?.ok_or("it has no header `rejected_at`")?,
        retry,
    };
    Ok(Letter { pipeline: pipeline.clone(), letter })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_key_is_read_back_as_it_was_written(
            pipeline in "[a-z0-9_-]{1,9}", topic in "[a-z0-9_.-]{0,9}", partition in any::<i32>(), offset in any::<i64>(),
        ) {
            let place = (pipeline, LetterId { topic, partition: Partition(partition), offset: Offset(offset) });
            for key in [Key::Letter(place.clone()), Key::Retry(place)] {
                prop_assert_eq!(Key::read(key.text().as_bytes()), Some(key.clone()));
            }
        }

        #[test]
        fn others_keys_are_not_ours(text in any::<Vec<u8>>()) {
            prop_assert!(Key::read(&text).is_none_or(|key| key.text().len() <= text.len()));
        }
    }
}
