//! A dead letter as a line of JSON. Its names are those of a table of letters.

use serde::{Deserialize, Serialize};
use sluice_core::dead_letter::{DeadLetter, LetterId};
use sluice_core::{Offset, Partition, time};

use super::{Letter, LetterPlace};

/// Letter as a line of JSON. Bytes that are no text are hexadecimal, under another name.
#[derive(Debug, Serialize, Deserialize)]
struct LetterLine {
    pipeline: String,
    topic: String,
    record_partition: i32,
    record_offset: i64,
    record_time: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    record_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    record_key_hex: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    record_value: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    record_value_hex: Option<String>,
    stage: String,
    reason: String,
    operator: Option<String>,
    rejected_at: String,
    #[serde(default)]
    retry: bool,
}

/// The part of a line that an index needs.
#[derive(Debug, Deserialize)]
struct Known {
    pipeline: String,
    topic: String,
    record_partition: i32,
    record_offset: i64,
    #[serde(default)]
    retry: bool,
}

/// The line, without its end.
pub(super) fn written(pipeline: &str, letter: &DeadLetter) -> Result<Vec<u8>, serde_json::Error> {
    let (record_key, record_key_hex) = text_or_hex(letter.key.as_deref());
    let (record_value, record_value_hex) = text_or_hex(letter.value.as_deref());
    serde_json::to_vec(&LetterLine {
        pipeline: pipeline.to_owned(),
        topic: letter.id.topic.clone(),
        record_partition: letter.id.partition.0,
        record_offset: letter.id.offset.0,
        record_time: letter.timestamp.map(moment_text),
        record_key,
        record_key_hex,
        record_value,
        record_value_hex,
        stage: letter.stage.to_string(),
        reason: letter.reason.clone(),
        operator: letter.operator.clone(),
        rejected_at: moment_text(letter.time),
        retry: letter.retry,
    })
}

/// The letter of a line, or why it is none.
pub(super) fn read(line: &[u8]) -> Result<Letter, String> {
    let line: LetterLine = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let bytes = |text: Option<String>, digits: Option<String>| match digits {
        Some(digits) => hex_bytes(&digits).map(Some).ok_or("hexadecimal digits that are none"),
        None => Ok(text.map(String::into_bytes)),
    };
    let moment = |text: &str| moment(text).ok_or_else(|| format!("{text:?} is no time"));
    let id =
        LetterId { topic: line.topic, partition: Partition(line.record_partition), offset: Offset(line.record_offset) };
    let letter = DeadLetter {
        id,
        key: bytes(line.record_key, line.record_key_hex)?,
        value: bytes(line.record_value, line.record_value_hex)?,
        timestamp: line.record_time.as_deref().map(moment).transpose()?,
        stage: line.stage.parse()?,
        reason: line.reason,
        operator: line.operator,
        time: moment(&line.rejected_at)?,
        retry: line.retry,
    };
    Ok(Letter { pipeline: line.pipeline, letter })
}

/// The letter's place, and whether a retry is asked for.
pub(super) fn place(line: &[u8]) -> Result<(LetterPlace, bool), String> {
    let known: Known = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let (partition, offset) = (Partition(known.record_partition), Offset(known.record_offset));
    Ok(((known.pipeline, LetterId { topic: known.topic, partition, offset }), known.retry))
}

/// A time as people read it; one beyond any calendar as a number of microseconds.
pub(crate) fn moment_text(micros: i64) -> String {
    time::shown(micros).unwrap_or_else(|| micros.to_string())
}

/// Reads a time that [`moment_text`] wrote.
pub(crate) fn moment(text: &str) -> Option<i64> {
    time::parse(text).or_else(|| text.parse().ok())
}

fn text_or_hex(bytes: Option<&[u8]>) -> (Option<String>, Option<String>) {
    match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => (None, None),
        Some((_, Ok(text))) => (Some(text.to_owned()), None),
        Some((bytes, Err(_))) => (None, Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())),
    }
}

fn hex_bytes(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    pairs.map(|pair| u8::from_str_radix(pair.filter(|pair| pair.len() == 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sluice_core::rejected::Stage;

    use super::*;

    proptest! {
        #[test]
        fn a_letter_is_read_back_as_it_was_written(
            topic in ".*", partition in any::<i32>(), offset in any::<i64>(), key in any::<Option<Vec<u8>>>(),
            value in any::<Option<Vec<u8>>>(), text in any::<Option<String>>(), timestamp in any::<Option<i64>>(),
            step in any::<usize>(), reason in any::<String>(), time in any::<i64>(), retry in any::<bool>(),
        ) {
            let letter = DeadLetter {
                id: LetterId { topic, partition: Partition(partition), offset: Offset(offset) },
                key,
                value: value.or(text.map(String::into_bytes)),
                timestamp,
                stage: Stage::Step(step),
                operator: Some(reason.clone()),
                reason,
                time,
                retry,
            };
            let line = written("p", &letter).unwrap();
            prop_assert!(!line.contains(&b'\n'));
            prop_assert_eq!(place(&line).unwrap(), (("p".to_owned(), letter.id.clone()), retry));
            prop_assert_eq!(read(&line).unwrap(), Letter { pipeline: "p".to_owned(), letter });
        }

        #[test]
        fn no_line_of_others_is_taken_for_a_letter_or_panics(line in any::<Vec<u8>>()) {
            prop_assert!(read(&line).is_err());
            prop_assert!(place(&line).is_err());
        }
    }
}
