//! Finds where the wanted values of a JSON object lie.
//!
//! Records of a topic are alike: flat objects whose fields come in the same order, written by one serializer. So the scanner
//! expects between two values the very bytes that stood at that place of the record before, and looks at comma, name and colon
//! only when that fails. It accepts what RFC 8259 says is JSON, and, as Flink does, control characters within texts; the tests hold
//! it against `serde_json` on random input.

use super::foreign::header;
use crate::decode::slot::{Escapes, Slot, Span};
use crate::decode::text;

/// The fields of a record whose places are remembered. A record with more goes on, without the shortcut.
const MAX_SHAPE: usize = 128;

/// Number of digits with which an integer always fits an int64, whatever the digits are.
const MAX_DIGITS: usize = 18;

/// Error for bytes that are not JSON; the cursor is at the first wrong byte.
#[derive(Debug)]
struct Malformed;

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
        let mut cursor = Cursor { json, at: from, ascii: true };
        match self.fields(&mut cursor, slots) {
            Ok(()) if cursor.is_utf8(from) => Ok(()),
            _ => Err(why(json, from, cursor.at)),
        }
    }

    fn fields(&mut self, cursor: &mut Cursor<'_>, slots: &mut [Slot]) -> Result<(), Malformed> {
        let mut place = 0;
        while let Next::Value(field) = self.next(place, cursor)? {
            let slot = cursor.value()?;
            if let Some(slot_of_field) = field.and_then(|field| slots.get_mut(field)) {
                *slot_of_field = slot;
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

struct Cursor<'a> {
    json: &'a [u8],
    at: usize,
    /// True if every text that was passed is ASCII. The bytes between texts are ASCII in any case, or were refused.
    ascii: bool,
}

impl Cursor<'_> {
    /// Returns true if what was passed since `from` is UTF-8.
    #[inline]
    fn is_utf8(&self, from: usize) -> bool {
        self.ascii || self.json.get(from..).is_some_and(|text| std::str::from_utf8(text).is_ok())
    }

    #[inline]
    fn peek(&self) -> Result<u8, Malformed> {
        self.json.get(self.at).copied().ok_or(Malformed)
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.peek()? != byte {
            return Err(Malformed);
        }
        self.at += 1;
        Ok(())
    }

    /// Checks that only spaces are left.
    #[inline]
    fn end(&mut self) -> Result<(), Malformed> {
        self.skip_space();
        if self.at == self.json.len() { Ok(()) } else { Err(Malformed) }
    }

    /// A name, with the colon after it, up to its value.
    fn name(&mut self) -> Result<(Span, Escapes), Malformed> {
        self.expect(b'"')?;
        let name = self.text()?;
        self.skip_space();
        self.expect(b':')?;
        self.skip_space();
        Ok(name)
    }

    #[inline]
    fn skip_space(&mut self) {
        while matches!(self.json.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    #[inline]
    fn value(&mut self) -> Result<Slot, Malformed> {
        match self.peek()? {
            b'"' => {
                self.at += 1;
                let (span, escapes) = self.text()?;
                Ok(Slot::Text { span, escapes })
            }
            b'-' | b'0'..=b'9' => self.number(),
            b'n' => self.literal(b"null", Slot::Null),
            b't' => self.literal(b"true", Slot::Boolean(true)),
            b'f' => self.literal(b"false", Slot::Boolean(false)),
            b'{' | b'[' => self.nested(),
            _ => Err(Malformed),
        }
    }

    /// Walks over an array or object, however deep.
    fn nested(&mut self) -> Result<Slot, Malformed> {
        let start = self.at;
        // What closes each that is open.
        let mut open = Vec::new();
        loop {
            match self.peek()? {
                bracket @ (b'{' | b'[') => {
                    self.at += 1;
                    self.skip_space();
                    let close = if bracket == b'{' { b'}' } else { b']' };
                    if self.peek()? != close {
                        open.push(close);
                        if close == b'}' {
                            self.name()?;
                        }
                        continue;
                    }
                    self.at += 1;
                }
                _ => drop(self.value()?),
            }
            // Behind a value.
            loop {
                let Some(close) = open.last().copied() else {
                    return Ok(Slot::Nested(Span::new(start, self.at)));
                };
                self.skip_space();
                match self.peek()? {
                    b',' => {
                        self.at += 1;
                        self.skip_space();
                        if close == b'}' {
                            self.name()?;
                        }
                        break;
                    }
                    byte if byte == close => {
                        self.at += 1;
                        open.pop();
                    }
                    _ => return Err(Malformed),
                }
            }
        }
    }

    fn literal(&mut self, text: &[u8], slot: Slot) -> Result<Slot, Malformed> {
        text.iter().try_for_each(|byte| self.expect(*byte))?;
        Ok(slot)
    }

    /// Walks over a text whose opening quote is behind, and over its closing quote.
    #[inline]
    fn text(&mut self) -> Result<(Span, Escapes), Malformed> {
        let start = self.at;
        let mut escapes = Escapes::None;
        loop {
            self.at += plain_prefix(&self.json[self.at..]);
            let byte = self.peek()?;
            self.at += 1;
            match byte {
                b'"' => return Ok((Span::new(start, self.at - 1), escapes)),
                b'\\' => {
                    escapes = Escapes::Json;
                    self.escape()?;
                }
                0x80.. => self.ascii = false,
                _ => {}
            }
        }
    }

    /// Walks over what follows a backslash. Whether surrogates pair up is looked at only where the text is wanted.
    #[inline]
    fn escape(&mut self) -> Result<(), Malformed> {
        match self.peek()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 1,
            b'u' => {
                let digits = self.json.get(self.at + 1..self.at + 5).ok_or(Malformed)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(Malformed);
                }
                self.at += 5;
            }
            _ => return Err(Malformed),
        }
        Ok(())
    }

    #[inline]
    fn number(&mut self) -> Result<Slot, Malformed> {
        let start = self.at;
        let negative = self.peek()? == b'-';
        self.at += usize::from(negative);
        let digits = self.at;
        // Wrong once there are more than MAX_DIGITS, and not used then.
        let mut magnitude = 0u64;
        while let Some(digit @ b'0'..=b'9') = self.json.get(self.at) {
            magnitude = magnitude.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            self.at += 1;
        }
        if self.json.get(digits) == Some(&b'0') && self.at - digits > 1 {
            self.at = digits + 1;
            return Err(Malformed);
        }
        if self.at == digits {
            return Err(Malformed);
        }
        let integral = !matches!(self.json.get(self.at), Some(b'.' | b'e' | b'E'));
        if !integral {
            self.fraction_and_exponent()?;
        }
        let span = Span::new(start, self.at);
        if !integral {
            return Ok(Slot::Number(span));
        }
        let value = if self.at - digits <= MAX_DIGITS {
            let magnitude = magnitude.cast_signed();
            Some(if negative { -magnitude } else { magnitude })
        } else {
            std::str::from_utf8(span.of(self.json)).ok().and_then(|text| text.parse().ok())
        };
        Ok(value.map_or(Slot::Number(span), |value| Slot::Integer(value, span)))
    }

    fn fraction_and_exponent(&mut self) -> Result<(), Malformed> {
        if self.json.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.json.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.json.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        while matches!(self.json.get(self.at), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(Malformed) }
    }
}

/// Returns the number of bytes at the start that need no closer look. Checks eight at a time, with the well-known test of a word
/// for a zero byte (Bit Twiddling Hacks, "Determine if a word has a byte less than n").
#[inline]
fn plain_prefix(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let mut at = 0;
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*chunk);
        let quote = (word ^ (ONES * u64::from(b'"'))).wrapping_sub(ONES);
        let backslash = (word ^ (ONES * u64::from(b'\\'))).wrapping_sub(ONES);
        // A byte at or above 0x80 shows up as itself; below the lowest special byte no borrow can raise a false alarm.
        let special = (quote | backslash | word) & HIGHS;
        if special != 0 {
            return at + (special.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    at
}

/// The elements of an array that was walked over before, at most `max` of them.
pub(super) fn elements(json: &[u8], array: Span, max: usize) -> Vec<Slot> {
    let mut cursor = Cursor { json: array.and_before(json), at: array.start(), ascii: true };
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
    let mut cursor = Cursor { json, at: from, ascii: true };
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
    let mut cursor = Cursor { json, at: from, ascii: true };
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
