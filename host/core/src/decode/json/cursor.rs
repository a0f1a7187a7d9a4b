//! Walks over JSON, and checks every byte of it.
//!
//! A record's time is the number of instructions that its fields take. So what most fields are is inlined into the loop over
//! them, which has the cursor in registers, and the rest is called with a copy of the cursor.

use super::lead::Lead;
use super::open::{Container, Open};
use super::word;
use crate::decode::slot::{Escapes, Slot, Span};

/// Error for bytes that are not JSON; the cursor is at the first wrong byte.
#[derive(Debug)]
pub(super) struct Malformed;

/// A place in a record.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    pub(super) json: &'a [u8],
    /// Bytes from the cursor on.
    pub(super) ahead: &'a [u8],
    /// Words of the texts behind the cursor, and perhaps of more, laid over one another. The bytes between texts are ASCII in any
    /// case, or were refused.
    pub(super) seen: u64,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(json: &'a [u8], at: usize) -> Cursor<'a> {
        Cursor { json, ahead: json.get(at..).unwrap_or_default(), seen: 0 }
    }

    /// Number of the bytes behind the cursor.
    #[inline]
    pub(super) fn at(&self) -> usize {
        self.json.len() - self.ahead.len()
    }

    /// Returns the bytes from `start` to the cursor.
    pub(super) fn since(&self, start: usize) -> &'a [u8] {
        self.json.get(start..self.at()).unwrap_or_default()
    }

    /// Returns true if what is behind the cursor is ASCII, apart from leads.
    #[inline]
    pub(super) fn is_ascii(&self) -> bool {
        word::is_ascii(self.seen)
    }

    #[inline]
    pub(super) fn peek(&self) -> Result<u8, Malformed> {
        self.ahead.first().copied().ok_or(Malformed)
    }

    /// Walks over this byte if it is next.
    #[inline(always)]
    pub(super) fn accept(&mut self, byte: u8) -> bool {
        match self.ahead {
            [first, ahead @ ..] if *first == byte => {
                self.ahead = ahead;
                true
            }
            _ => false,
        }
    }

    #[inline]
    pub(super) fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.accept(byte) { Ok(()) } else { Err(Malformed) }
    }

    /// Walks over the lead if it is next.
    #[inline(always)]
    pub(super) fn accept_lead(&mut self, lead: &Lead) -> bool {
        let Some(ahead) = lead.strip_from(self.ahead) else { return false };
        self.ahead = ahead;
        true
    }

    /// Walks over so many bytes, which are there.
    #[inline(always)]
    pub(super) fn pass(&mut self, bytes: usize) {
        self.ahead = self.ahead.get(bytes..).unwrap_or_default();
    }

    /// Checks that only spaces are left.
    #[inline]
    pub(super) fn end(&mut self) -> Result<(), Malformed> {
        self.skip_space();
        if self.ahead.is_empty() { Ok(()) } else { Err(Malformed) }
    }

    /// Walks over a name and the colon after it, up to the value.
    pub(super) fn name(&mut self) -> Result<(Span, Escapes), Malformed> {
        self.expect(b'"')?;
        let name = self.text()?;
        self.colon()?;
        Ok(name)
    }

    #[inline]
    fn skip_name(&mut self) -> Result<(), Malformed> {
        self.expect(b'"')?;
        self.skip_text()?;
        self.colon()
    }

    #[inline]
    fn colon(&mut self) -> Result<(), Malformed> {
        self.skip_space();
        self.expect(b':')?;
        self.skip_space();
        Ok(())
    }

    #[inline(always)]
    pub(super) fn skip_space(&mut self) {
        while let [b' ' | b'\t' | b'\n' | b'\r', ahead @ ..] = self.ahead {
            self.ahead = ahead;
        }
    }

    /// Takes a step with a copy of the cursor. A cursor whose own address is handed to nobody stays in registers.
    #[inline(always)]
    pub(super) fn aside<T>(
        &mut self,
        step: impl FnOnce(&mut Cursor<'a>) -> Result<T, Malformed>,
    ) -> Result<T, Malformed> {
        let mut copy = *self;
        let stepped = step(&mut copy);
        *self = copy;
        stepped
    }

    /// Walks over spaces and a value, and puts into the slot what it is. A slot that were returned would be copied, which waits for
    /// its parts to be written.
    #[inline(never)]
    pub(super) fn value(&mut self, slot: &mut Slot) -> Result<(), Malformed> {
        self.skip_space();
        let start = self.at();
        *slot = match self.peek()? {
            b'"' => {
                self.pass(1);
                let (span, escapes) = self.text()?;
                Slot::Text { span, escapes }
            }
            b'-' | b'0'..=b'9' => return self.number(slot),
            b'{' | b'[' => {
                self.skip_nested()?;
                Slot::Nested(Span::new(start, self.at()))
            }
            first => {
                self.skip_literal()?;
                if first == b'n' { Slot::Null } else { Slot::Boolean(first == b't') }
            }
        };
        Ok(())
    }

    /// Walks over spaces and a value that nobody reads.
    #[inline(always)]
    pub(super) fn skip(&mut self) -> Result<(), Malformed> {
        match self.ahead {
            [b'"', ahead @ ..] => {
                self.ahead = ahead;
                self.skip_text().map(drop)
            }
            [b'-' | b'0'..=b'9', ..] => self.skip_number(),
            [b'n', b'u', b'l', b'l', ahead @ ..]
            | [b't', b'r', b'u', b'e', ahead @ ..]
            | [b'f', b'a', b'l', b's', b'e', ahead @ ..] => {
                self.ahead = ahead;
                Ok(())
            }
            _ => self.aside(Cursor::skip_other),
        }
    }

    /// Does the same for what isn't any of these.
    #[inline(never)]
    fn skip_other(&mut self) -> Result<(), Malformed> {
        self.skip_space();
        match self.peek()? {
            b'"' | b'-' | b'0'..=b'9' => self.skip(),
            b'{' | b'[' => self.skip_nested(),
            _ => self.skip_literal(),
        }
    }

    /// Walks over an array or object, however deep.
    fn skip_nested(&mut self) -> Result<(), Malformed> {
        let mut open = Open::default();
        loop {
            match self.peek()? {
                bracket @ (b'{' | b'[') => {
                    self.pass(1);
                    self.skip_space();
                    let container = if bracket == b'{' { Container::Object } else { Container::Array };
                    if !self.accept(container.end()) {
                        open.push(container);
                        self.skip_name_within(container)?;
                        continue;
                    }
                }
                _ => self.skip()?,
            }
            if self.behind_a_value(&mut open)? {
                return Ok(());
            }
        }
    }

    /// Goes to the next value of what is open, and closes what ends before it. Returns true if nothing is open any more.
    #[inline]
    fn behind_a_value(&mut self, open: &mut Open) -> Result<bool, Malformed> {
        while let Some(container) = open.last() {
            self.skip_space();
            if self.accept(b',') {
                self.skip_space();
                self.skip_name_within(container)?;
                return Ok(false);
            }
            self.expect(container.end())?;
            open.pop();
        }
        Ok(true)
    }

    #[inline]
    fn skip_name_within(&mut self, container: Container) -> Result<(), Malformed> {
        match container {
            Container::Object => self.skip_name(),
            Container::Array => Ok(()),
        }
    }
}
