//! Operators: WebAssembly components that are compiled, checked, limited and called with Arrow columns.
//!
//! ```text
//! Runtime ──compile(bytes)──▶ Artifact ──open(config, columns, limits)──▶ Instance
//! engine, pool, clock,        compiled code, digest,                      one guest and its plan:
//! compile cache; one a        world; swapped                              an Operator, spent by a trap
//! process
//! ```
//!
//! What crosses the boundary is checked on its way out of the guest, whatever the guest is; see [`Limits`] for what it
//! may use, and `wit/` for what it is asked.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests say what time it is"))]

mod anatomy;
mod artifact;
mod boundary;
mod buffers;
mod code;
mod compiling;
mod componentize;
mod digest;
mod engine;
mod exchange;
mod fault;
mod generated;
mod guest;
pub mod inspect;
mod instance;
mod limits;
mod loaded;
mod plan;
mod probe;
mod reasons;
mod refusals;
mod running;
mod ticker;
mod together;

pub use anatomy::{Contract, World};
pub use artifact::Artifact;
pub use compiling::{Helper as CompileHelper, compile_within};
pub use componentize::{ComponentizeError, componentize};
pub use digest::Digest;
pub use engine::{DEFAULT_INSTANCES, Runtime, RuntimeConfig};
pub use instance::{CallTimer, Instance, OpenError};
pub use limits::{
    CompileLimits, DEFAULT_CALL_TIME, DEFAULT_COMPILE_MEMORY, DEFAULT_COMPILE_TIME, DEFAULT_LOG_LINES, DEFAULT_MEMORY,
    DEFAULT_OPEN_TIME, DEFAULT_OUTPUT_BYTES, DEFAULT_ROWS_OUT, DEFAULT_STATE_BYTES, Limits, MAX_ARTIFACT_BYTES,
};
pub use probe::{PROBE_ROWS, probe};
pub use reasons::{ArtifactError, RuntimeError};
pub use together::default_host_memory;
