//! Checkpoint of one pipeline: its log and its tree.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lsm_tree::Slice;
use sluice_core::checkpoint::{Changes, Checkpoint, Group, StoreError};

use crate::disk;
use crate::log::{self, Log};
use crate::record::{self, COMMIT_BYTES, KEY_BYTES};
use crate::tree::{Shared, Tree};

/// The bytes of log that are written before the tree is. A start reads at most this and what came meanwhile: 8 MiB are about 150,000
/// groups and take 0.1 s. Less would write small files that are merged again and again; more is more memory for each pipeline
/// that writes, about four times as much.
const LOG_BYTES: u64 = 8 << 20;

/// The most bytes of log while the tree is being written. More means that the disk doesn't keep up: then commits wait.
/// Less would make a burst wait that the disk could take; more would make the start after a kill in a burst longer.
const BACKLOG_BYTES: u64 = 32 << 20;

/// The time that a commit waits for that, before it says so: longer than some merges take on a slow disk, shorter than people
/// wait for an explanation.
const BACKLOG_WAIT: Duration = Duration::from_secs(30);

/// The number of times that the tree is written before its files have to be merged. Each is a file that a read may have to look into; a
/// merge takes all of them at once, and commits may wait for it. Fewer would merge the same groups more often.
const UNMERGED: usize = 8;

/// The file that has the number of a commit that was made.
const REACHED: &str = "reached";

pub(crate) struct Pipeline {
    name: String,
    directory: PathBuf,
    tree: Tree,
    writer: Mutex<Writer>,
    /// The bytes of all logs, as of the last change.
    log_bytes: AtomicU64,
    /// Told when the tree was written, or couldn't be.
    written: Condvar,
}

struct Writer {
    log: Log,
    /// Earlier logs: whose commits are in the tree's memory only.
    earlier: Vec<PathBuf>,
    earlier_bytes: u64,
    /// Says whether the tree's memory was set aside to be written.
    sealed: bool,
    sequence: u64,
    /// A commit that was made, as a file of its own says: that fewer are there is damage, not the beginning.
    reached: u64,
    /// The reason why the tree couldn't be written the last time.
    trouble: Option<StoreError>,
    /// The pipeline was reset: its directory is no longer this one.
    closed: bool,
}

impl Pipeline {
    /// Opens the pipeline of this directory, or makes one: the tree, and the commits of the logs that it doesn't have yet.
    pub(crate) fn open(name: &str, directory: &Path, shared: &Shared) -> Result<Pipeline, StoreError> {
        disk::create_directory(directory).map_err(|error| disk::failed("create it", directory, &error))?;
        let tree = Tree::open(&directory.join("tree"), shared).map_err(|error| explain(name, error))?;
        let writer = replay(directory, &tree).map_err(|error| explain(name, error))?;
        let written = Condvar::new();
        Ok(Pipeline {
            name: name.to_owned(),
            directory: directory.to_path_buf(),
            tree,
            log_bytes: AtomicU64::new(writer.earlier_bytes + writer.log.bytes()),
            writer: Mutex::new(writer),
            written,
        })
    }

    pub(crate) fn head(&self) -> Result<Option<Checkpoint>, StoreError> {
        let head = read_head(&self.tree, &self.directory);
        head.map(|head| head.map(|(_, head)| head)).map_err(|error| self.explain(error))
    }

    pub(crate) fn states(&self, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let stored = self.tree.states(keys).map_err(|error| self.explain(error))?;
        let decoded = keys.iter().zip(&stored).map(|(key, stored)| match stored {
            Some(stored) => record::decode_state(key, stored).map(|state| Some(state.to_vec())),
            None => Some(None),
        });
        self.all_whole(decoded.collect())
    }

    pub(crate) fn scan(&self, after: Option<&[u8]>, limit: usize) -> Result<Vec<Group>, StoreError> {
        let stored = self.tree.scan(after, limit).map_err(|error| self.explain(error))?;
        let decoded = |(key, stored): (Vec<u8>, Slice)| {
            let state = record::decode_state(&key, &stored)?.to_vec();
            Some((key, state))
        };
        self.all_whole(stored.into_iter().map(decoded).collect())
    }

    /// The bytes that it takes on the disk. Doesn't wait for a commit that waits for the disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.log_bytes.load(Ordering::Relaxed) + self.tree.bytes()
    }

    fn count(&self, writer: &Writer) {
        self.log_bytes.store(writer.earlier_bytes + writer.log.bytes(), Ordering::Relaxed);
    }

    /// Begins a new log and sets the tree's memory aside, once the logs that it was read from are long enough together (after a
    /// start there may be several) and nothing is set aside. Answers whether something is, to be written.
    pub(crate) fn seal_if_due(&self) -> bool {
        let mut writer = self.lock();
        if writer.sealed || writer.closed || writer.earlier_bytes + writer.log.bytes() < LOG_BYTES {
            return writer.sealed;
        }
        // One without a commit has the name that the next one would have.
        if writer.log.bytes() > 0 {
            let log = match Log::create(log_path(&self.directory, writer.sequence + 1), LOG_BYTES) {
                Ok(log) => log,
                Err(error) => {
                    // The old log goes on, until the next try.
                    writer.trouble = Some(error);
                    return false;
                }
            };
            let full = std::mem::replace(&mut writer.log, log);
            writer.earlier_bytes += full.bytes();
            writer.earlier.push(full.path().to_path_buf());
        }
        writer.sealed = true;
        self.tree.seal();
        true
    }

    /// Makes the commit durable.
    pub(crate) fn commit(&self, head: &Checkpoint, changes: &Changes) -> Result<(), StoreError> {
        if let Some((key, _)) = changes.iter().find(|(key, _)| key.len() > KEY_BYTES) {
            let (name, bytes) = (&self.name, key.len());
            return Err(StoreError::Unusable(format!(
                "{name}: the key of a group has {bytes} bytes, and {KEY_BYTES} can be stored: group by something shorter"
            )));
        }
        let mut writer = self.room()?;
        let sequence = writer.sequence + 1;
        let head = record::encode_head(sequence, head)
            .map_err(|error| StoreError::Unusable(format!("{}: the head can't be stored: {error}", self.name)))?;
        let commit = record::encode_commit(sequence, &head, changes).ok_or_else(|| {
            let (name, bytes) = (&self.name, changes.bytes());
            StoreError::Unusable(format!(
                "{name}: a commit of {bytes} bytes is more than the {COMMIT_BYTES} that can be"
            ))
        })?;
        let first = writer.log.bytes() == 0;
        writer.log.append(&commit)?;
        writer.sequence = sequence;
        // Once a log, for it costs as much as a commit. One that fails is made up for with the next log, the first of all with the
        // next commit.
        if (first || writer.reached == 0) && write_reached(&self.directory, sequence).is_ok() {
            writer.reached = sequence;
        }
        self.count(&writer);
        self.tree.apply(&head, changes);
        Ok(())
    }

    /// The writer, once the tree is not too far behind the log.
    fn room(&self) -> Result<MutexGuard<'_, Writer>, StoreError> {
        let behind = |writer: &mut Writer| {
            !writer.closed && writer.trouble.is_none() && writer.earlier_bytes + writer.log.bytes() > BACKLOG_BYTES
        };
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.written.wait_timeout_while(writer, BACKLOG_WAIT, behind);
        let (mut writer, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if writer.closed {
            return Err(StoreError::Unavailable(format!("{}: was reset a moment ago; it is tried again", self.name)));
        }
        if writer.earlier_bytes + writer.log.bytes() <= BACKLOG_BYTES {
            return Ok(writer);
        }
        // Taken, because the next try begins with a new attempt to write the tree.
        let slow = || {
            StoreError::Unavailable(format!(
                "{}: the disk doesn't keep up; it is tried again",
                self.directory.display()
            ))
        };
        Err(writer.trouble.take().unwrap_or_else(slow))
    }

    /// Writes the commits that were set aside to the tree, and deletes the logs that are no longer needed. Returns true if it
    /// wrote.
    pub(crate) fn write(&self) -> bool {
        if !self.lock().sealed {
            return false;
        }
        let done = self.merge_enough().and_then(|()| self.tree.write());
        let mut writer = self.lock();
        match done {
            Ok(()) => {
                for log in std::mem::take(&mut writer.earlier) {
                    // One that stays is read at the next start, and found to be in the tree already.
                    let _ = std::fs::remove_file(log);
                }
                writer.earlier_bytes = 0;
                self.count(&writer);
                writer.sealed = false;
                writer.trouble = None;
            }
            Err(error) => writer.trouble = Some(self.explain(error)),
        }
        let written = !writer.sealed;
        drop(writer);
        self.written.notify_all();
        written
    }

    fn merge_enough(&self) -> Result<(), StoreError> {
        while self.tree.unmerged() >= UNMERGED && self.tree.merge()? {}
        Ok(())
    }

    /// Merges files of the tree, if that is due; answers whether there may be more to merge.
    pub(crate) fn merge(&self) -> bool {
        // A failure leaves the tree as it was; commits don't need the merge, and the next write of the tree tries again.
        let merged = !self.lock().closed && self.tree.merge().unwrap_or(false);
        if !merged {
            let _ = self.tree.forget_merged();
        }
        merged
    }

    /// Lets `remove` take the directory away; nothing is committed to it from then on.
    pub(crate) fn close(&self, remove: impl FnOnce() -> Result<(), StoreError>) -> Result<(), StoreError> {
        let mut writer = self.lock();
        remove()?;
        writer.closed = true;
        drop(writer);
        self.written.notify_all();
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all_whole<T>(&self, groups: Vec<Option<T>>) -> Result<Vec<T>, StoreError> {
        let (asked, damaged) = (groups.len(), groups.iter().filter(|group| group.is_none()).count());
        if damaged == 0 {
            return Ok(groups.into_iter().flatten().collect());
        }
        let directory = self.directory.display();
        let damage = format!("{directory}: the states of {damaged} of {asked} groups are not what was stored for them");
        Err(self.explain(StoreError::Damaged(damage)))
    }

    /// Explains damage: adds the files that have it.
    fn explain(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::Damaged(what) => {
                let files = self.tree.damaged_files();
                let files =
                    if files.is_empty() { String::new() } else { format!(" (tree/tables: {})", files.join(", ")) };
                explain(&self.name, StoreError::Damaged(format!("{what}{files}")))
            }
            other => other,
        }
    }
}

/// Explains damage: adds the pipeline that has it, and what can be done.
fn explain(name: &str, error: StoreError) -> StoreError {
    match error {
        StoreError::Damaged(what) => StoreError::Damaged(format!(
            "the checkpoint of pipeline {name} is damaged: {what}; bring the directory back from a copy, or start over with \
             `sluice state reset {name}`"
        )),
        other => other,
    }
}

/// The stored head and its commit's sequence number.
fn read_head(tree: &Tree, directory: &Path) -> Result<Option<(u64, Checkpoint)>, StoreError> {
    let damaged = |reason| StoreError::Damaged(format!("{}: the head: {reason}", directory.display()));
    tree.head()?.map(|stored| record::decode_head(&stored).map_err(damaged)).transpose()
}

/// Applies the commits of the logs that the tree doesn't have.
fn replay(directory: &Path, tree: &Tree) -> Result<Writer, StoreError> {
    let reached = read_reached(directory)?;
    let mut sequence = read_head(tree, directory)?.map_or(0, |(sequence, _)| sequence);
    let names = disk::names(directory).map_err(|error| disk::failed("read it", directory, &error))?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| name.strip_prefix("log.")?.parse().ok()).collect();
    numbers.sort_unstable();
    let (mut earlier, mut earlier_bytes, mut end) = (Vec::new(), 0, 0);
    for first in numbers {
        let path = log_path(directory, first);
        follows(&path, first, sequence)?;
        end = log::read(&path, |commit| {
            follows(&path, commit.sequence, sequence)?;
            if commit.sequence > sequence {
                tree.apply(&commit.head, &commit.changes);
                sequence = commit.sequence;
            }
            Ok(())
        })?;
        earlier_bytes += end;
        earlier.push(path);
    }
    if sequence < reached {
        let directory = directory.display();
        return Err(StoreError::Damaged(format!(
            "{directory}: commit {reached} was made, and commit {sequence} is the last that is there"
        )));
    }
    let log = match earlier.pop() {
        Some(path) => Log::reopen(path, end)?,
        None => Log::create(log_path(directory, sequence + 1), LOG_BYTES)?,
    };
    earlier_bytes -= log.bytes();
    Ok(Writer { log, earlier, earlier_bytes, sealed: false, sequence, reached, trouble: None, closed: false })
}

/// A commit that was made; 0 where nothing says so.
fn read_reached(directory: &Path) -> Result<u64, StoreError> {
    let path = directory.join(REACHED);
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            text.parse().map_err(|_| StoreError::Damaged(format!("{}: is not the number of a commit", path.display())))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        Err(error) => Err(disk::failed("read it", &path, &error)),
    }
}

fn write_reached(directory: &Path, sequence: u64) -> std::io::Result<()> {
    disk::write_whole(&directory.join(REACHED), sequence.to_string().as_bytes())
}

/// Checks that this commit is the one after the last, or one that is there already.
fn follows(log: &Path, sequence: u64, last: u64) -> Result<(), StoreError> {
    if sequence <= last + 1 {
        return Ok(());
    }
    let log = log.display();
    Err(StoreError::Damaged(format!(
        "{log}: goes on with commit {sequence}, and commit {last} is the last that is there"
    )))
}

/// Returns the path of a log. It is named by its first commit, so that a missing file before it is noticed.
fn log_path(directory: &Path, first: u64) -> PathBuf {
    directory.join(format!("log.{first}"))
}
