//! The look into a `.wasm` file, also when it is no operator.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::anatomy::{Anatomy, Contract, World};
use crate::digest::Digest;
use crate::reasons::ArtifactError;

/// A file's outside, read without running or compiling it.
#[derive(Debug, Clone, Serialize)]
pub struct Description {
    /// The contract's version that it was built for, if this host can run it.
    pub contract: Option<Contract>,
    /// The contract's world, if this host can run it.
    pub world: Option<World>,
    /// Says whether it is a component; else it is a core module.
    pub component: bool,
    /// Names of all imports, in full.
    pub imports: Vec<String>,
    /// Imports for which the component would be refused.
    pub foreign_imports: Vec<String>,
    /// Names of all exports, in full.
    pub exports: Vec<String>,
    /// The size in bytes.
    pub size: usize,
    /// The digest of all its bytes, by which logs and dead letters call it.
    pub sha256: Digest,
    /// The tools that made it, as its compilers say: `language`, `sdk` and `processed-by`, each with names and versions.
    pub producers: BTreeMap<String, BTreeSet<String>>,
}

/// Describes any WebAssembly file. An error says why it can't even be read.
pub fn describe(bytes: &[u8]) -> Result<Description, ArtifactError> {
    let anatomy = Anatomy::read(bytes)?;
    let (contract, world) = anatomy.check().ok().unzip();
    Ok(Description {
        contract,
        world,
        component: anatomy.component,
        foreign_imports: anatomy.foreign_imports(),
        size: bytes.len(),
        sha256: Digest::of(bytes),
        imports: anatomy.imports,
        exports: anatomy.exports,
        producers: anatomy.producers,
    })
}
