//! Texts from outside as a terminal may show them.
//!
//! A record, a column's name, a server's message or an operator's words may hold sequences that move a terminal's cursor, ring its
//! bell or answer to its prompt, and characters that let a line be read in another order than it is written. People are shown
//! those as escapes: `\x1b`, `\u{202e}`. Everything that prints such a text to people comes by here; programs get JSON.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The text on one line, without a character that does more than to be seen.
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, |c, shown| {
        let _ = match c {
            '\n' => shown.write_str("\\n"),
            '\r' => shown.write_str("\\r"),
            '\t' => shown.write_str("\\t"),
            c if c.is_ascii() => write!(shown, "\\x{:02x}", u32::from(c)),
            c => write!(shown, "\\u{{{:x}}}", u32::from(c)),
        };
    })
}

/// JSON as a terminal may show it: the same JSON, since such characters are in strings only.
pub fn printable_json(json: &str) -> Cow<'_, str> {
    // What is below 0x20 is outside strings, between which it is space.
    escaped(json, |c, shown| {
        if c < ' ' {
            return shown.push(c);
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(shown, "\\u{unit:04x}");
        }
    })
}

fn escaped(text: &str, escape: impl Fn(char, &mut String)) -> Cow<'_, str> {
    let Some(first) = text.find(acts) else { return Cow::Borrowed(text) };
    let mut shown = text[..first].to_owned();
    for c in text[first..].chars() {
        if acts(c) { escape(c, &mut shown) } else { shown.push(c) }
    }
    Cow::Owned(shown)
}

/// Returns true if a character does more than be visible: controls, ends of lines, and Unicode's format characters, which change
/// the direction of the text after them or are invisible.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_would_act_is_shown_as_an_escape() {
        assert_eq!(printable("a\x1b[2Jb\x07\n\tc\u{9b}\u{7f}\r"), "a\\x1b[2Jb\\x07\\n\\tc\\u{9b}\\x7f\\r");
        assert_eq!(
            printable("\u{202e}x\u{2066}\u{200b}\u{feff}\u{2028}"),
            "\\u{202e}x\\u{2066}\\u{200b}\\u{feff}\\u{2028}"
        );
        assert!(matches!(printable("Zoë 直播 \\ \" ' 🎁 עברית"), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn nothing_that_acts_is_left(text in any::<String>()) {
            prop_assert!(!printable(&text).contains(acts));
        }

        #[test]
        fn json_stays_what_it_says(text in any::<String>()) {
            let json = serde_json::to_string_pretty(&serde_json::json!([text])).unwrap();
            let shown = printable_json(&json);
            prop_assert!(!shown.contains(|c| acts(c) && c != '\n'));
            prop_assert_eq!(serde_json::from_str::<Vec<String>>(&shown).unwrap(), [text]);
        }
    }
}
