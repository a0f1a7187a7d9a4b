//! Interface between the chain and a lookup.

use arrow_array::ArrayRef;

/// A table of facts that rows are joined with, by key.
pub trait Lookup: Send {
    /// Answers, for each key, the asked columns: one array for each column of the lookup, each as long as `keys`, and
    /// null where the column is absent; `found[i]` says whether the key is there at all. Keys are distinct.
    ///
    /// Called from a pipeline's lane, once a batch; may block while a server answers. A server that is away is waited
    /// for inside, up to the connection's patience; then the error says so, and the call may be made again.
    fn get(&mut self, keys: &[&[u8]]) -> Result<Found, LookupError>;
}

/// A lookup's answer.
#[derive(Debug)]
pub struct Found {
    /// True for each key that the table has, in the order of the keys.
    pub found: Vec<bool>,
    /// Columns of the lookup. Each has one value for each key: `Utf8` or `Binary`, as asked.
    pub columns: Vec<ArrayRef>,
    /// Keys, by their index, whose row is there but holds something else than what was asked for, each with the reason. Rows with
    /// these keys are at fault. The keys don't count as found.
    pub unfit: Vec<(usize, String)>,
}

/// Reason why a lookup has no answer.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// The server can't be reached or broke off: ask again.
    #[error("{0}")]
    Unavailable(String),
    /// The table or column isn't there, or it holds something else than what was asked for: asking again won't help.
    #[error("{0}")]
    Unusable(String),
}
