//! The description that the server gives of a table.

use sqlx::Row;
use sqlx::mysql::{MySqlConnection, MySqlRow};

use super::types::ColumnType;
use crate::sink::Constraint;
use crate::sql::{Alike, Column, Dialect, Table, UniqueIndex};

/// Casts give every server's answer one type: MySQL 8 answers some of these columns as binary.
const COLUMNS: &str = "SELECT CAST(column_name AS CHAR), CAST(column_type AS CHAR), CAST(data_type AS CHAR), \
    CAST(is_nullable = 'YES' AS SIGNED), CAST(column_default IS NOT NULL AS SIGNED), CAST(extra AS CHAR), \
    CAST(COALESCE(generation_expression, '') <> '' AS SIGNED), CAST(character_maximum_length AS UNSIGNED), \
    CAST(character_octet_length AS UNSIGNED), CAST(numeric_precision AS UNSIGNED), CAST(numeric_scale AS UNSIGNED), \
     CAST(character_set_name AS CHAR), CAST(datetime_precision AS UNSIGNED), CAST(collation_name AS CHAR) \
     FROM information_schema.columns WHERE table_schema = COALESCE(?, DATABASE()) AND table_name = ? ORDER BY ordinal_position";

const INDEXES: &str = "SELECT CAST(index_name AS CHAR), CAST(COALESCE(column_name, '') AS CHAR), \
    CAST(sub_part IS NULL AND column_name IS NOT NULL AS SIGNED) \
    FROM information_schema.statistics \
    WHERE table_schema = COALESCE(?, DATABASE()) AND table_name = ? AND non_unique = 0 ORDER BY index_name, seq_in_index";

const KIND_OF_TABLE: &str = "SELECT CAST(table_type AS CHAR) FROM information_schema.tables \
    WHERE table_schema = COALESCE(?, DATABASE()) AND table_name = ?";

/// The thing that is under a table's name.
pub(super) enum Described {
    Missing,
    /// The name isn't that of a base table. The text is its type, as the server calls it.
    Other(String),
    Table(Table),
}

/// Asks for the table of this name, in the connection's database unless the name begins with another one.
pub(super) async fn describe(connection: &mut MySqlConnection, table: &str) -> Result<Described, sqlx::Error> {
    let (database, table) = Dialect::Mysql.database_of(table);
    let kind = sqlx::query(KIND_OF_TABLE).bind(database).bind(table).fetch_optional(&mut *connection).await?;
    let Some(kind) = kind else { return Ok(Described::Missing) };
    let kind: String = kind.try_get(0)?;
    if kind != "BASE TABLE" {
        return Ok(Described::Other(kind));
    }
    let rows = sqlx::query(COLUMNS).bind(database).bind(table).fetch_all(&mut *connection).await?;
    let columns = rows.iter().map(column).collect::<Result<_, _>>()?;
    let alike = rows.iter().filter_map(|row| alike(row).transpose()).collect::<Result<Vec<_>, _>>()?;
    let rows = sqlx::query(INDEXES).bind(database).bind(table).fetch_all(&mut *connection).await?;
    Ok(Described::Table(Table { columns, unique: indexes(&rows, &alike)? }))
}

fn column(row: &MySqlRow) -> Result<Column, sqlx::Error> {
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
        fraction: row.try_get::<Option<u64>, _>(12)?.and_then(|digits| digits.try_into().ok()),
    };
    let charset: Option<String> = row.try_get(11)?;
    let (kinds, takes) = column_type.takes(nullable);
    let rounds = column_type.rounds();
    let takes = Constraint { max_char: greatest_char(charset.as_deref()), ..takes };
    let optional = nullable || counts || row.try_get::<i64, _>(4)? != 0;
    let generated = row.try_get::<i64, _>(6)? != 0;
    let digits = column_type.decimal();
    Ok(Column { name, declared, charset, kinds, rounds, digits, takes, optional, counts, generated })
}

/// Describes the different texts that a column's collation takes for the same; none if it takes none, or the column isn't a text.
fn alike(row: &MySqlRow) -> Result<Option<Alike>, sqlx::Error> {
    let (charset, collation): (Option<String>, Option<String>) = (row.try_get(11)?, row.try_get(13)?);
    let (Some(charset), Some(collation)) = (charset, collation) else { return Ok(None) };
    let by_padding = match equality(&charset, &collation) {
        Equality::Exact => return Ok(None),
        Equality::Padded => true,
        Equality::Loose => false,
    };
    Ok(Some(Alike { column: row.try_get(0)?, collation, by_padding }))
}

/// Texts that a collation takes for the same.
#[derive(Debug, PartialEq, Eq)]
enum Equality {
    /// No two different texts are equal.
    Exact,
    /// Texts that differ only in spaces at the end are equal.
    Padded,
    /// Other different texts are equal.
    Loose,
}

/// The equality of a collation, by the names that MySQL and MariaDB give: there is no column that says it on both.
fn equality(charset: &str, collation: &str) -> Equality {
    // Into the others two characters may go as one.
    let keeps_apart = ["utf8mb4", "utf8mb3", "utf8", "ucs2", "utf16", "utf16le", "utf32", "ascii"].contains(&charset);
    match collation {
        _ if !keeps_apart => Equality::Loose,
        "utf8mb4_0900_bin" => Equality::Exact,
        name if name.ends_with("_nopad_bin") => Equality::Exact,
        name if name.ends_with("_bin") => Equality::Padded,
        _ => Equality::Loose,
    }
}

/// The collations that are exact, by preference: MariaDB's and MySQL's since 8.0.17.
const EXACT: [&str; 2] = ["utf8mb4_nopad_bin", "utf8mb4_0900_bin"];

/// Returns the collation of this server in which different texts are never the same, if it has one.
pub(super) async fn exact_collation(connection: &mut MySqlConnection) -> Result<Option<&'static str>, sqlx::Error> {
    let query = "SELECT CAST(collation_name AS CHAR) FROM information_schema.collations WHERE collation_name IN (?, ?)";
    let query = sqlx::query_scalar(query).bind(EXACT[0]).bind(EXACT[1]);
    let known: Vec<String> = query.fetch_all(connection).await?;
    Ok(EXACT.into_iter().find(|exact| known.iter().any(|name| name == exact)))
}

/// The last character of a character set that has all characters up to one. Texts for another are known to the server only.
fn greatest_char(charset: Option<&str>) -> Option<char> {
    match charset? {
        "utf8" | "utf8mb3" | "ucs2" => Some('\u{ffff}'),
        "ascii" => Some('\u{7f}'),
        _ => None,
    }
}

fn indexes(rows: &[MySqlRow], alike: &[Alike]) -> Result<Vec<UniqueIndex>, sqlx::Error> {
    let mut indexes: Vec<UniqueIndex> = Vec::new();
    for row in rows {
        let (name, column): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let whole = row.try_get::<i64, _>(2)? != 0;
        let alike = alike.iter().filter(|alike| alike.column.eq_ignore_ascii_case(&column)).cloned();
        if let Some(index) = indexes.last_mut().filter(|index| index.name == name) {
            index.alike.extend(alike);
            index.columns.push(column);
            index.whole &= whole;
        } else {
            let alike = alike.collect();
            indexes.push(UniqueIndex { primary: name == "PRIMARY", name, columns: vec![column], whole, alike });
        }
    }
    Ok(indexes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collation_is_exact_by_bytes_and_without_padding_in_a_character_set_that_keeps_characters_apart() {
        for (charset, collation, expected) in [
            ("utf8mb4", "utf8mb4_nopad_bin", Equality::Exact),
            ("utf8mb4", "utf8mb4_0900_bin", Equality::Exact),
            ("ascii", "ascii_nopad_bin", Equality::Exact),
            ("utf8mb4", "utf8mb4_bin", Equality::Padded),
            ("utf8mb3", "utf8mb3_bin", Equality::Padded),
            ("utf8mb4", "utf8mb4_general_ci", Equality::Loose),
            ("utf8mb4", "utf8mb4_general_nopad_ci", Equality::Loose),
            ("utf8mb4", "utf8mb4_0900_as_cs", Equality::Loose),
            ("utf8mb4", "uca1400_nopad_as_cs", Equality::Loose),
            ("latin1", "latin1_nopad_bin", Equality::Loose),
            ("gbk", "gbk_bin", Equality::Loose),
        ] {
            assert_eq!(equality(charset, collation), expected, "{collation}");
        }
    }
}
