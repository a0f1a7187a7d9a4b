//! What the server says of a table.

use sqlx::Row;
use sqlx::mysql::{MySqlConnection, MySqlRow};

use super::types::ColumnType;
use crate::sink::Constraint;
use crate::sql::{Column, Dialect, Table, UniqueIndex};

/// Casts give every server's answer one type: MySQL 8 answers some of these columns as binary.
const COLUMNS: &str = "SELECT CAST(column_name AS CHAR), CAST(column_type AS CHAR), CAST(data_type AS CHAR), \
    CAST(is_nullable = 'YES' AS SIGNED), CAST(column_default IS NOT NULL AS SIGNED), CAST(extra AS CHAR), \
    CAST(COALESCE(generation_expression, '') <> '' AS SIGNED), CAST(character_maximum_length AS UNSIGNED), \
    CAST(character_octet_length AS UNSIGNED), CAST(numeric_precision AS UNSIGNED), CAST(numeric_scale AS UNSIGNED), \
    CAST(character_set_name AS CHAR) \
    FROM information_schema.columns WHERE table_schema = COALESCE(?, DATABASE()) AND table_name = ? ORDER BY ordinal_position";

const INDEXES: &str = "SELECT CAST(index_name AS CHAR), CAST(COALESCE(column_name, '') AS CHAR), \
    CAST(sub_part IS NULL AND column_name IS NOT NULL AS SIGNED) \
    FROM information_schema.statistics \
    WHERE table_schema = COALESCE(?, DATABASE()) AND table_name = ? AND non_unique = 0 ORDER BY index_name, seq_in_index";

const KIND_OF_TABLE: &str = "SELECT CAST(table_type AS CHAR) FROM information_schema.tables \
    WHERE table_schema = COALESCE(?, DATABASE()) AND table_name = ?";

/// What there is under a table's name.
pub(super) enum Described {
    Missing,
    /// Not a base table: its type, as the server calls it.
    Other(String),
    Table(Table),
}

/// Asks for the table of this name, in the connection's database unless the name begins with another one.
pub(super) async fn describe(connection: &mut MySqlConnection, table: &str) -> Result<Described, sqlx::Error> {
    let named = table;
    let (database, table) = Dialect::Mysql.database_of(table);
    let kind = sqlx::query(KIND_OF_TABLE).bind(database).bind(table).fetch_optional(&mut *connection).await?;
    let Some(kind) = kind else { return Ok(Described::Missing) };
    let kind: String = kind.try_get(0)?;
    if kind != "BASE TABLE" {
        return Ok(Described::Other(kind));
    }
    let rows = sqlx::query(COLUMNS).bind(database).bind(table).fetch_all(&mut *connection).await?;
    let columns = rows.iter().map(|row| column(named, row)).collect::<Result<_, _>>()?;
    let rows = sqlx::query(INDEXES).bind(database).bind(table).fetch_all(&mut *connection).await?;
    Ok(Described::Table(Table { columns, unique: indexes(&rows)? }))
}

fn column(table: &str, row: &MySqlRow) -> Result<Column, sqlx::Error> {
    let name: String = row.try_get(0)?;
    let declared: String = row.try_get(1)?;
    let nullable = row.try_get::<i64, _>(3)? != 0;
    let extra = row.try_get::<Option<String>, _>(5)?.unwrap_or_default().to_ascii_lowercase();
    let counts = extra.contains("auto_increment");
    let digits: (Option<u64>, Option<u64>) = (row.try_get(9)?, row.try_get(10)?);
    let column_type = ColumnType {
        name: row.try_get::<String, _>(2)?.to_ascii_lowercase(),
        unsigned: declared.to_ascii_lowercase().contains("unsigned"),
        chars: row.try_get(7)?,
        bytes: row.try_get(8)?,
        digits: digits
            .0
            .zip(digits.1)
            .and_then(|(all, fraction)| Some((all.try_into().ok()?, fraction.try_into().ok()?))),
    };
    let charset: Option<String> = row.try_get(11)?;
    let (kinds, takes) = column_type.takes(nullable);
    let takes = Constraint { max_char: greatest_char(charset.as_deref()), ..takes };
    warn_of_charset(table, &name, charset);
    let optional = nullable || counts || row.try_get::<i64, _>(4)? != 0;
    Ok(Column { name, declared, kinds, takes, optional, counts, generated: row.try_get::<i64, _>(6)? != 0 })
}

/// The last character of a character set that has all characters up to one. Texts for another are known to the server only.
fn greatest_char(charset: Option<&str>) -> Option<char> {
    match charset? {
        "utf8" | "utf8mb3" | "ucs2" => Some('\u{ffff}'),
        "ascii" => Some('\u{7f}'),
        _ => None,
    }
}

/// A narrow character set holds most texts; those that it doesn't become dead letters, or stop the pipeline where only the server
/// knows which they are. So say it early.
fn warn_of_charset(table: &str, column: &str, charset: Option<String>) {
    if let Some(charset) = charset.filter(|charset| !["utf8mb4", "binary"].contains(&charset.as_str())) {
        tracing::warn!(
            "column `{column}` of table {table} is in {charset}, which can't hold every text: run ALTER TABLE \
             {table} CONVERT TO CHARACTER SET utf8mb4",
            table = Dialect::Mysql.quote_table(table)
        );
    }
}

fn indexes(rows: &[MySqlRow]) -> Result<Vec<UniqueIndex>, sqlx::Error> {
    let mut indexes: Vec<UniqueIndex> = Vec::new();
    for row in rows {
        let (name, column): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let whole = row.try_get::<i64, _>(2)? != 0;
        if let Some(index) = indexes.last_mut().filter(|index| index.name == name) {
            index.columns.push(column);
            index.whole &= whole;
        } else {
            indexes.push(UniqueIndex { primary: name == "PRIMARY", name, columns: vec![column], whole });
        }
    }
    Ok(indexes)
}
