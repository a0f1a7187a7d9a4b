//! Configurations without a fault.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use sluice_connectors::lookup::{Encoding, LookupTable};
use sluice_core::decode::{Convert, DecodeOptions, Epoch, FormatOptions, JsonOptions, Origin, SourceColumn};
use sluice_core::window::{Emit, Late, Length, Window, WindowOptions};
use sluice_core::{Field, Kind};
use sluice_runtime::{CompileLimits, Limits, default_host_memory};

use super::{PIPELINE, SERVICE, directory, env, load_from};
use crate::config::sink::{Delivery, Flush};
use crate::config::source::BatchLimits;
use crate::config::state::State;
use crate::config::window::StepWindow;
use crate::config::*;
use crate::connection::Place;

const EXAMPLE_SERVICE: &str = r#"
operators = "operators"                          # directories, relative to this file
pipelines = "pipelines"
state = "/var/lib/sluice"
[admin]
listen = "127.0.0.1:7070"
[connections.events]
kafka = { brokers = "127.0.0.1:9092" }           # any further librdkafka property under `properties`
[connections.dimensions]
hbase = { thrift = "127.0.0.1:9090" }
[connections.livedb]
mysql = { url = "mysql://root:${WORD}@127.0.0.1:3306/livedb", time_zone = "Asia/Shanghai" }
"#;

const EXAMPLE_PIPELINE: &str = r#"
[source]
connection = "events"
topic = "live_streaming_log"
group = "demo3Group3"
start = "earliest"
json = { ignore_parse_errors = false, fail_on_missing_field = false }
columns = { user_id = "int64", room_id = "int64" }

[[step]]
lookup = { connection = "dimensions", table = "dim_hbase", key = "room_id", columns = { module_id = "cf:module_id" }, join = "inner" }

[[step]]
operator = "module_count"

[[sink]]
connection = "livedb"
table = "live_module_number_count"
key = ["module_id"]
flush = { rows = 5000, interval = "2s", retries = 3 }
"#;

fn int64(name: &str) -> SourceColumn {
    SourceColumn { field: Field::new(name, Kind::Int64), origin: Origin::Field(name.to_owned()) }
}

fn example_pipeline(file: std::path::PathBuf) -> Pipeline {
    Pipeline {
        name: "module_count".to_owned(),
        file,
        source: Source {
            connection: "events".to_owned(),
            topic: "live_streaming_log".to_owned(),
            group: "demo3Group3".to_owned(),
            start: Start::Earliest,
            decode: DecodeOptions::default(),
            columns: vec![int64("user_id"), int64("room_id")],
            batch: BatchLimits { rows: 8192 },
        },
        state: State::default(),
        probation: sluice_core::deploy::Bounds::default(),
        on_incompatible: OnIncompatible::Refuse,
        steps: vec![
            Step::Lookup(Lookup {
                connection: "dimensions".to_owned(),
                key: "room_id".to_owned(),
                fields: vec![Field::new("module_id", Kind::Utf8)],
                table: LookupTable::new("dim_hbase", "", [("cf:module_id", Kind::Utf8)]),
                join: Join::Inner,
            }),
            Step::Operator(OperatorStep {
                name: "module_count".to_owned(),
                config: json!({}),
                limits: Limits::default(),
                window: None,
            }),
        ],
        sinks: vec![Sink {
            connection: "livedb".to_owned(),
            place: Place::Table,
            table: "live_module_number_count".to_owned(),
            key: vec!["module_id".to_owned()],
            create: false,
            shared: false,
            round: false,
            key_equality: KeyEquality::Exact,
            generation: false,
            tombstones: false,
            delivery: Delivery::Upsert,
            flush: Flush { rows: 5000, interval: Duration::from_secs(2), retries: 3 },
        }],
        on_error: None,
        dead_letters: Some(beside("livedb")),
    }
}

/// The letters of a pipeline that says nothing of them.
fn beside(connection: &str) -> DeadLetters {
    DeadLetters::Table { connection: connection.to_owned(), table: "sluice_dead_letters".to_owned(), create: true }
}

#[test]
fn letters_go_where_the_pipeline_says_and_nowhere_where_it_makes_none() {
    let read = |text: &str| {
        let directory = directory(SERVICE, &[("p.toml", &format!("{text}\n{PIPELINE}"))]);
        let pipeline = load_from(directory.path()).unwrap_or_else(|problems| panic!("{problems}")).pipelines.remove(0);
        (pipeline.on_error, pipeline.dead_letters)
    };
    assert_eq!(read(""), (None, Some(beside("livedb"))));
    assert_eq!(read("on_error = 'stop'"), (Some(OnError::Stop), None));
    assert_eq!(read("on_error = 'skip'"), (Some(OnError::Skip), None));
    assert_eq!(read("on_error = 'dead_letter'"), (Some(OnError::DeadLetter), Some(beside("livedb"))));
    assert_eq!(read("dead_letters = { connection = 'lite' }"), (None, Some(beside("lite"))));
    let bad = "dead_letters = { connection = 'lite', table = 'bad', create = false }";
    let named = DeadLetters::Table { connection: "lite".to_owned(), table: "bad".to_owned(), create: false };
    assert_eq!(read(bad).1, Some(named));
}

#[test]
fn the_example_means_what_it_says() {
    let directory = directory(EXAMPLE_SERVICE, &[("module_count.toml", EXAMPLE_PIPELINE)]);
    let root = directory.path();
    let config = load_from(root).unwrap();
    let connections = &config.connections;
    let expected = Config {
        file: root.join("sluice.toml"),
        operators: root.join("operators"),
        pipelines_dir: root.join("pipelines"),
        state: Path::new("/var/lib/sluice").to_owned(),
        compile: CompileLimits::default(),
        operators_memory: default_host_memory(),
        stop_within: Duration::from_secs(8),
        board: None,
        admin: Some(([127, 0, 0, 1], 7070).into()),
        connections: connections.clone(),
        pipelines: vec![example_pipeline(root.join("pipelines/module_count.toml"))],
    };
    assert_eq!(format!("{config:?}"), format!("{expected:?}"));
    let shown = |name: &str| format!("{:?}", config.connections[name]);
    assert_eq!(shown("events"), r#"KafkaConnection { brokers: "127.0.0.1:9092", properties: [] }"#);
    assert_eq!(shown("dimensions"), r#"HbaseConnection { thrift: "127.0.0.1:9090", .. }"#);
    let server = r#"MysqlConnection { server: "MySQL at 127.0.0.1:3306", time_zone: Some("Asia/Shanghai") }"#;
    assert_eq!(shown("livedb"), server);
}

#[test]
fn the_repositorys_demo_and_its_pipelines_load() {
    let demo = Path::new("../../demo/sluice.toml");
    let config = load(demo, &|_| None).unwrap_or_else(|problems| panic!("{problems}"));
    let names: Vec<_> = config.pipelines.iter().map(|pipeline| pipeline.name.as_str()).collect();
    for metric in [
        "gift_by_minute",
        "gift_by_ten_minutes",
        "gift_by_user",
        "gift_sum",
        "live_cleanup",
        "module_count",
        "viewing_sessions",
    ] {
        assert!(names.contains(&metric), "{metric} is not among {names:?}");
    }
}

#[test]
fn the_demos_pipelines_load_over_real_servers() {
    let servers = Path::new("../../demo/servers.toml");
    let env = |name: &str| Some(if name.ends_with("URL") { "mysql://u:p@h/d" } else { "127.0.0.1:1" }.to_owned());
    let config = load(servers, &env).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(!config.pipelines.is_empty());
}

#[test]
fn everything_that_can_be_left_out_has_its_default() {
    let directory = directory(SERVICE, &[("p.toml", PIPELINE)]);
    let config = load_from(directory.path()).unwrap();
    let root = directory.path();
    assert_eq!((config.operators, config.state), (root.join("operators"), root.join("state")));
    assert_eq!(config.admin, None);
    let Pipeline { source, sinks, .. } = &config.pipelines[0];
    assert_eq!(source.decode, DecodeOptions::default());
    assert_eq!(source.batch.rows, 8192);
    assert!(!sinks[0].create);
    assert_eq!(sinks[0].flush, Flush { rows: 5000, interval: Duration::from_secs(2), retries: 3 });
}

#[test]
fn a_sink_that_is_written_in_transactions_needs_no_key() {
    let pipeline = PIPELINE.replace("key = [\"id\"]", "delivery = \"transaction\"");
    let directory = directory(SERVICE, &[("p.toml", &pipeline)]);
    let config = load_from(directory.path()).unwrap();
    let pipeline = &config.pipelines[0];
    assert_eq!((pipeline.sinks[0].delivery, &pipeline.sinks[0].key), (Delivery::Transaction, &vec![]));
    assert_eq!(pipeline.transaction(), Some(&pipeline.sinks[0]));
}

#[test]
fn dead_letters_go_to_a_table_a_topic_or_a_file_beside_the_pipeline() {
    let name = |text: &str| text.to_owned();
    for (text, expected) in [
        ("connection = 'lite'", beside("lite")),
        (
            "connection = 'events', topic = 'bad', create = false",
            DeadLetters::Topic { connection: name("events"), topic: name("bad"), create: false },
        ),
    ] {
        let pipeline = format!("dead_letters = {{ {text} }}\n{PIPELINE}");
        let directory = directory(SERVICE, &[("p.toml", &pipeline)]);
        let config = load_from(directory.path()).unwrap();
        assert_eq!(config.pipelines[0].dead_letters, Some(expected));
    }
    let pipeline = format!("dead_letters = {{ file = '../bad.jsonl' }}\n{PIPELINE}");
    let directory = directory(SERVICE, &[("p.toml", &pipeline)]);
    let config = load_from(directory.path()).unwrap();
    let path = directory.path().join("pipelines/../bad.jsonl");
    assert_eq!(config.pipelines[0].dead_letters, Some(DeadLetters::File { path }));
}

#[test]
fn columns_keep_their_order_and_take_fields_or_facts() {
    let pipeline = PIPELINE.replace(
        r#"{ id = "int64", at = "timestamp" }"#,
        r#"{ z = "utf8", _offset = "int64", id = { kind = "int64", field = "i d" }, _key = "binary",
             part = { field = "_partition", kind = "int64" }, _topic = "utf8", a = "boolean", _timestamp = "timestamp" }"#,
    );
    let directory = directory(SERVICE, &[("p.toml", &pipeline)]);
    let config = load_from(directory.path()).unwrap();
    let columns = config.pipelines[0].source.columns.iter();
    let columns: Vec<_> =
        columns.map(|column| (column.field.name.as_str(), column.field.kind, column.origin.clone())).collect();
    let field = |name: &str| Origin::Field(name.to_owned());
    let expected = [
        ("z", Kind::Utf8, field("z")),
        ("_offset", Kind::Int64, Origin::Offset),
        ("id", Kind::Int64, field("i d")),
        ("_key", Kind::Binary, Origin::Key),
        ("part", Kind::Int64, Origin::Partition),
        ("_topic", Kind::Utf8, Origin::Topic),
        ("a", Kind::Boolean, field("a")),
        ("_timestamp", Kind::Timestamp, Origin::Timestamp),
    ];
    assert_eq!(columns, expected);
}

#[test]
fn how_records_are_read_can_be_told() {
    let json = r#"json = { convert = "flink", epoch = "seconds", path = "payload.after", skip_tombstones = true, schema_registry = true }
columns = { op = { kind = "utf8", path = "payload.op" }, id = "int64", tag = { kind = "utf8", field = "device.tags[0]" },
            method = { kind = "utf8", field = 'http\.method' } }"#;
    let columns = r#"columns = { id = "int64", at = "timestamp" }"#;
    assert!(PIPELINE.contains(columns), "{PIPELINE}");
    let directory = directory(SERVICE, &[("p.toml", &PIPELINE.replace(columns, json))]);
    let source = load_from(directory.path()).unwrap().pipelines[0].source.clone();
    let path = |path: &str| path.parse::<sluice_core::decode::Path>().unwrap();
    let expected = DecodeOptions {
        convert: Convert::Flink,
        epoch: Some(Epoch::Seconds),
        skip_tombstones: true,
        format: FormatOptions::Json(JsonOptions { path: Some(path("payload.after")), schema_registry: true }),
        ..DecodeOptions::default()
    };
    assert_eq!(source.decode, expected);
    let origins: Vec<_> = source.columns.into_iter().map(|column| column.origin).collect();
    let field = |name: &str| Origin::Field(name.to_owned());
    let expected =
        [Origin::Path(path("payload.op")), field("id"), Origin::Within(path("device.tags[0]")), field("http.method")];
    assert_eq!(origins, expected);
}

#[test]
fn an_operators_settings_become_json_with_the_environment_put_in() {
    let step = r#"
[[step]]
operator = "o"
config = { word = "<${WORD}>", literal = "$${WORD}", list = [1, -2.5, true], day = 2026-01-02, deep = { b.c = 0x10 } }
limits = { memory = "1GiB", call_time = "${FOUR}", output = "128KiB", open_time = "20s", rows_out = 3, state = "4KiB", log_lines = 0 }
[[sink]]"#;
    let directory = directory(SERVICE, &[("p.toml", &PIPELINE.replace("[[sink]]", step))]);
    let config = load_from(directory.path()).unwrap();
    let limits = Limits {
        memory: 1 << 30,
        call_time: Duration::from_secs(4),
        open_time: Duration::from_secs(20),
        output_bytes: 128 << 10,
        rows_out: 3,
        state_bytes: 4 << 10,
        log_lines: 0,
    };
    let config_json = json!({
        "word": "<topsecret>", "literal": "${WORD}", "list": [1, -2.5, true], "day": "2026-01-02",
        "deep": { "b": { "c": 16 } },
    });
    let expected = OperatorStep { name: "o".to_owned(), config: config_json, limits, window: None };
    assert_eq!(config.pipelines[0].steps, [Step::Operator(expected)]);
}

fn windows_of(windows: &[&str]) -> Vec<StepWindow> {
    let pipeline = |window: &&str| {
        let step = format!("[[step]]\noperator = \"o\"\nwindow = {window}\n[[sink]]");
        let pipeline = PIPELINE.replace("[[sink]]", &step).replace(r#"["id"]"#, r#"["id", "window_start"]"#);
        let directory = directory(SERVICE, &[("p.toml", &pipeline)]);
        let config = load_from(directory.path()).unwrap_or_else(|problems| panic!("{problems}"));
        let [Step::Operator(operator)] = config.pipelines[0].steps.as_slice() else { panic!("one operator") };
        operator.window.clone().unwrap()
    };
    windows.iter().map(pipeline).collect()
}

#[test]
fn windows_are_what_they_say_and_what_is_left_out_has_its_default() {
    let found = windows_of(&[
        r#"{ time = "at", tumbling = "10m" }"#,
        r#"{ time = "at", session = { gap = "30m" } }"#,
        r#"{ time = "t", hopping = { size = "1h", every = "10m" }, lateness = "0s", idle_after = "5m", emit = "closed", late = "drop" }"#,
        r#"{ time = "t", tumbling = "1d", late = "update", keep_for = "2h" }"#,
        r#"{ time = "t", tumbling = "1d", late = "update" }"#,
    ]);
    let (seconds, minutes) = (Duration::from_secs, |minutes: u64| Duration::from_secs(minutes * 60));
    let length = |long| Length::try_from(minutes(long)).unwrap();
    let usual = |window, emit| WindowOptions {
        window,
        lateness: seconds(10),
        idle_after: seconds(60),
        emit,
        late: Late::Reject,
    };
    let hopping = WindowOptions {
        lateness: Duration::ZERO,
        idle_after: minutes(5),
        late: Late::Drop,
        ..usual(Window::hopping(length(60), length(10)).unwrap(), Emit::Closed)
    };
    let day = usual(Window::Tumbling { size: length(1440) }, Emit::Changes);
    let expected = [
        ("at", usual(Window::Tumbling { size: length(10) }, Emit::Changes)),
        ("at", usual(Window::Session { gap: length(30) }, Emit::Closed)),
        ("t", hopping),
        ("t", WindowOptions { late: Late::Update { keep_for: minutes(120) }, ..day }),
        ("t", WindowOptions { late: Late::Update { keep_for: minutes(60) }, ..day }),
    ];
    assert_eq!(found, expected.map(|(time, options)| StepWindow { time: time.to_owned(), options }));
}

#[test]
fn properties_may_be_written_with_or_without_quotes() {
    let service = SERVICE.replace(
        r#"brokers = "127.0.0.1:9092""#,
        r#"brokers = "a:1, [::1]:2", properties = { security.protocol = "SSL", "fetch.min.bytes" = 1, socket.keepalive.enable = true }"#,
    );
    let directory = directory(&service, &[]);
    let config = load_from(directory.path()).unwrap();
    let shown = format!("{:?}", config.connections["events"]);
    let properties = r#"["fetch.min.bytes", "security.protocol", "socket.keepalive.enable"]"#;
    assert_eq!(shown, format!(r#"KafkaConnection {{ brokers: "a:1, [::1]:2", properties: {properties} }}"#));
}

#[test]
fn hidden_and_other_files_are_no_pipelines() {
    let files = [("b.toml", PIPELINE), (".a.toml", "x"), ("a.toml~", "x"), ("README.md", "x")];
    let directory = directory(SERVICE, &files);
    let config = load_from(directory.path()).unwrap();
    let names: Vec<_> = config.pipelines.iter().map(|pipeline| pipeline.name.as_str()).collect();
    assert_eq!(names, ["b"]);
}

#[test]
fn a_pipeline_that_is_loaded_again_is_the_same() {
    let directory = directory(SERVICE, &[("p.toml", PIPELINE)]);
    let config = load_from(directory.path()).unwrap();
    let [pipeline] = config.pipelines.as_slice() else { panic!("one pipeline") };
    let read = || std::fs::read(&pipeline.file);
    let again = parse_pipeline(&pipeline.file, read(), &config.connections, &env);
    assert_eq!(again.as_ref(), Ok(pipeline));
    let elsewhere = parse_pipeline(&pipeline.file, read(), &BTreeMap::new(), &env).unwrap_err();
    let keys: Vec<_> = elsewhere.0.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, ["source.connection", "sink[0].connection"]);
}

#[test]
fn what_reaches_a_service_is_read_whatever_else_is_wrong() {
    let service =
        "state = \"s\"\noperatrs = 1\n[admin]\nlisten = \"[::1]:7070\"\n[connections.a]\nmysql = { url = \"${NONE}\" }";
    let directory = directory(service, &[("p.toml", "nonsense")]);
    let file = directory.path().join("sluice.toml");
    let admin = load_admin(&file, &env).unwrap();
    assert_eq!(
        admin,
        Admin { state: directory.path().join("s"), listen: "[::1]:7070".parse().ok(), file: file.clone() }
    );
    for (wrong, key) in [("state = 1", "state"), ("[admin]\nlisten = \"0.0.0.0:1\"", "admin.listen"), ("[", "")] {
        std::fs::write(&file, wrong).unwrap();
        let problems = load_admin(&file, &env).unwrap_err().0;
        assert_eq!(problems.iter().map(|problem| problem.key.as_str()).collect::<Vec<_>>(), [key]);
    }
}

#[test]
fn a_sink_may_ask_which_generation_wrote_a_row() {
    let pipeline = format!("{PIPELINE}generation = true\n");
    let directory = directory(SERVICE, &[("p.toml", &pipeline)]);
    assert!(load_from(directory.path()).unwrap().pipelines[0].sinks[0].generation);
}

#[test]
fn a_lookup_names_its_key_and_its_columns_as_the_table_does() {
    let table_of = |connection: &str, key: &str, column: &str| {
        let lookup = format!(
            "connection = '{connection}', table = 't', join = 'left', key = {key}, columns = {{ m = {column} }}"
        );
        let pipeline = PIPELINE.replace("[[sink]]", &format!("[[step]]\nlookup = {{ {lookup} }}\n[[sink]]"));
        let directory = directory(SERVICE, &[("p.toml", &pipeline)]);
        let config = load_from(directory.path()).unwrap_or_else(|problems| panic!("{problems}"));
        let [Step::Lookup(lookup)] = config.pipelines[0].steps.as_slice() else { panic!("one lookup") };
        assert_eq!((lookup.key.as_str(), &lookup.fields[0].name), ("id", &"m".to_owned()));
        assert_eq!(lookup.fields[0].kind, lookup.table.columns[0].kind);
        lookup.table.clone()
    };
    let plain = |key: &str, column: &str, kind| LookupTable::new("t", key, [(column, kind)]);
    assert_eq!(table_of("dimensions", "'id'", "'cf:m'"), plain("", "cf:m", Kind::Utf8));
    assert_eq!(table_of("livedb", "'id'", "'m'"), plain("id", "m", Kind::Utf8));
    let timed = "{ column = 'made', kind = 'timestamp' }";
    assert_eq!(table_of("livedb", "{ id = 'room' }", timed), plain("room", "made", Kind::Timestamp));
    assert_eq!(table_of("lite", "{ id = { column = 'room' } }", "'m'"), plain("room", "m", Kind::Utf8));
    let bytes = table_of("dimensions", "{ id = { encoding = 'int' } }", "{ column = 'cf:m', encoding = 'double' }");
    assert_eq!(bytes.key.encoding, Some(Encoding::Int));
    assert_eq!((bytes.columns[0].kind, bytes.columns[0].encoding), (Kind::Float64, Some(Encoding::Double)));
}
