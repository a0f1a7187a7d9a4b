//! Paths to values within values.

use std::fmt;
use std::str::FromStr;

/// The deepest path; a longer one is a mistake.
const MAX_STEPS: usize = 16;

/// The greatest index of an element in a path; the elements before it are walked over in each record.
const MAX_INDEX: usize = 999;

/// Characters that mean something in a path; in a name a backslash stands before them.
const SPECIAL: [char; 4] = ['.', '[', ']', '\\'];

/// A way into an object: `payload.after`, `data[0].id`; `.` is the object itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path(Vec<Segment>);

/// A step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    /// Step into the field of an object.
    Field(String),
    /// Step into the element of an array.
    Element(usize),
}

/// A text that is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("want fields with `.` between them and elements in brackets, such as payload.after or data[0].id")]
pub struct NoPath;

impl Path {
    /// The path to a field of the object, whatever its name.
    pub fn field(name: &str) -> Path {
        Path(vec![Segment::Field(name.to_owned())])
    }

    /// Returns the name of the field that the path leads to, if it is one of the object's own.
    pub fn as_field(&self) -> Option<&str> {
        match &self.0[..] {
            [Segment::Field(name)] => Some(name),
            _ => None,
        }
    }

    /// Returns true if the path is `.`.
    pub fn is_whole(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn steps(&self) -> &[Segment] {
        &self.0
    }
}

impl FromStr for Path {
    type Err = NoPath;

    fn from_str(text: &str) -> Result<Path, NoPath> {
        if text == "." {
            return Ok(Path(Vec::new()));
        }
        let (mut steps, mut rest) = (Vec::new(), text);
        loop {
            let (name, mut behind) = name(rest)?;
            steps.push(Segment::Field(name));
            while let Some(bracket) = behind.strip_prefix('[') {
                let (index, after) = bracket.split_once(']').ok_or(NoPath)?;
                steps.push(Segment::Element(self::index(index)?));
                behind = after;
            }
            match behind.strip_prefix('.') {
                Some(next) => rest = next,
                None if behind.is_empty() && steps.len() <= MAX_STEPS => return Ok(Path(steps)),
                None => return Err(NoPath),
            }
        }
    }
}

/// The name that the text begins with, and what follows it.
fn name(text: &str) -> Result<(String, &str), NoPath> {
    let mut name = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => {
                let escaped = characters.next().map(|(_, escaped)| escaped).filter(|next| SPECIAL.contains(next));
                name.push(escaped.ok_or(NoPath)?);
            }
            '.' | '[' if !name.is_empty() => return Ok((name, &text[at..])),
            '.' | '[' | ']' => return Err(NoPath),
            other => name.push(other),
        }
    }
    if name.is_empty() { Err(NoPath) } else { Ok((name, "")) }
}

fn index(digits: &str) -> Result<usize, NoPath> {
    let index = digits.parse().ok().filter(|index| *index <= MAX_INDEX);
    // The standard library takes a sign, too.
    index.filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit())).ok_or(NoPath)
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str(".");
        }
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Segment::Element(index) => write!(f, "[{index}]")?,
                Segment::Field(name) => {
                    f.write_str(if at == 0 { "" } else { "." })?;
                    for character in name.chars() {
                        f.write_str(if SPECIAL.contains(&character) { "\\" } else { "" })?;
                        write!(f, "{character}")?;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_is_read_back_as_it_is_shown() {
        for text in
            [".", "a", "payload.after", "data[0].id", "a[1][20].b c", "über.$x", r"http\.method", r"a\[0\].b\\c"]
        {
            assert_eq!(text.parse::<Path>().unwrap().to_string(), text);
        }
        for text in [
            "", "a.", ".a", "a..b", "[0]", "a[", "a[]", "a[x]", "a[-1]", "a[+1]", "a[1000]", "a]b", "a[0]b", r"a\",
            r"a\b",
        ] {
            assert_eq!(text.parse::<Path>(), Err(NoPath), "{text}");
        }
        assert_eq!(format!("a{}", ".a".repeat(MAX_STEPS)).parse::<Path>(), Err(NoPath));
        assert_eq!(r"http\.method".parse::<Path>(), Ok(Path::field("http.method")));
    }

    proptest! {
        #[test]
        fn any_name_can_be_in_a_path(names in prop::collection::vec(".{1,4}", 1..4)) {
            let path = Path(names.iter().cloned().map(Segment::Field).collect());
            prop_assert_eq!(path.to_string().parse::<Path>(), Ok(path));
        }
    }
}
