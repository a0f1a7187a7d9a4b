//! A backfill gives up a server that stays away: nobody may be there to see that it waits.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sluice_core::run::life::given_up;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::status::Status;

/// Time between two checks whether a pipeline has waited for too long.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Says when a run is to end: the host is asked to, or a server was away for longer than the backfill's patience.
pub struct GivingUp {
    ends: Arc<watch::Sender<bool>>,
    reason: Arc<Mutex<Option<String>>>,
    /// Task that watches; it ends with this object.
    _watch: JoinSet<()>,
}

impl GivingUp {
    /// Watches a pipeline; without patience it only hears of the host's end.
    pub fn watch(status: &Arc<Status>, ending: watch::Receiver<bool>, patience: Option<Duration>) -> GivingUp {
        let (ends, reason) = (Arc::new(watch::Sender::new(false)), Arc::new(Mutex::new(None)));
        let mut watch = JoinSet::new();
        watch.spawn(until_the_end(Arc::clone(status), ending, patience, Arc::clone(&ends), Arc::clone(&reason)));
        GivingUp { ends, reason, _watch: watch }
    }

    /// Returns a receiver that becomes true once the run is to end. Its sender lives as long as this object.
    pub fn ending(&self) -> watch::Receiver<bool> {
        self.ends.subscribe()
    }

    /// Returns the reason why the backfill gave up waiting; none if it did not.
    pub fn reason(&self) -> Option<String> {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The reason of a pipeline that has waited for longer than this, if it has.
fn out_of_patience(status: &Status, patience: Option<Duration>) -> Option<String> {
    let (waited, reason) = status.waits()?;
    let patience = patience.filter(|patience| waited >= *patience)?;
    Some(given_up(&reason, patience))
}

async fn until_the_end(
    status: Arc<Status>,
    mut ending: watch::Receiver<bool>,
    patience: Option<Duration>,
    ends: Arc<watch::Sender<bool>>,
    reason: Arc<Mutex<Option<String>>>,
) {
    loop {
        tokio::select! {
            () = asked_to_end(&mut ending) => break,
            () = tokio::time::sleep(LOOK_EVERY), if patience.is_some() => {}
        }
        if let Some(given_up) = out_of_patience(&status, patience) {
            *reason.lock().unwrap_or_else(PoisonError::into_inner) = Some(given_up);
            break;
        }
    }
    ends.send_replace(true);
}

/// Returns once the host is asked to end.
pub async fn asked_to_end(ending: &mut watch::Receiver<bool>) {
    // The sender outlives every supervisor.
    let _ = ending.wait_for(|ending| *ending).await;
}
