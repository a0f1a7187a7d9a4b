//! Rows into a table, within whatever transaction the connection is in.

use sqlx::{AssertSqlSafe, SqliteConnection as Connection};

use super::bind;
use super::file::File;
use crate::sink::{Rows, SinkError};
use crate::sql::{Upsert, UpsertPlan};

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
        Inserts { statements: plan.upsert(MAX_ROWS, MAX_BINDS), plan }
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
            let sql = AssertSqlSafe(self.statements.text(chunk.len()));
            let arguments = bind::arguments(&values, chunk).map_err(|e| {
                SinkError::Unusable(format!("SQLite at {}, table {}: {e}", file.path(), self.plan.table()))
            })?;
            file.run(sqlx::query_with(sql, arguments).execute(&mut *connection)).await?;
        }
        Ok(())
    }
}
