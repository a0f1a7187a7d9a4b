//! Reports of a run, for status and log.

use crate::chain::Chain;
use crate::decode::Lost;
use crate::deploy::Operators;

use super::swap::SwapId;

/// Report that people, or the sender of an order, should hear of.
pub enum Report {
    /// Number of records that were taken in.
    Records(usize),
    /// Number of records of letters that were taken in again, or left out again.
    Again(usize),
    /// Number of rows that came after the end of one of their windows.
    Late(usize),
    /// Records or groups were left out, or values dropped.
    LeftOut {
        /// A record, or only a value of it.
        lost: Lost,
        /// The reason under which they are counted.
        reason: String,
        /// The number of them.
        times: usize,
        /// The line of the log, if it is time for one.
        line: Option<LeftOutLine>,
    },
    /// Number of rows or groups that wait for a flush.
    Waiting(usize),
    /// The number and memory of the groups, if there are any; once in a while.
    Groups(Option<(usize, usize)>),
    /// Number of records that the run is behind; none if that isn't known.
    Lag(Option<u64>),
    /// The run waits for something, and loses nothing.
    Holds(String),
    /// The run goes on; with what is to be said of that.
    GoesOn(Option<String>),
    /// A call of an operator was ended, as the run ends: its batch is read again.
    Interrupted,
    /// Number of rows that a flush has brought into the tables.
    Flushed(usize),
    /// Number of dead letters that were written.
    Letters(usize),
    /// A search in a table found rows at fault; the server had said these words.
    Searched(String),
    /// Says whether groups are still to be written again, as of the last checkpoint.
    Refreshing(bool),
    /// A swap took place; this is left of the chain before, and may take a while to drop.
    TookOver(SwapId, Box<Chain>),
    /// A swap did not take place.
    NotTaken(SwapId, String),
    /// The trial of these operators is over, and durable.
    Passed(Operators),
    /// The retry of this number is done: its letters are removed, or written anew.
    Retried(u64),
    /// The retry of this number was not taken in: ask again later.
    RetryLater(u64),
}

/// A line of the log about something that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOutLine {
    /// The record's topic, partition and offset, or the group's key.
    pub place: String,
    /// The number of others for the same reason that no line was made of.
    pub unsaid: u64,
    /// The first of them, as the decoder shows it.
    pub example: Option<String>,
    /// The whole reason.
    pub reason: String,
}
