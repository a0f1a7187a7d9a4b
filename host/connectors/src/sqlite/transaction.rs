//! A table whose rows and intervals are written together.

use async_trait::async_trait;
use sluice_core::{Field, dead_letter};
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, SqliteConnection as Connection};

use super::describe::{Described, describe};
use super::file::File;
use super::inserts::Inserts;
use super::letters::arguments;
use super::{SqliteConnection, identity, sink};
use crate::found::Watched;
use crate::roles::TransactionRole;
use crate::sink::{Constraint, FoundTable, Refused, Rows, SinkError};
use crate::sql::{
    CheckpointRow, CheckpointSql, Dialect, Statement, TransactionPoint, UpsertPlan, letter_target, line, written,
};
use crate::transaction::{Ledger, TABLE, Transaction, TransactionSink, Written};

#[async_trait]
impl TransactionRole for SqliteConnection {
    async fn open_transactions(
        &self,
        ledger: &Ledger,
        fields: &[Field],
    ) -> Result<Box<dyn TransactionSink>, SinkError> {
        let file = File::new(&self.path);
        let plan = plan(ledger, fields)?;
        let sink::Opened { mut connection, constraints, watched } = sink::open_table(&file, &plan).await?;
        let create = AssertSqlSafe(CheckpointSql::create_table(Dialect::Sqlite));
        file.run(sqlx::raw_sql(create).execute(&mut connection)).await?;
        let letters = ledger.letters.as_deref().map(letter_inserts).transpose()?;
        Ok(Box::new(SqliteTransactions {
            file,
            inserts: Inserts::new(plan),
            letters,
            pipeline: ledger.pipeline.clone(),
            sql: CheckpointSql::new(Dialect::Sqlite, ledger),
            constraints,
            watched,
            connection: Some(connection),
        }))
    }

    async fn check_transactions(&self, ledger: &Ledger, fields: &[Field]) -> Result<(), SinkError> {
        sink::check_table(&File::new(&self.path), &plan(ledger, fields)?).await
    }

    async fn written(&self, pipeline: &str, topic: &str) -> Result<Written, SinkError> {
        let file = File::new(&self.path);
        if !file.exists() {
            return Ok(Written::default());
        }
        let mut connection = file.open_to_read().await?;
        if matches!(file.run(describe(&mut connection, TABLE)).await?, Described::Missing) {
            return Ok(Written::default());
        }
        let all = CheckpointSql::all(Dialect::Sqlite, pipeline);
        written(&file.run(lines(&mut connection, &all)).await?, pipeline, topic)
    }
}

fn plan(ledger: &Ledger, fields: &[Field]) -> Result<UpsertPlan, SinkError> {
    UpsertPlan::in_transactions(Dialect::Sqlite, &ledger.target, fields).map_err(SinkError::Mismatch)
}

fn letter_inserts(table: &str) -> Result<Inserts, SinkError> {
    let plan = UpsertPlan::new(Dialect::Sqlite, &letter_target(table, false), &dead_letter::fields());
    plan.map(Inserts::new).map_err(SinkError::Mismatch)
}

async fn lines(connection: &mut Connection, statement: &Statement) -> Result<Vec<CheckpointRow>, sqlx::Error> {
    let rows = query(statement)?.fetch_all(connection).await?;
    rows.iter().map(line).collect()
}

fn query(statement: &Statement) -> Result<sqlx::query::Query<'_, sqlx::Sqlite, SqliteArguments>, sqlx::Error> {
    Ok(sqlx::query_with(AssertSqlSafe(statement.sql.as_str()), arguments(statement)?))
}

/// An SQLite table whose rows and intervals are written together. After an error the file is closed, and with it what was
/// not committed is undone.
struct SqliteTransactions {
    file: File,
    inserts: Inserts,
    letters: Option<Inserts>,
    pipeline: String,
    sql: CheckpointSql,
    constraints: Vec<Constraint>,
    watched: Watched,
    connection: Option<Connection>,
}

impl SqliteTransactions {
    async fn run(&mut self, connection: &mut Connection, transaction: &Transaction<'_>) -> Result<(), SinkError> {
        let Transaction { before, after, .. } = transaction;
        self.file.begin(connection).await?;
        let lines = self.file.run(lines(connection, &self.sql.lock(before, after))).await?;
        match self.sql.compare(&lines, before, after) {
            Ok(TransactionPoint::Before) => self.write(connection, transaction).await?,
            Ok(TransactionPoint::After) => {}
            Err(misfit) => {
                return Err(SinkError::Unusable(format!("SQLite at {}, `{TABLE}`: {misfit}", self.file.path())));
            }
        }
        self.file.commit(connection).await
    }

    async fn write(&mut self, connection: &mut Connection, transaction: &Transaction<'_>) -> Result<(), SinkError> {
        let file = &self.file;
        let Transaction { rows, letters, before, after } = transaction;
        identity::verify_rows(file, connection, &self.inserts.plan, &self.watched).await?;
        if rows.rows > 0 {
            self.inserts.write(file, connection, rows).await?;
        }
        if let Some(inserts) = self.letters.as_mut().filter(|_| !letters.is_empty()) {
            inserts.write_letters(file, connection, &self.pipeline, letters).await?;
        }
        for statement in self.sql.store(before, after) {
            let query = query(&statement).map_err(|e| file.error(&e))?;
            file.run(query.execute(&mut *connection)).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl TransactionSink for SqliteTransactions {
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
        self.connection = identity::verify_open(&self.file, self.connection.take(), &self.watched).await?;
        let Some(connection) = self.connection.as_mut() else { return Ok(()) };
        identity::verify_rows(&self.file, connection, &self.inserts.plan, &self.watched).await
    }

    fn takes_letters(&self) -> bool {
        self.letters.is_some()
    }

    async fn commit(&mut self, transaction: &Transaction<'_>) -> Result<(), SinkError> {
        let connection = identity::verify_open(&self.file, self.connection.take(), &self.watched).await?;
        let mut connection = match connection {
            Some(connection) => connection,
            None => self.file.open_existing().await?,
        };
        self.run(&mut connection, transaction).await?;
        // It may have been moved meanwhile.
        self.connection = identity::verify_open(&self.file, Some(connection), &self.watched).await?;
        if transaction.rows.rows > 0 {
            self.watched.has_written();
        }
        Ok(())
    }

    async fn refused(&mut self, rows: &Rows) -> Result<Vec<Refused>, SinkError> {
        // Closing it undoes what was tried.
        let mut connection = self.file.open_existing().await?;
        self.file.begin(&mut connection).await?;
        self.inserts.refused(&self.file, &mut connection, rows).await
    }
}
