//! Headers of a record: the operators that made its row.

use rdkafka::message::{Header, OwnedHeaders};
use sluice_core::deploy::{Operators, Provenance};

/// The header that holds the generation of the operators, in decimal digits.
pub const GENERATION: &str = "sluice-generation";

/// The header that holds the operators: `name=SHA-256 of its file`, in hexadecimal, separated by commas.
pub const DIGEST: &str = "sluice-digest";

pub(super) fn of(provenance: &Provenance) -> OwnedHeaders {
    let (generation, digest) = (provenance.generation.to_string(), digest(&provenance.operators));
    OwnedHeaders::new()
        .insert(Header { key: GENERATION, value: Some(&generation) })
        .insert(Header { key: DIGEST, value: Some(&digest) })
}

fn digest(operators: &Operators) -> String {
    let operators = operators.iter().map(|(name, digest)| format!("{name}={digest}"));
    operators.collect::<Vec<_>>().join(",")
}
