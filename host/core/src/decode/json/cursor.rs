//! Walks over JSON, and checks every byte of it.

use crate::decode::slot::{Escapes, Slot, Span};

/// Number of digits with which an integer always fits an int64, whatever the digits are.
const MAX_DIGITS: usize = 18;

/// Error for bytes that are not JSON; the cursor is at the first wrong byte.
#[derive(Debug)]
pub(super) struct Malformed;

/// A place in a record.
pub(super) struct Cursor<'a> {
    pub(super) json: &'a [u8],
    pub(super) at: usize,
    /// False if a text that was passed may not be ASCII. The bytes between texts are ASCII in any case, or were refused.
    pub(super) ascii: bool,
}

impl<'a> Cursor<'a> {
    pub(super) fn at(json: &'a [u8], at: usize) -> Cursor<'a> {
        Cursor { json, at, ascii: true }
    }

    /// Returns true if what was passed since `from` is UTF-8.
    #[inline]
    pub(super) fn is_utf8(&self, from: usize) -> bool {
        self.ascii || self.json.get(from..).is_some_and(|text| simdutf8::basic::from_utf8(text).is_ok())
    }

    #[inline]
    pub(super) fn peek(&self) -> Result<u8, Malformed> {
        self.json.get(self.at).copied().ok_or(Malformed)
    }

    #[inline]
    pub(super) fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.peek()? != byte {
            return Err(Malformed);
        }
        self.at += 1;
        Ok(())
    }

    /// Checks that only spaces are left.
    #[inline]
    pub(super) fn end(&mut self) -> Result<(), Malformed> {
        self.skip_space();
        if self.at == self.json.len() { Ok(()) } else { Err(Malformed) }
    }

    /// A name, with the colon after it, up to its value.
    pub(super) fn name(&mut self) -> Result<(Span, Escapes), Malformed> {
        self.expect(b'"')?;
        let name = self.text()?;
        self.skip_space();
        self.expect(b':')?;
        self.skip_space();
        Ok(name)
    }

    #[inline]
    pub(super) fn skip_space(&mut self) {
        while matches!(self.json.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    #[inline]
    pub(super) fn value(&mut self) -> Result<Slot, Malformed> {
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

    /// Walks over a value of any kind that nobody reads.
    #[inline]
    pub(super) fn skip(&mut self) -> Result<(), Malformed> {
        match self.peek()? {
            b'"' => {
                self.at += 1;
                self.text().map(drop)
            }
            b'-' | b'0'..=b'9' => self.skip_number(),
            b'{' | b'[' => self.nested().map(drop),
            _ => self.value().map(drop),
        }
    }

    /// Walks over an array or object, however deep.
    fn nested(&mut self) -> Result<Slot, Malformed> {
        let start = self.at;
        let mut open = Open::default();
        loop {
            match self.peek()? {
                bracket @ (b'{' | b'[') => {
                    self.at += 1;
                    self.skip_space();
                    let container = if bracket == b'{' { Container::Object } else { Container::Array };
                    if self.peek()? != container.end() {
                        open.push(container);
                        self.name_within(container)?;
                        continue;
                    }
                    self.at += 1;
                }
                _ => self.skip()?,
            }
            if self.behind_a_value(&mut open)? {
                return Ok(Slot::Nested(Span::new(start, self.at)));
            }
        }
    }

    /// Goes to the next value of what is open, and closes what ends before it. Returns true if nothing is open any more.
    #[inline]
    fn behind_a_value(&mut self, open: &mut Open) -> Result<bool, Malformed> {
        while let Some(container) = open.last() {
            self.skip_space();
            let byte = self.peek()?;
            self.at += 1;
            if byte == b',' {
                self.skip_space();
                self.name_within(container)?;
                return Ok(false);
            }
            if byte != container.end() {
                self.at -= 1;
                return Err(Malformed);
            }
            open.pop();
        }
        Ok(true)
    }

    #[inline]
    fn name_within(&mut self, container: Container) -> Result<(), Malformed> {
        match container {
            Container::Object => self.name().map(drop),
            Container::Array => Ok(()),
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
            let (plain, ascii) = plain_prefix(&self.json[self.at..]);
            self.at += plain + 1;
            self.ascii &= ascii;
            match self.json.get(self.at - 1) {
                Some(b'"') => return Ok((Span::new(start, self.at - 1), escapes)),
                Some(b'\\') => {
                    escapes = Escapes::Json;
                    self.escape()?;
                }
                // One of the record's last bytes, which are no whole word.
                Some(byte) => self.ascii &= byte.is_ascii(),
                None => {
                    self.at -= 1;
                    return Err(Malformed);
                }
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

    fn skip_number(&mut self) -> Result<(), Malformed> {
        self.at += usize::from(self.json.get(self.at) == Some(&b'-'));
        let zero = self.json.get(self.at) == Some(&b'0');
        let digits = self.at;
        self.digits()?;
        if zero && self.at - digits > 1 {
            self.at = digits + 1;
            return Err(Malformed);
        }
        self.fraction_and_exponent()
    }

    #[inline]
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

/// Containers that are open around a value, from the outermost on.
#[derive(Default)]
struct Open {
    /// The innermost containers, the last in the lowest bit: set for an object.
    objects: u64,
    /// Number of containers in `objects`.
    depth: u32,
    /// Full words of the containers around these. So deep is nothing but a hostile record, whose length bounds it.
    around: Vec<u64>,
}

#[derive(Clone, Copy)]
enum Container {
    Object,
    Array,
}

impl Container {
    fn end(self) -> u8 {
        match self {
            Container::Object => b'}',
            Container::Array => b']',
        }
    }
}

impl Open {
    #[inline]
    fn push(&mut self, container: Container) {
        if self.depth == u64::BITS {
            self.around.push(self.objects);
            self.depth = 0;
        }
        self.objects = self.objects << 1 | u64::from(matches!(container, Container::Object));
        self.depth += 1;
    }

    #[inline]
    fn last(&self) -> Option<Container> {
        let object = self.objects & 1 == 1;
        (self.depth > 0).then_some(if object { Container::Object } else { Container::Array })
    }

    #[inline]
    fn pop(&mut self) {
        self.objects >>= 1;
        self.depth -= 1;
        if self.depth == 0
            && let Some(around) = self.around.pop()
        {
            (self.objects, self.depth) = (around, u64::BITS);
        }
    }
}

/// Returns the number of bytes at the start that need no closer look, and whether all of them are ASCII; false also where only
/// the next few bytes aren't. Checks eight at a time, with the well-known test of a word for a zero byte (Bit Twiddling Hacks,
/// "Determine if a word has a zero byte").
#[inline]
fn plain_prefix(bytes: &[u8]) -> (usize, bool) {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word;
    let (mut at, mut seen) = (0, 0);
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*chunk);
        seen |= word;
        let quote = zeros(word ^ (ONES * u64::from(b'"')));
        let backslash = zeros(word ^ (ONES * u64::from(b'\\')));
        // Below the lowest of these bytes no borrow can raise a false alarm.
        let special = (quote | backslash) & HIGHS;
        if special != 0 {
            return (at + (special.trailing_zeros() / 8) as usize, seen & HIGHS == 0);
        }
        at += 8;
    }
    (at, seen & HIGHS == 0)
}
