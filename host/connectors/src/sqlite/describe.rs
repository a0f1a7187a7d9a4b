//! The description that SQLite gives of a table.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use sluice_core::time;

use super::affinity;
use crate::sink::Constraint;
use crate::sql::{Alike, Column, Table, UniqueIndex};

/// Range of floats without NaN, which would be stored as null.
const FLOATS: (f64, f64) = (f64::NEG_INFINITY, f64::INFINITY);

/// The name of the primary key's index in messages.
const PRIMARY: &str = "PRIMARY KEY";

/// The thing that is under a table's name.
pub(super) enum Described {
    Missing,
    View,
    Table(Table),
}

/// Asks for the table of this name.
pub(super) async fn describe(connection: &mut SqliteConnection, table: &str) -> Result<Described, sqlx::Error> {
    let found =
        sqlx::query("SELECT type FROM sqlite_master WHERE name = ? COLLATE NOCASE AND type IN ('table', 'view')")
            .bind(table)
            .fetch_optional(&mut *connection)
            .await?;
    let Some(found) = found else { return Ok(Described::Missing) };
    if found.try_get::<String, _>(0)? == "view" {
        return Ok(Described::View);
    }
    let rows =
        sqlx::query("SELECT name, type, \"notnull\", dflt_value IS NOT NULL, pk, hidden FROM pragma_table_xinfo(?)")
            .bind(table)
            .fetch_all(&mut *connection)
            .await?;
    let primary = primary_key(&rows)?;
    let rowid = rowid_name(&rows, &primary)?;
    let strict = is_strict(connection, table).await?;
    let columns = rows.iter().map(|row| column(row, rowid.as_deref(), strict)).collect::<Result<_, _>>()?;
    let mut unique = indexes(connection, table).await?;
    // A column that is the row's number has no index of its own.
    if rowid.is_some() && !unique.iter().any(|index| index.primary) {
        let name = PRIMARY.into();
        unique.push(UniqueIndex { name, primary: true, columns: primary, whole: true, alike: Vec::new() });
    }
    Ok(Described::Table(Table { columns, unique }))
}

async fn is_strict(connection: &mut SqliteConnection, table: &str) -> Result<bool, sqlx::Error> {
    let query =
        sqlx::query_scalar("SELECT strict FROM pragma_table_list WHERE schema = 'main' AND name = ? COLLATE NOCASE");
    let strict: Option<i64> = query.bind(table).fetch_optional(connection).await?;
    Ok(strict == Some(1))
}

fn column(row: &SqliteRow, rowid: Option<&str>, strict: bool) -> Result<Column, sqlx::Error> {
    let (name, declared): (String, String) = (row.try_get(0)?, row.try_get(1)?);
    let (not_null, default, hidden): (i64, i64, i64) = (row.try_get(2)?, row.try_get(3)?, row.try_get(5)?);
    let nullable = not_null == 0;
    let counts = rowid == Some(&name);
    Ok(Column {
        charset: None,
        kinds: affinity::kinds(&declared, strict),
        rounds: None,
        digits: None,
        takes: Constraint { nullable, times: Some(time::CALENDAR), floats: Some(FLOATS), ..Constraint::ANY },
        optional: nullable || default != 0 || counts,
        counts,
        // 2 and 3: virtual and stored.
        generated: hidden >= 2,
        name,
        declared,
    })
}

/// The texts that an index's column takes for the same by a collation that isn't SQLite's own by bytes.
fn alike(column: &str, collation: Option<String>) -> Option<Alike> {
    let collation = collation.filter(|name| !name.eq_ignore_ascii_case("BINARY"))?;
    let by_padding = collation.eq_ignore_ascii_case("RTRIM");
    Some(Alike { column: column.to_owned(), collation, by_padding })
}

/// The columns of the primary key, in its order.
fn primary_key(rows: &[SqliteRow]) -> Result<Vec<String>, sqlx::Error> {
    let mut places = Vec::new();
    for row in rows {
        let (name, place): (String, i64) = (row.try_get(0)?, row.try_get(4)?);
        if place > 0 {
            places.push((place, name));
        }
    }
    places.sort();
    Ok(places.into_iter().map(|(_, name)| name).collect())
}

/// The column that is the row's number and counts by itself: the one whose type is exactly `INTEGER PRIMARY KEY`.
fn rowid_name(rows: &[SqliteRow], primary: &[String]) -> Result<Option<String>, sqlx::Error> {
    let [only] = primary else { return Ok(None) };
    for row in rows {
        let (name, declared): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        if name == *only && declared.eq_ignore_ascii_case("INTEGER") {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// The unique indexes, with the primary key's.
async fn indexes(connection: &mut SqliteConnection, table: &str) -> Result<Vec<UniqueIndex>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT list.name, list.partial, info.name, info.coll, list.origin = 'pk' \
         FROM pragma_index_list(?) AS list, pragma_index_xinfo(list.name) AS info \
         WHERE list.\"unique\" = 1 AND info.key = 1 ORDER BY list.name, info.seqno",
    )
    .bind(table)
    .fetch_all(connection)
    .await?;
    let mut indexes: Vec<UniqueIndex> = Vec::new();
    for row in &rows {
        let (name, partial): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
        // Null: an expression.
        let column: Option<String> = row.try_get(2)?;
        let whole = partial == 0 && column.is_some();
        let column = column.unwrap_or_else(|| "(an expression)".into());
        let primary = row.try_get::<i64, _>(4)? != 0;
        let name = if primary { PRIMARY.into() } else { name };
        let alike = alike(&column, row.try_get(3)?);
        if let Some(index) = indexes.last_mut().filter(|index| index.name == name) {
            index.alike.extend(alike);
            index.columns.push(column);
            index.whole &= whole;
        } else {
            let alike = alike.into_iter().collect();
            indexes.push(UniqueIndex { name, primary, columns: vec![column], whole, alike });
        }
    }
    Ok(indexes)
}
