//! A version of an operator that keeps what it does apart: the rows of `gift_sum_apart` and `live_cleanup_apart` (of
//! `tests/e2e/guests`) have keys of their own. So a table says which code took which records in, wherever the border between
//! them is; and together the rows must be what one version alone would have written.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{Metric, PATIENCE, Rows, Tables, eventually, ordered};

/// What these versions add to the first column of a row's key.
const APART: i64 = 1_000_000_000;

/// How many differing rows a failure shows.
const SHOWN: usize = 5;

/// What each of two versions wrote, the keys as the first has them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Apart {
    /// The rows of the version of the repository.
    pub plain: Rows,
    /// The rows of the version that keeps them apart.
    pub apart: Rows,
}

impl Apart {
    /// What the metric's table holds.
    pub fn of(tables: &Tables, metric: &Metric) -> Result<Apart, String> {
        let mut both = Apart::default();
        for mut row in tables.rows(metric, metric.table)? {
            let key = row[0].as_i64().or_else(|| row[0].as_str()?.parse().ok());
            let key = key.ok_or_else(|| format!("a key that is no number: {row:?}"))?;
            // Far from what either adds to: keys may be negative.
            let is_apart = key > APART / 2;
            let key = if is_apart { key - APART } else { key };
            row[0] = if row[0].is_string() { key.to_string().into() } else { key.into() };
            if is_apart { both.apart.push(row) } else { both.plain.push(row) }
        }
        Ok(both)
    }

    /// Each group with the sum of both versions, in the last column.
    fn sums(self) -> Rows {
        let mut sums: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for row in self.plain.into_iter().chain(self.apart) {
            let key = Value::from(row[..row.len() - 1].to_vec()).to_string();
            match sums.get_mut(&key).and_then(|row| row.last_mut()) {
                Some(sum) => *sum = added(sum, row.last().unwrap_or(&Value::Null)),
                None => drop(sums.insert(key, row)),
            }
        }
        ordered(sums.into_values().collect())
    }
}

/// Nulls don't add.
fn added(one: &Value, other: &Value) -> Value {
    match (one.as_i64(), other.as_i64()) {
        (Some(one), Some(other)) => (one + other).into(),
        (None, _) => other.clone(),
        (_, None) => one.clone(),
    }
}

/// Waits until what both versions summed is together what is expected: each record is counted by one of them, once.
pub fn await_sums(tables: &Tables, metric: &Metric, expected: &Rows) -> Apart {
    eventually(&format!("{} adds up to the oracle's", metric.table), PATIENCE, || {
        let sums = Apart::of(tables, metric)?.sums();
        if sums == *expected { Apart::of(tables, metric) } else { Err(format!("{sums:?}, expected {expected:?}")) }
    })
}

/// Waits until every expected row is there from either version, and no other row but those that one of the two wrote before the
/// other one met their key again: `key` columns identify a row.
pub fn await_rows_of_either(tables: &Tables, metric: &Metric, key: usize, expected: &Rows) -> Apart {
    let text = |row: &[Value]| Value::from(row.to_vec()).to_string();
    let rows: BTreeSet<String> = expected.iter().map(|row| text(row)).collect();
    let keys: BTreeSet<String> = expected.iter().map(|row| text(&row[..key])).collect();
    eventually(&format!("{} has the oracle's rows", metric.table), PATIENCE, || {
        let both = Apart::of(tables, metric)?;
        let found = || both.plain.iter().chain(&both.apart);
        let there: BTreeSet<String> = found().map(|row| text(row)).collect();
        let missing: Vec<&String> = rows.difference(&there).take(SHOWN).collect();
        let wrong: Vec<_> = found().filter(|row| !keys.contains(&text(&row[..key]))).take(SHOWN).collect();
        match (missing.is_empty(), wrong.is_empty()) {
            (true, true) => Ok(both),
            _ => Err(format!("missing, among others: {missing:#?}; wrong, among others: {wrong:#?}")),
        }
    })
}
