//! Dead letters in a JSON-lines file.
//!
//! Letters are appended, and synced before `write` answers; of a record the last line counts. To remove or mark some, the file
//! is written anew beside it and renamed over it, so that a reader or a crash finds the old file or the new one. Whoever reads
//! or changes it holds the lock of `FILE.lock`, the running host as well as people's commands. A last line without its end is
//! what a crash left of a write that nobody relied on: it is passed over, and cut off by the next write.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sluice_core::dead_letter::DeadLetter;
use sluice_core::{Offset, Partition};

use super::indexed::{Entry, Index, IndexedLetters, MAX_LETTERS, Storage, is_from, too_many};
use super::{Letter, LetterPlace, Letterbox, line};
use crate::regular;
use crate::sink::SinkError;

/// The longest line that is read, in bytes: twice the longest record that a broker would be told to take, in hexadecimal.
const MAX_LINE: u64 = 256 << 20;

/// The letters in this file, which need not be there.
pub fn letters(path: &Path) -> Box<dyn Letterbox> {
    Box::new(IndexedLetters::new(LetterFile { path: path.to_owned(), seen: None, scope: None, index: Index::new() }))
}

/// Reports every fault that adding letters to this file would find; makes nothing.
pub fn check(path: &Path) -> Result<(), SinkError> {
    let directory = directory(path);
    if !directory.is_dir() {
        return Err(SinkError::Unusable(format!(
            "the directory {} of the file for dead letters is missing: make it, or name another file",
            directory.display()
        )));
    }
    match OpenOptions::new().append(true).open(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(trouble(path, &error)),
        _ => {}
    }
    // The lock, and the file anew when letters are removed, are made beside it.
    tempfile::tempfile_in(directory).map(drop).map_err(|error| trouble(directory, &error))
}

/// The file's device, number and time of change when it was read.
type Seen = (u64, u64, Option<SystemTime>);

struct LetterFile {
    path: PathBuf,
    /// The state of the file as of which the index is.
    seen: Option<Seen>,
    /// The pipeline whose letters are in the index; none for all.
    scope: Option<String>,
    index: Index,
}

/// The fate says what becomes of a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stays,
    Goes,
    IsMarked,
}

impl LetterFile {
    fn trouble(&self, error: &std::io::Error) -> SinkError {
        trouble(&self.path, error)
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(suffix);
        self.path.with_file_name(name)
    }

    /// Hands out each whole line with its place in the file.
    fn each_line(&self, mut each: impl FnMut(i64, &[u8]) -> Result<(), SinkError>) -> Result<(), SinkError> {
        let file = match regular::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(self.trouble(&error)),
        };
        let (mut reader, mut position, mut line) = (BufReader::new(file), 0, Vec::new());
        loop {
            let read = read_line(&mut reader, &mut line).map_err(|e| self.trouble(&e))?;
            let Some(line) = line.strip_suffix(b"\n") else { return Ok(()) };
            if !line.is_empty() {
                each(position, line)?;
            }
            position += read;
        }
    }

    fn unreadable(&self, position: i64, why: &str) -> SinkError {
        SinkError::Unusable(format!(
            "{}: the line at byte {position} is no dead letter ({why}): mend it, or remove it while nobody writes",
            self.path.display()
        ))
    }

    fn place(&self, position: i64, line: &[u8]) -> Result<(LetterPlace, bool), SinkError> {
        line::place(line).map_err(|why| self.unreadable(position, &why))
    }

    fn changed(&self) -> Result<Option<Seen>, SinkError> {
        match fs::metadata(&self.path) {
            Ok(metadata) => Ok(Some((metadata.ino(), metadata.len(), metadata.modified().ok()))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.trouble(&error)),
        }
    }

    /// Writes the file anew, if any line changes. `fate` is asked with each line's place in the file and its letter's.
    fn rewrite(&mut self, mut fate: impl FnMut(i64, &LetterPlace) -> Fate) -> Result<(), SinkError> {
        let mut changes = false;
        self.each_line(|position, line| {
            changes |= fate(position, &self.place(position, line)?.0) != Fate::Stays;
            Ok(())
        })?;
        if !changes {
            return Ok(());
        }
        let new = self.beside(".new");
        let mut out = BufWriter::new(File::create(&new).map_err(|e| self.trouble(&e))?);
        self.each_line(|position, line| {
            let marked = match fate(position, &self.place(position, line)?.0) {
                Fate::Goes => return Ok(()),
                Fate::Stays => None,
                Fate::IsMarked => Some(self.marked(position, line)?),
            };
            let line = marked.as_deref().unwrap_or(line);
            out.write_all(line).and_then(|()| out.write_all(b"\n")).map_err(|e| self.trouble(&e))
        })?;
        let synced = out.into_inner().map_err(std::io::IntoInnerError::into_error).and_then(|file| file.sync_all());
        synced.and_then(|()| fs::rename(&new, &self.path)).map_err(|e| self.trouble(&e))?;
        self.sync_directory()
    }

    fn marked(&self, position: i64, line: &[u8]) -> Result<Vec<u8>, SinkError> {
        let Letter { pipeline, letter } = line::read(line).map_err(|why| self.unreadable(position, &why))?;
        let letter = DeadLetter { retry: true, ..letter };
        line::written(&pipeline, &letter).map_err(|why| self.unreadable(position, &why.to_string()))
    }

    /// Makes the file's name durable.
    fn sync_directory(&self) -> Result<(), SinkError> {
        let directory = File::open(directory(&self.path)).and_then(|directory| directory.sync_all());
        directory.map_err(|e| self.trouble(&e))
    }

    /// Cuts off what a crash left of a line; a whole letter that somebody wrote without an end gets one.
    fn end_last_line(&self, file: &mut File) -> Result<(), SinkError> {
        if ends_well(file).map_err(|e| self.trouble(&e))? {
            return Ok(());
        }
        let mut end = 0;
        self.each_line(|position, line| {
            end = position + i64::try_from(line.len()).unwrap_or(i64::MAX) + 1;
            Ok(())
        })?;
        let end = u64::try_from(end).unwrap_or(0);
        let mut rest = Vec::new();
        let read = file.seek(SeekFrom::Start(end)).and_then(|_| file.read_to_end(&mut rest));
        read.map_err(|e| self.trouble(&e))?;
        if rest.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        let mended = if line::read(&rest).is_ok() { file.write_all(b"\n") } else { file.set_len(end) };
        mended.map_err(|e| self.trouble(&e))
    }
}

impl Storage for LetterFile {
    fn lock(&mut self) -> Result<Option<File>, SinkError> {
        let path = self.beside(".lock");
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(|e| trouble(&path, &e))?;
        file.lock().map_err(|e| trouble(&path, &e))?;
        Ok(Some(file))
    }

    fn index(&mut self, pipeline: Option<&str>) -> Result<&Index, SinkError> {
        let now = self.changed()?;
        if now.is_none() || self.seen != now || self.scope.as_deref() != pipeline {
            let mut index = Index::new();
            self.each_line(|position, line| {
                let (place, retry) = self.place(position, line)?;
                if pipeline.is_none_or(|pipeline| pipeline == place.0) {
                    index.insert(place, Entry { position, retry });
                }
                if index.len() > MAX_LETTERS { Err(too_many(&self.path.display().to_string())) } else { Ok(()) }
            })?;
            (self.index, self.seen, self.scope) = (index, now, pipeline.map(str::to_owned));
        }
        Ok(&self.index)
    }

    fn read(&mut self, which: &[(LetterPlace, Entry)], bytes: usize) -> Result<Vec<Letter>, SinkError> {
        let mut positions: Vec<i64> = which.iter().map(|(_, entry)| entry.position).collect();
        positions.sort_unstable();
        let mut reader = BufReader::new(regular::open(&self.path).map_err(|e| self.trouble(&e))?);
        let (mut letters, mut line, mut at) = (Vec::with_capacity(which.len()), Vec::new(), 0);
        for position in positions {
            reader.seek_relative(position - at).map_err(|e| self.trouble(&e))?;
            at = position + read_line(&mut reader, &mut line).map_err(|e| self.trouble(&e))?;
            let mut found = line::read(&line).map_err(|why| self.unreadable(position, &why))?;
            for long in [&mut found.letter.key, &mut found.letter.value].into_iter().flatten() {
                long.truncate(bytes);
            }
            letters.push(found);
        }
        Ok(letters)
    }

    fn write(&mut self, pipeline: &str, letters: &[DeadLetter]) -> Result<(), SinkError> {
        let is_new = !self.path.exists();
        let open = OpenOptions::new().create(true).read(true).append(true).open(&self.path);
        let mut file = open.map_err(|e| self.trouble(&e))?;
        self.end_last_line(&mut file)?;
        let mut out = BufWriter::new(&file);
        for letter in letters {
            let line = line::written(pipeline, letter);
            let line = line.map_err(|e| SinkError::Unusable(format!("{}: {e}", self.path.display())))?;
            out.write_all(&line).and_then(|()| out.write_all(b"\n")).map_err(|e| self.trouble(&e))?;
        }
        out.flush().and_then(|()| file.sync_data()).map_err(|e| self.trouble(&e))?;
        if is_new { self.sync_directory() } else { Ok(()) }
    }

    fn mark(&mut self, which: &[(LetterPlace, Entry)]) -> Result<(), SinkError> {
        let positions: BTreeSet<i64> = which.iter().map(|(_, entry)| entry.position).collect();
        self.rewrite(|position, _| if positions.contains(&position) { Fate::IsMarked } else { Fate::Stays })
    }

    fn remove(&mut self, places: &[LetterPlace]) -> Result<(), SinkError> {
        let places: BTreeSet<&LetterPlace> = places.iter().collect();
        self.rewrite(|_, place| if places.contains(place) { Fate::Goes } else { Fate::Stays })
    }

    fn remove_from(
        &mut self,
        pipeline: &str,
        topic: &str,
        from: &BTreeMap<Partition, Offset>,
    ) -> Result<(), SinkError> {
        self.rewrite(|_, place| if is_from(place, pipeline, topic, from) { Fate::Goes } else { Fate::Stays })
    }
}

/// A line with its end, if it has one; says how many bytes it takes.
fn read_line(reader: &mut BufReader<File>, line: &mut Vec<u8>) -> std::io::Result<i64> {
    line.clear();
    let read = reader.by_ref().take(MAX_LINE).read_until(b'\n', line)?;
    if read as u64 == MAX_LINE {
        return Err(std::io::Error::other(format!("a line of more than {MAX_LINE} bytes")));
    }
    Ok(i64::try_from(read).unwrap_or(i64::MAX))
}

/// Says whether nothing follows the last line's end.
fn ends_well(file: &mut File) -> std::io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The error that a failed call means: somebody must change permissions or paths; a full disk may be emptied.
fn trouble(path: &Path, error: &std::io::Error) -> SinkError {
    let message = format!("dead letters in {}: {error}", path.display());
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::NotADirectory | ErrorKind::IsADirectory => {
            SinkError::Unusable(message)
        }
        _ => SinkError::Unavailable(message),
    }
}
