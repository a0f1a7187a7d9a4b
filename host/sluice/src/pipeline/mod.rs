//! A pipeline's life: start, run, swap, stop.
//!
//! ```text
//! supervisor (tokio task): performs what sluice_core::run::Life says
//!   ├─ joins the source's group, and runs while it has the partitions (all of them, for a fold); again when they move
//!   ├─ opens checkpoint, source, operators, lookups, sinks; again and again while a server is away
//!   ├─ lane (thread): source → chain → queue
//!   ├─ flusher (tokio task): queue → sinks → dead letters → checkpoint → offsets
//!   ├─ retrier (tokio task): letters that are to be driven through again → lane
//!   ├─ on an operator that is at fault, or a stop: waits, then all of it again from the checkpoint
//!   └─ on a new artifact, or an order to go back: a new chain, handed to the lane at a batch boundary
//! ```

mod again;
mod answers;
pub mod assemble;
pub mod clock;
pub mod deployments;
mod flush;
mod fresh;
pub mod freshness;
mod giving_up;
pub mod identity;
pub mod keys;
mod lane;
pub mod letters;
mod member;
mod opener;
mod orders;
pub mod provenance;
mod rate;
mod restore;
mod run;
pub mod status;
mod supervisor;
pub mod tables;
mod told;
pub mod transaction;
mod trouble;

pub use member::GroupMember;
pub use opener::Opener;
pub use orders::{Handle, Order};
pub use sluice_core::run::life::Ended;
pub use status::{Snapshot, Status};
pub use supervisor::{Supervisor, SupervisorStart};
