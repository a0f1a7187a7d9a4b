//! Calls of HBase, and the meaning of their failures.

use std::collections::BTreeMap;

use hbase_thrift::hbase::{THbaseSyncClient, TRowResult};
use sluice_core::lookup::LookupError;

use super::family;
use super::pool::{Fault, Pool};
use crate::lookup::{LookupTable, Unanswered};

/// The most characters of HBase's words that a message repeats: the exception and its reason; a stack trace follows them.
const MAX_WORDS: usize = 300;

/// The exceptions of HBase that somebody must do something about, beside a table that isn't there.
const WRONG: [&str; 4] =
    ["AccessDeniedException", "NoSuchColumnFamilyException", "NamespaceNotFoundException", "IllegalArgumentException"];

/// The rows of these keys that have any of the columns, in any order.
pub(super) fn multi_get(pool: &Pool, what: &LookupTable, keys: &[Vec<u8>]) -> Result<Vec<TRowResult>, Unanswered> {
    let table = &what.table;
    let names: Vec<_> = what.columns.iter().map(|column| column.name.clone().into_bytes()).collect();
    let answer = pool.call(|client| {
        client.get_rows_with_columns(table.as_str().into(), keys.to_vec(), names.clone(), BTreeMap::new())
    });
    match answer {
        // HBase says "failed actions" of a table that isn't there as of a region that moves: ask which.
        Err(Fault::Refused(words)) => {
            check(pool, what)?;
            Err(error(pool, table, Fault::Refused(words)).into())
        }
        Err(Fault::TooLarge(words)) => Err(Unanswered::TooLarge(words)),
        answer => Ok(answer.map_err(|fault| error(pool, table, fault))?),
    }
}

/// Checks that the server answers, and has the table and the columns' families.
pub(super) fn check(pool: &Pool, what: &LookupTable) -> Result<(), LookupError> {
    let table = &what.table;
    let families = pool.call(|client| client.get_column_descriptors(table.as_str().into()));
    let families = families.map_err(|fault| error(pool, table, fault))?;
    // They are listed with the colon: `cf:`.
    let families: Vec<_> =
        families.keys().map(|name| String::from_utf8_lossy(name).trim_end_matches(':').into()).collect();
    let missing: Vec<String> = what
        .columns
        .iter()
        .filter_map(|column| family(&column.name))
        .filter(|family| !families.iter().any(|name: &String| name == family))
        .map(|family| format!("alter '{table}', '{family}'"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(LookupError::Unusable(format!(
        "HBase at {}: `{table}` has the column families {}: name one of them, or run {} in the HBase shell",
        pool.address(),
        families.join(", "),
        missing.join("; ")
    )))
}

fn error(pool: &Pool, table: &str, fault: Fault) -> LookupError {
    let place = format!("HBase at {}", pool.address());
    match fault {
        Fault::Unreachable(words) => {
            LookupError::Unavailable(format!("{place} can't be reached through Thrift: {}", first(&words)))
        }
        Fault::Foreign(words) => LookupError::Unusable(format!(
            "{place} doesn't answer as HBase's Thrift 1 server does ({}): start it with `hbase thrift start`, without \
             -compact, and name its port (9090 unless told otherwise)",
            first(&words)
        )),
        Fault::TooLarge(words) => LookupError::Unusable(format!("{place}, table `{table}`: {}", first(&words))),
        Fault::Refused(words) if WRONG.iter().any(|exception| words.contains(exception)) => {
            LookupError::Unusable(format!("{place} refuses to read `{table}`: {}", first(&words)))
        }
        Fault::Refused(words) if words.contains("TableNotFoundException") => LookupError::Unusable(format!(
            "{place} has no table `{table}`: create it, in the HBase shell, with its families as in create '{table}', 'cf'"
        )),
        Fault::Refused(words) => {
            LookupError::Unavailable(format!("{place} can't read `{table}` now: {}", first(&words)))
        }
    }
}

/// The first line of what somebody else said, at a bearable length.
fn first(words: &str) -> &str {
    let line = words.lines().next().unwrap_or_default();
    line.char_indices().nth(MAX_WORDS).map_or(line, |(end, _)| &line[..end])
}
