//! Fit: whether a table takes what a plan writes; every reason why not, with the statement that changes it.

use sluice_core::{Field, Kind};

use super::dialect::{Dialect, MAX_KEY_CHARS};
use super::plan::UpsertPlan;
use super::table::{Alike, Column, Table, UniqueIndex};
use crate::sink::{Constraint, KeyEquality};

impl UpsertPlan {
    /// The constraint of each field's column, or every problem as a sentence.
    pub(crate) fn check(&self, table: &Table) -> Result<Vec<Constraint>, Vec<String>> {
        let mut problems = Vec::new();
        let mut constraints = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            match self.column_of(field, table) {
                Ok(constraint) => constraints.push(constraint),
                Err(problem) => problems.push(problem),
            }
        }
        problems.extend(self.key_problem(table));
        problems.extend(self.equality_problems(table));
        problems.extend(table.unique.iter().filter_map(|index| self.clash_problem(index, table)));
        problems.extend(table.columns.iter().filter_map(|column| self.unwritten_problem(column)));
        if problems.is_empty() { Ok(constraints) } else { Err(problems) }
    }

    fn column_of(&self, field: &Field, table: &Table) -> Result<Constraint, String> {
        let Some(column) = table.column(&field.name) else {
            return match self.may_add(field) {
                true => Ok(Constraint::ANY),
                false => Err(format!(
                    "table {} has no column {}, for the pipeline's {field}: run {}",
                    self.table(),
                    self.dialect.quote(&field.name),
                    self.add_column(field)
                )),
            };
        };
        if column.generated {
            return Err(format!(
                "{} is computed by the database: name the pipeline's column otherwise",
                self.place(column)
            ));
        }
        if !column.kinds.iter().any(|kind| kind.is_like(field.kind)) {
            return Err(format!(
                "{} is {}, the pipeline writes {}: {}",
                self.place(column),
                if column.declared.is_empty() { "untyped" } else { &column.declared },
                field.kind,
                self.other_kind(column, field)
            ));
        }
        if let Some(exact) = column.rounds(field.kind)
            && !self.may_round(field)
        {
            return Err(self.rounding_problem(column, field, &exact));
        }
        // Databases allow nulls in some unique keys, and then never find the row again.
        let nullable = column.takes.nullable && !self.is_key(&field.name);
        let takes = column.constraint(field.kind);
        let end_space = takes.end_space && !self.is_trimmed(field, table);
        Ok(Constraint { nullable, end_space, ..takes })
    }

    /// Returns true if the field's column may round. A key's column may only if the table decides which keys are the same: keys
    /// that are rounded to the same value become one row.
    fn may_round(&self, field: &Field) -> bool {
        self.target.round && (!self.is_key(&field.name) || self.target.equality == KeyEquality::Table)
    }

    fn rounding_problem(&self, column: &Column, field: &Field, exact: &str) -> String {
        let change = format!("ALTER TABLE {} MODIFY COLUMN {}", self.table(), self.modified(column, exact));
        let (place, declared, kind) = (self.place(column), &column.declared, field.kind);
        match (self.is_key(&field.name), kind) {
            (_, Kind::Utf8) => format!(
                "{place} is {declared}, which writes the pipeline's texts in other words: say round = true in the sink if it may, \
                 or run {change}"
            ),
            (true, _) => format!(
                "{place} is {declared}, which keeps fewer digits than the pipeline's {kind}, so that keys that differ would be \
                 one row: run {change}, or say round = true and key_equality = \"table\" in a sink without a fold"
            ),
            (false, _) => format!(
                "{place} is {declared}, which keeps fewer digits than the pipeline's {kind}: say round = true in the sink if it \
                 may round, or run {change}"
            ),
        }
    }

    /// The column as it is, of another type.
    fn modified(&self, column: &Column, declared: &str) -> String {
        let null = if column.takes.nullable { "NULL" } else { "NOT NULL" };
        format!("{} {declared} {null}", self.dialect.quote(&column.name))
    }

    fn place(&self, column: &Column) -> String {
        format!("column {} of table {}", self.dialect.quote(&column.name), self.table())
    }

    /// The advice about a kind that the column doesn't take. Never to change the column: it holds something, of which another type
    /// might keep less.
    fn other_kind(&self, column: &Column, field: &Field) -> String {
        let kinds: Vec<_> = column.kinds.iter().map(|kind| kind.name()).collect();
        let other = format!(
            "name the column otherwise, and run ALTER TABLE {} ADD COLUMN … {}",
            self.table(),
            self.type_of(field)
        );
        match kinds.is_empty() {
            true => format!("no kind fits that type: {other}"),
            false => format!("write {} into it, or {other}", kinds.join(" or ")),
        }
    }

    fn type_of(&self, field: &Field) -> String {
        self.dialect.column_type(field.kind, None, None)
    }

    /// SQLite's way to change a column or a constraint.
    fn anew(&self) -> String {
        format!("SQLite can't change that in place, so move the table away and run {}", self.create_table())
    }

    fn key_problem(&self, table: &Table) -> Option<String> {
        if self.target.key.is_empty() {
            return None;
        }
        if self.key_indexes(table).next().is_some() {
            return None;
        }
        let (name, key) = (self.table(), self.key_list());
        let change = match self.dialect {
            Dialect::Mysql if table.unique.iter().any(|index| index.primary) => {
                format!("ALTER TABLE {name} ADD UNIQUE INDEX ({key})")
            }
            Dialect::Mysql => format!("ALTER TABLE {name} ADD PRIMARY KEY ({key})"),
            Dialect::Sqlite => {
                let index = self.dialect.quote(&format!("{}_key", self.target.table));
                format!("CREATE UNIQUE INDEX {index} ON {name} ({key})")
            }
        };
        Some(format!(
            "table {name} has no primary key or unique index on exactly ({key}), the pipeline's key: run {change}"
        ))
    }

    /// The indexes that tell rows by the key and nothing else.
    fn key_indexes<'a>(&self, table: &'a Table) -> impl Iterator<Item = &'a UniqueIndex> {
        table.unique.iter().filter(|index| index.whole && same_names(&index.columns, &self.target.key))
    }

    /// Returns the problems by which different texts of the key count as equal, unless the target allows it.
    fn equality_problems(&self, table: &Table) -> Vec<String> {
        let mut told: Vec<&str> = Vec::new();
        let mut problems = Vec::new();
        for index in self.key_indexes(table) {
            for alike in index.alike.iter().filter(|alike| self.is_text(&alike.column) && !self.takes_for_one(alike)) {
                // MySQL has the collation by column, whatever the index.
                if self.dialect == Dialect::Sqlite || !told.contains(&alike.column.as_str()) {
                    told.push(&alike.column);
                    problems.extend(table.column(&alike.column).map(|column| self.alike_problem(column, alike, index)));
                }
            }
        }
        problems
    }

    fn alike_problem(&self, column: &Column, alike: &Alike, index: &UniqueIndex) -> String {
        let which = match alike.by_padding {
            true => "texts that differ in spaces at the end",
            false => "texts that differ, such as 'Anna' and 'anna',",
        };
        let otherwise = match self.target.equality {
            KeyEquality::Trimmed => "which no fold can group by",
            KeyEquality::Exact | KeyEquality::Table => "or say key_equality = \"table\" in the sink if they may be",
        };
        format!(
            "{} is a key in {}, for which {which} are one: {}, {otherwise}",
            self.place(column),
            alike.collation,
            self.recollate(column, index)
        )
    }

    fn recollate(&self, column: &Column, index: &UniqueIndex) -> String {
        match self.dialect {
            Dialect::Mysql => {
                let declared = self.dialect.key_text(column.takes.max_chars.unwrap_or(MAX_KEY_CHARS), self.exact);
                format!("run ALTER TABLE {} MODIFY COLUMN {}", self.table(), self.modified(column, &declared))
            }
            Dialect::Sqlite if is_of_the_table(index) => self.anew(),
            Dialect::Sqlite => {
                let name = self.dialect.quote(&index.name);
                let binary = |column: &String| format!("{} COLLATE BINARY", self.dialect.quote(column));
                let columns = index.columns.iter().map(binary).collect::<Vec<_>>().join(", ");
                format!("run DROP INDEX {name}; CREATE UNIQUE INDEX {name} ON {} ({columns})", self.table())
            }
        }
    }

    /// Says whether the target says that what the collation takes for one is one.
    fn takes_for_one(&self, alike: &Alike) -> bool {
        match self.target.equality {
            KeyEquality::Exact => false,
            KeyEquality::Trimmed => alike.by_padding,
            KeyEquality::Table => true,
        }
    }

    /// Says whether no text of this field may end in a space, since the table passes over those and the target knows it.
    fn is_trimmed(&self, field: &Field, table: &Table) -> bool {
        let of_field = |alike: &Alike| alike.by_padding && alike.column.eq_ignore_ascii_case(&field.name);
        self.target.equality == KeyEquality::Trimmed
            && self.key_indexes(table).any(|index| index.alike.iter().any(of_field))
    }

    fn is_text(&self, name: &str) -> bool {
        self.fields.iter().any(|field| field.kind == Kind::Utf8 && field.name.eq_ignore_ascii_case(name))
    }

    /// A unique index in which two rows of different keys can meet: one would replace the other.
    fn clash_problem(&self, index: &UniqueIndex, table: &Table) -> Option<String> {
        let keyless = self.target.key.is_empty();
        let holds_key = !keyless && index.whole && self.target.key.iter().all(|key| contains_name(&index.columns, key));
        // Of an index of just the key that is said otherwise.
        let meets =
            |alike: &Alike| self.is_key(&alike.column) && self.is_text(&alike.column) && !self.takes_for_one(alike);
        let more = index.columns.len() > self.target.key.len();
        let holds_key = holds_key && !(more && index.alike.iter().any(meets));
        let counts = |name: &str| !self.writes(name) && table.column(name).is_some_and(|column| column.counts);
        if holds_key || index.columns.iter().any(|name| counts(name)) {
            return None;
        }
        let name = self.dialect.quote(&index.name);
        let change = match self.dialect {
            Dialect::Mysql if index.primary => format!("run ALTER TABLE {} DROP PRIMARY KEY", self.table()),
            Dialect::Mysql => format!("run ALTER TABLE {} DROP INDEX {name}", self.table()),
            // Those are part of the table.
            Dialect::Sqlite if is_of_the_table(index) => self.anew(),
            Dialect::Sqlite => format!("run DROP INDEX {name}"),
        };
        let columns = self.dialect.quote_all(index.columns.iter().map(String::as_str));
        let table = self.table();
        Some(match keyless {
            true => format!(
                "unique index {name} ({columns}) of table {table} would refuse rows, which the sink adds without a key: \
                 {change}, or say key = {:?}",
                index.columns
            ),
            false => format!(
                "unique index {name} ({columns}) of table {table} would make rows of different keys replace each other: \
                 {change}"
            ),
        })
    }

    fn unwritten_problem(&self, column: &Column) -> Option<String> {
        if column.optional || column.generated || self.writes(&column.name) {
            return None;
        }
        let change = match self.dialect {
            Dialect::Mysql => format!(
                "run ALTER TABLE {} ALTER COLUMN {} SET DEFAULT …, with what new rows are to have",
                self.table(),
                self.dialect.quote(&column.name)
            ),
            Dialect::Sqlite => self.anew(),
        };
        Some(format!(
            "{} is NOT NULL without a default, and the pipeline doesn't write it: {change}",
            self.place(column)
        ))
    }

    fn writes(&self, name: &str) -> bool {
        self.fields.iter().any(|field| field.name.eq_ignore_ascii_case(name))
    }
}

/// Says whether SQLite has it as a part of the table.
fn is_of_the_table(index: &UniqueIndex) -> bool {
    index.primary || index.name.starts_with("sqlite_autoindex_")
}

fn contains_name(names: &[String], name: &str) -> bool {
    names.iter().any(|other| other.eq_ignore_ascii_case(name))
}

fn same_names(left: &[String], right: &[String]) -> bool {
    left.len() == right.len() && left.iter().all(|name| contains_name(right, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::Target;

    fn plan(dialect: Dialect) -> UpsertPlan {
        let target = Target { table: "gifts".into(), key: vec!["kind".into()], create: false, ..Target::default() };
        let fields = [Field::new("kind", Kind::Utf8), Field::new("total", Kind::Int64)];
        UpsertPlan::new(dialect, &target, &fields).unwrap()
    }

    fn column(name: &str, declared: &str, kinds: &'static [Kind]) -> Column {
        Column {
            charset: None,
            name: name.into(),
            declared: declared.into(),
            kinds,
            rounds: None,
            digits: None,
            takes: Constraint::ANY,
            optional: true,
            counts: false,
            generated: false,
        }
    }

    fn index(name: &str, columns: &[&str]) -> UniqueIndex {
        let columns = columns.iter().map(|name| name.to_string()).collect();
        UniqueIndex { name: name.into(), primary: name == "PRIMARY", columns, whole: true, alike: Vec::new() }
    }

    fn fitting() -> Table {
        Table {
            columns: vec![column("Kind", "varchar(32)", &[Kind::Utf8]), column("total", "bigint", &[Kind::Int64])],
            unique: vec![index("PRIMARY", &["KIND"])],
        }
    }

    #[test]
    fn a_table_that_fits_in_other_case_gives_a_constraint_for_each_field_and_no_null_in_the_key() {
        let constraints = plan(Dialect::Mysql).check(&fitting()).unwrap();
        assert_eq!(constraints, [Constraint { nullable: false, ..Constraint::ANY }, Constraint::ANY]);
    }

    #[test]
    fn every_problem_is_told_at_once_with_the_statement_that_ends_it() {
        let mut table = fitting();
        table.columns[1] = column("total", "varchar(10)", &[Kind::Utf8]);
        table.columns.remove(0);
        table.columns.push(Column { optional: false, ..column("shop", "int(11)", &[Kind::Int64]) });
        table.unique = vec![index("PRIMARY", &["shop"])];
        assert_eq!(
            plan(Dialect::Mysql).check(&table).unwrap_err(),
            [
                "table `gifts` has no column `kind`, for the pipeline's kind:utf8: run ALTER TABLE `gifts` ADD COLUMN \
                 `kind` VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL",
                "column `total` of table `gifts` is varchar(10), the pipeline writes int64: write utf8 into it, or name the \
                 column otherwise, and run ALTER TABLE `gifts` ADD COLUMN … BIGINT",
                "table `gifts` has no primary key or unique index on exactly (`kind`), the pipeline's key: run ALTER \
                 TABLE `gifts` ADD UNIQUE INDEX (`kind`)",
                "unique index `PRIMARY` (`shop`) of table `gifts` would make rows of different keys replace each other: \
                 run ALTER TABLE `gifts` DROP PRIMARY KEY",
                "column `shop` of table `gifts` is NOT NULL without a default, and the pipeline doesn't write it: run \
                 ALTER TABLE `gifts` ALTER COLUMN `shop` SET DEFAULT …, with what new rows are to have",
            ]
        );
    }

    #[test]
    fn what_sqlite_cant_alter_is_made_anew() {
        let mut table = fitting();
        table.columns.push(Column { optional: false, ..column("shop", "INTEGER", &[Kind::Int64]) });
        let [problem] = plan(Dialect::Sqlite).check(&table).unwrap_err().try_into().unwrap();
        assert!(problem.ends_with(
            "SQLite can't change that in place, so move the table away and run CREATE TABLE \"gifts\" (\"kind\" TEXT NOT NULL, \
             \"total\" INTEGER, PRIMARY KEY (\"kind\")) WITHOUT ROWID"
        ), "{problem}");
    }

    #[test]
    fn no_hint_changes_what_a_column_holds() {
        let mut table = fitting();
        for (declared, kinds) in [("decimal(10,2)", &[Kind::Int64, Kind::Float64][..]), ("json", &[])] {
            table.columns[0] = column("kind", declared, kinds);
            for dialect in [Dialect::Mysql, Dialect::Sqlite] {
                let problems = plan(dialect).check(&table).unwrap_err().concat();
                assert!(!problems.contains("MODIFY") && problems.contains("ADD COLUMN … TEXT"), "{problems}");
            }
        }
    }

    #[test]
    fn a_table_of_another_database_is_quoted_part_by_part() {
        let target = |table: &str| Target {
            table: table.into(),
            key: vec!["kind".into()],
            create: false,
            equality: KeyEquality::Exact,
            round: false,
        };
        let fields = [Field::new("kind", Kind::Utf8)];
        let plan = |dialect, table: &str| UpsertPlan::new(dialect, &target(table), &fields);
        assert_eq!(plan(Dialect::Mysql, "live.gifts").unwrap().table(), "`live`.`gifts`");
        assert_eq!(plan(Dialect::Mysql, "a.b.c").unwrap_err().len(), 1);
        assert_eq!(plan(Dialect::Mysql, ".gifts").unwrap_err().len(), 1);
        assert_eq!(plan(Dialect::Sqlite, "live.gifts").unwrap_err().len(), 1);
    }

    #[test]
    fn a_unique_index_that_no_two_keys_meet_in_is_no_problem() {
        let mut table = fitting();
        table.columns.push(Column { counts: true, ..column("id", "bigint", &[Kind::Int64]) });
        table.unique = vec![index("PRIMARY", &["id"]), index("a", &["kind"]), index("b", &["total", "kind"])];
        assert!(plan(Dialect::Mysql).check(&table).is_ok());
        table.unique.push(index("c", &["total"]));
        assert_eq!(plan(Dialect::Mysql).check(&table).unwrap_err().len(), 1);
    }

    #[test]
    fn a_table_for_rows_without_a_key_has_no_unique_index_but_one_that_counts() {
        let target = Target { table: "gifts".into(), key: vec![], create: false, ..Target::default() };
        let fields = [Field::new("kind", Kind::Utf8), Field::new("total", Kind::Int64)];
        let plan = UpsertPlan::in_transactions(Dialect::Mysql, &target, &fields).unwrap();
        let mut table = fitting();
        table.columns.push(Column { counts: true, ..column("id", "bigint", &[Kind::Int64]) });
        table.unique = vec![index("PRIMARY", &["id"])];
        assert_eq!(plan.check(&table).unwrap(), [Constraint::ANY, Constraint::ANY]);
        table.unique.push(index("a", &["kind"]));
        let problems = plan.check(&table).unwrap_err();
        assert!(problems.len() == 1 && problems[0].contains("say key = [\"kind\"]"), "{problems:?}");
    }

    #[test]
    fn an_index_on_a_part_of_a_value_identifies_nothing() {
        let mut table = fitting();
        table.unique[0].whole = false;
        assert_eq!(plan(Dialect::Mysql).check(&table).unwrap_err().len(), 2);
    }

    #[test]
    fn a_plan_refuses_names_and_keys_that_no_table_has() {
        let target = Target { table: "a`b".into(), key: vec!["k".into()], create: false, ..Target::default() };
        let fields = [Field::new("x", Kind::Int64), Field::new("X", Kind::Int64)];
        let problems = UpsertPlan::new(Dialect::Mysql, &target, &fields).unwrap_err();
        assert_eq!(problems.len(), 3, "{problems:?}");
        let no_key = Target { table: "t".into(), key: vec![], create: false, ..Target::default() };
        assert_eq!(UpsertPlan::new(Dialect::Mysql, &no_key, &fields[..1]).unwrap_err().len(), 1);
    }
}
