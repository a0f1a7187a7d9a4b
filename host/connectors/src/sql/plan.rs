//! Plan of a sink: the one description of the table and its columns, from which DDL, checks and statements are made.

use sluice_core::{Field, Kind};

use super::dialect::{Dialect, name_problem};
use super::table::Table;
use crate::sink::Target;

/// The collation of texts in keys, until the server has said what it has: MariaDB's.
const EXACT: &str = "utf8mb4_nopad_bin";

/// The upserts of a pipeline into a table.
#[derive(Debug, Clone)]
pub(crate) struct UpsertPlan {
    pub(crate) dialect: Dialect,
    pub(crate) target: Target,
    pub(crate) fields: Vec<Field>,
    /// Collation in which only equal texts of a key are the same, as the server calls it; none where the server has none.
    pub(crate) exact: Option<&'static str>,
}

impl UpsertPlan {
    /// A plan whose names can be written as SQL and whose key is among its fields; else each problem as a sentence.
    pub(crate) fn new(dialect: Dialect, target: &Target, fields: &[Field]) -> Result<UpsertPlan, Vec<String>> {
        let plan = UpsertPlan::in_transactions(dialect, target, fields);
        if !target.key.is_empty() {
            return plan;
        }
        let no_key = format!("the sink of table `{}` has no key: name the columns that identify a row", target.table);
        Err([plan.err().unwrap_or_default(), vec![no_key]].concat())
    }

    /// Makes a plan for a table whose rows are written once. The table may then have no key: its rows are inserted.
    pub(crate) fn in_transactions(
        dialect: Dialect,
        target: &Target,
        fields: &[Field],
    ) -> Result<UpsertPlan, Vec<String>> {
        let mut problems = Vec::new();
        if let Some(problem) = dialect.table_problem(&target.table) {
            problems.push(format!("the table's name {:?} {problem}: name another table", target.table));
        }
        problems.extend(field_problems(dialect, fields));
        problems.extend(key_problems(target, fields));
        if problems.is_empty() {
            Ok(UpsertPlan { dialect, target: target.clone(), fields: fields.to_vec(), exact: Some(EXACT) })
        } else {
            Err(problems)
        }
    }

    /// The table's name as SQL writes it.
    pub(crate) fn table(&self) -> String {
        self.dialect.quote_table(&self.target.table)
    }

    /// Says whether the column is one of the key's.
    pub(crate) fn is_key(&self, name: &str) -> bool {
        self.target.key.iter().any(|key| key.eq_ignore_ascii_case(name))
    }

    /// The key's columns as SQL lists them.
    pub(crate) fn key_list(&self) -> String {
        self.dialect.quote_all(self.target.key.iter().map(String::as_str))
    }

    /// The field's column as DDL writes it.
    pub(crate) fn column_ddl(&self, field: &Field) -> String {
        let key = self.is_key(&field.name);
        let texts = self.fields.iter().filter(|f| matches!(f.kind, Kind::Utf8 | Kind::Binary) && self.is_key(&f.name));
        let key_texts = key.then(|| texts.count());
        let not_null = if key { " NOT NULL" } else { "" };
        format!(
            "{} {}{not_null}",
            self.dialect.quote(&field.name),
            self.dialect.column_type(field.kind, key_texts, self.exact)
        )
    }

    /// The statement that makes a table for this plan.
    pub(crate) fn create_table(&self) -> String {
        let mut parts: Vec<_> = self.fields.iter().map(|field| self.column_ddl(field)).collect();
        if !self.target.key.is_empty() {
            parts.push(format!("PRIMARY KEY ({})", self.key_list()));
        }
        let options = self.dialect.table_options(!self.target.key.is_empty());
        format!("CREATE TABLE {} ({}){options}", self.table(), parts.join(", "))
    }

    /// Returns the statement that makes the table if it is missing: another process may have made it a moment before.
    pub(crate) fn create_missing_table(&self) -> String {
        self.create_table().replacen("CREATE TABLE", "CREATE TABLE IF NOT EXISTS", 1)
    }

    /// Returns the statements that make the table, or add the columns that an existing table lacks, one each. If the table
    /// doesn't fit in other ways, returns every problem instead; it isn't touched then.
    pub(crate) fn make(&self, there: Option<&Table>) -> Result<Vec<String>, Vec<String>> {
        let Some(table) = there else { return Ok(vec![self.create_missing_table()]) };
        self.check(table)?;
        let lacking = self.fields.iter().filter(|field| table.column(&field.name).is_none());
        Ok(lacking.map(|field| self.add_column(field)).collect())
    }

    /// Returns true if the field's column may be added to a table that lacks it. Existing rows have null in it, which a key can't
    /// have.
    pub(super) fn may_add(&self, field: &Field) -> bool {
        self.target.create && !self.is_key(&field.name)
    }

    pub(super) fn add_column(&self, field: &Field) -> String {
        format!("ALTER TABLE {} ADD COLUMN {}", self.table(), self.column_ddl(field))
    }
}

fn field_problems(dialect: Dialect, fields: &[Field]) -> Vec<String> {
    let mut problems = Vec::new();
    if fields.is_empty() {
        problems.push("the pipeline's result has no column: there is nothing to write".into());
    }
    for (i, field) in fields.iter().enumerate() {
        if let Some(problem) = name_problem(&field.name) {
            problems.push(format!("the result column {:?} {problem}: rename it", field.name));
        }
        if let Some(problem) = dialect.kind_problem(field.kind) {
            problems
                .push(format!("the result column `{}` {problem}: let the operator write fewer, or a text", field.name));
        }
        if fields[..i].iter().any(|other| other.name.eq_ignore_ascii_case(&field.name)) {
            problems
                .push(format!("the result column `{}` is there twice (tables ignore case): rename one", field.name));
        }
    }
    problems
}

fn key_problems(target: &Target, fields: &[Field]) -> Vec<String> {
    let names: Vec<_> = fields.iter().map(|field| field.name.as_str()).collect();
    let missing = target.key.iter().filter(|key| !names.contains(&key.as_str()));
    missing
        .map(|key| {
            format!("the key column `{key}` is not in the pipeline's result: its columns are {}", names.join(", "))
        })
        .collect()
}
