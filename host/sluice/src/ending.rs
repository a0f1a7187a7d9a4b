//! End of the process: how it is asked for, and that it comes.
//!
//! ```text
//! SIGTERM, SIGINT, SIGHUP ──▶ thread `signals` ──▶ whoever works: ends in order, within its time
//!                                   └── another one, or the time is long over ──▶ the process ends at once
//! ```
//!
//! The thread does nothing else, so that it hears signals whatever blocks the others.

use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::config::STOP_WITHIN;
use crate::log;

/// Time after the bound for an orderly end at which the process is ended, whatever it does. Shorter: work that ends in time is
/// cut off while it reports that. Longer: people wait that much longer, although nothing more comes of it.
const LATE: Duration = Duration::from_millis(500);

/// Time after the first signal in which another one is the same request: a terminal that closes, or a service manager, may send
/// two. Shorter: such a pair ends the host without a last flush. Longer: people have to ask a third time.
const SAME_REQUEST: Duration = Duration::from_millis(250);

/// Bit of SIGHUP in the signals of `/proc/self/status`.
const HANGUP_IGNORED: u64 = 1;

/// Request to end: tells whether the process was asked to.
pub struct Ending {
    asked: watch::Receiver<Option<&'static str>>,
    within: watch::Sender<Duration>,
}

impl Ending {
    /// Hears signals from now on: called before anything that could wait. Whoever works has [`STOP_WITHIN`] for an orderly end,
    /// then the process is ended.
    pub fn hear() -> anyhow::Result<Ending> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        let signals = Signals::new().context("signals can't be heard")?;
        drop(entered);
        let (publish, asked) = watch::channel(None);
        let (within, bound) = watch::channel(STOP_WITHIN);
        let thread = std::thread::Builder::new().name("signals".to_owned());
        thread
            .spawn(move || runtime.block_on(watch_over(signals, &publish, &bound)))
            .context("no thread to hear signals with")?;
        Ok(Ending { asked, within })
    }

    /// Sets the time for an orderly end, unless the signal has already come.
    pub fn set_bound(&self, within: Duration) {
        self.within.send_replace(within);
    }

    /// Returns once the process is asked to end, with the signal's name. Safe to drop and call again.
    pub async fn asked(&mut self) -> &'static str {
        match self.asked.wait_for(Option::is_some).await {
            Ok(name) => name.unwrap_or_default(),
            // Who hears signals ends with the process.
            Err(_) => std::future::pending().await,
        }
    }
}

async fn watch_over(
    mut signals: Signals,
    publish: &watch::Sender<Option<&'static str>>,
    bound: &watch::Receiver<Duration>,
) {
    publish.send_replace(Some(signals.next().await));
    let within = *bound.borrow();
    let late = tokio::time::sleep(within + LATE);
    tokio::time::sleep(SAME_REQUEST).await;
    signals.forget().await;
    let why = tokio::select! {
        () = late => format!("not ended within {within:?}"),
        again = signals.next() => format!("{again} once more"),
    };
    tracing::error!("{why}: the process ends at once, and leaves what isn't written");
    log::end();
    std::process::exit(1);
}

/// The signals that ask for an end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// Hang-up signal; none if the process was started so as to survive its terminal (`nohup`).
    hangup: Option<Signal>,
}

impl Signals {
    fn new() -> std::io::Result<Signals> {
        let hangup = if ignores_hangup() { None } else { Some(signal(SignalKind::hangup())?) };
        Ok(Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())?, hangup })
    }

    async fn next(&mut self) -> &'static str {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = hangup => "SIGHUP",
        }
    }

    /// Ignores the signals that came meanwhile.
    async fn forget(&mut self) {
        while tokio::time::timeout(Duration::ZERO, self.next()).await.is_ok() {}
    }
}

/// Returns true if SIGHUP was ignored when the process began. Where the system doesn't say, SIGHUP is not ignored.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    ignored & HANGUP_IGNORED != 0
}
