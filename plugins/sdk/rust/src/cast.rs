//! Casts with SQL's meaning: a text that isn't one of the target's values is no value, never a default.
//!
//! In a transform, [`cast!`](crate::cast!) reads like the SQL it replaces and names the column in its rejection:
//! `cast!(entry.arrive_time as Timestamp)?` is `CAST(arrive_time AS TIMESTAMP)`.

use std::fmt;

use crate::Reject;
use crate::text::DecimalText;
use crate::timestamp::{Date, Timestamp};

/// The characters of a value that a rejection shows. Enough to recognise it; a record of a megabyte must not make a
/// reason of a megabyte.
pub const SHOWN_CHARS: usize = 64;

/// A text that is no value of the type it should become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    shown: String,
    wanted: &'static str,
}

impl Misfit {
    #[cold]
    #[inline(never)]
    fn new(text: &str, wanted: &'static str) -> Misfit {
        let cut = text.char_indices().nth(SHOWN_CHARS).map(|(at, _)| at);
        let shown = match cut {
            Some(at) => format!("{:?}…", &text[..at]),
            None => format!("{text:?}"),
        };
        Misfit { shown, wanted }
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not {}", self.shown, self.wanted)
    }
}

impl std::error::Error for Misfit {}

impl From<Misfit> for Reject {
    fn from(misfit: Misfit) -> Reject {
        Reject::because(misfit.to_string())
    }
}

/// `CAST(text AS BIGINT)` of decimal text: an optional sign and digits, blanks around them allowed, leading zeros too.
pub fn int64(text: &str) -> Result<i64, Misfit> {
    text.trim_ascii().parse().map_err(|_| Misfit::new(text, "an int64"))
}

/// `CAST(text AS TIMESTAMP)` of `YYYY-MM-DD HH:MM:SS`, or with a `T` in the middle, or with a fraction of 1 to 9 digits
/// of which microseconds are kept. Dates are checked against the calendar, years are 0001 to 9999, and there are no leap
/// seconds; no blanks around it.
#[inline]
pub fn timestamp(text: &str) -> Result<Timestamp, Misfit> {
    parse_timestamp(text.as_bytes()).ok_or_else(|| Misfit::new(text, "a timestamp like 2021-08-16 09:48:01"))
}

/// A function of its own: within a loop over rows it would take the loop's registers.
#[inline(never)]
fn parse_timestamp(text: &[u8]) -> Option<Timestamp> {
    let (time, fraction) = text.split_first_chunk::<19>()?;
    let middle = if time[10] == b'T' { *b"00T00:00" } else { *b"00 00:00" };
    let date = Pairs::new(word(time, 0), *b"0000-00-");
    let clock = Pairs::new(word(time, 8), middle);
    // The last word starts within the one before: its first five characters are read twice.
    let seconds = Pairs::new(word(time, 11), *b"00:00:00");
    let (hour, minute, second) = (clock.pair(3), clock.pair(6), seconds.pair(6));
    if (date.beyond | clock.beyond | seconds.beyond) != 0 || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let date = Date::new(date.pair(0) * 100 + date.pair(2), date.pair(5), clock.pair(0))?;
    let micros = if fraction.is_empty() { 0 } else { fraction_micros(fraction)? };
    Some(Timestamp::from_civil(date, (hour * 60 + minute) * 60 + second, micros))
}

#[inline(always)]
fn word(time: &[u8; 19], at: usize) -> [u8; 8] {
    let mut word = [0; 8];
    word.copy_from_slice(&time[at..at + 8]);
    word
}

/// Eight characters at once, where a pattern has a `0` for each digit and stands for itself elsewhere.
///
/// Bytes are the lanes of one integer. With the pattern taken away, a digit's lane is 0 to 9 and any other 0; adding
/// what is missing to 128 lifts the top bit of exactly the lanes that are greater than that.
#[derive(Clone, Copy)]
struct Pairs {
    /// In byte i the number that digits i and i + 1 make, if nothing is beyond.
    numbers: u64,
    /// 0 if the text follows the pattern.
    beyond: u64,
}

impl Pairs {
    #[inline(always)]
    fn new(text: [u8; 8], pattern: [u8; 8]) -> Pairs {
        let digits = u64::from_le_bytes(text) ^ u64::from_le_bytes(pattern);
        let headroom = u64::from_le_bytes(pattern.map(|c| if c == b'0' { 127 - 9 } else { 127 }));
        let beyond = (digits.wrapping_add(headroom) | digits) & 0x8080_8080_8080_8080;
        Pairs { numbers: digits.wrapping_mul(10).wrapping_add(digits >> 8), beyond }
    }

    #[inline(always)]
    fn pair(self, at: u32) -> u32 {
        (self.numbers >> (8 * at)) as u32 & 0xff
    }
}

/// `.` and 1 to 9 digits, as microseconds.
#[inline(never)]
fn fraction_micros(fraction: &[u8]) -> Option<u32> {
    let digits = fraction.strip_prefix(b".").filter(|digits| (1..=9).contains(&digits.len()))?;
    let micros = digits.iter().chain(b"000000").take(6);
    digits.iter().all(u8::is_ascii_digit).then(|| micros.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0')))
}

/// `CAST(self AS T)`. Null stays null: a cast of an `Option` is the cast of what is in it.
pub trait Cast<T> {
    /// `T`, or an option of it.
    type Output;

    /// The value as a `T`.
    fn cast(self) -> Result<Self::Output, Misfit>;
}

impl Cast<i64> for &str {
    type Output = i64;

    #[inline]
    fn cast(self) -> Result<i64, Misfit> {
        int64(self)
    }
}

impl Cast<Timestamp> for &str {
    type Output = Timestamp;

    #[inline]
    fn cast(self) -> Result<Timestamp, Misfit> {
        timestamp(self)
    }
}

impl Cast<DecimalText> for i64 {
    type Output = DecimalText;

    #[inline]
    fn cast(self) -> Result<DecimalText, Misfit> {
        Ok(DecimalText(self))
    }
}

impl<S: Cast<T>, T> Cast<T> for Option<S> {
    type Output = Option<S::Output>;

    #[inline]
    fn cast(self) -> Result<Self::Output, Misfit> {
        self.map(S::cast).transpose()
    }
}

/// `cast!(row.column as Type)`: SQL's `CAST(column AS TYPE)`, a `Result` whose rejection names the column and the value.
///
/// From text: `i64` ([`cast::int64`](int64)), [`Timestamp`] ([`cast::timestamp`](timestamp)). From `i64`:
/// [`DecimalText`]. An `Option` of these casts to an `Option`, so that null stays null.
#[macro_export]
macro_rules! cast {
    ($row:ident . $column:ident as $target:ty) => {
        $crate::cast::Cast::<$target>::cast($row.$column)
            .map_err(|misfit| $crate::Reject::column(::core::stringify!($column), misfit))
    };
}
