//! `[[step]]`: what happens to rows between source and sinks, in the order of the file.

use std::fmt;

use serde_json::Value;
use sluice_core::{Field, Kind};
use sluice_runtime::Limits;

use super::declared::Declared;
use super::json::to_json;
use super::limits;
use super::nearest::suggest;
use super::reader::{Item, Section};
use super::value;
use super::window::{self, StepWindow};
use crate::connection::{LookupForm, Role};

/// The most steps of a pipeline: each costs a pass over every row.
pub const MAX_STEPS: usize = 32;

/// The most columns of one lookup.
const MAX_LOOKUP_COLUMNS: usize = 100;

/// Step of a pipeline.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Joins rows with a table of facts.
    Lookup(Lookup),
    /// Passes rows through an operator.
    Operator(OperatorStep),
}

/// A join with a table of facts, by key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// An hbase or csv connection.
    pub connection: String,
    /// The table.
    pub table: String,
    /// The column whose values are the table's keys; integers as decimal text.
    pub key: String,
    /// The columns that are added, in the order of the file. At least one.
    pub columns: Vec<LookupColumn>,
    /// Treatment of rows whose key the table doesn't have.
    pub join: Join,
}

/// A column that a lookup adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupColumn {
    /// Name of the column in the batch.
    pub name: String,
    /// Name of the column in the table; for HBase `family:qualifier`.
    pub column: String,
    /// `Utf8` or `Binary`.
    pub kind: Kind,
}

/// Treatment of rows whose key the table doesn't have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// The rows are left out.
    Inner,
    /// The rows stay, with nulls.
    Left,
    /// The rows are at fault.
    Required,
}

/// A pass through a deployed operator.
#[derive(Clone, PartialEq)]
pub struct OperatorStep {
    /// The operator's name: its file's, without `.wasm`.
    pub name: String,
    /// Configuration that is passed to the operator's `open`; an object.
    pub config: Value,
    /// Limits of a call.
    pub limits: Limits,
    /// Windows of the groups, if there are any; only for an aggregator.
    pub window: Option<StepWindow>,
}

impl fmt::Debug for OperatorStep {
    /// Shows the step without the operator's configuration, since variables may have put secrets into it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("OperatorStep");
        shown.field("name", &self.name).field("limits", &self.limits).field("window", &self.window);
        shown.finish_non_exhaustive()
    }
}

/// Reads one step. `flow` is what is known of the columns that come in, and is changed to what goes out: none once an
/// operator has passed, since only its plan says.
pub fn read(item: &Item<'_>, declared: &Declared, flow: &mut Option<Vec<Field>>) -> Option<Step> {
    let want = r#"a table with "operator" or "lookup""#;
    item.table(want, |section| match (section.optional("operator"), section.optional("lookup")) {
        (Some(operator), None) => {
            *flow = None;
            operator_step(section, &operator).map(Step::Operator)
        }
        (None, Some(item)) => {
            let lookup = item.table(LOOKUP, |section| lookup(section, declared, flow.as_deref()));
            *flow = flow.take().zip(lookup.as_ref()).map(|(flow, lookup)| joined(flow, lookup));
            lookup.map(Step::Lookup)
        }
        (found, _) => {
            *flow = None;
            section.allow(&["config", "limits", "window"]);
            let found = if found.is_some() { "both" } else { "neither of them" };
            section.item().problem(found, r#"either "operator" or "lookup""#);
            None
        }
    })
}

fn operator_step(section: &Section<'_>, operator: &Item<'_>) -> Option<OperatorStep> {
    let want = format!("the operator's {}", value::NAME.trim_start_matches("a "));
    let name = operator.parse(&want, |text| value::is_name(text).then(|| text.to_owned()));
    let config = section.or("config", Value::Object(Default::default()), |item| {
        if !item.is_table() {
            item.wrong("a table of the operator's own settings");
            return None;
        }
        to_json(&item)
    });
    let limits = section.or("limits", Limits::default(), |item| item.table(limits::LIMITS, limits::read));
    let window = section.or("window", None, |item| item.table(window::WINDOW, window::read).map(Some));
    Some(OperatorStep { name: name?, config: config?, limits: limits?, window: window? })
}

const LOOKUP: &str = r#"a table such as { connection = "dimensions", table = "rooms", key = "room_id", columns = { module_id = "cf:module_id" }, join = "inner" }"#;

fn lookup(section: &Section<'_>, declared: &Declared, flow: Option<&[Field]>) -> Option<Lookup> {
    let connection =
        section.required("connection", "a connection's name", |item| declared.resolve(&item, Role::Lookup));
    let form = connection.as_ref().and_then(|(_, of)| of.and_then(|of| of.lookup));
    let form = form.unwrap_or(LookupForm::PLAIN);
    let table = section.required("table", "a table's name", |item| value::table(&item));
    let key = section.required("key", "the column whose values are the table's keys", |item| key(&item, flow));
    let columns = section.required("columns", LOOKUP_COLUMNS, |item| columns(&item, &form, flow));
    let joins = [("inner", Join::Inner), ("left", Join::Left), ("required", Join::Required)];
    let join = section.required("join", r#"one of "inner", "left" or "required""#, |item| item.choice(&joins));
    let (connection, _) = connection?;
    Some(Lookup { connection, table: table?, key: key?, columns: columns?, join: join? })
}

fn key(item: &Item<'_>, flow: Option<&[Field]>) -> Option<String> {
    let name = item.parse(value::COLUMN, |text| value::is_column(text).then(|| text.to_owned()))?;
    let Some(flow) = flow else { return Some(name) };
    let fits = |field: &&Field| matches!(field.kind, Kind::Int64 | Kind::Utf8);
    match flow.iter().find(|field| field.name == name) {
        Some(field) if fits(&field) => Some(name),
        Some(field) => {
            let found = format!("{}, a column of the kind {}", item.shown(), field.kind);
            item.problem(found, "a column of the kind int64 or utf8");
            None
        }
        None => {
            let known: Vec<&str> = flow.iter().filter(fits).map(|field| field.name.as_str()).collect();
            item.wrong(format!("a column that is there: {}", suggest(&name, &known)));
            None
        }
    }
}

const LOOKUP_COLUMNS: &str = r#"a table of the columns to add, such as { module_id = "cf:module_id" }"#;

fn columns(item: &Item<'_>, form: &LookupForm, flow: Option<&[Field]>) -> Option<Vec<LookupColumn>> {
    let entries = item.table(LOOKUP_COLUMNS, |section| Some(section.entries()))?;
    if entries.is_empty() || entries.len() > MAX_LOOKUP_COLUMNS {
        item.problem(format!("{} columns", entries.len()), format!("1 to {MAX_LOOKUP_COLUMNS} columns"));
        return None;
    }
    let columns: Vec<_> = entries.iter().map(|(name, item)| column(name, item, form, flow)).collect();
    columns.into_iter().collect()
}

fn column(name: &str, item: &Item<'_>, form: &LookupForm, flow: Option<&[Field]>) -> Option<LookupColumn> {
    if !value::is_column(name) {
        item.problem("a column of this name", value::COLUMN);
        return None;
    }
    if flow.is_some_and(|flow| flow.iter().any(|field| field.name == name)) {
        item.problem("a column that is there already", "another name for the column that is added");
        return None;
    }
    let (column, kind) = if item.is_table() {
        item.table("", |section| {
            let column = section.required("column", "the column's name in the table", |item| table_column(&item, form));
            let kinds = [Kind::Utf8, Kind::Binary];
            let kind = section.or("kind", Kind::Utf8, |item| value::kind(&item, &kinds));
            Some((column?, kind?))
        })?
    } else {
        (table_column(item, form)?, Kind::Utf8)
    };
    Some(LookupColumn { name: name.to_owned(), column, kind })
}

fn table_column(item: &Item<'_>, form: &LookupForm) -> Option<String> {
    let fits = |text: &str| value::is_column(text) && (form.is_column)(text);
    item.parse(form.column, |text| fits(text).then(|| text.to_owned()))
}

/// The columns after a lookup.
fn joined(mut flow: Vec<Field>, lookup: &Lookup) -> Vec<Field> {
    flow.extend(lookup.columns.iter().map(|column| Field::new(column.name.as_str(), column.kind)));
    flow
}
