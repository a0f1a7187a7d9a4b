//! What tests of several crates share: operators that are built for them, texts of components at fault, a proxy.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test's library fails by panicking, with what it saw")]

pub mod components;
mod guest;
pub mod proxy;

use std::path::PathBuf;

pub use guest::{Guest, behaviours};

/// The repository's root, found from where the process is: a path known at compile time would be another clone's, where two
/// share a cache of build output.
pub fn root() -> PathBuf {
    let here = std::env::current_dir().expect("a current directory");
    let root = here.ancestors().find(|directory| directory.join("rust-toolchain.toml").exists());
    root.expect("it runs in the repository").to_owned()
}
