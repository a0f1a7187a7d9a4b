//! Rows of a board's query, taken one by one within limits.

use sluice_core::time;

use crate::query::{ColumnType, QueryColumn, QueryLimits, QueryRows, Value};

/// Mark behind a text that was cut.
const CUT: char = '…';

/// Bytes that a cell takes besides its text.
const CELL: usize = 16;

/// Rows that were taken so far.
pub(crate) struct Taken {
    limits: QueryLimits,
    rows: Vec<Vec<Value>>,
    bytes: usize,
    truncated: bool,
}

impl Taken {
    /// Takes rows within these limits.
    pub(crate) fn within(limits: QueryLimits) -> Taken {
        Taken { limits, rows: Vec::new(), bytes: 0, truncated: false }
    }

    /// Takes a row; false if it is one too many, and no other is to follow.
    pub(crate) fn add(&mut self, mut row: Vec<Value>) -> bool {
        let mut bytes = 0;
        for cell in &mut row {
            if let Value::Text(text) | Value::Digits(text) = cell {
                cut(text, self.limits.cell);
                bytes += text.len();
            }
            bytes += CELL;
        }
        self.truncated = self.rows.len() >= self.limits.rows || self.bytes + bytes > self.limits.bytes;
        if !self.truncated {
            self.bytes += bytes;
            self.rows.push(row);
        }
        !self.truncated
    }

    /// The answer, with the columns of these names.
    pub(crate) fn done(mut self, names: Vec<String>) -> QueryRows {
        let mut columns = Vec::with_capacity(names.len());
        for (index, name) in names.into_iter().enumerate() {
            let of = type_of(&self.rows, index);
            self.rows.iter_mut().filter_map(|row| row.get_mut(index)).for_each(|cell| shape(cell, of));
            columns.push(QueryColumn { name, of });
        }
        QueryRows { columns, rows: self.rows, truncated: self.truncated }
    }
}

/// Bytes as a text, or how many they are where they are none.
pub(crate) fn text(bytes: &[u8]) -> Value {
    match str::from_utf8(bytes) {
        Ok(text) => Value::Text(text.to_owned()),
        Err(_) => Value::Text(format!("{} bytes", bytes.len())),
    }
}

/// A floating-point number, if it is one.
pub(crate) fn float(number: f64) -> Value {
    if number.is_finite() { Value::Float(number) } else { Value::Null }
}

/// A number's digits; a whole number that `i64` holds as such.
pub(crate) fn digits(text: &str) -> Value {
    text.parse().map_or_else(|_| Value::Digits(text.to_owned()), Value::Integer)
}

fn cut(text: &mut String, most: usize) {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most));
        text.push(CUT);
    }
}

/// The type that all cells of a column have, nulls aside.
fn type_of(rows: &[Vec<Value>], index: usize) -> ColumnType {
    let mut cells = rows.iter().filter_map(|row| row.get(index)).filter(|cell| **cell != Value::Null);
    let Some(first) = cells.next().map(cell_type) else { return ColumnType::Text };
    if cells.all(|cell| cell_type(cell) == first) { first } else { ColumnType::Text }
}

fn cell_type(cell: &Value) -> ColumnType {
    match cell {
        Value::Integer(_) | Value::Float(_) | Value::Digits(_) => ColumnType::Number,
        Value::Text(text) if wall_time(text).is_some() => ColumnType::Time,
        Value::Text(text) if time::parse_date(text).is_some() => ColumnType::Date,
        Value::Text(_) | Value::Null => ColumnType::Text,
    }
}

/// A time of a clock on the wall in the form of an answer; none of what has a zone with it.
fn wall_time(text: &str) -> Option<String> {
    let is_time = |c: char| c.is_ascii_digit() || matches!(c, '-' | ':' | '.' | ' ' | 'T');
    // The second hyphen is the last one: a third would be a zone.
    let is_plain = text.len() >= 16 && text.chars().all(is_time) && !text[10..].contains('-') && text.trim() == text;
    let micros = if is_plain { time::parse(text)? } else { return None };
    Some(time::shown(micros)?.replacen(' ', "T", 1))
}

/// Gives a cell the form of its column's type.
fn shape(cell: &mut Value, of: ColumnType) {
    let shaped = match (of, &*cell) {
        (ColumnType::Time, Value::Text(text)) => wall_time(text),
        (ColumnType::Text, Value::Integer(number)) => Some(number.to_string()),
        (ColumnType::Text, Value::Float(number)) => Some(number.to_string()),
        (ColumnType::Text, Value::Digits(digits)) => Some(digits.clone()),
        _ => None,
    };
    if let Some(text) = shaped {
        *cell = Value::Text(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(rows: Vec<Vec<Value>>) -> QueryRows {
        let mut taken = Taken::within(QueryLimits { rows: 3, cell: 8, bytes: 200, ..QueryLimits::default() });
        for row in rows {
            if !taken.add(row) {
                break;
            }
        }
        taken.done(vec!["a".into()])
    }

    fn texts(texts: &[&str]) -> Vec<Vec<Value>> {
        texts.iter().map(|text| vec![Value::Text((*text).into())]).collect()
    }

    #[test]
    fn a_column_has_the_type_that_all_its_cells_have() {
        for (cells, of) in [
            (vec![Value::Integer(1), Value::Null, Value::Float(0.5)], ColumnType::Number),
            (vec![Value::Integer(1), Value::Text("x".into())], ColumnType::Text),
            (vec![Value::Null], ColumnType::Text),
            (vec![Value::Text("2026-11-28".into()), Value::Null], ColumnType::Date),
            (vec![Value::Text("1234".into())], ColumnType::Text),
        ] {
            let mut taken = Taken::within(QueryLimits::default());
            cells.into_iter().for_each(|cell| assert!(taken.add(vec![cell])));
            let rows = taken.done(vec!["a".into()]);
            assert_eq!(rows.columns[0].of, of, "{rows:?}");
        }
        let mixed = answer(vec![vec![Value::Integer(1)], vec![Value::Text("x".into())]]);
        assert_eq!(mixed.rows[0], [Value::Text("1".into())]);
    }

    #[test]
    fn times_of_the_wall_have_one_form_and_those_of_a_zone_are_texts() {
        let times = |text: &str| Taken::within(QueryLimits::default()).with(text);
        for text in ["2026-11-28 01:02:03", "2026-11-28T01:02:03", "2026-11-28 01:02:03.000000"] {
            assert_eq!(times(text), (ColumnType::Time, Value::Text("2026-11-28T01:02:03".into())));
        }
        for text in ["2026-11-28 01:02:03Z", "2026-11-28 01:02:03-08:00", "2026-11-28 25:02:03", "礼物礼物礼物礼物"]
        {
            assert_eq!(times(text).0, ColumnType::Text, "{text}");
        }
    }

    impl Taken {
        fn with(mut self, text: &str) -> (ColumnType, Value) {
            self.add(vec![Value::Text(text.into())]);
            let rows = self.done(vec!["a".into()]);
            (rows.columns[0].of, rows.rows[0][0].clone())
        }
    }

    #[test]
    fn rows_texts_and_bytes_are_bounded() {
        let rows = answer(texts(&["1", "2", "3", "4"]));
        assert_eq!((rows.rows.len(), rows.truncated), (3, true));
        assert!(!answer(texts(&["1", "2", "3"])).truncated);
        let cut = answer(texts(&["礼物礼物"]));
        assert_eq!((&cut.rows[0][0], cut.truncated), (&Value::Text("礼物…".into()), false));
        let mut taken = Taken::within(QueryLimits { bytes: 3 * CELL + 5, ..QueryLimits::default() });
        assert!(taken.add(vec![Value::Text("12345".into()), Value::Null]));
        assert!(!taken.add(vec![Value::Integer(1), Value::Null]));
        assert_eq!(taken.done(vec!["a".into(), "b".into()]).rows.len(), 1);
    }

    #[test]
    fn bytes_that_are_no_text_are_counted_and_numbers_beyond_i64_keep_their_digits() {
        assert_eq!(text(&[0xff, 0xfe]), Value::Text("2 bytes".into()));
        assert_eq!(digits("9223372036854775808"), Value::Digits("9223372036854775808".into()));
        assert_eq!((digits("-12"), digits("1.50")), (Value::Integer(-12), Value::Digits("1.50".into())));
        assert_eq!(float(f64::NAN), Value::Null);
    }
}
