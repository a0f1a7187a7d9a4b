//! The reasons why a runtime can't start, and why a file is no operator of it.

use std::path::PathBuf;

use crate::limits::{CompileLimits, MAX_ARTIFACT_BYTES};

/// The words of wasmtime where the system doesn't let this process execute what it has written.
const NOT_EXECUTABLE: &str = "memory executable";

/// The reason why a runtime can't start.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The directory for compiled code can't be used.
    #[error("the compile cache `{}` can't be used: {reason}; name a directory that this user may write to", path.display())]
    Cache {
        /// The path as configured.
        path: PathBuf,
        /// The words of the system or of wasmtime.
        reason: String,
    },
    /// The engine refuses its configuration or the machine.
    #[error(
        "the WebAssembly engine can't start: {0}; it reserves some GiB of addresses for each instance: raise the \
         process's limit of virtual memory (`ulimit -v`), or allow fewer instances"
    )]
    Engine(String),
    /// The thread that ends runaway calls can't start.
    #[error("the thread that ends runaway calls can't start: {0}; raise the process's limit of threads")]
    Ticker(#[from] std::io::Error),
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
        /// The versions that this host speaks.
        spoken: String,
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
