//! The limits of an operator, and the guard that holds its memory to them.
//!
//! Limits that a pipeline may choose are fields of [`Limits`]; those that protect the host whatever a pipeline says are
//! constants. An operator that reaches one is at fault: the call ends, its instance is spent, the host goes on.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::ResourceLimiter;

use crate::together::Together;

/// The largest component file. An interpreter with its library is 18 MB; a larger file is a mistake, and compiling it
/// would take the host's memory with it.
pub const MAX_ARTIFACT_BYTES: usize = 64 << 20;

/// The linear memory of one instance. A batch in and its result are a few MB, an interpreter's heap some tens; a leak
/// is stopped before a handful of instances can fill a small machine.
pub const DEFAULT_MEMORY: usize = 64 << 20;

/// The longest that one call may take. A batch of 8,192 rows takes 5 ms in the slowest language measured; one second of a lane
/// that stands still is what the service can hide.
pub const DEFAULT_CALL_TIME: Duration = Duration::from_secs(1);

/// The longest that instantiating and `open` may take together. Interpreters start here, and it happens beside the lane.
pub const DEFAULT_OPEN_TIME: Duration = Duration::from_secs(5);

/// The bytes that one call may hand to the host, which the host has to allocate: as much as an instance's memory, since
/// a result can't be larger than where it lies.
pub const DEFAULT_OUTPUT_BYTES: usize = 64 << 20;

/// The lines a second that one instance may write into the host's log. Enough to follow an error, too few to fill a disk.
pub const DEFAULT_LOG_LINES: u32 = 20;

/// The bytes of one line in the log; the rest is cut off.
pub(crate) const MAX_LOG_BYTES: usize = 4 << 10;

/// The bytes of an operator's own words in an error; the rest is cut off. Errors end in logs and in the admin API.
pub(crate) const MAX_MESSAGE_BYTES: usize = 4 << 10;

/// The bytes of a rejection's reason; the rest is cut off. There may be one for each row, and each becomes a dead letter.
pub(crate) const MAX_REASON_BYTES: usize = 1 << 10;

/// The strings that `text.decode` makes at once. The host holds 24 bytes for each, and a guest's offsets cost it 4: without
/// a bound, a guest's 64 MiB would become 400 of the host's. Batches are tens of thousands of rows.
pub(crate) const MAX_DECODED: usize = 1 << 20;

/// The columns that a plan may name in any of its lists. MySQL's own limit for a table is 4,096, InnoDB's 1,017.
pub(crate) const MAX_COLUMNS: usize = 1024;

/// The bytes of a column's name. MySQL takes 64 characters, SQLite any; longer names are no names.
pub(crate) const MAX_NAME_BYTES: usize = 256;

/// The rows that `process` may answer for each row it was given. Exploding a list makes tens; without a bound, a row
/// could become a gigabyte a few operators later.
pub const DEFAULT_ROWS_OUT: usize = 64;

/// The bytes of text and binary in one group's state. A sketch or a short list of what was seen last takes kilobytes; a state that
/// gathers all rows grows until each batch moves megabytes for a few bytes of news, and fills the store.
pub const DEFAULT_STATE_BYTES: usize = 1 << 20;

/// The rows that `process` may answer on top of that, so that a batch of one row with one long list is no fault.
pub(crate) const MAX_ROWS_OUT_EXTRA: usize = 1024;

/// The elements of one table of functions. CPython has some 12,000; each costs the host 8 bytes.
pub(crate) const MAX_TABLE_ELEMENTS: usize = 32 << 10;

/// The core instances inside one component. One and its adapters are 3 or 4, a dynamically linked CPython about 20.
pub(crate) const MAX_CORE_INSTANCES: usize = 32;

/// The linear memories inside one component: one for each language runtime that it is linked of. Each takes a slot of
/// the pool, whatever its size.
pub(crate) const MAX_MEMORIES: usize = 2;

/// The tables inside one component: the program's own and the adapters'.
pub(crate) const MAX_TABLES: usize = 8;

/// The processor time that compiling one artifact may take, all cores together. CPython's 18 MB take 8 s; much more is no program
/// but a trap for compilers, and the next file waits for it.
pub const DEFAULT_COMPILE_TIME: Duration = Duration::from_secs(60);

/// The memory that compiling one artifact may take, in bytes. Less: a large interpreter doesn't compile on many cores. More: a small
/// machine's other processes pay for one file.
pub const DEFAULT_COMPILE_MEMORY: u64 = 2 << 30;

/// The limits of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of linear memory, all memories of the instance together.
    pub memory: usize,
    /// Time for one call, to within 20 ms.
    pub call_time: Duration,
    /// Time for instantiating and `open`, to within 20 ms.
    pub open_time: Duration,
    /// Bytes that one call may hand to the host, in a result or to the log.
    pub output_bytes: usize,
    /// Rows that `process` may answer for each row it was given, beside some more.
    pub rows_out: usize,
    /// Bytes of text and binary that the state of one group may have.
    pub state_bytes: usize,
    /// Lines a second into the host's log; more are counted, not written.
    pub log_lines: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            memory: DEFAULT_MEMORY,
            call_time: DEFAULT_CALL_TIME,
            open_time: DEFAULT_OPEN_TIME,
            output_bytes: DEFAULT_OUTPUT_BYTES,
            rows_out: DEFAULT_ROWS_OUT,
            state_bytes: DEFAULT_STATE_BYTES,
            log_lines: DEFAULT_LOG_LINES,
        }
    }
}

/// The limits of compiling one artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompileLimits {
    /// Processor time, to within a second.
    pub time: Duration,
    /// Bytes of memory.
    pub memory: u64,
}

impl Default for CompileLimits {
    fn default() -> CompileLimits {
        CompileLimits { time: DEFAULT_COMPILE_TIME, memory: DEFAULT_COMPILE_MEMORY }
    }
}

/// The operator asked for more than it may have. Growth traps instead of failing inside the guest, so that the reason
/// is known and isn't mistaken for a bug of the operator's allocator.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Exceeded {
    #[error(
        "it asked for {asked} bytes of memory and may have {limit}: raise its memory limit, or hold less at a time"
    )]
    Memory { asked: usize, limit: usize },
    #[error(
        "it asked for {more} more bytes of memory, and all operators of this host may have {limit} together: run fewer of them \
         here, let each take less (`limits.memory` of its step), or raise [limits] memory in sluice.toml"
    )]
    Together { more: usize, limit: usize },
    #[error("it asked for a table of {asked} elements and may have {MAX_TABLE_ELEMENTS}")]
    Table { asked: usize },
}

/// Counts an instance's memory; wasmtime asks it before each growth.
#[derive(Debug)]
pub(crate) struct MemoryGuard {
    limit: usize,
    used: usize,
    together: Arc<Together>,
}

impl MemoryGuard {
    pub(crate) fn new(limit: usize, together: &Arc<Together>) -> MemoryGuard {
        MemoryGuard { limit, used: 0, together: Arc::clone(together) }
    }
}

impl Drop for MemoryGuard {
    fn drop(&mut self) {
        self.together.give_back(self.used);
    }
}

impl ResourceLimiter for MemoryGuard {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false); // its own declared maximum: fails inside the guest, as the specification says
        }
        let asked = self.used.saturating_add(desired.saturating_sub(current));
        if asked > self.limit {
            return Err(Exceeded::Memory { asked, limit: self.limit }.into());
        }
        let more = asked - self.used;
        if !self.together.take(more) {
            return Err(Exceeded::Together { more, limit: self.together.limit() }.into());
        }
        self.used = asked;
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        if desired > MAX_TABLE_ELEMENTS {
            return Err(Exceeded::Table { asked: desired }.into());
        }
        Ok(true)
    }

    fn instances(&self) -> usize {
        MAX_CORE_INSTANCES
    }

    fn tables(&self) -> usize {
        MAX_TABLES
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES
    }
}

/// The first `max` bytes of a text at most, whole characters, in the place of the text.
pub(crate) fn truncated(mut text: String, max: usize) -> String {
    if text.len() > max {
        text.truncate(text.floor_char_boundary(max));
        text.push('…');
        text.shrink_to_fit();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(together: &Arc<Together>) -> MemoryGuard {
        MemoryGuard::new(100, together)
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(truncated("añb".into(), 2), "a…");
        assert_eq!(truncated("añb".into(), 4), "añb");
    }

    #[test]
    fn all_memories_of_an_instance_share_its_limit() {
        let mut guard = guard(&Arc::new(Together::new(1000)));
        assert!(guard.memory_growing(0, 60, None).unwrap());
        assert!(guard.memory_growing(0, 40, None).unwrap());
        assert!(guard.memory_growing(40, 41, None).is_err());
    }

    #[test]
    fn growth_past_the_modules_own_maximum_fails_inside_the_guest() {
        let together = Arc::new(Together::new(1000));
        assert!(!guard(&together).memory_growing(0, 60, Some(50)).unwrap());
    }

    #[test]
    fn all_instances_share_the_hosts_bound_and_one_that_ends_gives_back_what_it_had() {
        let together = Arc::new(Together::new(150));
        let (mut one, mut other) = (guard(&together), guard(&together));
        assert!(one.memory_growing(0, 100, None).unwrap());
        let refused = other.memory_growing(0, 51, None).unwrap_err();
        assert!(refused.to_string().contains("[limits] memory"), "{refused}");
        assert!(other.memory_growing(0, 50, None).unwrap());
        drop(one);
        assert!(other.memory_growing(50, 100, None).unwrap());
    }
}
