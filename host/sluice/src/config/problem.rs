//! Problems of the configuration, in a form for people (a line each) and for programs (`--json`).

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

/// Problem of the configuration: its place, what was found there, and what would be right. None of the texts holds a secret or
/// the value of an environment variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file, as it was named to the loader or found beside it.
    #[serde(serialize_with = "serialize_shown")]
    pub file: PathBuf,
    /// The line that the key or its table begins at, from 1; none where the whole file is meant.
    pub line: Option<usize>,
    /// The key with its tables, such as `sink[0].flush.interval`; empty where the whole file is meant.
    pub key: String,
    /// Value that is there, as a phrase that follows "found".
    pub found: String,
    /// Value that would be right, as a phrase that follows "want".
    pub want: String,
}

impl Problem {
    /// A problem with a key of a file; the line isn't known.
    pub fn new(file: &Path, key: impl Into<String>, found: impl Into<String>, want: impl Into<String>) -> Problem {
        Problem { file: file.to_owned(), line: None, key: key.into(), found: found.into(), want: want.into() }
    }

    /// A problem with a file as a whole.
    pub fn of_file(file: &Path, found: impl Into<String>, want: impl Into<String>) -> Problem {
        Problem::new(file, "", found, want)
    }
}

/// A path in print: any name is one line of text, also one that isn't UTF-8 or has a line break in it.
pub fn shown(path: &Path) -> String {
    let mut shown = String::new();
    for c in path.to_string_lossy().chars() {
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

fn serialize_shown<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&shown(path))
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.file))?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": found {}, want {}", self.found, self.want)
    }
}

/// Problems, file by file and from top to bottom in each. Never empty. Displayed as a line for each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{}", .0.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n"))]
#[serde(transparent)]
pub struct Problems(pub Vec<Problem>);
