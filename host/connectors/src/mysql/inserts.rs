//! Rows into a table, within whatever transaction the connection is in.

use std::ops::Range;

use sluice_core::dead_letter::{self, DeadLetter};
use sqlx::AssertSqlSafe;
use sqlx::mysql::MySqlConnection;

use super::session::Server;
use super::{bind, error};
use crate::letters::without_records;
use crate::sink::{Refused, Rows, SinkError};
use crate::sql::{Inserted, Search, Upsert, UpsertPlan, Values, Words, statement_bytes};

/// The most rows in a statement: more gain nothing, and hold up other statements for longer.
const MAX_ROWS: usize = 1000;

/// The most placeholders that the protocol can count.
pub(super) const MAX_BINDS: usize = 65_535;

/// The longest statement, or value, that the server takes from this connection.
const LIMIT: &str = "SELECT CAST(@@max_allowed_packet AS SIGNED)";

/// The reason why a flush failed.
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
    /// Longest statement that the server accepts, in bytes; none before the server was asked, and after a connection broke.
    limit: Option<usize>,
}

impl Inserts {
    pub(super) fn new(plan: UpsertPlan) -> Inserts {
        Inserts { statements: Upsert::new(&plan, MAX_ROWS, MAX_BINDS), plan, limit: None }
    }

    /// Writes the rows; commits nothing.
    pub(super) async fn write(
        &mut self,
        server: &Server,
        connection: &mut MySqlConnection,
        rows: &Rows,
    ) -> Result<(), Failure> {
        let limit = self.limit(server, connection).await?;
        let written = self.write_all(server, connection, rows, limit).await;
        if matches!(written, Err(Failure::Lost(_))) {
            self.limit = None;
        }
        written
    }

    async fn write_all(
        &mut self,
        server: &Server,
        connection: &mut MySqlConnection,
        rows: &Rows,
        limit: usize,
    ) -> Result<(), Failure> {
        let values = self.plan.values(rows).map_err(Failure::Other)?;
        let mut written = 0;
        while let Some(chunk) = self.statements.next_chunk(&values, written, rows.rows) {
            written = chunk.end;
            match insert(&mut self.statements, &self.plan, server, connection, &values, chunk, limit).await? {
                Inserted::Taken => {}
                Inserted::Refused(words) => return Err(Failure::Other(words.into())),
            }
        }
        Ok(())
    }

    /// The rows that the server doesn't take, found by writing them in a transaction that is rolled back.
    pub(super) async fn refused(&mut self, server: &Server, rows: &Rows) -> Result<Vec<Refused>, SinkError> {
        let mut lease = server.open().await?;
        let refused = self.search(server, &mut lease, rows).await?;
        self.rollback(server, &mut lease).await?;
        lease.give_back();
        Ok(refused)
    }

    /// Writes the rows that the server takes, and answers the others; commits nothing.
    async fn search(
        &mut self,
        server: &Server,
        connection: &mut MySqlConnection,
        rows: &Rows,
    ) -> Result<Vec<Refused>, Failure> {
        let limit = self.limit(server, connection).await?;
        let values = self.plan.values(rows).map_err(Failure::Other)?;
        let (mut search, mut tried) = (Search::default(), 0);
        while let Some(chunk) = self.statements.next_chunk(&values, tried, rows.rows) {
            tried = chunk.end;
            search.of(chunk);
            while let Some(part) = search.next() {
                let answer = insert(&mut self.statements, &self.plan, server, connection, &values, part.clone(), limit);
                search.heard(part, answer.await?);
            }
        }
        search.end().map_err(Failure::Other)
    }

    /// Writes dead letters; those that the table doesn't take whole without their records' keys and values.
    pub(super) async fn write_letters(
        &mut self,
        server: &Server,
        connection: &mut MySqlConnection,
        pipeline: &str,
        letters: &[DeadLetter],
    ) -> Result<(), Failure> {
        let rows =
            |letters: &[DeadLetter]| Rows { rows: letters.len(), columns: dead_letter::columns(pipeline, letters) };
        match self.write(server, connection, &rows(letters)).await {
            Err(Failure::Other(SinkError::Rows(_))) => {}
            other => return other,
        }
        let refused = self.search(server, connection, &rows(letters)).await?;
        let cut = without_records(letters, &refused);
        self.write(server, connection, &rows(&cut)).await
    }

    /// Returns the longest statement that the server accepts, in bytes.
    async fn limit(&mut self, server: &Server, connection: &mut MySqlConnection) -> Result<usize, Failure> {
        if let Some(limit) = self.limit {
            return Ok(limit);
        }
        let limit: i64 = self.run(server, sqlx::query_scalar(LIMIT).persistent(false).fetch_one(connection)).await?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        self.statements.set_server_limit(limit);
        self.limit = Some(limit);
        Ok(limit)
    }

    /// Makes everything since the last commit durable.
    pub(super) async fn commit(&self, server: &Server, connection: &mut MySqlConnection) -> Result<(), Failure> {
        self.run(server, sqlx::raw_sql("COMMIT").execute(connection)).await.map(drop)
    }

    /// Undoes everything since the last commit.
    async fn rollback(&self, server: &Server, connection: &mut MySqlConnection) -> Result<(), Failure> {
        self.run(server, sqlx::raw_sql("ROLLBACK").execute(connection)).await.map(drop)
    }

    /// Waits for an answer of the server that concerns the table.
    pub(super) async fn run<T>(
        &self,
        server: &Server,
        call: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, Failure> {
        let answer = server.raw_answer(call).await.map_err(Failure::Other)?;
        answer.map_err(|e| failure(server, &self.plan, &e))
    }
}

/// Inserts some of the rows with one statement.
async fn insert(
    statements: &mut Upsert,
    plan: &UpsertPlan,
    server: &Server,
    connection: &mut MySqlConnection,
    values: &[Values<'_>],
    rows: Range<usize>,
    limit: usize,
) -> Result<Inserted, Failure> {
    let of_a_row = |reason| Ok(Inserted::Refused(Words { reason, of_a_row: true }));
    let bytes = statement_bytes(values, rows.clone());
    // The server would break off, rather than say so.
    if bytes > limit {
        return of_a_row(format!("a row of {bytes} bytes is over the server's max_allowed_packet of {limit}"));
    }
    let sql = AssertSqlSafe(statements.text(rows.len()));
    let arguments = match bind::arguments(values, rows) {
        Ok(arguments) => arguments,
        Err(e) => return of_a_row(e.to_string()),
    };
    let answer =
        server.raw_answer(sqlx::query_with(sql, arguments).execute(connection)).await.map_err(Failure::Other)?;
    match answer {
        Ok(_) => Ok(Inserted::Taken),
        Err(e) => match error::about_rows(&e) {
            Some(of_a_row) => Ok(Inserted::Refused(Words { reason: error::plain(&e), of_a_row })),
            None => Err(failure(server, plan, &e)),
        },
    }
}

fn failure(server: &Server, plan: &UpsertPlan, error: &sqlx::Error) -> Failure {
    let words = within_table(error::sink_error(server, error), plan);
    if error::is_lost(error) { Failure::Lost(words) } else { Failure::Other(words) }
}

fn within_table(error: SinkError, plan: &UpsertPlan) -> SinkError {
    match error {
        SinkError::Unavailable(e) => SinkError::Unavailable(format!("table {}: {e}", plan.table())),
        SinkError::Unusable(e) => SinkError::Unusable(format!("table {}: {e}", plan.table())),
        other => other,
    }
}
