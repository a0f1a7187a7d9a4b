//! `[[step]]`: what happens to rows between source and sinks, in the order of the file.

use std::fmt;

use serde_json::Value;
use sluice_connectors::lookup::{Encoding, LookupColumn, LookupKey, LookupTable};
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
    /// The connection that has the table.
    pub connection: String,
    /// The column whose values are the table's keys; integers as decimal text.
    pub key: String,
    /// The columns that are added, in the order of the file. At least one.
    pub fields: Vec<Field>,
    /// The table, and what each of these columns is in it.
    pub table: LookupTable,
    /// Treatment of rows whose key the table doesn't have.
    pub join: Join,
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
    let form = form.unwrap_or(LookupForm::ANY);
    let table = section.required("table", "a table's name", |item| value::table(&item));
    let key = section.required("key", KEY, |item| key(&item, &form, flow));
    let columns = section.required("columns", LOOKUP_COLUMNS, |item| columns(&item, &form, flow));
    let joins = [("inner", Join::Inner), ("left", Join::Left), ("required", Join::Required)];
    let join = section.required("join", r#"one of "inner", "left" or "required""#, |item| item.choice(&joins));
    let ((connection, _), (key, of)) = (connection?, key?);
    let (fields, columns) = columns?.into_iter().unzip();
    let table = LookupTable { table: table?, key: of, columns };
    Some(Lookup { connection, key, fields, table, join: join? })
}

const KEY: &str = "the column whose values are the table's keys";

/// Reads `key`: the column, or a table of one entry, the column and what it is in the table.
fn key(item: &Item<'_>, form: &LookupForm, flow: Option<&[Field]>) -> Option<(String, LookupKey)> {
    if !item.is_table() {
        let name = item.parse(value::COLUMN, |text| value::is_column(text).then(|| text.to_owned()))?;
        let column = if form.names_key { name.clone() } else { String::new() };
        return of_flow(item, &name, item.shown(), flow).then_some((name, LookupKey { column, encoding: None }));
    }
    let entries = item.table(KEY, |section| Some(section.entries()))?;
    let [(name, of)] = entries.as_slice() else {
        item.problem(format!("{} columns", entries.len()), "one column");
        return None;
    };
    if !value::is_column(name) {
        of.problem("a column of this name", value::COLUMN);
        return None;
    }
    let fits = of_flow(of, name, format!("{name:?}"), flow);
    let key = table_key(of, name, form)?;
    if key.encoding.is_some() && flow.is_some_and(|flow| flow.contains(&Field::new(*name, Kind::Utf8))) {
        of.problem("an encoding of a column of the kind utf8", "one of the kind int64, since the bytes are a number's");
        return None;
    }
    fits.then_some(((*name).to_owned(), key))
}

/// Reads what the key is in the table: its column's name where it has one, its encoding where it can have one.
fn table_key(item: &Item<'_>, name: &str, form: &LookupForm) -> Option<LookupKey> {
    let named = |item: &Item<'_>| {
        if form.names_key {
            return table_column(item, form);
        }
        item.problem("a column for the key", "none: the rows' keys have no name in this table");
        None
    };
    if !item.is_table() {
        return Some(LookupKey { column: named(item)?, encoding: None });
    }
    item.table("", |section| {
        let own = if form.names_key { name.to_owned() } else { String::new() };
        let column = section.optional("column").map_or(Some(own), |item| named(&item));
        let of_key = |encoding: &Encoding| encoding.kind() == Kind::Int64;
        let encodings: Vec<_> = form.encodings.iter().copied().filter(of_key).collect();
        Some(LookupKey { column: column?, encoding: encoding(section, &encodings)? })
    })
}

/// Reads `encoding`, which only a connector with encodings knows.
fn encoding(section: &Section<'_>, known: &[Encoding]) -> Option<Option<Encoding>> {
    if known.is_empty() {
        return Some(None);
    }
    let choices: Vec<_> = known.iter().map(|encoding| (encoding.name(), *encoding)).collect();
    section.or("encoding", None, |item| item.choice(&choices).map(Some))
}

/// Returns true if the column is one of those that come, and of a kind that a key can have; notes a problem if it isn't.
fn of_flow(item: &Item<'_>, name: &str, shown: String, flow: Option<&[Field]>) -> bool {
    let Some(flow) = flow else { return true };
    let fits = |field: &&Field| matches!(field.kind, Kind::Int64 | Kind::Utf8);
    match flow.iter().find(|field| field.name == name) {
        Some(field) if fits(&field) => true,
        Some(field) => {
            let found = format!("{shown}, a column of the kind {}", field.kind);
            item.problem(found, "a column of the kind int64 or utf8");
            false
        }
        None => {
            let known: Vec<&str> = flow.iter().filter(fits).map(|field| field.name.as_str()).collect();
            item.problem(shown, format!("a column that is there: {}", suggest(name, &known)));
            false
        }
    }
}

const LOOKUP_COLUMNS: &str = r#"a table of the columns to add, such as { module_id = "cf:module_id" }"#;

fn columns(item: &Item<'_>, form: &LookupForm, flow: Option<&[Field]>) -> Option<Vec<(Field, LookupColumn)>> {
    let entries = item.table(LOOKUP_COLUMNS, |section| Some(section.entries()))?;
    if entries.is_empty() || entries.len() > MAX_LOOKUP_COLUMNS {
        item.problem(format!("{} columns", entries.len()), format!("1 to {MAX_LOOKUP_COLUMNS} columns"));
        return None;
    }
    let columns: Vec<_> = entries.iter().map(|(name, item)| column(name, item, form, flow)).collect();
    columns.into_iter().collect()
}

fn column(name: &str, item: &Item<'_>, form: &LookupForm, flow: Option<&[Field]>) -> Option<(Field, LookupColumn)> {
    if !value::is_column(name) {
        item.problem("a column of this name", value::COLUMN);
        return None;
    }
    if flow.is_some_and(|flow| flow.iter().any(|field| field.name == name)) {
        item.problem("a column that is there already", "another name for the column that is added");
        return None;
    }
    let column = if item.is_table() {
        item.table("", |section| looked_up(section, form))?
    } else {
        LookupColumn { name: table_column(item, form)?, kind: Kind::Utf8, encoding: None }
    };
    Some((Field::new(name, column.kind), column))
}

/// Reads a column with its kind, or with the encoding that says it.
fn looked_up(section: &Section<'_>, form: &LookupForm) -> Option<LookupColumn> {
    let name = section.required("column", "the column's name in the table", |item| table_column(&item, form));
    let kind = section.or("kind", None, |item| value::kind(&item, &Kind::ALL).map(Some));
    let encoding = encoding(section, form.encodings);
    let (name, kind, encoding) = (name?, kind?, encoding?);
    if let (Some(_), Some(of)) = (kind, encoding) {
        let found = format!("both a kind and the encoding {:?}", of.name());
        section.item().problem(found, format!("only the encoding: its values are {}", of.kind()));
        return None;
    }
    let kind = kind.or(encoding.map(Encoding::kind)).unwrap_or(Kind::Utf8);
    Some(LookupColumn { name, kind, encoding })
}

fn table_column(item: &Item<'_>, form: &LookupForm) -> Option<String> {
    let fits = |text: &str| value::is_column(text) && (form.is_column)(text);
    item.parse(form.column, |text| fits(text).then(|| text.to_owned()))
}

/// The columns after a lookup.
fn joined(mut flow: Vec<Field>, lookup: &Lookup) -> Vec<Field> {
    flow.extend(lookup.fields.iter().cloned());
    flow
}
