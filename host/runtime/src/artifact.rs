//! An artifact: an operator's file, checked and compiled, of which any number of instances can be made.

use std::fmt;
use std::sync::{Arc, Weak};

use wasmtime::component::{Component, InstancePre, Linker};

use crate::anatomy::{Anatomy, Contract, World};
use crate::boundary::ExportIndices;
use crate::digest::Digest;
use crate::guest::Guest;
use crate::reasons::ArtifactError;
use crate::ticker::Ticker;
use crate::together::Together;

/// A checked and compiled operator. Clones are the same artifact; it outlives the [`Runtime`](crate::Runtime) that made it.
#[derive(Clone)]
pub struct Artifact(Arc<Compiled>);

pub(crate) struct Compiled {
    digest: Digest,
    contract: Contract,
    world: World,
    /// The file: whoever runs it may want to keep it for a roll-back, when another has taken its place.
    bytes: Box<[u8]>,
    pub(crate) pre: InstancePre<Guest>,
    pub(crate) exports: ExportIndices,
    /// The memory that its instances share with all others.
    pub(crate) together: Arc<Together>,
    /// Calls are ended by it for as long as there may be any.
    _ticker: Arc<Ticker>,
}

impl Artifact {
    /// `compile` gives the code, from a cache or the compiler.
    pub(crate) fn compile(
        linker: &Linker<Guest>,
        ticker: &Arc<Ticker>,
        together: &Arc<Together>,
        bytes: &[u8],
        compile: impl FnOnce(Digest) -> Result<Component, ArtifactError>,
    ) -> Result<Artifact, ArtifactError> {
        let (contract, world) = Anatomy::read(bytes)?.check()?;
        let digest = Digest::of(bytes);
        let component = compile(digest)?;
        let other_types = |error: wasmtime::Error| ArtifactError::OtherTypes(format!("{error:#}"));
        let pre = linker.instantiate_pre(&component).map_err(other_types)?;
        let exports = ExportIndices::new(&pre, contract, world).map_err(other_types)?;
        let bytes = bytes.into();
        let (together, _ticker) = (Arc::clone(together), Arc::clone(ticker));
        Ok(Artifact(Arc::new(Compiled { digest, contract, world, bytes, pre, exports, together, _ticker })))
    }

    /// The digest of the file that it was compiled from.
    pub fn digest(&self) -> Digest {
        self.0.digest
    }

    /// The world that it is of, which says what its instances can do.
    pub fn world(&self) -> World {
        self.0.world
    }

    /// The version of the contract that it was built for.
    pub fn contract(&self) -> Contract {
        self.0.contract
    }

    /// The bytes of the file that it was compiled from.
    pub fn size(&self) -> usize {
        self.0.bytes.len()
    }

    /// The file that it was compiled from.
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    pub(crate) fn compiled(&self) -> &Compiled {
        &self.0
    }

    /// Returns a reference that doesn't keep the artifact alive.
    pub(crate) fn downgrade(&self) -> Weak<Compiled> {
        Arc::downgrade(&self.0)
    }
}

impl From<Arc<Compiled>> for Artifact {
    fn from(compiled: Arc<Compiled>) -> Artifact {
        Artifact(compiled)
    }
}

impl fmt::Debug for Artifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Artifact").field("digest", &self.0.digest).field("world", &self.0.world).finish_non_exhaustive()
    }
}
