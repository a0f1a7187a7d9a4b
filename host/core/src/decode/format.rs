//! A format of records is to the decoder a way to find values.

use std::fmt;

use super::problem::Problem;
use super::slot::{Slot, Span};

/// Finds the values that are wanted of a record. What becomes of them, and of a record at fault, is the decoder's.
///
/// A format is made for the origins that are wanted ([`Origin`](super::Origin)), and says which slot has the value of each. It may
/// keep what it learned of the records before, as long as that changes nothing but its speed.
pub(super) trait Format: fmt::Debug + Send {
    /// Returns the number of slots that a record takes.
    fn slots(&self) -> usize;

    /// Finds the rows of a record, and checks all of it, also what nobody reads. If it is the only row, its slots are filled; of
    /// many rows only the slots of what they share.
    fn find(&mut self, record: &[u8], slots: &mut [Slot]) -> Result<Rows, Problem>;

    /// Fills the slots of one row of many, which [`Format::find`] found in this record.
    fn row(&mut self, record: &[u8], row: Span, slots: &mut [Slot]) -> Result<(), Problem>;
}

/// Rows of a record.
#[derive(Debug)]
pub(super) enum Rows {
    /// The record is the row.
    One,
    /// Rows are these parts of the record, at least one; no more of them than the decoder may take, and one.
    Many(Vec<Span>),
    /// No row, although the record has no fault. The text is the reason.
    None(String),
}
