//! The laws of the generator.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// 2021-08-16 09:48:01.
const NOW: WallClock = WallClock { seconds: 1_629_107_281 };

type Records = Vec<(Stream, Vec<u8>)>;

fn generate(options: &GeneratorOptions, count: usize) -> Records {
    let mut generator = Generator::new(options.clone());
    let next = |_| {
        let mut record = Vec::new();
        (generator.next(NOW, &mut record), record)
    };
    (0..count).map(next).collect()
}

fn parsed(records: &Records, stream: Stream) -> Vec<serde_json::Map<String, Value>> {
    let of_stream = records.iter().filter(|(of, _)| *of == stream);
    of_stream.map(|(_, record)| serde_json::from_slice(record).unwrap()).collect()
}

fn noisy(seed: u64) -> GeneratorOptions {
    GeneratorOptions { seed, noise: 0.3, rooms: NonZeroU32::new(5).unwrap(), ..GeneratorOptions::default() }
}

/// `json.dumps` in Rust: serde_json's text with Python's separators and escapes.
fn dumped(fields: &[(&str, Value)]) -> String {
    let escaped = |text: String| {
        let escape = |unit: u16| match u8::try_from(unit) {
            Ok(ascii) if ascii.is_ascii() => char::from(ascii).to_string(),
            _ => format!("\\u{unit:04x}"),
        };
        text.encode_utf16().map(escape).collect::<String>()
    };
    let field = |(name, value): &(&str, Value)| format!("\"{name}\": {}", escaped(value.to_string()));
    format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
}

proptest! {
    #[test]
    fn the_same_seed_and_clock_give_the_same_bytes(seed: u64, noise in 0.0..1.0, malformed in 0.0..0.5) {
        let options = GeneratorOptions { noise, malformed, ..noisy(seed) };
        prop_assert_eq!(generate(&options, 500), generate(&options, 500));
    }

    #[test]
    fn entries_are_printed_as_python_prints_them(seed: u64) {
        let options = GeneratorOptions { seed, ..GeneratorOptions::default() };
        for (_, record) in generate(&options, 100).iter().filter(|(stream, _)| *stream == Stream::Entry) {
            let read: Value = serde_json::from_slice(record).unwrap();
            let user = read["user_id"].as_i64().unwrap();
            prop_assert!((2000..=4000).contains(&user));
            let time = Value::from("2021-08-16 09:48:01");
            let expected = dumped(&[
                ("user_id", user.into()),
                ("ip", format!("123.0.0.{}", user % 255).into()),
                ("room_id", 20_210_813.into()),
                ("arrive_time", time.clone()),
                ("create_time", time.clone()),
                ("leave_time", time),
                ("region", 1122.into()),
                ("grade", (user % 5 + 1).into()),
                ("province", read["province"].clone()),
            ]);
            prop_assert_eq!(std::str::from_utf8(record).unwrap(), expected);
        }
    }

    #[test]
    fn gifts_are_printed_as_python_prints_them(seed: u64) {
        let options = GeneratorOptions { seed, ..GeneratorOptions::default() };
        for (_, record) in generate(&options, 100).iter().filter(|(stream, _)| *stream == Stream::Gift) {
            let read: Value = serde_json::from_slice(record).unwrap();
            prop_assert!((2000..=4000).contains(&read["user_id"].as_i64().unwrap()));
            prop_assert!((1..=10).contains(&read["gift_type"].as_i64().unwrap()));
            prop_assert!((1..=100).contains(&read["gift_total_amount"].as_i64().unwrap()));
            let expected = dumped(&[
                ("user_id", read["user_id"].clone()),
                ("gift_type", read["gift_type"].clone()),
                ("gift_total_amount", read["gift_total_amount"].clone()),
                ("create_time", "2021-08-16 09:48:01".into()),
                ("update_time", "2021-08-16 09:48:01".into()),
            ]);
            prop_assert_eq!(std::str::from_utf8(record).unwrap(), expected);
        }
    }

    #[test]
    fn noise_keeps_records_readable_and_keys_whole(seed: u64) {
        let records = generate(&noisy(seed), 2000);
        for entry in parsed(&records, Stream::Entry) {
            prop_assert!(entry["ip"].is_string() && entry["room_id"].is_i64() && entry["arrive_time"].is_string());
        }
        for gift in parsed(&records, Stream::Gift) {
            prop_assert!(gift["gift_type"].is_i64() && gift["create_time"].is_string());
        }
    }
}

#[test]
fn the_first_records_of_a_seed_never_change() {
    let records = generate(&GeneratorOptions { seed: 7, ..GeneratorOptions::default() }, 11);
    let text = |i: usize| String::from_utf8(records[i].1.clone()).unwrap();
    assert_eq!(text(0), include_str!("first_entry.json").trim_end());
    assert_eq!(text(10), include_str!("first_gift.json").trim_end());
}

#[test]
fn ten_entries_then_ten_gifts_come_in_turn() {
    let streams: Vec<_> = generate(&noisy(1), 40).into_iter().map(|(stream, _)| stream).collect();
    let turn = |stream| std::iter::repeat_n(stream, 10);
    let expected: Vec<_> = turn(Stream::Entry).chain(turn(Stream::Gift)).collect();
    assert_eq!(streams, [expected.clone(), expected].concat());
}

#[test]
fn every_user_type_amount_and_province_is_drawn() {
    let records = generate(&GeneratorOptions::default(), 100_000);
    let entries = parsed(&records, Stream::Entry);
    let gifts = parsed(&records, Stream::Gift);
    let distinct = |of: &[serde_json::Map<String, Value>], field: &str| {
        of.iter().map(|record| record[field].to_string()).collect::<BTreeSet<_>>().len()
    };
    assert_eq!(distinct(&entries, "user_id"), 2001);
    assert_eq!(distinct(&entries, "province"), 34);
    assert_eq!(distinct(&entries, "room_id"), 1);
    assert_eq!(distinct(&gifts, "gift_type"), 10);
    assert_eq!(distinct(&gifts, "gift_total_amount"), 100);
}

#[test]
fn noise_brings_every_disturbance_and_surprises_only_late() {
    let options = GeneratorOptions { surprise_after: 10_000, ..noisy(3) };
    let records = generate(&options, 20_000);
    let (early, late) = records.split_at(10_000);
    let count = |records: &[(Stream, Vec<u8>)], what: &dyn Fn(&serde_json::Map<String, Value>) -> bool| {
        let matches = |(_, record): &&(Stream, Vec<u8>)| what(&serde_json::from_slice(record).unwrap());
        records.iter().filter(matches).count()
    };
    assert!(count(&records, &|record| record.get("user_id") == Some(&Value::Null)) > 0);
    assert!(count(&records, &|record| !record.contains_key("user_id")) > 0);
    assert!(
        count(&records, &|record| record.get("create_time").and_then(Value::as_str).is_some_and(|t| t.contains('.')))
            > 0
    );
    let unknown = |record: &serde_json::Map<String, Value>| {
        record.get("room_id").and_then(Value::as_u64).is_some_and(|room| room >= FIRST_UNKNOWN_ROOM.into())
    };
    assert!(count(&records, &unknown) > 0);
    assert_eq!(count(early, &|record| record.contains_key("device")), 0);
    assert!(count(late, &|record| record.contains_key("device")) > 0);
}

#[test]
fn noise_copies_records_exactly() {
    // Different fractions tell all other records apart.
    let options = noisy(5);
    let mut times = BTreeMap::new();
    for (_, record) in generate(&options, 20_000).into_iter().filter(|(_, record)| record.contains(&b'.')) {
        *times.entry(record).or_insert(0) += 1;
    }
    assert!(times.values().any(|count| *count > 1));
}

#[test]
fn malformed_records_stay_on_one_line() {
    let options = GeneratorOptions { malformed: 1.0, ..noisy(9) };
    let records = generate(&options, 1000);
    assert!(records.iter().all(|(_, record)| !record.contains(&b'\n')));
    let objects = records.iter().filter(|(_, record)| record.starts_with(b"{\"user_id\": \"nobody\""));
    assert!(objects.count() > 0);
}
