//! A directory whose files change: noticed by the operating system's notices, with a look every few seconds as a net.

use std::path::Path;
use std::time::{Duration, SystemTime};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

/// How often the directory is looked at without a notice. Shorter: idle work. Longer: later changes on file systems that give
/// no notices.
const NET: Duration = Duration::from_secs(2);

/// How long the directory must be quiet before files are read. Shorter: half-written files are read for nothing. Longer: later
/// changes.
const QUIET: Duration = Duration::from_millis(30);

/// The longest that notices put reading off, in quiet periods. A writer that never pauses must not stop others' changes.
const MAX_PUT_OFF: u32 = 10;

/// Says when a directory is to be looked at again.
pub struct Changes {
    noticed: mpsc::Receiver<()>,
    /// Kept: dropping a watcher ends its notices.
    _watcher: Option<RecommendedWatcher>,
}

impl Changes {
    /// Of the files in this directory, from now on.
    pub fn in_directory(path: &Path) -> Changes {
        let (notices, noticed) = mpsc::channel(1);
        Changes { noticed, _watcher: watcher(path, notices) }
    }

    /// Returns when files may have changed. Safe to drop and call again.
    pub async fn next(&mut self) {
        // Out of time is the net's look.
        let _ = tokio::time::timeout(NET, self.quiet_after_notice()).await;
    }

    /// Returns once there was a notice and then none for a while.
    async fn quiet_after_notice(&mut self) {
        if self.noticed.recv().await.is_none() {
            // No notices on this file system: the net alone must do.
            std::future::pending::<()>().await;
        }
        for _ in 0..MAX_PUT_OFF {
            if tokio::time::timeout(QUIET, self.noticed.recv()).await.is_err() {
                return;
            }
        }
    }
}

fn watcher(path: &Path, notices: mpsc::Sender<()>) -> Option<RecommendedWatcher> {
    let notice = move |event: notify::Result<notify::Event>| {
        // Reading a file gives notices too; a full channel means that one is waiting already.
        if event.is_ok_and(|event| !event.kind.is_access()) {
            let _ = notices.try_send(());
        }
    };
    let watching = notify::recommended_watcher(notice).and_then(|mut watcher| {
        watcher.watch(path, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    });
    watching
        .inspect_err(|error| {
            tracing::warn!("{}: no notices of changes ({error}); looking every {NET:?}", path.display());
        })
        .ok()
}

/// What changes when a file is written again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    file: u64,
}

impl Stamp {
    /// Of the file as it is now, or why there is none.
    pub fn of(path: &Path) -> Result<Stamp, String> {
        use std::os::unix::fs::MetadataExt;
        let metadata = std::fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Stamp { modified: metadata.modified().ok(), length: metadata.len(), file: metadata.ino() })
    }
}
