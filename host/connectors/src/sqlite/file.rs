//! The database file, and connections to it.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};

use super::error;
use crate::sink::SinkError;

/// The longest that a statement waits for another writer of the file. Transactions take milliseconds; a reader never blocks one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The databases that this process opened to write, by their paths: as many as there are in configuration.
static OPENED: Mutex<BTreeMap<PathBuf, Files>> = Mutex::new(BTreeMap::new());

/// A database's files.
struct Files {
    file: Option<String>,
    /// Files that SQLite put beside the database, with their numbers.
    beside: Vec<(PathBuf, u64)>,
}

/// The file of the database.
#[derive(Debug, Clone)]
pub(super) struct File {
    path: PathBuf,
}

impl File {
    pub(super) fn new(path: &Path) -> File {
        File { path: path.to_path_buf() }
    }

    /// Says whether the file is there already.
    pub(super) fn exists(&self) -> bool {
        self.path.exists()
    }

    /// The file, to be written; made if it is missing, and then for this user alone: SQLite gives the files that it puts beside it
    /// the same mode.
    pub(super) async fn open(&self) -> Result<sqlx::SqliteConnection, SinkError> {
        self.find_directory()?;
        self.make().map_err(|error| self.error(&sqlx::Error::Io(error)))?;
        self.open_existing().await
    }

    fn make(&self) -> std::io::Result<()> {
        let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = opened.get(&self.path)
            && before.file != self.identity()
        {
            // What an earlier file of this name left beside it: SQLite would take it as this one's, and cut short what connections to
            // the earlier one have mapped into memory, which ends the process.
            for (beside, number) in &before.beside {
                if std::fs::metadata(beside).is_ok_and(|file| file.ino() == *number) {
                    std::fs::remove_file(beside)?;
                }
            }
            opened.remove(&self.path);
        }
        match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    /// Remembers which files there are, now that they are open.
    fn remember(&self) {
        let beside = ["-wal", "-shm"].into_iter().filter_map(|ending| {
            let mut path = self.path.clone().into_os_string();
            path.push(ending);
            let number = std::fs::metadata(&path).ok()?.ino();
            Some((PathBuf::from(path), number))
        });
        let files = Files { file: self.identity(), beside: beside.collect() };
        OPENED.lock().unwrap_or_else(PoisonError::into_inner).insert(self.path.clone(), files);
    }

    /// The file, to be written; not if it is missing.
    pub(super) async fn open_existing(&self) -> Result<sqlx::SqliteConnection, SinkError> {
        // Full: a transaction is on the disk when it is confirmed, also if the machine stops the next moment.
        let options = SqliteConnectOptions::new()
            .filename(&self.path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        let connection = self.connect(options).await?;
        self.remember();
        Ok(connection)
    }

    /// The identity of the file that the path leads to now, if there is one: its number, and when it was made, as numbers
    /// are used again. The device's number may be another after a restart of the machine, and counts only where no time is
    /// known.
    pub(super) fn identity(&self) -> Option<String> {
        let file = std::fs::metadata(&self.path).ok()?;
        let made = file.created().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        let made = made.and_then(|since| sluice_core::time::shown(i64::try_from(since.as_micros()).ok()?));
        let number = file.ino();
        Some(match made {
            Some(time) => format!("the file {number}, made at {time} UTC"),
            None => format!("the file {}:{number}", file.dev()),
        })
    }

    /// The file as it is, not to be changed.
    pub(super) async fn open_to_read(&self) -> Result<sqlx::SqliteConnection, SinkError> {
        self.connect(SqliteConnectOptions::new().filename(&self.path).read_only(true)).await
    }

    /// Begins a transaction. Immediate: waits for another writer now, rather than fails at the first row.
    pub(super) async fn begin(&self, connection: &mut sqlx::SqliteConnection) -> Result<(), SinkError> {
        self.run(sqlx::query("BEGIN IMMEDIATE").execute(connection)).await.map(drop)
    }

    /// Returns true if the connection is still in the transaction that it began: a constraint can end it, and SQL has no other
    /// way to ask.
    pub(super) async fn is_in_transaction(&self, connection: &mut sqlx::SqliteConnection) -> bool {
        let begun = sqlx::query("BEGIN").execute(connection).await;
        begun.is_err_and(|error| error.to_string().contains("within a transaction"))
    }

    /// Makes the transaction durable.
    pub(super) async fn commit(&self, connection: &mut sqlx::SqliteConnection) -> Result<(), SinkError> {
        self.run(sqlx::query("COMMIT").execute(connection)).await.map(drop)
    }

    /// Waits for an answer.
    pub(super) async fn run<T>(&self, call: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, SinkError> {
        call.await.map_err(|e| self.error(&e))
    }

    /// An error of SQLite's in words.
    pub(super) fn error(&self, error: &sqlx::Error) -> SinkError {
        error::sink_error(&self.path, error)
    }

    /// Reports the fault of the place where the file would be made.
    pub(super) fn find_directory(&self) -> Result<(), SinkError> {
        match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() && !parent.is_dir() => Err(SinkError::Unusable(format!(
                "the directory {} of the SQLite file is missing: make it, or name another path",
                parent.display()
            ))),
            _ => Ok(()),
        }
    }

    /// Reports what keeps this user from writing the file, and the files that SQLite makes beside it.
    pub(super) fn check_writable(&self) -> Result<(), SinkError> {
        let unusable = |what: String| SinkError::Unusable(format!("{what}: let the user that runs sluice write there"));
        let file = OpenOptions::new().write(true).open(&self.path);
        if let Err(error) = file
            && error.kind() != ErrorKind::NotFound
        {
            return Err(unusable(format!("the SQLite file {} can't be written ({error})", self.path.display())));
        }
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        tempfile::tempfile_in(directory).map(drop).map_err(|error| {
            let directory = directory.display();
            unusable(format!(
                "no file can be made in {directory}, where SQLite keeps its journal beside the file ({error})"
            ))
        })
    }

    pub(super) fn path(&self) -> std::path::Display<'_> {
        self.path.display()
    }

    async fn connect(&self, options: SqliteConnectOptions) -> Result<sqlx::SqliteConnection, SinkError> {
        let options = options.busy_timeout(BUSY_TIMEOUT).disable_statement_logging();
        sqlx::SqliteConnection::connect_with(&options).await.map_err(|e| self.error(&e))
    }
}
