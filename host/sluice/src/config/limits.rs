//! `limits` of a step: what an operator may use before it is stopped; and `compile`: what compiling one may use.

use std::time::Duration;

use sluice_runtime::{CompileLimits, Limits, default_host_memory};

use super::reader::{Item, Section};
use super::value;

/// Description of a table of limits, for messages.
pub const LIMITS: &str = r#"a table such as { memory = "64MiB", call_time = "1s" }"#;

/// WebAssembly's memory ends at 4 GiB; in less than 1 MiB hardly anything starts.
const MEMORY: (u64, u64) = (1 << 20, 4 << 30);

/// Bounds of `call_time` and `open_time`. Time is kept to within 20 ms. In more than ten minutes a pipeline isn't slow but stands
/// still.
const TIME: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(600));

/// Bounds of `output`. The columns of a batch of the largest size take some MiB, in any direction.
const OUTPUT: (u64, u64) = (64 << 10, 1 << 30);

/// Bounds of `rows_out`, the rows out for each row in. Fewer than one suit only a filter; more than a thousand belong in another
/// topic.
const ROWS_OUT: (u32, u32) = (1, 1_000);

/// Bounds of `state`. A counter needs none of it. States above the greatest bound don't fit into an answer of a few groups.
const STATE: (u64, u64) = (1 << 10, 64 << 20);

/// Bounds of `log_lines`: from no line at all to more than anybody reads.
const LOG_LINES: (u32, u32) = (0, 10_000);

/// Reads the table.
pub fn read(section: &Section<'_>) -> Option<Limits> {
    let default = Limits::default();
    let bytes = |item: Item<'_>, (least, most)| value::size(&item, least, most).and_then(|n| usize::try_from(n).ok());
    let time = |item: Item<'_>| value::duration(&item, TIME.0, TIME.1);
    let memory = section.or("memory", default.memory, |item| bytes(item, MEMORY));
    let call_time = section.or("call_time", default.call_time, time);
    let open_time = section.or("open_time", default.open_time, time);
    let output = section.or("output", default.output_bytes, |item| bytes(item, OUTPUT));
    let rows_out = section.or("rows_out", default.rows_out, |item| Some(item.whole(ROWS_OUT.0, ROWS_OUT.1)? as usize));
    let state = section.or("state", default.state_bytes, |item| bytes(item, STATE));
    let log_lines = section.or("log_lines", default.log_lines, |item| item.whole(LOG_LINES.0, LOG_LINES.1));
    Some(Limits {
        memory: memory?,
        call_time: call_time?,
        open_time: open_time?,
        output_bytes: output?,
        rows_out: rows_out?,
        state_bytes: state?,
        log_lines: log_lines?,
    })
}

/// Description of the service's table `limits`, for messages.
pub const HOST_LIMITS: &str = r#"a table such as [limits] with memory = "4GiB""#;

/// Bounds of `limits.memory` of the service. Less is not enough for a handful of operators.
const HOST_MEMORY: (u64, u64) = (16 << 20, 16 << 40);

/// Reads the service's table: the bytes that all instances together may have.
pub fn read_host(section: &Section<'_>) -> Option<usize> {
    let size = |item: Item<'_>| value::size(&item, HOST_MEMORY.0, HOST_MEMORY.1).and_then(|n| usize::try_from(n).ok());
    section.or("memory", default_host_memory(), size)
}

/// Description of the service's table `compile`, for messages.
pub const COMPILE_LIMITS: &str = r#"a table such as [compile] with time = "60s", memory = "2GiB""#;

/// Bounds of `compile.time`. In less than a second nothing of any size compiles on a busy machine.
const COMPILE_TIME: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3_600));

/// The compiler itself takes some tens of MiB.
const COMPILE_MEMORY: (u64, u64) = (128 << 20, 64 << 30);

/// Reads the service's table.
pub fn read_compile(section: &Section<'_>) -> Option<CompileLimits> {
    let default = CompileLimits::default();
    let time = section.or("time", default.time, |item| value::duration(&item, COMPILE_TIME.0, COMPILE_TIME.1));
    let memory = section.or("memory", default.memory, |item| value::size(&item, COMPILE_MEMORY.0, COMPILE_MEMORY.1));
    Some(CompileLimits { time: time?, memory: memory? })
}
