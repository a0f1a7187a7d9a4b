//! Rows within records: the envelopes of change data capture, in the shape of their documentation's samples.

use super::*;

fn at(path: &str) -> DecodeOptions {
    of_json(JsonOptions { path: Some(path.parse().unwrap()), ..JsonOptions::default() })
}

fn beside(name: &str, path: &str, kind: Kind) -> SourceColumn {
    SourceColumn { field: Field::new(name, kind), origin: Origin::Path(path.parse().unwrap()) }
}

/// A Debezium event with its schema; the row after the change is in `payload.after`.
const DEBEZIUM: &str = r#"{
  "schema": {"type": "struct", "fields": [{"field": "before"}, {"field": "after"}], "optional": false},
  "payload": {
    "before": {"id": 111, "name": "scooter", "weight": 5.18},
    "after": {"id": 111, "name": "big scooter", "weight": 5.15},
    "source": {"version": "2.7.0.Final", "connector": "mysql", "db": "inventory", "table": "products", "ts_ms": 1589362330000},
    "op": "u", "ts_ms": 1589362330904, "transaction": null
  }
}"#;

const DEBEZIUM_DELETE: &str =
    r#"{"schema": {}, "payload": {"before": {"id": 111}, "after": null, "op": "d", "ts_ms": 1589362330904}}"#;

/// A Canal message: the rows are the elements of `data`, every value a text.
const CANAL: &str = r#"{
  "data": [
    {"id": "111", "name": "scooter", "weight": "5.18"},
    {"id": "112", "name": "hammer", "weight": null}
  ],
  "database": "inventory", "es": 1589373560000, "id": 9, "isDdl": false,
  "mysqlType": {"id": "INTEGER", "name": "VARCHAR(255)", "weight": "FLOAT"},
  "old": [{"weight": "5.15"}], "pkNames": ["id"], "sql": "", "sqlType": {"id": 4, "name": 12, "weight": 7},
  "table": "products", "ts": 1589373560798, "type": "UPDATE"
}"#;

const CANAL_DDL: &str =
    r#"{"data": null, "database": "inventory", "isDdl": true, "sql": "TRUNCATE t", "type": "TRUNCATE"}"#;

/// A Maxwell message: the row is `data`.
const MAXWELL: &str = r#"{"database":"test","table":"products","type":"insert","ts":1596684883,"xid":7125,"commit":true,"data":{"id":111,"name":"scooter","weight":5.18}}"#;

#[test]
fn debeziums_sample_is_read_by_path() {
    let columns = [
        column("id", Kind::Int64),
        column("name", Kind::Utf8),
        beside("op", "payload.op", Kind::Utf8),
        beside("was", "payload.before.weight", Kind::Float64),
        beside("changed_at", "payload.ts_ms", Kind::Timestamp),
    ];
    let decoded = decode(&columns, at("payload.after"), &made(&[DEBEZIUM, DEBEZIUM_DELETE, DEBEZIUM]));
    assert_eq!(decoded.stopped, None);
    assert_eq!(ints(&decoded, 0), [Some(111); 2]);
    assert_eq!(texts(&decoded, 1)[0].as_deref(), Some("big scooter"));
    assert_eq!(texts(&decoded, 2)[1].as_deref(), Some("u"));
    let times = decoded.batch.columns[4].as_ref().unwrap().as_primitive::<TimestampMicrosecondType>();
    assert_eq!(times.value(0), 1_589_362_330_904_000);
    assert_eq!((decoded.batch.origins.record(0), decoded.batch.origins.record(1)), (0, 2));
    // A delete has no row, which is said.
    let reasons: Vec<_> = decoded.notes.iter().map(|note| (note.reason.as_str(), note.times)).collect();
    assert_eq!(reasons, [("passed over: the record has no row at `payload.after`: null is there", 1)]);

    // By columns' own paths, each event is a row.
    let columns = [beside("id", "payload.after.id", Kind::Int64), beside("old_id", "payload.before.id", Kind::Int64)];
    let decoded = decode(&columns, DecodeOptions::default(), &made(&[DEBEZIUM, DEBEZIUM_DELETE]));
    assert_eq!((ints(&decoded, 0), ints(&decoded, 1)), (vec![Some(111), None], vec![Some(111); 2]));
}

#[test]
fn canals_sample_is_a_row_for_each_element() {
    let columns = [
        column("id", Kind::Int64),
        column("weight", Kind::Float64),
        beside("type", "type", Kind::Utf8),
        beside("first", "data[0].name", Kind::Utf8),
        beside("key", "pkNames[0]", Kind::Utf8),
    ];
    let decoded = decode(&columns, at("data"), &made(&[CANAL, CANAL_DDL, CANAL]));
    assert_eq!(decoded.stopped, None);
    assert_eq!(ints(&decoded, 0), [Some(111), Some(112), Some(111), Some(112)]);
    let weights = decoded.batch.columns[1].as_ref().unwrap();
    assert_eq!(weights.null_count(), 2);
    for (column, text) in [(2, "UPDATE"), (3, "scooter"), (4, "id")] {
        assert_eq!(texts(&decoded, column), vec![Some(text.to_owned()); 4]);
    }
    let records: Vec<usize> = (0..4).map(|row| decoded.batch.origins.record(row)).collect();
    assert_eq!(records, [0, 0, 2, 2]);
    assert_eq!(decoded.ignored, 1);
}

#[test]
fn maxwells_sample_is_read_by_path() {
    let options = DecodeOptions { epoch: Some(Epoch::Seconds), ..at("data") };
    let columns = [column("id", Kind::Int64), beside("at", "ts", Kind::Timestamp), beside("type", "type", Kind::Utf8)];
    let decoded = decode(&columns, options, &made(&[MAXWELL]));
    assert_eq!(ints(&decoded, 0), [Some(111)]);
    let times = decoded.batch.columns[1].as_ref().unwrap().as_primitive::<TimestampMicrosecondType>();
    assert_eq!(times.value(0), 1_596_684_883_000_000);
    assert_eq!(texts(&decoded, 2)[0].as_deref(), Some("insert"));
}

#[test]
fn a_record_of_several_rows_is_taken_whole_or_not_at_all() {
    let records = made(&[r#"{"data": [{"id": 1}, {"id": "x"}]}"#, r#"{"data": [{"id": 2}, {"id": 3}]}"#]);
    let mut decoder = Decoder::new(&[column("id", Kind::Int64)], &[true], at("data"));
    let decoded = decoder.decode_as(&records, 0, 9, AtFault::IsLeftOut);
    assert_eq!(ints(&decoded, 0), [Some(2), Some(3)]);
    assert_eq!(decoded.rejected.iter().map(|rejected| rejected.record).collect::<Vec<_>>(), [0]);
    let ignoring = DecodeOptions { ignore_parse_errors: true, ..at("data") };
    let decoded = decode(&[column("id", Kind::Int64)], ignoring, &records);
    assert_eq!(ints(&decoded, 0), [Some(1), None, Some(2), Some(3)]);
    assert_eq!(decoded.notes.iter().map(|note| note.times).collect::<Vec<_>>(), [1], "counted once");
}

#[test]
fn a_path_that_leads_to_no_row_is_a_fault_unless_null_or_nothing_is_there() {
    for (record, message) in [
        (r#"{"x": 1}"#, "no row at `a.b`: nothing is there"),
        (r#"{"a": {"b": 5}}"#, "no row at `a.b`: a number is there"),
        (r#"{"a": 5}"#, "no row at `a.b`: within a value that is no object is there"),
        (r#"{"a": {"b": [{}, 5]}}"#, "no row at `a.b`: a number is there"),
        (r#"{"a": {"b": [[]]}}"#, "no row at `a.b`: an object or array is there"),
        (r#"[]"#, "not a JSON object but an array"),
    ] {
        let decoded = decode(&[], at("a.b"), &made(&[record]));
        let stopped = decoded.stopped.unwrap().to_string();
        assert!(stopped.contains(message), "{record}: {stopped}");
    }
    for record in [r#"{"a": {"b": null}}"#, r#"{"a": null}"#, r#"{"a": {"b": []}}"#] {
        let decoded = decode(&[], at("a.b"), &made(&[record]));
        assert_eq!((decoded.stopped, decoded.ignored, decoded.notes.len()), (None, 1, 1), "{record}");
    }
}

#[test]
fn the_record_itself_may_be_an_array_of_rows() {
    let records = made(&[r#"[{"id": 1}, {"id": 2}]"#, r#"{"id": 3}"#, "[]", "null"]);
    let decoded = decode(&[column("id", Kind::Int64)], at("."), &records);
    assert_eq!((ints(&decoded, 0), decoded.ignored), (vec![Some(1), Some(2), Some(3)], 2));
    assert_eq!(decoded.stopped, None);
}

#[test]
fn rows_of_a_record_are_bounded() {
    let rows = |count: usize| format!("[{}{{}}]", "{},".repeat(count - 1));
    let records = made(&[&rows(MAX_ROWS_OF_A_RECORD), &rows(MAX_ROWS_OF_A_RECORD + 1)]);
    let decoded = decode(&[], at("."), &records);
    assert_eq!((decoded.batch.rows, decoded.stopped.unwrap().problem), (MAX_ROWS_OF_A_RECORD, Problem::TooManyRows));
    let many = made(&[rows(MAX_ROWS_OF_A_RECORD).as_str(); 20]);
    let decoded = decode(&[], at("."), &many);
    assert!((MAX_BATCH_ROWS..MAX_BATCH_ROWS + MAX_ROWS_OF_A_RECORD).contains(&decoded.batch.rows));
}

#[test]
fn a_value_that_would_be_within_a_scalar_is_no_missing_field() {
    let columns = [beside("x", "a.b", Kind::Int64)];
    let decoded = decode(&columns, DecodeOptions::default(), &made(&[r#"{"a": 5}"#]));
    assert!(decoded.stopped.unwrap().to_string().contains("field `a.b`: it should be in an object or array"));
    let decoded = decode(&columns, DecodeOptions::default(), &made(&[r#"{"a": {}}"#, r#"{"a": null}"#, "{}"]));
    assert_eq!((ints(&decoded, 0), decoded.stopped), (vec![None; 3], None));
    let strict = DecodeOptions { fail_on_missing_field: true, ..DecodeOptions::default() };
    let decoded = decode(&columns, strict, &made(&[r#"{"a": {}}"#]));
    assert_eq!(decoded.stopped.unwrap().problem, Problem::MissingField("a.b".to_owned()));
}

#[test]
fn a_fields_path_leads_into_each_row() {
    let within = |name: &str, path: &str, kind| SourceColumn {
        field: Field::new(name, kind),
        origin: Origin::Within(path.parse().unwrap()),
    };
    let columns = [
        within("os", "device.os", Kind::Utf8),
        within("second", "tags[1]", Kind::Int64),
        within("deep", "device.screens[0].width", Kind::Int64),
        beside("op", "op", Kind::Utf8),
    ];
    let records = made(&[r#"{"op": "c", "rows": [
        {"device": {"os": "ios", "screens": [{"width": 7}, {"width": 8}]}, "tags": [1, 2, 3]},
        {"tags": [4], "device": {"screens": [], "os": null}},
        {"device": null}
    ]}"#]);
    let decoded = decode(&columns, at("rows"), &records);
    assert_eq!(decoded.stopped, None);
    assert_eq!(texts(&decoded, 0), [Some("ios".into()), None, None]);
    assert_eq!(ints(&decoded, 1), [Some(2), None, None]);
    assert_eq!(ints(&decoded, 2), [Some(7), None, None]);
    assert_eq!(texts(&decoded, 3), ["c"; 3].map(|op| Some(op.to_owned())));

    // Of a record that is the row, both kinds of path begin at the same place.
    let record = made(&[r#"{"device": {"os": "ios"}, "op": "u"}"#]);
    let decoded = decode(&columns, DecodeOptions::default(), &record);
    assert_eq!((texts(&decoded, 0), texts(&decoded, 3)), (vec![Some("ios".into())], vec![Some("u".into())]));
}

#[test]
fn a_value_beside_the_rows_that_is_dropped_is_counted_for_each_row() {
    let ignoring = DecodeOptions { ignore_parse_errors: true, ..at("rows") };
    let records = made(&[r#"{"at": "noon", "rows": [{"id": 1}, {"id": 2}]}"#]);
    let decoded = decode(&[column("id", Kind::Int64), beside("at", "at", Kind::Timestamp)], ignoring, &records);
    assert_eq!(ints(&decoded, 0), [Some(1), Some(2)]);
    assert_eq!(decoded.notes.iter().map(|note| note.times).collect::<Vec<_>>(), [2]);
}
