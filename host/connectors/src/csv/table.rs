//! A file in memory.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use ::csv::StringRecord;
use arrow_array::{ArrayRef, UInt32Array};
use sluice_core::column::ColumnBuilder;
use sluice_core::lookup::{Found, LookupError};

use crate::lookup::LookupColumn;
use crate::{asking, regular};

/// The largest file that is read. It is held in memory beside its keys, so a larger table belongs into HBase.
const MAX_BYTES: u64 = 64 << 20;

/// The header of the column that holds the keys.
const KEY: &str = "rowkey";

/// The stamp that tells that a file changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Device and number: another file may have been put in its place.
    file: (u64, u64),
    /// The last change of anything, in seconds and nanoseconds: unlike the time of the last writing, nobody can set it.
    changed: (i64, i64),
    bytes: u64,
}

/// The asked columns of a file.
pub(super) struct Table {
    pub(super) stamp: Stamp,
    /// The last line of each key.
    lines: HashMap<Box<[u8]>, u32, foldhash::fast::RandomState>,
    /// The columns, by line.
    columns: Vec<ArrayRef>,
}

/// The file as it is now.
pub(super) fn stamp(path: &Path) -> Result<Stamp, LookupError> {
    let metadata = asking::ask(path, |path| path.metadata()).map_err(|e| unreadable(path, &e))?;
    let (file, changed) = ((metadata.dev(), metadata.ino()), (metadata.ctime(), metadata.ctime_nsec()));
    Ok(Stamp { file, changed, bytes: metadata.len() })
}

impl Table {
    /// Reads the whole file.
    pub(super) fn read(path: &Path, columns: &[LookupColumn]) -> Result<Table, LookupError> {
        // Before the reading: a change meanwhile is then seen as one.
        let stamp = stamp(path)?;
        if stamp.bytes > MAX_BYTES {
            return Err(too_large(path));
        }
        let bytes = regular::read(path, MAX_BYTES + 1).map_err(|e| unreadable(path, &e))?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(too_large(path));
        }
        Table::parse(path, &bytes, columns, stamp)
    }

    /// The rows of these keys.
    pub(super) fn get(&self, keys: &[&[u8]]) -> Result<Found, LookupError> {
        let lines: UInt32Array = keys.iter().map(|key| self.lines.get(*key).copied()).collect();
        let take = |column: &ArrayRef| arrow_select::take::take(column, &lines, None);
        let columns = self.columns.iter().map(take).collect::<Result<_, _>>();
        let columns = columns.map_err(|e| LookupError::Unusable(format!("the rows can't be taken: {e}")))?;
        Ok(Found { found: lines.iter().map(|line| line.is_some()).collect(), columns, unfit: Vec::new() })
    }

    fn parse(path: &Path, bytes: &[u8], columns: &[LookupColumn], stamp: Stamp) -> Result<Table, LookupError> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut reader = ::csv::ReaderBuilder::new().from_reader(bytes);
        let header = reader.headers().map_err(|e| malformed(path, &e))?;
        let (key, places) = places(path, header, columns)?;
        let mut lines: HashMap<Box<[u8]>, u32, foldhash::fast::RandomState> = HashMap::default();
        let mut builders: Vec<_> = columns.iter().map(|column| ColumnBuilder::new(column.kind)).collect();
        let mut record = StringRecord::new();
        let mut line = 0;
        while reader.read_record(&mut record).map_err(|e| malformed(path, &e))? {
            lines.insert(record.get(key).unwrap_or_default().as_bytes().into(), line);
            for ((builder, column), place) in builders.iter_mut().zip(columns).zip(&places) {
                let value = record.get(*place).filter(|value| !value.is_empty());
                builder.append_text(value).map_err(|_| misread(path, &record, column, value))?;
            }
            line += 1;
        }
        Ok(Table { stamp, lines, columns: builders.iter_mut().map(ColumnBuilder::finish).collect() })
    }
}

/// The places of the key and the columns in a line.
fn places(path: &Path, header: &StringRecord, columns: &[LookupColumn]) -> Result<(usize, Vec<usize>), LookupError> {
    let place = |name: &str| header.iter().position(|column| column == name);
    let names = [KEY].into_iter().chain(columns.iter().map(|column| column.name.as_str()));
    let missing: Vec<_> = names.filter(|name| place(name).is_none()).collect();
    match (place(KEY), columns.iter().map(|column| place(&column.name)).collect::<Option<Vec<_>>>()) {
        (Some(key), Some(places)) => Ok((key, places)),
        _ => Err(LookupError::Unusable(format!(
            "{}, line 1: the header has no column {}; it has {}: add it, or name another one",
            path.display(),
            missing.join(", "),
            header.iter().collect::<Vec<_>>().join(", ")
        ))),
    }
}

/// The error of a value that is none of its column's kind.
fn misread(path: &Path, record: &StringRecord, column: &LookupColumn, value: Option<&str>) -> LookupError {
    let line = record.position().map_or(0, ::csv::Position::line);
    let (name, kind, value) = (&column.name, column.kind, value.unwrap_or_default());
    let words = format!("{}, line {line}: `{name}` is {value:?}, which is no {kind}: correct it", path.display());
    LookupError::Unusable(words)
}

fn unreadable(path: &Path, e: &std::io::Error) -> LookupError {
    let path = path.display();
    match e.kind() {
        ErrorKind::NotFound => LookupError::Unusable(format!(
            "{path} is missing: write it, with the header rowkey,… and a line for each row"
        )),
        ErrorKind::TimedOut => LookupError::Unavailable(format!("{path} can't be read: {e}")),
        _ => LookupError::Unusable(format!("{path} can't be read: {e}")),
    }
}

fn too_large(path: &Path) -> LookupError {
    LookupError::Unusable(format!(
        "{} is larger than {} MiB: put the table into HBase",
        path.display(),
        MAX_BYTES >> 20
    ))
}

fn malformed(path: &Path, e: &::csv::Error) -> LookupError {
    let line = e.position().map_or_else(String::new, |position| format!(", line {}", position.line()));
    let what = match e.kind() {
        ::csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} fields, where the header has {expected_len}")
        }
        ::csv::ErrorKind::Utf8 { .. } => "no UTF-8 text".into(),
        _ => e.to_string(),
    };
    LookupError::Unusable(format!("{}{line}: {what}: correct the line", path.display()))
}
