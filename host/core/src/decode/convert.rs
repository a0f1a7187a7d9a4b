//! A value that a format found into a value of a column's kind.
//!
//! The rules are those of Flink's formats where they are exact, and refuse where it would change the value: `5`, `5.0` and `"5e0"`
//! are the same integer, a number is a text as it was written, but 1.5 is no int64. [`Convert::Flink`] changes what Flink changes.

use std::borrow::Cow;
use std::fmt;

use arrow_array::ArrayRef;
use arrow_array::builder::StringBuilder;

use super::options::{Convert, DecodeOptions, Epoch};
use super::slot::{Escapes, Slot};
use super::text::{self, resolve};
use crate::column::{self, ColumnBuilder, Misread};
use crate::number::{Whole, whole};
use crate::schema::Kind;
use crate::time;

/// Longest part of a value that a message shows.
const SHOWN: usize = 64;

/// Microseconds for which a number without a unit is taken as milliseconds: from 1973 to 5138. Seconds and microseconds of
/// our times are far outside.
const SURELY_MILLISECONDS: std::ops::RangeInclusive<i64> = 100_000_000_000_000..=100_000_000_000_000_000;

/// Reason why a value can't become its column's kind as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unfit {
    /// The value's kind never fits, or its text has another meaning.
    Kind,
    /// The number has a fraction.
    Fraction,
    /// The number is too large or too small.
    Range,
    /// The unit of the number isn't clear.
    Unit,
    /// The text has half of a surrogate pair, which the staged text replaces by another character.
    HalfPair,
    /// The value that should contain this one is not an object.
    Astray,
}

/// Rules for conversions.
#[derive(Debug, Clone, Copy)]
struct Rules {
    convert: Convert,
    epoch: Option<Epoch>,
    /// Name of the format, whose options an advice names.
    format: &'static str,
}

/// A column that grows.
#[derive(Debug)]
pub(super) struct Builder {
    kind: Kind,
    column: ColumnBuilder,
    rules: Rules,
    /// The text of the row in hand, where it had escapes.
    resolved: String,
    /// The number of the row in hand, where it took work to get.
    staged: Staged,
}

/// A value that is known to fit.
#[derive(Debug, Clone, Copy)]
enum Staged {
    Null,
    Boolean(bool),
    /// A value of up to 8 bytes, as the integer that they are.
    Word(i64),
    /// A value of any fixed width, as the integer that its bytes are.
    Wide(i128),
    /// The slot's bytes as they are.
    Raw,
    /// The text whose escapes were resolved.
    Resolved,
}

impl Builder {
    pub(super) fn new(kind: Kind, options: &DecodeOptions) -> Builder {
        let rules = Rules { convert: options.convert, epoch: options.epoch, format: options.format.name() };
        let column = ColumnBuilder::new(kind);
        Builder { kind, column, rules, resolved: String::new(), staged: Staged::Null }
    }

    pub(super) fn is_text(&self) -> bool {
        self.kind == Kind::Utf8
    }

    /// Converts the value and keeps it until [`Builder::append_staged`]; one that is unfit is null then.
    #[inline]
    pub(super) fn stage(&mut self, record: &[u8], slot: &Slot) -> Result<(), Unfit> {
        self.staged = match (self.kind, slot) {
            (_, Slot::Missing | Slot::Null) => Staged::Null,
            (Kind::Int64, Slot::Integer(value, _)) => Staged::Word(*value),
            (Kind::Utf8 | Kind::Binary, Slot::Text { escapes: Escapes::Json | Escapes::Doubled(_), .. }) => {
                return self.stage_resolved(record, slot);
            }
            (_, Slot::Astray) => return self.refuse(Unfit::Astray),
            (Kind::Utf8 | Kind::Binary, _) => Staged::Raw,
            (kind, slot) => match convert(kind, &Scalar::of(record, slot), self.rules) {
                Ok(staged) => staged,
                Err(unfit) => return self.refuse(unfit),
            },
        };
        Ok(())
    }

    fn refuse(&mut self, unfit: Unfit) -> Result<(), Unfit> {
        self.staged = Staged::Null;
        Err(unfit)
    }

    fn stage_resolved(&mut self, record: &[u8], slot: &Slot) -> Result<(), Unfit> {
        let Slot::Text { span, escapes } = slot else { return Ok(()) };
        let instead = if self.rules.convert == Convert::Flink { '?' } else { text::REPLACEMENT };
        let resolved = resolve(span.of(record), *escapes, instead);
        self.resolved = resolved.text;
        self.staged = Staged::Resolved;
        if resolved.replaced { Err(Unfit::HalfPair) } else { Ok(()) }
    }

    /// Returns the reason why a value is unfit, in words that are the same for all such values.
    pub(super) fn reason(&self, slot: &Slot, unfit: Unfit) -> String {
        let (what, wanted) = (slot.what(), wanted(self.kind));
        match unfit {
            Unfit::Kind => format!("{what} is not {wanted}"),
            Unfit::Fraction => format!("a number with {} is not {wanted}", fraction(self.kind)),
            Unfit::Range => format!("a number out of range is not {wanted}"),
            Unfit::Unit => format!("a number whose unit isn't clear is not {wanted}"),
            Unfit::HalfPair => "half a surrogate pair was replaced".to_owned(),
            Unfit::Astray => "it should be in an object or array that isn't there".to_owned(),
        }
    }

    /// Returns the reason why this value is unfit, with advice about it.
    pub(super) fn message(&self, record: &[u8], slot: &Slot, unfit: Unfit) -> String {
        let (value, wanted, format) = (shown(record, slot), wanted(self.kind), self.rules.format);
        match unfit {
            Unfit::Kind => format!("{value} is not {wanted}"),
            Unfit::Fraction => {
                let (fraction, cut) = (fraction(self.kind), cut(self.kind));
                format!("{value} is not {wanted}, since it has {fraction}; `{format}.convert = \"flink\"` would {cut}")
            }
            Unfit::Range => format!("{value} is not {wanted}, since it is out of range"),
            Unfit::Unit => format!(
                "{value} is not {wanted}: say by `{format}.epoch` whether such numbers are seconds, milliseconds, microseconds \
                 or nanoseconds since 1970"
            ),
            Unfit::HalfPair | Unfit::Astray => self.reason(slot, unfit),
        }
    }

    /// Appends the staged value.
    #[inline]
    pub(super) fn append_staged(&mut self, record: &[u8], slot: &Slot) {
        match (self.staged, &mut self.column) {
            (Staged::Word(value), ColumnBuilder::Fixed(column)) => column.append_word(value),
            (Staged::Wide(value), ColumnBuilder::Fixed(column)) => column.append_integer(Some(value)),
            (Staged::Raw, ColumnBuilder::Utf8(column)) => append_str(column, slot.raw(record)),
            (Staged::Raw, ColumnBuilder::Binary(column)) => column.append_value(slot.raw(record)),
            (Staged::Resolved, ColumnBuilder::Utf8(column)) => column.append_value(&self.resolved),
            (Staged::Resolved, ColumnBuilder::Binary(column)) => column.append_value(&self.resolved),
            (Staged::Boolean(value), ColumnBuilder::Bits(column)) => column.append_value(value),
            (_, column) => column.append_null(),
        }
    }

    /// Appends to a column of int64 or timestamp.
    #[inline]
    pub(super) fn append_number(&mut self, value: Option<i64>) {
        match (&mut self.column, value) {
            (ColumnBuilder::Fixed(column), Some(value)) => column.append_word(value),
            (column, _) => column.append_null(),
        }
    }

    /// Appends bytes to a column of text (null where they are no UTF-8) or binary.
    pub(super) fn append_text(&mut self, bytes: Option<&[u8]>) {
        match (&mut self.column, bytes) {
            (ColumnBuilder::Utf8(column), Some(bytes)) => append_str(column, bytes),
            (ColumnBuilder::Binary(column), Some(bytes)) => column.append_value(bytes),
            (column, _) => column.append_null(),
        }
    }

    /// The column so far; the next one starts empty.
    pub(super) fn finish(&mut self) -> ArrayRef {
        self.column.finish()
    }
}

/// Converts values that need more than one step: numbers out of texts, truth values, times.
fn convert(kind: Kind, value: &Scalar<'_>, rules: Rules) -> Result<Staged, Unfit> {
    match kind {
        Kind::Boolean => boolean(value, rules).map(Staged::Boolean),
        Kind::Int64 => int64(value, rules).map(Staged::Word),
        Kind::Float64 => float64(value, rules).map(|value| Staged::Word(value.to_bits().cast_signed())),
        Kind::Timestamp => timestamp(value, rules).map(Staged::Word),
        Kind::Utf8 | Kind::Binary => Ok(Staged::Raw),
        kind => fixed(kind, value, rules).map(Staged::Wide),
    }
}

/// The part of a number that the kind has no place for.
fn fraction(kind: Kind) -> &'static str {
    match kind {
        Kind::Decimal(_) => "more digits after the point",
        _ => "a fraction",
    }
}

/// The words for what Flink does with that part.
fn cut(kind: Kind) -> &'static str {
    match kind {
        Kind::Decimal(_) => "round it",
        _ => "cut it off",
    }
}

/// The words for a value that fits.
fn wanted(kind: Kind) -> Cow<'static, str> {
    match kind {
        Kind::Boolean => "a boolean".into(),
        Kind::Int64 => "an int64".into(),
        Kind::Float64 => "a float64".into(),
        Kind::Utf8 => "a text".into(),
        Kind::Binary => "bytes".into(),
        Kind::Timestamp => "a timestamp (YYYY-MM-DD HH:MM:SS[.fraction], Z or an offset after it, or a number)".into(),
        Kind::Date => "a date (YYYY-MM-DD)".into(),
        kind => format!("a {kind}").into(),
    }
}

/// A value as the conversions see it: what every format has.
enum Scalar<'a> {
    Boolean(bool),
    /// A number as it is written.
    Number(&'a str),
    Text(Cow<'a, str>),
    /// A value that becomes nothing else than a text.
    Other,
}

impl<'a> Scalar<'a> {
    fn of(record: &'a [u8], slot: &Slot) -> Scalar<'a> {
        // Records were checked to be UTF-8 as a whole.
        let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
        match slot {
            Slot::Boolean(value) => Scalar::Boolean(*value),
            Slot::Integer(_, span) | Slot::Number(span) => Scalar::Number(text(span.of(record))),
            Slot::Text { span, escapes: Escapes::None } => Scalar::Text(text(span.of(record)).into()),
            Slot::Text { span, escapes } => {
                Scalar::Text(resolve(span.of(record), *escapes, text::REPLACEMENT).text.into())
            }
            Slot::Missing | Slot::Null | Slot::Nested(_) | Slot::Astray => Scalar::Other,
        }
    }

    /// The digits of a number, or of a text that may be one.
    fn digits(&self) -> Result<&str, Unfit> {
        match self {
            Scalar::Number(digits) => Ok(digits),
            Scalar::Text(text) => Ok(text.trim()),
            Scalar::Boolean(_) | Scalar::Other => Err(Unfit::Kind),
        }
    }

    /// Returns the reason why digits that no value of a column can hold are unfit: a number is one too large, a text is none at all.
    fn beyond(&self, number: Unfit) -> Unfit {
        if matches!(self, Scalar::Number(_)) { number } else { Unfit::Kind }
    }
}

fn boolean(value: &Scalar<'_>, rules: Rules) -> Result<bool, Unfit> {
    let read = match value {
        Scalar::Boolean(value) => return Ok(*value),
        Scalar::Text(text) => column::boolean(text).ok(),
        Scalar::Number(_) | Scalar::Other => None,
    };
    match read {
        Some(value) => Ok(value),
        None if rules.convert == Convert::Flink => Ok(false),
        None => Err(Unfit::Kind),
    }
}

fn int64(value: &Scalar<'_>, rules: Rules) -> Result<i64, Unfit> {
    let digits = value.digits()?;
    // Nearly all are written so; the rest takes five times as long.
    if let Ok(value) = digits.parse() {
        return Ok(value);
    }
    match whole(digits, 0) {
        Some(Whole::Exact(value)) => Ok(value),
        Some(Whole::Cut(cut)) if rules.convert == Convert::Flink && matches!(value, Scalar::Number(_)) => Ok(cut),
        Some(Whole::Cut(_)) => Err(Unfit::Fraction),
        None => Err(value.beyond(Unfit::Range)),
    }
}

fn float64(value: &Scalar<'_>, rules: Rules) -> Result<f64, Unfit> {
    let digits = value.digits()?;
    let java = matches!(digits, "NaN" | "Infinity" | "+Infinity" | "-Infinity");
    let numeric = digits.ends_with(|last: char| last.is_ascii_digit() || last == '.');
    match digits.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        Ok(value) if rules.convert == Convert::Flink && (java || numeric) => Ok(value),
        Ok(_) if numeric => Err(Unfit::Range),
        _ => Err(Unfit::Kind),
    }
}

fn timestamp(value: &Scalar<'_>, rules: Rules) -> Result<i64, Unfit> {
    if let Scalar::Text(text) = value
        && let Some(time) = time::parse(text)
    {
        return Ok(time);
    }
    let (shift, unit) = match rules.epoch {
        Some(Epoch::Seconds) => (6, Unfit::Range),
        Some(Epoch::Milliseconds) => (3, Unfit::Range),
        Some(Epoch::Microseconds) => (0, Unfit::Range),
        Some(Epoch::Nanoseconds) => (-3, Unfit::Range),
        None => (3, Unfit::Unit),
    };
    let micros = match whole(value.digits()?, shift) {
        // As of a text, digits after the sixth are cut.
        Some(Whole::Exact(micros) | Whole::Cut(micros)) => micros,
        None => return Err(value.beyond(unit)),
    };
    let clear = rules.epoch.is_some() || micros == 0 || SURELY_MILLISECONDS.contains(&micros.saturating_abs());
    if clear && time::in_calendar(micros) { Ok(micros) } else { Err(unit) }
}

fn fixed(kind: Kind, value: &Scalar<'_>, rules: Rules) -> Result<i128, Unfit> {
    let given = value.digits()?;
    let read = match kind {
        Kind::Decimal(decimal) if rules.convert == Convert::Flink => decimal.read_rounded(given).map_err(Misread::from),
        kind => column::read(kind, given),
    };
    read.map_err(|misread| match misread {
        Misread::Fraction => Unfit::Fraction,
        Misread::Range => Unfit::Range,
        // A number that isn't understood has too many digits.
        Misread::Form => value.beyond(Unfit::Range),
    })
}

fn append_str(column: &mut StringBuilder, bytes: &[u8]) {
    // Records were checked to be UTF-8 as a whole; keys weren't.
    match std::str::from_utf8(bytes) {
        Ok(text) => column.append_value(text),
        Err(_) => column.append_null(),
    }
}

/// The value as a message shows it.
fn shown(record: &[u8], slot: &Slot) -> impl fmt::Display {
    let bytes = slot.raw(record);
    let cut = &bytes[..bytes.len().min(SHOWN)];
    let quote = if matches!(slot, Slot::Text { .. }) { "\"" } else { "" };
    let more = if cut.len() < bytes.len() { "…" } else { "" };
    format!("{quote}{}{more}{quote}", String::from_utf8_lossy(cut))
}
