//! The types that a column can have, and the columns of a batch.

use std::fmt;
use std::str::FromStr;

use arrow_schema::{DataType, TimeUnit};
use serde::{Deserialize, Serialize};

use crate::decimal::Decimal;
use crate::time;

/// The type of a column. The set is the operator contract's (`wit/types.wit`): each kind is one Arrow type.
///
/// A line of [`Kind::entry`] has all that the host knows of a kind besides its values' meaning; [`column`](crate::column) has the text
/// of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Kind {
    /// Truth values.
    Boolean,
    /// Integers of 64 bits with a sign.
    Int64,
    /// IEEE 754 floats of 64 bits.
    Float64,
    /// Texts.
    Utf8,
    /// Bytes.
    Binary,
    /// Microseconds of wall-clock time since 1970-01-01T00:00:00.
    Timestamp,
    /// Days since 1970-01-01, of the years 1 to 9999.
    Date,
    /// Numbers of this many digits, as integers of 128 bits.
    Decimal(Decimal),
}

/// The buffers that a kind's values lie in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// A bit for each row.
    Bits,
    /// So many bytes for each row, little-endian.
    Fixed(Width),
    /// Bytes of any length, one after another, and where each row's end.
    Bytes,
}

/// The bytes of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// 4 bytes.
    Four,
    /// 8 bytes.
    Eight,
    /// 16 bytes.
    Sixteen,
}

impl Width {
    /// The number of bytes.
    pub const fn bytes(self) -> usize {
        match self {
            Width::Four => 4,
            Width::Eight => 8,
            Width::Sixteen => 16,
        }
    }
}

/// The line of a kind in the table of kinds.
struct Entry {
    name: &'static str,
    arrow: DataType,
    layout: Layout,
}

impl Kind {
    /// A kind of every name, in the order of the contract. Of those with parameters it is a usual one.
    pub const ALL: [Kind; 8] = [
        Kind::Boolean,
        Kind::Int64,
        Kind::Float64,
        Kind::Utf8,
        Kind::Binary,
        Kind::Timestamp,
        Kind::Date,
        Kind::Decimal(Decimal::USUAL),
    ];

    fn entry(self) -> Entry {
        const FOUR: Layout = Layout::Fixed(Width::Four);
        const EIGHT: Layout = Layout::Fixed(Width::Eight);
        const SIXTEEN: Layout = Layout::Fixed(Width::Sixteen);
        let entry = |name, arrow, layout| Entry { name, arrow, layout };
        match self {
            Kind::Boolean => entry("boolean", DataType::Boolean, Layout::Bits),
            Kind::Int64 => entry("int64", DataType::Int64, EIGHT),
            Kind::Float64 => entry("float64", DataType::Float64, EIGHT),
            Kind::Utf8 => entry("utf8", DataType::Utf8, Layout::Bytes),
            Kind::Binary => entry("binary", DataType::Binary, Layout::Bytes),
            Kind::Timestamp => entry("timestamp", DataType::Timestamp(TimeUnit::Microsecond, None), EIGHT),
            Kind::Date => entry("date", DataType::Date32, FOUR),
            // Arrow's scale may be negative; a decimal's is 38 at most.
            Kind::Decimal(of) => {
                entry("decimal", DataType::Decimal128(of.precision(), of.scale().cast_signed()), SIXTEEN)
            }
        }
    }

    /// The Arrow type of this kind.
    pub fn data_type(self) -> DataType {
        self.entry().arrow
    }

    /// The layout of its values.
    pub fn layout(self) -> Layout {
        self.entry().layout
    }

    /// The least and the greatest value that it can hold, as the integers that their bytes are; none where all bytes are values.
    pub fn bounds(self) -> Option<(i128, i128)> {
        match self {
            Kind::Date => Some((time::DATES.0.into(), time::DATES.1.into())),
            Kind::Decimal(decimal) => Some((-decimal.max(), decimal.max())),
            _ => None,
        }
    }

    /// The kind whose Arrow type this is, if there is one.
    pub fn of(data_type: &DataType) -> Option<Kind> {
        if let DataType::Decimal128(precision, scale) = data_type {
            return Some(Kind::Decimal(Decimal::new(*precision, u8::try_from(*scale).ok()?)?));
        }
        Kind::ALL.into_iter().find(|kind| kind.data_type() == *data_type)
    }

    /// The name that configuration files and messages use, without parameters.
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// Returns true if both have the same name: all decimals are alike.
    pub fn is_like(self, other: Kind) -> bool {
        self.name() == other.name()
    }

    /// Returns true if there are several kinds of its name.
    pub fn has_parameters(self) -> bool {
        matches!(self, Kind::Decimal(_))
    }

    /// The way to write it in configuration files, where a word in capitals stands for a parameter.
    pub fn spelling(self) -> &'static str {
        match self {
            Kind::Decimal(_) => "decimal(PRECISION, SCALE)",
            other => other.name(),
        }
    }

    /// The spellings of all kinds.
    pub fn spellings() -> [&'static str; 8] {
        Kind::ALL.map(Kind::spelling)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Decimal(decimal) => decimal.fmt(f),
            other => f.write_str(other.name()),
        }
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, parameters) = match text.trim().strip_suffix(')').and_then(|text| text.split_once('(')) {
            Some((name, parameters)) => (name.trim(), Some(parameters)),
            None => (text.trim(), None),
        };
        match (Kind::ALL.into_iter().find(|kind| kind.name() == name), parameters) {
            (Some(Kind::Decimal(_)), parameters) => decimal(parameters).map(Kind::Decimal).ok_or_else(|| {
                format!(
                    "`{text}` is no decimal: write decimal(PRECISION, SCALE), with 1 to 38 digits in all and those after the \
                     point, as decimal(18, 2)"
                )
            }),
            (Some(kind), None) => Ok(kind),
            _ => Err(format!("`{text}` is not a kind; the kinds are {}", Kind::spellings().join(", "))),
        }
    }
}

/// The decimal of `18, 2`.
fn decimal(parameters: Option<&str>) -> Option<Decimal> {
    let (precision, scale) = parameters?.split_once(',')?;
    Decimal::new(precision.trim().parse().ok()?, scale.trim().parse().ok()?)
}

impl From<Kind> for String {
    fn from(kind: Kind) -> String {
        kind.to_string()
    }
}

impl TryFrom<String> for Kind {
    type Error = String;

    fn try_from(text: String) -> Result<Kind, String> {
        text.parse()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_known_by_its_arrow_type_and_by_what_is_shown_of_it() {
        for kind in Kind::ALL.into_iter().chain(
            [(1, 0), (1, 1), (38, 0), (38, 38)]
                .map(|(precision, scale)| Kind::Decimal(Decimal::new(precision, scale).unwrap())),
        ) {
            assert_eq!(Kind::of(&kind.data_type()), Some(kind));
            assert_eq!(kind.to_string().parse(), Ok(kind));
            assert_eq!(serde_json::from_value(serde_json::to_value(kind).unwrap()).ok(), Some(kind));
            assert!(kind.is_like(Kind::ALL.into_iter().find(|other| other.name() == kind.name()).unwrap()));
        }
        for (named, kind) in Kind::spellings().into_iter().zip(Kind::ALL) {
            assert!(named.starts_with(kind.name()));
        }
    }

    #[test]
    fn what_is_no_kind_is_refused_with_the_kinds_or_the_form() {
        for text in ["", "int32", "int64()", "int64(8)", "Int64", "decimals(18, 2)"] {
            let refused = text.parse::<Kind>().unwrap_err();
            assert!(refused.contains("decimal(PRECISION, SCALE)") && refused.contains("int64,"), "{refused}");
        }
        for text in ["decimal", "decimal(18)", "decimal(0, 0)", "decimal(39, 2)", "decimal(2, 3)", "decimal(-1, 0)"] {
            let refused = text.parse::<Kind>().unwrap_err();
            assert!(refused.contains("1 to 38 digits"), "{refused}");
        }
        assert_eq!("decimal( 18 ,2 )".parse(), Ok(Kind::Decimal(Decimal::USUAL)));
    }
}
