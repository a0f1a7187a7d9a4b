//! An artifact: an operator's file, checked and compiled, of which any number of instances can be made.

use std::fmt;
use std::sync::{Arc, Weak};

use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use sluice_core::Field;
use sluice_core::operator::Interrupt;
use wasmtime::component::{Component, InstancePre, Linker};

use crate::anatomy::Anatomy;
use crate::boundary::ExportIndices;
use crate::compiling::CompileLimits;
use crate::guest::Guest;
use crate::instance::{Instance, OpenError};
use crate::limits::{Limits, MAX_ARTIFACT_BYTES};
use crate::running::{Running, StartError};
use crate::ticker::Ticker;
use crate::together::Together;

/// The memory that an artifact's trial instance may have: more than any interpreter begins with, since a pipeline may
/// raise its own limit, and little enough for a hostile start not to fill the machine.
const TRIAL_MEMORY: usize = 256 << 20;

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

/// The SHA-256 of a file's bytes: what an artifact is known by. Shown and serialized as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The reason why a file is no operator of this host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArtifactError {
    /// The file has more bytes than [`MAX_ARTIFACT_BYTES`].
    #[error(
        "the file has {size} bytes and may have {MAX_ARTIFACT_BYTES}: build it optimized and without debug information"
    )]
    TooLarge {
        /// The bytes of the file.
        size: usize,
    },
    /// The file has no bytes.
    #[error("the file is empty: build the operator again, or wait until it is written")]
    Empty,
    /// The file doesn't begin as WebAssembly does.
    #[error(
        "the file is not WebAssembly, which begins with the bytes 00 61 73 6d: give the .wasm file that the build made"
    )]
    NotWasm,
    /// The file begins well, but the rest can't be read.
    #[error("the file is cut off or damaged ({0}): build or copy it again")]
    Broken(String),
    /// The file is a core module: what a compiler makes before it is a component.
    #[error(
        "the file is a core module, and an operator is a component: make one with `sluice componentize MODULE.wasm \
         -o OPERATOR.wasm`"
    )]
    CoreModule,
    /// The component imports more than an operator is given.
    #[error(
        "it imports what no operator is given: {}; an operator is a pure function, so build it without WASI (in Rust \
         for the target wasm32-unknown-unknown)", .0.join(", ")
    )]
    ForeignImports(Vec<String>),
    /// The component was built against another version of `wit/`.
    #[error("it is built for sluice:operator@{found} and this host speaks {spoken}: build it with this host's SDK")]
    OtherVersion {
        /// The version that the component speaks.
        found: String,
        /// The version that this host speaks.
        spoken: &'static str,
    },
    /// The component exports neither of the contract's worlds.
    #[error(
        "it is of no world that this host knows, as it exports {}: an operator exports sluice:operator/transform, and \
         sluice:operator/fold if it aggregates",
        listed(exports)
    )]
    UnknownWorld {
        /// Names of its exports.
        exports: Vec<String>,
    },
    /// The names are right and the types behind them are not.
    #[error("its functions are not those of sluice:operator ({0}): build it against this host's wit/ or with its SDK")]
    OtherTypes(String),
    /// The compiler refuses it.
    #[error("it can't be compiled ({0}): build it again with a current toolchain")]
    Uncompilable(String),
    /// The system gives this process no memory that can be executed.
    #[error(
        "its code can't be made executable ({0}): the system keeps this process from it, whatever the operator is; allow it \
         (systemd's MemoryDenyWriteExecute=no, SELinux's execmem, a seccomp filter's mprotect)"
    )]
    NotExecutable(String),
    /// The compiler was given up.
    #[error(
        "compiling it takes more than {}: split what is large in it, leave out what isn't used, or raise `compile.{what}`",
        taken(what, limits)
    )]
    TooHard {
        /// The thing that it takes too much of: `time` or `memory`.
        what: &'static str,
        /// The most that it may take.
        limits: CompileLimits,
    },
    /// An instance for trying it can't be made.
    #[error("no instance of it can be made: {0}")]
    Unstartable(String),
}

/// The words of wasmtime where the system doesn't let this process execute what it has written.
const NOT_EXECUTABLE: &str = "memory executable";

impl ArtifactError {
    /// The compiler's words, which may be the system's.
    pub(crate) fn uncompilable(words: String) -> ArtifactError {
        if words.contains(NOT_EXECUTABLE) {
            ArtifactError::NotExecutable(words)
        } else {
            ArtifactError::Uncompilable(words)
        }
    }
}

fn taken(what: &str, limits: &CompileLimits) -> String {
    if what == "time" {
        format!("{:?} of processor time", limits.time)
    } else {
        format!("{} bytes of memory", limits.memory)
    }
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

/// A checked and compiled operator. Clones are the same artifact; it outlives the [`Runtime`](crate::Runtime) that made it.
#[derive(Clone)]
pub struct Artifact(Arc<Compiled>);

pub(crate) struct Compiled {
    digest: Digest,
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
        let world = Anatomy::read(bytes)?.check()?;
        let digest = Digest::of(bytes);
        let component = compile(digest)?;
        let other_types = |error: wasmtime::Error| ArtifactError::OtherTypes(format!("{error:#}"));
        let pre = linker.instantiate_pre(&component).map_err(other_types)?;
        let exports = ExportIndices::new(&pre, world).map_err(other_types)?;
        let bytes = bytes.into();
        let (together, _ticker) = (Arc::clone(together), Arc::clone(ticker));
        let artifact = Artifact(Arc::new(Compiled { digest, world, bytes, pre, exports, together, _ticker }));
        artifact.try_out()?;
        Ok(artifact)
    }

    /// The types of exports are known only to an instance, and a broken one is better refused now than when a pipeline
    /// opens it.
    fn try_out(&self) -> Result<(), ArtifactError> {
        let limits = Limits { memory: TRIAL_MEMORY, ..Limits::default() };
        // A moment's memory, whatever the others have: that the host is full says nothing of the file.
        let together = Arc::new(Together::new(TRIAL_MEMORY));
        match Running::start(&self.0, "", &limits, &together, &Interrupt::default()) {
            Ok(_) => Ok(()),
            Err(StartError::OtherTypes(reason)) => Err(ArtifactError::OtherTypes(reason)),
            Err(StartError::NoRoom(reason)) => Err(ArtifactError::Unstartable(reason)),
            Err(StartError::Failed(error)) => Err(ArtifactError::Unstartable(error.to_string())),
        }
    }

    /// The digest of the file that it was compiled from.
    pub fn digest(&self) -> Digest {
        self.0.digest
    }

    /// The world that it is of, which says what its instances can do.
    pub fn world(&self) -> World {
        self.0.world
    }

    /// The bytes of the file that it was compiled from.
    pub fn size(&self) -> usize {
        self.0.bytes.len()
    }

    /// The file that it was compiled from.
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// Makes an instance and agrees with it on its plan. `config` is the pipeline's table for the operator, as JSON;
    /// `input` are the columns that come in; `name` is the operator's, for its log lines.
    ///
    /// Takes 10 µs for compiled languages to milliseconds for interpreters, and never longer than `limits.open_time`.
    pub fn open(&self, config: &str, input: &[Field], limits: &Limits, name: &str) -> Result<Instance, OpenError> {
        Instance::open(self.clone(), config, input, limits, name)
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
