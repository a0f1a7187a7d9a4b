//! The guest's side of the host: a line in the log, and text for those without a codec. Its state is one store's.
//!
//! Everything here is called by code that may be hostile: what can't be answered traps, and nothing panics.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sluice_core::operator::Interrupt;
use sluice_core::printable;
use tracing::{Level, debug, error, info, warn};

use crate::generated::v0_1::sluice::operator as v0_1;
use crate::generated::v0_2::sluice::operator as v0_2;
use crate::limits::{Limits, MAX_DECODED, MAX_LOG_BYTES, MemoryGuard, truncated};
use crate::together::Together;

/// The span over which a guest's log lines are counted.
const LOG_WINDOW: Duration = Duration::from_secs(1);

/// The state of one instance's store.
#[derive(Debug)]
pub(crate) struct Guest {
    name: String,
    lines: LineGate,
    /// The last error that the guest logged in the call under way.
    last_words: Option<String>,
    pub(crate) memory: MemoryGuard,
    /// The moment when the call's time is up; none if it has all the time that there is.
    pub(crate) until: Option<Instant>,
    /// Ends calls before.
    pub(crate) interrupt: Interrupt,
}

impl Guest {
    /// `name` is the operator's, for its log lines.
    pub(crate) fn new(name: &str, limits: &Limits, together: &Arc<Together>, interrupt: &Interrupt) -> Guest {
        Guest {
            name: name.to_owned(),
            lines: LineGate::new(limits.log_lines),
            last_words: None,
            memory: MemoryGuard::new(limits.memory, together),
            until: None,
            interrupt: interrupt.clone(),
        }
    }

    /// The last error that the guest logged since this was asked.
    pub(crate) fn take_last_words(&mut self) -> Option<String> {
        self.last_words.take()
    }
}

/// A guest called the host with something that has no answer; the call ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadHostCall {
    #[error(
        "it called text.decode with offsets that are no offsets: they must be int32, start at 0, never fall and end within the values"
    )]
    Offsets,
    #[error("it called text.decode with bytes that are not UTF-8")]
    NotUtf8,
    #[error("it called text.decode for {0} strings at once, and may for {MAX_DECODED}")]
    TooMany(usize),
    #[error("it called text.encode with more than 2 GiB of text")]
    TooLong,
}

/// The imports of a version of the contract, which are the same in all of them.
macro_rules! imports {
    ($version:ident) => {
        impl $version::types::Host for Guest {}

        impl $version::log::Host for Guest {
            fn log(&mut self, level: $version::log::Level, message: String) -> wasmtime::Result<()> {
                use $version::log::Level;
                self.say(
                    match level {
                        Level::Debug => tracing::Level::DEBUG,
                        Level::Info => tracing::Level::INFO,
                        Level::Warn => tracing::Level::WARN,
                        Level::Error => tracing::Level::ERROR,
                    },
                    message,
                );
                Ok(())
            }
        }

        impl $version::text::Host for Guest {
            fn decode(&mut self, offsets: Vec<u8>, values: Vec<u8>) -> wasmtime::Result<Vec<String>> {
                decode(&offsets, &values).map_err(Into::into)
            }

            fn encode(&mut self, strings: Vec<String>) -> wasmtime::Result<(Vec<u8>, Vec<u8>)> {
                encode(&strings).map_err(Into::into)
            }
        }
    };
}

imports!(v0_1);
imports!(v0_2);

impl Guest {
    /// Writes a line of the operator's to the log, unless there were too many.
    fn say(&mut self, level: Level, message: String) {
        let line = printable(&truncated(message, MAX_LOG_BYTES)).into_owned();
        if level == Level::ERROR {
            self.last_words = Some(line.clone());
        }
        let Some(suppressed) = self.lines.admit(sluice_clock::now()) else { return };
        let operator = self.name.as_str();
        if suppressed > 0 {
            warn!(target: "sluice::operator", operator, "{suppressed} lines of the last second are left out");
        }
        match level {
            Level::ERROR => error!(target: "sluice::operator", operator, "{line}"),
            Level::WARN => warn!(target: "sluice::operator", operator, "{line}"),
            Level::INFO => info!(target: "sluice::operator", operator, "{line}"),
            _ => debug!(target: "sluice::operator", operator, "{line}"),
        }
    }
}

/// The texts that lie between these offsets.
fn decode(offsets: &[u8], values: &[u8]) -> Result<Vec<String>, BadHostCall> {
    let (ends, rest) = offsets.as_chunks::<4>();
    let mut ends = ends.iter().map(|end| i32::from_le_bytes(*end));
    if !rest.is_empty() || ends.next() != Some(0) {
        return Err(BadHostCall::Offsets);
    }
    if ends.len() > MAX_DECODED {
        return Err(BadHostCall::TooMany(ends.len()));
    }
    let mut start = 0;
    let strings = ends.map(|end| {
        let end = usize::try_from(end).map_err(|_| BadHostCall::Offsets)?;
        let bytes = values.get(start..end).ok_or(BadHostCall::Offsets)?;
        start = end;
        Ok(std::str::from_utf8(bytes).map_err(|_| BadHostCall::NotUtf8)?.to_owned())
    });
    strings.collect()
}

/// The offsets and the bytes of these texts.
fn encode(strings: &[String]) -> Result<(Vec<u8>, Vec<u8>), BadHostCall> {
    let mut offsets = Vec::with_capacity((strings.len() + 1) * 4);
    let mut values = Vec::with_capacity(strings.iter().map(String::len).sum());
    offsets.extend_from_slice(&0i32.to_le_bytes());
    for string in strings {
        values.extend_from_slice(string.as_bytes());
        let end = i32::try_from(values.len()).map_err(|_| BadHostCall::TooLong)?;
        offsets.extend_from_slice(&end.to_le_bytes());
    }
    Ok((offsets, values))
}

/// Lets a number of lines through each second, and counts the others.
#[derive(Debug)]
struct LineGate {
    limit: u32,
    window: Option<Instant>,
    lines: u32,
    suppressed: u64,
}

impl LineGate {
    fn new(limit: u32) -> LineGate {
        LineGate { limit, window: None, lines: 0, suppressed: 0 }
    }

    /// Decides about a line. None means that it is left out. Otherwise returns the number of lines that were left out in the
    /// window that this line has ended.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        let current = self.window.is_some_and(|start| now.saturating_duration_since(start) < LOG_WINDOW);
        if current && self.lines >= self.limit {
            self.suppressed = self.suppressed.saturating_add(1);
            return None;
        }
        if !current {
            self.window = Some(now);
            self.lines = 0;
        }
        if self.lines >= self.limit {
            return None; // a limit of 0
        }
        self.lines += 1;
        Some(if current { 0 } else { std::mem::take(&mut self.suppressed) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_lets_its_lines_through_each_second_and_says_how_many_it_did_not() {
        let (mut gate, start) = (LineGate::new(2), Instant::now());
        let admitted: Vec<_> = (0..5).map(|_| gate.admit(start)).collect();
        assert_eq!(admitted, [Some(0), Some(0), None, None, None]);
        assert_eq!(gate.admit(start + LOG_WINDOW), Some(3));
        assert_eq!(gate.admit(start + LOG_WINDOW), Some(0));
    }

    #[test]
    fn a_gate_of_no_lines_stays_shut() {
        assert_eq!(LineGate::new(0).admit(Instant::now()), None);
    }

    #[test]
    fn what_encode_answers_decode_takes_back() {
        let strings: Vec<String> = ["", "é", "abc"].map(String::from).into();
        let (offsets, values) = encode(&strings).unwrap();
        assert_eq!(decode(&offsets, &values).unwrap(), strings);
    }

    #[test]
    fn decode_refuses_what_is_no_text() {
        let offsets = |ends: &[i32]| ends.iter().flat_map(|end| end.to_le_bytes()).collect::<Vec<u8>>();
        for (ends, values) in [
            (&[0, 4][..], &b"abc"[..]),
            (&[0, 2, 1], b"abc"),
            (&[0, -1], b"abc"),
            (&[1, 2], b"abc"),
            (&[], b""),
            (&[0, 1], b"\xff"),
        ] {
            assert!(decode(&offsets(ends), values).is_err(), "{ends:?}");
        }
        assert!(decode(&[0, 0, 0, 0, 1], &[]).is_err());
    }

    #[test]
    fn a_guest_can_not_make_the_host_hold_strings_without_end() {
        assert_eq!(decode(&vec![0; 4 * (MAX_DECODED + 1)], &[]).unwrap().len(), MAX_DECODED);
        assert!(decode(&vec![0; 4 * (MAX_DECODED + 2)], &[]).is_err());
    }
}
