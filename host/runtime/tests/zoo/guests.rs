//! The guests of `tests/guests`, built once, and what tests open them with.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use arrow_array::{ArrayRef, Int64Array, StringArray};
use sluice_core::operator::{Columns, Operator, OperatorError, Produced};
use sluice_core::{Field, Kind};
use sluice_runtime::{Artifact, Instance, Limits, OpenError, Runtime, RuntimeConfig, componentize};
use sluice_testing::{Guest, behaviours};

pub static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new(RuntimeConfig::default()).unwrap());

/// The transformer that does what its configuration says.
pub static TRANSFORMER: LazyLock<Artifact> = LazyLock::new(|| compile("transformer"));

/// The aggregator that sums amounts by gift, unless its configuration says otherwise.
pub static AGGREGATOR: LazyLock<Artifact> = LazyLock::new(|| compile("aggregator"));

/// The operator of `tests/guests` in this folder.
pub fn guest(name: &str) -> Guest {
    let componentized = |module: &Path| componentize(&std::fs::read(module).unwrap()).unwrap();
    Guest::of("tests/guests", &format!("guest-{name}"), componentized)
}

fn compile(name: &str) -> Artifact {
    RUNTIME.compile(&guest(name).component).unwrap()
}

#[test]
fn every_behaviour_of_the_guests_has_a_test() {
    let files = std::fs::read_dir("tests/zoo").unwrap();
    let tests: String = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    let behaviours: Vec<String> = ["transformer", "aggregator"].into_iter().flat_map(behaviours).collect();
    assert!(behaviours.len() > 75, "{}", behaviours.len());
    for behaviour in behaviours {
        assert!(tests.contains(&format!("\"{behaviour}\"")), "nothing tests `{behaviour}`");
    }
}

/// The configuration of a behaviour.
pub fn config(behaviour: &str) -> String {
    format!(r#"{{"do":"{behaviour}"}}"#)
}

/// The columns that the transformer is opened with in most tests.
pub fn fields() -> [Field; 2] {
    [Field::new("n", Kind::Int64), Field::new("t", Kind::Utf8)]
}

/// Four rows of them.
pub fn rows() -> [ArrayRef; 2] {
    let numbers = Int64Array::from(vec![Some(1), None, Some(-3), Some(i64::MAX)]);
    let texts = StringArray::from(vec![Some("a"), Some("é"), None, Some("")]);
    [Arc::new(numbers), Arc::new(texts)]
}

pub fn columns(arrays: &[ArrayRef]) -> Columns<'_> {
    Columns { rows: arrays[0].len(), arrays }
}

pub fn open_transformer(behaviour: &str) -> Result<Instance, OpenError> {
    open_within(behaviour, &Limits::default())
}

pub fn open_within(behaviour: &str, limits: &Limits) -> Result<Instance, OpenError> {
    TRANSFORMER.open(&config(behaviour), &fields(), limits, "zoo")
}

/// Returns what the transformer answers to the rows.
pub fn process(behaviour: &str) -> Result<Produced, OperatorError> {
    open_transformer(behaviour).unwrap().process(columns(&rows()))
}

/// The sentence of a broken contract.
#[track_caller]
pub fn contract<T: std::fmt::Debug>(result: Result<T, OperatorError>) -> String {
    match result {
        Err(OperatorError::Contract(sentence)) => sentence,
        other => panic!("not a broken contract: {other:?}"),
    }
}

/// The sentence of a limit.
#[track_caller]
pub fn limit<T: std::fmt::Debug>(result: Result<T, OperatorError>) -> String {
    match result {
        Err(OperatorError::Limit(sentence)) => sentence,
        other => panic!("not a limit: {other:?}"),
    }
}
