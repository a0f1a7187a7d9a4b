//! A table whose rows and intervals are written together.

use async_trait::async_trait;
use sluice_core::{Field, dead_letter};
use sqlx::AssertSqlSafe;
use sqlx::mysql::{MySqlArguments, MySqlConnection};

use super::describe::{Described, describe};
use super::inserts::{Failure, Inserts};
use super::letters::arguments;
use super::pool::Lease;
use super::rights::Need;
use super::session::Server;
use super::{MysqlConnection, error, identity, sink};
use crate::found::Watched;
use crate::roles::TransactionRole;
use crate::sink::{Constraint, FoundTable, Refused, Rows, SinkError};
use crate::sql::{
    CheckpointRow, CheckpointSql, Dialect, Statement, TransactionPoint, UpsertPlan, letter_target, line, written,
};
use crate::transaction::{Ledger, TABLE, Transaction, TransactionSink, Written};

/// The question whether the engine of a table takes part in transactions.
const TRANSACTIONAL: &str = "SELECT CAST(e.transactions AS CHAR), CAST(t.engine AS CHAR) FROM information_schema.tables t \
    JOIN information_schema.engines e ON e.engine = t.engine WHERE t.table_schema = COALESCE(?, DATABASE()) AND t.table_name = ?";

#[async_trait]
impl TransactionRole for MysqlConnection {
    async fn open_transactions(
        &self,
        ledger: &Ledger,
        fields: &[Field],
    ) -> Result<Box<dyn TransactionSink>, SinkError> {
        let server = Server::of(self)?;
        let plan = plan(ledger, fields)?;
        let mut lease = server.open().await?;
        let sink::Opened { constraints, watched } = sink::open_table(&server, &mut lease, &plan).await?;
        check_engine(&server, &mut lease, &plan).await?;
        create_checkpoint(&server, &mut lease).await?;
        server.done(lease).await?;
        let letters = ledger.letters.as_deref().map(letter_inserts).transpose()?;
        Ok(Box::new(MysqlTransactions {
            server,
            inserts: Inserts::new(plan),
            letters,
            pipeline: ledger.pipeline.clone(),
            sql: CheckpointSql::new(Dialect::Mysql, ledger),
            constraints,
            watched,
        }))
    }

    async fn check_transactions(&self, ledger: &Ledger, fields: &[Field]) -> Result<(), SinkError> {
        let server = Server::of(self)?;
        let plan = plan(ledger, fields)?;
        let mut lease = server.open().await?;
        sink::check_table(&server, &mut lease, &plan).await?;
        check_engine(&server, &mut lease, &plan).await?;
        let missing = matches!(server.answer(describe(&mut lease, TABLE)).await?, Described::Missing);
        let create = missing.then(|| CheckpointSql::create_table(Dialect::Mysql));
        let need = Need {
            table: TABLE,
            rights: if missing { "CREATE, SELECT, INSERT, UPDATE" } else { "SELECT, INSERT, UPDATE" },
            statements: create.into_iter().chain(CheckpointSql::new(Dialect::Mysql, ledger).kinds()).collect(),
            may_be_missing: missing,
        };
        need.check(&server, &mut lease).await?;
        server.done(lease).await
    }

    async fn written(&self, pipeline: &str, topic: &str) -> Result<Written, SinkError> {
        let server = Server::of(self)?;
        let mut lease = server.open().await?;
        let lines = match server.answer(describe(&mut lease, TABLE)).await? {
            Described::Missing => Vec::new(),
            _ => server.answer(lines(&mut lease, &CheckpointSql::all(Dialect::Mysql, pipeline))).await?,
        };
        server.done(lease).await?;
        written(&lines, pipeline, topic)
    }
}

fn plan(ledger: &Ledger, fields: &[Field]) -> Result<UpsertPlan, SinkError> {
    UpsertPlan::in_transactions(Dialect::Mysql, &ledger.target, fields).map_err(SinkError::Mismatch)
}

fn letter_inserts(table: &str) -> Result<Inserts, SinkError> {
    let plan = UpsertPlan::new(Dialect::Mysql, &letter_target(table, false), &dead_letter::fields());
    plan.map(Inserts::new).map_err(SinkError::Mismatch)
}

/// Checks the table's engine. An engine without transactions would keep rows whose intervals were rolled back.
async fn check_engine(server: &Server, connection: &mut MySqlConnection, plan: &UpsertPlan) -> Result<(), SinkError> {
    let (database, table) = plan.dialect.database_of(&plan.target.table);
    let query = sqlx::query_as(TRANSACTIONAL).bind(database).bind(table).persistent(false);
    let engine: Option<(Option<String>, String)> = server.answer(query.fetch_optional(connection)).await?;
    match engine {
        Some((transactions, engine)) if transactions.as_deref() != Some("YES") => Err(SinkError::Unusable(format!(
            "{server}: table {} is of the engine {engine}, which has no transactions: run ALTER TABLE {} ENGINE=InnoDB",
            plan.table(),
            plan.table()
        ))),
        _ => Ok(()),
    }
}

async fn create_checkpoint(server: &Server, connection: &mut MySqlConnection) -> Result<(), SinkError> {
    if !matches!(server.answer(describe(connection, TABLE)).await?, Described::Missing) {
        return Ok(());
    }
    let create = CheckpointSql::create_table(Dialect::Mysql);
    let made = server.answer(sqlx::raw_sql(AssertSqlSafe(create.as_str())).execute(connection)).await;
    made.map(drop).map_err(|error| match error {
        SinkError::Unusable(why) => SinkError::Unusable(format!("{why}; or have somebody run {create}")),
        away => away,
    })
}

async fn lines(connection: &mut MySqlConnection, statement: &Statement) -> Result<Vec<CheckpointRow>, sqlx::Error> {
    let rows = query(statement)?.fetch_all(connection).await?;
    rows.iter().map(line).collect()
}

fn query(statement: &Statement) -> Result<sqlx::query::Query<'_, sqlx::MySql, MySqlArguments>, sqlx::Error> {
    let arguments = arguments(statement).map_err(sqlx::Error::Encode)?;
    Ok(sqlx::query_with(AssertSqlSafe(statement.sql.as_str()), arguments).persistent(false))
}

/// A MySQL table whose rows and intervals are written together.
///
/// The transaction first locks the lines that it hangs on, so that it waits for one whose answer was lost and then sees what
/// became of it. After an error the connection is dropped, and with it what was not committed.
struct MysqlTransactions {
    server: Server,
    inserts: Inserts,
    letters: Option<Inserts>,
    pipeline: String,
    sql: CheckpointSql,
    constraints: Vec<Constraint>,
    watched: Watched,
}

impl MysqlTransactions {
    async fn run(&mut self, mut lease: Lease, transaction: &Transaction<'_>) -> Result<(), Failure> {
        let Transaction { before, after, .. } = transaction;
        let lock = self.sql.lock(before, after);
        let lines = self.inserts.run(&self.server, lines(&mut lease, &lock)).await?;
        match self.sql.compare(&lines, before, after) {
            Ok(TransactionPoint::Before) => self.write(&mut lease, transaction).await?,
            Ok(TransactionPoint::After) => {}
            Err(misfit) => {
                return Err(Failure::Other(SinkError::Unusable(format!("{}, `{TABLE}`: {misfit}", self.server))));
            }
        }
        // Also where there was nothing to write: the lines are free again.
        self.inserts.commit(&self.server, &mut lease).await?;
        lease.give_back();
        if transaction.rows.rows > 0 {
            self.watched.has_written();
        }
        Ok(())
    }

    async fn write(&mut self, connection: &mut MySqlConnection, transaction: &Transaction<'_>) -> Result<(), Failure> {
        let server = &self.server;
        let Transaction { rows, letters, before, after } = transaction;
        identity::verify(server, connection, &self.inserts.plan, &self.watched).await?;
        if rows.rows > 0 {
            self.inserts.write(server, connection, rows).await?;
        }
        if let Some(inserts) = self.letters.as_mut().filter(|_| !letters.is_empty()) {
            inserts.write_letters(server, connection, &self.pipeline, letters).await?;
        }
        for statement in self.sql.store(before, after) {
            let query = query(&statement).map_err(|e| Failure::Other(error::sink_error(server, &e)))?;
            self.inserts.run(server, query.execute(&mut *connection)).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl TransactionSink for MysqlTransactions {
    fn constraints(&self) -> &[Constraint] {
        &self.constraints
    }

    fn found(&self) -> &FoundTable {
        &self.watched.found
    }

    fn expect_rows(&mut self) {
        self.watched.expect_rows();
    }

    async fn verify(&mut self) -> Result<(), SinkError> {
        let mut lease = self.server.open().await?;
        identity::verify(&self.server, &mut lease, &self.inserts.plan, &self.watched).await?;
        self.server.done(lease).await
    }

    fn takes_letters(&self) -> bool {
        self.letters.is_some()
    }

    async fn commit(&mut self, transaction: &Transaction<'_>) -> Result<(), SinkError> {
        let lease = self.server.lease().await?;
        let was_idle = lease.was_idle;
        match self.run(lease, transaction).await {
            // It may have been closed long ago, while it was idle, or with the answer: the next one finds out which.
            Err(Failure::Lost(_)) if was_idle => {}
            other => return Ok(other?),
        }
        let lease = self.server.fresh().await?;
        Ok(self.run(lease, transaction).await?)
    }

    async fn refused(&mut self, rows: &Rows) -> Result<Vec<Refused>, SinkError> {
        self.inserts.refused(&self.server, rows).await
    }
}
