//! Trouble: what keeps a pipeline from beginning, and what is done about it.

/// Reason why a pipeline can't begin, by what is done then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// A server is away: try again.
    #[error("{0}")]
    Away(String),
    /// An operator traps, exceeds a limit or breaks the contract when it is opened, whatever its configuration is.
    #[error("{0}")]
    Operator(String),
    /// Other hosts have the partitions that are needed: wait until they have left.
    #[error("{0}")]
    Held(String),
    /// A person must change something. Each text is a sentence.
    #[error("{}", .0.join("; "))]
    Wrong(Vec<String>),
}

impl Trouble {
    pub fn wrong(reason: impl Into<String>) -> Trouble {
        Trouble::Wrong(vec![reason.into()])
    }
}

/// Does what blocks on a thread for it; trouble is a panic in there.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Trouble> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Trouble::wrong(format!("{error}; this is a defect")))
}
