//! Rows are written only by the host that has their partitions, and only of the topic that was opened.

use std::sync::Arc;

use sluice_connectors::source::{Committer, LeaseError};
use tokio::sync::watch;

use super::flush::FlushError;
use super::patience::Backoff;
use super::status::{State, Status};

/// Returns once this host may write; waits while the source's server doesn't say whether it may, unless the host is asked to
/// end.
///
/// # Errors
/// `Lost` if others may have the partitions: nothing of the flush is to be written, and all of it is read again.
pub async fn may_write(
    committer: &Arc<dyn Committer>,
    status: &Status,
    ending: &mut watch::Receiver<bool>,
) -> Result<(), FlushError> {
    ask(committer, |committer| committer.may_write(), status, ending).await
}

/// Returns once it is known that what was read is of the topic that was opened; waits as [`may_write`] does.
///
/// # Errors
/// `Lost` if it is of another: nothing of the flush is to be written.
pub async fn still_same(
    committer: &Arc<dyn Committer>,
    status: &Status,
    ending: &mut watch::Receiver<bool>,
) -> Result<(), FlushError> {
    ask(committer, |committer| committer.still_same(), status, ending).await
}

async fn ask(
    committer: &Arc<dyn Committer>,
    question: fn(&dyn Committer) -> Result<(), LeaseError>,
    status: &Status,
    ending: &mut watch::Receiver<bool>,
) -> Result<(), FlushError> {
    let mut backoff = Backoff::new();
    loop {
        let committer = Arc::clone(committer);
        let asked = tokio::task::spawn_blocking(move || question(committer.as_ref())).await;
        let answer = asked.unwrap_or_else(|error| Err(LeaseError::Unknown(format!("{error}; this is a defect"))));
        match answer {
            Ok(()) => break,
            Err(LeaseError::Lost(reason)) => return Err(FlushError::Lost(reason)),
            Err(LeaseError::Unknown(reason)) if *ending.borrow() => {
                return Err(FlushError::Unasked(reason));
            }
            Err(LeaseError::Unknown(reason)) => {
                if status.set(State::Holding, Some(reason.clone())) {
                    tracing::warn!(pipeline = status.name(), "holding, nothing is lost: {reason}");
                }
                // A change of `ending` cuts the wait short; its sender outlives every flusher.
                let _ = tokio::time::timeout(backoff.wait(), ending.changed()).await;
            }
        }
    }
    if backoff.tries() > 0 {
        status.set(State::Running, None);
    }
    Ok(())
}
