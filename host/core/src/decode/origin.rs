//! Origins of a source's columns.

use super::path::Path;
use crate::schema::{Field, Kind};

/// A column that a pipeline's source declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceColumn {
    /// Name and kind in the batch.
    pub field: Field,
    /// Origin of the column's values.
    pub origin: Origin,
}

/// Origin of a source column's values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The field of this name in the row.
    Field(String),
    /// Value at this path from the row's object.
    Within(Path),
    /// Value at this path from the record's object.
    Path(Path),
    /// The topic's name.
    Topic,
    /// The partition's number.
    Partition,
    /// The record's offset.
    Offset,
    /// Time when the record was made, UTC; null where the source doesn't know.
    Timestamp,
    /// The record's key; null where it has none.
    Key,
}

impl Origin {
    /// Returns true if this is a fact of the record itself, whatever its format.
    pub fn is_fact(&self) -> bool {
        !matches!(self, Origin::Field(_) | Origin::Within(_) | Origin::Path(_))
    }

    /// The kinds that a column from here can have.
    pub fn kinds(&self) -> &'static [Kind] {
        match self {
            Origin::Field(_) | Origin::Within(_) | Origin::Path(_) => &Kind::ALL,
            Origin::Topic => &[Kind::Utf8],
            Origin::Partition | Origin::Offset => &[Kind::Int64],
            Origin::Timestamp => &[Kind::Timestamp],
            Origin::Key => &[Kind::Utf8, Kind::Binary],
        }
    }
}
