//! Finds where the wanted values of a JSON object lie.
//!
//! Records of a topic are alike: flat objects whose fields come in the same order, written by one serializer. So the scanner
//! expects between two values the very bytes that stood at that place of the record before, and looks at comma, name and colon
//! only when that fails. It accepts what RFC 8259 says is JSON, and, as Flink does, control characters within texts; the tests hold
//! it against `serde_json` on random input.

use super::cursor::{Cursor, Malformed};
use super::foreign::header;
use crate::decode::slot::{Escapes, Slot, Span};
use crate::decode::text;

/// The fields of a record whose places are remembered. A record with more goes on, without the shortcut.
const MAX_SHAPE: usize = 128;

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
    /// The last record's fields in their order.
    shape: Vec<Remembered>,
}

/// A field at its place in the last record.
#[derive(Debug)]
struct Remembered {
    /// Bytes from the end of the value before, or from the record's start, to the value: `, "room_id": `.
    lead: Vec<u8>,
    /// True if the lead is ASCII. Otherwise it is valid UTF-8 only if the record that it came from was.
    ascii: bool,
    /// Index of the wanted field; none if the field isn't wanted.
    field: Option<usize>,
}

/// Part of the record after a value, or after the record's start.
enum Next {
    /// A field's value, if wanted of which field.
    Value(Option<usize>),
    /// End of the object.
    End,
}

impl Scanner {
    pub(super) fn new(names: Vec<String>) -> Scanner {
        Scanner { names, shape: Vec::new() }
    }

    /// Fills the slots of the fields that the object has which begins at `from` and ends where `json` does; of a field that comes
    /// twice, the last. All slots come as [`Slot::Missing`].
    pub(super) fn scan(&mut self, json: &[u8], from: usize, slots: &mut [Slot]) -> Result<(), ScanError> {
        let mut cursor = Cursor::at(json, from);
        match self.fields(&mut cursor, slots) {
            Ok(()) if cursor.is_utf8(from) => Ok(()),
            _ => Err(why(json, from, cursor.at)),
        }
    }

    fn fields(&mut self, cursor: &mut Cursor<'_>, slots: &mut [Slot]) -> Result<(), Malformed> {
        let mut place = 0;
        while let Next::Value(field) = self.next(place, cursor)? {
            match field.and_then(|field| slots.get_mut(field)) {
                Some(slot) => *slot = cursor.value()?,
                None => cursor.skip()?,
            }
            place += 1;
        }
        cursor.end()
    }

    /// Goes to the next value, or past the object's end.
    #[inline]
    fn next(&mut self, place: usize, cursor: &mut Cursor<'_>) -> Result<Next, Malformed> {
        if let Some(known) = self.shape.get(place)
            && begins_with(&cursor.json[cursor.at..], &known.lead)
        {
            cursor.at += known.lead.len();
            cursor.ascii &= known.ascii;
            // This record may have more spaces there.
            cursor.skip_space();
            return Ok(Next::Value(known.field));
        }
        self.unlike_the_last(place, cursor)
    }

    fn unlike_the_last(&mut self, place: usize, cursor: &mut Cursor<'_>) -> Result<Next, Malformed> {
        let start = cursor.at;
        cursor.skip_space();
        match cursor.peek()? {
            b'{' if place == 0 => {
                cursor.at += 1;
                cursor.skip_space();
                if cursor.peek()? == b'}' {
                    cursor.at += 1;
                    return Ok(Next::End);
                }
            }
            b',' if place > 0 => {
                cursor.at += 1;
                cursor.skip_space();
            }
            b'}' if place > 0 => {
                cursor.at += 1;
                return Ok(Next::End);
            }
            _ => return Err(Malformed),
        }
        let (name, escapes) = cursor.name()?;
        let name = name.of(cursor.json);
        let field = if escapes == Escapes::Json {
            let name = text::resolve(name, escapes, text::REPLACEMENT).text;
            self.names.iter().position(|wanted| *wanted == name)
        } else {
            self.names.iter().position(|wanted| wanted.as_bytes() == name)
        };
        if place < MAX_SHAPE {
            self.shape.truncate(place);
            let lead = cursor.json[start..cursor.at].to_vec();
            self.shape.push(Remembered { ascii: lead.is_ascii(), lead, field });
        }
        Ok(Next::Value(field))
    }
}

/// Returns true if the bytes begin with `start`. Compares words, since for so few bytes the call of a slice's comparison costs
/// more than the work.
#[inline]
fn begins_with(bytes: &[u8], start: &[u8]) -> bool {
    let Some(bytes) = bytes.get(..start.len()) else { return false };
    // The last word overlaps the one before it.
    match (bytes.last_chunk::<8>(), start.last_chunk::<8>()) {
        (Some(last), Some(last_of_start)) => {
            last == last_of_start && bytes.as_chunks::<8>().0.iter().eq(start.as_chunks::<8>().0)
        }
        _ => bytes == start,
    }
}

/// The elements of an array that was walked over before, at most `max` of them.
pub(super) fn elements(json: &[u8], array: Span, max: usize) -> Vec<Slot> {
    let mut cursor = Cursor::at(array.and_before(json), array.start());
    let mut elements = Vec::new();
    // It begins with its bracket, and was seen to be well formed.
    while elements.len() < max && cursor.expect(if elements.is_empty() { b'[' } else { b',' }).is_ok() {
        cursor.skip_space();
        let Ok(element) = cursor.value() else { break };
        elements.push(element);
        cursor.skip_space();
    }
    elements
}

/// Reads one JSON value of any kind, which must fill all the bytes from `from` on.
pub(super) fn value(json: &[u8], from: usize) -> Result<Slot, ScanError> {
    let mut cursor = Cursor::at(json, from);
    cursor.skip_space();
    match cursor.value().and_then(|slot| cursor.end().map(|()| slot)) {
        Ok(slot) if cursor.is_utf8(from) => Ok(slot),
        _ => Err(why(json, from, cursor.at)),
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
    let mut cursor = Cursor::at(json, from);
    cursor.skip_space();
    let whole = cursor.value().and_then(|slot| cursor.end().map(|()| slot));
    ScanError::Malformed(match (whole, json.get(at)) {
        (Ok(Slot::Nested(_)), _) => return ScanError::NotAnObject("an array"),
        (Ok(slot), _) => return ScanError::NotAnObject(slot.what()),
        (Err(_), None) if text.trim_ascii().is_empty() => "it is empty".to_owned(),
        (Err(_), None) => format!("it ends too early, after {} bytes", json.len()),
        (Err(_), Some(byte)) if byte.is_ascii_graphic() => {
            format!("`{}` at byte {at} is out of place", char::from(*byte))
        }
        (Err(_), Some(byte)) => format!("0x{byte:02x} at byte {at} is out of place"),
    })
}
