//! Rows into a table, within whatever transaction the connection is in.

use sqlx::AssertSqlSafe;
use sqlx::mysql::MySqlConnection;

use super::session::Server;
use super::{bind, error};
use crate::sink::{Rows, SinkError};
use crate::sql::{Upsert, UpsertPlan};

/// The most rows in a statement: more gain nothing, and hold up other statements for longer.
const MAX_ROWS: usize = 1000;

/// The most placeholders that the protocol can count.
pub(super) const MAX_BINDS: usize = 65_535;

/// Why a flush failed.
pub(super) enum Failure {
    /// The connection broke before the server confirmed.
    Lost(SinkError),
    Other(SinkError),
}

impl From<Failure> for SinkError {
    fn from(failure: Failure) -> SinkError {
        match failure {
            Failure::Lost(error) | Failure::Other(error) => error,
        }
    }
}

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
        server: &Server,
        connection: &mut MySqlConnection,
        rows: &Rows,
    ) -> Result<(), Failure> {
        let values = self.plan.values(rows).map_err(Failure::Other)?;
        let mut written = 0;
        while let Some(chunk) = self.statements.next_chunk(&values, written, rows.rows) {
            written = chunk.end;
            let sql = AssertSqlSafe(self.statements.text(chunk.len()));
            let arguments = bind::arguments(&values, chunk).map_err(|e| {
                Failure::Other(SinkError::Unusable(format!("{server}, table {}: {e}", self.plan.table())))
            })?;
            self.run(server, sqlx::query_with(sql, arguments).execute(&mut *connection)).await?;
        }
        Ok(())
    }

    /// Makes everything since the last commit durable.
    pub(super) async fn commit(&self, server: &Server, connection: &mut MySqlConnection) -> Result<(), Failure> {
        self.run(server, sqlx::raw_sql("COMMIT").execute(connection)).await.map(drop)
    }

    /// Waits for an answer of the server that concerns the table.
    pub(super) async fn run<T>(
        &self,
        server: &Server,
        call: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, Failure> {
        let answer = server.raw_answer(call).await.map_err(Failure::Other)?;
        answer.map_err(|e| {
            let words = within_table(error::sink_error(server, &e), &self.plan);
            if error::is_lost(&e) { Failure::Lost(words) } else { Failure::Other(words) }
        })
    }
}

fn within_table(error: SinkError, plan: &UpsertPlan) -> SinkError {
    match error {
        SinkError::Unavailable(e) => SinkError::Unavailable(format!("table {}: {e}", plan.table())),
        SinkError::Unusable(e) => SinkError::Unusable(format!("table {}: {e}", plan.table())),
        mismatch => mismatch,
    }
}
