//! Dead letters in a MySQL table.

use async_trait::async_trait;
use sqlx::mysql::{MySqlArguments, MySqlRow};
use sqlx::{Arguments, AssertSqlSafe};

use super::describe::{Described, describe};
use super::error;
use super::pool::Lease;
use super::rights::Need;
use super::session::Server;
use super::{MysqlConnection, MysqlSink, sink};
use crate::letters::{Letter, Letterbox};
use crate::roles::LettersRole;
use crate::sink::SinkError;
use crate::sql::{Argument, Dialect, LetterSql, Session, Statement, TableLetters, UpsertPlan, letter, letter_target};

#[async_trait]
impl LettersRole for MysqlConnection {
    fn letters(&self, table: &str) -> Result<Box<dyn Letterbox>, SinkError> {
        let session = MysqlSession { server: Server::of(self)? };
        Ok(Box::new(TableLetters::new(session, LetterSql::new(Dialect::Mysql, table), table, None)))
    }

    async fn check_letters(&self, table: &str, create: bool) -> Result<(), SinkError> {
        let (server, sql) = (Server::of(self)?, LetterSql::new(Dialect::Mysql, table));
        let plan = UpsertPlan::new(Dialect::Mysql, &letter_target(table, create), &sluice_core::dead_letter::fields());
        let mut lease = server.open().await?;
        sink::check_table(&server, &mut lease, &plan.map_err(SinkError::Mismatch)?).await?;
        // Of a table that isn't there, only who may create it can be granted more.
        let missing = matches!(server.answer(describe(&mut lease, table)).await?, Described::Missing);
        let rights = if missing { "CREATE, SELECT, INSERT, UPDATE, DELETE" } else { "SELECT, INSERT, UPDATE, DELETE" };
        Need { table, rights, statements: sql.kinds()?, may_be_missing: missing }.check(&server, &mut lease).await?;
        server.done(lease).await
    }

    async fn open_letters(&self, table: &str, create: bool) -> Result<Box<dyn Letterbox>, SinkError> {
        let fields = sluice_core::dead_letter::fields();
        let sink = MysqlSink::open(self, &letter_target(table, create), &fields).await?;
        let session = MysqlSession { server: Server::of(self)? };
        Ok(Box::new(TableLetters::new(session, LetterSql::new(Dialect::Mysql, table), table, Some(Box::new(sink)))))
    }
}

/// Takes a connection of the pool for each transaction, another when the server closed that one while it was idle.
struct MysqlSession {
    server: Server,
}

/// The answer that a transaction came to.
struct Answered {
    rows: Vec<MySqlRow>,
    changed: u64,
}

impl MysqlSession {
    async fn run(&mut self, statements: &[Statement]) -> Result<Answered, SinkError> {
        let lease = self.server.lease().await?;
        let was_idle = lease.was_idle;
        match self.transaction(lease, statements).await {
            Err(lost) if was_idle && error::is_lost(&lost) => {}
            other => return other.map_err(|e| error::sink_error(&self.server, &e)),
        }
        let lease = self.server.fresh().await?;
        self.transaction(lease, statements).await.map_err(|e| error::sink_error(&self.server, &e))
    }

    async fn transaction(&mut self, mut lease: Lease, statements: &[Statement]) -> Result<Answered, sqlx::Error> {
        let late = || sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
        let mut answer = Answered { rows: Vec::new(), changed: 0 };
        for statement in statements {
            let arguments = arguments(statement).map_err(sqlx::Error::Encode)?;
            let query = sqlx::query_with(AssertSqlSafe(statement.sql.as_str()), arguments);
            if statement.selects() {
                let rows = self.server.raw_answer(query.fetch_all(&mut *lease)).await.map_err(|_| late())?;
                answer.rows.extend(rows?);
            } else {
                let done = self.server.raw_answer(query.execute(&mut *lease)).await.map_err(|_| late())?;
                answer.changed += done?.rows_affected();
            }
        }
        // Also after a select: the next one would see what this one saw.
        let commit = sqlx::raw_sql("COMMIT").execute(&mut *lease);
        self.server.raw_answer(commit).await.map_err(|_| late())??;
        lease.give_back();
        Ok(answer)
    }
}

pub(super) fn arguments(statement: &Statement) -> Result<MySqlArguments, sqlx::error::BoxDynError> {
    let mut arguments = MySqlArguments::default();
    for argument in &statement.arguments {
        match argument {
            Argument::Text(text) => arguments.add(text)?,
            Argument::Integer(number) => arguments.add(number)?,
        }
    }
    Ok(arguments)
}

#[async_trait]
impl Session for MysqlSession {
    async fn has_table(&mut self, table: &str) -> Result<bool, SinkError> {
        let mut lease = self.server.open().await?;
        let described = self.server.answer(describe(&mut lease, table)).await?;
        self.server.done(lease).await?;
        Ok(!matches!(described, Described::Missing))
    }

    async fn select(&mut self, statement: &Statement) -> Result<Vec<Letter>, SinkError> {
        let rows = self.run(std::slice::from_ref(statement)).await?.rows;
        rows.iter().map(|row| letter(row).map_err(|e| error::sink_error(&self.server, &e))).collect()
    }

    async fn execute(&mut self, statements: &[Statement]) -> Result<u64, SinkError> {
        Ok(self.run(statements).await?.changed)
    }
}
