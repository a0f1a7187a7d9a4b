//! Finds where the wanted values of a JSON record lie.
//!
//! Records of a topic are alike: flat objects whose fields come in the same order, written by one serializer. So the scanner
//! expects between two values the very bytes that stood at that place of the record before, and looks at comma, name and colon
//! only when that fails. It accepts less than JSON is (no nested values, no escaped names) and hands everything else to `serde_json`; what it accepts means
//! the same to both, which the tests check on random input.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Problem;

/// The fields of a record whose places are remembered. A record with more goes on, without the shortcut.
const MAX_SHAPE: usize = 128;

/// Integers of so many digits fit an int64, whatever the digits are.
const MAX_DIGITS: usize = 18;

/// Where a wanted value lies in its record, as byte positions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Slot {
    Missing,
    Null,
    Boolean(bool),
    /// An integer literal that an int64 holds, with its text.
    Integer(i64, Span),
    /// Any other number.
    Number(Span),
    /// The text between the quotes; `escaped` if there is a backslash in it.
    Text {
        span: Span,
        escaped: bool,
    },
    /// An array or object.
    Nested(Span),
}

/// The bytes `start..end` of a record.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn new(start: usize, end: usize) -> Span {
        // Records are bounded by the source far below 4 GiB; a saturated span would only read as an empty text.
        Span { start: u32::try_from(start).unwrap_or(u32::MAX), end: u32::try_from(end).unwrap_or(u32::MAX) }
    }

    pub(super) fn of<'a>(&self, json: &'a [u8]) -> &'a [u8] {
        json.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// The bytes with the quotes around them.
    pub(super) fn quoted<'a>(&self, json: &'a [u8]) -> &'a [u8] {
        json.get((self.start as usize).saturating_sub(1)..self.end as usize + 1).unwrap_or_default()
    }
}

/// The fast path met something that it leaves to `serde_json`.
#[derive(Debug)]
struct Unusual;

#[derive(Debug)]
pub(super) struct Scanner {
    names: Vec<String>,
    /// The last record's fields in their order.
    shape: Vec<Place>,
}

/// A field at its place in the last record.
#[derive(Debug)]
struct Place {
    /// All bytes from the value before, or from the record's start, up to the value: `, "room_id": `.
    lead: Vec<u8>,
    /// The lead is valid UTF-8 only if the record that it came from was.
    ascii: bool,
    /// The wanted field that it is.
    field: Option<usize>,
}

/// What follows a value, or the record's start.
enum Next {
    /// A field's value, if wanted of which field.
    Value(Option<usize>),
    /// Nothing: the object is closed.
    End,
}

impl Scanner {
    pub(super) fn new(names: Vec<String>) -> Scanner {
        Scanner { names, shape: Vec::new() }
    }

    pub(super) fn name(&self, field: usize) -> &str {
        &self.names[field]
    }

    /// Fills the slots of the fields that the record has; of a field that comes twice, the last. All slots come as
    /// [`Slot::Missing`].
    pub(super) fn scan(&mut self, json: &[u8], slots: &mut [Slot]) -> Result<(), Problem> {
        if self.scan_flat(json, slots).is_ok() {
            return Ok(());
        }
        slots.fill(Slot::Missing);
        scan_any(&self.names, json, slots)
    }

    fn scan_flat(&mut self, json: &[u8], slots: &mut [Slot]) -> Result<(), Unusual> {
        let mut cursor = Cursor { json, at: 0, ascii: true };
        let mut place = 0;
        while let Next::Value(field) = self.next(place, &mut cursor)? {
            let slot = cursor.value()?;
            if let Some(slot_of_field) = field.and_then(|field| slots.get_mut(field)) {
                *slot_of_field = slot;
            }
            place += 1;
        }
        cursor.skip_space();
        let complete = cursor.at == json.len() && (cursor.ascii || std::str::from_utf8(json).is_ok());
        if complete { Ok(()) } else { Err(Unusual) }
    }

    /// Goes to the next value, or past the object's end.
    #[inline]
    fn next(&mut self, place: usize, cursor: &mut Cursor<'_>) -> Result<Next, Unusual> {
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

    fn unlike_the_last(&mut self, place: usize, cursor: &mut Cursor<'_>) -> Result<Next, Unusual> {
        let start = cursor.at;
        cursor.skip_space();
        match cursor.next()? {
            b'{' if place == 0 => {
                cursor.skip_space();
                if cursor.peek()? == b'}' {
                    cursor.at += 1;
                    return Ok(Next::End);
                }
            }
            b',' if place > 0 => cursor.skip_space(),
            b'}' if place > 0 => return Ok(Next::End),
            _ => return Err(Unusual),
        }
        cursor.expect(b'"')?;
        let (name, escaped) = cursor.text()?;
        if escaped {
            return Err(Unusual);
        }
        cursor.skip_space();
        cursor.expect(b':')?;
        cursor.skip_space();
        let name = name.of(cursor.json);
        let field = self.names.iter().position(|wanted| wanted.as_bytes() == name);
        if place < MAX_SHAPE {
            self.shape.truncate(place);
            let lead = cursor.json[start..cursor.at].to_vec();
            self.shape.push(Place { ascii: lead.is_ascii(), lead, field });
        }
        Ok(Next::Value(field))
    }
}

/// Whether the bytes begin so: by words, since for so few bytes the call that a slice's comparison makes costs more than the work.
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
    /// Whether every text that was walked over is ASCII. What lies between texts is, or was refused.
    ascii: bool,
}

impl Cursor<'_> {
    #[inline]
    fn peek(&self) -> Result<u8, Unusual> {
        self.json.get(self.at).copied().ok_or(Unusual)
    }

    #[inline]
    fn next(&mut self) -> Result<u8, Unusual> {
        let byte = self.peek()?;
        self.at += 1;
        Ok(byte)
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), Unusual> {
        if self.next()? == byte { Ok(()) } else { Err(Unusual) }
    }

    #[inline]
    fn skip_space(&mut self) {
        while matches!(self.json.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    #[inline]
    fn value(&mut self) -> Result<Slot, Unusual> {
        match self.peek()? {
            b'"' => {
                self.at += 1;
                let (span, escaped) = self.text()?;
                Ok(Slot::Text { span, escaped })
            }
            b'-' | b'0'..=b'9' => self.number(),
            b'n' => self.literal(b"null", Slot::Null),
            b't' => self.literal(b"true", Slot::Boolean(true)),
            b'f' => self.literal(b"false", Slot::Boolean(false)),
            _ => Err(Unusual),
        }
    }

    fn literal(&mut self, text: &[u8], slot: Slot) -> Result<Slot, Unusual> {
        let end = self.at + text.len();
        if self.json.get(self.at..end) != Some(text) {
            return Err(Unusual);
        }
        self.at = end;
        Ok(slot)
    }

    /// Walks over a text whose opening quote is behind, and over its closing quote.
    #[inline]
    fn text(&mut self) -> Result<(Span, bool), Unusual> {
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at += plain_prefix(&self.json[self.at..]);
            match self.next()? {
                b'"' => return Ok((Span::new(start, self.at - 1), escaped)),
                b'\\' => {
                    escaped = true;
                    self.escape()?;
                }
                0x80.. => self.ascii = false,
                0..0x20 => return Err(Unusual),
                _ => {}
            }
        }
    }

    /// Walks over what follows a backslash. Whether surrogates pair up is looked at only where the text is wanted.
    #[inline]
    fn escape(&mut self) -> Result<(), Unusual> {
        match self.next()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(()),
            b'u' => {
                let digits = self.json.get(self.at..self.at + 4).ok_or(Unusual)?;
                self.at += 4;
                if digits.iter().all(u8::is_ascii_hexdigit) { Ok(()) } else { Err(Unusual) }
            }
            _ => Err(Unusual),
        }
    }

    #[inline]
    fn number(&mut self) -> Result<Slot, Unusual> {
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
        let leading_zero = self.json.get(digits) == Some(&b'0') && self.at - digits > 1;
        if self.at == digits || leading_zero {
            return Err(Unusual);
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

    fn fraction_and_exponent(&mut self) -> Result<(), Unusual> {
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

    fn digits(&mut self) -> Result<(), Unusual> {
        let start = self.at;
        while matches!(self.json.get(self.at), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(Unusual) }
    }
}

/// How many bytes at the start need no look: eight at a time, with the well-known test of a word for a zero byte
/// (Bit Twiddling Hacks, "Determine if a word has a byte less than n").
#[inline]
fn plain_prefix(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let mut at = 0;
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*chunk);
        let quote = (word ^ (ONES * u64::from(b'"'))).wrapping_sub(ONES);
        let backslash = (word ^ (ONES * u64::from(b'\\'))).wrapping_sub(ONES);
        let control = word.wrapping_sub(ONES * 0x20);
        // A byte at or above 0x80 shows up as itself; below the lowest special byte no borrow can raise a false alarm.
        let special = (quote | backslash | control | word) & HIGHS;
        if special != 0 {
            return at + (special.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    at
}

/// Any JSON text, by `serde_json`.
fn scan_any(names: &[String], json: &[u8], slots: &mut [Slot]) -> Result<(), Problem> {
    let text = std::str::from_utf8(json)
        .map_err(|e| Problem::Malformed(format!("invalid UTF-8 at byte {}", e.valid_up_to())))?;
    let value: &RawValue = serde_json::from_str(text).map_err(|e| Problem::Malformed(e.to_string()))?;
    let kind = match value.get().as_bytes().first() {
        Some(b'{') => {
            return serde_json::Deserializer::from_str(text)
                .deserialize_map(Fields { names, text, slots })
                .map_err(|e| Problem::Malformed(e.to_string()));
        }
        Some(b'[') => "an array",
        Some(b'"') => "a text",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    };
    Err(Problem::NotAnObject(kind))
}

struct Fields<'a, 'b> {
    names: &'b [String],
    text: &'a str,
    slots: &'b mut [Slot],
}

impl<'de> Visitor<'de> for Fields<'de, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            let value: &'de RawValue = map.next_value()?;
            if let Some(field) = self.names.iter().position(|wanted| *wanted == name) {
                self.slots[field] = raw_slot(self.text, value.get());
            }
        }
        Ok(())
    }
}

/// The slot of a value whose text is known to be valid JSON and lies within `text`.
fn raw_slot(text: &str, value: &str) -> Slot {
    let start = value.as_ptr().addr().wrapping_sub(text.as_ptr().addr());
    let span = Span::new(start, start + value.len());
    match value.as_bytes() {
        [b'n', ..] => Slot::Null,
        [b't', ..] => Slot::Boolean(true),
        [b'f', ..] => Slot::Boolean(false),
        [b'{' | b'[', ..] => Slot::Nested(span),
        [b'"', inner @ .., b'"'] => {
            Slot::Text { span: Span::new(start + 1, start + 1 + inner.len()), escaped: inner.contains(&b'\\') }
        }
        _ => value.parse().map_or(Slot::Number(span), |integer| Slot::Integer(integer, span)),
    }
}
