//! Queue of the log's lines, and the thread that writes them.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// The most bytes of lines that wait to be written. Fewer: a burst of errors of all pipelines is lost in part although somebody
/// reads. More: a log that nobody reads takes that much memory.
const MAX_WAITING: usize = 1 << 20;

/// Wait before another try at a destination that takes nothing at the moment, and says so instead of blocking.
const WHILE_FULL: Duration = Duration::from_millis(10);

/// Queue of lines: takes them at once, and writes them in their order in a thread of its own.
pub struct Lines(Arc<Shared>);

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    lost: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// True if a line was taken from the queue and isn't written yet.
    writing: bool,
}

impl Lines {
    /// Writes to this for good.
    pub fn written_to(out: impl Write + Send + 'static) -> Lines {
        let shared = Arc::new(Shared::default());
        let writing = Arc::clone(&shared);
        // Without a thread the lines are lost, and counted.
        drop(thread::Builder::new().name("log".to_owned()).spawn(move || writing.write_all(out)));
        Lines(shared)
    }

    /// Returns the number of lines that could not be written or had no room.
    pub fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }

    /// Returns once all are written, or after this long.
    pub fn wait_until_written(&self, patience: Duration) {
        let unwritten = |waiting: &mut Waiting| waiting.writing || !waiting.lines.is_empty();
        drop(self.0.changed.wait_timeout_while(self.0.waiting(), patience, unwritten));
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8]) {
        let mut waiting = self.waiting();
        if waiting.bytes + line.len() > MAX_WAITING {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.bytes += line.len();
        waiting.lines.push_back(line.to_owned());
        drop(waiting);
        self.changed.notify_all();
    }

    fn next(&self) -> Vec<u8> {
        let mut waiting = self.waiting();
        loop {
            if let Some(line) = waiting.lines.pop_front() {
                waiting.bytes -= line.len();
                waiting.writing = true;
                return line;
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn write_all(&self, mut out: impl Write) {
        let (mut torn, mut said) = (false, 0);
        loop {
            let line = self.next();
            let written = if torn {
                write(&mut out, b"\n").and_then(|()| write(&mut out, &line))
            } else {
                write(&mut out, &line)
            };
            let lost = match written {
                Ok(()) => self.lost.load(Ordering::Relaxed),
                Err(_) => self.lost.fetch_add(1, Ordering::Relaxed) + 1,
            };
            torn = match written {
                Ok(()) => false,
                Err(part) => torn || part > 0,
            };
            // While others wait, more may get lost; this one must not.
            if written.is_ok() && lost > said && self.waiting().lines.is_empty() {
                tracing::warn!(
                    lines = lost - said,
                    "so many lines of the log were lost, since they could not be written"
                );
                said = lost;
            }
            self.waiting().writing = false;
            self.changed.notify_all();
        }
    }
}

/// Writes the whole line, or answers how much of it was written before it failed.
fn write(out: &mut impl Write, line: &[u8]) -> Result<(), usize> {
    let mut done = 0;
    while done < line.len() {
        match out.write(&line[done..]) {
            Ok(0) => return Err(done),
            Ok(more) => done += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => sluice_clock::sleep(WHILE_FULL),
            Err(_) => return Err(done),
        }
    }
    Ok(())
}

/// Writer for one event: each call writes a line.
pub struct Line<'a>(&'a Shared);

impl<'a> Line<'a> {
    pub fn of(lines: &'a Lines) -> Line<'a> {
        Line(&lines.0)
    }
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Instant;

    use super::*;

    const SOON: Duration = Duration::from_secs(60);

    /// Test destination: at each call it takes as many bytes as it is told to, or fails.
    struct Told {
        told: Receiver<Option<usize>>,
        took: Sender<Vec<u8>>,
    }

    impl Write for Told {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.told.recv() {
                Ok(Some(most)) => {
                    let took = &bytes[..most.min(bytes.len())];
                    self.took.send(took.to_owned()).unwrap();
                    Ok(took.len())
                }
                Ok(None) => Err(io::Error::from(ErrorKind::BrokenPipe)),
                Err(_) => Err(io::Error::from(ErrorKind::WouldBlock)),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn told() -> (Lines, Sender<Option<usize>>, Receiver<Vec<u8>>) {
        let ((tell, told), (took, taken)) = (channel(), channel());
        (Lines::written_to(Told { told, took }), tell, taken)
    }

    fn say(lines: &Lines, line: &str) {
        Line::of(lines).write_all(line.as_bytes()).unwrap();
    }

    #[test]
    fn lines_come_whole_and_in_their_order() {
        let (lines, tell, taken) = told();
        (0..8).for_each(|_| tell.send(Some(3)).unwrap());
        say(&lines, "one two\n");
        say(&lines, "three\n");
        lines.wait_until_written(SOON);
        assert_eq!(taken.try_iter().collect::<Vec<_>>().concat(), b"one two\nthree\n");
        assert_eq!(lines.lost(), 0);
    }

    #[test]
    fn a_destination_that_fails_loses_lines_that_are_counted_and_the_next_one_begins_a_line() {
        let (lines, tell, taken) = told();
        // The second line is written in part; the third not at all; the fourth comes after a line feed.
        for take in [Some(99), Some(2), None, None, Some(1), Some(99)] {
            tell.send(take).unwrap();
        }
        ["first\n", "second\n", "third\n", "fourth\n"].iter().for_each(|line| say(&lines, line));
        lines.wait_until_written(SOON);
        assert_eq!(taken.try_iter().collect::<Vec<_>>().concat(), b"first\nse\nfourth\n");
        assert_eq!(lines.lost(), 2);
    }

    #[test]
    fn a_destination_that_is_stuck_holds_up_nobody_and_takes_a_bounded_amount_of_memory() {
        let (lines, tell, _taken) = told();
        let line = "x".repeat(MAX_WAITING / 16);
        (0..100).for_each(|_| say(&lines, &line));
        let lost = lines.lost();
        assert!((83..=84).contains(&lost), "{lost}");
        let begun = Instant::now();
        lines.wait_until_written(Duration::from_millis(50));
        assert!(begun.elapsed() >= Duration::from_millis(50), "the others aren't written");
        // Once it takes lines again, those that waited are written.
        (0..100).for_each(|_| tell.send(Some(usize::MAX)).unwrap());
        lines.wait_until_written(SOON);
        assert_eq!(lines.lost(), lost);
    }
}
