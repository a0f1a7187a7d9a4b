//! Wrong files, and every line that is said about them.

use sluice_connectors::kafka::config::RESERVED;

use super::{PIPELINE, SERVICE, lines};

/// Compares problems with the lines that are expected.
fn check(problems: Vec<String>, expected: &str) {
    assert_eq!(problems.join("\n"), expected.trim());
}

/// The problems of a sluice.toml alone.
fn of_service(text: &str) -> Vec<String> {
    lines(text, &[])
}

/// The problems of one pipeline of a service without a fault.
fn of_pipeline(text: &str) -> Vec<String> {
    lines(SERVICE, &[("p.toml", text)])
}

#[test]
fn all_that_is_wrong_with_sluice_toml_is_said_at_once() {
    let text = r#"
operator = "ops"
state = 3
pipelines = ""
[admin]
listen = "0.0.0.0:7070"
[connections]
"e/v" = { kafka = { brokers = "127.0.0.1" } }
kafka = { kafka = { broker = "127.0.0.1:9092", properties = { "group.id" = "g", linger.ms = 1.5, sasl = ["x"] } } }
log = { log = "data" }
both = { csv = { directory = "" }, log = { directory = "d" } }
none = {}
hbase = { hbse = { thrift = "127.0.0.1:9090" } }
hbase2 = { hbase = { thrift = "thrift://h:9090", cache = { ttl = "25h", entries = 0, size = 1 } } }
mysql = { mysql = { url = "jdbc:mysql://root:pw@127.0.0.1:3306/live", time_zone = "Asia Shanghai", timezone = "" } }
mysql2 = { mysql = { url = "mysql://root:pw@127.0.0.1:3306" }, extra = true }
sqlite = { sqlite = {} }
text = "kafka"
"#;
    check(
        of_service(text),
        r#"
sluice.toml:2: operator: found an unknown key, want one of "operators", "pipelines", "state", "compile", "limits", "stop_within", "admin", "board" or "connections": did you mean "operators"?
sluice.toml:3: state: found 3, want a directory such as "state"
sluice.toml:4: pipelines: found "", want a directory such as "pipelines"
sluice.toml:6: admin.listen: found "0.0.0.0:7070", want a loopback address and port such as "127.0.0.1:7070" or "[::1]:7070"
sluice.toml:8: connections."e/v": found a connection of this name, want a name of letters, digits, _ and - (at most 100)
sluice.toml:8: connections."e/v".kafka.brokers: found "127.0.0.1", want host:port such as "127.0.0.1:9092", several separated by commas
sluice.toml:9: connections.kafka.kafka.brokers: found nothing, want host:port such as "127.0.0.1:9092", several separated by commas
sluice.toml:9: connections.kafka.kafka.properties."group.id": found a property that the host sets itself, want no such property: the pipeline's `source.group` says it
sluice.toml:9: connections.kafka.kafka.properties.linger.ms: found a value that isn't shown, since it may be a secret, want a string, a whole number, true or false
sluice.toml:9: connections.kafka.kafka.properties.sasl: found an array, want a string, a whole number, true or false
sluice.toml:9: connections.kafka.kafka.broker: found an unknown key, want "brokers" or "properties": did you mean "brokers"?
sluice.toml:10: connections.log.log: found a string, want a table such as { directory = "data" }
sluice.toml:11: connections.both: found log and csv, want one type for one connection
sluice.toml:12: connections.none: found an empty table, want one of "kafka", "log", "hbase", "csv", "mysql" or "sqlite"
sluice.toml:13: connections.hbase.hbse: found an unknown key, want one of "kafka", "log", "hbase", "csv", "mysql" or "sqlite": did you mean "hbase"?
sluice.toml:14: connections.hbase2.hbase.thrift: found "thrift://h:9090", want host:port of HBase's Thrift server such as "127.0.0.1:9090"
sluice.toml:14: connections.hbase2.hbase.cache.ttl: found "25h", want a duration from "0s" to "1d"
sluice.toml:14: connections.hbase2.hbase.cache.entries: found 0, want a whole number from 1 to 10000000
sluice.toml:14: connections.hbase2.hbase.cache.size: found an unknown key, want "ttl" or "entries"
sluice.toml:15: connections.mysql.mysql.url: found a url (not shown, since it may hold a password) that doesn't start with mysql://, want mysql://user:password@host:3306/database (or the password as it is, as the key `password`)
sluice.toml:15: connections.mysql.mysql.time_zone: found "Asia Shanghai", want a time zone such as "Asia/Shanghai" or "+08:00"
sluice.toml:15: connections.mysql.mysql.timezone: found an unknown key, want one of "url", "user", "password", "database", "tls", "ca", "cert", "key", "time_zone", "connections" or "cache": did you mean "time_zone"?
sluice.toml:16: connections.mysql2.mysql: found no database, want one in the url, or the key `database`
sluice.toml:16: connections.mysql2.extra: found an unknown key, want one of "kafka", "log", "hbase", "csv", "mysql" or "sqlite"
sluice.toml:17: connections.sqlite.sqlite.path: found nothing, want a database's file such as "live.db"
sluice.toml:18: connections.text: found a string, want a table such as { sqlite = { path = "live.db" } }
"#,
    );
    check(
        of_service("connections = 3\nadmin = {}"),
        r#"
sluice.toml:1: connections: found a number, want tables [connections.NAME]
sluice.toml:2: admin.listen: found nothing, want a loopback address and port such as "127.0.0.1:7070" or "[::1]:7070"
"#,
    );
}

#[test]
fn a_property_of_kafka_that_the_host_sets_is_refused_where_it_stands() {
    for (name, instead) in RESERVED {
        // As one key, and as TOML takes it without quotes: tables in tables.
        for key in [format!("\"{name}\""), name.to_owned()] {
            check(
                of_service(&format!(
                    "[connections]\nk = {{ kafka = {{ brokers = 'h:1', properties = {{ {key} = true }} }} }}"
                )),
                &format!(
                    "sluice.toml:2: connections.k.kafka.properties.{key}: found a property that the host sets itself, \
                     want no such property: {instead}"
                ),
            );
        }
    }
}

#[test]
fn all_that_is_wrong_with_a_source_is_said_at_once() {
    let text = r#"
[source]
conection = "events"
connection = "evens"
topic = "live/streaming"
group = ""
start = "earliest-offset"
json = { ignore_parse_errors = true, fail_on_missing_field = true, ignore-parse-errors = 1, convert = "flnk", epoch = "ms", path = "a..b" }
batch = { rows = 0 }
[source.columns]
user_id = "bigint"
_offset = "utf8"
_topic = { kind = "utf8", field = "topic" }
key = { kind = "int64", field = "_key" }
"" = "int64"
x = 3
y = { feild = "z" }
dots = { kind = "int64", field = "a..b" }
a = "int64"
b = { kind = "int64", field = "a" }
"line\nbreak" = "int64"
[[sink]]
connection = "lite"
table = "t"
key = ["whatever"]
"#;
    check(
        of_pipeline(text),
        r#"
pipelines/p.toml:3: source.conection: found an unknown key, want one of "connection", "topic", "group", "start", "json", "csv", "columns" or "batch": did you mean "connection"?
pipelines/p.toml:4: source.connection: found "evens", want a connection to kafka or log: "events" or "log": did you mean "events"?
pipelines/p.toml:5: source.topic: found "live/streaming", want a topic's name of letters, digits, _, - and ., which is never first (at most 249)
pipelines/p.toml:6: source.group: found "", want a consumer group's name of letters, digits, _, - and ., which is never first (at most 249)
pipelines/p.toml:7: source.start: found "earliest-offset", want one of "earliest", "latest" or "committed": did you mean "earliest"?
pipelines/p.toml:8: source.json.convert: found "flnk", want "exact" or "flink": did you mean "flink"?
pipelines/p.toml:8: source.json.epoch: found "ms", want one of "seconds", "milliseconds", "microseconds" or "nanoseconds"
pipelines/p.toml:8: source.json: found both ignore_parse_errors and fail_on_missing_field, want at most one of them: a missing field can't be ignored and fatal
pipelines/p.toml:8: source.json.path: found "a..b", want a path such as payload.after or data[0].id
pipelines/p.toml:8: source.json.ignore-parse-errors: found an unknown key, want one of "ignore_parse_errors", "fail_on_missing_field", "convert", "epoch", "skip_tombstones", "path" or "schema_registry": did you mean "ignore_parse_errors"?
pipelines/p.toml:9: source.batch.rows: found 0, want a whole number from 1 to 65536
pipelines/p.toml:11: source.columns.user_id: found "bigint", want one of "boolean", "int64", "float64", "utf8", "binary", "timestamp", "date" or "decimal(PRECISION, SCALE)"
pipelines/p.toml:12: source.columns._offset: found "utf8", want "int64"
pipelines/p.toml:13: source.columns._topic.field: found "topic", want another name for this column: _topic is the record's own
pipelines/p.toml:14: source.columns.key.kind: found "int64", want "utf8" or "binary"
pipelines/p.toml:15: source.columns."": found a column of this name, want a column's name of 1 to 64 characters, without quotes and without spaces at its ends
pipelines/p.toml:16: source.columns.x: found 3, want one of "boolean", "int64", "float64", "utf8", "binary", "timestamp", "date" or "decimal(PRECISION, SCALE)"
pipelines/p.toml:17: source.columns.y.kind: found nothing, want one of "boolean", "int64", "float64", "utf8", "binary", "timestamp", "date" or "decimal(PRECISION, SCALE)"
pipelines/p.toml:17: source.columns.y.feild: found an unknown key, want one of "field", "path" or "kind": did you mean "field"?
pipelines/p.toml:18: source.columns.dots.field: found "a..b", want a field such as os, or a path into one such as device.os or tags[0] (a dot of a name is written \.)
pipelines/p.toml:20: source.columns.b: found what column a takes already, want one column for each field of the record
pipelines/p.toml:21: source.columns."line\nbreak": found a column of this name, want a column's name of 1 to 64 characters, without quotes and without spaces at its ends
"#,
    );
    let text = PIPELINE.replace(r#"{ id = "int64", at = "timestamp" }"#, "{}").replace("earliest", "group");
    check(
        of_pipeline(&text),
        r#"
pipelines/p.toml:6: source.start: found "group", want one of "earliest", "latest" or "committed"
pipelines/p.toml:7: source.columns: found 0 columns, want 1 to 1000 columns
"#,
    );
}

#[test]
fn all_that_is_wrong_with_steps_is_said_at_once() {
    let steps = r#"
[[step]]
lookup = { connection = "events", table = "../dim", key = "di", columns = { id = "cf:x", y = "" }, join = "outer" }
[[step]]
lookup = { connection = "dimensions", table = "dim", key = "at", columns = { m = "module_id", n = { column = "cf:n", kind = "int64" } }, cache = 1 }
[[step]]
operator = "module count"
limits = { memory = "64MB", call_time = "1.5s", output = "1GiB1", rows_out = 0, state = "1GiB", time = 3 }
confg = 3
[[step]]
operator = "o"
config = { a = [inf, 1, 99999999999999999999], b = "${NONE}" }
[[step]]
lookups = {}
config = {}
[[step]]
operator = "o"
lookup = {}
[[step]]
lookup = { connection = "tables", table = "dim", key = "k", columns = {}, join = "left" }
limits = {}
[[sink]]"#;
    check(
        of_pipeline(&PIPELINE.replace("[[sink]]", steps)),
        r#"
pipelines/p.toml:10: step[0].lookup.connection: found "events", a connection to kafka, want a connection to hbase, csv, mysql or sqlite: one of "dimensions", "lite", "livedb" or "tables"
pipelines/p.toml:10: step[0].lookup.table: found "../dim", want a table's name of letters, digits, _, -, $ and : (at most 64), for MySQL after database and dot if need be
pipelines/p.toml:10: step[0].lookup.key: found "di", want a column that is there: "id"
pipelines/p.toml:10: step[0].lookup.columns.id: found a column that is there already, want another name for the column that is added
pipelines/p.toml:10: step[0].lookup.columns.y: found "", want a column's name in the table such as "cf:module_id"
pipelines/p.toml:10: step[0].lookup.join: found "outer", want one of "inner", "left" or "required"
pipelines/p.toml:12: step[1].lookup.columns.m: found "module_id", want family:qualifier such as "cf:module_id"
pipelines/p.toml:12: step[1].lookup.join: found nothing, want one of "inner", "left" or "required"
pipelines/p.toml:12: step[1].lookup.cache: found an unknown key, want one of "connection", "table", "key", "columns" or "join"
pipelines/p.toml:14: step[2].operator: found "module count", want the operator's name of letters, digits, _ and - (at most 100)
pipelines/p.toml:15: step[2].limits.memory: found "64MB", want a size such as "64MiB", "512KiB" or "1GiB"
pipelines/p.toml:15: step[2].limits.call_time: found "1.5s", want a duration such as "2s", "500ms" or "1m"
pipelines/p.toml:15: step[2].limits.output: found "1GiB1", want a size such as "64MiB", "512KiB" or "1GiB"
pipelines/p.toml:15: step[2].limits.rows_out: found 0, want a whole number from 1 to 1000
pipelines/p.toml:15: step[2].limits.state: found "1GiB", want a size from "1KiB" to "64MiB"
pipelines/p.toml:15: step[2].limits.time: found an unknown key, want one of "memory", "call_time", "open_time", "output", "rows_out", "state" or "log_lines"
pipelines/p.toml:16: step[2].confg: found an unknown key, want one of "operator", "lookup", "config", "limits" or "window": did you mean "config"?
pipelines/p.toml:19: step[3].config.a[0]: found inf, want a finite number, since the operator is given JSON
pipelines/p.toml:19: step[3].config.a[2]: found 99999999999999999999, want a whole number of 64 bits
pipelines/p.toml:19: step[3].config.b: found ${NONE}, which isn't set, want the environment variable NONE to be set, or $${ for a literal ${
pipelines/p.toml:20: step[4]: found neither of them, want either "operator" or "lookup"
pipelines/p.toml:21: step[4].lookups: found an unknown key, want one of "operator", "lookup", "config", "limits" or "window": did you mean "lookup"?
pipelines/p.toml:23: step[5]: found both, want either "operator" or "lookup"
pipelines/p.toml:27: step[6].lookup.columns: found 0 columns, want 1 to 100 columns
pipelines/p.toml:28: step[6].limits: found an unknown key, want "operator" or "lookup"
"#,
    );
    let windows = r#"
[[step]]
operator = "o"
window = { time = "", tumbling = "10m", session = { gap = "1m" } }
[[step]]
operator = "o"
window = { lateness = "1", idle_after = "0s", emit = "close", late = "dead" }
[[step]]
operator = "o"
window = { time = "at", hopping = { size = "1h", every = "7m" }, keep_for = "1h", lates = "drop" }
[[step]]
operator = "o"
window = { time = "at", session = { gap = "0s", size = "1h" }, emit = "changes", late = "update" }
[[step]]
operator = "o"
window = "10m"
[[sink]]"#;
    check(
        of_pipeline(&PIPELINE.replace("[[sink]]", windows)),
        r#"
pipelines/p.toml:11: step[0].window.time: found "", want a column's name of 1 to 64 characters, without quotes and without spaces at its ends
pipelines/p.toml:11: step[0].window: found more than one of them, want one of "tumbling", "hopping" or "session"
pipelines/p.toml:14: step[1].window.time: found nothing, want the timestamp column whose values say when a row is
pipelines/p.toml:14: step[1].window: found none of them, want one of "tumbling", "hopping" or "session"
pipelines/p.toml:14: step[1].window.lateness: found "1", want a duration such as "2s", "500ms" or "1m"
pipelines/p.toml:14: step[1].window.idle_after: found "0s", want a duration from "1s" to "1d"
pipelines/p.toml:14: step[1].window.emit: found "close", want "closed" or "changes": did you mean "closed"?
pipelines/p.toml:14: step[1].window.late: found "dead", want one of "drop", "dead_letter" or "update": did you mean "dead_letter"?
pipelines/p.toml:17: step[2].window.hopping: found sizes that don't fit, want a `size` that is 1 to 64 times `every`
pipelines/p.toml:17: step[2].window.keep_for: found a time to keep states that nothing updates, want no `keep_for`, or late = "update"
pipelines/p.toml:17: step[2].window.lates: found an unknown key, want one of "time", "tumbling", "hopping", "session", "lateness", "idle_after", "emit", "late" or "keep_for": did you mean "late"?
pipelines/p.toml:20: step[3].window.session.gap: found "0s", want a duration from "1s" to "366d"
pipelines/p.toml:20: step[3].window.session.size: found an unknown key, want "gap"
pipelines/p.toml:20: step[3].window.emit: found "changes", want "closed"
pipelines/p.toml:20: step[3].window.late: found "update", want "drop" or "dead_letter"
pipelines/p.toml:23: step[4].window: found a string, want a table such as { time = "create_time", tumbling = "10m" }
"#,
    );
    let windowed = r#"
[state]
ttl = "1d"
[[step]]
operator = "o"
window = { time = "at", tumbling = "10m" }
[[sink]]"#;
    check(
        of_pipeline(&PIPELINE.replace("[[sink]]", windowed)),
        r#"
pipelines/p.toml:9: state: found a `ttl` for groups of windows, want no `ttl`, since their windows say how long they are kept
pipelines/p.toml:14: sink[0]: found a key without `window_start`, want it in the key, since a window has rows of its own
"#,
    );
    let lookups = r#"
[[step]]
lookup = { connection = "tables", table = "t", key = "id", columns = { a = "x", b = { column = "y", kind = "binary" } }, join = "left" }
[[step]]
lookup = { connection = "tables", table = "t", key = "at", columns = { b = "z" }, join = "left" }
[[sink]]"#;
    check(
        of_pipeline(&PIPELINE.replace("[[sink]]", lookups)),
        r#"
pipelines/p.toml:12: step[1].lookup.key: found "at", a column of the kind timestamp, want a column of the kind int64 or utf8
pipelines/p.toml:12: step[1].lookup.columns.b: found a column that is there already, want another name for the column that is added
"#,
    );
}

#[test]
fn all_that_is_wrong_with_sinks_is_said_at_once() {
    let sinks = r#"
[[sink]]
connection = "livedb"
table = "gifts"
key = ["id"]
[[sink]]
connection = "tables"
table = "a..b"
key = []
flush = { rows = 0, interval = "2 sec", retries = -3, max_rows = 1 }
create = "yes"
generation = 3
[[sink]]
connection = "lite"
table = "t"
key = ["idd", "at", "at", 3]
flush = { interval = "2h" }
[[sink]]
"#;
    check(
        of_pipeline(&format!("{PIPELINE}{sinks}")),
        r#"
pipelines/p.toml:13: sink[1]: found a table or topic that another sink of this pipeline writes, want each once
pipelines/p.toml:18: sink[2].connection: found "tables", a connection to csv, want a connection to kafka, mysql or sqlite: one of "events", "lite" or "livedb"
pipelines/p.toml:19: sink[2].table: found "a..b", want a table's name of letters, digits, _, -, $ and : (at most 64), for MySQL after database and dot if need be
pipelines/p.toml:20: sink[2].key: found an empty array, want an array of the columns that identify a row, such as ["user_id"]
pipelines/p.toml:21: sink[2].flush.rows: found 0, want a whole number from 1 to 1000000
pipelines/p.toml:21: sink[2].flush.interval: found "2 sec", want a duration such as "2s", "500ms" or "1m"
pipelines/p.toml:21: sink[2].flush.retries: found -3, want a whole number from 0 to 1000
pipelines/p.toml:21: sink[2].flush.max_rows: found an unknown key, want one of "rows", "interval" or "retries"
pipelines/p.toml:22: sink[2].create: found "yes", want true or false
pipelines/p.toml:23: sink[2].generation: found 3, want true or false
pipelines/p.toml:27: sink[3].key[0]: found "idd", want a column that is there: "id" or "at": did you mean "id"?
pipelines/p.toml:27: sink[3].key[2]: found "at", want each column of the key once
pipelines/p.toml:27: sink[3].key[3]: found 3, want a column's name of 1 to 64 characters, without quotes and without spaces at its ends
pipelines/p.toml:28: sink[3].flush.interval: found "2h", want a duration from "1ms" to "1h"
pipelines/p.toml:29: sink[4].connection: found nothing, want a connection's name
pipelines/p.toml:29: sink[4].table: found nothing, want a table's name
pipelines/p.toml:29: sink[4].key: found nothing, want an array of the columns that identify a row, such as ["user_id"]
"#,
    );
    let (source, _) = PIPELINE.split_once("[[sink]]").unwrap();
    check(
        of_pipeline(source),
        r#"
pipelines/p.toml: sink: found nothing, want at least one table [[sink]]
"#,
    );
    check(
        of_pipeline(&format!("{source}[sink]\n")),
        r#"
pipelines/p.toml:8: sink: found a table, want tables [[sink]]
"#,
    );
    check(
        of_pipeline("sources = []\n"),
        r#"
pipelines/p.toml: source: found nothing, want a table [source]
pipelines/p.toml: sink: found nothing, want at least one table [[sink]]
pipelines/p.toml:1: sources: found an unknown key, want one of "source", "step", "sink", "state", "probation", "on_incompatible", "on_error" or "dead_letters": did you mean "source"?
"#,
    );
}

#[test]
fn all_that_is_wrong_with_transactions_is_said_at_once() {
    let sinks = r#"
[[sink]]
connection = "lite"
table = "a"
delivery = "transaction"
[[sink]]
connection = "lite"
table = "b"
delivery = "transaction"
key = ["nobody"]
[[sink]]
connection = "lite"
table = "c"
delivery = "exactly_once"
[[sink]]
connection = "lite"
table = "d"
delivery = "upsert"
"#;
    check(
        of_pipeline(&format!("{PIPELINE}{sinks}")),
        r#"
pipelines/p.toml:21: sink[2].key[0]: found "nobody", want a column that is there: "id" or "at"
pipelines/p.toml:25: sink[3].delivery: found "exactly_once", want "upsert" or "transaction"
pipelines/p.toml:26: sink[4].key: found nothing, want an array of the columns that identify a row, such as ["user_id"]
"#,
    );
    let two = &sinks[..sinks.find("key = ").unwrap()];
    check(
        of_pipeline(&format!("{PIPELINE}{two}")),
        r#"
pipelines/p.toml:17: sink[2]: found another sink with delivery = "transaction", want one sink with delivery = "transaction", since only one database can say how far the rows are
"#,
    );
}

#[test]
fn all_files_are_judged_at_once() {
    check(
        lines(
            "[source\ntopic = \"a\" \"b\"\nurl = \"pw\nx = 1\nx = 2",
            &[
                ("p.toml", "a = [\n"),
                ("q.toml", "x = 1\nx = 2\n"),
                ("a b.toml", ""),
                ("r.toml", PIPELINE),
                ("s.toml", &PIPELINE.replace("gifts", "")),
            ],
        ),
        r#"
sluice.toml:1: found a syntax error (unclosed table, expected `]`), want valid TOML
sluice.toml:2: found a syntax error (unexpected key or value, expected newline, `#`), want valid TOML
pipelines/a b.toml: found this file name, want a name of letters, digits, _ and - (at most 100) before .toml, since it names the pipeline
pipelines/p.toml:1: found a syntax error (unclosed array, expected `]`), want valid TOML
pipelines/q.toml:2: found a syntax error (duplicate key), want valid TOML
pipelines/s.toml:4: source.topic: found "", want a topic's name of letters, digits, _, - and ., which is never first (at most 249)
pipelines/s.toml:10: sink[0].table: found "", want a table's name of letters, digits, _, -, $ and : (at most 64), for MySQL after database and dot if need be
"#,
    );
    check(
        lines(SERVICE, &[("p.toml", PIPELINE), ("q.toml", PIPELINE)]),
        r#"
pipelines/q.toml: source.group: found "g", which pipeline p reads "gifts" as, want a group of its own for each pipeline
pipelines/q.toml: sink[0].table: found "gifts", which pipeline p writes, want a table of its own for each, or `shared = true` in both sinks if no key is ever both's
"#,
    );
    check(
        lines("pipelines = \"p\"", &[]),
        r#"
sluice.toml: pipelines: found p, which can't be listed (No such file or directory (os error 2)), want a directory that is there
"#,
    );
    check(
        lines("[connections]\nlivedb = { sqlite = {} }", &[("p.toml", PIPELINE)]),
        r#"
sluice.toml:2: connections.livedb.sqlite.path: found nothing, want a database's file such as "live.db"
pipelines/p.toml:3: source.connection: found "events", want a connection to kafka or log, of which sluice.toml has none
"#,
    );
}

#[test]
fn all_that_is_wrong_with_the_place_of_dead_letters_is_said_at_once() {
    let of = |text: &str| of_pipeline(&format!("{text}\n{}", PIPELINE.trim_start()));
    check(
        of("on_error = 'ignore'\ndead_letters = { conection = 'dimensions', table = 'a b' }"),
        r#"
pipelines/p.toml:1: on_error: found "ignore", want one of "stop", "skip" or "dead_letter"
pipelines/p.toml:2: dead_letters.connection: found nothing, want a connection's name, or `file`
pipelines/p.toml:2: dead_letters.table: found "a b", want a table's name of letters, digits, _, -, $ and : (at most 64), for MySQL after database and dot if need be
pipelines/p.toml:2: dead_letters.conection: found an unknown key, want one of "file", "connection", "table", "topic" or "create": did you mean "connection"?
"#,
    );
    check(
        of("dead_letters = { connection = 'dimensions' }"),
        r#"
pipelines/p.toml:1: dead_letters.connection: found "dimensions", a connection to hbase, want a connection to kafka, mysql or sqlite: one of "events", "lite" or "livedb"
"#,
    );
    check(
        of("on_error = 'skip'\ndead_letters = { connection = 'livedb', table = 'gifts' }"),
        r#"
pipelines/p.toml:2: dead_letters: found a place for dead letters, want none, or on_error = "dead_letter": this pipeline makes no letters
pipelines/p.toml:2: dead_letters: found what a sink of this pipeline writes, want a table or topic of its own
"#,
    );
    check(
        of("dead_letters = { file = '', connection = 'livedb', topic = 't' }"),
        r#"
pipelines/p.toml:1: dead_letters.connection: found this beside `file`, want either a file or a table or topic of a connection
pipelines/p.toml:1: dead_letters.topic: found this beside `file`, want either a file or a table or topic of a connection
pipelines/p.toml:1: dead_letters.file: found "", want a file such as "dead_letters.jsonl"
"#,
    );
    check(
        of("dead_letters = { connection = 'events', table = 't' }"),
        r#"
pipelines/p.toml:1: dead_letters.table: found a table, want a `topic` of this connection
pipelines/p.toml:1: dead_letters.topic: found nothing, want a topic's name
"#,
    );
    check(
        of("dead_letters = { connection = 'lite', topic = 't' }"),
        r#"
pipelines/p.toml:1: dead_letters.topic: found a topic, want a `table` of this connection
"#,
    );
    check(
        of("dead_letters = { connection = 'events', topic = 'gifts' }"),
        r#"
pipelines/p.toml:1: dead_letters: found the topic that this pipeline reads, want a topic of its own
"#,
    );
}

#[test]
fn two_pipelines_write_one_table_if_both_say_so_or_both_only_add_rows() {
    let other = |text: &str| text.replace("\"g\"", "\"h\"");
    let both = |one: &str, two: &str| lines(SERVICE, &[("p.toml", one), ("q.toml", &other(two))]);
    let shared = PIPELINE.replace("key =", "shared = true\nkey =");
    let keyless = PIPELINE.replace("key = [\"id\"]", "delivery = \"transaction\"");
    assert_eq!(both(PIPELINE, PIPELINE).len(), 1);
    assert_eq!(both(&shared, PIPELINE).len(), 1);
    assert_eq!(both(&keyless, PIPELINE).len(), 1);
    for one in [&shared, &keyless] {
        assert_eq!(both(one, one), [""; 0]);
    }
    let service = format!("{SERVICE}\nsame = {{ mysql = {{ url = \"mysql://other:pw2@127.0.0.1/live\" }} }}");
    let twice =
        PIPELINE.replace("[[sink]]", "[[sink]]\nconnection = \"same\"\ntable = \"gifts\"\nkey = [\"id\"]\n[[sink]]");
    let told = lines(&service, &[("p.toml", &twice)]);
    assert!(told.len() == 1 && told[0].contains("which another sink of this pipeline writes"), "{told:?}");
}

#[test]
fn what_a_lookups_table_has_no_name_or_encoding_for_is_said() {
    let problem_of = |connection: &str, key: &str, column: &str| {
        let lookup = format!(
            "connection = '{connection}', table = 't', join = 'left', key = {key}, columns = {{ m = {column} }}"
        );
        let problems =
            of_pipeline(&PIPELINE.replace("[[sink]]", &format!("[[step]]\nlookup = {{ {lookup} }}\n[[sink]]")));
        problems
            .iter()
            .map(|line| line.split_once("step[0].lookup.").unwrap().1.to_owned())
            .collect::<Vec<_>>()
            .join("\n")
    };
    for (connection, key, column, expected) in [
        ("dimensions", "'id'", "{ column = 'cf:m', encoding = 'long' }", ""),
        ("dimensions", "{ id = { encoding = 'int' } }", "'cf:m'", ""),
        ("livedb", "{ id = 'room' }", "{ column = 'm', kind = 'timestamp' }", ""),
        ("lite", "{ id = { column = 'room' } }", "'m'", ""),
        (
            "dimensions",
            "{ id = 'room' }",
            "'cf:m'",
            "key.id: found a column for the key, want none: the rows' keys have no name in this table",
        ),
        (
            "dimensions",
            "{ id = { encoding = 'double' } }",
            "'cf:m'",
            "key.id.encoding: found \"double\", want one of \"long\", \"int\" or \"short\"",
        ),
        (
            "dimensions",
            "'id'",
            "{ column = 'cf:m', kind = 'utf8', encoding = 'long' }",
            "columns.m: found both a kind and the encoding \"long\", want only the encoding: its values are int64",
        ),
        (
            "livedb",
            "'id'",
            "{ column = 'm', encoding = 'long' }",
            "columns.m.encoding: found an unknown key, want \"column\" or \"kind\"",
        ),
        ("livedb", "{ id = 'a', at = 'b' }", "'m'", "key: found 2 columns, want one column"),
        ("livedb", "{ i = 'a' }", "'m'", "key.i: found \"i\", want a column that is there: \"id\""),
        (
            "livedb",
            "{ at = 'a' }",
            "'m'",
            "key.at: found \"at\", a column of the kind timestamp, want a column of the kind int64 or utf8",
        ),
    ] {
        assert_eq!(problem_of(connection, key, column), expected, "{connection} {key} {column}");
    }
}

#[test]
fn all_that_is_wrong_with_records_of_csv_is_said_at_once() {
    let of = |source: &str| {
        let head = "[source]\nconnection = \"events\"\ntopic = \"t\"\ngroup = \"g\"\nstart = \"earliest\"\n";
        let sink = "[[sink]]\nconnection = \"lite\"\ntable = \"t\"\nkey = [\"a\"]\n";
        of_pipeline(&format!("{head}{source}{sink}"))
    };
    check(
        of("csv = {}\ncolumns = { a = \"int64\" }\n"),
        r#"
pipelines/p.toml:6: source.csv.fields: found nothing, want the names of a record's fields, in their order, such as ["user_id", "room_id"]
"#,
    );
    let text = "csv = { fields = [\"a\", \"\"], delimiter = \"ab\", quote = \"x\", path = \"a\" }\ncolumns = { a = \"int64\" }\n";
    check(
        of(text),
        r#"
pipelines/p.toml:6: source.csv.fields[1]: found "", want a name that isn't empty
pipelines/p.toml:6: source.csv.delimiter: found "ab", want one character of ASCII that separates fields, such as "," or "\t"
pipelines/p.toml:6: source.csv.quote: found "x", want one character of ASCII that may be around a field, such as "'", or "" for none
pipelines/p.toml:6: source.csv.path: found an unknown key, want one of "ignore_parse_errors", "fail_on_missing_field", "convert", "epoch", "skip_tombstones", "fields", "delimiter", "quote" or "null"
"#,
    );
    let text = "csv = { fields = [\"a\", \"b\"] }\njson = {}\ncolumns = { a = \"int64\" }\n";
    check(
        of(text),
        r#"
pipelines/p.toml:6: source.csv: found both json and csv, want one of them: all records of a topic have the same format
"#,
    );
    let text = "csv = { fields = [\"a\", \"b\"] }\n[source.columns]\na = \"int64\"\nbb = \"int64\"\n\
                c = { kind = \"utf8\", path = \"x.y\" }\n_offset = \"int64\"\n";
    check(
        of(text),
        r#"
pipelines/p.toml:9: source.columns.bb: found a field that the record doesn't have, want "a" or "b": did you mean "b"?
pipelines/p.toml:10: source.columns.c: found a field that the record doesn't have, want a field: a record of CSV has nothing within its fields
"#,
    );
}
