//! The types that a column can have, and the columns of a batch.

use std::fmt;
use std::str::FromStr;

use arrow_schema::{DataType, TimeUnit};
use serde::{Deserialize, Serialize};

/// The type of a column. The set is the operator contract's (`wit/types.wit`): each kind is one Arrow type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Arrow `Boolean`.
    Boolean,
    /// Arrow `Int64`.
    Int64,
    /// Arrow `Float64`.
    Float64,
    /// Arrow `Utf8`.
    Utf8,
    /// Arrow `Binary`.
    Binary,
    /// Arrow `Timestamp(Microsecond, None)`: microseconds of wall-clock time since 1970-01-01T00:00:00.
    Timestamp,
}

impl Kind {
    /// Every kind, in the order of the contract.
    pub const ALL: [Kind; 6] = [Kind::Boolean, Kind::Int64, Kind::Float64, Kind::Utf8, Kind::Binary, Kind::Timestamp];

    /// The Arrow type of this kind.
    pub fn data_type(self) -> DataType {
        match self {
            Kind::Boolean => DataType::Boolean,
            Kind::Int64 => DataType::Int64,
            Kind::Float64 => DataType::Float64,
            Kind::Utf8 => DataType::Utf8,
            Kind::Binary => DataType::Binary,
            Kind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        }
    }

    /// The kind whose Arrow type this is, if there is one.
    pub fn of(data_type: &DataType) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.data_type() == *data_type)
    }

    /// The name that configuration files and messages use.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Boolean => "boolean",
            Kind::Int64 => "int64",
            Kind::Float64 => "float64",
            Kind::Utf8 => "utf8",
            Kind::Binary => "binary",
            Kind::Timestamp => "timestamp",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let known: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
            format!("`{name}` is not a kind; the kinds are {}", known.join(", "))
        })
    }
}

/// A column's name and kind. Any column may hold nulls.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Field {
    /// Unique within its batch.
    pub name: String,
    /// The column's type.
    pub kind: Kind,
}

impl Field {
    /// A field of this name and kind.
    pub fn new(name: impl Into<String>, kind: Kind) -> Field {
        Field { name: name.into(), kind }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.kind)
    }
}
