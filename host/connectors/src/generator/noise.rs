//! Noise makes what real topics hold besides: the records that pipelines get wrong.

use super::Stream;
use super::random::{Probability, Random};
use super::record::{Record, Value};

/// Rooms from here up are in no dimension.
pub const FIRST_UNKNOWN_ROOM: u32 = 90_000_000;

/// The number of different unknown rooms: a lookup's negative cache entries must both hit and miss.
const UNKNOWN_ROOMS: u32 = 100;

/// The number of records of a stream that are kept to be copied: enough that copies are apart, and a few KiB of memory.
const REMEMBERED: usize = 64;

/// The fields that may be null or missing: whatever isn't part of a table's key.
const NULLABLE_OF_ENTRY: [&str; 6] = ["user_id", "create_time", "leave_time", "region", "grade", "province"];
const NULLABLE_OF_GIFT: [&str; 3] = ["user_id", "gift_total_amount", "update_time"];

/// Kind of difference from the original's records.
#[derive(Clone, Copy)]
enum Disturbance {
    Null,
    Missing,
    Copy,
    Fraction,
    UnknownRoom,
    Surprise,
}

const OF_ENTRY: [Disturbance; 6] = [
    Disturbance::Null,
    Disturbance::Missing,
    Disturbance::Copy,
    Disturbance::Fraction,
    Disturbance::UnknownRoom,
    Disturbance::Surprise,
];
const OF_GIFT: [Disturbance; 5] =
    [Disturbance::Null, Disturbance::Missing, Disturbance::Copy, Disturbance::Fraction, Disturbance::Surprise];

/// Disturbs some records, each in one way.
pub(super) struct Noise {
    share: Probability,
    surprise_after: u64,
    entries: Memory,
    gifts: Memory,
}

impl Noise {
    pub fn new(share: Probability, surprise_after: u64) -> Noise {
        Noise { share, surprise_after, entries: Memory::default(), gifts: Memory::default() }
    }

    /// Changes the record's fields, or appends an earlier record instead and says so.
    pub fn disturb(
        &mut self,
        stream: Stream,
        made: u64,
        record: &mut Record,
        random: &mut Random,
        out: &mut Vec<u8>,
    ) -> bool {
        if !random.chance(self.share) {
            return false;
        }
        let (ways, nullable): (&[Disturbance], &[&str]) = match stream {
            Stream::Entry => (&OF_ENTRY, &NULLABLE_OF_ENTRY),
            Stream::Gift => (&OF_GIFT, &NULLABLE_OF_GIFT),
        };
        let (Some(way), Some(name)) = (random.one_of(ways), random.one_of(nullable)) else { return false };
        let fields = &mut record.fields;
        match way {
            Disturbance::Null => set(fields, |field, _| field == *name, || Value::Null),
            Disturbance::Missing => fields.retain(|(field, _)| field != name),
            Disturbance::Copy => return self.memory(stream).copy_one(random, out),
            Disturbance::Fraction => {
                set(fields, |_, value| value == Value::Now, || Value::NowAnd(random.below(1_000_000)));
            }
            Disturbance::UnknownRoom => {
                let room = FIRST_UNKNOWN_ROOM + random.below(UNKNOWN_ROOMS);
                set(fields, |field, _| field == "room_id", || Value::Number(room));
            }
            Disturbance::Surprise if made >= self.surprise_after => surprise(fields, random),
            Disturbance::Surprise => {}
        }
        false
    }

    /// Keeps a record for later copies.
    pub fn remember(&mut self, stream: Stream, record: &[u8]) {
        if !self.share.is_zero() {
            self.memory(stream).keep(record);
        }
    }

    fn memory(&mut self, stream: Stream) -> &mut Memory {
        match stream {
            Stream::Entry => &mut self.entries,
            Stream::Gift => &mut self.gifts,
        }
    }
}

fn set(fields: &mut [(&'static str, Value)], which: impl Fn(&str, Value) -> bool, mut value: impl FnMut() -> Value) {
    fields.iter_mut().filter(|(name, old)| which(name, *old)).for_each(|field| field.1 = value());
}

/// The field that no schema announced comes in, somewhere, and the others begin with another one.
fn surprise(fields: &mut Vec<(&'static str, Value)>, random: &mut Random) {
    let count = fields.len() as u32;
    fields.rotate_left(random.below(count) as usize);
    fields.insert(random.between(0, count) as usize, ("device", Value::Nested));
}

/// The latest records of a stream, in a ring.
#[derive(Default)]
struct Memory {
    records: Vec<Vec<u8>>,
    next: usize,
}

impl Memory {
    fn keep(&mut self, record: &[u8]) {
        if self.records.len() < REMEMBERED {
            self.records.push(record.to_vec());
            return;
        }
        let oldest = &mut self.records[self.next];
        oldest.clear();
        oldest.extend_from_slice(record);
        self.next = (self.next + 1) % REMEMBERED;
    }

    fn copy_one(&self, random: &mut Random, out: &mut Vec<u8>) -> bool {
        let earlier = random.one_of(&self.records);
        out.extend(earlier.into_iter().flatten());
        earlier.is_some()
    }
}

/// Makes the record that begins at `start` one that can't be read: cut off, no object, or a field of the wrong type.
pub(super) fn spoil(random: &mut Random, start: usize, out: &mut Vec<u8>) {
    match random.below(4) {
        0 => out.truncate(start + (out.len() - start) / 2),
        1 => replace(start, b"[1, 2]", out),
        2 => replace(start, br#"{"user_id": "nobody", "room_id": true, "gift_total_amount": {}}"#, out),
        _ => replace(start, br#"{"user_id": 92233720368547758080, "gift_type": 1e400}"#, out),
    }
}

fn replace(start: usize, with: &[u8], out: &mut Vec<u8>) {
    out.truncate(start);
    out.extend_from_slice(with);
}
