//! Laws of decoding: whatever the bytes, no panic, and the answer is `serde_json`'s, or Flink's where that takes more.

mod csv;
mod documents;
mod envelopes;
mod leniency;
mod nested;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, StringArray};
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::column::Texts;
use crate::decimal::Decimal;
use crate::interval::{Interval, Offset, Partition};
use crate::records::Records;
use crate::schema::{Field, Kind};

/// Records made by hand: partition 3, offsets from 100 on.
pub(crate) struct Made(pub(crate) Vec<Option<Vec<u8>>>);

impl Records for Made {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn topic(&self) -> &str {
        "made"
    }
    fn value(&self, i: usize) -> Option<&[u8]> {
        self.0[i].as_deref()
    }
    fn key(&self, i: usize) -> Option<&[u8]> {
        i.is_multiple_of(2).then_some(b"key")
    }
    fn position(&self, i: usize) -> (Partition, Offset) {
        (Partition(3), Offset(100).advanced(i))
    }
    fn timestamp(&self, i: usize) -> Option<i64> {
        (i % 2 == 1).then_some(1_000_000)
    }
    fn intervals(&self) -> &[(Partition, Interval)] {
        &[]
    }
}

/// Options of JSON records, else the defaults.
fn of_json(json: JsonOptions) -> DecodeOptions {
    DecodeOptions { format: FormatOptions::Json(json), ..DecodeOptions::default() }
}

fn made(records: &[&str]) -> Made {
    Made(records.iter().map(|record| Some(record.as_bytes().to_vec())).collect())
}

fn column(name: &str, kind: Kind) -> SourceColumn {
    SourceColumn { field: Field::new(name, kind), origin: Origin::Field(name.to_owned()) }
}

fn decode(columns: &[SourceColumn], options: DecodeOptions, records: &Made) -> Decoded {
    let wanted = vec![true; columns.len()];
    Decoder::new(columns, &wanted, options).decode(records, 0, usize::MAX)
}

fn texts(decoded: &Decoded, column: usize) -> Vec<Option<String>> {
    let array: &StringArray = decoded.batch.columns[column].as_ref().unwrap().as_string();
    array.iter().map(|text| text.map(str::to_owned)).collect()
}

fn ints(decoded: &Decoded, column: usize) -> Vec<Option<i64>> {
    decoded.batch.columns[column].as_ref().unwrap().as_primitive::<Int64Type>().iter().collect()
}

#[test]
fn a_record_of_the_original_becomes_columns() {
    let columns = [column("user_id", Kind::Int64), column("province", Kind::Utf8), column("region_code", Kind::Int64)];
    let records = made(&[
        r#"{"user_id": 3165, "ip": "123.0.0.105", "region": 1122, "province": "\u6d59\u6c5f"}"#,
        r#"{ "province":"浙江","user_id":null }"#,
    ]);
    let decoded = decode(&columns, DecodeOptions::default(), &records);
    assert_eq!(decoded.stopped, None);
    assert_eq!(ints(&decoded, 0), [Some(3165), None]);
    assert_eq!(texts(&decoded, 1), [Some("浙江".into()), Some("浙江".into())]);
    assert_eq!(ints(&decoded, 2), [None, None]);
}

#[test]
fn the_last_of_two_equal_fields_counts() {
    let columns = [column("a", Kind::Int64)];
    let flat = made(&[r#"{"a": 1, "b": 2, "a": 3}"#]);
    assert_eq!(ints(&decode(&columns, DecodeOptions::default(), &flat), 0), [Some(3)]);
    let nested = made(&[r#"{"a": 1, "b": [2], "a": 3}"#]);
    assert_eq!(ints(&decode(&columns, DecodeOptions::default(), &nested), 0), [Some(3)]);
}

#[test]
fn values_become_other_kinds_only_where_nothing_is_lost() {
    let money = Kind::Decimal(Decimal::new(5, 2).unwrap());
    let cases: &[(Kind, &str, Result<&str, &str>)] = &[
        (Kind::Int64, "9223372036854775807", Ok("9223372036854775807")),
        (Kind::Int64, "-9223372036854775808", Ok("-9223372036854775808")),
        (Kind::Int64, "9223372036854775808", Err("not an int64")),
        (Kind::Int64, "\" 42 \"", Ok("42")),
        (Kind::Int64, "1.5", Err("not an int64, since it has a fraction")),
        (Kind::Int64, "5.0", Ok("5")),
        (Kind::Int64, "-1e3", Ok("-1000")),
        (Kind::Int64, "50e-1", Ok("5")),
        (Kind::Int64, "\"5.0\"", Ok("5")),
        (Kind::Int64, "\"+1E3\"", Ok("1000")),
        (Kind::Int64, "9223372036854775807.0", Ok("9223372036854775807")),
        (Kind::Int64, "1e99999999999999999999", Err("out of range")),
        (Kind::Int64, "\"\"", Err("\"\" is not an int64")),
        (Kind::Int64, "-0", Ok("0")),
        (Kind::Int64, "true", Err("not an int64")),
        (Kind::Int64, "\"abc\"", Err("\"abc\" is not an int64")),
        (Kind::Int64, "{\"x\":1}", Err("not an int64")),
        (Kind::Utf8, "1.50", Ok("1.50")),
        (Kind::Utf8, "true", Ok("true")),
        (Kind::Utf8, "[1, {\"x\":null}]", Ok("[1, {\"x\":null}]")),
        (Kind::Utf8, "\"\\ud83d\\ude00\"", Ok("😀")),
        (Kind::Utf8, "\"\\ud83d\"", Ok("\u{fffd}")),
        (Kind::Utf8, "\"tab\tand \u{1}\"", Ok("tab\tand \u{1}")),
        (Kind::Float64, "1e3", Ok("1000.0")),
        (Kind::Float64, "\"-0.5\"", Ok("-0.5")),
        (Kind::Float64, "1e999", Err("not a float64")),
        (Kind::Float64, "\"NaN\"", Err("not a float64")),
        (Kind::Float64, "\"inf\"", Err("not a float64")),
        (Kind::Boolean, "\"TRUE\"", Ok("true")),
        (Kind::Boolean, "1", Err("not a boolean")),
        (Kind::Timestamp, "\"1970-01-01 00:00:01.5\"", Ok("1500000")),
        (Kind::Timestamp, "\"1970-01-01T08:00:01+08:00\"", Ok("1000000")),
        (Kind::Timestamp, "\"1970-01-01T00:00:01Z\"", Ok("1000000")),
        (Kind::Timestamp, "1629107281000", Ok("1629107281000000")),
        (Kind::Timestamp, "\"1629107281000\"", Ok("1629107281000000")),
        (Kind::Timestamp, "0", Ok("0")),
        (Kind::Timestamp, "1629107281", Err("say by `json.epoch`")),
        (Kind::Timestamp, "1629107281000000", Err("say by `json.epoch`")),
        (Kind::Timestamp, "1e30", Err("say by `json.epoch`")),
        (Kind::Timestamp, "true", Err("not a timestamp")),
        (Kind::Date, "\"2021-08-16\"", Ok("2021-08-16")),
        (Kind::Date, "\"2021-02-29\"", Err("\"2021-02-29\" is not a date (YYYY-MM-DD)")),
        (Kind::Date, "\"2021-08-16 09:48:01\"", Err("is not a date")),
        (Kind::Date, "18855", Err("is not a date")),
        (money, "12.5", Ok("12.50")),
        (money, "\" -0.05 \"", Ok("-0.05")),
        (money, "7", Ok("7.00")),
        (money, "1e2", Ok("100.00")),
        (money, "0.10000000000000000000000000000000000000000000", Ok("0.10")),
        (money, "999.99", Ok("999.99")),
        (money, "1000", Err("1000 is not a decimal(5, 2), since it is out of range")),
        (money, "1e99", Err("out of range")),
        (money, "0.005", Err("more digits after the point; `json.convert = \"flink\"` would round it")),
        (money, "\"1.5 CNY\"", Err("\"1.5 CNY\" is not a decimal(5, 2)")),
        (money, "true", Err("true is not a decimal(5, 2)")),
    ];
    for (kind, json, expected) in cases {
        let records = made(&[&format!("{{\"v\": {json}}}")]);
        let decoded = decode(&[column("v", *kind)], DecodeOptions::default(), &records);
        match (expected, decoded.stopped.as_ref().map(ToString::to_string)) {
            (Ok(text), None) => assert_eq!(shown(&decoded), *text, "{kind} from {json}"),
            (Err(part), Some(message)) => {
                assert!(message.contains(part), "{kind} from {json}: {message}");
                assert!(message.starts_with("made, partition 3, offset 100: field `v`"), "{message}");
            }
            (expected, stopped) => panic!("{kind} from {json}: {stopped:?} instead of {expected:?}"),
        }
        let ignoring = DecodeOptions { ignore_parse_errors: true, ..DecodeOptions::default() };
        let decoded = decode(&[column("v", *kind)], ignoring, &records);
        assert_eq!(decoded.batch.columns[0].as_ref().unwrap().null_count(), usize::from(expected.is_err()));
    }
}

fn shown(decoded: &Decoded) -> String {
    let array = decoded.batch.columns[0].as_ref().unwrap();
    match Kind::of(array.data_type()).unwrap() {
        Kind::Boolean => array.as_boolean().value(0).to_string(),
        Kind::Int64 => array.as_primitive::<Int64Type>().value(0).to_string(),
        Kind::Float64 => format!("{:?}", array.as_primitive::<Float64Type>().value(0)),
        Kind::Timestamp => array.as_primitive::<TimestampMicrosecondType>().value(0).to_string(),
        Kind::Utf8 => array.as_string::<i32>().value(0).to_owned(),
        Kind::Binary => String::from_utf8(array.as_binary::<i32>().value(0).to_vec()).unwrap(),
        _ => Texts::of(array).unwrap().get(0).unwrap(),
    }
}

#[test]
fn records_that_are_no_objects_stop_or_are_left_out() {
    let records = Made(vec![
        Some(b"{\"a\":1}".to_vec()),
        None,
        Some(b"".to_vec()),
        Some(b"[1]".to_vec()),
        Some(b"\"text\"".to_vec()),
        Some(b"null".to_vec()),
        Some(b"{\"a\":2".to_vec()),
        Some(b"{\"a\":\"\xff\"}".to_vec()),
        Some(b"{\"a\":3} trailing".to_vec()),
        Some(b"{\"a\":4}".to_vec()),
    ]);
    let columns = [column("a", Kind::Int64)];
    let ignoring = DecodeOptions { ignore_parse_errors: true, ..DecodeOptions::default() };
    let decoded = decode(&columns, ignoring, &records);
    assert_eq!((ints(&decoded, 0), decoded.ignored), (vec![Some(1), Some(4)], 8));
    assert_eq!((decoded.batch.origins.record(0), decoded.batch.origins.record(1)), (0, 9));

    for bad in 1..9 {
        let alone = Made(vec![records.0[0].clone(), records.0[bad].clone()]);
        let decoded = decode(&columns, DecodeOptions::default(), &alone);
        assert_eq!((ints(&decoded, 0), decoded.next), (vec![Some(1)], 1), "the good one before is kept");
        assert_eq!(decoded.stopped.unwrap().offset, Offset(101));
    }
}

#[test]
fn missing_fields_are_null_or_stop_even_where_nobody_reads_them() {
    let columns = [column("a", Kind::Int64), column("b", Kind::Int64)];
    let records = made(&[r#"{"a":1}"#]);
    assert_eq!(ints(&decode(&columns, DecodeOptions::default(), &records), 1), [None]);
    let strict = DecodeOptions { fail_on_missing_field: true, ..DecodeOptions::default() };
    let decoded = Decoder::new(&columns, &[true, false], strict).decode(&records, 0, 10);
    assert_eq!(decoded.stopped.unwrap().problem, Problem::MissingField("b".to_owned()));
}

#[test]
fn a_records_own_facts_are_columns() {
    let fact = |name: &str, kind, origin| SourceColumn { field: Field::new(name, kind), origin };
    let columns = [
        fact("_topic", Kind::Utf8, Origin::Topic),
        fact("_partition", Kind::Int64, Origin::Partition),
        fact("_offset", Kind::Int64, Origin::Offset),
        fact("_timestamp", Kind::Timestamp, Origin::Timestamp),
        fact("_key", Kind::Utf8, Origin::Key),
    ];
    let decoded = decode(&columns, DecodeOptions::default(), &made(&["{}", "{}"]));
    assert_eq!(texts(&decoded, 0), [Some("made".into()), Some("made".into())]);
    assert_eq!((ints(&decoded, 1), ints(&decoded, 2)), (vec![Some(3); 2], vec![Some(100), Some(101)]));
    let times: Vec<_> =
        decoded.batch.columns[3].as_ref().unwrap().as_primitive::<TimestampMicrosecondType>().iter().collect();
    assert_eq!(times, [None, Some(1_000_000)]);
    assert_eq!(texts(&decoded, 4), [Some("key".into()), None]);
}

/// Records whose times are these.
struct Timed(Made, Vec<i64>);

impl Records for Timed {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn topic(&self) -> &str {
        self.0.topic()
    }
    fn value(&self, i: usize) -> Option<&[u8]> {
        self.0.value(i)
    }
    fn key(&self, i: usize) -> Option<&[u8]> {
        self.0.key(i)
    }
    fn position(&self, i: usize) -> (Partition, Offset) {
        self.0.position(i)
    }
    fn timestamp(&self, i: usize) -> Option<i64> {
        Some(self.1[i])
    }
    fn intervals(&self) -> &[(Partition, Interval)] {
        &[]
    }
}

#[test]
fn a_records_time_beyond_the_calendar_is_at_fault_where_somebody_reads_it() {
    let records = Timed(made(&["{}", "{}"]), vec![0, i64::MAX]);
    let columns = [SourceColumn { field: Field::new("t", Kind::Timestamp), origin: Origin::Timestamp }];
    for wanted in [true, false] {
        let mut decoder = Decoder::new(&columns, &[wanted], DecodeOptions::default());
        let decoded = decoder.decode_as(&records, 0, usize::MAX, AtFault::IsLeftOut);
        let reasons: Vec<_> = decoded.rejected.iter().map(|rejected| rejected.reason.as_str()).collect();
        assert_eq!(reasons.len(), usize::from(wanted), "{reasons:?}");
        assert!(reasons.iter().all(|reason| reason.contains("isn't in the years 0 to 9999")), "{reasons:?}");
    }
}

#[test]
fn deep_nesting_and_long_texts_are_only_values() {
    let deep = format!("{{\"x\": {}{}, \"a\": 7}}", "[".repeat(100_000), "]".repeat(100_000));
    let long = format!("{{\"x\": \"{}\", \"a\": 8}}", "y".repeat(1 << 20));
    let columns = [column("a", Kind::Int64), column("x", Kind::Utf8)];
    let decoded = decode(&columns, DecodeOptions::default(), &made(&[&deep, &long]));
    assert_eq!(decoded.stopped, None);
    assert_eq!(ints(&decoded, 0), [Some(7), Some(8)]);
    assert_eq!(texts(&decoded, 1)[1].as_ref().unwrap().len(), 1 << 20);
}

#[test]
fn a_batch_ends_at_its_bounds() {
    let records = Made(vec![Some(format!("{{\"x\":\"{}\"}}", "y".repeat(1 << 20)).into_bytes()); 40]);
    let mut decoder = Decoder::new(&[column("x", Kind::Utf8)], &[true], DecodeOptions::default());
    assert_eq!(decoder.decode(&records, 0, 7).next, 7);
    let by_bytes = decoder.decode(&records, 7, usize::MAX).next - 7;
    assert!((15..=17).contains(&by_bytes), "{by_bytes} records of 1 MiB in a batch of {MAX_BATCH_BYTES} bytes");
}

#[test]
fn what_stood_before_a_value_is_expected_only_where_it_can_be() {
    let before = r#"{"a": 1, "b": 2, "c": 3, "d": 4}"#;
    let columns = [column("a", Kind::Int64), column("d", Kind::Int64)];
    for record in [
        r#", "b": 2}"#,
        r#", "b": 2, "c": 3, "d": 4}"#,
        r#"{, "b": 2}"#,
        r#"{"a": 1{"a": 1}"#,
        r#"{"a": 1, "b": 2, , "d": 4}"#,
        r#"{"a": 1, "b": 2 "d": 4}"#,
        r#"{"a": 1, "b": , "c": 3}"#,
        r#"{"a": 1, "c": 3, }"#,
        r#"{"a": 1, "d": 4}}"#,
        r#"{"a": 1, "d": 4, "#,
    ] {
        let decoded = decode(&columns, DecodeOptions::default(), &made(&[before, record]));
        assert_eq!((decoded.next, decoded.stopped.is_some()), (1, true), "{record}");
    }
    let lacking = [r#"{"a": 1, "d": 4}"#, r#"{"d": 4}"#, r#"{"a": 1}"#, "{}", before, r#"{"a": 1, "d": 4, "b": 2}"#];
    let decoded = decode(&columns, DecodeOptions::default(), &made(&[&[before], &lacking[..]].concat()));
    assert_eq!(ints(&decoded, 0), [Some(1), Some(1), None, Some(1), None, Some(1), Some(1)]);
    assert_eq!(ints(&decoded, 1), [Some(4), Some(4), Some(4), None, None, Some(4), Some(4)]);
}

/// JSON texts as producers write them: objects, mostly flat, with spaces, escapes and odd numbers.
fn json_object() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        "[a-z ]{0,12}",
        Just("\\u6d59\\u6c5f".to_owned()),
        Just("\\\"quoted\\\\\\n".to_owned()),
        Just("浙江".to_owned()),
        Just("\\ud83d\\ude00".to_owned()),
        Just("tab\tline\nnul\0".to_owned()),
    ];
    let value = prop_oneof![
        any::<i64>().prop_map(|v| v.to_string()),
        any::<f64>().prop_filter("JSON has no other", |v| v.is_finite()).prop_map(|v| format!("{v:e}")),
        text.prop_map(|text| format!("\"{text}\"")),
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("[1,{\"a\":2}]".to_owned()),
        Just("01".to_owned()),
        Just("1.".to_owned()),
    ];
    let name = prop_oneof![Just("a".to_owned()), Just("b".to_owned()), Just("\\u0061".to_owned()), "[c-f]{1,3}"];
    let space = prop_oneof![Just(""), Just(" "), Just("\n\t ")];
    prop::collection::vec((name, space.clone(), value, space), 0..6).prop_map(|fields| {
        let fields: Vec<_> = fields.iter().map(|(n, s, v, t)| format!("{s}\"{n}\"{s}:{t}{v}{t}")).collect();
        format!("{{{}}}", fields.join(","))
    })
}

/// Escapes the control characters within the texts of JSON.
fn escape_controls(json: &[u8]) -> Vec<u8> {
    let (mut escaped, mut in_text, mut after_backslash) = (Vec::new(), false, false);
    for byte in json {
        match byte {
            0..0x20 if in_text && !after_backslash => escaped.extend(format!("\\u{byte:04x}").into_bytes()),
            _ => escaped.push(*byte),
        }
        in_text ^= *byte == b'"' && !after_backslash;
        after_backslash = in_text && *byte == b'\\' && !after_backslash;
    }
    escaped
}

/// Returns true if `serde_json` reads these bytes as an object. Control characters in texts are escaped first, since the decoder
/// accepts them.
fn is_object(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let escaped = escape_controls(bytes);
    serde_json::from_slice::<serde::de::IgnoredAny>(&escaped).is_ok()
        && std::str::from_utf8(bytes).is_ok()
        && bytes.trim_ascii_start().first() == Some(&b'{')
}

/// Returns the value that `serde_json` reads, as a nullable text column would have it.
fn expected_text(value: Option<&Value>) -> Option<String> {
    match value {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(other) => Some(other.to_string()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn random_objects_decode_as_serde_json_says(objects in prop::collection::vec(json_object(), 1..8)) {
        let columns = [column("a", Kind::Utf8), column("b", Kind::Int64)];
        let options = DecodeOptions { ignore_parse_errors: true, ..DecodeOptions::default() };
        let mut decoder = Decoder::new(&columns, &[true, true], options);
        let records = made(&objects.iter().map(String::as_str).collect::<Vec<_>>());
        let decoded = decoder.decode(&records, 0, usize::MAX);
        let mut row = 0;
        for object in &objects {
            let escaped = escape_controls(object.as_bytes());
            let Ok(Value::Object(parsed)) = serde_json::from_slice::<Value>(&escaped) else { continue };
            let text = texts(&decoded, 0)[row].clone();
            match parsed.get("a") {
                // Numbers and nested values are texts as they were written.
                Some(value) if !value.is_string() && !value.is_null() => {
                    prop_assert_eq!(&serde_json::from_str::<Value>(&text.unwrap()).unwrap(), value);
                }
                value => prop_assert_eq!(text, expected_text(value)),
            }
            if let Some(Value::Number(number)) = parsed.get("b") {
                let (read, whole) = (ints(&decoded, 1)[row], number.as_i64());
                if whole.is_some() {
                    prop_assert_eq!(read, whole);
                } else {
                    // The float is only the nearest one to what is written, which is read to its last digit.
                    let whole = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 9e18);
                    prop_assert_eq!(read.map(|read| read as f64), whole);
                }
            }
            row += 1;
        }
        prop_assert_eq!(row, decoded.batch.rows);
    }

    #[test]
    fn random_bytes_never_panic_and_are_refused_as_serde_json_refuses(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let decoded = decode(&[column("a", Kind::Utf8)], DecodeOptions::default(), &Made(vec![Some(bytes.clone())]));
        prop_assert_eq!(decoded.stopped.is_none(), is_object(&bytes));
        prop_assert_eq!(is_whole_object(&bytes), is_object(&bytes));
    }

    #[test]
    fn objects_with_a_byte_changed_are_refused_as_serde_json_refuses(
        before in json_object(), object in json_object(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut bytes = object.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        // Nobody wants a value, so that only the record's form counts; the one before has taught the scanner its shape.
        let mut decoder = Decoder::new(&[column("zz", Kind::Utf8)], &[true], DecodeOptions::default());
        decoder.decode(&made(&[&before]), 0, 1);
        let decoded = decoder.decode(&Made(vec![Some(bytes.clone())]), 0, 1);
        prop_assert_eq!(decoded.stopped.is_none(), is_object(&bytes), "{}", String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn what_the_record_before_was_like_changes_nothing(objects in prop::collection::vec(json_object(), 1..8)) {
        let columns = [column("a", Kind::Utf8), column("b", Kind::Int64)];
        let options = DecodeOptions { ignore_parse_errors: true, ..DecodeOptions::default() };
        let records = made(&objects.iter().map(String::as_str).collect::<Vec<_>>());
        let together = decode(&columns, options.clone(), &records);
        let alone: Vec<_> = objects.iter().map(|object| decode(&columns, options.clone(), &made(&[object]))).collect();
        prop_assert_eq!(texts(&together, 0), alone.iter().flat_map(|decoded| texts(decoded, 0)).collect::<Vec<_>>());
        prop_assert_eq!(ints(&together, 1), alone.iter().flat_map(|decoded| ints(decoded, 1)).collect::<Vec<_>>());
    }

    #[test]
    fn fields_are_found_whichever_a_record_lacks_and_in_any_order(
        records in prop::collection::vec((any::<u32>(), any::<bool>(), any::<u8>()), 1..12),
    ) {
        // Leads of one block, of two, and of more.
        let name = |field: u32| format!("{field}{}", "_".repeat([0, 3, 12, 30, 60][field as usize % 5]));
        let objects: Vec<_> = records.iter().map(|(has, spaced, turn)| {
            let (comma, colon) = if *spaced { (", ", ": ") } else { (",", ":") };
            let mut fields: Vec<_> = (0..20).filter(|field| has >> field & 1 == 1).collect();
            let len = fields.len().max(1);
            fields.rotate_left(if turn % 4 == 0 { usize::from(*turn) % len } else { 0 });
            let fields: Vec<_> = fields.iter().map(|field| format!("\"{}\"{colon}{field}", name(*field))).collect();
            format!("{{{}}}", fields.join(comma))
        }).collect();
        let columns: Vec<_> = [0, 7, 13, 19].map(|field| column(&name(field), Kind::Int64)).into();
        let records_of_them = made(&objects.iter().map(String::as_str).collect::<Vec<_>>());
        let decoded = decode(&columns, DecodeOptions::default(), &records_of_them);
        prop_assert!(decoded.stopped.is_none());
        for (at, field) in [0, 7, 13, 19].into_iter().enumerate() {
            let expected: Vec<_> = records.iter().map(|(has, ..)| (has >> field & 1 == 1).then_some(i64::from(field))).collect();
            prop_assert_eq!(ints(&decoded, at), expected);
        }
    }

    #[test]
    fn any_split_into_batches_gives_the_same_rows(objects in prop::collection::vec(json_object(), 1..20), rows in 1usize..7) {
        let columns = [column("a", Kind::Utf8), column("b", Kind::Int64)];
        let options = DecodeOptions { ignore_parse_errors: true, ..DecodeOptions::default() };
        let records = made(&objects.iter().map(String::as_str).collect::<Vec<_>>());
        let whole = decode(&columns, options.clone(), &records);
        let mut decoder = Decoder::new(&columns, &[true, true], options);
        let (mut start, mut a, mut b) = (0, Vec::new(), Vec::new());
        while start < records.len() {
            let part = decoder.decode(&records, start, rows);
            a.extend(texts(&part, 0));
            b.extend(ints(&part, 1));
            start = part.next;
        }
        prop_assert_eq!((a, b), (texts(&whole, 0), ints(&whole, 1)));
    }
}
