//! Constraints of a table's columns: rows that break them are left out before they hold up all others.

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

use crate::port::Refused;
use crate::schema::Field;

/// Values that a table's column accepts. A row that breaks them can be refused before it holds up all others.
#[derive(Debug, Clone, PartialEq)]
pub struct Constraint {
    /// True if the column accepts null.
    pub nullable: bool,
    /// The integers that are taken, both ends included; none where it isn't an integer column.
    pub range: Option<(i64, i64)>,
    /// The floats that are taken, both ends included, and so never NaN; none where it isn't a column of floats.
    pub floats: Option<(f64, f64)>,
    /// The decimals that are taken, as the integers of the pipeline's column, both ends included; none where there is no limit.
    pub decimals: Option<(i128, i128)>,
    /// The longest text taken, in characters; none where there is no limit.
    pub max_chars: Option<usize>,
    /// The greatest character that a text may have; none where it may have all.
    pub max_char: Option<char>,
    /// True if a text may end in a space. In tables where it may not, such a text comes back without the space, or equals another
    /// row's key.
    pub end_space: bool,
    /// The shortest binary taken, in bytes: a shorter one would be filled up. None where there is no limit.
    pub min_bytes: Option<usize>,
    /// The longest text or binary taken, in bytes; none where there is no limit.
    pub max_bytes: Option<usize>,
    /// The wall-clock times that are taken, in microseconds since 1970-01-01T00:00:00, both ends included; none where it
    /// isn't a column of times.
    pub times: Option<(i64, i64)>,
}

impl Constraint {
    /// Takes everything, null as well.
    pub const ANY: Constraint = Constraint {
        nullable: true,
        range: None,
        floats: None,
        decimals: None,
        max_chars: None,
        max_char: None,
        end_space: true,
        min_bytes: None,
        max_bytes: None,
        times: None,
    };
}

/// The rows that all sinks of a pipeline take.
#[derive(Debug, Clone, Default)]
pub struct Constraints {
    fields: Vec<Field>,
    columns: Vec<Constraint>,
}

impl Constraints {
    /// `sinks` holds a constraint for each field, sink by sink; a row must suit them all.
    pub fn new(fields: &[Field], sinks: &[&[Constraint]]) -> Constraints {
        let columns =
            (0..fields.len()).map(|i| sinks.iter().filter_map(|sink| sink.get(i)).fold(Constraint::ANY, strictest));
        Constraints { fields: fields.to_vec(), columns: columns.collect() }
    }

    /// The rows that a table can't take, each once, in their order.
    pub fn refused(&self, columns: &[ArrayRef]) -> Vec<Refused> {
        let mut refused: Vec<Refused> = Vec::new();
        for ((field, constraint), column) in self.fields.iter().zip(&self.columns).zip(columns) {
            check_column(field, constraint, column, &mut refused);
        }
        refused.sort_by_key(|refused| refused.row);
        refused.dedup_by_key(|refused| refused.row);
        refused
    }
}

fn strictest(a: Constraint, b: &Constraint) -> Constraint {
    Constraint {
        nullable: a.nullable && b.nullable,
        range: narrowest(a.range, b.range),
        floats: narrowest(a.floats, b.floats),
        decimals: narrowest(a.decimals, b.decimals),
        max_chars: a.max_chars.into_iter().chain(b.max_chars).min(),
        max_char: a.max_char.into_iter().chain(b.max_char).min(),
        end_space: a.end_space && b.end_space,
        min_bytes: a.min_bytes.into_iter().chain(b.min_bytes).max(),
        max_bytes: a.max_bytes.into_iter().chain(b.max_bytes).min(),
        times: narrowest(a.times, b.times),
    }
}

fn narrowest<T: PartialOrd>(a: Option<(T, T)>, b: Option<(T, T)>) -> Option<(T, T)> {
    match (a, b) {
        (Some((low, high)), Some((other_low, other_high))) => {
            Some((if other_low > low { other_low } else { low }, if other_high < high { other_high } else { high }))
        }
        (one, other) => one.or(other),
    }
}

fn check_column(field: &Field, constraint: &Constraint, column: &ArrayRef, refused: &mut Vec<Refused>) {
    let mut refuse = |row, why: String| refused.push(Refused { row, reason: format!("`{}` {why}", field.name) });
    if !constraint.nullable && column.null_count() > 0 {
        let nulls = (0..column.len()).filter(|row| column.is_null(*row));
        nulls.for_each(|row| refuse(row, "is null, which the table refuses".to_owned()));
    }
    check_range(constraint, column, &mut refuse);
    check_length(constraint, column, &mut refuse);
}

fn check_range(constraint: &Constraint, column: &ArrayRef, refuse: &mut impl FnMut(usize, String)) {
    match column.data_type() {
        DataType::Int64 => {
            let Some((low, high)) = constraint.range.filter(|range| *range != (i64::MIN, i64::MAX)) else { return };
            outside(column.as_primitive::<Int64Type>().iter(), low, high)
                .for_each(|(row, value)| refuse(row, format!("is {value}, outside of the table's {low} to {high}")));
        }
        DataType::Float64 => {
            let Some((low, high)) = constraint.floats else { return };
            outside(column.as_primitive::<Float64Type>().iter(), low, high)
                .for_each(|(row, value)| refuse(row, format!("is {value:e}, which the table's column can't hold")));
        }
        DataType::Decimal128(..) => {
            let Some((low, high)) = constraint.decimals else { return };
            outside(column.as_primitive::<Decimal128Type>().iter(), low, high).for_each(|(row, _)| {
                refuse(row, "has more digits before the point than the table's column".to_owned())
            });
        }
        DataType::Timestamp(..) => {
            let Some((low, high)) = constraint.times else { return };
            outside(column.as_primitive::<TimestampMicrosecondType>().iter(), low, high)
                .for_each(|(row, _)| refuse(row, "is a time that the table's column can't hold".to_owned()));
        }
        _ => {}
    }
}

/// The rows whose value isn't between the two, both included; NaN is between no two.
fn outside<T: PartialOrd + Copy>(
    column: impl Iterator<Item = Option<T>>,
    low: T,
    high: T,
) -> impl Iterator<Item = (usize, T)> {
    values(column, move |value| !(low..=high).contains(value))
}

fn check_length(constraint: &Constraint, column: &ArrayRef, refuse: &mut impl FnMut(usize, String)) {
    let max_bytes = constraint.max_bytes.unwrap_or(usize::MAX);
    match column.data_type() {
        DataType::Utf8 => {
            let max_chars = constraint.max_chars.unwrap_or(usize::MAX);
            // There are at least as many bytes as characters: short texts need no counting.
            let long =
                |text: &&str| text.len() > max_bytes || (text.len() > max_chars && text.chars().count() > max_chars);
            values(column.as_string::<i32>().iter(), long).for_each(|(row, text)| {
                let (chars, bytes) = (text.chars().count(), text.len());
                refuse(row, format!("has {chars} characters in {bytes} bytes, more than the table takes"));
            });
            if !constraint.end_space {
                let ends_so = |text: &&str| text.ends_with(' ');
                values(column.as_string::<i32>().iter(), ends_so)
                    .for_each(|(row, _)| refuse(row, "ends in a space, which the table passes over".to_owned()));
            }
            if let Some(max) = constraint.max_char {
                let beyond = |text: &&str| text.chars().any(|char| char > max);
                values(column.as_string::<i32>().iter(), beyond).for_each(|(row, _)| {
                    refuse(row, "has a character that the table's character set doesn't".to_owned());
                });
            }
        }
        DataType::Binary => {
            let fits = constraint.min_bytes.unwrap_or(0)..=max_bytes;
            values(column.as_binary::<i32>().iter(), |bytes| !fits.contains(&bytes.len())).for_each(|(row, bytes)| {
                refuse(row, format!("has {} bytes, the table takes {} to {max_bytes}", bytes.len(), fits.start()))
            });
        }
        _ => {}
    }
}

/// The rows whose value is refused.
fn values<T>(
    column: impl Iterator<Item = Option<T>>,
    refused: impl Fn(&T) -> bool,
) -> impl Iterator<Item = (usize, T)> {
    column.enumerate().filter_map(move |(row, value)| Some((row, value.filter(|value| refused(value))?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Kind;
    use arrow_array::{Float64Array, Int64Array, StringArray};
    use std::sync::Arc;

    #[test]
    fn each_row_that_a_table_refuses_is_named_once_with_the_first_reason() {
        let fields = [Field::new("grade", Kind::Int64), Field::new("ip", Kind::Utf8)];
        let int = Constraint { nullable: false, range: Some((-128, 127)), ..Constraint::ANY };
        let text = Constraint { max_chars: Some(3), ..Constraint::ANY };
        let constraints = Constraints::new(&fields, &[&[int, text]]);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![Some(1), None, Some(128), Some(-128)])),
            Arc::new(StringArray::from(vec![Some("北京市"), Some("abcd"), None, Some("abcd")])),
        ];
        let refused = constraints.refused(&columns);
        let rows: Vec<_> = refused.iter().map(|refused| refused.row).collect();
        assert_eq!(rows, [1, 2, 3]);
        assert!(refused[0].reason.contains("null"), "{}", refused[0].reason);
        assert!(refused[1].reason.contains("128"), "{}", refused[1].reason);
        assert!(refused[2].reason.contains("4 characters"), "{}", refused[2].reason);
    }

    #[test]
    fn a_float_that_one_of_the_tables_cant_hold_is_refused_and_null_is_none() {
        let fields = [Field::new("share", Kind::Float64)];
        let all_but_nan = Constraint { floats: Some((f64::NEG_INFINITY, f64::INFINITY)), ..Constraint::ANY };
        let finite = Constraint { floats: Some((f64::MIN, f64::MAX)), ..Constraint::ANY };
        let values = [Some(f64::NAN), Some(f64::INFINITY), Some(f64::NEG_INFINITY), Some(f64::MAX), None];
        let columns: Vec<ArrayRef> = vec![Arc::new(Float64Array::from(values.to_vec()))];
        let refused = |sinks: &[&[Constraint]]| -> Vec<usize> {
            Constraints::new(&fields, sinks).refused(&columns).iter().map(|refused| refused.row).collect()
        };
        assert_eq!(refused(&[std::slice::from_ref(&all_but_nan)]), [0]);
        assert_eq!(refused(&[&[all_but_nan], &[finite]]), [0, 1, 2]);
    }
}
