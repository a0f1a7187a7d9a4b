//! Appending to a topic's files.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Error, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use sluice_core::Partition;

use super::{LogConnection, MAX_LINE, MAX_PARTITIONS, partition_file, partition_files};
use crate::writer::{WriteError, Writer};

/// Number of a partition's bytes that are gathered before they are written: a call for each line would cost ten times as much.
const BUFFER: usize = 256 * 1024;

/// Appends lines to the files of an embedded log.
///
/// Lines are gathered and written whole, many with one call, so a reader sees a part of a line only as the last one of the
/// file. Several writers may append to one file. Durable means handed to the operating system, as with a broker: a crash of
/// the program loses nothing that was flushed, one of the machine may lose the last seconds. What was not flushed is lost
/// with the writer.
pub struct LogWriter {
    connection: LogConnection,
    topics: HashMap<String, Vec<Appender>>,
}

/// The end of a partition's file.
struct Appender {
    path: PathBuf,
    file: File,
    buffer: Vec<u8>,
}

impl LogWriter {
    /// Opens a writer of this log; directories are made for topics only.
    pub fn open(connection: &LogConnection) -> Result<LogWriter, WriteError> {
        Ok(LogWriter { connection: connection.clone(), topics: HashMap::new() })
    }

    fn directory(&self, topic: &str) -> Result<PathBuf, WriteError> {
        self.connection.topic_directory(topic).map_err(WriteError::Unusable)
    }

    /// The topic's appenders, opened at its first record.
    fn appenders(&mut self, topic: &str) -> Result<&mut Vec<Appender>, WriteError> {
        if !self.topics.contains_key(topic) {
            let directory = self.directory(topic)?;
            let files = partition_files(&directory).map_err(|error| write_error(&directory, &error))?;
            let appenders = files.unwrap_or_default().into_iter().map(|(_, path)| Appender::open(path));
            let appenders = appenders.collect::<Result<Vec<_>, _>>()?;
            if appenders.is_empty() {
                return Err(no_topic(topic, &directory));
            }
            self.topics.insert(topic.to_owned(), appenders);
        }
        self.topics.get_mut(topic).ok_or_else(|| no_topic(topic, &self.connection.directory))
    }
}

impl Writer for LogWriter {
    fn ensure_topic(&mut self, topic: &str, partitions: u32) -> Result<(), WriteError> {
        let directory = self.directory(topic)?;
        if partitions == 0 || partitions as usize > MAX_PARTITIONS {
            return Err(WriteError::Unusable(format!(
                "the topic `{topic}` can't have {partitions} partitions; give it 1 to {MAX_PARTITIONS}"
            )));
        }
        fs::create_dir_all(&directory).map_err(|error| write_error(&directory, &error))?;
        let files = partition_files(&directory).map_err(|error| write_error(&directory, &error))?;
        if files.is_some_and(|files| !files.is_empty()) {
            return Ok(());
        }
        // A topic of this few partitions fits i32.
        for partition in (0..partitions as i32).map(Partition) {
            let path = directory.join(partition_file(partition));
            open_to_append(&path).map_err(|error| write_error(&path, &error))?;
        }
        Ok(())
    }

    fn write(&mut self, topic: &str, spread: u64, value: &[u8]) -> Result<(), WriteError> {
        check_line(value)?;
        let appenders = self.appenders(topic)?;
        // There is at least one appender, and fewer than MAX_PARTITIONS.
        let index = (spread % appenders.len() as u64) as usize;
        appenders[index].append(value)
    }

    fn flush(&mut self) -> Result<(), WriteError> {
        self.topics.values_mut().flatten().try_for_each(Appender::flush)
    }
}

impl Appender {
    fn open(path: PathBuf) -> Result<Appender, WriteError> {
        let file = open_to_append(&path).map_err(|error| write_error(&path, &error))?;
        let mut appender = Appender { path, file, buffer: Vec::new() };
        // A last line that somebody left unfinished is finished, or our first record would become a part of it.
        if appender.ends_in_unfinished_line().map_err(|error| write_error(&appender.path, &error))? {
            appender.buffer.push(b'\n');
        }
        Ok(appender)
    }

    fn ends_in_unfinished_line(&mut self) -> Result<bool, Error> {
        if self.file.seek(SeekFrom::End(0))? == 0 {
            return Ok(false);
        }
        self.file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        self.file.read_exact(&mut last)?;
        Ok(last != *b"\n")
    }

    /// Appends a line. If the lines before it can't be written, the line isn't taken at all.
    fn append(&mut self, line: &[u8]) -> Result<(), WriteError> {
        if !self.buffer.is_empty() && self.buffer.len() + line.len() >= BUFFER {
            self.flush()?;
        }
        self.buffer.extend_from_slice(line);
        self.buffer.push(b'\n');
        Ok(())
    }

    fn flush(&mut self) -> Result<(), WriteError> {
        let mut written = 0;
        let mut result = Ok(());
        while written < self.buffer.len() && result.is_ok() {
            match self.file.write(&self.buffer[written..]) {
                Ok(bytes) => written += bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => result = Err(write_error(&self.path, &error)),
            }
        }
        // What is in the file must not be written again by the next attempt.
        self.buffer.drain(..written);
        result
    }
}

fn open_to_append(path: &Path) -> Result<File, Error> {
    OpenOptions::new().create(true).append(true).read(true).open(path)
}

fn check_line(value: &[u8]) -> Result<(), WriteError> {
    if value.len() > MAX_LINE {
        return Err(WriteError::Unusable(format!(
            "a record of {} bytes is too long for a log, which takes {MAX_LINE}",
            value.len()
        )));
    }
    if memchr::memchr(b'\n', value).is_some() {
        return Err(WriteError::Unusable(
            "a record with a line feed in it can't be a line of a log; write it on one line".to_owned(),
        ));
    }
    Ok(())
}

fn no_topic(topic: &str, directory: &Path) -> WriteError {
    WriteError::Unusable(format!("the topic `{topic}` has no partition in {}; create it first", directory.display()))
}

/// The error that a failed call means: somebody must change permissions or paths; a full disk may be emptied.
fn write_error(path: &Path, error: &Error) -> WriteError {
    let message = format!("{} can't be written: {error}", path.display());
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::NotADirectory | ErrorKind::IsADirectory => {
            WriteError::Unusable(message)
        }
        _ => WriteError::Unavailable(message),
    }
}
