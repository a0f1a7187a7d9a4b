//! The made-up audience of the demo, the tests and the benchmarks.
//!
//! ```text
//! ten entries ──▶ live_streaming_log      (then ten gifts, and so on in turn)
//! ten gifts   ──▶ live_gift_total
//! ```
//!
//! Records are what the original's script prints with Python's `json.dumps`, byte for byte in form: the same fields in the
//! same order, the same value ranges, `": "` and `", "` between them, provinces in lower-case `\u` escapes, times of the
//! clock on the wall. [`GeneratorOptions::noise`] sprinkles what real topics hold besides.
//!
//! Time comes from outside and the random numbers from PCG, whose output is specified: the same options and the same
//! times give the same bytes on every machine.

mod noise;
mod random;
mod record;

use std::num::NonZeroU32;

use noise::Noise;
use random::{Probability, Random};
use record::{Provinces, Record, USERS};

pub use noise::FIRST_UNKNOWN_ROOM;
pub use record::{FIRST_ROOM, FIRST_USER, WallClock};

/// The topic of the entries into live rooms.
pub const ENTRIES_TOPIC: &str = "live_streaming_log";

/// The topic of the gifts.
pub const GIFTS_TOPIC: &str = "live_gift_total";

/// Number of records of a stream that come before the other stream's turn, as in the original.
const TURN: u64 = 10;

/// The stream: which of the two topics a record belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// A person enters a room.
    Entry,
    /// A person gives a gift.
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

/// Options say what is generated. The default is the original's: one room, no noise.
#[derive(Debug, Clone, PartialEq)]
pub struct GeneratorOptions {
    /// The same seed and the same times give the same bytes.
    pub seed: u64,
    /// The number of users: ids from [`FIRST_USER`] up.
    pub users: NonZeroU32,
    /// The number of rooms that entries are spread over: ids from [`FIRST_ROOM`] up.
    pub rooms: NonZeroU32,
    /// The share of records, 0 to 1, that hold what the original's never do though every pipeline copes with it: a null or
    /// missing field, a room that no dimension knows ([`FIRST_UNKNOWN_ROOM`] and up), a copy of an earlier record, times
    /// with fractions.
    pub noise: f64,
    /// The share of records, 0 to 1, that are malformed: a pipeline stops at them unless it ignores parse errors.
    pub malformed: f64,
    /// The number of records after which noise also brings what no schema announced: a nested field that is new, and fields in
    /// another order.
    pub surprise_after: u64,
}

impl Default for GeneratorOptions {
    fn default() -> Self {
        GeneratorOptions {
            seed: 0,
            users: USERS,
            rooms: NonZeroU32::MIN,
            noise: 0.0,
            malformed: 0.0,
            surprise_after: 0,
        }
    }
}

/// Makes records, one after another, without end.
pub struct Generator {
    users: NonZeroU32,
    rooms: NonZeroU32,
    random: Random,
    noise: Noise,
    malformed: Probability,
    provinces: Provinces,
    record: Record,
    made: u64,
}

impl Generator {
    /// A generator at its first record.
    pub fn new(options: GeneratorOptions) -> Generator {
        Generator {
            users: options.users,
            rooms: options.rooms,
            random: Random::new(options.seed),
            noise: Noise::new(Probability::of(options.noise), options.surprise_after),
            malformed: Probability::of(options.malformed),
            provinces: Provinces::escaped(),
            record: Record::default(),
            made: 0,
        }
    }

    /// Appends the next record to `out`, without a line's end, and says which stream it belongs to. `now` is what its
    /// times show.
    pub fn next(&mut self, now: WallClock, out: &mut Vec<u8>) -> Stream {
        let stream = if (self.made / TURN).is_multiple_of(2) { Stream::Entry } else { Stream::Gift };
        match stream {
            Stream::Entry => self.record.draw_entry(&mut self.random, self.users, self.rooms),
            Stream::Gift => self.record.draw_gift(&mut self.random, self.users),
        }
        let start = out.len();
        let copied = self.noise.disturb(stream, self.made, &mut self.record, &mut self.random, out);
        if !copied {
            self.record.write(now, &self.provinces, out);
            self.noise.remember(stream, &out[start..]);
        }
        if self.random.chance(self.malformed) {
            noise::spoil(&mut self.random, start, out);
        }
        self.made += 1;
        stream
    }
}

#[cfg(test)]
mod tests;
