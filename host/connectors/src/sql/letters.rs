//! A table of dead letters: the statements, and how a row is read.

use std::collections::BTreeMap;

use sluice_core::dead_letter::{self, DeadLetter, LetterId};
use sluice_core::{Offset, Partition, time};
use sqlx::{ColumnIndex, Decode, Row, Type};

use super::dialect::Dialect;
use crate::letters::{Filter, Letter, LetterPlace, MAX_FOUND, PREVIEW_BYTES};
use crate::sink::{KeyEquality, SinkError, Target};

/// The most letters that a statement removes: few placeholders, and few statements for many letters.
const REMOVED_AT_ONCE: usize = 256;

/// A value for a placeholder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Argument {
    Text(String),
    Integer(i64),
}

/// A statement with its values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Statement {
    pub(crate) sql: String,
    pub(crate) arguments: Vec<Argument>,
}

impl Statement {
    pub(super) fn new(sql: String) -> Statement {
        Statement { sql, arguments: Vec::new() }
    }

    /// Adds a condition with its value, where there is one.
    fn and(&mut self, condition: &str, value: Option<Argument>) {
        if let Some(value) = value {
            self.sql.push_str(" AND ");
            self.sql.push_str(condition);
            self.arguments.push(value);
        }
    }

    fn fits(mut self, filter: &Filter) -> Result<Statement, SinkError> {
        let text = |text: &Option<String>| text.clone().map(Argument::Text);
        let moment = |micros: Option<i64>| micros.map(|micros| shown(micros).map(Argument::Text)).transpose();
        self.and("pipeline = ?", text(&filter.pipeline));
        self.and("INSTR(reason, ?) > 0", text(&filter.reason));
        self.and("rejected_at >= ?", moment(filter.since)?);
        self.and("rejected_at < ?", moment(filter.until)?);
        self.and("topic = ?", text(&filter.topic));
        self.and("record_partition = ?", filter.partition.map(|partition| Argument::Integer(partition.0.into())));
        self.and("record_offset = ?", filter.offset.map(|offset| Argument::Integer(offset.0)));
        self.and("retry = ?", filter.retry.map(|retry| Argument::Integer(retry.into())));
        Ok(self)
    }

    /// Says whether it answers rows.
    pub(crate) fn selects(&self) -> bool {
        self.sql.starts_with("SELECT")
    }

    fn of(mut self, pipeline: &str, topic: &str) -> Statement {
        self.and("pipeline = ?", Some(Argument::Text(pipeline.to_owned())));
        self.and("topic = ?", Some(Argument::Text(topic.to_owned())));
        self
    }
}

/// The statements for one table.
#[derive(Debug, Clone)]
pub(crate) struct LetterSql {
    dialect: Dialect,
    table: String,
}

impl LetterSql {
    pub(crate) fn new(dialect: Dialect, table: &str) -> LetterSql {
        LetterSql { dialect, table: dialect.quote_table(table) }
    }

    pub(crate) fn find(&self, filter: &Filter, after: Option<&LetterPlace>) -> Result<Statement, SinkError> {
        let mut statement = self
            .select(
                &format!("SUBSTR(record_key, 1, {PREVIEW_BYTES})"),
                &format!("SUBSTR(record_value, 1, {PREVIEW_BYTES})"),
            )
            .fits(filter)?;
        if let Some((pipeline, id)) = after {
            statement.sql.push_str(" AND (pipeline, topic, record_partition, record_offset) > (?, ?, ?, ?)");
            statement.arguments.extend(arguments(pipeline, id));
        }
        statement.sql.push_str(" ORDER BY pipeline, topic, record_partition, record_offset");
        statement.sql.push_str(&format!(" LIMIT {MAX_FOUND}"));
        Ok(statement)
    }

    pub(crate) fn read(&self, (pipeline, id): &LetterPlace) -> Statement {
        let mut statement = self.select("record_key", "record_value");
        statement.sql.push_str(" AND pipeline = ? AND topic = ? AND record_partition = ? AND record_offset = ?");
        statement.arguments.extend(arguments(pipeline, id));
        statement
    }

    pub(crate) fn mark(&self, filter: &Filter) -> Result<Statement, SinkError> {
        let mut statement =
            Statement::new(format!("UPDATE {} SET retry = 1 WHERE retry = 0 AND record_partition >= 0", self.table));
        statement.and("INSTR(reason, ?) = 0", Some(Argument::Text(dead_letter::WITHOUT_RECORD.to_owned())));
        statement.fits(filter)
    }

    pub(crate) fn discard(&self, filter: &Filter) -> Result<Statement, SinkError> {
        self.delete().fits(filter)
    }

    pub(crate) fn remove(&self, pipeline: &str, ids: &[LetterId]) -> Vec<Statement> {
        let mut places: BTreeMap<(&str, Partition), Vec<Offset>> = BTreeMap::new();
        ids.iter().for_each(|id| places.entry((&id.topic, id.partition)).or_default().push(id.offset));
        let chunks =
            places.iter().flat_map(|(place, offsets)| offsets.chunks(REMOVED_AT_ONCE).map(move |o| (place, o)));
        let statement = |((topic, partition), offsets): (&(&str, Partition), &[Offset])| {
            let mut statement = self.delete().of(pipeline, topic);
            statement.and("record_partition = ?", Some(Argument::Integer(partition.0.into())));
            let places = vec!["?"; offsets.len()].join(",");
            statement.sql.push_str(&format!(" AND record_offset IN ({places})"));
            statement.arguments.extend(offsets.iter().map(|offset| Argument::Integer(offset.0)));
            statement
        };
        chunks.map(statement).collect()
    }

    pub(crate) fn remove_from(
        &self,
        pipeline: &str,
        topic: &str,
        from: &BTreeMap<Partition, Offset>,
    ) -> Vec<Statement> {
        let statement = |(partition, offset): (&Partition, &Offset)| {
            let mut statement = self.delete().of(pipeline, topic);
            statement.and("record_partition = ?", Some(Argument::Integer(partition.0.into())));
            statement.and("record_offset >= ?", Some(Argument::Integer(offset.0)));
            statement
        };
        from.iter().map(statement).collect()
    }

    /// A statement of each kind that letters take beside being written.
    pub(crate) fn kinds(&self) -> Result<Vec<String>, SinkError> {
        let id = LetterId { topic: String::new(), partition: Partition(0), offset: Offset(0) };
        let remove = self.remove("", std::slice::from_ref(&id));
        let (mark, read) = (self.mark(&Filter::default())?, self.read(&(String::new(), id)));
        Ok(remove.into_iter().chain([mark, read]).map(|statement| statement.sql).collect())
    }

    fn delete(&self) -> Statement {
        Statement::new(format!("DELETE FROM {} WHERE 1 = 1", self.table))
    }

    fn select(&self, key: &str, value: &str) -> Statement {
        // Both databases' times as the same text; SQLite's are texts.
        let time = |column: &str| match self.dialect {
            Dialect::Mysql => format!("DATE_FORMAT({column}, '%Y-%m-%d %H:%i:%s.%f')"),
            Dialect::Sqlite => column.to_owned(),
        };
        let retry = match self.dialect {
            Dialect::Mysql => "CAST(retry AS SIGNED)",
            Dialect::Sqlite => "retry",
        };
        // SQLite's driver reads a blob without bytes as null.
        let is_there = |column: &str| match self.dialect {
            Dialect::Mysql => format!("CAST({column} IS NOT NULL AS SIGNED)"),
            Dialect::Sqlite => format!("{column} IS NOT NULL"),
        };
        Statement::new(format!(
            "SELECT pipeline, topic, CAST(record_partition AS {integer}), record_offset, {}, {key}, {value}, stage, reason, \
             operator, {}, {retry}, {}, {} FROM {} WHERE 1 = 1",
            time("record_time"),
            time("rejected_at"),
            is_there("record_key"),
            is_there("record_value"),
            self.table,
            integer = if self.dialect == Dialect::Mysql { "SIGNED" } else { "INTEGER" },
        ))
    }
}

fn arguments(pipeline: &str, id: &LetterId) -> [Argument; 4] {
    [
        Argument::Text(pipeline.to_owned()),
        Argument::Text(id.topic.clone()),
        Argument::Integer(id.partition.0.into()),
        Argument::Integer(id.offset.0),
    ]
}

/// The table as a pipeline's sink of letters writes it.
pub(crate) fn target(table: &str, create: bool) -> Target {
    let key = dead_letter::KEY.map(str::to_owned).to_vec();
    // Names of pipelines and topics have no spaces.
    Target { table: table.to_owned(), key, create, equality: KeyEquality::Trimmed, ..Target::default() }
}

/// A time as both databases compare it with theirs.
fn shown(micros: i64) -> Result<String, SinkError> {
    time::shown(micros).ok_or_else(|| SinkError::Unusable(format!("{micros} microseconds since 1970 are no time")))
}

/// A row of the statements that select.
pub(crate) fn letter<'r, R>(row: &'r R) -> Result<Letter, sqlx::Error>
where
    R: Row,
    usize: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    Vec<u8>: Decode<'r, R::Database> + Type<R::Database>,
{
    let unfit = |column: &str| sqlx::Error::Decode(format!("`{column}` is not what a dead letter has").into());
    let text = |column: usize| row.try_get::<String, _>(column);
    let moment = |column: usize| row.try_get::<Option<String>, _>(column);
    let bytes = |column: usize, is_there: usize| match row.try_get::<i64, _>(is_there)? {
        0 => Ok(None),
        _ => row.try_get::<Option<Vec<u8>>, _>(column).map(|bytes| Some(bytes.unwrap_or_default())),
    };
    let partition = i32::try_from(row.try_get::<i64, _>(2)?).map_err(|_| unfit("record_partition"))?;
    let id = LetterId { topic: text(1)?, partition: Partition(partition), offset: Offset(row.try_get(3)?) };
    let timestamp = moment(4)?.map(|text| time::parse(&text).ok_or_else(|| unfit("record_time"))).transpose()?;
    let (reason, timestamp) = dead_letter::read_reason(text(8)?, timestamp);
    let letter = DeadLetter {
        id,
        timestamp,
        key: bytes(5, 12)?,
        value: bytes(6, 13)?,
        stage: text(7)?.parse().map_err(|_| unfit("stage"))?,
        reason,
        operator: row.try_get(9)?,
        time: moment(10)?.and_then(|text| time::parse(&text)).ok_or_else(|| unfit("rejected_at"))?,
        retry: row.try_get::<i64, _>(11)? != 0,
    };
    Ok(Letter { pipeline: text(0)?, letter })
}
