//! The metrics, and what their tables must hold.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::root;

/// A table's rows, each a JSON value for each column, in one order whatever they came from.
pub type Rows = Vec<Vec<Value>>;

/// How a column is read back from a table.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// As a JSON number.
    Integer,
    /// As a JSON string.
    Text,
    /// A JSON string of all its digits.
    Decimal,
    /// As a JSON string `YYYY-MM-DD HH:MM:SS.ffffff`.
    Time,
}

/// A metric of the repository.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its pipeline's and the oracle's name, and that of its operator unless another metric's does.
    pub name: &'static str,
    /// Its table.
    pub table: &'static str,
    /// The table's columns, in the oracle's order.
    pub columns: &'static [(&'static str, Kind)],
}

/// Those of the original, whose tables depend on no time.
pub const METRICS: [Metric; 5] = [
    Metric {
        name: "live_cleanup",
        table: "live_streaming_log",
        columns: &[
            ("user_id", Kind::Integer),
            ("ip", Kind::Text),
            ("room_id", Kind::Text),
            ("arrive_time", Kind::Time),
            ("leave_time", Kind::Time),
            ("create_time", Kind::Time),
            ("region_code", Kind::Text),
            ("grade", Kind::Integer),
            ("province", Kind::Text),
        ],
    },
    Metric {
        name: "gift_sum",
        table: "live_gift_total_amount",
        columns: &[("gift_type", Kind::Text), ("gift_total_amount", Kind::Integer)],
    },
    Metric {
        name: "module_count",
        table: "live_module_number_count",
        columns: &[("module_id", Kind::Integer), ("module_number_count", Kind::Integer)],
    },
    Metric {
        name: "gift_by_user",
        table: "live_gift_by_user",
        columns: &[("user_id", Kind::Integer), ("gift_total_amount", Kind::Integer)],
    },
    Metric {
        name: "gift_by_minute",
        table: "live_gift_by_minute",
        columns: &[("minute", Kind::Time), ("gift_total_amount", Kind::Integer)],
    },
];

/// Those with windows: their tables are the oracle's as long as no partition has become idle.
pub const WINDOWED: [Metric; 2] = [
    Metric {
        name: "gift_by_ten_minutes",
        table: "live_gift_by_ten_minutes",
        columns: &[
            ("gift_type", Kind::Text),
            ("window_start", Kind::Time),
            ("window_end", Kind::Time),
            ("gift_total_amount", Kind::Integer),
        ],
    },
    Metric {
        name: "viewing_sessions",
        table: "live_viewing_sessions",
        columns: &[
            ("user_id", Kind::Integer),
            ("window_start", Kind::Time),
            ("window_end", Kind::Time),
            ("entries", Kind::Integer),
            ("seconds", Kind::Integer),
        ],
    },
];

/// The metric of this name.
pub fn metric(name: &str) -> &'static Metric {
    METRICS.iter().chain(&WINDOWED).find(|metric| metric.name == name).expect("a known metric")
}

/// What each metric's table must hold for these records, in the order of [`METRICS`]. `topics` is a directory of
/// `TOPIC/PARTITION.jsonl`.
pub fn expected(topics: &Path, options: &[&str]) -> Vec<Rows> {
    expected_of(&METRICS, topics, options)
}

/// As [`expected`], of these metrics.
pub fn expected_of(metrics: &[Metric], topics: &Path, options: &[&str]) -> Vec<Rows> {
    let output = Command::new("python3")
        .arg(root().join("tests/oracle/oracle.py"))
        .arg("--topics")
        .arg(topics)
        .arg("--dimensions")
        .arg(root().join("demo/dimensions"))
        .args(options)
        .args(metrics.iter().map(|metric| metric.name))
        .output()
        .expect("python3 runs");
    assert!(output.status.success(), "the oracle fails: {}", String::from_utf8_lossy(&output.stderr));
    let mut tables = vec![Rows::new(); metrics.len()];
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let mut row: Vec<Value> = serde_json::from_str(line).unwrap();
        let name = row.remove(0);
        let index = metrics.iter().position(|metric| name == metric.name).expect("a known metric");
        tables[index].push(row);
    }
    tables.into_iter().map(ordered).collect()
}

/// The rows in an order that doesn't depend on where they came from.
pub fn ordered(mut rows: Rows) -> Rows {
    rows.sort_by_cached_key(|row| Value::from(row.clone()).to_string());
    rows
}
