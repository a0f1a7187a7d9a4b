//! SQLite's columns, and the kinds that they keep as they were written.
//!
//! A column has an affinity, which its declared type's name decides (<https://www.sqlite.org/datatype3.html> §3.1): it
//! turns values into that type if it can, `'007'` into 7. So a column takes the kinds that its affinity leaves alone.

use sluice_core::{Decimal, Kind};

/// The kinds that a column of this declared type takes. In a table that isn't `STRICT` the word `ANY` means a number, if it can be
/// one.
pub(super) fn kinds(declared: &str, strict: bool) -> &'static [Kind] {
    let name = declared.to_ascii_uppercase();
    let has = |part: &str| name.contains(part);
    if has("INT") {
        &[Kind::Int64, Kind::Boolean]
    } else if has("CHAR") || has("CLOB") || has("TEXT") {
        &[Kind::Utf8, Kind::Timestamp, Kind::Date, Kind::Decimal(Decimal::USUAL)]
    } else if name.is_empty() || has("BLOB") || (strict && name == "ANY") {
        &Kind::ALL
    } else if has("REAL") || has("FLOA") || has("DOUB") {
        &[Kind::Float64]
    } else {
        // NUMERIC: DECIMAL, BOOLEAN, DATETIME. A time's text isn't a number, so it stays a text. A decimal's would become a float.
        &[Kind::Int64, Kind::Float64, Kind::Boolean, Kind::Timestamp, Kind::Date]
    }
}
