//! Windows: which stretches of time a row counts in, how far time is, and which windows are over.
//!
//! ```text
//! time and partition of each row ──▶ Windows::place ──▶ rows with their spans ──▶ fold (grouped by key and span)
//!                                        │    └───────▶ late rows, rows without a time
//!                                    Watermark ──▶ Timers: the spans that have ended
//! ```
//!
//! All of it are values: times come with the rows, and what the host's clock shows with [`Watermark::at_end`].
//!
//! **Which rows are late is a function of the records alone.** A row is judged by its own partition, whose order every
//! reading shares, and not by how the host happened to interleave partitions or cut batches. So a replay, a restart and a
//! backfill give the same tables, late rows included; only a partition that was idle when others went on is judged by them.

mod options;
mod place;
mod sessions;
mod span;
mod timers;
mod watermark;

pub use options::{Emit, Late, WindowOptions};
pub use place::{Placed, Unplaced, Windows};
pub use sessions::{Joined, Sessions};
pub use span::{Length, MAX_OVERLAP, Span, Window};
pub use timers::Timers;
pub use watermark::{EventTimes, Watermark};

#[cfg(test)]
mod tests;
