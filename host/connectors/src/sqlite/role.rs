//! The connection as a sink.

use std::fs;
use std::path::Path;

use async_trait::async_trait;
use sluice_core::Field;
use sqlx::AssertSqlSafe;

use super::describe::{Described, describe};
use super::file::File;
use super::{SqliteConnection, SqliteSink, sink};
use crate::roles::{SinkRole, TableName, TransactionRole};
use crate::sink::{Sink, SinkError, Target};
use crate::sql::Dialect;

#[async_trait]
impl SinkRole for SqliteConnection {
    async fn open_sink(&self, target: &Target, fields: &[Field]) -> Result<Box<dyn Sink>, SinkError> {
        Ok(Box::new(SqliteSink::open(self, target, fields).await?))
    }

    async fn check_sink(&self, target: &Target, fields: &[Field]) -> Result<(), SinkError> {
        sink::check(self, target, fields).await
    }

    async fn has_rows(&self, table: &str) -> Result<bool, SinkError> {
        let file = File::new(&self.path);
        if !file.exists() {
            return Ok(false);
        }
        let mut connection = file.open_to_read().await?;
        if matches!(file.run(describe(&mut connection, table)).await?, Described::Missing) {
            return Ok(false);
        }
        // The name is quoted.
        let sql = AssertSqlSafe(format!("SELECT 1 FROM {} LIMIT 1", Dialect::Sqlite.quote(table)));
        Ok(file.run(sqlx::query(sql).fetch_optional(&mut connection)).await?.is_some())
    }

    /// The file and the table. SQLite's names have no case.
    fn place(&self, table: &str) -> TableName {
        (canonical(&self.path), table.to_lowercase())
    }

    fn transactions(&self) -> Option<&dyn TransactionRole> {
        Some(self)
    }
}

/// The file, by the directory that it is in: it may not be there yet.
fn canonical(path: &Path) -> String {
    let directory = path.parent().and_then(|directory| fs::canonicalize(directory).ok());
    let place = fs::canonicalize(path).ok().or_else(|| Some(directory?.join(path.file_name()?)));
    place.as_deref().unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_the_same_by_every_path() {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str, table: &str| SqliteConnection::new(directory.path().join(name)).place(table);
        let one = place("live.db", "gifts");
        assert_eq!(one, place("./live.db", "GIFTS"));
        assert_ne!(one, place("other.db", "gifts"));
        fs::write(directory.path().join("live.db"), "").unwrap();
        std::os::unix::fs::symlink(directory.path().join("live.db"), directory.path().join("linked.db")).unwrap();
        assert_eq!(place("linked.db", "gifts"), place("live.db", "gifts"));
    }
}
