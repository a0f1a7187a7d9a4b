//! The parts of a WebAssembly file, read without compiling it, and whether they are an operator of this host.
//!
//! Reading the section headers costs microseconds, so a file of the wrong sort is refused with a sentence of our own
//! before the compiler sees it. What is inside functions is the compiler's to judge.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;
use wasmparser::{Encoding, KnownCustom, Parser, Payload, ProducersSectionReader};

use crate::limits::{MAX_ARTIFACT_BYTES, MAX_NAME_BYTES, truncated};
use crate::reasons::ArtifactError;

/// The contract's package.
const PACKAGE: &str = "sluice:operator";

/// A version of the contract that this host speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum Contract {
    /// Version 0.1, of `wit/0.1`: without dates and decimals.
    #[serde(rename = "0.1.0")]
    V0_1,
    /// Version 0.2, of `wit/`.
    #[serde(rename = "0.2.0")]
    V0_2,
}

impl Contract {
    /// All versions, the oldest first.
    pub(crate) const ALL: [Contract; 2] = [Contract::V0_1, Contract::V0_2];

    fn name(self) -> &'static str {
        match self {
            Contract::V0_1 => "0.1.0",
            Contract::V0_2 => "0.2.0",
        }
    }

    /// The version of this name, if it is one that this host speaks.
    fn named(name: &str) -> Option<Contract> {
        Contract::ALL.into_iter().find(|contract| contract.name() == name)
    }
}

impl fmt::Display for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The imports that an operator may have of the contract's package. `types` holds no function.
const OUR_IMPORTS: [&str; 3] = ["log", "text", "types"];

/// The names that are read of a file's imports, and of its exports. An operator has a handful; a WASI program some 30.
const MAX_NAMES: usize = 512;

/// The tools that are read of a file's metadata. Each module inside names one to three.
const MAX_TOOLS: usize = 64;

/// The one of the contract's worlds that a component is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum World {
    /// A transform alone.
    Transformer,
    /// A transform, then a fold over its result.
    Aggregator,
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            World::Transformer => "transformer",
            World::Aggregator => "aggregator",
        })
    }
}

/// The outermost layer of a file.
#[derive(Debug, Default)]
pub(crate) struct Anatomy {
    pub(crate) component: bool,
    pub(crate) imports: Vec<String>,
    pub(crate) exports: Vec<String>,
    /// `language`, `sdk` and `processed-by`, with names and versions, of all modules inside.
    pub(crate) producers: BTreeMap<String, BTreeSet<String>>,
}

impl Anatomy {
    /// Reads a module or a component, whether or not it would be accepted.
    pub(crate) fn read(bytes: &[u8]) -> Result<Anatomy, ArtifactError> {
        if bytes.len() > MAX_ARTIFACT_BYTES {
            return Err(ArtifactError::TooLarge { size: bytes.len() });
        }
        if bytes.is_empty() {
            return Err(ArtifactError::Empty);
        }
        if !bytes.starts_with(b"\0asm") {
            return Err(ArtifactError::NotWasm);
        }
        let mut anatomy = Anatomy::default();
        anatomy.read_sections(bytes).map_err(|error| ArtifactError::Broken(error.to_string()))?;
        Ok(anatomy)
    }

    fn read_sections(&mut self, bytes: &[u8]) -> wasmparser::Result<()> {
        // Modules and components nest; only the outermost one's imports and exports are the file's.
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::Version { encoding, .. } => {
                    self.component |= depth == 0 && encoding == Encoding::Component;
                    depth += 1;
                }
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::CustomSection(section) => {
                    if let KnownCustom::Producers(producers) = section.as_known() {
                        self.read_producers(producers);
                    }
                }
                payload if depth == 1 => self.read_names(payload)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn read_names(&mut self, payload: Payload<'_>) -> wasmparser::Result<()> {
        match payload {
            Payload::ComponentImportSection(section) => {
                for import in section {
                    push(&mut self.imports, &import?.name.full_name());
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section {
                    push(&mut self.exports, &export?.name.full_name());
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    push(&mut self.imports, &format!("{}::{}", import.module, import.name));
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    push(&mut self.exports, export?.name);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Metadata is for people; what can't be read of it is left out, as engines do with custom sections.
    fn read_producers(&mut self, producers: ProducersSectionReader<'_>) {
        for field in producers.into_iter().flatten() {
            let tools = self.producers.entry(field.name.to_owned()).or_default();
            for tool in field.values.into_iter().flatten().take(MAX_TOOLS - tools.len().min(MAX_TOOLS)) {
                let shown = format!("{} {}", tool.name, tool.version);
                tools.insert(truncated(shown.trim_end().to_owned(), MAX_NAME_BYTES));
            }
        }
    }

    /// The imports that this host doesn't give.
    pub(crate) fn foreign_imports(&self) -> Vec<String> {
        self.imports.iter().filter(|name| !is_given(name)).cloned().collect()
    }

    /// The world of this version whose exports are there.
    fn world(&self, contract: Contract) -> Option<World> {
        let has = |interface: &str| self.exports.iter().any(|name| *name == ours(interface, contract));
        match (has("transform"), has("fold")) {
            (true, true) => Some(World::Aggregator),
            (true, false) => Some(World::Transformer),
            (false, _) => None,
        }
    }

    /// Judges whether this is an operator of this host, and of which version and world.
    pub(crate) fn check(&self) -> Result<(Contract, World), ArtifactError> {
        if !self.component {
            return Err(ArtifactError::CoreModule);
        }
        let is_spoken = |name: &str| version(name).is_none_or(|found| Contract::named(found).is_some());
        let (foreign, of_contract): (Vec<_>, Vec<_>) =
            self.foreign_imports().into_iter().partition(|name| is_spoken(name));
        if !foreign.is_empty() {
            return Err(ArtifactError::ForeignImports(foreign));
        }
        if let Some(found) = of_contract.iter().chain(&self.exports).find(|name| !is_spoken(name)) {
            let found = version(found).unwrap_or_default().to_owned();
            return Err(ArtifactError::OtherVersion { found, spoken: Contract::ALL.map(Contract::name).join(" and ") });
        }
        // One that exports both speaks the newer.
        let mut worlds = Contract::ALL.into_iter().rev().filter_map(|contract| Some((contract, self.world(contract)?)));
        worlds.next().ok_or_else(|| ArtifactError::UnknownWorld { exports: self.exports.clone() })
    }
}

fn push(names: &mut Vec<String>, name: &str) {
    if names.len() < MAX_NAMES {
        names.push(truncated(name.to_owned(), MAX_NAME_BYTES));
    }
}

/// The full name of one of the contract's interfaces.
fn ours(interface: &str, contract: Contract) -> String {
    format!("{PACKAGE}/{interface}@{contract}")
}

fn is_given(import: &str) -> bool {
    let ours = |contract| OUR_IMPORTS.iter().any(|interface| import == ours(interface, contract));
    Contract::ALL.into_iter().any(ours)
}

/// The version of the contract that a name is of; none if it is of another package.
fn version(name: &str) -> Option<&str> {
    let interface = name.strip_prefix(PACKAGE)?.strip_prefix('/')?;
    Some(interface.split_once('@').map_or("", |(_, version)| version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_versions_are_those_of_the_contract() {
        for (contract, directory) in [(Contract::V0_1, "../../wit/0.1"), (Contract::V0_2, "../../wit")] {
            let mut resolve = wit_parser::Resolve::default();
            let (package, _) = resolve.push_dir(directory).unwrap();
            assert_eq!(resolve.packages[package].name.to_string(), format!("{PACKAGE}@{contract}"));
            assert_eq!(serde_json::to_value(contract).unwrap(), contract.name());
        }
    }

    #[test]
    fn cut_names_are_never_ours() {
        let mut names = Vec::new();
        push(&mut names, &format!("{}{}", ours("log", Contract::V0_2), "x".repeat(MAX_NAME_BYTES)));
        assert!(!is_given(&names[0]));
    }

    #[test]
    fn names_are_bounded() {
        let mut names = Vec::new();
        (0..MAX_NAMES * 2).for_each(|i| push(&mut names, &i.to_string()));
        assert_eq!(names.len(), MAX_NAMES);
    }
}
