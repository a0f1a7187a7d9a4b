//! A table of dead letters as a letterbox.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sluice_core::dead_letter::{self, DeadLetter, LetterId};
use sluice_core::{Offset, Partition};

use super::letters::{LetterSql, Statement};
use crate::letters::{Filter, Letter, LetterPlace, Letterbox, without_records};
use crate::sink::{Rows, Sink, SinkError};

/// A connection that runs statements. Each call is a transaction.
#[async_trait]
pub(crate) trait Session: Send {
    /// Says whether there is such a table.
    async fn has_table(&mut self, table: &str) -> Result<bool, SinkError>;

    /// The letters that the statement selects.
    async fn select(&mut self, statement: &Statement) -> Result<Vec<Letter>, SinkError>;

    /// Runs the statements, and says how many rows they changed.
    async fn execute(&mut self, statements: &[Statement]) -> Result<u64, SinkError>;
}

/// Letters in a table. Writing is an upsert like any sink's; the rest goes through a connection of its own.
pub(crate) struct TableLetters<S> {
    session: S,
    sql: LetterSql,
    /// Sink that adds letters; none where letters are only read.
    sink: Option<Box<dyn Sink>>,
    table: String,
    /// True if the table was found. To ask again for each letter of a page would take longer than the letters.
    seen: bool,
}

impl<S: Session> TableLetters<S> {
    pub(crate) fn new(session: S, sql: LetterSql, table: &str, sink: Option<Box<dyn Sink>>) -> TableLetters<S> {
        TableLetters { session, sql, seen: sink.is_some(), sink, table: table.to_owned() }
    }

    /// Returns true if the table exists. It need not exist before there is a letter.
    async fn is_there(&mut self) -> Result<bool, SinkError> {
        self.seen = self.seen || self.session.has_table(&self.table).await?;
        Ok(self.seen)
    }

    async fn change(&mut self, statements: &[Statement]) -> Result<u64, SinkError> {
        if statements.is_empty() || !self.is_there().await? {
            return Ok(0);
        }
        self.session.execute(statements).await
    }
}

#[async_trait]
impl<S: Session> Letterbox for TableLetters<S> {
    async fn write(&mut self, pipeline: &str, letters: &[DeadLetter]) -> Result<(), SinkError> {
        let sink = self.sink.as_mut().ok_or_else(|| SinkError::Unusable("the table is open for reading".to_owned()))?;
        let rows =
            |letters: &[DeadLetter]| Rows { rows: letters.len(), columns: dead_letter::columns(pipeline, letters) };
        let whole = rows(letters);
        match sink.upsert(&whole).await {
            Err(SinkError::Rows(_)) => {}
            other => return other,
        }
        let refused = sink.refused(&whole).await?;
        sink.upsert(&rows(&without_records(letters, &refused))).await
    }

    async fn remove(&mut self, pipeline: &str, ids: &[LetterId]) -> Result<(), SinkError> {
        let statements = self.sql.remove(pipeline, ids);
        self.change(&statements).await.map(drop)
    }

    async fn remove_from(
        &mut self,
        pipeline: &str,
        topic: &str,
        from: &BTreeMap<Partition, Offset>,
    ) -> Result<(), SinkError> {
        let statements = self.sql.remove_from(pipeline, topic, from);
        self.change(&statements).await.map(drop)
    }

    async fn find(&mut self, filter: &Filter, after: Option<&LetterPlace>) -> Result<Vec<Letter>, SinkError> {
        if !self.is_there().await? {
            return Ok(Vec::new());
        }
        let statement = self.sql.find(filter, after)?;
        self.session.select(&statement).await
    }

    async fn read(&mut self, place: &LetterPlace) -> Result<Option<DeadLetter>, SinkError> {
        if !self.is_there().await? {
            return Ok(None);
        }
        let found = self.session.select(&self.sql.read(place)).await?;
        Ok(found.into_iter().next().map(|found| found.letter))
    }

    async fn mark(&mut self, filter: &Filter) -> Result<u64, SinkError> {
        let statement = self.sql.mark(filter)?;
        self.change(&[statement]).await
    }

    async fn discard(&mut self, filter: &Filter) -> Result<u64, SinkError> {
        let statement = self.sql.discard(filter)?;
        self.change(&[statement]).await
    }
}
