//! Compiled code is kept between processes.

use sluice_core::operator::Operator;
use sluice_runtime::{Limits, Runtime, RuntimeConfig, RuntimeError, componentize};

use crate::guests::{columns, config, fields, module, rows};

fn runtime(directory: &std::path::Path) -> Result<Runtime, RuntimeError> {
    Runtime::new(RuntimeConfig { cache_dir: Some(directory.to_owned()), ..RuntimeConfig::default() })
}

#[test]
fn a_second_start_takes_the_code_from_the_cache_and_it_runs() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path().join("not/yet/there");
    let component = componentize(&module("guest_transformer")).unwrap();
    let cold = runtime(&directory).unwrap();
    cold.compile(&component).unwrap();
    assert_eq!(cold.cache_hits(), 0);
    let warm = runtime(&directory).unwrap();
    let artifact = warm.compile(&component).unwrap();
    assert_eq!(warm.cache_hits(), 1);
    let mut instance = artifact.open(&config("echo"), &fields(), &Limits::default(), "zoo").unwrap();
    assert_eq!(instance.process(columns(&rows())).unwrap().columns, rows());
}

#[test]
fn a_cache_that_is_damaged_is_compiled_over() {
    let directory = tempfile::tempdir().unwrap();
    let component = componentize(&module("guest_transformer")).unwrap();
    runtime(directory.path()).unwrap().compile(&component).unwrap();
    overwrite_all(directory.path());
    let again = runtime(directory.path()).unwrap();
    again.compile(&component).unwrap();
    assert_eq!(again.cache_hits(), 0);
}

fn overwrite_all(directory: &std::path::Path) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { overwrite_all(&path) } else { std::fs::write(path, b"damaged").unwrap() }
    }
}

#[test]
fn a_cache_that_can_not_be_made_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = runtime(file.path()).unwrap_err();
    assert!(error.to_string().contains(&file.path().display().to_string()), "{error}");
}
