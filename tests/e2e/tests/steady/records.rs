use std::io::Write as _;

use serde_json::{Value, json};
use sluice_e2e::{GIFTS, Host, Metric, PATIENCE, Rows, Site, World, eventually, metric, sluice, toml};

const GOOD: &str = r#"{"gift_type":1,"gift_total_amount":5}"#;

/// A record between two good ones, each of which adds 5 to gift type 1.
struct Case {
    name: &'static str,
    record: Vec<u8>,
    /// What the message names besides topic, partition and offset.
    says: &'static str,
    /// What the record adds to the table where parse errors are ignored.
    ignored: Value,
}

fn case(name: &'static str, record: impl Into<Vec<u8>>, says: &'static str, ignored: Value) -> Case {
    Case { name, record: record.into(), says, ignored }
}

fn nested(depth: usize) -> String {
    "[".repeat(depth) + &"]".repeat(depth)
}

fn bad_records() -> Vec<Case> {
    let amount = |value: &str| format!(r#"{{"gift_type":2,"gift_total_amount":{value}}}"#);
    let null = json!([["2", null]]);
    vec![
        case("cut_off", r#"{"gift_type":2,"gift_total_amount":"#, "JSON", json!([])),
        case("empty", "", "JSON", json!([])),
        case("array", "[1]", "object", json!([])),
        case("number", "42", "object", json!([])),
        case("null", "null", "object", json!([])),
        case("two_objects", "{}{}", "JSON", json!([])),
        case("invalid_utf8", b"{\"gift_type\":2,\"gift_total_amount\":1,\"x\":\"\xff\"}", "UTF-8", json!([])),
        case("object_for_a_number", amount("{}"), "gift_total_amount", null.clone()),
        case("text_for_a_number", amount("\"many\""), "gift_total_amount", null.clone()),
        case("truth_for_a_number", amount("true"), "gift_total_amount", null.clone()),
        case("fraction", amount("1.5"), "gift_total_amount", null.clone()),
        case("beyond_int64", amount("9223372036854775808"), "gift_total_amount", null.clone()),
        case("far_beyond_int64", amount(&"9".repeat(400)), "gift_total_amount", null.clone()),
        case("deep_nesting_that_is_read", amount(&nested(100)), "gift_total_amount", null.clone()),
        case("megabyte_for_a_number", amount(&format!("\"{}\"", "x".repeat(1 << 20))), "gift_total_amount", null),
        case("key_of_the_wrong_type", r#"{"gift_type":[],"gift_total_amount":5}"#, "gift_type", json!([])),
    ]
}

/// Odd records that every pipeline takes, with what they add.
fn odd_records() -> Vec<(&'static str, String, Value)> {
    vec![
        ("duplicate_field", r#"{"gift_type":2,"gift_total_amount":7,"gift_type":3}"#.into(), json!([["3", 7]])),
        ("missing_field", r#"{"gift_type":2}"#.into(), json!([["2", null]])),
        (
            "largest_int64",
            r#"{"gift_type":2,"gift_total_amount":9223372036854775807}"#.into(),
            json!([["2", i64::MAX]]),
        ),
        ("digits", r#"{"gift_type":" 2 ","gift_total_amount":"-7"}"#.into(), json!([["2", -7]])),
        ("no_key", r#"{"gift_total_amount":7}"#.into(), json!([])),
        ("whole_numbers", r#"{"gift_type":2.0,"gift_total_amount":"1e3"}"#.into(), json!([["2", 1000]])),
        ("raw_tab", "{\"x\":\"a\tb\",\"gift_type\":2,\"gift_total_amount\":7}".into(), json!([["2", 7]])),
        ("byte_order_mark", "\u{feff}{\"gift_type\":2,\"gift_total_amount\":7}".into(), json!([["2", 7]])),
        ("half_a_pair", r#"{"x":"\ud83d","gift_type":2,"gift_total_amount":7}"#.into(), json!([["2", 7]])),
        (
            "unread_megabyte",
            format!(r#"{{"x":"{}","gift_type":2,"gift_total_amount":7}}"#, "x".repeat(1 << 20)),
            json!([["2", 7]]),
        ),
        (
            "unread_nesting",
            format!(r#"{{"x":{},"gift_type":2,"gift_total_amount":7}}"#, nested(100)),
            json!([["2", 7]]),
        ),
    ]
}

/// Adds the gift totals as a pipeline of this name, with a topic and a table of the same name.
fn add(site: &Site, name: &str, topic: &str, json: toml::Value) {
    site.add_pipeline(name, "gift_sum", |pipeline| {
        pipeline["source"]["topic"] = topic.into();
        pipeline["source"]["json"] = json;
        pipeline["sink"][0]["table"] = name.into();
    });
}

fn strict() -> toml::Value {
    toml("ignore_parse_errors = false")
}

fn lenient() -> toml::Value {
    toml("ignore_parse_errors = true")
}

fn gifts() -> &'static Metric {
    metric("gift_sum")
}

fn with_sum(mut rows: Value, sum: i64) -> Value {
    rows.as_array_mut().unwrap().push(json!(["1", sum]));
    rows
}

fn assert_stops(host: &mut Host, pipeline: &str, topic: &str, says: &str) {
    let stopped = host.wait(pipeline, "it has stopped", |pipeline| pipeline.state == "stopped");
    let reason = stopped.reason.unwrap();
    for part in [topic, "partition 0", "offset 1", says] {
        assert!(reason.contains(part), "{pipeline}: {part} in: {reason}");
    }
    assert!(reason.len() < 1000, "{pipeline}: the reason is short: {} bytes", reason.len());
    eventually(&format!("{pipeline}: a line with the reason"), PATIENCE, || {
        let log = host.log();
        let line = log.lines().find(|line| line.contains(&format!("\"{pipeline}\"")) && line.contains("offset 1"));
        line.filter(|line| line.contains(says)).map(drop).ok_or(log)
    });
}

#[test]
fn a_bad_record_stops_its_pipeline_with_its_place_unless_parse_errors_are_ignored() {
    let site = Site::empty(World::Embedded, 1);
    for case in bad_records() {
        add(&site, &format!("{}_strict", case.name), case.name, strict());
        add(&site, &format!("{}_lenient", case.name), case.name, lenient());
        site.send(case.name, &[GOOD.as_bytes(), &case.record, GOOD.as_bytes()]);
    }
    let mut host = Host::start(&site);
    for case in bad_records() {
        assert_stops(&mut host, &format!("{}_strict", case.name), case.name, case.says);
        let rows = with_sum(case.ignored, 10);
        site.tables().await_rows(gifts(), &format!("{}_lenient", case.name), rows);
    }
    // The others run on.
    for case in bad_records() {
        site.send(case.name, &[GOOD]);
        let rows = with_sum(case.ignored, 15);
        site.tables().await_rows(gifts(), &format!("{}_lenient", case.name), rows);
    }
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn a_backfill_reads_a_last_line_without_a_line_feed_once() {
    let site = Site::empty(World::Embedded, 1);
    add(&site, "gifts", "gifts", strict());
    site.send("gifts", &[GOOD, GOOD]);
    let file = site.path("events").join("gifts/0.jsonl");
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, whole.trim_ascii_end()).unwrap();
    let config = site.config();
    let backfill = || sluice(&["run", "--until-caught-up", "--config", config.to_str().unwrap()]);
    for more in [&b""[..], b"\n", GOOD.as_bytes()] {
        std::fs::OpenOptions::new().append(true).open(&file).unwrap().write_all(more).unwrap();
        let finished = backfill();
        assert_eq!(finished.code, Some(0), "{}", finished.output);
        let sum = if more.len() > 1 { 15 } else { 10 };
        assert_eq!(site.tables().rows(gifts(), "gifts").unwrap(), [[json!("1"), json!(sum)]]);
    }
}

#[test]
fn what_is_dropped_is_counted_by_field_and_reason_and_said() {
    let site = Site::empty(World::Embedded, 1);
    add(&site, "lenient", "gifts", lenient());
    let amount = |value: &str| format!(r#"{{"gift_type":2,"gift_total_amount":{value}}}"#);
    let records = [GOOD.to_owned(), amount("1.5"), amount("2.5"), amount("\"many\""), "[]".to_owned(), GOOD.to_owned()];
    site.send("gifts", &records.iter().map(String::as_str).collect::<Vec<_>>());
    let mut host = Host::start(&site);
    let status = host
        .wait("lenient", "all is read", |pipeline| pipeline.count("records") == 6 && pipeline.count("rejected") > 0);
    let fraction = "field `gift_total_amount`: a number with a fraction is not an int64";
    assert_eq!(status.by_reason("dropped")[fraction], 2, "{status:?}");
    assert_eq!(status.by_reason("dropped").values().sum::<u64>(), 3, "{status:?}");
    assert_eq!(status.by_reason("reasons")["ignored: the record is not a JSON object but an array"], 1, "{status:?}");
    eventually("a line with the place and the value", PATIENCE, || {
        let log = host.log();
        let line =
            log.lines().find(|line| line.contains(fraction) && line.contains("offset 1") && line.contains("1.5"));
        line.map(drop).ok_or(log)
    });
}

#[test]
fn a_backfill_fails_where_a_pipeline_stops_and_the_others_finish() {
    let site = Site::empty(World::Embedded, 1);
    add(&site, "strict", "gifts", strict());
    add(&site, "lenient", "gifts", lenient());
    site.send("gifts", &[GOOD, "[]", GOOD]);
    let config = site.config();
    let finished = sluice(&["run", "--until-caught-up", "--config", config.to_str().unwrap()]);
    assert_eq!(finished.code, Some(1), "{}", finished.output);
    assert!(finished.output.contains("offset 1"), "{}", finished.output);
    assert_eq!(site.tables().rows(gifts(), "lenient").unwrap(), [[json!("1"), json!(10)]]);
}

#[test]
fn an_odd_record_that_is_no_error_counts_as_it_reads() {
    let site = Site::empty(World::Embedded, 1);
    for (name, record, _) in odd_records() {
        add(&site, name, name, strict());
        site.send(name, &[GOOD, &record, GOOD]);
    }
    let host = Host::start(&site);
    for (name, _, rows) in odd_records() {
        site.tables().await_rows(gifts(), name, with_sum(rows, 10));
    }
    assert_eq!(host.terminate().code, Some(0));
}

#[test]
fn a_missing_field_stops_the_pipeline_that_says_so_and_is_null_in_the_others() {
    let site = Site::empty(World::Embedded, 1);
    add(&site, "strict", "gifts", toml("fail_on_missing_field = true"));
    add(&site, "lenient", "gifts", toml("fail_on_missing_field = false"));
    site.send("gifts", &[r#"{"gift_type":1,"gift_total_amount":null}"#, r#"{"gift_type":2}"#]);
    let mut host = Host::start(&site);
    assert_stops(&mut host, "strict", "gifts", "gift_total_amount");
    site.tables().await_rows(gifts(), "lenient", json!([["1", null], ["2", null]]));
}

#[test]
fn a_bad_record_on_the_broker_is_a_bad_record_too() {
    let cases: [(&str, Option<&[u8]>); 4] = [
        ("tombstone", None),
        ("empty", Some(b"")),
        ("newlines", Some(b"{\n\n")),
        ("utf8", Some(b"{\"gift_type\":\"\xff\"}")),
    ];
    for (name, record) in cases {
        let site = Site::empty(World::Servers, 1);
        let topic = site.topic(GIFTS);
        add(&site, "strict", &topic.name, strict());
        add(&site, "lenient", &topic.name, lenient());
        topic.send(0, Some(GOOD.as_bytes()));
        topic.send(0, record);
        topic.send(0, Some(b"{\n\"gift_type\" :1 ,\t\"gift_total_amount\":\r5\n}\n"));
        topic.flush();
        let mut host = Host::start(&site);
        let says = if record.is_none() { "value" } else { "JSON" };
        assert_stops(&mut host, "strict", &topic.name, says);
        site.tables().await_rows(gifts(), "lenient", json!([["1", 10]]));
        assert_eq!(host.terminate().code, Some(0), "{name}");
    }
}

#[test]
fn a_megabyte_of_text_is_stored_where_the_table_takes_it_and_costs_its_row_where_not() {
    let entry = |user: i64, province: &str| {
        json!({"user_id": user, "ip": "i", "room_id": 1, "arrive_time": "2021-08-16 09:48:01", "province": province})
            .to_string()
    };
    let row = |user: i64, province: &str| {
        json!([user, "i", "1", "2021-08-16 09:48:01.000000", null, null, null, null, province])
    };
    let long = "直播".repeat(150_000);
    let entries = [entry(1, "浙江"), entry(2, &long), entry(3, "北京")];
    for (world, rows) in [
        (World::Embedded, json!([row(1, "浙江"), row(2, &long), row(3, "北京")])),
        (World::Servers, json!([row(1, "浙江"), row(3, "北京")])),
    ] {
        let site = Site::empty(world, 1);
        if world == World::Servers {
            let create = "CREATE TABLE live_streaming_log (user_id BIGINT, ip VARCHAR(64), room_id VARCHAR(64), arrive_time DATETIME(6), \
                          leave_time DATETIME(6), create_time DATETIME(6), region_code VARCHAR(32), grade INT, province VARCHAR(64), \
                          PRIMARY KEY (user_id, ip, room_id, arrive_time)) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin";
            site.tables().execute(create.to_owned());
        }
        site.add_pipeline("live_cleanup", "live_cleanup", |_| {});
        site.send(sluice_e2e::ENTRIES, &entries);
        let mut host = Host::start(&site);
        site.tables().await_rows(metric("live_cleanup"), "live_streaming_log", rows);
        let rejected = u64::from(world == World::Servers);
        host.wait("live_cleanup", "the rejected rows are counted", |pipeline| pipeline.count("rejected") == rejected);
    }
}

#[test]
fn gifts_as_csv_as_json_and_within_an_envelope_end_in_one_table() {
    let gifts: Vec<(i64, i64)> = (0..500).map(|i| (i % 7, i * i % 1000 - 300)).collect();
    let of = |format: &str, record: &dyn Fn(i64, i64) -> String| {
        let site = Site::empty(World::Embedded, 1);
        site.add_pipeline("gifts", "gift_sum", |pipeline| {
            let source = pipeline["source"].as_table_mut().unwrap();
            source.remove("json");
            source.extend(format.parse::<::toml::Table>().unwrap());
        });
        let records: Vec<String> = gifts.iter().map(|(kind, amount)| record(*kind, *amount)).collect();
        site.send(GIFTS, &records);
        let config = site.config();
        let finished = sluice(&["run", "--until-caught-up", "--config", config.to_str().unwrap()]);
        assert_eq!(finished.code, Some(0), "{}", finished.output);
        site.tables().rows(metric("gift_sum"), metric("gift_sum").table).unwrap()
    };
    let mut sums = std::collections::BTreeMap::new();
    gifts.iter().for_each(|(kind, amount)| *sums.entry(kind.to_string()).or_insert(0) += amount);
    let expected: Rows = sums.into_iter().map(|(kind, sum)| vec![Value::from(kind), Value::from(sum)]).collect();
    let csv = "csv = { fields = ['note', 'gift_type', 'gift_total_amount'], delimiter = ';' }";
    assert_eq!(of(csv, &|kind, amount| format!("\"a \"\"gift\"\"; for you\";{kind}; {amount}")), expected);
    assert_eq!(of("", &|kind, amount| format!("{{\"gift_type\":{kind},\"gift_total_amount\":{amount}}}")), expected);
    let within = "json = { path = 'payload.after' }\n[columns]\ngift_type = { kind = 'int64', field = 'gift.types[1]' }\n\
                  gift_total_amount = 'int64'";
    let record = |kind, amount| {
        format!(
            "{{\"payload\":{{\"after\":{{\"gift\":{{\"types\":[0,{kind}]}},\"gift_total_amount\":\"{amount}\"}}}}}}"
        )
    };
    assert_eq!(of(within, &record), expected);
}
