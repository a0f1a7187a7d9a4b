//! Finds where the wanted values of a JSON object lie.
//!
//! Records of a topic are alike: objects whose fields come in the same order, written by one serializer, and some lack some. So the
//! scanner expects between two values the very bytes that stood at that place of the records before, or a little later in them, and
//! looks at comma, name and colon only when that fails. It accepts what RFC 8259 says is JSON, and, as Flink does, control characters within texts; the tests hold
//! it against `serde_json` on random input.

use super::cursor::{Cursor, Malformed};
use super::foreign::header;
use super::lead::Lead;
use crate::decode::slot::{Escapes, Slot, Span};
use crate::decode::text;

/// Number of fields of a record whose places are remembered. A record with more goes on, without the shortcut.
const MAX_SHAPE: usize = 128;

/// Number of fields that a record may lack in a row, after its first one, and the others are still expected. More: a field that is
/// nowhere expected is compared with so many in vain.
const MAX_LACKING: usize = 8;

/// Reason why an object could not be scanned.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ScanError {
    /// The record isn't JSON: what is wrong, and where.
    Malformed(String),
    /// The record is JSON, but not an object.
    NotAnObject(&'static str),
}

#[derive(Debug)]
pub(super) struct Scanner {
    names: Vec<String>,
    /// Fields in the order of the last records; those from `known` on were forgotten, and only their memory is used again.
    shape: Vec<Remembered>,
    known: usize,
    /// False if a lead wasn't ASCII: it is UTF-8 only if the record that it came from was.
    ascii_leads: bool,
}

/// A field at its place in the last records.
#[derive(Debug, Default)]
struct Remembered {
    /// Bytes from the end of the value before, or from the record's start, to the value.
    lead: Lead,
    /// Index of the wanted field; none if the field isn't wanted.
    field: Option<usize>,
}

/// Part of the record after a value, or after the record's start.
enum Next {
    /// A field's value.
    Value {
        /// Place of the field in the shape.
        place: usize,
        /// Index of the wanted field; none if the field isn't wanted.
        field: Option<usize>,
    },
    /// End of the object.
    End,
}

impl Scanner {
    pub(super) fn new(names: Vec<String>) -> Scanner {
        Scanner { names, shape: Vec::new(), known: 0, ascii_leads: true }
    }

    /// Fills the slots of the fields that the object has which begins at `from` and ends where `json` does; of a field that comes
    /// twice, the last. All slots come as [`Slot::Missing`].
    pub(super) fn scan(&mut self, json: &[u8], from: usize, slots: &mut [Slot]) -> Result<(), ScanError> {
        let mut cursor = Cursor::new(json, from);
        match self.fields(&mut cursor, slots) {
            Ok(()) if (self.ascii_leads && cursor.is_ascii()) || is_utf8(json, from) => Ok(()),
            _ => Err(why(json, from, cursor.at())),
        }
    }

    #[inline(always)]
    fn fields(&mut self, cursor: &mut Cursor<'_>, slots: &mut [Slot]) -> Result<(), Malformed> {
        let mut place = 0;
        loop {
            for known in self.shape.get(place..self.known).unwrap_or_default() {
                if !cursor.accept_lead(&known.lead) {
                    break;
                }
                place += 1;
                read(cursor, known.field, slots)?;
            }
            if place > 0 && cursor.accept(b'}') {
                return cursor.end();
            }
            match cursor.aside(|cursor| self.unexpected(place, cursor))? {
                Next::Value { place: found, field } => {
                    place = found + 1;
                    read(cursor, field, slots)?;
                }
                Next::End => return cursor.end(),
            }
        }
    }

    /// Goes to the next value, or past the object's end, where another field was expected at this place.
    #[inline(never)]
    fn unexpected(&mut self, place: usize, cursor: &mut Cursor<'_>) -> Result<Next, Malformed> {
        // What stands before a record's first field stands before no other.
        if place > 0
            && let Some(later) = self.shape.get(place + 1..self.known)
            && let Some(lacking) = later.iter().take(MAX_LACKING).position(|known| cursor.accept_lead(&known.lead))
        {
            return Ok(Next::Value { place: place + 1 + lacking, field: later[lacking].field });
        }
        let start = cursor.at();
        cursor.skip_space();
        if place == 0 {
            cursor.expect(b'{')?;
            cursor.skip_space();
        }
        if cursor.accept(b'}') {
            return Ok(Next::End);
        }
        if place > 0 {
            cursor.expect(b',')?;
            cursor.skip_space();
        }
        let (name, escapes) = cursor.name()?;
        let field = self.wanted(name.of(cursor.json), escapes);
        if place < MAX_SHAPE {
            self.remember(place, cursor.since(start), field);
        }
        Ok(Next::Value { place, field })
    }

    fn wanted(&self, name: &[u8], escapes: Escapes) -> Option<usize> {
        match escapes {
            Escapes::None => self.names.iter().position(|wanted| wanted.as_bytes() == name),
            escapes => {
                let name = text::resolve(name, escapes, text::REPLACEMENT).text;
                self.names.iter().position(|wanted| *wanted == name)
            }
        }
    }

    /// Remembers what stood before a field's value at this place, and forgets what followed.
    fn remember(&mut self, place: usize, lead: &[u8], field: Option<usize>) {
        self.known = place + 1;
        if self.shape.len() < self.known {
            self.shape.push(Remembered::default());
        }
        if let Some(remembered) = self.shape.get_mut(place) {
            remembered.lead.set(lead);
            remembered.field = field;
        }
        self.ascii_leads &= lead.is_ascii();
    }
}

/// Walks over a field's value, and fills its slot if it is wanted.
#[inline(always)]
fn read(cursor: &mut Cursor<'_>, field: Option<usize>, slots: &mut [Slot]) -> Result<(), Malformed> {
    match field.and_then(|field| slots.get_mut(field)) {
        Some(slot) => cursor.aside(|cursor| cursor.value(slot)),
        None => cursor.skip(),
    }
}

fn is_utf8(json: &[u8], from: usize) -> bool {
    json.get(from..).is_some_and(|text| simdutf8::basic::from_utf8(text).is_ok())
}

/// The elements of an array that was walked over before, at most `max` of them.
pub(super) fn elements(json: &[u8], array: Span, max: usize) -> Vec<Slot> {
    let mut cursor = Cursor::new(array.and_before(json), array.start());
    let mut elements = Vec::new();
    // It begins with its bracket, and was seen to be well formed.
    while elements.len() < max && cursor.accept(if elements.is_empty() { b'[' } else { b',' }) {
        cursor.skip_space();
        let mut element = Slot::Missing;
        if cursor.value(&mut element).is_err() {
            break;
        }
        elements.push(element);
        cursor.skip_space();
    }
    elements
}

/// Reads one JSON value of any kind, which must fill all the bytes from `from` on.
pub(super) fn value(json: &[u8], from: usize) -> Result<Slot, ScanError> {
    let mut cursor = Cursor::new(json, from);
    cursor.skip_space();
    let mut slot = Slot::Missing;
    match cursor.value(&mut slot).and_then(|()| cursor.end()) {
        Ok(()) if cursor.is_ascii() || is_utf8(json, from) => Ok(slot),
        _ => Err(why(json, from, cursor.at())),
    }
}

/// Returns true if the bytes are one whole JSON object.
pub fn is_whole_object(json: &[u8]) -> bool {
    let mut scanner = Scanner::new(Vec::new());
    scanner.scan(json, header(json, false), &mut []).is_ok()
}

/// Returns the reason why these bytes are no object; the byte at `at` is the first wrong one.
#[cold]
fn why(json: &[u8], from: usize, at: usize) -> ScanError {
    let text = json.get(from..).unwrap_or_default();
    if let Err(error) = std::str::from_utf8(text) {
        return ScanError::Malformed(format!("invalid UTF-8 at byte {}", from + error.valid_up_to()));
    }
    let mut cursor = Cursor::new(json, from);
    cursor.skip_space();
    let mut slot = Slot::Missing;
    let whole = cursor.value(&mut slot).and_then(|()| cursor.end());
    ScanError::Malformed(match (whole, json.get(at)) {
        (Ok(()), _) if matches!(slot, Slot::Nested(_)) => return ScanError::NotAnObject("an array"),
        (Ok(()), _) => return ScanError::NotAnObject(slot.what()),
        (Err(_), None) if text.trim_ascii().is_empty() => "it is empty".to_owned(),
        (Err(_), None) => format!("it ends too early, after {} bytes", json.len()),
        (Err(_), Some(byte)) if byte.is_ascii_graphic() => {
            format!("`{}` at byte {at} is out of place", char::from(*byte))
        }
        (Err(_), Some(byte)) => format!("0x{byte:02x} at byte {at} is out of place"),
    })
}
