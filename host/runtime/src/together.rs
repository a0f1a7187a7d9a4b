//! The memory of all instances of the host together.
//!
//! Each instance has a limit of its own; many that are each within it may still be more than the machine has, and then the kernel
//! chooses what it kills. So all of them share one bound. The one that would go beyond it fails and gives back what it had; the
//! others go on.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The bound where nobody knows how much memory there is.
const UNKNOWN_MACHINE: usize = 4 << 30;

/// The memory that all instances have, and may have.
#[derive(Debug)]
pub(crate) struct Together {
    limit: usize,
    used: AtomicUsize,
}

impl Together {
    pub(crate) fn new(limit: usize) -> Together {
        Together { limit, used: AtomicUsize::new(0) }
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Takes this number of bytes; returns false if fewer are left.
    pub(crate) fn take(&self, bytes: usize) -> bool {
        let within = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, within).is_ok()
    }

    pub(crate) fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Half of the memory that this process may have by its machine and its control group: batches, groups and caches take the other.
pub fn default_host_memory() -> usize {
    let machine = read("/proc/meminfo").and_then(|text| {
        let kib = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        kib.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()?.checked_mul(1024)
    });
    machine.into_iter().chain(of_group()).min().map_or(UNKNOWN_MACHINE, |bytes| bytes / 2)
}

/// The least of the bounds of this process's control group and those around it; both versions of control groups.
fn of_group() -> Option<usize> {
    let groups = read("/proc/self/cgroup")?;
    let mut least: Option<usize> = None;
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            controllers if controllers.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let path = path.trim_start_matches('/');
        // In a container the path may be of the outside, and only the root be there.
        let bounds = Path::new(path).ancestors().filter_map(|group| read(Path::new(root).join(group).join(file)));
        least = bounds.filter_map(|text| text.trim().parse().ok()).chain(least).min();
    }
    least
}

fn read(path: impl AsRef<Path>) -> Option<String> {
    fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_taken_than_there_is_and_what_is_given_back_is_there_again() {
        let together = Together::new(100);
        assert!(together.take(60) && together.take(40) && !together.take(1));
        together.give_back(40);
        assert!(!together.take(41) && together.take(40));
        assert!(!together.take(usize::MAX));
    }

    #[test]
    fn this_machine_has_some_memory() {
        assert!(default_host_memory() > 1 << 20);
    }
}
