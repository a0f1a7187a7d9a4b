//! The screens of all boards, which come and go with their files.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use super::asker::Asker;
use super::directory::Boards;
use super::observer::Pipelines;
use super::screen::Screen;

/// Screens by the names of their boards.
#[derive(Clone)]
pub struct Screens {
    asker: Arc<Asker>,
    pipelines: watch::Receiver<Pipelines>,
    by_name: Arc<Mutex<BTreeMap<String, Arc<Screen>>>>,
}

impl Screens {
    /// Makes the screens of boards that ask this way; none yet.
    pub fn new(asker: Arc<Asker>, pipelines: watch::Receiver<Pipelines>) -> Screens {
        Screens { asker, pipelines, by_name: Arc::default() }
    }

    /// The screen of this board.
    pub fn of(&self, name: &str) -> Option<Arc<Screen>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// All screens, in the order of their names.
    pub fn all(&self) -> Vec<Arc<Screen>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Follows the boards as they change.
    pub async fn follow(self, mut boards: watch::Receiver<Boards>) {
        let (mut running, mut tasks): (BTreeMap<String, AbortHandle>, JoinSet<()>) = Default::default();
        loop {
            let now = boards.borrow_and_update().clone();
            let gone = running.extract_if(.., |name, task| !now.contains_key(name) || task.is_finished());
            for (name, task) in gone {
                task.abort();
                self.by_name.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
            }
            for (name, board) in now {
                match self.of(&name) {
                    Some(screen) => screen.change_to(&board),
                    None => {
                        let screen = Arc::new(Screen::new(board, &self.asker, &self.pipelines.borrow()));
                        let task = Arc::clone(&screen).run(Arc::clone(&self.asker), self.pipelines.clone());
                        running.insert(name.clone(), tasks.spawn(task));
                        self.by_name.lock().unwrap_or_else(PoisonError::into_inner).insert(name, screen);
                    }
                }
            }
            tokio::select! {
                changed = boards.changed() => if changed.is_err() { return },
                // One that died is made anew, with a pause for one that dies at once.
                Some(Err(died)) = tasks.join_next(), if !tasks.is_empty() => if died.is_panic() {
                    tracing::error!("a board's task died, and begins anew; this is a defect");
                    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                },
            }
        }
    }
}
