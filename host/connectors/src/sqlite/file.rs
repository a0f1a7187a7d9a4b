//! The database file, and connections to it.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};

use super::error;
use crate::sink::SinkError;

/// How long a statement waits for another writer of the file. Transactions take milliseconds; a reader never blocks one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the database is.
#[derive(Debug, Clone)]
pub(super) struct File {
    path: PathBuf,
}

impl File {
    pub(super) fn new(path: &Path) -> File {
        File { path: path.to_path_buf() }
    }

    /// Whether the file is there already.
    pub(super) fn exists(&self) -> bool {
        self.path.exists()
    }

    /// The file, to be written; made if it is missing.
    pub(super) async fn open(&self) -> Result<sqlx::SqliteConnection, SinkError> {
        self.find_directory()?;
        // Full: a transaction is on the disk when it is confirmed, also if the machine stops the next moment.
        let options = SqliteConnectOptions::new()
            .filename(&self.path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        self.connect(options).await
    }

    /// The file as it is, not to be changed.
    pub(super) async fn open_to_read(&self) -> Result<sqlx::SqliteConnection, SinkError> {
        self.connect(SqliteConnectOptions::new().filename(&self.path).read_only(true)).await
    }

    /// Begins a transaction. Immediate: waits for another writer now, rather than fails at the first row.
    pub(super) async fn begin(&self, connection: &mut sqlx::SqliteConnection) -> Result<(), SinkError> {
        self.run(sqlx::query("BEGIN IMMEDIATE").execute(connection)).await.map(drop)
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

    /// What is wrong with the place of a file that would be made.
    pub(super) fn find_directory(&self) -> Result<(), SinkError> {
        match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() && !parent.is_dir() => Err(SinkError::Unusable(format!(
                "the directory {} of the SQLite file is missing: make it, or name another path",
                parent.display()
            ))),
            _ => Ok(()),
        }
    }

    /// What keeps this user from writing the file, and those that SQLite makes beside it.
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
