//! The parts that the lookups of all connectors share.
//!
//! ```text
//! keys ──▶ RowCache (shared by all lookups of the same table and columns) ──▶ answer
//!             │ those it lacks, so many at a time as the table takes
//!             └──▶ Asked::ask, one call for all of them; patiently while the server is away, by halves if an answer is too large
//! ```
//!
//! A connector says how a table is asked ([`Asked`]). What is remembered, and for how long, is the same for all of them.

mod cache;
mod cached;
mod caches;
pub(crate) mod cell;
mod encoding;
mod row;
mod table;

use std::sync::Arc;
use std::time::Instant;

pub use self::cache::{CacheConfig, DEFAULT_ENTRIES, DEFAULT_TTL};
pub(crate) use self::cached::{Asked, Unanswered};
pub use self::caches::Caches;
pub(crate) use self::cell::Cell;
pub use self::encoding::Encoding;
pub(crate) use self::row::Answer;
pub(crate) use self::table::check_kinds;
pub use self::table::{LookupColumn, LookupKey, LookupTable};

/// The source of the moment that it is; tests bring their own.
pub(crate) type InstantSource = Arc<dyn Fn() -> Instant + Send + Sync>;

/// The machine's monotonic clock.
pub(crate) fn system_clock() -> InstantSource {
    Arc::new(sluice_clock::now)
}
