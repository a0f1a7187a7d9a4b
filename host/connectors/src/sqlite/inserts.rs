//! Rows into a table, within whatever transaction the connection is in.

use std::ops::Range;

use sluice_core::dead_letter::{self, DeadLetter};
use sqlx::{AssertSqlSafe, SqliteConnection as Connection};

use super::file::File;
use super::{bind, error};
use crate::letters::without_records;
use crate::sink::{Refused, Rows, SinkError};
use crate::sql::{Inserted, Search, Upsert, UpsertPlan, Values, Words};

/// The most rows in a statement. A statement is a message to the driver's thread, which this many rows outweigh; many more
/// rows only make its preparation longer.
const MAX_ROWS: usize = 128;

/// The most placeholders that SQLite takes by default (`SQLITE_MAX_VARIABLE_NUMBER`).
const MAX_BINDS: usize = 32_766;

/// The statements for one table.
pub(super) struct Inserts {
    pub(super) plan: UpsertPlan,
    statements: Upsert,
}

impl Inserts {
    pub(super) fn new(plan: UpsertPlan) -> Inserts {
        Inserts { statements: Upsert::new(&plan, MAX_ROWS, MAX_BINDS), plan }
    }

    /// Writes the rows; commits nothing.
    pub(super) async fn write(
        &mut self,
        file: &File,
        connection: &mut Connection,
        rows: &Rows,
    ) -> Result<(), SinkError> {
        let values = self.plan.values(rows)?;
        let mut written = 0;
        while let Some(chunk) = self.statements.next_chunk(&values, written, rows.rows) {
            written = chunk.end;
            match insert(&mut self.statements, file, connection, &values, chunk).await? {
                Inserted::Taken => {}
                Inserted::Refused(words) => return Err(words.into()),
            }
        }
        Ok(())
    }

    /// Writes the rows that SQLite takes, and answers the others; commits nothing.
    pub(super) async fn refused(
        &mut self,
        file: &File,
        connection: &mut Connection,
        rows: &Rows,
    ) -> Result<Vec<Refused>, SinkError> {
        let values = self.plan.values(rows)?;
        let (mut search, mut tried) = (Search::default(), 0);
        while let Some(chunk) = self.statements.next_chunk(&values, tried, rows.rows) {
            tried = chunk.end;
            search.of(chunk);
            while let Some(part) = search.next() {
                let inserted = insert(&mut self.statements, file, connection, &values, part.clone()).await?;
                search.heard(part, inserted);
            }
        }
        search.end()
    }

    /// Writes dead letters; those that the table doesn't take whole without their records' keys and values.
    pub(super) async fn write_letters(
        &mut self,
        file: &File,
        connection: &mut Connection,
        pipeline: &str,
        letters: &[DeadLetter],
    ) -> Result<(), SinkError> {
        let rows =
            |letters: &[DeadLetter]| Rows { rows: letters.len(), columns: dead_letter::columns(pipeline, letters) };
        match self.write(file, connection, &rows(letters)).await {
            Err(SinkError::Rows(_)) => {}
            other => return other,
        }
        let refused = self.refused(file, connection, &rows(letters)).await?;
        let cut = without_records(letters, &refused);
        self.write(file, connection, &rows(&cut)).await
    }
}

/// Inserts some of the rows with one statement.
async fn insert(
    statements: &mut Upsert,
    file: &File,
    connection: &mut Connection,
    values: &[Values<'_>],
    rows: Range<usize>,
) -> Result<Inserted, SinkError> {
    let sql = AssertSqlSafe(statements.text(rows.len()));
    let arguments = match bind::arguments(values, rows) {
        Ok(arguments) => arguments,
        Err(e) => return Ok(Inserted::Refused(Words { reason: e.to_string(), of_a_row: true })),
    };
    match sqlx::query_with(sql, arguments).execute(&mut *connection).await {
        Ok(_) => Ok(Inserted::Taken),
        Err(e) => match error::about_rows(&e) {
            Some(of_a_row) => {
                let reason = error::plain(&e);
                match file.is_in_transaction(connection).await {
                    true => Ok(Inserted::Refused(Words { reason, of_a_row })),
                    false => Err(SinkError::Unusable(format!(
                        "SQLite at {}: {reason}, which ends the whole transaction: let the trigger or constraint say ABORT in \
                         place of ROLLBACK",
                        file.path()
                    ))),
                }
            }
            None => Err(file.error(&e)),
        },
    }
}
