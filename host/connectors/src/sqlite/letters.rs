//! Dead letters in an SQLite table.

use async_trait::async_trait;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, AssertSqlSafe};

use super::describe::{Described, describe};
use super::file::File;
use super::{SqliteConnection, SqliteSink, sink};
use crate::letters::{Letter, Letterbox};
use crate::roles::LettersRole;
use crate::sink::SinkError;
use crate::sql::{Argument, Dialect, LetterSql, Session, Statement, TableLetters, letter, letter_target};

#[async_trait]
impl LettersRole for SqliteConnection {
    fn letters(&self, table: &str) -> Result<Box<dyn Letterbox>, SinkError> {
        let session = SqliteSession { file: File::new(&self.path) };
        Ok(Box::new(TableLetters::new(session, LetterSql::new(Dialect::Sqlite, table), table, None)))
    }

    async fn check_letters(&self, table: &str, create: bool) -> Result<(), SinkError> {
        sink::check(self, &letter_target(table, create), &sluice_core::dead_letter::fields()).await
    }

    async fn open_letters(&self, table: &str, create: bool) -> Result<Box<dyn Letterbox>, SinkError> {
        let fields = sluice_core::dead_letter::fields();
        let sink = SqliteSink::open(self, &letter_target(table, create), &fields).await?;
        let session = SqliteSession { file: File::new(&self.path) };
        Ok(Box::new(TableLetters::new(session, LetterSql::new(Dialect::Sqlite, table), table, Some(Box::new(sink)))))
    }
}

/// Opens the file for each call: they are rare, and cost no server anything.
struct SqliteSession {
    file: File,
}

impl SqliteSession {
    fn error(&self, error: &sqlx::Error) -> SinkError {
        self.file.error(error)
    }
}

pub(super) fn arguments(statement: &Statement) -> Result<SqliteArguments, sqlx::Error> {
    let mut arguments = SqliteArguments::default();
    for argument in &statement.arguments {
        let added = match argument {
            Argument::Text(text) => arguments.add(text.clone()),
            Argument::Integer(number) => arguments.add(*number),
        };
        added.map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

#[async_trait]
impl Session for SqliteSession {
    async fn has_table(&mut self, table: &str) -> Result<bool, SinkError> {
        if !self.file.exists() {
            return Ok(false);
        }
        let mut connection = self.file.open_to_read().await?;
        let described = describe(&mut connection, table).await.map_err(|e| self.error(&e))?;
        Ok(!matches!(described, Described::Missing))
    }

    async fn select(&mut self, statement: &Statement) -> Result<Vec<Letter>, SinkError> {
        let mut connection = self.file.open_to_read().await?;
        let arguments = arguments(statement).map_err(|e| self.error(&e))?;
        let query = sqlx::query_with(AssertSqlSafe(statement.sql.as_str()), arguments);
        let rows = query.fetch_all(&mut connection).await.map_err(|e| self.error(&e))?;
        rows.iter().map(|row| letter(row).map_err(|e| self.error(&e))).collect()
    }

    async fn execute(&mut self, statements: &[Statement]) -> Result<u64, SinkError> {
        let mut connection = self.file.open().await?;
        let begin = sqlx::query("BEGIN IMMEDIATE").execute(&mut connection);
        begin.await.map_err(|e| self.error(&e))?;
        let mut changed = 0;
        for statement in statements {
            let arguments = arguments(statement).map_err(|e| self.error(&e))?;
            let query = sqlx::query_with(AssertSqlSafe(statement.sql.as_str()), arguments);
            changed += query.execute(&mut connection).await.map_err(|e| self.error(&e))?.rows_affected();
        }
        let commit = sqlx::query("COMMIT").execute(&mut connection);
        commit.await.map_err(|e| self.error(&e))?;
        Ok(changed)
    }
}
