//! The store as its callers and the machine around it meet it: the contract, kills, damage, a full disk.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod contract;
mod damage;
mod directory;
mod histories;
mod kill;
mod numbered;
