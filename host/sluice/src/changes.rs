//! A directory whose files change: noticed by the operating system's notices, with a look every few seconds as a net.

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use sluice_clock::now_micros;
use tokio::sync::mpsc;

/// Time between two looks at the directory when no notice comes. Shorter: idle work. Longer: later changes on file systems that
/// give no notices.
const NET: Duration = Duration::from_secs(2);

/// Time for which the directory must be quiet before files are read. Shorter: half-written files are read for nothing. Longer:
/// later changes.
const QUIET: Duration = Duration::from_millis(30);

/// The longest that notices put reading off, in quiet periods. A writer that never pauses must not stop others' changes.
const MAX_PUT_OFF: u32 = 10;

/// Says when a directory is to be looked at again.
pub struct Changes {
    noticed: mpsc::Receiver<()>,
    /// True if a notice came and the directory was not quiet since.
    unquiet: bool,
    /// Kept: dropping a watcher ends its notices.
    _watcher: Option<RecommendedWatcher>,
}

impl Changes {
    /// Watches the files of this directory from now on.
    pub fn in_directory(path: &Path) -> Changes {
        let (notices, noticed) = mpsc::channel(1);
        Changes { noticed, unquiet: false, _watcher: watcher(path, notices) }
    }

    /// Returns when files may have changed. Safe to drop and call again.
    pub async fn next(&mut self) {
        // Out of time is the net's look.
        let _ = tokio::time::timeout(NET, self.quiet_after_notice()).await;
        self.unquiet = false;
    }

    /// Returns once there was a notice and then none for a while.
    async fn quiet_after_notice(&mut self) {
        if !self.unquiet && self.noticed.recv().await.is_none() {
            // No notices on this file system: the net alone must do.
            std::future::pending::<()>().await;
        }
        self.unquiet = true;
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

/// Least age of a file's last change at which its stamp differs from all later ones: file systems count time in steps, some in
/// whole seconds, and two writings within one step look the same. Shorter: a change within a step is missed. Longer: files are
/// read again for nothing.
const SETTLED: Duration = Duration::from_secs(2);

/// Stamp of a file. It changes when the file is written again, replaced, or linked otherwise, whatever times and sizes its writer
/// gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Device and number.
    file: (u64, u64),
    length: u64,
    /// Seconds and nanoseconds of the last change of anything. Unlike the time of the last writing, nobody can set it.
    changed: (i64, i64),
}

impl Stamp {
    /// Takes the stamp of the file that has this name now.
    pub fn of(path: &Path) -> std::io::Result<Stamp> {
        std::fs::metadata(path).map(|metadata| Stamp::from(&metadata))
    }

    /// Takes the stamp of an open file.
    pub fn of_file(file: &File) -> std::io::Result<Stamp> {
        file.metadata().map(|metadata| Stamp::from(&metadata))
    }

    /// Returns true if every later writing of the file will have another stamp.
    pub fn is_settled(&self) -> bool {
        let since = Duration::from_micros(now_micros().unsigned_abs());
        let changed = Duration::from_secs(self.changed.0.try_into().unwrap_or(0));
        since > changed + SETTLED
    }
}

impl From<&Metadata> for Stamp {
    fn from(metadata: &Metadata) -> Stamp {
        Stamp {
            file: (metadata.dev(), metadata.ino()),
            length: metadata.len(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}
