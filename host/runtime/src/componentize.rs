//! A core module, as compilers make it, into a component.

use wit_component::ComponentEncoder;

use crate::anatomy::Anatomy;
use crate::reasons::ArtifactError;

/// The section where wit-bindgen leaves the world that a core module was written for.
const WORLD_SECTION: &str = "component-type";

/// The reason why a module can't become a component.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ComponentizeError {
    /// The module can't be read.
    #[error(transparent)]
    Unreadable(#[from] ArtifactError),
    /// The module doesn't say which world it is of.
    #[error(
        "the module doesn't say which world it is of, as it has no `component-type` section: build it with the SDK or \
         with wit-bindgen against wit/, and don't strip custom sections"
    )]
    NoWorld,
    /// The module's imports and exports are not those of its world.
    #[error("the module can't become a component: {0}")]
    Unfit(String),
}

/// Makes a component of a core module that wit-bindgen prepared. What is a component already comes back as it is.
///
/// No adapter is added: a module that imports WASI's functions is refused here, one sentence earlier than by
/// [`Runtime::compile`](crate::Runtime::compile).
pub fn componentize(core_module: &[u8]) -> Result<Vec<u8>, ComponentizeError> {
    if Anatomy::read(core_module)?.component {
        return Ok(core_module.to_vec());
    }
    if !has_world(core_module) {
        return Err(ComponentizeError::NoWorld);
    }
    let mut encoder = ComponentEncoder::default();
    let component = encoder.validate(true).module(core_module).and_then(|encoder| encoder.encode());
    component.map_err(|error| ComponentizeError::Unfit(format!("{error:#}")))
}

fn has_world(core_module: &[u8]) -> bool {
    let payloads = wasmparser::Parser::new(0).parse_all(core_module).flatten();
    payloads.into_iter().any(|payload| {
        matches!(payload, wasmparser::Payload::CustomSection(section) if section.name().starts_with(WORLD_SECTION))
    })
}
