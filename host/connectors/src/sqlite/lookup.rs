//! A table of SQLite, as a lookup asks it.

use futures_util::TryStreamExt;
use sluice_core::lookup::{Lookup, LookupError};
use sluice_core::{Kind, time};
use sqlx::sqlite::{SqliteArguments, SqliteRow, SqliteValueRef};
use sqlx::{Arguments, AssertSqlSafe, Decode, Row, Sqlite, TypeInfo, ValueRef};
use tokio::runtime::Handle;

use super::describe::{Described, describe};
use super::file::File;
use super::{SqliteConnection, affinity};
use crate::lookup::{Answer, Asked, Cell, LookupTable, Unanswered, cell};
use crate::roles::LookupRole;
use crate::sink::SinkError;
use crate::sql::lookup::{
    Answers, KEYS_PER_CALL, KeyType, KeyValue, Reads, answers, lookup_error, qualified, select, unfit,
};
use crate::sql::{Column, Dialect, runtime};

/// The types of SQLite, for lookups. A value is of any type whatever its column's: what it is then decides.
const READS: Reads = Reads { dialect: Dialect::Sqlite, key: key_type, kinds };

impl LookupRole for SqliteConnection {
    fn lookup(&self, what: &LookupTable) -> Result<Box<dyn Lookup>, LookupError> {
        let table = SqliteTable { file: File::new(&self.path), what: what.clone(), runtime: runtime()?, open: None };
        Ok(Box::new(self.caches.lookup(what, table)))
    }

    fn check_lookup(&self, what: &LookupTable) -> Result<(), LookupError> {
        let file = File::new(&self.path);
        runtime()?.block_on(OpenTable::of(&file, what)).map(drop).map_err(lookup_error)
    }
}

/// Columns of a table, by its key.
struct SqliteTable {
    file: File,
    what: LookupTable,
    runtime: Handle,
    open: Option<OpenTable>,
}

/// A table that can answer.
struct OpenTable {
    connection: sqlx::SqliteConnection,
    /// The file that is open: another may be put in its place.
    identity: Option<String>,
    of: KeyType,
}

impl OpenTable {
    /// Opens the file, and looks at the table.
    async fn of(file: &File, what: &LookupTable) -> Result<OpenTable, SinkError> {
        let unusable = |words: String| SinkError::Unusable(format!("SQLite at {}: {words}", file.path()));
        if let Some(problem) = Dialect::Sqlite.table_problem(&what.table) {
            return Err(unusable(format!("the table's name {:?} {problem}: name another table", what.table)));
        }
        if !file.exists() {
            return Err(unusable("the file is missing: make it, or name another".to_owned()));
        }
        let identity = file.identity();
        let mut connection = file.open_to_read().await?;
        let table = match file.run(describe(&mut connection, &what.table)).await? {
            Described::Table(table) => table,
            Described::Missing => {
                return Err(unusable(format!("there is no table `{}`: make it, or name another", what.table)));
            }
            Described::View => {
                return Err(unusable(format!("`{}` is a view, which has no unique key: name a table", what.table)));
            }
        };
        let (of, ..) = READS.check(what, &table).map_err(|problems| unusable(problems.join("; ")))?;
        Ok(OpenTable { connection, identity, of })
    }
}

impl SqliteTable {
    async fn answers(&mut self, keys: &[&[u8]]) -> Result<Vec<Answer>, Unanswered> {
        let identity = self.file.identity();
        let open = match self.open.take().filter(|open| open.identity == identity) {
            Some(open) => open,
            None => OpenTable::of(&self.file, &self.what).await.map_err(lookup_error)?,
        };
        // Closed after an error.
        let (open, answers) = self.ask_open(open, keys).await?;
        self.open = Some(open);
        Ok(answers)
    }

    async fn ask_open(&self, mut open: OpenTable, keys: &[&[u8]]) -> Result<(OpenTable, Vec<Answer>), Unanswered> {
        let (file, what) = (&self.file, &self.what);
        let values = open.of.values(keys);
        let mut found = Answers::of(keys.len());
        if !values.is_empty() {
            let named = |column: &str| qualified(Dialect::Sqlite, column);
            let columns: Vec<_> = what.columns.iter().map(|column| named(&column.name)).collect();
            let sql = select(Dialect::Sqlite, what, &named(&what.key.column), &columns, values.len());
            let arguments = arguments(&values).map_err(|error| LookupError::Unusable(error.to_string()))?;
            let mut rows = sqlx::query_with(AssertSqlSafe(sql), arguments).fetch(&mut open.connection);
            while let Some(row) = rows.try_next().await.map_err(|error| lookup_error(file.error(&error)))? {
                let key = key_of(&row);
                found.add(what, &key, answer(what, &key, &row))?;
            }
        }
        Ok((open, found.in_order(keys)))
    }
}

impl Asked for SqliteTable {
    fn keys_per_call(&self) -> usize {
        KEYS_PER_CALL
    }

    fn ask(&mut self, keys: &[&[u8]]) -> Result<Vec<Answer>, Unanswered> {
        let (runtime, name) = (self.runtime.clone(), self.name());
        answers(&runtime, &name, self.answers(keys))
    }

    fn name(&self) -> String {
        format!("`{}` of SQLite at {}", self.what.table, self.file.path())
    }
}

/// An integer's or a text's column: what a value becomes in it is the same whoever compares.
fn key_type(column: &Column) -> Option<KeyType> {
    match affinity::kinds(&column.declared, false) {
        kinds if kinds.len() == Kind::ALL.len() => None,
        kinds if kinds.contains(&Kind::Int64) => Some(KeyType::Integer),
        kinds if kinds.contains(&Kind::Utf8) => Some(KeyType::Text),
        _ => None,
    }
}

/// The kinds that the values of such a column can be read as; a text is bytes as well, and an integer has a text.
fn kinds(column: &Column) -> Vec<Kind> {
    let mut kinds = column.kinds.to_vec();
    let more = [(Kind::Utf8, Kind::Binary), (Kind::Int64, Kind::Utf8)];
    kinds.extend(more.into_iter().filter(|(of, _)| column.kinds.contains(of)).map(|(_, kind)| kind));
    kinds.dedup();
    kinds
}

fn arguments(values: &[KeyValue<'_>]) -> Result<SqliteArguments, sqlx::error::BoxDynError> {
    let mut arguments = SqliteArguments::default();
    for value in values {
        match value {
            KeyValue::Signed(number) => arguments.add(*number),
            // No integer of SQLite is so large.
            KeyValue::Unsigned(_) => arguments.add(None::<i64>),
            KeyValue::Text(text) => arguments.add((*text).to_owned()),
            KeyValue::Binary(bytes) => arguments.add(bytes.to_vec()),
        }?;
    }
    Ok(arguments)
}

fn answer(what: &LookupTable, key: &[u8], row: &SqliteRow) -> Answer {
    Answer::of(what.columns.iter().enumerate().map(|(i, column)| {
        let value = row.try_get_raw(i + 1).map_err(|error| error.to_string());
        value.and_then(|value| read(column.kind, value)).map_err(|why| unfit(what, key, &column.name, &why))
    }))
}

/// The key as its text; empty for a value that is none.
fn key_of(row: &SqliteRow) -> Vec<u8> {
    let value = row.try_get_raw(0).ok().filter(|value| !value.is_null());
    value.and_then(|value| utf8(value).ok()).unwrap_or_default().into_bytes()
}

/// The value as a text: an integer has one.
fn utf8(value: SqliteValueRef<'_>) -> Result<String, String> {
    let of = value.type_info().name().to_owned();
    let read = match of.as_str() {
        "INTEGER" => <i64 as Decode<Sqlite>>::decode(value).map(|number| number.to_string()),
        "TEXT" => <&[u8] as Decode<Sqlite>>::decode(value)
            .and_then(|bytes| std::str::from_utf8(bytes).map(str::to_owned).map_err(Into::into)),
        _ => return Err(format!("is {of}, and not a text")),
    };
    read.map_err(|error| format!("is no text ({error})"))
}

fn read(kind: Kind, value: SqliteValueRef<'_>) -> Result<Cell, String> {
    if value.is_null() {
        return Ok(cell::null(kind));
    }
    let of = value.type_info().name().to_owned();
    let why = |error: sqlx::error::BoxDynError| format!("can't be read as {kind} ({error})");
    let integer = |value| <i64 as Decode<Sqlite>>::decode(value).map_err(why);
    Ok(match (kind, of.as_str()) {
        (Kind::Int64, "INTEGER") => cell::int64(integer(value)?),
        (Kind::Boolean, "INTEGER") => match integer(value)? {
            number @ (0 | 1) => cell::boolean(number == 1),
            number => return Err(format!("is {number}, and a boolean is 0 or 1")),
        },
        (Kind::Float64, "REAL" | "INTEGER") => cell::float64(<f64 as Decode<Sqlite>>::decode(value).map_err(why)?),
        (Kind::Utf8, "TEXT" | "INTEGER") => cell::utf8(&utf8(value)?),
        (Kind::Binary, "BLOB" | "TEXT") => cell::binary(<&[u8] as Decode<Sqlite>>::decode(value).map_err(why)?),
        (Kind::Timestamp, "TEXT") => {
            let text = utf8(value)?;
            cell::timestamp(time::parse(&text).ok_or_else(|| format!("is {text:?}, which is no time"))?)
        }
        (Kind::Date | Kind::Decimal(_), "TEXT") => {
            let text = utf8(value)?;
            cell::of_text(kind, &text).ok_or_else(|| format!("is {text:?}, which is no {kind}"))?
        }
        _ => return Err(format!("is {of}, and not {kind}")),
    })
}
