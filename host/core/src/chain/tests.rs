//! Decode, join and project: what a chain without operators does.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, StringArray};

use super::*;
use crate::decode::Origin;
use crate::interval::{Interval, Offset, Partition};
use crate::lookup::Found;

struct Lines(Vec<&'static str>);

impl Records for Lines {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn topic(&self) -> &str {
        "lines"
    }
    fn value(&self, i: usize) -> Option<&[u8]> {
        Some(self.0[i].as_bytes())
    }
    fn key(&self, _: usize) -> Option<&[u8]> {
        None
    }
    fn position(&self, i: usize) -> (Partition, Offset) {
        (Partition(0), Offset(0).advanced(i))
    }
    fn timestamp(&self, _: usize) -> Option<i64> {
        None
    }
    fn intervals(&self) -> &[(Partition, Interval)] {
        &[]
    }
}

/// Knows some keys; insists on being asked for each once.
struct Modules(BTreeMap<&'static str, &'static str>);

impl Lookup for Modules {
    fn get(&mut self, keys: &[&[u8]]) -> Result<Found, LookupError> {
        let texts: Vec<&str> = keys.iter().map(|key| std::str::from_utf8(key).unwrap()).collect();
        let mut distinct = texts.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), texts.len(), "keys are distinct");
        let values: Vec<Option<&str>> = texts.iter().map(|key| self.0.get(key).copied()).collect();
        let found = values.iter().map(Option::is_some).collect();
        let column: ArrayRef = Arc::new(StringArray::from(values));
        let broken = |(key, text): (usize, &&str)| (*text == "13").then(|| (key, "13 is unfit".to_owned()));
        let unfit = texts.iter().enumerate().filter_map(broken).collect();
        Ok(Found { found, columns: vec![column], unfit })
    }
}

fn chain(join: Join) -> Chain {
    let column =
        |name: &str| SourceColumn { field: Field::new(name, Kind::Int64), origin: Origin::Field(name.to_owned()) };
    let lookup = Box::new(Modules(BTreeMap::from([("7", "0007"), ("8", "0008")])));
    let columns = vec![Field::new("module_id", Kind::Utf8)];
    let step = Step::Lookup { key: 1, columns, join, lookup };
    Chain::new(&[column("user"), column("room")], DecodeOptions::default(), vec![step]).unwrap()
}

fn joined(join: Join) -> Vec<(i64, Option<String>, usize)> {
    let records = Lines(vec![
        r#"{"user":1,"room":7}"#,
        r#"{"user":2,"room":9}"#,
        r#"{"user":3,"room":null}"#,
        r#"{"user":4,"room":8}"#,
        r#"{"user":5,"room":7}"#,
    ]);
    let output = chain(join).process(&records, 0, 100).unwrap().output.unwrap();
    let users = output.rows.columns[0].as_primitive::<Int64Type>().values();
    let modules = output.rows.columns[2].as_string::<i32>().iter();
    let rows = users.iter().zip(modules).enumerate();
    rows.map(|(i, (user, module))| (*user, module.map(str::to_owned), output.origins.record(i))).collect()
}

#[test]
fn a_record_whose_looked_up_row_is_unfit_is_left_out_with_the_words_whatever_the_join_and_others_go_on() {
    for join in [Join::Inner, Join::Left, Join::Required] {
        let records = Lines(vec![r#"{"user":1,"room":13}"#, r#"{"user":2,"room":7}"#, r#"{"user":3,"room":13}"#]);
        let outcome = chain(join).process(&records, 0, 10).unwrap();
        let rejected: Vec<_> = outcome.rejected.iter().map(|r| (r.record, r.stage, r.reason.as_str())).collect();
        assert_eq!(rejected, [(0, Stage::Step(0), "13 is unfit"), (2, Stage::Step(0), "13 is unfit")]);
        let output = outcome.output.unwrap();
        assert_eq!((output.rows.rows, output.origins.record(0)), (1, 1));
    }
}

#[test]
fn an_inner_join_leaves_out_keys_that_are_null_or_unknown() {
    let module = |text: &str| Some(text.to_owned());
    assert_eq!(joined(Join::Inner), [(1, module("0007"), 0), (4, module("0008"), 3), (5, module("0007"), 4)]);
}

#[test]
fn a_left_join_keeps_every_row() {
    let module = |text: &str| Some(text.to_owned());
    let rows = joined(Join::Left);
    let modules: Vec<_> = rows.into_iter().map(|row| row.1).collect();
    assert_eq!(modules, [module("0007"), None, None, module("0008"), module("0007")]);
}

#[test]
fn a_required_join_rejects_each_record_whose_key_is_null_or_unknown() {
    let records = Lines(vec![r#"{"user":1,"room":7}"#, r#"{"user":2,"room":9}"#, r#"{"user":3,"room":null}"#]);
    let outcome = chain(Join::Required).process(&records, 0, 100).unwrap();
    let rejected: Vec<_> = outcome.rejected.iter().map(|rejected| (rejected.record, rejected.stage)).collect();
    assert_eq!(rejected, [(1, Stage::Step(0)), (2, Stage::Step(0))]);
    assert_eq!(outcome.output.unwrap().rows.rows, 1);
}
