//! Texts that no log, message or dump may show.

use std::borrow::Cow;
use std::sync::{PoisonError, RwLock};

/// The shortest text that is veiled, in bytes: a shorter one is in too many words by chance.
const SHORTEST: usize = 4;

/// Texts that messages must not show, each with the text to show instead. There are only as many as the connections of a
/// configuration have.
static VEILED: RwLock<Vec<(String, String)>> = RwLock::new(Vec::new());

/// Lets messages show `instead` wherever they would show this text: what a variable put into a connection, say. Servers and
/// client libraries have messages of their own, so it is the last thing that is done to any of them.
pub fn veil(text: &str, instead: &str) {
    let mut veiled = VEILED.write().unwrap_or_else(PoisonError::into_inner);
    let pair = (text.to_owned(), instead.to_owned());
    if text.len() >= SHORTEST && !veiled.contains(&pair) {
        veiled.push(pair);
        // A part of another one must not break that up.
        veiled.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
    }
}

/// Returns a message in the form that may be shown.
pub fn unveiled(message: &str) -> Cow<'_, str> {
    let veiled = VEILED.read().unwrap_or_else(PoisonError::into_inner);
    let mut shown = Cow::Borrowed(message);
    for (text, instead) in veiled.iter() {
        if let Some(replaced) = replaced(&shown, text, instead) {
            shown = Cow::Owned(replaced);
        }
    }
    shown
}

/// Replaces the text in the message where it is a word of its own; none if it is nowhere.
fn replaced(message: &str, text: &str, instead: &str) -> Option<String> {
    let is_end = |c: Option<char>| !c.is_some_and(char::is_alphanumeric);
    let (opens, closes) = (is_end(text.chars().next()), is_end(text.chars().next_back()));
    let (mut shown, mut rest) = (String::new(), message);
    let mut from = 0;
    while let Some(at) = rest[from..].find(text).map(|at| from + at) {
        let (before, after) = (&rest[..at], &rest[at + text.len()..]);
        let last = before.chars().next_back().or_else(|| shown.chars().next_back());
        if (opens || is_end(last)) && (closes || is_end(after.chars().next())) {
            shown.push_str(before);
            shown.push_str(instead);
            (rest, from) = (after, 0);
        } else {
            from = at + text.chars().next().map_or(1, char::len_utf8);
        }
    }
    let found = rest.len() < message.len();
    shown.push_str(rest);
    found.then_some(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_replaced_where_it_is_a_word() {
        let of = |message, text| replaced(message, text, "${X}");
        assert_eq!(of("at live, `live`/alive lively live", "live").unwrap(), "at ${X}, `${X}`/alive lively ${X}");
        assert_eq!(of("a p@ss!word", "p@ss!"), Some("a ${X}word".to_owned()));
        assert_eq!(of("nothing", "live"), None);
        assert_eq!(of("lilive", "live"), None);
    }

    #[test]
    fn what_is_veiled_is_shown_by_its_name_and_its_parts_after_it() {
        veil("b1.veiled.example:9092", "${BROKER}");
        veil("b1.veiled.example:9092,b2.veiled.example:9092", "${BROKERS}");
        veil("b1", "${SHORT}");
        assert_eq!(
            unveiled("at b1.veiled.example:9092,b2.veiled.example:9092: b1.veiled.example:9092/bootstrap is away"),
            "at ${BROKERS}: ${BROKER}/bootstrap is away"
        );
        assert_eq!(unveiled("b1 is none"), "b1 is none");
    }
}
