//! Rights, tried before they are needed: a server looks at them when it prepares a statement, and changes nothing then.

use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Executor, SqlSafeStr};

use super::error;
use super::session::Server;
use crate::sink::SinkError;
use crate::sql::Dialect;

/// The need: what will be done to a table.
pub(super) struct Need<'a> {
    /// The table, perhaps with its database.
    pub(super) table: &'a str,
    /// The rights that it takes, as `GRANT` lists them.
    pub(super) rights: &'static str,
    /// The statements that will be run.
    pub(super) statements: Vec<String>,
    /// The table may not be there yet; what may be done to it is known all the same.
    pub(super) may_be_missing: bool,
}

impl Need<'_> {
    /// Checks that the user may run the statements; else says which rights are missing, with the statement that gives them.
    pub(super) async fn check(&self, server: &Server, connection: &mut MySqlConnection) -> Result<(), SinkError> {
        for statement in &self.statements {
            let sql = AssertSqlSafe(statement.as_str()).into_sql_str();
            match server.raw_answer(connection.prepare(sql)).await? {
                Ok(_) => {}
                Err(e) if self.may_be_missing && error::number(&e) == Some(error::NO_SUCH_TABLE) => {}
                Err(e) => return Err(self.refused(server, connection, &e).await?),
            }
        }
        Ok(())
    }

    /// Checks the right to add columns. Servers look at that right only when such a statement runs, so this runs one that can't
    /// succeed: it adds a column twice.
    pub(super) async fn check_alter(&self, server: &Server, connection: &mut MySqlConnection) -> Result<(), SinkError> {
        let table = Dialect::Mysql.quote_table(self.table);
        let twice = format!("ALTER TABLE {table} ADD COLUMN sluice_twice TEXT, ADD COLUMN sluice_twice TEXT");
        match server.raw_answer(sqlx::raw_sql(AssertSqlSafe(twice)).execute(&mut *connection)).await? {
            Err(e) if error::number(&e) == Some(error::COLUMN_IS_THERE) => Ok(()),
            Err(e) => Err(self.refused(server, connection, &e).await?),
            Ok(_) => Err(SinkError::Unusable(format!("{server} added one column twice; drop sluice_twice of {table}"))),
        }
    }

    /// The server's error in words, with the statement that gives a right which is missing.
    async fn refused(
        &self,
        server: &Server,
        connection: &mut MySqlConnection,
        e: &sqlx::Error,
    ) -> Result<SinkError, SinkError> {
        if !error::lacks_a_right(e) {
            return Ok(error::sink_error(server, e));
        }
        let grant = self.grant(server, connection).await?;
        Ok(SinkError::Unusable(format!("{server}: {}: have an administrator run {grant}", error::plain(e))))
    }

    async fn grant(&self, server: &Server, connection: &mut MySqlConnection) -> Result<String, SinkError> {
        let query = "SELECT CAST(CURRENT_USER() AS CHAR), CAST(DATABASE() AS CHAR)";
        let asked = server.answer(sqlx::query_as(query).fetch_one(connection)).await;
        let (account, database): (String, Option<String>) = asked?;
        let (user, host) = account.rsplit_once('@').unwrap_or((&account, "%"));
        let (of, table) = Dialect::Mysql.database_of(self.table);
        let database = of.map(str::to_owned).or(database).unwrap_or_default();
        let quote = |name: &str| Dialect::Mysql.quote(name);
        Ok(format!("GRANT {} ON {}.{} TO {}@{}", self.rights, quote(&database), quote(table), quote(user), quote(host)))
    }
}
