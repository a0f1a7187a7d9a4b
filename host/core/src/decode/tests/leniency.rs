//! Tests of leniency: which imperfect records are accepted, which values are dropped, and that each drop is counted.

use super::*;

fn ignoring() -> DecodeOptions {
    DecodeOptions { ignore_parse_errors: true, ..DecodeOptions::default() }
}

fn flink() -> DecodeOptions {
    DecodeOptions { convert: Convert::Flink, ..DecodeOptions::default() }
}

fn one(kind: Kind, options: DecodeOptions, json: &str) -> Result<String, String> {
    let decoded = decode(&[column("v", kind)], options, &made(&[&format!("{{\"v\": {json}}}")]));
    decoded.stopped.as_ref().map_or_else(|| Ok(shown(&decoded)), |bad| Err(bad.to_string()))
}

/// Returns the reason and the number of each kind of drop.
fn dropped(decoded: &Decoded, lost: Lost) -> Vec<(&str, usize)> {
    let notes = decoded.notes.iter().filter(|note| note.lost == lost);
    notes.map(|note| (note.reason.as_str(), note.times)).collect()
}

#[test]
fn every_value_that_is_dropped_is_counted_by_field_and_reason() {
    let columns = [column("a", Kind::Int64), column("t", Kind::Timestamp), column("s", Kind::Utf8)];
    let records = made(&[
        r#"{"a": 1.5, "t": "noon", "s": "fine"}"#,
        r#"{"a": 2.5, "t": null}"#,
        r#"{"a": "many", "t": 17, "s": "\ud83d"}"#,
        r#"{"a": 1e30, "t": true}"#,
        r#"{"a": 5.0, "t": "2021-08-16 09:48:01", "s": null}"#,
    ]);
    let decoded = decode(&columns, ignoring(), &records);
    assert_eq!(ints(&decoded, 0), [None, None, None, None, Some(5)]);
    assert_eq!(texts(&decoded, 2)[2].as_deref(), Some("\u{fffd}"));
    let timestamp = "a timestamp (YYYY-MM-DD HH:MM:SS[.fraction], Z or an offset after it, or a number)";
    let mut expected = vec![
        ("field `a`: a number out of range is not an int64".to_owned(), 1),
        ("field `a`: a number with a fraction is not an int64".to_owned(), 2),
        ("field `a`: a text is not an int64".to_owned(), 1),
        ("field `s`: half a surrogate pair was replaced".to_owned(), 1),
        (format!("field `t`: a boolean is not {timestamp}"), 1),
        (format!("field `t`: a number whose unit isn't clear is not {timestamp}"), 1),
        (format!("field `t`: a text is not {timestamp}"), 1),
    ];
    expected.sort();
    let counted = dropped(&decoded, Lost::Value);
    assert_eq!(counted.into_iter().map(|(reason, times)| (reason.to_owned(), times)).collect::<Vec<_>>(), expected);
    let fraction = decoded.notes.iter().find(|note| note.times == 2).unwrap();
    assert!((fraction.record, &fraction.example[..4]) == (0, "1.5 "), "{fraction:?}");
}

#[test]
fn every_record_that_is_ignored_is_counted_by_reason() {
    let mut records = made(&["{", "[1]", "{} x", "", "\0\0\0\0\x07{}", "{}"]);
    records.0.push(None);
    let decoded = decode(&[column("a", Kind::Int64)], ignoring(), &records);
    assert_eq!((decoded.batch.rows, decoded.ignored), (1, 6));
    assert_eq!(
        dropped(&decoded, Lost::Record),
        [
            ("ignored: the record has no value (a tombstone)", 1),
            ("ignored: the record is not a JSON object but an array", 1),
            ("ignored: the record is not plain JSON: it begins with the header of Confluent's Schema Registry", 1),
            ("ignored: the record is not valid JSON", 3),
        ]
    );
    // Nothing is carried over to the next batch.
    let mut decoder = Decoder::new(&[column("a", Kind::Int64)], &[true], ignoring());
    assert_eq!(decoder.decode(&records, 0, 2).notes.len(), 2);
    assert_eq!(decoder.decode(&records, 5, 1).notes, []);
}

#[test]
fn a_row_that_is_refused_drops_nothing() {
    let columns = [column("s", Kind::Utf8), column("a", Kind::Int64)];
    let decoded = decode(&columns, DecodeOptions::default(), &made(&[r#"{"s": "\ud83d", "a": "x"}"#]));
    assert!(decoded.stopped.is_some());
    assert_eq!(decoded.notes, []);
}

#[test]
fn a_key_that_is_no_text_is_dropped_and_counted() {
    struct BadKey(Made);
    impl Records for BadKey {
        fn len(&self) -> usize {
            self.0.len()
        }
        fn topic(&self) -> &str {
            self.0.topic()
        }
        fn value(&self, i: usize) -> Option<&[u8]> {
            self.0.value(i)
        }
        fn key(&self, _: usize) -> Option<&[u8]> {
            Some(b"\xff")
        }
        fn position(&self, i: usize) -> (Partition, Offset) {
            self.0.position(i)
        }
        fn timestamp(&self, _: usize) -> Option<i64> {
            None
        }
        fn intervals(&self) -> &[(Partition, Interval)] {
            &[]
        }
    }
    let key = [SourceColumn { field: Field::new("_key", Kind::Utf8), origin: Origin::Key }];
    let decoded = Decoder::new(&key, &[true], ignoring()).decode(&BadKey(made(&["{}", "{}"])), 0, 9);
    assert_eq!(texts(&decoded, 0), [None, None]);
    assert_eq!(
        dropped(&decoded, Lost::Value),
        [("field `_key`: the key is not UTF-8 text; declare the column as `binary`", 2)]
    );
}

#[test]
fn control_characters_in_texts_and_names_are_taken_whether_anybody_reads_them_or_not() {
    let json = "{\"x\": \"a\tb\nc\0\", \"na\tme\": \"v\tw\", \"nested\": {\"y\": [\"\n\"]}, \"a\": 7}";
    let columns = [column("a", Kind::Int64), column("na\tme", Kind::Utf8)];
    let decoded = decode(&columns, DecodeOptions::default(), &made(&[json, json]));
    assert_eq!(decoded.stopped, None);
    assert_eq!(ints(&decoded, 0), [Some(7); 2]);
    assert_eq!(texts(&decoded, 1), [Some("v\tw".into()), Some("v\tw".into())]);
}

#[test]
fn half_a_surrogate_pair_that_nobody_reads_is_walked_over() {
    let json = r#"{"x": "\ud83d", "\ude00": 1, "a": 7}"#;
    let decoded = decode(&[column("a", Kind::Int64)], DecodeOptions::default(), &made(&[json]));
    assert_eq!((ints(&decoded, 0), decoded.stopped), (vec![Some(7)], None));
}

#[test]
fn a_byte_order_mark_is_passed_over() {
    let decoded =
        decode(&[column("a", Kind::Int64)], DecodeOptions::default(), &made(&["\u{feff}{\"a\": 7}", "\u{feff} "]));
    assert_eq!(ints(&decoded, 0), [Some(7)]);
    assert!(decoded.stopped.unwrap().to_string().ends_with("the record is not valid JSON: it is empty"));
}

#[test]
fn the_registrys_header_is_passed_over_where_that_is_asked_for_and_named_otherwise() {
    let framed = Made(vec![Some(b"\0\0\0\x01\x02 {\"a\": 7}".to_vec()), Some(b"\0\0\0\x01\x02\x0e\x0f".to_vec())]);
    let options = of_json(JsonOptions { schema_registry: true, ..JsonOptions::default() });
    let mut decoder = Decoder::new(&[column("a", Kind::Int64)], &[true], options);
    let decoded = decoder.decode(&framed, 0, 9);
    assert_eq!(ints(&decoded, 0), [Some(7)]);
    assert!(decoded.stopped.unwrap().to_string().contains("the record is not valid JSON: 0x0e at byte 5"));
    for (record, part) in [(0, "set `json = { schema_registry = true }`"), (1, "Avro or Protobuf follows")] {
        let decoded = Decoder::new(&[], &[], DecodeOptions::default()).decode(&framed, record, 1);
        let message = decoded.stopped.unwrap().to_string();
        for part in [part, "Confluent's Schema Registry (schema id 258)"] {
            assert!(message.contains(part), "{message}");
        }
    }
}

#[test]
fn what_is_no_json_is_named_for_what_it_is() {
    for (bytes, part) in [
        (&b"\xff\xfe{\0}\0"[..], "UTF-16"),
        (b"{\0}\0", "UTF-16"),
        (b"\x1f\x8b\x08\0", "compressed with gzip"),
        (b"\x28\xb5\x2f\xfd\0", "compressed with zstd"),
        (b"", "not valid JSON: it is empty"),
        (b" \n", "it is empty"),
        (b"{\"a\": 1", "it ends too early, after 7 bytes"),
        (b"{\"a\": NaN}", "`N` at byte 6 is out of place"),
        (b"{\"a\": 01}", "`1` at byte 7 is out of place"),
        (b"{\"a\": 1,}", "`}` at byte 8 is out of place"),
        (b"{'a': 1}", "`'` at byte 1 is out of place"),
        (b"{\"a\": \x01}", "0x01 at byte 6 is out of place"),
        (b"{\"a\": \"\\x\"}", "`x` at byte 8 is out of place"),
        (b"{} {}", "`{` at byte 3 is out of place"),
        (b"{\"a\": \"\xc3\x28\"}", "invalid UTF-8 at byte 7"),
        (b"7", "not a JSON object but a number"),
    ] {
        let decoded = decode(&[column("a", Kind::Int64)], DecodeOptions::default(), &Made(vec![Some(bytes.to_vec())]));
        let message = decoded.stopped.unwrap().to_string();
        assert!(message.contains(part), "{part} in {message}");
    }
}

#[test]
fn flinks_conversions_are_there_for_those_who_ask() {
    for (kind, json, exact, as_flink) in [
        (Kind::Int64, "5.5", Err(()), Ok("5")),
        (Kind::Int64, "-5.5", Err(()), Ok("-5")),
        (Kind::Int64, "\"5.5\"", Err(()), Err(())),
        (Kind::Int64, "1e30", Err(()), Err(())),
        (Kind::Int64, "true", Err(()), Err(())),
        (Kind::Boolean, "1", Err(()), Ok("false")),
        (Kind::Boolean, "\"yes\"", Err(()), Ok("false")),
        (Kind::Boolean, "\" True \"", Ok("true"), Ok("true")),
        (Kind::Boolean, "[]", Err(()), Ok("false")),
        (Kind::Float64, "\"NaN\"", Err(()), Ok("NaN")),
        (Kind::Float64, "\"-Infinity\"", Err(()), Ok("-inf")),
        (Kind::Float64, "1e999", Err(()), Ok("inf")),
        (Kind::Float64, "\"inf\"", Err(()), Err(())),
        (Kind::Float64, "true", Err(()), Err(())),
        (Kind::Utf8, r#""\ud83d!""#, Ok("\u{fffd}!"), Ok("?!")),
        (Kind::Timestamp, "\"2021-08-16\"", Err(()), Err(())),
    ] {
        let shown = |answer: Result<String, String>| answer.map_err(drop);
        assert_eq!(
            shown(one(kind, DecodeOptions::default(), json)),
            exact.map(str::to_owned),
            "{kind} from {json}, exact"
        );
        assert_eq!(shown(one(kind, flink(), json)), as_flink.map(str::to_owned), "{kind} from {json}, as Flink");
    }
}

#[test]
fn numbers_are_times_of_the_unit_that_is_told() {
    let of = |epoch| DecodeOptions { epoch: Some(epoch), ..DecodeOptions::default() };
    for (epoch, json, micros) in [
        (Epoch::Seconds, "1629107281", "1629107281000000"),
        (Epoch::Seconds, "1629107281.25", "1629107281250000"),
        (Epoch::Seconds, "-1", "-1000000"),
        (Epoch::Milliseconds, "17", "17000"),
        (Epoch::Microseconds, "\"17\"", "17"),
        (Epoch::Nanoseconds, "1629107281000000999", "1629107281000000"),
    ] {
        assert_eq!(one(Kind::Timestamp, of(epoch), json).as_deref(), Ok(micros), "{json} {epoch:?}");
    }
    let beyond = one(Kind::Timestamp, of(Epoch::Seconds), "1629107281000").unwrap_err();
    assert!(beyond.contains("out of range"), "{beyond}");
}

/// Checks the claims about values in the section "What differs from Flink" of the configuration's documentation.
#[test]
fn what_differs_from_flink_is_as_documented() {
    let exact = |kind, json| one(kind, DecodeOptions::default(), json);
    // Text is as it was written; binary is the text's bytes.
    assert_eq!(exact(Kind::Utf8, "1.50").as_deref(), Ok("1.50"));
    assert_eq!(exact(Kind::Utf8, "{\"b\": 1,  \"a\": 2}").as_deref(), Ok("{\"b\": 1,  \"a\": 2}"));
    assert_eq!(exact(Kind::Binary, "\"aGVsbG8=\"").as_deref(), Ok("aGVsbG8="));
    // Integers in texts, and integers that a double can't tell apart.
    assert_eq!(exact(Kind::Int64, "\"5.0\"").as_deref(), Ok("5"));
    assert_eq!(exact(Kind::Int64, "9007199254740993.0").as_deref(), Ok("9007199254740993"));
    // Java's own spellings of numbers.
    for json in ["\"1d\"", "\"0x1p3\"", "\"1_000\""] {
        assert!(exact(Kind::Float64, json).is_err(), "{json}");
    }
    // Times of any of Flink's formats, whichever stands there.
    for json in [
        "\"1970-01-01 00:00:01\"",
        "\"1970-01-01T00:00:01\"",
        "\"1970-01-01 00:00:01Z\"",
        "\"1970-01-01T01:00:01+01:00\"",
    ] {
        assert_eq!(exact(Kind::Timestamp, json).as_deref(), Ok("1000000"), "{json}");
    }
    // Records: what follows an object, null, nothing.
    for (record, part) in [("{} {}", "not valid JSON"), ("null", "but null"), ("", "empty"), ("[{}]", "an array")] {
        let decoded = decode(&[], DecodeOptions::default(), &made(&[record]));
        assert!(decoded.stopped.unwrap().to_string().contains(part), "{record}");
    }
    let tombstone = Made(vec![None]);
    assert_eq!(decode(&[], DecodeOptions::default(), &tombstone).stopped.unwrap().problem, Problem::NoValue);
    let skipping = DecodeOptions { skip_tombstones: true, ..DecodeOptions::default() };
    let decoded = decode(&[], skipping, &tombstone);
    assert_eq!((decoded.stopped.is_none(), decoded.ignored, decoded.next), (true, 1, 1));
    assert_eq!(dropped(&decoded, Lost::Record), [("passed over: the record has no value (a tombstone)", 1)]);
}
