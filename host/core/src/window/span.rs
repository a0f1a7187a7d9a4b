//! Spans of time, and the spans that a moment is in.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The most windows that a row counts in. Fewer: an hour's windows of each minute would not go. More: every row is
/// accumulated that many times.
pub const MAX_OVERLAP: i64 = 64;

/// A length of time: at least a microsecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Length(i64);

impl Length {
    /// The length in microseconds.
    pub fn micros(self) -> i64 {
        self.0
    }
}

impl TryFrom<i64> for Length {
    type Error = String;

    fn try_from(micros: i64) -> Result<Length, String> {
        if micros > 0 { Ok(Length(micros)) } else { Err(format!("a length of time can't be {micros} microseconds")) }
    }
}

impl TryFrom<Duration> for Length {
    type Error = String;

    fn try_from(duration: Duration) -> Result<Length, String> {
        Length::try_from(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX))
    }
}

impl From<Length> for i64 {
    fn from(length: Length) -> i64 {
        length.0
    }
}

/// Kind and size of the windows. Windows of a fixed size begin at whole multiples of it since 1970-01-01T00:00:00, on the same
/// clock as the rows' times: windows of a day are that clock's days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Window {
    /// Windows that follow one another: each moment is in exactly one.
    Tumbling {
        /// Length of each window.
        size: Length,
    },
    /// Windows of a fixed size, of which a new one begins at each `every`: each moment is in `size / every` of them.
    Hopping {
        /// Length of each window.
        size: Length,
        /// Time between the starts of two windows.
        every: Length,
    },
    /// Windows that last as long as a group's rows are less than `gap` apart. A session ends `gap` after its last row.
    Session {
        /// The silence that ends a session.
        gap: Length,
    },
}

impl Window {
    /// Windows that overlap. The size must be a whole multiple of `every`, at most [`MAX_OVERLAP`] times it, so that each
    /// moment is in the same number of them; else a sentence says so.
    pub fn hopping(size: Length, every: Length) -> Result<Window, String> {
        let (times, rest) = (size.0 / every.0, size.0 % every.0);
        if rest == 0 && times <= MAX_OVERLAP {
            Ok(Window::Hopping { size, every })
        } else {
            Err(format!("a `size` that is 1 to {MAX_OVERLAP} times `every`"))
        }
    }

    /// The spans that this moment is in, the earliest first; for a session the span that the moment opens. None if one
    /// of them would end or begin beyond what a timestamp can say.
    pub fn spans(self, time: i64) -> Option<impl DoubleEndedIterator<Item = Span> + Clone> {
        let (size, every, last_start) = match self {
            Window::Tumbling { size } => (size.0, size.0, time.checked_sub(time.rem_euclid(size.0))?),
            Window::Hopping { size, every } => (size.0, every.0, time.checked_sub(time.rem_euclid(every.0))?),
            Window::Session { gap } => (gap.0, gap.0, time),
        };
        last_start.checked_add(size)?;
        let before = size / every - 1;
        let first_start = last_start.checked_sub(before.checked_mul(every)?)?;
        // Between the first start and the last end nothing overflows.
        Some((0..=before).map(move |i| Span { start: first_start + i * every, end: first_start + i * every + size }))
    }
}

/// The moments `start..end`, in microseconds since 1970-01-01T00:00:00: the start is inside, the end is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The first moment inside.
    pub start: i64,
    /// The first moment after the span.
    pub end: i64,
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.start, self.end)
    }
}
