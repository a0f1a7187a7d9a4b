//! Rows as JSON objects, one a row, for sinks that write records.
//!
//! | kind                         | JSON                                                                              |
//! |------------------------------|-----------------------------------------------------------------------------------|
//! | `boolean`, `int64`, `float64` | a truth value, a number                                                            |
//! | `decimal`                    | a number with all of its digits: readers that make floats of numbers lose some      |
//! | `utf8`                       | a string                                                                           |
//! | `timestamp`, `date`          | a string as [`time::shown`](crate::time::shown) and [`time::shown_date`](crate::time::shown_date) write it |
//! | `binary`                     | a string, in Base64 (RFC 4648, section 4)                                           |
//!
//! Null is null. So is what JSON has no form for, NaN and times of no calendar: a sink's [`constraints`] keep them out.

use arrow_array::ArrayRef;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::column::{Texts, Values};
use crate::constraint::Constraint;
use crate::schema::{Field, Kind};
use crate::time;

/// Rows of some columns, to be written as JSON objects.
pub struct JsonObjects<'a> {
    members: Vec<Member<'a>>,
}

/// A member of each object.
struct Member<'a> {
    /// The name, quoted, and the colon after it.
    name: Vec<u8>,
    kind: Kind,
    texts: Texts<'a>,
    bytes: Option<Values<'a>>,
}

impl<'a> JsonObjects<'a> {
    /// Objects whose members are these fields; none if a column is of no kind.
    pub fn new(columns: impl IntoIterator<Item = (&'a Field, &'a ArrayRef)>) -> Option<JsonObjects<'a>> {
        let members = columns.into_iter().map(|(field, array)| {
            let kind = Kind::of(array.data_type())?;
            let mut name = serde_json::to_vec(&field.name).ok()?;
            name.push(b':');
            let bytes = matches!(kind, Kind::Utf8 | Kind::Binary).then(|| Values::of(array)).flatten();
            Some(Member { name, kind, texts: Texts::of(array)?, bytes })
        });
        Some(JsonObjects { members: members.collect::<Option<_>>()? })
    }

    /// Appends the object of a row.
    pub fn write(&self, row: usize, out: &mut Vec<u8>) {
        out.push(b'{');
        for (place, member) in self.members.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            out.extend_from_slice(&member.name);
            member.write(row, out);
        }
        out.push(b'}');
    }
}

impl Member<'_> {
    fn write(&self, row: usize, out: &mut Vec<u8>) {
        let before = out.len();
        if self.write_value(row, out).is_none() {
            out.truncate(before);
            out.extend_from_slice(b"null");
        }
    }

    fn write_value(&self, row: usize, out: &mut Vec<u8>) -> Option<()> {
        match self.kind {
            Kind::Utf8 => serde_json::to_writer(out, std::str::from_utf8(self.bytes(row)?).ok()?).ok(),
            Kind::Binary => serde_json::to_writer(out, &STANDARD.encode(self.bytes(row)?)).ok(),
            Kind::Timestamp | Kind::Date => serde_json::to_writer(out, &self.texts.get(row)?).ok(),
            // Its text of a great number has no exponent, and hundreds of digits.
            Kind::Float64 => serde_json::to_writer(out, &self.texts.get(row)?.parse::<f64>().ok()?).ok(),
            Kind::Boolean | Kind::Int64 | Kind::Decimal(_) => {
                out.extend_from_slice(self.texts.get(row)?.as_bytes());
                Some(())
            }
        }
    }

    fn bytes(&self, row: usize) -> Option<&[u8]> {
        match &self.bytes {
            Some(Values::Bytes(bytes)) => bytes.get(row),
            _ => None,
        }
    }
}

/// What JSON can hold of each field.
pub fn constraints(fields: &[Field]) -> Vec<Constraint> {
    let of = |field: &Field| match field.kind {
        Kind::Float64 => Constraint { floats: Some((f64::MIN, f64::MAX)), ..Constraint::ANY },
        Kind::Timestamp => Constraint { times: Some(time::CALENDAR), ..Constraint::ANY },
        _ => Constraint::ANY,
    };
    fields.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use arrow_array::{Array, BinaryArray, Float64Array, StringArray, TimestampMicrosecondArray};
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;
    use crate::column::ColumnBuilder;
    use crate::constraint::Constraints;

    /// Values of some kinds that JSON has a form for, as texts.
    fn column() -> impl Strategy<Value = (Kind, Vec<Option<String>>)> {
        let of = |kind: &str, text: BoxedStrategy<String>| {
            let kind: Kind = kind.parse().unwrap();
            (Just(kind), prop::collection::vec(prop::option::of(text), 6))
        };
        prop_oneof![
            of("boolean", any::<bool>().prop_map(|value| value.to_string()).boxed()),
            of("int64", any::<i64>().prop_map(|value| value.to_string()).boxed()),
            of("float64", prop::num::f64::NORMAL.prop_map(|value| value.to_string()).boxed()),
            of("utf8", any::<String>().boxed()),
            of("decimal(38, 9)", "-?[1-9][0-9]{0,28}\\.[0-9]{9}".boxed()),
            of("date", (1i32..=9999, 1..=12, 1..=28).prop_map(|(y, m, d)| format!("{y:04}-{m:02}-{d:02}")).boxed()),
            of("timestamp", (0i64..4_000_000_000_000_000).prop_map(|at| time::shown(at).unwrap()).boxed()),
        ]
    }

    proptest! {
        #[test]
        fn each_row_is_an_object_whose_members_are_read_as_the_values_of_its_fields(
            columns in prop::collection::vec((any::<String>(), column()), 0..6),
        ) {
            let columns: BTreeMap<_, _> = columns.into_iter().collect();
            let fields: Vec<Field> = columns.iter().map(|(name, (kind, _))| Field::new(name, *kind)).collect();
            let arrays: Vec<ArrayRef> = columns.values().map(|(kind, texts)| {
                let mut column = ColumnBuilder::new(*kind);
                texts.iter().for_each(|text| column.append_text(text.as_deref()).unwrap());
                column.finish()
            }).collect();
            let objects = JsonObjects::new(fields.iter().zip(&arrays)).unwrap();
            let mut read: Vec<ColumnBuilder> = fields.iter().map(|field| ColumnBuilder::new(field.kind)).collect();
            for row in 0..6 {
                let mut json = Vec::new();
                objects.write(row, &mut json);
                let object: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(&json).unwrap();
                prop_assert_eq!(object.len(), fields.len());
                for (field, column) in fields.iter().zip(&mut read) {
                    let raw = object[&field.name].get();
                    let is_text = matches!(field.kind, Kind::Utf8 | Kind::Timestamp | Kind::Date);
                    prop_assert!(raw == "null" || raw.starts_with('"') == is_text, "{raw}");
                    let text = if is_text { serde_json::from_str(raw).unwrap() } else { Some(raw.to_owned()) };
                    column.append_text(text.as_deref().filter(|_| raw != "null")).unwrap();
                }
            }
            for (column, array) in read.iter_mut().zip(&arrays) {
                prop_assert_eq!(&column.finish(), array);
            }
        }
    }

    #[test]
    fn bytes_are_base64_and_names_are_escaped() {
        let array: ArrayRef = Arc::new(BinaryArray::from_opt_vec(vec![Some(b"\xff\x00a"), None]));
        let field = Field::new("a\"b", Kind::Binary);
        let objects = JsonObjects::new([(&field, &array)]).unwrap();
        let mut json = Vec::new();
        (0..2).for_each(|row| objects.write(row, &mut json));
        assert_eq!(String::from_utf8(json).unwrap(), r#"{"a\"b":"/wBh"}{"a\"b":null}"#);
    }

    #[test]
    fn what_json_has_no_form_for_is_null_and_the_constraints_keep_it_out() {
        let fields =
            [Field::new("share", Kind::Float64), Field::new("at", Kind::Timestamp), Field::new("t", Kind::Utf8)];
        let rows: [ArrayRef; 3] = [
            Arc::new(Float64Array::from(vec![f64::NAN, f64::INFINITY, 1e300])),
            Arc::new(TimestampMicrosecondArray::from(vec![0, 0, i64::MAX])),
            Arc::new(StringArray::from(vec!["a", "b", "c"])),
        ];
        let refused = Constraints::new(&fields, &[&constraints(&fields)]).refused(&rows);
        assert_eq!(refused.iter().map(|refused| refused.row).collect::<Vec<_>>(), [0, 1, 2]);
        let objects = JsonObjects::new(fields.iter().zip(&rows)).unwrap();
        let mut json = Vec::new();
        (0..rows[0].len()).for_each(|row| objects.write(row, &mut json));
        let expected = r#"{"share":null,"at":"1970-01-01 00:00:00","t":"a"}{"share":null,"at":"1970-01-01 00:00:00","t":"b"}{"share":1e+300,"at":null,"t":"c"}"#;
        assert_eq!(String::from_utf8(json).unwrap(), expected);
    }
}
