//! Kinds that MySQL's columns are read as.

use sluice_core::{Decimal, Kind};

use crate::sql::lookup::{KeyType, Reads, qualified};
use crate::sql::{Column, Dialect};

/// The types of MySQL and MariaDB, for lookups.
pub(super) const READS: Reads = Reads { dialect: Dialect::Mysql, key: key_type, kinds };

/// Sorts of types, of which values are read alike.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    Integer,
    Bit,
    Float,
    Decimal,
    Text,
    Binary,
    Time,
    Date,
    /// Values that have one text each.
    Word,
    Other,
}

fn sort(column: &Column) -> Sort {
    let declared = column.declared.to_ascii_lowercase();
    match declared.split(['(', ' ']).next().unwrap_or_default() {
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" => Sort::Integer,
        "bit" => Sort::Bit,
        "float" | "double" => Sort::Float,
        "decimal" => Sort::Decimal,
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "json" => Sort::Text,
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => Sort::Binary,
        "datetime" | "timestamp" => Sort::Time,
        "date" => Sort::Date,
        "enum" | "set" | "time" | "year" | "uuid" | "inet4" | "inet6" => Sort::Word,
        _ => Sort::Other,
    }
}

/// Returns true if the column has no negative numbers.
pub(super) fn is_unsigned(column: &Column) -> bool {
    column.declared.to_ascii_lowercase().contains("unsigned")
}

fn key_type(column: &Column) -> Option<KeyType> {
    match sort(column) {
        Sort::Integer => Some(KeyType::Integer),
        Sort::Text => Some(KeyType::Text),
        Sort::Binary => Some(KeyType::Binary),
        _ => None,
    }
}

fn kinds(column: &Column) -> Vec<Kind> {
    match sort(column) {
        Sort::Integer => vec![Kind::Int64, Kind::Boolean, Kind::Utf8],
        Sort::Bit => vec![Kind::Boolean],
        Sort::Float => vec![Kind::Float64],
        Sort::Decimal => vec![Kind::Decimal(Decimal::USUAL), Kind::Utf8, Kind::Float64],
        Sort::Text | Sort::Binary => vec![Kind::Utf8, Kind::Binary],
        Sort::Time => vec![Kind::Timestamp, Kind::Utf8],
        Sort::Date => vec![Kind::Date, Kind::Utf8],
        Sort::Word => vec![Kind::Utf8],
        Sort::Other => Vec::new(),
    }
}

/// The key as its text: of an integer without the zeros that `ZEROFILL` shows.
pub(super) fn key(column: &Column, of: KeyType) -> String {
    let name = qualified(Dialect::Mysql, &column.name);
    if of == KeyType::Integer { format!("CAST({name} + 0 AS CHAR)") } else { name }
}

/// The column as its values are asked for, to be read as this kind.
pub(super) fn value(column: &Column, kind: Kind) -> String {
    let name = qualified(Dialect::Mysql, &column.name);
    match (kind, sort(column)) {
        (Kind::Boolean, _) => format!("CAST({name} AS SIGNED)"),
        (Kind::Float64, _) => format!("{name} + 0E0"),
        (Kind::Utf8, Sort::Integer | Sort::Decimal | Sort::Time | Sort::Date | Sort::Word)
        | (Kind::Decimal(_) | Kind::Date, _) => format!("CAST({name} AS CHAR)"),
        _ => name,
    }
}
