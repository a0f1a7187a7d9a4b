//! Laws: properties that hold for any file.

use proptest::prelude::*;
use toml::{Table, Value};

use super::{PIPELINE, SERVICE, directory, load_from};

/// Words of the configuration's own language, so that random files get past its first checks.
const WORDS: &[&str] = &[
    "source",
    "step",
    "sink",
    "connections",
    "admin",
    "listen",
    "kafka",
    "log",
    "hbase",
    "csv",
    "mysql",
    "sqlite",
    "brokers",
    "properties",
    "directory",
    "thrift",
    "cache",
    "ttl",
    "entries",
    "url",
    "time_zone",
    "path",
    "connection",
    "topic",
    "group",
    "start",
    "json",
    "ignore_parse_errors",
    "columns",
    "kind",
    "field",
    "batch",
    "rows",
    "lookup",
    "operator",
    "table",
    "key",
    "encoding",
    "column",
    "join",
    "config",
    "limits",
    "window",
    "time",
    "tumbling",
    "hopping",
    "session",
    "size",
    "every",
    "gap",
    "lateness",
    "emit",
    "late",
    "keep_for",
    "memory",
    "call_time",
    "output",
    "create",
    "generation",
    "flush",
    "interval",
    "retries",
    "operators",
    "pipelines",
    "state",
    "_offset",
    "_key",
    "events",
    "livedb",
    "on_error",
    "dead_letters",
];

const TEXTS: &[&str] = &[
    "events",
    "livedb",
    "dimensions",
    "earliest",
    "inner",
    "int64",
    "utf8",
    "2s",
    "64MiB",
    "127.0.0.1:9092",
    "${WORD}",
    "${NONE}",
    "${",
    "$${",
    "id",
    "cf:a",
    "mysql://u:p@h/d",
    "",
    "\n",
    "é",
];

fn word() -> impl Strategy<Value = String> {
    prop_oneof![9 => prop::sample::select(WORDS).prop_map(str::to_owned), 1 => ".{0,8}"]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => prop::sample::select(TEXTS).prop_map(|text| Value::String(text.to_owned())),
        1 => ".{0,90}".prop_map(Value::String),
        2 => any::<i64>().prop_map(Value::Integer),
        2 => (0..9_000i64).prop_map(Value::Integer),
        1 => any::<f64>().prop_map(Value::Float),
        1 => any::<bool>().prop_map(Value::Boolean),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            3 => prop::collection::hash_map(word(), inner.clone(), 0..6)
                .prop_map(|entries| Value::Table(entries.into_iter().collect())),
            1 => prop::collection::vec(inner, 0..4).prop_map(Value::Array),
        ]
    })
}

fn table() -> impl Strategy<Value = Table> {
    prop::collection::hash_map(word(), value(), 0..8).prop_map(|entries| entries.into_iter().collect())
}

/// A right file with one value, somewhere, replaced.
fn altered(text: &'static str) -> impl Strategy<Value = String> {
    (any::<prop::sample::Index>(), value()).prop_map(move |(index, value)| {
        let mut root: Value = Value::Table(text.parse().unwrap());
        let places = count(&root);
        replace(&mut root, &mut (index.index(places - 1) + 1), &value);
        toml::to_string(&root).unwrap()
    })
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Table(table) => table.values().map(count).sum(),
        Value::Array(elements) => elements.iter().map(count).sum(),
        _ => 0,
    }
}

/// Replaces the value that is `left` steps away, walking through all of them in order.
fn replace(value: &mut Value, left: &mut usize, with: &Value) {
    if *left == 0 {
        *value = with.clone();
    }
    *left = left.wrapping_sub(1);
    match value {
        Value::Table(table) => table.iter_mut().for_each(|(_, value)| replace(value, left, with)),
        Value::Array(elements) => elements.iter_mut().for_each(|value| replace(value, left, with)),
        _ => {}
    }
}

/// Checks that the files give either a configuration or problems; each problem is one line with a file, and has a key wherever it
/// has a line.
fn check(service: &str, pipeline: &str) -> Result<(), TestCaseError> {
    let directory = directory(service, &[("p.toml", pipeline)]);
    let Err(problems) = load_from(directory.path()) else { return Ok(()) };
    prop_assert!(!problems.0.is_empty());
    for problem in &problems.0 {
        prop_assert_eq!(problem.to_string().lines().count(), 1, "{}", problem);
        prop_assert!(problem.file.starts_with(directory.path()));
        prop_assert!(problem.line.is_none() || !problem.key.is_empty() || problem.found.contains("syntax"));
        prop_assert!(!problem.found.is_empty() && !problem.want.is_empty());
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_text_is_taken_or_refused(service in ".{0,200}", pipeline in ".{0,200}") {
        check(&service, &pipeline)?;
    }

    #[test]
    fn any_table_is_taken_or_refused(service in table(), pipeline in table()) {
        check(&toml::to_string(&service).unwrap(), &toml::to_string(&pipeline).unwrap())?;
    }

    #[test]
    fn any_altered_file_is_taken_or_refused(service in altered(SERVICE), pipeline in altered(PIPELINE)) {
        check(&service, &pipeline)?;
    }

    #[test]
    fn columns_keep_the_order_of_the_file(names in prop::collection::hash_set("[a-z]{1,5}", 1..40)) {
        let names: Vec<String> = names.into_iter().collect();
        let columns: Vec<String> = names.iter().map(|name| format!("{name} = \"int64\"")).collect();
        let pipeline = PIPELINE
            .replace(r#"id = "int64", at = "timestamp""#, &columns.join(", "))
            .replace(r#"["id"]"#, &format!("[{:?}]", names[0]));
        let directory = directory(SERVICE, &[("p.toml", &pipeline)]);
        let config = load_from(directory.path()).unwrap();
        let read: Vec<&String> = config.pipelines[0].source.columns.iter().map(|column| &column.field.name).collect();
        prop_assert_eq!(read, names.iter().collect::<Vec<_>>());
    }
}

#[test]
fn no_depth_and_no_size_exhausts_the_stack() {
    let dots = ["a"; 100_000].join(".");
    let deep = [
        format!("{dots} = 1"),
        format!("[{dots}]"),
        format!("[[{dots}]]"),
        format!("a = {}", "[".repeat(100_000)),
        format!("a = {}", "{a=".repeat(100_000)),
        format!("a = \"{}\"", "${".repeat(100_000)),
        "[[step]]\n".repeat(50_000),
        "x".repeat(2 << 20),
    ];
    for text in deep {
        let directory = directory(SERVICE, &[("p.toml", &text)]);
        let problems = load_from(directory.path()).unwrap_err();
        assert!(problems.0.iter().all(|problem| problem.file.ends_with("p.toml")), "{problems}");
    }
}

#[test]
fn each_headers_nesting_is_bounded() {
    let mut header = String::from("source");
    let mut text = String::new();
    for _ in 0..500 {
        text.push_str(&format!("[{header}]\n"));
        header.push_str(".a");
    }
    let directory = directory(SERVICE, &[("p.toml", &text)]);
    assert!(load_from(directory.path()).is_err());
}
