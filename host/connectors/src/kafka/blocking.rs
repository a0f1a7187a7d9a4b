//! Work that blocks, for callers that may not.

use crate::sink::SinkError;

/// Does work that blocks on a thread that may.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SinkError> + Send + 'static,
) -> Result<T, SinkError> {
    let work = tokio::task::spawn_blocking(work).await;
    work.unwrap_or_else(|error| Err(SinkError::Unusable(format!("{error}; this is a defect"))))
}
