//! Finds the rows that a server refuses, by halves.
//!
//! ```text
//! a statement's rows ─refused─▶ its halves ─refused─▶ … ─▶ single rows: the server's words are about that one
//! ```
//!
//! A part has a power of two of rows, as every statement does: few texts to be prepared.

use std::ops::Range;

use super::upsert::power_of_two;
use crate::sink::{Refused, SinkError};

/// The outcome of an insert that the server answered.
#[derive(Debug)]
pub(crate) enum Inserted {
    Taken,
    /// No row was inserted.
    Refused(Words),
}

/// The reason why a server refuses a statement's rows.
#[derive(Debug, Clone)]
pub(crate) struct Words {
    pub(crate) reason: String,
    /// True if the error can only be about the content of a row. Other errors may be about the table, if it takes no row at all.
    pub(crate) of_a_row: bool,
}

impl From<Words> for SinkError {
    fn from(words: Words) -> SinkError {
        SinkError::Rows(words.reason)
    }
}

/// Search for refused rows: the parts that are still to be tried, and the results so far.
#[derive(Debug, Default)]
pub(crate) struct Search {
    /// The next is the last.
    parts: Vec<Range<usize>>,
    refused: Vec<Refused>,
    taken: bool,
    /// Words that may be about the table.
    doubtful: Option<String>,
}

impl Search {
    /// Begins with the rows of the next statement.
    pub(crate) fn of(&mut self, rows: Range<usize>) {
        self.parts.push(rows);
    }

    /// The part that is to be tried next.
    pub(crate) fn next(&mut self) -> Option<Range<usize>> {
        self.parts.pop()
    }

    /// Takes the result of inserting this part.
    pub(crate) fn heard(&mut self, part: Range<usize>, inserted: Inserted) {
        match inserted {
            Inserted::Taken => self.taken = true,
            Inserted::Refused(words) if part.len() > 1 => {
                drop(words);
                self.parts.extend(
                    powers(part.start..part.start + part.len() / 2)
                        .chain(powers(part.start + part.len() / 2..part.end))
                        .rev(),
                );
            }
            Inserted::Refused(words) => {
                if !words.of_a_row {
                    self.doubtful.get_or_insert_with(|| words.reason.clone());
                }
                self.refused.push(Refused { row: part.start, reason: words.reason });
            }
        }
    }

    /// The rows that are refused.
    ///
    /// # Errors
    /// `Unusable` if none was taken, and the words may be about the table.
    pub(crate) fn end(self) -> Result<Vec<Refused>, SinkError> {
        match self.doubtful.filter(|_| !self.taken) {
            Some(words) => Err(SinkError::Unusable(words)),
            None => Ok(self.refused),
        }
    }
}

/// The rows in parts of powers of two, the largest first.
fn powers(rows: Range<usize>) -> impl DoubleEndedIterator<Item = Range<usize>> {
    let (mut start, mut parts) = (rows.start, Vec::new());
    while start < rows.end {
        let size = power_of_two(rows.end - start);
        parts.push(start..start + size);
        start += size;
    }
    parts.into_iter()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Searches statements of at most 1000 rows in a table that refuses the bad ones; answers how many were tried.
    fn search(rows: usize, bad: &BTreeSet<usize>, of_a_row: bool) -> (Result<Vec<Refused>, SinkError>, usize) {
        let (mut search, mut tries) = (Search::default(), 0);
        for start in (0..rows).step_by(1000) {
            search.of(start..rows.min(start + 1000));
            while let Some(part) = search.next() {
                tries += 1;
                let inserted = match bad.range(part.clone()).next() {
                    Some(row) => Inserted::Refused(Words { reason: format!("row {row}"), of_a_row }),
                    None => Inserted::Taken,
                };
                search.heard(part, inserted);
            }
        }
        (search.end(), tries)
    }

    proptest! {
        #[test]
        fn exactly_the_rows_that_are_refused_are_found_each_with_its_words(
            rows in 1usize..3000, bad in prop::collection::btree_set(0usize..3000, 0..40), of_a_row: bool,
        ) {
            let bad: BTreeSet<usize> = bad.into_iter().filter(|row| *row < rows).collect();
            let (found, tries) = search(rows, &bad, of_a_row);
            if !of_a_row && bad.len() == rows {
                prop_assert!(matches!(found, Err(SinkError::Unusable(_))));
            } else {
                let expected: Vec<_> = bad.iter().map(|row| Refused { row: *row, reason: format!("row {row}") }).collect();
                prop_assert_eq!(found.unwrap(), expected);
            }
            // A statement's halves of odd sizes are at most 9 parts each; of a part that is refused, each halving tries two.
            prop_assert!(tries <= rows.div_ceil(1000) + bad.len() * (2 * 9 + 2 * 9), "{} tries for {}", tries, bad.len());
        }
    }
}
