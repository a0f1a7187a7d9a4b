//! Texts of records: resolves their escapes.

use super::slot::Escapes;

/// Character that replaces half of a surrogate pair, which is no character.
pub(super) const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// A text, and whether halves of surrogate pairs were replaced in it.
pub(super) struct Resolved {
    pub(super) text: String,
    pub(super) replaced: bool,
}

/// Resolves the escapes between the quotes of a text that a format has walked over. `instead` takes the place of half a
/// surrogate pair.
pub(super) fn resolve(bytes: &[u8], escapes: Escapes, instead: char) -> Resolved {
    match escapes {
        Escapes::Json => unescape(bytes, instead),
        Escapes::Doubled(quote) => Resolved { text: undouble(bytes, quote), replaced: false },
        Escapes::None => Resolved { text: String::from_utf8_lossy(bytes).into_owned(), replaced: false },
    }
}

/// Leaves out the second of each two quotes.
fn undouble(bytes: &[u8], quote: u8) -> String {
    let mut text = String::with_capacity(bytes.len());
    let mut pieces = bytes.split(|byte| *byte == quote);
    // Between two quotes that are one is an empty piece.
    while let Some(piece) = pieces.next() {
        push(&mut text, piece);
        if pieces.next().is_some() {
            text.push(char::from(quote));
        }
    }
    text
}

/// Resolves the escapes between the quotes of a JSON text that the scanner has walked over. `instead` takes the place of each
/// escape that is half a surrogate pair: other languages' texts can hold it, UTF-8 can't.
pub(super) fn unescape(mut bytes: &[u8], instead: char) -> Resolved {
    let mut unescaped = Resolved { text: String::with_capacity(bytes.len()), replaced: false };
    while let Some(at) = bytes.iter().position(|byte| *byte == b'\\') {
        push(&mut unescaped.text, &bytes[..at]);
        bytes = &bytes[at + 1..];
        let (character, rest) = match bytes {
            [b'u', rest @ ..] => character(rest),
            [byte, rest @ ..] => (Some(short(*byte)), rest),
            [] => break,
        };
        unescaped.replaced |= character.is_none();
        unescaped.text.push(character.unwrap_or(instead));
        bytes = rest;
    }
    push(&mut unescaped.text, bytes);
    unescaped
}

/// Records were checked to be UTF-8 as a whole, and a backslash is never within a character.
fn push(text: &mut String, bytes: &[u8]) {
    text.push_str(&String::from_utf8_lossy(bytes));
}

fn short(byte: u8) -> char {
    match byte {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        other => char::from(other),
    }
}

/// The character after `\u`, and what follows it; none for half a surrogate pair.
fn character(bytes: &[u8]) -> (Option<char>, &[u8]) {
    let Some((unit, rest)) = unit(bytes) else { return (None, &[]) };
    if !(0xd800..0xdc00).contains(&unit) {
        // None is a second half without a first one.
        return (char::from_u32(unit), rest);
    }
    match rest.strip_prefix(b"\\u").and_then(self::unit) {
        Some((second @ 0xdc00..0xe000, rest)) => {
            (char::from_u32(0x10000 + ((unit - 0xd800) << 10) + (second - 0xdc00)), rest)
        }
        _ => (None, rest),
    }
}

fn unit(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = bytes.split_at_checked(4)?;
    let digits = std::str::from_utf8(digits).ok()?;
    Some((u32::from_str_radix(digits, 16).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{REPLACEMENT, unescape};

    #[test]
    fn half_a_surrogate_pair_is_replaced_alone() {
        for (json, text) in [
            (r"\ud83d", "\u{fffd}"),
            (r"a\ude00b", "a\u{fffd}b"),
            (r"\ud83dx\ude00", "\u{fffd}x\u{fffd}"),
            (r"\ud83d\ud83d\ude00", "\u{fffd}😀"),
            (r"\ud83d\n", "\u{fffd}\n"),
            (r"\ud83d\u0041", "\u{fffd}A"),
        ] {
            let unescaped = unescape(json.as_bytes(), REPLACEMENT);
            assert_eq!((unescaped.text.as_str(), unescaped.replaced), (text, true), "{json}");
        }
        assert_eq!(unescape(br"\ud83d!", '?').text, "?!");
    }

    proptest! {
        #[test]
        fn any_text_comes_back_as_it_was_written(text in any::<String>(), wide in any::<bool>()) {
            let quoted = serde_json::to_string(&text).unwrap();
            let units = || text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
            let json: String = if wide { units() } else { quoted[1..quoted.len() - 1].to_owned() };
            let unescaped = unescape(json.as_bytes(), REPLACEMENT);
            prop_assert_eq!(unescaped.text, text);
            prop_assert!(!unescaped.replaced);
        }
    }
}
