//! The embedded log: what Kafka is to a service, a directory is to a demo, a test, or a laptop.
//!
//! ```text
//! DIR/live_gift_total/0.jsonl      a partition: one record a line, offset = lines before it
//! DIR/live_gift_total/1.jsonl
//! DIR/.groups/demo/live_gift_total.json      how far a group is
//! ```
//!
//! People can `cat` it, append to it with any tool, and replay it. What that asks for:
//!
//! - A line counts once its line feed is there; an unfinished last line waits. For a reader that ends at the end of the file, one
//!   that is a whole JSON object counts, too. An empty line is a record with an empty value, so that line numbers and offsets
//!   agree.
//! - Files only grow. One that shrinks or is another file than before no longer has the records that were read, so reading
//!   it stops with an error that says so.
//! - A new `N.jsonl` in the topic's directory is a new partition, read from its beginning.
//! - Records have neither key nor time.

mod commits;
mod file;
mod records;
mod source;
mod writer;

use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

use sluice_core::Partition;

use crate::kafka::Membership;
use crate::roles::SourceRole;
use crate::source::{Source, SourceError, Subscription};
use crate::writer::{WriteError, Writer};

pub use source::LogSource;
pub use writer::LogWriter;

/// The longest line in bytes, without its end: it is held in memory whole. Ten times what brokers take by default; a
/// longer one is most likely not a file of lines at all.
pub const MAX_LINE: usize = 8 * 1024 * 1024;

/// The most partitions of a topic: each holds a file open.
pub const MAX_PARTITIONS: usize = 1024;

/// The longest name of a topic or group: Kafka's, so that the same pipelines run on both.
const MAX_NAME: usize = 249;

/// A directory of topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConnection {
    /// The directory of the topics' directories.
    pub directory: PathBuf,
}

impl SourceRole for LogConnection {
    fn open_source(&self, what: &Subscription, _: Option<&Membership>) -> Result<Box<dyn Source>, SourceError> {
        Ok(Box::new(LogSource::open(self, what)?))
    }

    fn open_writer(&self) -> Result<Box<dyn Writer>, WriteError> {
        Ok(Box::new(LogWriter::open(self)?))
    }
}

impl LogConnection {
    fn topic_directory(&self, topic: &str) -> Result<PathBuf, String> {
        checked_name("topic", topic).map(|topic| self.directory.join(topic))
    }
}

/// Names become paths, so none may lead out of the directory, or into the groups'.
fn checked_name<'a>(what: &str, name: &'a str) -> Result<&'a str, String> {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if plain && !name.starts_with('.') && (1..=MAX_NAME).contains(&name.len()) {
        return Ok(name);
    }
    Err(format!(
        "`{name}` can't be a {what} of a log: use 1 to {MAX_NAME} letters, digits, `.`, `_` or `-`, and no `.` at the beginning"
    ))
}

/// The partitions' files of a topic, by number; none if the topic's directory is missing.
fn partition_files(directory: &Path) -> Result<Option<Vec<(Partition, PathBuf)>>, Error> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if let Some(partition) = partition_of(&path) {
            files.push((partition, path));
        }
        if files.len() > MAX_PARTITIONS {
            return Err(Error::other(format!("it has more than {MAX_PARTITIONS} partitions")));
        }
    }
    files.sort_unstable();
    Ok(Some(files))
}

fn partition_file(partition: Partition) -> String {
    format!("{partition}.jsonl")
}

/// The partition that a file is; none for a file of another name (`01.jsonl` isn't partition 1 a second time).
fn partition_of(path: &Path) -> Option<Partition> {
    let number = path.file_stem()?.to_str()?.parse().ok().filter(|number| *number >= 0)?;
    (path.file_name()?.to_str()? == partition_file(Partition(number))).then_some(Partition(number))
}

/// The error that a failed call on a file means to a reader: somebody must change permissions or paths; the rest may pass.
fn source_error(path: &Path, error: &Error) -> SourceError {
    let message = format!("{} can't be read: {error}", path.display());
    match error.kind() {
        ErrorKind::NotFound
        | ErrorKind::PermissionDenied
        | ErrorKind::NotADirectory
        | ErrorKind::IsADirectory
        | ErrorKind::InvalidInput => SourceError::Unusable(message),
        _ => SourceError::Unavailable(message),
    }
}

#[cfg(test)]
mod tests;
