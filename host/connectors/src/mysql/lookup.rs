//! A table of MySQL, as a lookup asks it.

use futures_util::TryStreamExt;
use sluice_core::Kind;
use sluice_core::lookup::{Lookup, LookupError};
use sqlx::mysql::{MySqlArguments, MySqlConnection, MySqlRow, MySqlValueRef};
use sqlx::types::chrono::NaiveDateTime;
use sqlx::{Arguments, AssertSqlSafe, Decode, MySql, Row, ValueRef};
use tokio::runtime::Handle;

use super::describe::{Described, describe};
use super::error;
use super::pool::Lease;
use super::rights::Need;
use super::session::Server;
use super::{MysqlConnection, reads};
use crate::lookup::{Answer, Asked, Cell, LookupTable, Unanswered, cell};
use crate::roles::LookupRole;
use crate::sink::SinkError;
use crate::sql::lookup::{Answers, KEYS_PER_CALL, KeyType, KeyValue, answers, lookup_error, select, unfit};
use crate::sql::{Dialect, runtime};

impl LookupRole for MysqlConnection {
    fn lookup(&self, what: &LookupTable) -> Result<Box<dyn Lookup>, LookupError> {
        let server = Server::of(self).map_err(lookup_error)?;
        let table = MysqlTable { server, what: what.clone(), runtime: runtime()?, plan: None };
        Ok(Box::new(self.caches.lookup(what, table)))
    }

    fn check_lookup(&self, what: &LookupTable) -> Result<(), LookupError> {
        let checked = runtime()?.block_on(async {
            let server = Server::of(self)?;
            let mut lease = server.open().await?;
            Plan::of(&server, &mut lease, what).await?;
            server.done(lease).await
        });
        checked.map_err(lookup_error)
    }
}

/// Columns of a table, by its key.
struct MysqlTable {
    server: Server,
    what: LookupTable,
    runtime: Handle,
    /// Plan for the table as it was found when it was first asked.
    plan: Option<Plan>,
}

/// A table that can answer.
struct Plan {
    of: KeyType,
    /// The key and the columns as the statements read them.
    key: String,
    columns: Vec<String>,
    unsigned: Vec<bool>,
}

impl Plan {
    /// Looks at the table and the user's right to read it.
    async fn of(server: &Server, connection: &mut MySqlConnection, what: &LookupTable) -> Result<Plan, SinkError> {
        if let Some(problem) = Dialect::Mysql.table_problem(&what.table) {
            return Err(SinkError::Unusable(format!(
                "the table's name {:?} {problem}: name another table",
                what.table
            )));
        }
        let any = format!("SELECT 1 FROM {}", Dialect::Mysql.quote_table(&what.table));
        let mut need = Need { table: &what.table, rights: "SELECT", statements: vec![any], may_be_missing: true };
        need.check(server, connection).await?;
        let table = match server.answer(describe(connection, &what.table)).await? {
            Described::Table(table) => table,
            Described::Missing => {
                let words = format!("{server} has no table `{}`: make it, or name another", what.table);
                return Err(SinkError::Unusable(words));
            }
            Described::Other(kind) => {
                let words = format!("{server}: `{}` is a {kind}, which has no unique key: name a table", what.table);
                return Err(SinkError::Unusable(words));
            }
        };
        let checked = reads::READS.check(what, &table);
        let (of, key, columns) =
            checked.map_err(|problems| SinkError::Unusable(format!("{server}: {}", problems.join("; "))))?;
        let kinds = what.columns.iter().map(|column| column.kind);
        let plan = Plan {
            of,
            key: reads::key(key, of),
            columns: columns.iter().zip(kinds).map(|(column, kind)| reads::value(column, kind)).collect(),
            unsigned: columns.iter().map(|column| reads::is_unsigned(column)).collect(),
        };
        need.statements = vec![plan.select(what, 1)];
        need.check(server, connection).await?;
        Ok(plan)
    }

    fn select(&self, what: &LookupTable, keys: usize) -> String {
        select(Dialect::Mysql, what, &self.key, &self.columns, keys)
    }

    fn answer(&self, what: &LookupTable, key: &[u8], row: &MySqlRow) -> Answer {
        Answer::of(what.columns.iter().enumerate().map(|(i, column)| {
            let value = row.try_get_raw(i + 1).map_err(|error| error.to_string());
            let read = value.and_then(|value| read(column.kind, self.unsigned[i], value));
            read.map_err(|why| unfit(what, key, &column.name, &why))
        }))
    }
}

/// The reason why a call failed.
enum Failed {
    /// The connection broke.
    Lost(LookupError),
    Other(Unanswered),
}

impl From<Failed> for Unanswered {
    fn from(failed: Failed) -> Unanswered {
        match failed {
            Failed::Lost(error) => error.into(),
            Failed::Other(unanswered) => unanswered,
        }
    }
}

impl From<SinkError> for Failed {
    fn from(error: SinkError) -> Failed {
        Failed::Other(lookup_error(error).into())
    }
}

impl MysqlTable {
    /// Asks on a connection of the pool. One that was idle may have been closed by the server: then on a fresh one.
    async fn answers(&mut self, keys: &[&[u8]]) -> Result<Vec<Answer>, Failed> {
        let lease = self.server.lease().await?;
        let was_idle = lease.was_idle;
        match self.answers_on(lease, keys).await {
            Err(Failed::Lost(_)) if was_idle => {
                let lease = self.server.fresh().await?;
                self.answers_on(lease, keys).await
            }
            answers => answers,
        }
    }

    /// Asks on this connection, which is closed after an error.
    async fn answers_on(&mut self, mut lease: Lease, keys: &[&[u8]]) -> Result<Vec<Answer>, Failed> {
        let plan = match self.plan.take() {
            Some(plan) => plan,
            None => Plan::of(&self.server, &mut lease, &self.what).await?,
        };
        let plan = self.plan.insert(plan);
        let values = plan.of.values(keys);
        if values.is_empty() {
            lease.give_back();
            return Ok(keys.iter().map(|_| Answer::Absent).collect());
        }
        let sql = plan.select(&self.what, values.len());
        let arguments = arguments(&values).map_err(|error| SinkError::Unusable(error.to_string()))?;
        let mut found = Answers::of(keys.len());
        let mut rows = sqlx::query_with(AssertSqlSafe(sql), arguments).fetch(&mut *lease);
        while let Some(row) = rows.try_next().await.map_err(|error| failed(&self.server, &self.what, &error))? {
            let key = key_of(&row);
            let answer = plan.answer(&self.what, key, &row);
            found.add(&self.what, key, answer).map_err(Failed::Other)?;
        }
        drop(rows);
        self.server.done(lease).await?;
        Ok(found.in_order(keys))
    }
}

impl Asked for MysqlTable {
    fn keys_per_call(&self) -> usize {
        KEYS_PER_CALL
    }

    fn ask(&mut self, keys: &[&[u8]]) -> Result<Vec<Answer>, Unanswered> {
        let (runtime, server) = (self.runtime.clone(), self.server.to_string());
        answers(&runtime, &server, self.answers(keys))
    }

    fn name(&self) -> String {
        format!("`{}` of {}", self.what.table, self.server)
    }
}

fn failed(server: &Server, what: &LookupTable, error: &sqlx::Error) -> Failed {
    if error::number(error) == Some(error::NO_SUCH_TABLE) {
        let words = format!("{server}: the table `{}` is gone: make it again, or name another", what.table);
        return Failed::Other(LookupError::Unusable(words).into());
    }
    let words = lookup_error(error::sink_error(server, error));
    if error::is_lost(error) { Failed::Lost(words) } else { Failed::Other(words.into()) }
}

fn arguments(values: &[KeyValue<'_>]) -> Result<MySqlArguments, sqlx::error::BoxDynError> {
    let mut arguments = MySqlArguments::default();
    for value in values {
        match value {
            KeyValue::Signed(number) => arguments.add(*number),
            KeyValue::Unsigned(number) => arguments.add(*number),
            KeyValue::Text(text) => arguments.add(*text),
            KeyValue::Binary(bytes) => arguments.add(*bytes),
        }?;
    }
    Ok(arguments)
}

/// The key as its text or bytes; none of null.
fn key_of(row: &MySqlRow) -> &[u8] {
    row.try_get_raw(0).ok().and_then(|value| Decode::<MySql>::decode(value).ok()).unwrap_or_default()
}

fn read(kind: Kind, unsigned: bool, value: MySqlValueRef<'_>) -> Result<Cell, String> {
    let why = |error: sqlx::error::BoxDynError| format!("can't be read as {kind} ({error})");
    if value.is_null() {
        // The driver takes a time of zeros for null.
        return match <&[u8] as Decode<MySql>>::decode(value) {
            Ok(_) => Err("is a date of zeros".to_owned()),
            Err(_) => Ok(cell::null(kind)),
        };
    }
    Ok(match kind {
        Kind::Int64 if unsigned => {
            let number = <u64 as Decode<MySql>>::decode(value).map_err(why)?;
            cell::int64(i64::try_from(number).map_err(|_| format!("is {number}, more than an int64 holds"))?)
        }
        Kind::Int64 => cell::int64(Decode::<MySql>::decode(value).map_err(why)?),
        Kind::Boolean => match <i64 as Decode<MySql>>::decode(value).map_err(why)? {
            number @ (0 | 1) => cell::boolean(number == 1),
            number => return Err(format!("is {number}, and a boolean is 0 or 1")),
        },
        Kind::Float64 => cell::float64(Decode::<MySql>::decode(value).map_err(why)?),
        Kind::Utf8 => {
            let text = std::str::from_utf8(Decode::<MySql>::decode(value).map_err(why)?);
            cell::utf8(text.map_err(|_| "is no UTF-8 text".to_owned())?)
        }
        Kind::Binary => cell::binary(Decode::<MySql>::decode(value).map_err(why)?),
        Kind::Timestamp => {
            let time = <NaiveDateTime as Decode<MySql>>::decode(value).map_err(why)?;
            cell::timestamp(time.and_utc().timestamp_micros())
        }
        kind => {
            let text = <&str as Decode<MySql>>::decode(value).map_err(why)?;
            cell::of_text(kind, text).ok_or_else(|| format!("is {text:?}, which is no {kind}"))?
        }
    })
}
