//! Texts, numbers and literals under a cursor.

use super::cursor::{Cursor, Malformed};
use super::word;
use crate::decode::slot::{Escapes, Slot, Span};

/// Number of digits with which an integer always fits an int64, whatever the digits are.
const MAX_DIGITS: usize = 18;

impl Cursor<'_> {
    pub(super) fn skip_literal(&mut self) -> Result<(), Malformed> {
        let literal: &[u8] = match self.peek()? {
            b'n' => b"null",
            b't' => b"true",
            b'f' => b"false",
            _ => return Err(Malformed),
        };
        literal.iter().try_for_each(|byte| self.expect(*byte))
    }

    /// Walks over a text whose opening quote is behind, and over its closing quote.
    #[inline]
    pub(super) fn text(&mut self) -> Result<(Span, Escapes), Malformed> {
        let start = self.at();
        let escapes = self.skip_text()?;
        Ok((Span::new(start, self.at() - 1), escapes))
    }

    #[inline(always)]
    pub(super) fn skip_text(&mut self) -> Result<Escapes, Malformed> {
        match self.quote_or_backslash() {
            Some(b'"') => Ok(Escapes::None),
            Some(_) => self.aside(Cursor::skip_escapes),
            None => self.aside(Cursor::skip_last_text),
        }
    }

    /// Walks over the rest of a text from behind a backslash on.
    #[inline(never)]
    fn skip_escapes(&mut self) -> Result<Escapes, Malformed> {
        loop {
            self.escape()?;
            let found = self.quote_or_backslash();
            if found.map_or_else(|| self.last_quote_or_backslash(), Ok)? == b'"' {
                return Ok(Escapes::Json);
            }
        }
    }

    /// Walks over the rest of a text in the record's last bytes, which are no whole word.
    #[inline(never)]
    fn skip_last_text(&mut self) -> Result<Escapes, Malformed> {
        if self.last_quote_or_backslash()? == b'"' { Ok(Escapes::None) } else { self.skip_escapes() }
    }

    /// Walks over the next quote or backslash in a text and returns it; over whole words, if there is none in them.
    #[inline(always)]
    fn quote_or_backslash(&mut self) -> Option<u8> {
        while let Some((word, ahead)) = word::split(self.ahead) {
            self.seen |= word;
            if let Some((plain, byte)) = word::quote_or_backslash(word) {
                self.pass(plain + 1);
                return Some(byte);
            }
            self.ahead = ahead;
        }
        None
    }

    #[inline]
    fn last_quote_or_backslash(&mut self) -> Result<u8, Malformed> {
        loop {
            let byte = self.peek()?;
            self.pass(1);
            self.seen |= u64::from(byte);
            if matches!(byte, b'"' | b'\\') {
                return Ok(byte);
            }
        }
    }

    /// Walks over what follows a backslash. Whether surrogates pair up is looked at only where the text is wanted.
    #[inline(always)]
    fn escape(&mut self) -> Result<(), Malformed> {
        self.ahead = match self.ahead {
            [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ahead @ ..] => ahead,
            [b'u', a, b, c, d, ahead @ ..] if [a, b, c, d].into_iter().all(u8::is_ascii_hexdigit) => ahead,
            _ => return Err(Malformed),
        };
        Ok(())
    }

    /// Walks over a number, and puts it into the slot.
    #[inline]
    pub(super) fn number(&mut self, slot: &mut Slot) -> Result<(), Malformed> {
        let start = self.at();
        let negative = self.sign()?;
        let first = self.at();
        // Wrong once there are more than MAX_DIGITS, and not used then.
        let mut magnitude = 0i64;
        while let [digit @ b'0'..=b'9', ahead @ ..] = self.ahead {
            magnitude = magnitude.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'));
            self.ahead = ahead;
        }
        let digits = self.at() - first;
        if digits == 0 {
            return Err(Malformed);
        }
        let integral = !matches!(self.ahead, [b'.' | b'e' | b'E', ..]);
        if !integral {
            self.skip_fraction_and_exponent()?;
        }
        let span = Span::new(start, self.at());
        *slot = if !integral {
            Slot::Number(span)
        } else if digits <= MAX_DIGITS {
            Slot::Integer(if negative { -magnitude } else { magnitude }, span)
        } else {
            let value = std::str::from_utf8(span.of(self.json)).ok().and_then(|text| text.parse().ok());
            value.map_or(Slot::Number(span), |value| Slot::Integer(value, span))
        };
        Ok(())
    }

    #[inline(always)]
    pub(super) fn skip_number(&mut self) -> Result<(), Malformed> {
        self.sign()?;
        self.digits()?;
        match self.ahead {
            [b'.' | b'e' | b'E', ..] => self.aside(Cursor::skip_fraction_and_exponent),
            _ => Ok(()),
        }
    }

    /// Walks over a sign up to the digits. Returns true if the number is negative.
    #[inline(always)]
    fn sign(&mut self) -> Result<bool, Malformed> {
        let negative = self.accept(b'-');
        if let [b'0', b'0'..=b'9', ..] = self.ahead {
            self.pass(1);
            return Err(Malformed);
        }
        Ok(negative)
    }

    /// Walks over what may follow the digits of an integer.
    #[inline(never)]
    fn skip_fraction_and_exponent(&mut self) -> Result<(), Malformed> {
        if self.accept(b'.') {
            self.digits()?;
        }
        if self.accept(b'e') || self.accept(b'E') {
            let _sign = self.accept(b'+') || self.accept(b'-');
            self.digits()?;
        }
        Ok(())
    }

    /// Walks over digits, of which there must be one.
    #[inline(always)]
    fn digits(&mut self) -> Result<(), Malformed> {
        let before = self.ahead.len();
        while let Some((word, _)) = word::split(self.ahead) {
            let digits = word::digits(word);
            self.pass(digits);
            if digits < word::BYTES {
                return if self.ahead.len() < before { Ok(()) } else { Err(Malformed) };
            }
        }
        self.aside(|cursor| cursor.last_digits(before))
    }

    /// Does the same with the record's last bytes, which are no whole word. `before` are those from the first digit on.
    #[inline(never)]
    fn last_digits(&mut self, before: usize) -> Result<(), Malformed> {
        while let [b'0'..=b'9', ahead @ ..] = self.ahead {
            self.ahead = ahead;
        }
        if self.ahead.len() < before { Ok(()) } else { Err(Malformed) }
    }
}
