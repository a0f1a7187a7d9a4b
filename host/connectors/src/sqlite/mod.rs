//! Upserts into SQLite.

use std::path::PathBuf;

use async_trait::async_trait;
use sluice_core::Field;

use crate::sink::{Constraint, Rows, Sink, SinkError, Target};

/// An SQLite database file.
#[derive(Debug, Clone)]
pub struct SqliteConnection {
    /// The file; made when a sink is opened and it is missing.
    pub path: PathBuf,
}

impl SqliteConnection {
    /// Everything that opening a sink would find at fault, without making a file or a table.
    pub async fn check(&self, _target: &Target, _fields: &[Field]) -> Result<(), SinkError> {
        Err(SinkError::Unusable("SQLite is not there yet".into()))
    }
}

/// An SQLite table that takes upserts.
pub struct SqliteSink {
    constraints: Vec<Constraint>,
}

impl SqliteSink {
    /// Opens the file, checks the table against the fields, and makes it if it is missing and the target says so.
    pub async fn open(
        _connection: &SqliteConnection,
        _target: &Target,
        _fields: &[Field],
    ) -> Result<SqliteSink, SinkError> {
        Err(SinkError::Unusable("SQLite is not there yet".into()))
    }
}

#[async_trait]
impl Sink for SqliteSink {
    fn constraints(&self) -> &[Constraint] {
        &self.constraints
    }

    async fn upsert(&mut self, _rows: &Rows) -> Result<(), SinkError> {
        Err(SinkError::Unusable("SQLite is not there yet".into()))
    }
}
