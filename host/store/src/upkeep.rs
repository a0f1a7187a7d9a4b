//! The thread that writes the pipelines' trees and merges their files, while commits go on.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use sluice_core::checkpoint::StoreError;

use crate::pipeline::Pipeline;

pub(crate) struct Upkeep {
    /// Channel to the thread; none once the store is being closed.
    due: Option<Sender<Weak<Pipeline>>>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Upkeep {
    pub(crate) fn start() -> Result<Upkeep, StoreError> {
        let (due, receiver) = channel();
        let stopping = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stopping);
        let thread =
            std::thread::Builder::new().name("checkpoints".to_owned()).spawn(move || run(&receiver, &seen)).map_err(
                |error| StoreError::Unavailable(format!("can't start the thread that writes checkpoints: {error}")),
            )?;
        Ok(Upkeep { due: Some(due), stopping, thread: Some(thread) })
    }

    /// Requests that the pipeline's tree is written soon. There are two messages a commit at most, and commits wait when the
    /// thread falls behind, so the channel needs no bound of its own.
    pub(crate) fn write(&self, pipeline: &Arc<Pipeline>) {
        if let Some(due) = &self.due {
            // The thread ends only with the store.
            let _ = due.send(Arc::downgrade(pipeline));
        }
    }
}

impl Drop for Upkeep {
    /// Waits for the step that is being done: until then the directory is in use.
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        self.due = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Runs the thread. Writing comes first, because commits may wait for it; merging goes on a step at a time between.
fn run(due: &Receiver<Weak<Pipeline>>, stopping: &AtomicBool) {
    let mut merging: VecDeque<Weak<Pipeline>> = VecDeque::new();
    loop {
        let next = if merging.is_empty() { due.recv().ok() } else { due.try_recv().ok() };
        if stopping.load(Ordering::Acquire) {
            return;
        }
        match (next, merging.pop_front()) {
            (Some(weak), unmerged) => {
                merging.extend(unmerged);
                if weak.upgrade().is_some_and(|pipeline| pipeline.write()) {
                    merging.push_back(weak);
                }
            }
            (None, Some(weak)) => {
                if weak.upgrade().is_some_and(|pipeline| pipeline.merge()) {
                    merging.push_back(weak);
                }
            }
            (None, None) => return,
        }
    }
}
