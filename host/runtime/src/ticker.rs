//! The clock that ends runaway calls: a thread that raises the engine's epoch.
//!
//! Compiled code compares the epoch with its store's deadline on each loop and call, which costs 10 to 25 %. The deadline is the next
//! tick, at which the host looks at the time and whether the call is to be ended early. So a limit is kept to within two ticks,
//! whatever the operator does.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use wasmtime::Engine;

/// The epoch's step. Smaller would wake an idle host more often, larger would blur limits of a second.
const TICK: Duration = Duration::from_millis(10);

/// The running clock of one engine; it stops when this is dropped.
#[derive(Debug)]
pub(crate) struct Ticker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    pub(crate) fn start(engine: &Engine) -> io::Result<Ticker> {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, engine) = (Arc::clone(&stop), engine.clone());
        let thread = thread::Builder::new().name("sluice-epoch".into()).spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                thread::park_timeout(TICK);
                engine.increment_epoch();
            }
        })?;
        Ok(Ticker { stop, thread: Some(thread) })
    }

    /// The epochs until a guest that runs is looked at.
    pub(crate) const NEXT: u64 = 1;
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // The thread runs nothing that panics; were it to, there is no clock left to stop.
            let _ = thread.join();
        }
    }
}
