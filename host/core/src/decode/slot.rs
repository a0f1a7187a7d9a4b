//! A slot has what a format finds of a wanted value: its kind, and where it lies.

/// Kind of a wanted value, with its position in the record in bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Slot {
    Missing,
    Null,
    Boolean(bool),
    /// An integer literal that an int64 holds, with its text.
    Integer(i64, Span),
    /// A number that is not an integer literal of an int64.
    Number(Span),
    /// A text, without its quotes.
    Text {
        span: Span,
        escapes: Escapes,
    },
    /// An array or object.
    Nested(Span),
    /// The value would have to be within a value that is neither object nor array.
    Astray,
}

/// Notation of characters that a text can't have as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escapes {
    /// The text stands there as it is.
    None,
    /// Some characters are JSON's escapes: a backslash, and what it stands for.
    Json,
    /// Quotes are doubled: this one stands there twice for once.
    Doubled(u8),
}

/// The bytes `start..end` of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    pub(super) fn new(start: usize, end: usize) -> Span {
        // Records are bounded by the source far below 4 GiB; a saturated span would only read as an empty text.
        Span { start: u32::try_from(start).unwrap_or(u32::MAX), end: u32::try_from(end).unwrap_or(u32::MAX) }
    }

    pub(super) fn of<'a>(&self, record: &'a [u8]) -> &'a [u8] {
        record.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    pub(super) fn start(&self) -> usize {
        self.start as usize
    }

    /// The bytes from the record's beginning to where this ends.
    pub(super) fn and_before<'a>(&self, record: &'a [u8]) -> &'a [u8] {
        record.get(..self.end as usize).unwrap_or_default()
    }
}

impl Slot {
    /// Describes the kind of the value in words.
    pub(super) fn what(&self) -> &'static str {
        match self {
            Slot::Missing => "nothing",
            Slot::Null => "null",
            Slot::Boolean(_) => "a boolean",
            Slot::Integer(..) | Slot::Number(_) => "a number",
            Slot::Text { .. } => "a text",
            Slot::Nested(_) => "an object or array",
            Slot::Astray => "within a value that is no object",
        }
    }

    /// The value's bytes as they stand in the record, without quotes.
    pub(super) fn raw<'a>(&self, record: &'a [u8]) -> &'a [u8] {
        match self {
            Slot::Text { span, .. } | Slot::Integer(_, span) | Slot::Number(span) | Slot::Nested(span) => {
                span.of(record)
            }
            Slot::Boolean(true) => b"true",
            Slot::Boolean(false) => b"false",
            Slot::Missing | Slot::Null | Slot::Astray => b"",
        }
    }
}
