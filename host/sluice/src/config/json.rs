//! An operator's settings: TOML into JSON.

use serde_json::{Map, Number, Value};
use toml::de::DeValue;

use super::reader::Item;

/// Converts this value to JSON, with environment variables put into its strings. Times become texts, as TOML writes them. Values
/// that JSON can't express (infinities, numbers beyond 64 bits) are problems.
pub fn to_json(item: &Item<'_>) -> Option<Value> {
    match item.raw() {
        DeValue::String(_) => item.text("a string").map(Value::String),
        DeValue::Boolean(value) => Some(Value::Bool(*value)),
        DeValue::Datetime(time) => Some(Value::String(time.to_string())),
        DeValue::Integer(number) => {
            let number = i64::from_str_radix(number.as_str(), number.radix()).ok();
            known(item, number.map(Number::from), "a whole number of 64 bits")
        }
        DeValue::Float(number) => {
            let number = number.as_str().parse().ok().and_then(Number::from_f64);
            known(item, number, "a finite number, since the operator is given JSON")
        }
        // All elements are read before the first that is wrong ends it.
        DeValue::Array(_) => {
            let elements: Vec<_> = item.elements().iter().map(to_json).collect();
            elements.into_iter().collect::<Option<Vec<_>>>().map(Value::Array)
        }
        DeValue::Table(_) => {
            let entries = item.table("a table", |section| Some(section.entries()))?;
            let entries: Vec<_> =
                entries.iter().map(|(name, item)| to_json(item).map(|value| ((*name).to_owned(), value))).collect();
            entries.into_iter().collect::<Option<Map<_, _>>>().map(Value::Object)
        }
    }
}

fn known(item: &Item<'_>, number: Option<Number>, want: &str) -> Option<Value> {
    if number.is_none() {
        item.wrong(want);
    }
    number.map(Value::Number)
}
