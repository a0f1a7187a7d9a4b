//! Records of CSV: a record is a line, and its values are known by their places (RFC 4180).
//!
//! A quote within a field that doesn't begin with one is a character like any other. What a lenient reader would guess at is
//! refused: a quote that isn't closed, characters behind a closing one, a second line, another number of fields.

use super::format::{Format, Rows};
use super::origin::Origin;
use super::problem::Problem;
use super::slot::{Escapes, Slot, Span};

/// Options of the CSV format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvOptions {
    /// Names of the fields of a record, in their order: what a file has in its header.
    pub fields: Vec<String>,
    /// Character that separates fields; ASCII.
    pub delimiter: u8,
    /// Character that may be around a field, and stands there twice within one; ASCII. Without it no field has quotes.
    pub quote: Option<u8>,
    /// Text that is null, in quotes or not. Without it no field is null.
    pub null: Option<String>,
}

/// Finds values in records of CSV. Each field has the slot of its place; behind them is one for what no record has.
#[derive(Debug)]
pub(super) struct Csv(CsvOptions);

/// Reason why a record isn't CSV with the fields that are expected.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Unreadable {
    #[error("invalid UTF-8 at byte {0}")]
    NotUtf8(usize),
    #[error("the quote at byte {0} isn't closed")]
    NotClosed(usize),
    #[error("text follows a closing quote at byte {0}")]
    BehindAQuote(usize),
    #[error("a second line begins at byte {0}")]
    SecondLine(usize),
    #[error("{found} instead of {want} fields")]
    Fields { found: usize, want: usize },
}

impl Unreadable {
    /// The reason without what differs from record to record.
    fn kind(&self) -> &'static str {
        match self {
            Unreadable::NotUtf8(_) => "invalid UTF-8",
            Unreadable::NotClosed(_) => "a quote isn't closed",
            Unreadable::BehindAQuote(_) => "text follows a closing quote",
            Unreadable::SecondLine(_) => "a second line",
            Unreadable::Fields { .. } => "another number of fields",
        }
    }
}

impl From<Unreadable> for Problem {
    fn from(unreadable: Unreadable) -> Problem {
        let problem = "the record is not CSV as the source describes it";
        Problem::Unreadable {
            kind: format!("{problem}: {}", unreadable.kind()),
            message: format!("{problem}: {unreadable}"),
        }
    }
}

impl Csv {
    /// The format for the values that are wanted; answers also the slot of each.
    pub(super) fn new(options: &CsvOptions, wanted: &[&Origin]) -> (Csv, Vec<usize>) {
        let place = |origin: &&Origin| match origin {
            Origin::Field(name) => options.fields.iter().position(|field| field == name),
            _ => None,
        };
        let slots = wanted.iter().map(|origin| place(origin).unwrap_or(options.fields.len())).collect();
        (Csv(options.clone()), slots)
    }

    /// Fills the slots with the fields of a line, and returns their number.
    fn fields(&self, line: &[u8], slots: &mut [Slot]) -> Result<usize, Unreadable> {
        let (mut at, mut found) = (0, 0);
        loop {
            let slot = self.field(line, &mut at)?;
            if found < self.0.fields.len() {
                slots[found] = slot;
            }
            found += 1;
            if at == line.len() {
                return Ok(found);
            }
            at += 1;
        }
    }

    /// Reads the field that begins at `at`, and goes to the delimiter behind it, or to the line's end.
    fn field(&self, line: &[u8], at: &mut usize) -> Result<Slot, Unreadable> {
        let (span, escapes) = match self.0.quote {
            Some(quote) if line.get(*at) == Some(&quote) => self.quoted(line, at, quote)?,
            _ => (self.plain(line, at)?, Escapes::None),
        };
        let is_null = |null: &String| escapes == Escapes::None && span.of(line) == null.as_bytes();
        Ok(if self.0.null.as_ref().is_some_and(is_null) { Slot::Null } else { Slot::Text { span, escapes } })
    }

    fn plain(&self, line: &[u8], at: &mut usize) -> Result<Span, Unreadable> {
        let start = *at;
        let is_end = |byte: &u8| *byte == self.0.delimiter || matches!(byte, b'\n' | b'\r');
        *at = line[start..].iter().position(is_end).map_or(line.len(), |length| start + length);
        match line.get(*at) {
            Some(byte) if *byte != self.0.delimiter => Err(Unreadable::SecondLine(*at)),
            _ => Ok(Span::new(start, *at)),
        }
    }

    fn quoted(&self, line: &[u8], at: &mut usize, quote: u8) -> Result<(Span, Escapes), Unreadable> {
        let opening = *at;
        let (mut from, mut escapes) = (opening + 1, Escapes::None);
        loop {
            let length = line[from..].iter().position(|byte| *byte == quote);
            let closing = from + length.ok_or(Unreadable::NotClosed(opening))?;
            match line.get(closing + 1) {
                Some(next) if *next == quote => {
                    escapes = Escapes::Doubled(quote);
                    from = closing + 2;
                }
                Some(next) if *next != self.0.delimiter => return Err(Unreadable::BehindAQuote(closing + 1)),
                _ => {
                    *at = closing + 1;
                    return Ok((Span::new(opening + 1, closing), escapes));
                }
            }
        }
    }
}

impl Format for Csv {
    fn slots(&self) -> usize {
        self.0.fields.len() + 1
    }

    fn find(&mut self, record: &[u8], slots: &mut [Slot]) -> Result<Rows, Problem> {
        if simdutf8::basic::from_utf8(record).is_err() {
            let valid = std::str::from_utf8(record).map_or_else(|error| error.valid_up_to(), str::len);
            return Err(Unreadable::NotUtf8(valid).into());
        }
        let line = record.strip_suffix(b"\n").unwrap_or(record);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        slots.fill(Slot::Missing);
        let (found, want) = (self.fields(line, slots)?, self.0.fields.len());
        if found == want { Ok(Rows::One) } else { Err(Unreadable::Fields { found, want }.into()) }
    }

    /// Does nothing: a record is never several rows.
    fn row(&mut self, _: &[u8], _: Span, _: &mut [Slot]) -> Result<(), Problem> {
        Ok(())
    }
}
