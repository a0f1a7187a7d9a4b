//! A JSON value into a value of a column's kind.
//!
//! The rules are those of Flink's JSON format where it is exact, and refuse where it would change the value: a text of
//! decimal digits is a number, a number is a text as it was written, but 1.5 is no int64.

use std::fmt;
use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Float64Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};

use super::scan::Slot;
use crate::schema::Kind;
use crate::time;

/// How much of a value a message shows.
const SHOWN: usize = 64;

/// Why a value can't become its column's kind.
#[derive(Debug)]
pub(super) struct ValueError(pub(super) String);

/// A column that grows.
#[derive(Debug)]
pub(super) struct Builder {
    column: Column,
    /// The text of the row in hand, where it had escapes.
    unescaped: String,
    /// The number of the row in hand, where it took work to get.
    staged: Staged,
}

#[derive(Debug)]
enum Column {
    Boolean(BooleanBuilder),
    Int64(Int64Builder),
    Float64(Float64Builder),
    Utf8(StringBuilder),
    Binary(BinaryBuilder),
    Timestamp(TimestampMicrosecondBuilder),
}

/// A value that is known to fit.
#[derive(Debug, Clone, Copy)]
enum Staged {
    Null,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    /// The slot's bytes as they are.
    Raw,
    Unescaped,
}

impl Builder {
    pub(super) fn new(kind: Kind) -> Builder {
        let column = match kind {
            Kind::Boolean => Column::Boolean(BooleanBuilder::new()),
            Kind::Int64 => Column::Int64(Int64Builder::new()),
            Kind::Float64 => Column::Float64(Float64Builder::new()),
            Kind::Utf8 => Column::Utf8(StringBuilder::new()),
            Kind::Binary => Column::Binary(BinaryBuilder::new()),
            Kind::Timestamp => Column::Timestamp(TimestampMicrosecondBuilder::new()),
        };
        Builder { column, unescaped: String::new(), staged: Staged::Null }
    }

    pub(super) fn is_text(&self) -> bool {
        matches!(self.column, Column::Utf8(_))
    }

    /// Converts the value and keeps it until [`Builder::append_checked`].
    #[inline]
    pub(super) fn stage(&mut self, json: &[u8], slot: &Slot) -> Result<(), ValueError> {
        self.staged = match (&self.column, slot) {
            (_, Slot::Missing | Slot::Null) => Staged::Null,
            (Column::Int64(_), Slot::Integer(value, _)) => Staged::Integer(*value),
            (Column::Utf8(_) | Column::Binary(_), Slot::Text { span, escaped: true }) => {
                self.unescaped = unescape(span.quoted(json))?;
                Staged::Unescaped
            }
            (Column::Utf8(_) | Column::Binary(_), _) => Staged::Raw,
            (column, slot) => column.convert(json, slot)?,
        };
        Ok(())
    }

    /// Appends what was staged; null where the slot has become null since.
    #[inline]
    pub(super) fn append_checked(&mut self, json: &[u8], slot: &Slot) {
        let staged = if matches!(slot, Slot::Null) { Staged::Null } else { self.staged };
        match staged {
            Staged::Null => self.append_null(),
            Staged::Integer(value) => self.append_number(Some(value)),
            Staged::Raw => match &mut self.column {
                Column::Utf8(column) => append_str(column, raw(json, slot)),
                Column::Binary(column) => column.append_value(raw(json, slot)),
                _ => self.append_null(),
            },
            Staged::Unescaped => match &mut self.column {
                Column::Utf8(column) => column.append_value(&self.unescaped),
                Column::Binary(column) => column.append_value(&self.unescaped),
                _ => self.append_null(),
            },
            Staged::Boolean(value) => match &mut self.column {
                Column::Boolean(column) => column.append_value(value),
                _ => self.append_null(),
            },
            Staged::Float(value) => match &mut self.column {
                Column::Float64(column) => column.append_value(value),
                _ => self.append_null(),
            },
        }
    }

    /// Appends to a column of int64 or timestamp.
    #[inline]
    pub(super) fn append_number(&mut self, value: Option<i64>) {
        match &mut self.column {
            Column::Int64(column) => column.append_option(value),
            Column::Timestamp(column) => column.append_option(value),
            _ => self.append_null(),
        }
    }

    /// Appends bytes to a column of text (null where they are no UTF-8) or binary.
    pub(super) fn append_text(&mut self, bytes: Option<&[u8]>) {
        match (&mut self.column, bytes) {
            (Column::Utf8(column), Some(bytes)) => append_str(column, bytes),
            (Column::Binary(column), Some(bytes)) => column.append_value(bytes),
            _ => self.append_null(),
        }
    }

    fn append_null(&mut self) {
        match &mut self.column {
            Column::Boolean(column) => column.append_null(),
            Column::Int64(column) => column.append_null(),
            Column::Float64(column) => column.append_null(),
            Column::Utf8(column) => column.append_null(),
            Column::Binary(column) => column.append_null(),
            Column::Timestamp(column) => column.append_null(),
        }
    }

    /// The column so far; the next one starts empty.
    pub(super) fn finish(&mut self) -> ArrayRef {
        match &mut self.column {
            Column::Boolean(column) => Arc::new(column.finish()),
            Column::Int64(column) => Arc::new(column.finish()),
            Column::Float64(column) => Arc::new(column.finish()),
            Column::Utf8(column) => Arc::new(column.finish()),
            Column::Binary(column) => Arc::new(column.finish()),
            Column::Timestamp(column) => Arc::new(column.finish()),
        }
    }
}

impl Column {
    /// The cases that aren't one step: numbers out of texts, truth values, times.
    fn convert(&self, json: &[u8], slot: &Slot) -> Result<Staged, ValueError> {
        let text = text_of(json, slot);
        let staged = match self {
            Column::Boolean(_) => match (slot, &text) {
                (Slot::Boolean(value), _) => Some(Staged::Boolean(*value)),
                (_, Some(text)) => truth(text.trim()).map(Staged::Boolean),
                _ => None,
            },
            Column::Int64(_) => text.as_deref().and_then(|text| text.trim().parse().ok()).map(Staged::Integer),
            Column::Float64(_) => {
                number_of(json, slot).or(text).and_then(|text| finite(text.trim())).map(Staged::Float)
            }
            Column::Timestamp(_) => text.as_deref().and_then(time::parse).map(Staged::Integer),
            Column::Utf8(_) | Column::Binary(_) => Some(Staged::Raw),
        };
        staged.ok_or_else(|| self.mismatch(json, slot))
    }

    fn mismatch(&self, json: &[u8], slot: &Slot) -> ValueError {
        let wanted = match self {
            Column::Boolean(_) => "a boolean",
            Column::Int64(_) => "an int64",
            Column::Float64(_) => "a float64",
            Column::Utf8(_) => "a text",
            Column::Binary(_) => "bytes",
            Column::Timestamp(_) => "a timestamp (YYYY-MM-DD HH:MM:SS[.fraction])",
        };
        ValueError(format!("{} is not {wanted}", shown(json, slot)))
    }
}

fn append_str(column: &mut StringBuilder, bytes: &[u8]) {
    // Records were checked to be UTF-8 as a whole; keys weren't.
    match std::str::from_utf8(bytes) {
        Ok(text) => column.append_value(text),
        Err(_) => column.append_null(),
    }
}

/// The value's bytes as they stand in the record, without quotes.
fn raw<'a>(json: &'a [u8], slot: &Slot) -> &'a [u8] {
    match slot {
        Slot::Text { span, .. } | Slot::Integer(_, span) | Slot::Number(span) | Slot::Nested(span) => span.of(json),
        Slot::Boolean(true) => b"true",
        Slot::Boolean(false) => b"false",
        Slot::Missing | Slot::Null => b"",
    }
}

fn text_of(json: &[u8], slot: &Slot) -> Option<String> {
    match slot {
        Slot::Text { span, escaped: true } => unescape(span.quoted(json)).ok(),
        Slot::Text { span, .. } => std::str::from_utf8(span.of(json)).ok().map(str::to_owned),
        _ => None,
    }
}

fn number_of(json: &[u8], slot: &Slot) -> Option<String> {
    match slot {
        Slot::Integer(_, span) | Slot::Number(span) => std::str::from_utf8(span.of(json)).ok().map(str::to_owned),
        _ => None,
    }
}

fn unescape(quoted: &[u8]) -> Result<String, ValueError> {
    serde_json::from_slice(quoted).map_err(|e| ValueError(format!("the text can't be read: {e}")))
}

fn truth(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

/// The value as a message shows it.
fn shown(json: &[u8], slot: &Slot) -> impl fmt::Display {
    let bytes = raw(json, slot);
    let cut = &bytes[..bytes.len().min(SHOWN)];
    let quote = if matches!(slot, Slot::Text { .. }) { "\"" } else { "" };
    let more = if cut.len() < bytes.len() { "…" } else { "" };
    format!("{quote}{}{more}{quote}", String::from_utf8_lossy(cut))
}
