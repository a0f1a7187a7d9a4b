//! A table as its server describes it.

use sluice_core::Kind;

use crate::sink::Constraint;

/// Table, with the facts that matter for a sink.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    /// The columns in the table's order.
    pub(crate) columns: Vec<Column>,
    /// Unique indexes, with the primary key.
    pub(crate) unique: Vec<UniqueIndex>,
}

/// Column, with the values that may be written into it.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// Type of the column, as the server shows it.
    pub(crate) declared: String,
    /// Kinds that the column accepts.
    pub(crate) kinds: &'static [Kind],
    /// Kind whose values the column may round, and the type that would keep them exactly.
    pub(crate) rounds: Option<(Kind, &'static str)>,
    /// Values that the column accepts, of any kind.
    pub(crate) takes: Constraint,
    /// True if a row may be inserted without the column: it has a default, counts by itself, or is null then.
    pub(crate) optional: bool,
    /// True if the server counts the column up, so that two inserts never clash in it.
    pub(crate) counts: bool,
    /// True if the server computes the column and refuses values for it.
    pub(crate) generated: bool,
}

impl Column {
    /// The constraint that it puts on values of this kind.
    pub(crate) fn constraint(&self, kind: Kind) -> Constraint {
        let sized = matches!(kind, Kind::Utf8 | Kind::Binary);
        Constraint {
            nullable: self.takes.nullable,
            range: self.takes.range.filter(|_| kind == Kind::Int64),
            floats: self.takes.floats.filter(|_| kind == Kind::Float64),
            max_chars: self.takes.max_chars.filter(|_| sized),
            max_char: self.takes.max_char.filter(|_| kind == Kind::Utf8),
            end_space: self.takes.end_space || kind != Kind::Utf8,
            min_bytes: self.takes.min_bytes.filter(|_| kind == Kind::Binary),
            max_bytes: self.takes.max_bytes.filter(|_| sized),
            times: self.takes.times.filter(|_| kind == Kind::Timestamp),
        }
    }
}

/// Columns of which no two rows have the same values.
#[derive(Debug, Clone)]
pub(crate) struct UniqueIndex {
    pub(crate) name: String,
    pub(crate) primary: bool,
    pub(crate) columns: Vec<String>,
    /// True if the index covers every row by the whole values of its columns: not by a prefix or an expression, and not only some
    /// rows.
    pub(crate) whole: bool,
    /// Columns in which the index takes different texts for the same.
    pub(crate) alike: Vec<Alike>,
}

/// A column of an index whose collation takes texts for the same that differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Alike {
    pub(crate) column: String,
    pub(crate) collation: String,
    /// True if the keys differ only in spaces at the end.
    pub(crate) by_padding: bool,
}

impl Table {
    /// The column of this name; both databases ignore its case.
    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
    }
}
