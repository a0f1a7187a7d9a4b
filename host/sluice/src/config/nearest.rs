//! "Did you mean": the known word that a mistyped one is nearest to, and lists of the known ones.

/// Returns the known word that is nearest to `word`, if it is near enough to be the intended one: one begins with the other, or
/// there is at most one slip for every three letters.
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    // Longer words are no typing errors, and the distance costs the product of the lengths.
    const LONGEST: usize = 64;
    if word.is_empty() || word.len() > LONGEST {
        return None;
    }
    let typed = word.to_lowercase();
    known
        .iter()
        .filter(|candidate| candidate.len() <= LONGEST)
        .map(|candidate| (slips(&typed, &candidate.to_lowercase()), *candidate))
        .filter(|(slips, candidate)| *slips <= candidate.chars().count().div_ceil(3))
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, candidate)| candidate)
}

/// Returns the number of slips between two words (a letter too many, missing, wrong, or two swapped); 1 where one word begins
/// with the other, since endings such as plurals or `-offset` are the commonest slip of all.
fn slips(a: &str, b: &str) -> usize {
    if a != b && (a.starts_with(b) || b.starts_with(a)) {
        return 1;
    }
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before_last = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let wrong = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = wrong.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

/// `"a"`, `"a" or "b"`, `one of "a", "b" or "c"`.
pub fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    match quoted.as_slice() {
        [] => "nothing here".to_owned(),
        [only] => only.clone(),
        [one, other] => format!("{one} or {other}"),
        [most @ .., last] => format!("one of {} or {last}", most.join(", ")),
    }
}

/// [`one_of`] the known words, with the nearest one pointed out.
pub fn suggest(word: &str, known: &[&str]) -> String {
    match nearest(word, known) {
        // With one word known there is nothing to choose from.
        Some(near) if known.len() > 1 => format!("{}: did you mean {near:?}?", one_of(known)),
        _ => one_of(known),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_typing_find_the_word_that_was_meant() {
        let known = ["columns", "connection", "start", "topic", "interval", "earliest"];
        for (typed, meant) in [
            ("colums", "columns"),
            ("Topic", "topic"),
            ("conection", "connection"),
            ("satrt", "start"),
            ("earliest-offset", "earliest"),
            ("int", "interval"),
        ] {
            assert_eq!(nearest(typed, &known), Some(meant), "{typed}");
        }
    }

    #[test]
    fn other_words_suggest_nothing() {
        assert_eq!(nearest("password", &["columns", "topic"]), None);
        assert_eq!(nearest("", &["columns"]), None);
        assert_eq!(nearest(&"x".repeat(1 << 20), &["columns"]), None);
    }
}
