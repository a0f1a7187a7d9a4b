//! The generator.

/// The topic of the entries into live rooms.
pub const ENTRIES_TOPIC: &str = "live_streaming_log";

/// The topic of the gifts.
pub const GIFTS_TOPIC: &str = "live_gift_total";

/// A time as a clock on the wall shows it, to the second.
///
/// The binary reads the local clock; tests make up theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallClock {
    /// Seconds that the clock on the wall has shown since it showed 1970-01-01 00:00:00 (local, so not Unix time).
    pub seconds: i64,
}

/// Which of the two topics a record belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Somebody enters a room.
    Entry,
    /// Somebody gives a gift.
    Gift,
}

impl Stream {
    /// The stream's topic.
    pub fn topic(self) -> &'static str {
        match self {
            Stream::Entry => ENTRIES_TOPIC,
            Stream::Gift => GIFTS_TOPIC,
        }
    }
}

/// What is generated.
#[derive(Debug, Clone, PartialEq)]
pub struct GeneratorOptions {
    /// The same seed and clock give the same bytes.
    pub seed: u64,
    /// How many rooms entries are spread over, from 20210813 up.
    pub rooms: u32,
    /// The share of records, 0 to 1, that differ from the original's in a way that a pipeline must cope with.
    pub noise: f64,
    /// The share of records, 0 to 1, that are malformed: pipelines that don't ignore parse errors stop at them.
    pub malformed: f64,
    /// From this many records on, noise also brings fields that no schema announced.
    pub surprise_after: u64,
}

impl Default for GeneratorOptions {
    fn default() -> Self {
        GeneratorOptions { seed: 0, rooms: 1, noise: 0.0, malformed: 0.0, surprise_after: 0 }
    }
}

/// Makes records.
pub struct Generator {
    options: GeneratorOptions,
    made: u64,
}

impl Generator {
    /// A generator at its first record.
    pub fn new(options: GeneratorOptions) -> Generator {
        Generator { options, made: 0 }
    }

    /// Appends the next record's bytes to `out`, and says which stream it belongs to.
    pub fn next(&mut self, _now: WallClock, out: &mut Vec<u8>) -> Stream {
        out.extend_from_slice(b"{}");
        self.made += 1;
        if (self.made + self.options.seed).is_multiple_of(2) { Stream::Entry } else { Stream::Gift }
    }
}
