//! The guests of `tests/guests`, built once, and what tests open them with.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock};

use arrow_array::{ArrayRef, Int64Array, StringArray};
use sluice_core::operator::{Columns, Operator, OperatorError, Produced};
use sluice_core::{Field, Kind};
use sluice_runtime::{Artifact, Instance, Limits, OpenError, Runtime, RuntimeConfig, componentize};

pub static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new(RuntimeConfig::default()).unwrap());

static MODULES: LazyLock<PathBuf> = LazyLock::new(build);

/// The transformer that does what its configuration says.
pub static TRANSFORMER: LazyLock<Artifact> = LazyLock::new(|| compile("guest_transformer"));

/// The aggregator that sums amounts by gift, unless its configuration says otherwise.
pub static AGGREGATOR: LazyLock<Artifact> = LazyLock::new(|| compile("guest_aggregator"));

fn build() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--target", "wasm32-unknown-unknown", "--locked", "--quiet"])
        .current_dir("../../tests/guests")
        .env("CARGO_TARGET_DIR", &target)
        .status()
        .unwrap();
    assert!(status.success(), "the guests don't build");
    target.join("wasm32-unknown-unknown/release")
}

/// The core module that cargo made.
pub fn module(name: &str) -> Vec<u8> {
    std::fs::read(MODULES.join(name).with_extension("wasm")).unwrap()
}

fn compile(name: &str) -> Artifact {
    RUNTIME.compile(&componentize(&module(name)).unwrap()).unwrap()
}

fn sources(directory: &str) -> String {
    let files =
        std::fs::read_dir(directory).unwrap().map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
    files.collect()
}

#[test]
fn every_behaviour_of_the_guests_has_a_test() {
    let tests = sources("tests/zoo");
    let guests = sources("../../tests/guests/transformer/src") + &sources("../../tests/guests/aggregator/src");
    let behaviours: Vec<_> = guests
        .lines()
        .filter_map(|line| line.trim().strip_prefix('"')?.split_once('"'))
        .filter(|(_, rest)| is_arm(rest))
        .collect();
    assert!(behaviours.len() > 75, "{}", behaviours.len());
    for (behaviour, _) in behaviours {
        assert!(tests.contains(&format!("\"{behaviour}\"")), "nothing tests `{behaviour}`");
    }
}

/// Whether this follows the pattern of an arm: `=>`, or a guard.
fn is_arm(rest: &str) -> bool {
    rest.starts_with(" =>") || rest.starts_with(" if ")
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

/// What the transformer answers to the rows.
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
