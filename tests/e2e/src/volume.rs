//! A disk of a test's own, which gets full, fails and comes back.
//!
//! A file system in a file: as the real one, it refuses writes to files that are open, and it forgets nothing that was
//! made durable. Mounting needs root, or `sudo` without a password.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted file system, gone when this is dropped. What has files on it must be gone before.
pub struct Volume {
    image: PathBuf,
    directory: PathBuf,
}

impl Volume {
    /// Makes a file system of so many bytes and mounts it on the directory.
    pub fn mount(directory: &Path, bytes: u64) -> Volume {
        let image = directory.with_extension("disk");
        File::create(&image).and_then(|file| file.set_len(bytes)).unwrap();
        // No share of it is kept for root: full is full.
        run("mkfs.ext4", &["-q", "-F", "-m", "0", path(&image)]);
        let volume = Volume { image, directory: directory.to_owned() };
        volume.attach();
        volume
    }

    /// Leaves no room on it.
    pub fn fill(&self) {
        let mut file = File::options().create(true).append(true).open(self.ballast()).unwrap();
        // The last write is the one that finds no block.
        let block = [0x5a; 4096];
        let refused = loop {
            if let Err(error) = file.write_all(&block) {
                break error;
            }
        };
        assert_eq!(refused.kind(), io::ErrorKind::StorageFull, "{refused}");
    }

    /// Ends [`Volume::fill`].
    pub fn make_room(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }

    /// From now on it can only be read, as when the kernel has met an error of the disk; files that are open, too.
    pub fn fail(&self) {
        privileged("mount", &["-o", "remount,abort", path(&self.directory)]);
    }

    /// Ends [`Volume::fail`], with what was durable. Nobody may have a file open on it.
    pub fn mend(&self) {
        privileged("umount", &[path(&self.directory)]);
        // Replays the journal, and finds that the file system is whole.
        privileged("e2fsck", &["-p", path(&self.image)]);
        self.attach();
    }

    /// Until the answer is dropped whoever writes waits, as on a disk that doesn't answer.
    pub fn hang(&self) -> Hung<'_> {
        privileged("fsfreeze", &["--freeze", path(&self.directory)]);
        Hung(self)
    }

    fn attach(&self) {
        privileged("mount", &["-o", "loop", path(&self.image), path(&self.directory)]);
    }

    fn ballast(&self) -> PathBuf {
        self.directory.join("ballast")
    }
}

/// A disk that doesn't answer. A process that waits for it can't even be killed, so that this must be dropped before.
#[must_use]
pub struct Hung<'a>(&'a Volume);

impl Drop for Hung<'_> {
    fn drop(&mut self) {
        privileged("fsfreeze", &["--unfreeze", path(&self.0.directory)]);
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Lazily: a failing test may have left a process on it.
        let gone = command("umount").args(["--lazy", path(&self.directory)]).status();
        if !std::thread::panicking() {
            assert!(gone.unwrap().success());
        }
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path that is text")
}

fn command(program: &str) -> Command {
    let root = fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    if root {
        return Command::new(program);
    }
    let mut sudo = Command::new("sudo");
    sudo.args(["-n", program]);
    sudo
}

fn privileged(program: &str, arguments: &[&str]) {
    let output = command(program).args(arguments).output().unwrap();
    // e2fsck says with 1 that it mended something.
    let well = matches!((program, output.status.code()), (_, Some(0)) | ("e2fsck", Some(1)));
    assert!(well, "{program} {arguments:?}: {} {}", output.status, String::from_utf8_lossy(&output.stderr));
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}
