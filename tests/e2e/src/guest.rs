//! Operators that only tests deploy.

use std::path::Path;

use sha2::{Digest, Sha256};
use sluice_testing::Guest;

use crate::sluice;

/// The same operator in a file with another digest: a custom section more, which nothing reads.
pub fn rebuilt(component: &[u8], mark: u8) -> Vec<u8> {
    // Section 0, of 3 bytes: a name of 1 byte, and a byte.
    [component, &[0, 3, 1, b'm', mark]].concat()
}

/// An artifact's SHA-256, as the status shows it.
pub fn digest(component: &[u8]) -> String {
    Sha256::digest(component).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A component that is written in the text format.
pub fn assembled(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

/// The component of this operator of `tests/e2e/guests`.
pub fn guest(name: &str) -> Vec<u8> {
    Guest::of("tests/e2e/guests", name, componentized).component
}

/// This operator of `tests/guests`, which does what its configuration says.
pub fn zoo_guest(name: &str) -> Guest {
    Guest::of("tests/guests", &format!("guest-{name}"), componentized)
}

fn componentized(module: &Path) -> Vec<u8> {
    let component = module.with_extension("component.wasm");
    let finished = sluice(&["componentize".as_ref(), module.as_os_str(), "-o".as_ref(), component.as_os_str()]);
    assert_eq!(finished.code, Some(0), "{}", finished.output);
    std::fs::read(component).unwrap()
}
