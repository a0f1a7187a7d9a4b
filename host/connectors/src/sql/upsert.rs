//! The statements that write rows, and how rows are cut into them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::dialect::Dialect;
use super::plan::UpsertPlan;
use super::values::Values;

/// The most bytes of a statement of more than one row, unless the server takes less. Fewer: more statements for rows with
/// large texts. More: a larger copy is made, and gains nothing.
const MAX_STATEMENT_BYTES: usize = 2 << 20;

/// The most bytes that a value takes in a statement beside its own: its length or a time's fields, its type, its null bit.
const VALUE_OVERHEAD: usize = 12;

/// The bytes that a statement has beside its values: which it is, and its options.
const STATEMENT_OVERHEAD: usize = 64;

/// `INSERT`s that replace the row with the same key; without a key they add rows.
///
/// A statement has the most rows that are allowed, or a power of two: few distinct texts, so that each is prepared once
/// and stays in the connection's cache.
#[derive(Debug)]
pub(crate) struct Upsert {
    head: String,
    row: String,
    tail: String,
    max_rows: usize,
    max_bytes: usize,
    /// The texts by rows; at most one for each power of two and one for `max_rows`.
    texts: BTreeMap<usize, Arc<str>>,
}

impl Upsert {
    /// The statements of a plan, of at most `max_rows` each and with at most `max_binds` placeholders.
    pub(crate) fn new(plan: &UpsertPlan, max_rows: usize, max_binds: usize) -> Upsert {
        let columns = plan.dialect.quote_all(plan.fields.iter().map(|field| field.name.as_str()));
        let row = format!("({})", vec!["?"; plan.fields.len()].join(","));
        Upsert {
            head: format!("INSERT INTO {} ({columns}) VALUES ", plan.table()),
            row,
            tail: on_conflict(plan),
            max_rows: max_rows.min(max_binds / plan.fields.len().max(1)).max(1),
            max_bytes: MAX_STATEMENT_BYTES,
            texts: BTreeMap::new(),
        }
    }

    /// Sets the server's limit: from now on a statement of several rows, its text and its values each, has no more bytes than it takes.
    pub(crate) fn set_server_limit(&mut self, bytes: usize) {
        self.max_bytes = bytes.min(MAX_STATEMENT_BYTES);
    }

    /// Returns the statement for this number of rows.
    pub(crate) fn text(&mut self, rows: usize) -> Arc<str> {
        let (head, row, tail) = (&self.head, &self.row, &self.tail);
        let text = self.texts.entry(rows).or_insert_with(|| {
            let values = vec![row.as_str(); rows].join(",");
            format!("{head}{values}{tail}").into()
        });
        Arc::clone(text)
    }

    /// The next rows that make a statement, from `start` on; none when all `rows` were written.
    pub(crate) fn next_chunk(&self, values: &[Values<'_>], start: usize, rows: usize) -> Option<Range<usize>> {
        let left = rows.checked_sub(start).filter(|left| *left > 0)?;
        let mut size = if left >= self.max_rows { self.max_rows } else { power_of_two(left) };
        let fits = |size| self.text_bytes(size).max(statement_bytes(values, start..start + size)) <= self.max_bytes;
        while size > 1 && !fits(size) {
            size = power_of_two(size - 1);
        }
        Some(start..start + size)
    }

    /// Returns the length of the statement for this number of rows.
    fn text_bytes(&self, rows: usize) -> usize {
        self.head.len() + rows * (self.row.len() + 1) + self.tail.len()
    }
}

/// The largest power of two that is not above `n`, which is 1 or more.
pub(super) fn power_of_two(n: usize) -> usize {
    1 << n.max(1).ilog2()
}

/// The most bytes that these rows take as a statement's values.
pub(crate) fn statement_bytes(values: &[Values<'_>], rows: Range<usize>) -> usize {
    let overhead = STATEMENT_OVERHEAD + values.len() * rows.len() * VALUE_OVERHEAD;
    overhead + values.iter().map(|column| column.bytes(rows.clone())).sum::<usize>()
}

/// The clause that says what happens to a row whose key is there.
fn on_conflict(plan: &UpsertPlan) -> String {
    if plan.target.key.is_empty() {
        return String::new();
    }
    let quote = |name: &str| plan.dialect.quote(name);
    let rest = plan.fields.iter().map(|field| field.name.as_str()).filter(|name| !plan.is_key(name));
    let set: Vec<_> = rest.map(quote).collect();
    match plan.dialect {
        Dialect::Mysql if set.is_empty() => {
            let any = quote(&plan.target.key[0]);
            format!(" ON DUPLICATE KEY UPDATE {any}={any}")
        }
        // MariaDB has no other name for the new row; MySQL 8 warns about this one and takes it.
        Dialect::Mysql => {
            let set: Vec<_> = set.iter().map(|column| format!("{column}=VALUES({column})")).collect();
            format!(" ON DUPLICATE KEY UPDATE {}", set.join(","))
        }
        Dialect::Sqlite if set.is_empty() => format!(" ON CONFLICT ({}) DO NOTHING", plan.key_list()),
        Dialect::Sqlite => {
            let set: Vec<_> = set.iter().map(|column| format!("{column}=excluded.{column}")).collect();
            format!(" ON CONFLICT ({}) DO UPDATE SET {}", plan.key_list(), set.join(","))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use arrow_array::{ArrayRef, StringArray};
    use proptest::prelude::*;
    use sluice_core::{Field, Kind};

    use super::*;
    use crate::sink::Target;

    fn plan(dialect: Dialect, columns: &[&str], key: &[&str]) -> UpsertPlan {
        let fields: Vec<_> = columns.iter().map(|name| Field::new(*name, Kind::Int64)).collect();
        let key = key.iter().map(|name| name.to_string()).collect();
        UpsertPlan::new(dialect, &Target { table: "t".into(), key, create: false, ..Target::default() }, &fields)
            .unwrap()
    }

    #[test]
    fn mysql_replaces_every_column_but_the_key() {
        let mut upsert = Upsert::new(&plan(Dialect::Mysql, &["a", "b", "c"], &["a"]), 1000, 65_535);
        assert_eq!(
            &*upsert.text(2),
            "INSERT INTO `t` (`a`, `b`, `c`) VALUES (?,?,?),(?,?,?) ON DUPLICATE KEY UPDATE `b`=VALUES(`b`),`c`=VALUES(`c`)"
        );
    }

    #[test]
    fn sqlite_replaces_every_column_but_the_key() {
        let mut upsert = Upsert::new(&plan(Dialect::Sqlite, &["a", "b"], &["a"]), 1000, 65_535);
        assert_eq!(
            &*upsert.text(1),
            "INSERT INTO \"t\" (\"a\", \"b\") VALUES (?,?) ON CONFLICT (\"a\") DO UPDATE SET \"b\"=excluded.\"b\""
        );
    }

    #[test]
    fn a_row_that_is_all_key_stays_as_it_is() {
        let text = |dialect| Upsert::new(&plan(dialect, &["a"], &["a"]), 1, 10).text(1);
        assert!(text(Dialect::Mysql).ends_with(" ON DUPLICATE KEY UPDATE `a`=`a`"));
        assert!(text(Dialect::Sqlite).ends_with(" ON CONFLICT (\"a\") DO NOTHING"));
    }

    #[test]
    fn rows_without_a_key_are_added() {
        for dialect in [Dialect::Mysql, Dialect::Sqlite] {
            let target = Target { table: "t".into(), key: vec![], create: false, ..Target::default() };
            let plan = UpsertPlan::in_transactions(dialect, &target, &[Field::new("a", Kind::Int64)]).unwrap();
            assert!(Upsert::new(&plan, 1, 10).text(1).ends_with(" VALUES (?)"));
            assert!(!plan.create_table().contains("KEY") && !plan.create_table().contains("ROWID"));
        }
    }

    proptest! {
        #[test]
        fn chunks_cover_all_rows_in_order_within_every_bound(
            lengths in proptest::collection::vec(prop_oneof![9 => 0usize..64, 1 => 0usize..3_000_000], 0..100),
            columns in 1usize..12,
            max_rows in 1usize..200,
        ) {
            let names: Vec<_> = (0..columns).map(|i| format!("c{i}")).collect();
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            let upsert = Upsert::new(&plan(Dialect::Mysql, &names, &["c0"]), max_rows, 500);
            let texts: ArrayRef = Arc::new(StringArray::from_iter_values(lengths.iter().map(|n| "x".repeat(*n))));
            let values = [Values::of(&texts, Kind::Utf8).unwrap()];
            let (mut at, mut sizes) = (0, BTreeSet::new());
            while let Some(chunk) = upsert.next_chunk(&values, at, lengths.len()) {
                prop_assert_eq!(chunk.start, at);
                prop_assert!(!chunk.is_empty() && chunk.len() <= max_rows);
                prop_assert!(chunk.len() == 1 || chunk.len() * columns <= 500);
                prop_assert!(chunk.len() == 1 || lengths[chunk.clone()].iter().sum::<usize>() <= MAX_STATEMENT_BYTES);
                sizes.insert(chunk.len());
                at = chunk.end;
            }
            prop_assert_eq!(at, lengths.len());
            prop_assert!(sizes.len() <= 2 + max_rows.ilog2() as usize);
        }
    }
}
