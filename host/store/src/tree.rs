//! A pipeline's groups and head on disk: an LSM tree, read at the last whole commit.

use std::collections::HashSet;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use lsm_tree::compaction::Leveled;
use lsm_tree::{AbstractTree, AnyTree, Cache, Config, DescriptorTable, Guard, SequenceNumberCounter, Slice};
use sluice_core::checkpoint::{Changes, StoreError};

use crate::record::KEY_BYTES;
use crate::{disk, record};

/// The key of the head. Groups' keys begin with [`GROUP`], so none is the same.
const HEAD: [u8; 1] = [0];
const GROUP: u8 = 1;

/// The size that a file of the tree comes to. Files are merged by some of these at a time, and a stop of the host waits for that:
/// larger ones make it wait for seconds, smaller ones are a thousand files at 20 million groups.
const FILE_BYTES: u64 = 16 << 20;

/// The things that the trees of a service share: blocks that were read, and open files.
#[derive(Clone)]
pub(crate) struct Shared {
    cache: Arc<Cache>,
    files: Arc<DescriptorTable>,
}

/// Open files of all trees: as many as 20 million groups have, and well below the 1,024 that a process gets by default.
const OPEN_FILES: usize = 256;

impl Shared {
    pub(crate) fn new(cache_bytes: u64) -> Shared {
        Shared {
            cache: Arc::new(Cache::with_capacity_bytes(cache_bytes)),
            files: Arc::new(DescriptorTable::new(OPEN_FILES)),
        }
    }
}

pub(crate) struct Tree {
    tree: AnyTree,
    directory: PathBuf,
    /// Numbers every change and every version of the tree.
    next: SequenceNumberCounter,
    /// Changes below this one are of whole commits: reads see those.
    published: AtomicU64,
    /// Held while a commit's changes are applied.
    applying: Mutex<()>,
    /// Shared by reads. Held alone to learn from where on versions have to be kept for reads that are under way.
    reading: RwLock<()>,
}

impl Tree {
    /// Opens the tree of this directory, or makes one.
    pub(crate) fn open(directory: &Path, shared: &Shared) -> Result<Tree, StoreError> {
        let next = SequenceNumberCounter::default();
        let config = Config::new(directory, next.clone(), SequenceNumberCounter::default())
            .use_cache(Arc::clone(&shared.cache))
            .use_descriptor_table(Some(Arc::clone(&shared.files)));
        let tree = engine(directory, "open the tree", || config.open())?;
        next.set(tree.get_highest_persisted_seqno().map_or(1, |highest| highest.saturating_add(1)));
        Ok(Tree {
            published: AtomicU64::new(next.get()),
            tree,
            directory: directory.to_path_buf(),
            next,
            applying: Mutex::new(()),
            reading: RwLock::new(()),
        })
    }

    /// The bytes that its files take, those in use only.
    pub(crate) fn bytes(&self) -> u64 {
        self.tree.disk_space()
    }

    /// The stored head of the last commit.
    pub(crate) fn head(&self) -> Result<Option<Slice>, StoreError> {
        let _reading = self.reading.read().unwrap_or_else(PoisonError::into_inner);
        let at = self.published.load(Ordering::Acquire);
        self.read("read the head", || self.tree.get(HEAD, at))
    }

    /// The stored states of these groups.
    pub(crate) fn states(&self, keys: &[&[u8]]) -> Result<Vec<Option<Slice>>, StoreError> {
        let _reading = self.reading.read().unwrap_or_else(PoisonError::into_inner);
        let at = self.published.load(Ordering::Acquire);
        let mut stored_key = Vec::new();
        // As for changes: neighbours are in the same blocks.
        let mut in_order: Vec<usize> = (0..keys.len()).collect();
        in_order.sort_unstable_by_key(|i| keys[*i]);
        self.read("read groups", || {
            let mut states = vec![None; keys.len()];
            // The tree can't be asked for what it can't have.
            for i in in_order.into_iter().filter(|i| keys[*i].len() <= KEY_BYTES) {
                group_key(keys[i], &mut stored_key);
                states[i] = self.tree.get(&stored_key, at)?;
            }
            Ok(states)
        })
    }

    /// The first groups after this key: key and stored state.
    pub(crate) fn scan(&self, after: Option<&[u8]>, limit: usize) -> Result<Vec<(Vec<u8>, Slice)>, StoreError> {
        let _reading = self.reading.read().unwrap_or_else(PoisonError::into_inner);
        let at = self.published.load(Ordering::Acquire);
        let mut stored_key = vec![GROUP];
        let from = match after {
            Some(key) => {
                // Between what is cut off and the whole there is no key that could be stored.
                group_key(&key[..key.len().min(KEY_BYTES)], &mut stored_key);
                Bound::Excluded(stored_key)
            }
            None => Bound::Included(stored_key),
        };
        self.read("read groups in order", || {
            let groups = self.tree.range((from, Bound::Unbounded), at, None).take(limit);
            groups.map(|group| group.into_inner().map(|(key, state)| (key[1..].to_vec(), state))).collect()
        })
    }

    /// Calls the engine to read. That it panicked alone says nothing of the files: they are looked at.
    fn read<T>(&self, doing: &str, call: impl FnOnce() -> lsm_tree::Result<T>) -> Result<T, StoreError> {
        let directory = self.directory.display();
        match catch_unwind(AssertUnwindSafe(call)) {
            Ok(answer) => engine(&self.directory, doing, || answer),
            Err(_) if !self.damaged_files().is_empty() => {
                Err(StoreError::Damaged(format!("{directory}: can't {doing}: its files don't fit together")))
            }
            Err(panic) => {
                let said = panic.downcast_ref::<String>().map(String::as_str);
                let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason");
                Err(StoreError::Unusable(format!(
                    "{directory}: can't {doing}: the store's engine failed ({said}), and every file is as it was written: nothing is \
                     lost; this is a defect"
                )))
            }
        }
    }

    /// Applies a commit in memory: reads see all of it, or nothing until it is whole.
    pub(crate) fn apply(&self, head: &[u8], changes: &Changes) {
        let _applying = self.applying.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stored_key = Vec::new();
        // In order of keys each insertion is beside the last, which is in the processor's caches: half the time.
        let mut in_order: Vec<_> = changes.iter().collect();
        in_order.sort_by_key(|(key, _)| *key);
        for (key, state) in in_order {
            group_key(key, &mut stored_key);
            match state {
                Some(state) => {
                    self.tree.insert(&stored_key[..], record::encode_state(key, state), self.next.next());
                }
                None => {
                    self.tree.remove(&stored_key[..], self.next.next());
                }
            }
        }
        self.tree.insert(HEAD, head, self.next.next());
        self.published.store(self.next.get(), Ordering::Release);
    }

    /// Sets the changes that were applied so far aside, to be written by [`Tree::write`].
    pub(crate) fn seal(&self) {
        self.tree.rotate_memtable();
    }

    /// Writes the changes that were set aside. Once this has returned, their commits no longer need the log.
    pub(crate) fn write(&self) -> Result<(), StoreError> {
        self.or_clean("write groups", |kept_from| {
            let lock = self.tree.get_flush_lock();
            self.tree.flush(&lock, kept_from).map(|_| ())
        })
    }

    /// The number of times that the tree was written since its files were merged.
    pub(crate) fn unmerged(&self) -> usize {
        self.tree.l0_run_count()
    }

    /// Merges some files, if that is due; answers whether it was.
    pub(crate) fn merge(&self) -> Result<bool, StoreError> {
        let before = self.tree.current_version().id();
        let strategy = Arc::new(Leveled::default().with_table_target_size(FILE_BYTES));
        self.or_clean("merge files", |kept_from| self.tree.compact(strategy, kept_from))?;
        Ok(self.tree.current_version().id() != before)
    }

    /// Removes the files that were merged, as far as no read needs them.
    pub(crate) fn forget_merged(&self) -> Result<(), StoreError> {
        let kept_from = self.kept_from();
        engine(&self.directory, "remove merged files", || {
            self.tree.get_version_history_lock().maintenance(&self.directory, kept_from)
        })
    }

    /// The change from which on versions are kept: all reads that begin from now on are at or after it, and none is under way.
    fn kept_from(&self) -> u64 {
        let _applying = self.applying.lock().unwrap_or_else(PoisonError::into_inner);
        let _reading = self.reading.write().unwrap_or_else(PoisonError::into_inner);
        self.published.store(self.next.get(), Ordering::Release);
        self.next.get()
    }

    /// Does what writes files. If it fails the files that it began are removed: on a full disk they would keep it full.
    fn or_clean(&self, doing: &str, work: impl FnOnce(u64) -> lsm_tree::Result<()>) -> Result<(), StoreError> {
        let kept_from = self.kept_from();
        let (first_file, current) = (self.tree.get_next_table_id(), self.current());
        let done = engine(&self.directory, doing, || work(kept_from));
        if done.is_err() && current.is_some() && self.current() == current {
            self.remove_files_from(first_file);
        }
        done
    }

    /// The content of the file that says which files the tree consists of. While it is the same, files made since belong to nothing.
    fn current(&self) -> Option<Vec<u8>> {
        std::fs::read(self.directory.join("current")).ok()
    }

    fn remove_files_from(&self, first: u64) {
        let tables = self.directory.join("tables");
        let names = disk::names(&tables).unwrap_or_default();
        for name in names.iter().filter(|name| name.parse::<u64>().is_ok_and(|id| id >= first)) {
            // What stays is removed when the tree is opened next.
            let _ = std::fs::remove_file(tables.join(name));
        }
    }

    /// Files of the tree that aren't as they were written, by reading all of them.
    pub(crate) fn damaged_files(&self) -> Vec<String> {
        let version = self.tree.current_version();
        let whole: HashSet<String> = version
            .iter_tables()
            .filter(|table| {
                let path = self.directory.join("tables").join(table.id().to_string());
                checksum(&path).is_ok_and(|sum| sum == table.checksum().into_u128())
            })
            .map(|table| table.id().to_string())
            .collect();
        version.iter_tables().map(|table| table.id().to_string()).filter(|name| !whole.contains(name)).collect()
    }
}

fn checksum(path: &Path) -> std::io::Result<u128> {
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    let mut file = std::fs::File::open(path)?;
    std::io::copy(&mut file, &mut hasher)?;
    Ok(hasher.digest128())
}

fn group_key(key: &[u8], stored: &mut Vec<u8>) {
    stored.clear();
    stored.push(GROUP);
    stored.extend_from_slice(key);
}

/// Calls the engine. It panics on some damaged files; that is an answer like any other, where nothing but files goes in.
fn engine<T>(directory: &Path, doing: &str, call: impl FnOnce() -> lsm_tree::Result<T>) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(lsm_tree::Error::Io(error))) => Err(disk::failed(doing, directory, &error)),
        Ok(Err(error)) => Err(StoreError::Damaged(format!("{}: can't {doing}: {error}", directory.display()))),
        Err(_) => {
            Err(StoreError::Damaged(format!("{}: can't {doing}: its files don't fit together", directory.display())))
        }
    }
}
