//! Checkpoints on a local disk: the embedded [`CheckpointStore`](sluice_core::checkpoint::CheckpointStore).
//!
//! ```text
//! commit ──▶ log: append, fsync ──▶ tree's memory ──▶ answer
//!                                        │ every 8 MiB of log, on a thread of its own
//!                                        ▼
//!                                   tree: sorted files, merged ──▶ the log that they hold is deleted
//! ```
//!
//! A pipeline has a directory of its own, so that a commit waits for no other pipeline's, damage stays where it is, and
//! to start over is to remove a directory:
//!
//! ```text
//! lock                             held while a host runs; its process id
//! format                           the version of everything below
//! pipelines/NAME/log.N             commits from the Nth on that may not be in the tree; the last one is appended to
//! pipelines/NAME/reached           the number of a commit that was made: the first of the last log, or a later one
//! pipelines/NAME/tree/             groups and head, an LSM tree
//! artifacts/DIGEST                 operators that may be rolled back to
//! artifacts/of-NAME/GENERATION-DIGEST  which of them a pipeline keeps
//! deployments/NAME.json            what ran in a pipeline and what was refused
//! ```

mod artifacts;
mod disk;
mod histories;
mod log;
mod names;
mod pipeline;
mod record;
mod store;
mod tree;
mod upkeep;

pub use artifacts::KEPT_ARTIFACTS;
pub use histories::Histories;
pub use record::{COMMIT_BYTES, KEY_BYTES};
pub use store::Store;
