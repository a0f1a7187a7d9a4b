//! `sqlite = { path = … }`: a SQLite database.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use sluice_connectors::letters::Letterbox;
use sluice_connectors::lookup::{Caches, LookupTable};
use sluice_connectors::sink::{Sink, SinkError, Target};
use sluice_connectors::sqlite::{SqliteConnection, SqliteSink};
use sluice_connectors::transaction::{Ledger, TransactionSink, Written};
use sluice_core::Field;
use sluice_core::lookup::{Lookup, LookupError};

use super::{
    Connection, Connector, LettersRole, LookupForm, LookupRole, Place, SinkRole, TableName, TransactionRole, cache,
};
use crate::config::reader::Section;
use crate::config::value;

pub static CONNECTOR: Connector = Connector {
    name: "sqlite",
    example: r#"{ path = "live.db" }"#,
    source: false,
    lookup: Some(LookupForm::TABLE),
    sink: Some(Place::Table),
    letters: Some(Place::Table),
    read,
};

fn read(section: &Section<'_>, root: &Path) -> Option<Arc<dyn Connection>> {
    let want = r#"a database's file such as "live.db""#;
    let path = section.required("path", want, |item| value::path(&item, root, want));
    let cache = cache::read(section);
    Some(Arc::new(SqliteConnection { path: path?, caches: Caches::new(cache?) }))
}

impl Connection for SqliteConnection {
    fn connector(&self) -> &'static Connector {
        &CONNECTOR
    }

    fn lookup(&self) -> Option<&dyn LookupRole> {
        Some(self)
    }

    fn sink(&self) -> Option<&dyn SinkRole> {
        Some(self)
    }

    fn letters(&self) -> Option<&dyn LettersRole> {
        Some(self)
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.path)
    }
}

impl LookupRole for SqliteConnection {
    fn open(&self, table: &LookupTable) -> Result<Box<dyn Lookup>, LookupError> {
        SqliteConnection::lookup(self, table)
    }

    fn check(&self, table: &LookupTable) -> Result<(), LookupError> {
        self.check_lookup(table)
    }
}

#[async_trait]
impl SinkRole for SqliteConnection {
    async fn open_sink(&self, target: &Target, fields: &[Field]) -> Result<Box<dyn Sink>, SinkError> {
        Ok(Box::new(SqliteSink::open(self, target, fields).await?))
    }

    async fn check_sink(&self, target: &Target, fields: &[Field]) -> Result<(), SinkError> {
        SqliteConnection::check(self, target, fields).await
    }

    async fn has_rows(&self, table: &str) -> Result<bool, SinkError> {
        SqliteConnection::has_rows(self, table).await
    }

    /// The file and the table. SQLite's names have no case.
    fn place(&self, table: &str) -> TableName {
        (canonical(&self.path), table.to_lowercase())
    }

    fn transactions(&self) -> Option<&dyn TransactionRole> {
        Some(self)
    }
}

#[async_trait]
impl TransactionRole for SqliteConnection {
    async fn open_ledger(&self, ledger: &Ledger, fields: &[Field]) -> Result<Box<dyn TransactionSink>, SinkError> {
        SqliteConnection::open_transactions(self, ledger, fields).await
    }

    async fn check_ledger(&self, ledger: &Ledger, fields: &[Field]) -> Result<(), SinkError> {
        SqliteConnection::check_transactions(self, ledger, fields).await
    }

    async fn written(&self, pipeline: &str, topic: &str) -> Result<Written, SinkError> {
        SqliteConnection::written(self, pipeline, topic).await
    }
}

#[async_trait]
impl LettersRole for SqliteConnection {
    fn letters(&self, table: &str) -> Result<Box<dyn Letterbox>, SinkError> {
        Ok(SqliteConnection::letters(self, table))
    }

    async fn open_letters(&self, table: &str, create: bool) -> Result<Box<dyn Letterbox>, SinkError> {
        SqliteConnection::open_letters(self, table, create).await
    }

    async fn check_letters(&self, table: &str, create: bool) -> Result<(), SinkError> {
        SqliteConnection::check_letters(self, table, create).await
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
