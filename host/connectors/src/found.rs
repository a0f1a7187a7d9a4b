//! Identity of the table that a sink found under its name, so that another table of the same name isn't taken for it.

/// Facts that identify a table beyond its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundTable {
    /// The server and its database; none where a file is all of it, or the server doesn't say.
    pub database: Option<String>,
    /// Mark that only this table has had since it was made: the time when it was made, or the file that it is in. None where
    /// nobody tells. A table that was rebuilt, moved or restored may have another mark although its rows are the same.
    pub table: Option<String>,
    /// True if the table has no row.
    pub is_empty: bool,
    /// True if columns were added when the table was opened: its earlier rows have null in them.
    pub is_widened: bool,
}

/// A table under watch: what it was when it was opened, and whether it must have rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watched {
    pub(crate) found: FoundTable,
    /// True if the host can't find out whether the table has rows, because its user may not read them.
    pub(crate) is_blind: bool,
    pub(crate) expects_rows: bool,
    pub(crate) has_rows: bool,
}

impl Watched {
    pub(crate) fn new(found: FoundTable) -> Watched {
        Watched { found, ..Watched::default() }
    }

    /// Expects rows from now on: once it has rows it may not lose all of them.
    pub(crate) fn expect_rows(&mut self) {
        self.expects_rows = !self.is_blind;
        self.has_rows = self.expects_rows && !self.found.is_empty;
    }

    /// Says whether it matters that there are rows.
    pub(crate) fn watches_rows(&self) -> bool {
        self.has_rows
    }

    /// Notes that rows were written to the table.
    pub(crate) fn has_written(&mut self) {
        self.has_rows = self.expects_rows;
    }

    /// Returns the reason why the table that is there now isn't the one that was opened; none if it is.
    pub(crate) fn differs(&self, table: Option<&str>, is_empty: bool) -> Option<String> {
        match (self.found.table.as_deref(), table) {
            (Some(before), Some(now)) if before != now => {
                Some(format!("is another than before: {now}, before {before}"))
            }
            _ if is_empty && self.has_rows => Some("has lost all of its rows".to_owned()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(table: Option<&str>, is_empty: bool) -> Watched {
        Watched::new(FoundTable { table: table.map(str::to_owned), is_empty, ..FoundTable::default() })
    }

    #[test]
    fn another_table_differs_where_both_are_known() {
        let table = watched(Some("a"), false);
        assert_eq!(table.differs(Some("a"), false), None);
        assert_eq!(table.differs(None, false), None);
        assert_eq!(table.differs(Some("b"), false).unwrap(), "is another than before: b, before a");
        assert_eq!(watched(None, false).differs(Some("b"), false), None);
    }

    #[test]
    fn an_empty_table_differs_where_rows_are_expected_and_were_there() {
        let mut full = watched(None, false);
        assert_eq!(full.differs(None, true), None, "nobody expects rows");
        full.expect_rows();
        assert!(full.differs(None, true).is_some());
        let mut empty = watched(None, true);
        empty.expect_rows();
        assert_eq!(empty.differs(None, true), None, "it never had any");
        empty.has_written();
        assert!(empty.differs(None, true).is_some());
    }
}
