//! Files that are no operator of this host, and what is said of them.

use sluice_runtime::{ArtifactError, ComponentizeError, Digest, MAX_ARTIFACT_BYTES, World, componentize, inspect};
use sluice_testing::components;

use crate::guests::{AGGREGATOR, RUNTIME, TRANSFORMER, guest};

fn assembled(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

#[track_caller]
fn refusal(bytes: &[u8]) -> ArtifactError {
    RUNTIME.compile(bytes).unwrap_err()
}

#[test]
fn an_operator_knows_its_world_its_size_and_its_digest() {
    let bytes = guest("transformer").component;
    assert_eq!((TRANSFORMER.world(), AGGREGATOR.world()), (World::Transformer, World::Aggregator));
    assert_eq!((TRANSFORMER.size(), TRANSFORMER.digest()), (bytes.len(), Digest::of(&bytes)));
}

#[test]
fn a_digest_is_the_sha256_in_hexadecimal() {
    let of_nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(Digest::of(b"").to_string(), of_nothing);
}

#[test]
fn an_empty_file_is_refused() {
    assert_eq!(refusal(b""), ArtifactError::Empty);
}

#[test]
fn a_file_that_is_too_large_is_refused_before_it_is_read() {
    assert_eq!(refusal(&vec![0; MAX_ARTIFACT_BYTES + 1]), ArtifactError::TooLarge { size: MAX_ARTIFACT_BYTES + 1 });
}

#[test]
fn a_file_of_another_format_is_refused() {
    assert_eq!(refusal(b"#!/bin/sh\n"), ArtifactError::NotWasm);
    assert_eq!(refusal(b"\0as"), ArtifactError::NotWasm);
}

#[test]
fn a_file_cut_off_anywhere_is_refused() {
    let whole = guest("transformer").component;
    for end in (0..whole.len()).step_by(251) {
        let error = refusal(&whole[..end]);
        let expected = matches!(
            error,
            ArtifactError::Empty
                | ArtifactError::NotWasm
                | ArtifactError::Broken(_)
                | ArtifactError::UnknownWorld { .. }
                | ArtifactError::Uncompilable(_)
        );
        assert!(expected, "{end}: {error:?}");
    }
}

#[test]
fn a_damaged_file_never_panics() {
    let whole = guest("transformer").component;
    for (count, at) in (8..whole.len()).step_by(61).enumerate() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0xff;
        let _ = inspect::describe(&damaged);
        // Reading is quick; compiling takes its time where the damage is in a place that only a run would show.
        if count % 50 == 0 {
            let _ = RUNTIME.compile(&damaged);
        }
    }
}

#[test]
fn a_core_module_is_refused_with_the_way_to_a_component() {
    let error = refusal(&guest("transformer").module);
    assert_eq!(error, ArtifactError::CoreModule);
    assert!(error.to_string().contains("sluice componentize"), "{error}");
}

#[test]
fn foreign_imports_are_refused_and_all_of_them_listed() {
    let error = refusal(&assembled(components::WASI));
    let foreign = ["wasi:cli/environment@0.2.6", "wasi:random/random@0.2.6", "now"].map(String::from).to_vec();
    assert_eq!(error, ArtifactError::ForeignImports(foreign.clone()));
    assert!(error.to_string().contains(&foreign.join(", ")), "{error}");
}

#[test]
fn an_import_that_the_contract_does_not_have_is_foreign() {
    let foreign = vec!["sluice:operator/clock@0.1.0".to_owned()];
    assert_eq!(refusal(&assembled(components::UNKNOWN_INTERFACE)), ArtifactError::ForeignImports(foreign));
}

#[test]
fn another_version_of_the_contract_is_refused_with_both_versions() {
    for (text, found) in [(components::OTHER_VERSION_IMPORTED, "0.3.0"), (components::OTHER_VERSION_EXPORTED, "1.0.0")]
    {
        let error = refusal(&assembled(text)).to_string();
        assert!(error.contains(found) && error.contains("0.1.0 and 0.2.0"), "{error}");
    }
}

#[test]
fn another_world_is_refused_with_what_it_exports() {
    let exports = vec!["someone:else/run@1.0.0".to_owned()];
    assert_eq!(refusal(&assembled(components::OTHER_WORLD)), ArtifactError::UnknownWorld { exports });
    assert!(refusal(&assembled(components::NOTHING)).to_string().contains("exports nothing"));
}

#[test]
fn functions_of_other_types_are_refused() {
    for text in [components::OTHER_TYPES, components::NO_FUNCTIONS, components::OTHER_IMPORT_TYPES] {
        let error = refusal(&assembled(text));
        assert!(matches!(error, ArtifactError::OtherTypes(_)), "{error:?}");
    }
}

#[test]
fn invalid_code_is_refused() {
    let error = refusal(&assembled(components::INVALID));
    assert!(matches!(error, ArtifactError::Uncompilable(_)), "{error:?}");
}

#[test]
fn a_component_that_traps_spins_or_hoards_when_it_starts_is_refused() {
    for (start, said) in [
        ("unreachable", "trapped"),
        ("(loop br 0)", "5s"),
        ("(drop (memory.grow (i32.const 8192)))", "may have 268435456"),
    ] {
        let error = refusal(&assembled(&components::starting(start)));
        assert!(matches!(&error, ArtifactError::Unstartable(reason) if reason.contains(said)), "{error:?}");
    }
}

#[test]
fn a_component_comes_back_from_componentize_as_it_is() {
    let component = guest("aggregator").component;
    assert_eq!(componentize(&component).unwrap(), component);
}

#[test]
fn a_module_without_a_world_can_not_become_a_component() {
    let error = componentize(&assembled("(module)")).unwrap_err();
    assert_eq!(error, ComponentizeError::NoWorld);
    assert!(error.to_string().contains("wit-bindgen"), "{error}");
}

#[test]
fn what_is_no_module_can_not_become_a_component() {
    assert_eq!(componentize(b""), Err(ComponentizeError::Unreadable(ArtifactError::Empty)));
}

#[test]
fn an_operator_is_described_with_its_world_and_its_toolchain() {
    let bytes = guest("aggregator").component;
    let described = inspect::describe(&bytes).unwrap();
    assert_eq!(described.world, Some(World::Aggregator));
    assert_eq!(described.sha256, AGGREGATOR.digest());
    assert_eq!(described.foreign_imports, Vec::<String>::new());
    assert!(described.exports.contains(&"sluice:operator/fold@0.2.0".to_owned()), "{described:?}");
    assert!(described.producers["language"].iter().any(|language| language.starts_with("Rust")), "{described:?}");
    let json = serde_json::to_value(&described).unwrap();
    assert_eq!((json["world"].as_str(), json["size"].as_u64()), (Some("aggregator"), Some(bytes.len() as u64)));
    assert_eq!(json["sha256"].as_str(), Some(AGGREGATOR.digest().to_string().as_str()));
}

#[test]
fn a_file_that_would_be_refused_is_described_all_the_same() {
    let described = inspect::describe(&assembled(components::WASI)).unwrap();
    assert_eq!((described.world, described.component), (None, true));
    assert_eq!((described.imports.len(), described.foreign_imports.len()), (4, 3));
    let module = inspect::describe(&guest("transformer").module).unwrap();
    assert!(!module.component && module.exports.contains(&"memory".to_owned()), "{module:?}");
}
