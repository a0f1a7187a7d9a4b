//! `[state]`: how a pipeline keeps the groups of its fold.

use std::time::Duration;

use sluice_core::fold::DEFAULT_MEMORY;

use super::reader::Section;
use super::value;

/// The least memory for groups: less than a batch's groups take would flush after every batch.
const MIN_MEMORY: u64 = 1 << 20;

/// The most memory for groups of one pipeline.
const MAX_MEMORY: u64 = 64 << 30;

/// The longest life of a group that nobody touches; longer is for ever.
const MAX_TTL: Duration = Duration::from_secs(3650 * 86_400);

/// Bounds of the groups of a pipeline's fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// Memory that groups may take, in bytes; the others are in the checkpoint store.
    pub memory: u64,
    /// Time since the last write of a group's state, by the host's clock, after which the group begins anew.
    pub ttl: Option<Duration>,
}

impl Default for State {
    fn default() -> State {
        State { memory: DEFAULT_MEMORY as u64, ttl: None }
    }
}

/// Reads the table.
pub fn read(section: &Section<'_>) -> Option<State> {
    let default = State::default();
    let memory = section.or("memory", default.memory, |item| value::size(&item, MIN_MEMORY, MAX_MEMORY));
    let ttl = section.or("ttl", None, |item| value::duration(&item, Duration::from_secs(1), MAX_TTL).map(Some));
    Some(State { memory: memory?, ttl: ttl? })
}
