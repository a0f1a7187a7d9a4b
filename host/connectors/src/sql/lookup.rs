//! A lookup's statements and answers, and whether a table can answer it.
//!
//! Keys are the same only if their texts are: what the table takes for equal besides (`a` and `A`, `1` and `01`) is compared
//! again here, and left out.

use std::collections::HashMap;
use std::fmt::Display;
use std::time::Duration;

use sluice_core::Kind;
use sluice_core::lookup::LookupError;
use tokio::runtime::Handle;

use super::dialect::Dialect;
use super::table::{Column, Table};
use crate::lookup::{Answer, LookupTable, Unanswered};
use crate::sink::SinkError;

/// Numbers of keys in a statement. A call takes the least that holds its keys, the last one repeated: so a lookup has four
/// statements prepared at most. More keys save nothing, and MariaDB rewrites lists of a thousand.
const SIZES: [usize; 4] = [1, 8, 64, 512];

/// The most keys in a call.
pub(crate) const KEYS_PER_CALL: usize = SIZES[SIZES.len() - 1];

/// The most bytes of an answer that are held: of larger rows fewer are asked for at a time.
pub(crate) const MAX_ANSWER_BYTES: usize = 64 << 20;

/// The longest wait for a call. A lane waits for it, and a stop for the lane.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The answers to a question to this server, which is waited for as long as a call may take. Blocks.
pub(crate) fn answers<E: Into<Unanswered>>(
    runtime: &Handle,
    server: &dyn Display,
    question: impl Future<Output = Result<Vec<Answer>, E>>,
) -> Result<Vec<Answer>, Unanswered> {
    let late = || LookupError::Unavailable(format!("{server} didn't answer within {CALL_TIMEOUT:?}"));
    match runtime.block_on(async { tokio::time::timeout(CALL_TIMEOUT, question).await }) {
        Ok(answers) => answers.map_err(Into::into),
        Err(_) => Err(late().into()),
    }
}

/// Type of a key's column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyType {
    Integer,
    Text,
    Binary,
}

/// A key as a statement binds it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum KeyValue<'a> {
    Signed(i64),
    Unsigned(u64),
    Text(&'a str),
    Binary(&'a [u8]),
}

impl KeyType {
    /// The value of a key; none if no row of such a column has it.
    fn value(self, key: &[u8]) -> Option<KeyValue<'_>> {
        let text = || std::str::from_utf8(key).ok();
        match self {
            KeyType::Binary => Some(KeyValue::Binary(key)),
            KeyType::Text => text().map(KeyValue::Text),
            KeyType::Integer => {
                let text = text()?;
                let signed = text.parse::<i64>().ok().filter(|number| number.to_string() == text);
                let unsigned = || text.parse::<u64>().ok().filter(|number| number.to_string() == text);
                signed.map(KeyValue::Signed).or_else(|| unsigned().map(KeyValue::Unsigned))
            }
        }
    }

    /// The values of those keys that a row can have, repeated to the size of a statement.
    pub(crate) fn values<'a>(self, keys: &[&'a [u8]]) -> Vec<KeyValue<'a>> {
        let mut values: Vec<_> = keys.iter().filter_map(|key| self.value(key)).collect();
        if let Some(last) = values.last().copied() {
            let size = SIZES.into_iter().find(|size| *size >= values.len());
            values.resize(size.unwrap_or(values.len()), last);
        }
        values
    }
}

/// The words of a database: how it calls itself in messages, and what it reads of a column.
pub(crate) struct Reads {
    pub(crate) dialect: Dialect,
    /// The type of a key in this column, if it can be one.
    pub(crate) key: fn(&Column) -> Option<KeyType>,
    /// The kinds that the column can be read as.
    pub(crate) kinds: fn(&Column) -> Vec<Kind>,
}

impl Reads {
    /// The columns of the table that answer the lookup, with the key's before them; else every problem.
    pub(crate) fn check<'a>(
        &self,
        what: &LookupTable,
        table: &'a Table,
    ) -> Result<(KeyType, &'a Column, Vec<&'a Column>), Vec<String>> {
        let mut problems = Vec::new();
        let mut named = |name: &str| {
            let column = table.column(name);
            if column.is_none() {
                problems.push(missing(what, table, name));
            }
            column
        };
        let key = named(&what.key.column);
        let columns: Vec<_> = what.columns.iter().filter_map(|column| named(&column.name)).collect();
        problems.extend(key.and_then(|key| self.key_problem(what, table, key)));
        for (asked, column) in what.columns.iter().filter_map(|asked| Some((asked, table.column(&asked.name)?))) {
            problems.extend(self.kind_problem(what, column, asked.kind));
        }
        match key.and_then(|key| Some(((self.key)(key)?, key))) {
            Some((of, key)) if problems.is_empty() => Ok((of, key, columns)),
            _ => Err(problems),
        }
    }

    fn key_problem(&self, what: &LookupTable, table: &Table, key: &Column) -> Option<String> {
        let (of, name) = (&what.table, &key.name);
        if (self.key)(key).is_none() {
            let declared = &key.declared;
            return Some(format!(
                "`{name}` of `{of}` is {declared}, and a key is an integer, a text or bytes: name another"
            ));
        }
        let alone = |columns: &[String]| matches!(columns, [only] if only.eq_ignore_ascii_case(name));
        let is_unique = table.unique.iter().any(|index| index.whole && alone(&index.columns));
        let (quoted, table) = (self.dialect.quote(name), self.dialect.quote_table(of));
        (!is_unique).then(|| {
            format!(
                "several rows of `{of}` may have the same `{name}`, as no primary key or unique index is of it alone: run \
                 CREATE UNIQUE INDEX {} ON {table} ({quoted}), or name another key",
                self.dialect.quote(&format!("one_{name}"))
            )
        })
    }

    fn kind_problem(&self, what: &LookupTable, column: &Column, kind: Kind) -> Option<String> {
        let kinds = (self.kinds)(column);
        let (of, Column { name, declared, .. }) = (&what.table, column);
        if kinds.iter().any(|other| other.is_like(kind)) {
            return None;
        }
        let named: Vec<_> = kinds.iter().map(|kind| kind.spelling()).collect();
        Some(if named.is_empty() {
            format!("`{name}` of `{of}` is {declared}, which no kind is read from: leave it out")
        } else {
            format!(
                "`{name}` of `{of}` is {declared}, which isn't read as {kind}: let its kind be {}",
                named.join(" or ")
            )
        })
    }
}

fn missing(what: &LookupTable, table: &Table, name: &str) -> String {
    let columns: Vec<_> = table.columns.iter().map(|column| column.name.as_str()).collect();
    format!("`{}` has no column `{name}` that this user may read; it has {}", what.table, columns.join(", "))
}

/// The statement for so many keys. Names are qualified: SQLite takes a quoted name without a table, of which there is no column,
/// for a text.
pub(crate) fn select(dialect: Dialect, what: &LookupTable, key: &str, columns: &[String], keys: usize) -> String {
    let marks = vec!["?"; keys].join(", ");
    format!(
        "SELECT {key}, {} FROM {} AS t WHERE {} IN ({marks}) LIMIT {}",
        columns.join(", "),
        dialect.quote_table(&what.table),
        qualified(dialect, &what.key.column),
        keys + 1
    )
}

/// The column's name with its table's.
pub(crate) fn qualified(dialect: Dialect, column: &str) -> String {
    format!("t.{}", dialect.quote(column))
}

/// The rows of a call.
pub(crate) struct Answers {
    by_key: HashMap<Box<[u8]>, Answer, foldhash::fast::RandomState>,
    bytes: usize,
    rows: usize,
    most: usize,
}

impl Answers {
    /// Expects the rows of so many keys.
    pub(crate) fn of(keys: usize) -> Answers {
        Answers { by_key: HashMap::default(), bytes: 0, rows: 0, most: keys }
    }

    /// Takes a row.
    ///
    /// # Errors
    /// There are more than can be held, or than a unique key has.
    pub(crate) fn add(&mut self, what: &LookupTable, key: &[u8], answer: Answer) -> Result<(), Unanswered> {
        self.rows += 1;
        self.bytes += answer.bytes();
        if self.bytes > MAX_ANSWER_BYTES {
            return Err(Unanswered::TooLarge(format!("its rows are more than {} MiB", MAX_ANSWER_BYTES >> 20)));
        }
        if self.rows > self.most {
            return Err(LookupError::Unusable(format!(
                "`{}` has several rows of one `{}`: make it unique again",
                what.table, what.key.column
            ))
            .into());
        }
        let twice = format!("several rows of `{}` have this `{}`: make it unique again", what.table, what.key.column);
        let before = self.by_key.insert(key.into(), answer);
        if before.is_some() {
            self.by_key.insert(key.into(), Answer::Unfit(twice.into()));
        }
        Ok(())
    }

    /// The answers in the order of the keys.
    pub(crate) fn in_order(mut self, keys: &[&[u8]]) -> Vec<Answer> {
        keys.iter().map(|key| self.by_key.remove(*key).unwrap_or(Answer::Absent)).collect()
    }
}

/// The reason of a row that isn't what was asked for.
pub(crate) fn unfit(what: &LookupTable, key: &[u8], column: &str, why: &str) -> String {
    format!("`{column}` of `{}`, row {:?}, {why}: correct it", what.table, String::from_utf8_lossy(key))
}

/// An error of the database as a lookup's.
pub(crate) fn lookup_error(error: SinkError) -> LookupError {
    match error {
        SinkError::Unavailable(words) | SinkError::Replaced(words) => LookupError::Unavailable(words),
        SinkError::Unusable(_) | SinkError::Rows(_) | SinkError::Mismatch(_) => {
            LookupError::Unusable(error.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_an_integer_is_only_the_text_of_that_integer() {
        let value = |text: &'static str| KeyType::Integer.value(text.as_bytes());
        assert_eq!(value("-7"), Some(KeyValue::Signed(-7)));
        assert_eq!(value("18446744073709551615"), Some(KeyValue::Unsigned(u64::MAX)));
        for text in ["07", "+7", "7 ", " 7", "7a", "7.0", "", "-0", "18446744073709551616"] {
            assert_eq!(value(text), None, "{text}");
        }
    }

    #[test]
    fn keys_are_filled_up_to_one_of_a_few_sizes() {
        for (keys, size) in [(0, 0), (1, 1), (2, 8), (8, 8), (9, 64), (65, 512), (512, 512)] {
            let texts: Vec<_> = (0..keys).map(|key| key.to_string()).collect();
            let keys: Vec<_> = texts.iter().map(String::as_bytes).collect();
            let values = KeyType::Text.values(&keys);
            assert_eq!(values.len(), size);
            assert!(values.iter().skip(keys.len()).all(|value| Some(value) == values.get(keys.len() - 1)));
        }
    }

    #[test]
    fn names_cant_end_their_quotes() {
        let what = LookupTable::new("t`; DROP TABLE x; --", "k` = 1 OR `1", [("c", Kind::Utf8)]);
        let sql = select(Dialect::Mysql, &what, "t.`k`", &["t.`c`".to_owned()], 2);
        let expected =
            "SELECT t.`k`, t.`c` FROM `t``; DROP TABLE x; --` AS t WHERE t.`k`` = 1 OR ``1` IN (?, ?) LIMIT 3";
        assert_eq!(sql, expected);
    }
}
