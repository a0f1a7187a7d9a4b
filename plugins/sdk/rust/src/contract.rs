//! The operator contract (`wit/`) as Rust types: what crosses the boundary, and the exports of both worlds.

pub use sluice_sdk_transformer as transformer;

pub use transformer::exports::sluice::operator::transform;
pub use transformer::sluice::operator::log;
pub use transformer::sluice::operator::types::{Batch, Column, Decimal, Field, Kind};

pub use aggregator::exports::sluice::operator::fold;

#[allow(unsafe_code, missing_docs, reason = "generated from the contract, which has the documentation")]
pub mod aggregator {
    wit_bindgen::generate!({
        path: "../../../wit",
        world: "aggregator",
        pub_export_macro: true,
        runtime_path: "::sluice_sdk::wit_bindgen::rt",
        with: {
            "sluice:operator/types@0.2.0": sluice_sdk_transformer::sluice::operator::types,
            "sluice:operator/log@0.2.0": sluice_sdk_transformer::sluice::operator::log,
            "sluice:operator/text@0.2.0": sluice_sdk_transformer::sluice::operator::text,
        },
    });
}
