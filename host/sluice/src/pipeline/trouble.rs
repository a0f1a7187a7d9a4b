//! The reasons why a run can't be opened, and calls that block.

pub use sluice_core::run::life::Trouble;

/// Does what blocks on a thread for it; trouble is a panic in there.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Trouble> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Trouble::wrong(format!("{error}; this is a defect")))
}
