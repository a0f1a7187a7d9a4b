//! Groups as JSON, typed by the checkpoint's form, without loss: what is shown can be imported.
//!
//! ```text
//! {"key": {"room_id": 20210813}, "state": {"total": 88}, "touched": "2021-09-17T12:00:00.5"}
//! ```
//!
//! An int64 is a number and a boolean a boolean. A float64 is a number, or `"NaN"`, `"inf"`, `"-inf"`. Bytes are hexadecimal
//! digits. A date and a decimal are texts. A timestamp is its text, or a number of microseconds since 1970 where it has no date of four digits.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use jiff::SignedDuration;
use jiff::civil::{DateTime, date};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use sluice_core::checkpoint::{Checkpoint, Group, StateForm};
use sluice_core::column::{ColumnBuilder, Texts};
use sluice_core::fold::{decode_states, encode_stored, stored_version};
use sluice_core::{Field, Kind, row, time};

const EPOCH: DateTime = date(1970, 1, 1).at(0, 0, 0, 0);

const MISFIT: &str = "the groups don't have the columns that the checkpoint says they have";

type Columns = BTreeMap<String, Box<RawValue>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupLine {
    key: Columns,
    state: Columns,
    touched: Box<RawValue>,
    /// Version of the state's form, if it isn't the checkpoint's own.
    #[serde(default)]
    version: Option<u32>,
}

/// The groups of a form, between stored bytes and JSON.
pub(super) struct Groups<'a> {
    form: &'a StateForm,
    /// The older forms that states may have.
    older: &'a [StateForm],
}

impl<'a> Groups<'a> {
    pub(super) fn new(form: &'a StateForm, older: &'a [StateForm]) -> Groups<'a> {
        Groups { form, older }
    }

    /// Makes the groups of a checkpoint; none if it has no form.
    pub(super) fn of(head: &'a Checkpoint) -> Option<Groups<'a>> {
        head.form.as_ref().map(|form| Groups::new(form, &head.older))
    }

    fn form_of(&self, version: u32) -> anyhow::Result<&StateForm> {
        let form = std::iter::once(self.form).chain(self.older).find(|form| form.version == version);
        form.ok_or_else(|| anyhow!("the checkpoint doesn't know the form of states of version {version}"))
    }

    /// Stored groups as JSON objects.
    pub(super) fn show(&self, groups: &[Group]) -> anyhow::Result<Vec<Value>> {
        let keys = row::decode(&kinds(&self.form.keys), groups.iter().map(|(key, _)| &key[..]));
        let keys = keys.context(MISFIT)?;
        let line = |(row, (_, state)): (usize, &Group)| {
            let form = self.form_of(stored_version(state).context(MISFIT)?)?;
            let stored = decode_states(&kinds(&form.columns), std::iter::once(&state[..])).context(MISFIT)?;
            let mut line = json!({
                "key": object(&self.form.keys, &keys, row),
                "state": object(&form.columns, &stored.columns, 0),
                "touched": wall_clock(stored.touched[0]),
            });
            if form.version != self.form.version {
                line["version"] = form.version.into();
            }
            Ok(line)
        };
        groups.iter().enumerate().map(line).collect()
    }

    /// The stored key of this JSON object.
    pub(super) fn key(&self, json: &str) -> anyhow::Result<Vec<u8>> {
        self.encode_key(&serde_json::from_str(json)?)
    }

    /// The stored group of this line.
    pub(super) fn read(&self, line: &str) -> anyhow::Result<Group> {
        let line: GroupLine = serde_json::from_str(line)?;
        let touched = micros(line.touched.get()).context("touched")?;
        let form = self.form_of(line.version.unwrap_or(self.form.version))?;
        let columns = arrays(&form.columns, &line.state)?;
        let mut state = Vec::new();
        if !encode_stored(touched, form.version, &columns, 0, &mut state) {
            bail!("a column of the state has a type that isn't supported");
        }
        Ok((self.encode_key(&line.key)?, state))
    }

    fn encode_key(&self, columns: &Columns) -> anyhow::Result<Vec<u8>> {
        let mut key = Vec::new();
        if !row::encode_key(&arrays(&self.form.keys, columns)?, 0, &mut key) {
            bail!("a column of the key has a type that isn't supported");
        }
        Ok(key)
    }
}

fn kinds(fields: &[Field]) -> Vec<Kind> {
    fields.iter().map(|field| field.kind).collect()
}

fn object(fields: &[Field], columns: &[ArrayRef], row: usize) -> Value {
    let entries =
        fields.iter().zip(columns).map(|(field, column)| (field.name.clone(), value(field.kind, column, row)));
    Value::Object(entries.collect::<Map<_, _>>())
}

fn value(kind: Kind, column: &ArrayRef, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match kind {
        Kind::Boolean => Value::from(column.as_boolean().value(row)),
        Kind::Int64 => Value::from(column.as_primitive::<Int64Type>().value(row)),
        Kind::Float64 => float(column.as_primitive::<Float64Type>().value(row)),
        Kind::Utf8 => Value::from(column.as_string::<i32>().value(row)),
        Kind::Binary => {
            let bytes = column.as_binary::<i32>().value(row);
            Value::from(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        }
        Kind::Timestamp => wall_clock(column.as_primitive::<TimestampMicrosecondType>().value(row)),
        _ => Texts::of(column).and_then(|texts| texts.get(row)).map_or(Value::Null, Value::from),
    }
}

fn float(value: f64) -> Value {
    if value.is_finite() { Value::from(value) } else { Value::from(value.to_string()) }
}

fn wall_clock(micros: i64) -> Value {
    let time = EPOCH.checked_add(SignedDuration::from_micros(micros)).ok().filter(|time| time.year() >= 0);
    time.map_or_else(|| Value::from(micros), |time| Value::from(time.to_string()))
}

/// Makes one row of columns, each of which must be there.
fn arrays(fields: &[Field], columns: &Columns) -> anyhow::Result<Vec<ArrayRef>> {
    if let Some(name) = columns.keys().find(|name| fields.iter().all(|field| field.name != **name)) {
        bail!("there is no column {name}");
    }
    let column = |field: &Field| {
        let json =
            columns.get(&field.name).ok_or_else(|| anyhow!("{}: is missing; write null for none", field.name))?;
        array(field.kind, json.get()).with_context(|| format!("{field}: {json}"))
    };
    fields.iter().map(column).collect()
}

/// A column of this one value.
fn array(kind: Kind, json: &str) -> anyhow::Result<ArrayRef> {
    Ok(match kind {
        Kind::Boolean => Arc::new(BooleanArray::from(vec![serde_json::from_str::<Option<bool>>(json)?])),
        Kind::Int64 => Arc::new(Int64Array::from(vec![serde_json::from_str::<Option<i64>>(json)?])),
        Kind::Float64 => Arc::new(Float64Array::from(vec![unless_null(json, read_float)?])),
        Kind::Utf8 => Arc::new(StringArray::from(vec![serde_json::from_str::<Option<String>>(json)?])),
        Kind::Binary => Arc::new(BinaryArray::from(vec![unless_null(json, bytes)?.as_deref()])),
        Kind::Timestamp => Arc::new(TimestampMicrosecondArray::from(vec![unless_null(json, micros)?])),
        kind => {
            let mut column = ColumnBuilder::new(kind);
            let text: Option<String> = serde_json::from_str(json)?;
            column.append_text(text.as_deref()).map_err(|_| anyhow!("want a text that is a {kind}"))?;
            column.finish()
        }
    })
}

fn unless_null<T>(json: &str, read: impl FnOnce(&str) -> anyhow::Result<T>) -> anyhow::Result<Option<T>> {
    if json == "null" { Ok(None) } else { read(json).map(Some) }
}

/// Reads the number from its digits, since `serde_json` rounds the last of them.
fn read_float(json: &str) -> anyhow::Result<f64> {
    Ok(json.trim_matches('"').parse()?)
}

fn bytes(json: &str) -> anyhow::Result<Vec<u8>> {
    let digits: String = serde_json::from_str(json)?;
    if !digits.len().is_multiple_of(2) || !digits.is_ascii() {
        bail!("want an even number of hexadecimal digits");
    }
    (0..digits.len()).step_by(2).map(|at| Ok(u8::from_str_radix(&digits[at..at + 2], 16)?)).collect()
}

fn micros(json: &str) -> anyhow::Result<i64> {
    match serde_json::from_str(json)? {
        Value::String(text) => time::parse(&text).ok_or_else(|| anyhow!("want YYYY-MM-DDTHH:MM:SS[.fraction]")),
        Value::Number(number) => number.as_i64().ok_or_else(|| anyhow!("want a time as text, or whole microseconds")),
        _ => bail!("want a time as text, or whole microseconds"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sluice_core::Decimal;
    use sluice_core::column::FixedBuilder;

    use super::*;

    fn form() -> StateForm {
        let all = |prefix: &str| Kind::ALL.iter().map(|kind| Field::new(format!("{prefix}_{kind}"), *kind)).collect();
        StateForm { keys: all("key"), version: 1, columns: all("state"), window: None }
    }

    fn fixed(kind: Kind, value: Option<i128>) -> ArrayRef {
        let mut column = FixedBuilder::new(kind);
        column.append_integer(value);
        column.finish()
    }

    prop_compose! {
        fn columns()(
            boolean: Option<bool>,
            int64: Option<i64>,
            float64: Option<f64>,
            utf8: Option<String>,
            binary: Option<Vec<u8>>,
            timestamp: Option<i64>,
            date in proptest::option::of(time::DATES.0..=time::DATES.1),
            decimal in proptest::option::of(-Decimal::USUAL.max()..=Decimal::USUAL.max()),
        ) -> Vec<ArrayRef> {
            vec![
                Arc::new(BooleanArray::from(vec![boolean])) as ArrayRef,
                Arc::new(Int64Array::from(vec![int64])),
                // One NaN is as good as another.
                Arc::new(Float64Array::from(vec![float64.map(|value| if value.is_nan() { f64::NAN } else { value })])),
                Arc::new(StringArray::from(vec![utf8])),
                Arc::new(BinaryArray::from(vec![binary.as_deref()])),
                Arc::new(TimestampMicrosecondArray::from(vec![timestamp])),
                fixed(Kind::Date, date.map(i128::from)),
                fixed(Kind::Decimal(Decimal::USUAL), decimal),
            ]
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_as_the_same_bytes(keys in columns(), states in columns(), touched: i64) {
            let (mut key, mut state) = (Vec::new(), Vec::new());
            prop_assert!(row::encode_key(&keys, 0, &mut key) && encode_stored(touched, 1, &states, 0, &mut state));
            let form = form();
            let groups = Groups::new(&form, &[]);
            let shown = groups.show(&[(key.clone(), state.clone())]).unwrap();
            prop_assert_eq!(groups.read(&shown[0].to_string()).unwrap(), (key.clone(), state));
            prop_assert_eq!(groups.key(&shown[0]["key"].to_string()).unwrap(), key);
        }

        #[test]
        fn a_line_that_is_no_group_is_refused_without_a_panic(line in "\\PC{0,60}") {
            prop_assert!(Groups::new(&form(), &[]).read(&line).is_err());
        }
    }

    #[test]
    fn a_key_with_a_wrong_column_is_refused_by_its_name() {
        let form =
            StateForm { keys: vec![Field::new("room_id", Kind::Int64)], version: 1, columns: vec![], window: None };
        let refused = |json: &str| format!("{:#}", Groups::new(&form, &[]).key(json).unwrap_err());
        assert!(refused("{}").contains("room_id: is missing"));
        assert!(refused("{\"room_id\": \"x\"}").contains("room_id:int64"));
        assert!(refused("{\"room_id\": 1, \"room\": 1}").contains("no column room"));
    }
}
