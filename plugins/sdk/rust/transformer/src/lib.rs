//! The contract's types and its world `transformer`, as wit-bindgen generates them.
//!
//! A crate of its own because the macros that export an interface have one name in a crate, and the SDK exports
//! `transform` from two worlds. Metric authors never see it.

#![allow(unsafe_code, missing_docs, reason = "generated from the contract, which has the documentation")]

extern crate self as sluice_sdk_transformer;

#[doc(hidden)]
pub use wit_bindgen;

wit_bindgen::generate!({
    path: "../../../../wit",
    world: "transformer",
    pub_export_macro: true,
    runtime_path: "::sluice_sdk_transformer::wit_bindgen::rt",
    generate_all,
    additional_derives: [PartialEq, Eq],
});
