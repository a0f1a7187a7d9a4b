//! Lines of shared blocks.

use std::sync::Arc;

use sluice_core::records::Records;
use sluice_core::{Interval, Offset, Partition};

/// The place of a line: `start..end` of its run's block. Blocks are far smaller than 4 GiB.
struct LineSpan {
    run: u32,
    start: u32,
    end: u32,
}

/// Successive lines of one partition, all in one block.
struct Run {
    partition: Partition,
    block: Arc<Vec<u8>>,
    first_line: usize,
    first_offset: Offset,
}

/// Lines of several partitions, a run each.
pub(super) struct LogRecords {
    topic: Arc<str>,
    runs: Vec<Run>,
    lines: Vec<LineSpan>,
    /// Bytes of all lines, without their ends.
    bytes: usize,
    intervals: Vec<(Partition, Interval)>,
}

impl LogRecords {
    pub fn new(topic: Arc<str>) -> LogRecords {
        LogRecords { topic, runs: Vec::new(), lines: Vec::new(), bytes: 0, intervals: Vec::new() }
    }

    /// Adds the lines of `block` from the byte `at` on, at most `max` of them. The block is made of whole lines. Answers how
    /// many were added, and the byte after them.
    pub fn push_run(
        &mut self,
        partition: Partition,
        first_offset: Offset,
        block: &Arc<Vec<u8>>,
        at: usize,
        max: usize,
    ) -> (usize, usize) {
        let run = self.runs.len() as u32;
        let first_line = self.lines.len();
        let mut start = at;
        for end in memchr::memchr_iter(b'\n', &block[at..]).take(max) {
            let end = at + end;
            self.lines.push(LineSpan { run, start: start as u32, end: end as u32 });
            start = end + 1;
        }
        let added = self.lines.len() - first_line;
        self.bytes += start - at - added;
        if let Some(interval) = Interval::new(first_offset, first_offset.advanced(added)).filter(|it| !it.is_empty()) {
            self.runs.push(Run { partition, block: Arc::clone(block), first_line, first_offset });
            self.intervals.push((partition, interval));
        }
        (added, start)
    }

    fn run_of(&self, i: usize) -> &Run {
        &self.runs[self.lines[i].run as usize]
    }
}

impl Records for LogRecords {
    fn len(&self) -> usize {
        self.lines.len()
    }

    fn topic(&self) -> &str {
        &self.topic
    }

    fn value(&self, i: usize) -> Option<&[u8]> {
        let line = &self.lines[i];
        Some(&self.run_of(i).block[line.start as usize..line.end as usize])
    }

    fn key(&self, _: usize) -> Option<&[u8]> {
        None
    }

    fn position(&self, i: usize) -> (Partition, Offset) {
        let run = self.run_of(i);
        (run.partition, run.first_offset.advanced(i - run.first_line))
    }

    fn timestamp(&self, _: usize) -> Option<i64> {
        None
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn intervals(&self) -> &[(Partition, Interval)] {
        &self.intervals
    }
}
