//! The dialects say where the two databases' SQL differs.

use sluice_core::Kind;

/// A database's SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// MySQL and MariaDB.
    Mysql,
    /// SQLite.
    Sqlite,
}

/// The longest name of a table or column, in characters: MySQL's limit. SQLite has none, but a pipeline should run on
/// both.
const MAX_NAME_CHARS: usize = 64;

/// The longest text in a key of a table that we make, in characters.
pub(super) const MAX_KEY_CHARS: usize = 255;

/// The characters that all texts of a key share in a table that we make. InnoDB's index entries hold 3,072 bytes; a
/// character takes 4, and 272 bytes are left for key columns that aren't texts.
const KEY_CHARS: usize = 700;

/// The most bytes that a character of utf8mb4 takes.
const BYTES_OF_CHAR: usize = 4;

/// The most digits after the point that MySQL's `DECIMAL` has.
const MAX_SCALE: u8 = 30;

impl Dialect {
    /// The name as SQL writes it.
    pub(crate) fn quote(self, name: &str) -> String {
        match self {
            Dialect::Mysql => format!("`{}`", name.replace('`', "``")),
            Dialect::Sqlite => format!("\"{}\"", name.replace('"', "\"\"")),
        }
    }

    /// A table's name as SQL writes it; MySQL's may begin with its database.
    pub(crate) fn quote_table(self, table: &str) -> String {
        match self.database_of(table) {
            (Some(database), table) => format!("{}.{}", self.quote(database), self.quote(table)),
            (None, table) => self.quote(table),
        }
    }

    /// The database that a table's name begins with, if it does, and the table. SQLite's file is its only one.
    pub(crate) fn database_of(self, table: &str) -> (Option<&str>, &str) {
        match (self, table.split_once('.')) {
            (Dialect::Mysql, Some((database, table))) => (Some(database), table),
            _ => (None, table),
        }
    }

    /// The reason why this can't be the name of a table, if it can't.
    pub(crate) fn table_problem(self, name: &str) -> Option<&'static str> {
        let (database, table) = self.database_of(name);
        if table.contains('.') {
            return Some(match self {
                Dialect::Mysql => "has more than one dot in it, which comes between a database and its table",
                Dialect::Sqlite => "has a dot in it, and an SQLite file is one database",
            });
        }
        database.and_then(name_problem).or_else(|| name_problem(table))
    }

    /// The names as SQL lists them.
    pub(crate) fn quote_all<'a>(self, names: impl IntoIterator<Item = &'a str>) -> String {
        let quoted: Vec<_> = names.into_iter().map(|name| self.quote(name)).collect();
        quoted.join(", ")
    }

    /// The type that a column of this kind gets when we make it. `key_texts`: how many texts the key has, if the column
    /// is one of the key's. `exact`: the collation of such texts.
    pub(crate) fn column_type(self, kind: Kind, key_texts: Option<usize>, exact: Option<&str>) -> String {
        match self {
            Dialect::Mysql => mysql_type(kind, key_texts, exact),
            Dialect::Sqlite => sqlite_type(kind).into(),
        }
    }

    /// Returns the type of a key's text column of this length.
    pub(crate) fn key_text(self, chars: usize, exact: Option<&str>) -> String {
        match (self, exact) {
            (Dialect::Sqlite, _) => sqlite_type(Kind::Utf8).into(),
            // 'a' and 'A' are two keys to the pipeline, and so are 'a' and 'a ': so they must be to the table.
            (Dialect::Mysql, Some(exact)) => format!("VARCHAR({chars}) CHARACTER SET utf8mb4 COLLATE {exact}"),
            // A server without such a collation still compares bytes.
            (Dialect::Mysql, None) => format!("VARBINARY({})", chars * BYTES_OF_CHAR),
        }
    }

    /// The reason why no column can have this kind, if none can.
    pub(crate) fn kind_problem(self, kind: Kind) -> Option<String> {
        match (self, kind) {
            (Dialect::Mysql, Kind::Decimal(decimal)) if decimal.scale() > MAX_SCALE => {
                Some(format!("has {} digits after the point, and MySQL's DECIMAL at most {MAX_SCALE}", decimal.scale()))
            }
            _ => None,
        }
    }

    /// The options that follow the columns of a table that we make.
    pub(crate) fn table_options(self, has_key: bool) -> &'static str {
        match self {
            Dialect::Mysql => " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4",
            // One tree instead of a tree and an index: half the writes.
            Dialect::Sqlite if has_key => " WITHOUT ROWID",
            Dialect::Sqlite => "",
        }
    }
}

/// The reason why this can't be the name of a table or column, if it can't.
pub(crate) fn name_problem(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("is empty");
    }
    if name.contains(['`', '"', '\0']) {
        return Some("has a quote or a NUL in it");
    }
    if name.ends_with(' ') {
        return Some("ends with a space");
    }
    (name.chars().count() > MAX_NAME_CHARS).then_some("is longer than 64 characters")
}

fn mysql_type(kind: Kind, key_texts: Option<usize>, exact: Option<&str>) -> String {
    let chars = |texts: usize| MAX_KEY_CHARS.min(KEY_CHARS / texts.max(1));
    match (kind, key_texts) {
        (Kind::Boolean, _) => "BOOLEAN".into(),
        (Kind::Int64, _) => "BIGINT".into(),
        (Kind::Float64, _) => "DOUBLE".into(),
        (Kind::Timestamp, _) => "DATETIME(6)".into(),
        (Kind::Date, _) => "DATE".into(),
        (Kind::Decimal(decimal), _) => format!("DECIMAL({}, {})", decimal.precision(), decimal.scale()),
        (Kind::Utf8, None) => "TEXT".into(),
        (Kind::Binary, None) => "LONGBLOB".into(),
        (Kind::Utf8, Some(texts)) => Dialect::Mysql.key_text(chars(texts), exact),
        (Kind::Binary, Some(texts)) => format!("VARBINARY({})", chars(texts)),
    }
}

fn sqlite_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Boolean | Kind::Int64 => "INTEGER",
        Kind::Float64 => "REAL",
        // SQLite's own numbers are floats beyond 64 bits.
        Kind::Utf8 | Kind::Timestamp | Kind::Date | Kind::Decimal(_) => "TEXT",
        Kind::Binary => "BLOB",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_quoted_name_ends_where_its_name_ends(name in ".*") {
            for (dialect, quote) in [(Dialect::Mysql, '`'), (Dialect::Sqlite, '"')] {
                let quoted = dialect.quote(&name);
                let inner = &quoted[1..quoted.len() - 1];
                let doubled = format!("{quote}{quote}");
                prop_assert!(quoted.starts_with(quote) && quoted.ends_with(quote));
                prop_assert!(!inner.replace(&doubled, "").contains(quote));
                prop_assert_eq!(inner.replace(&doubled, &quote.to_string()), name.clone());
            }
        }
    }

    #[test]
    fn names_that_could_end_their_quotes_are_refused() {
        for bad in ["", "a`b", "a\"b", "a\0b", "a ", &"x".repeat(65)] {
            assert!(name_problem(bad).is_some(), "{bad:?}");
        }
        for good in ["live_streaming_log", "a b", "名字", &"名".repeat(64)] {
            assert_eq!(name_problem(good), None);
        }
    }

    #[test]
    fn the_texts_of_a_key_fit_an_index_of_innodb() {
        for texts in 1..=16 {
            let declared = Dialect::Mysql.column_type(Kind::Utf8, Some(texts), Some("utf8mb4_nopad_bin"));
            let chars: usize = declared.split(['(', ')']).nth(1).unwrap().parse().unwrap();
            assert!(texts * chars * 4 <= 3072 && chars > 0, "{declared}");
        }
    }
}
