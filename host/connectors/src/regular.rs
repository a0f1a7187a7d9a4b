//! Regular files: what a program may open that doesn't know what is there.
//!
//! A named pipe's open waits for whoever writes to it, a device's may do anything, and a terminal's read waits for a person. So a
//! file is opened without waiting, and only a regular one is read. A file system whose network is gone answers nothing at all: who
//! reads a whole file gives it up then.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use rustix::fs::OFlags;

use crate::asking::{Answers, PATIENCE};

/// Number of bytes that are read between two checks that the file system still answers. More: a slow one is taken for one that
/// doesn't. Less: more to hand over.
const PART: u64 = 1 << 20;

/// Opens a regular file for reading; anything else is an error that says so. Waits only where the file system itself doesn't
/// answer.
///
/// # Errors
///
/// As the operating system says, and [`io::ErrorKind::InvalidInput`] for what isn't a regular file.
pub fn open(path: &Path) -> io::Result<File> {
    // Neither a pipe's other end nor a terminal is waited for, and no terminal becomes this process's own.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path).map_err(|error| {
        // What sockets, and devices without a driver, answer.
        if error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) { not_regular() } else { error }
    })?;
    // Asked of what was opened: what has the name may be another file by now.
    if file.metadata()?.is_file() { Ok(file) } else { Err(not_regular()) }
}

/// The first bytes of a regular file, at most `max` of them. A file system that doesn't answer is waited for no longer than
/// [`PATIENCE`] for each part.
///
/// # Errors
///
/// As [`open`], and [`io::ErrorKind::TimedOut`].
pub fn read(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let opened = path.to_owned();
    read_parts(path, move || Ok(open(&opened)?.take(max)), PATIENCE)
}

fn read_parts<F: Read>(
    path: &Path,
    open: impl FnOnce() -> io::Result<F> + Send + 'static,
    patience: Duration,
) -> io::Result<Vec<u8>> {
    let parts = Answers::begin(path, move |give: &SyncSender<io::Result<Vec<u8>>>| {
        let read_all = || -> io::Result<()> {
            let mut file = open()?;
            loop {
                let part = read_part(&mut file)?;
                let is_last = part.is_empty();
                // Who waited may have gone.
                if give.send(Ok(part)).is_err() || is_last {
                    return Ok(());
                }
            }
        };
        if let Err(error) = read_all() {
            let _ = give.send(Err(error));
        }
    })?;
    let mut bytes = Vec::new();
    loop {
        let part = parts.next(patience)??;
        if part.is_empty() {
            return Ok(bytes);
        }
        bytes.extend(part);
    }
}

/// The next bytes; none at the end.
fn read_part(file: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut part = Vec::new();
    file.take(PART).read_to_end(&mut part)?;
    Ok(part)
}

fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file: put one there, or a link to one")
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::process::Command;
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    #[test]
    fn only_a_regular_file_is_opened_and_nothing_else_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str| directory.path().join(name);
        std::fs::write(place("file"), "text").unwrap();
        std::os::unix::fs::symlink(place("file"), place("link")).unwrap();
        for name in ["file", "link"] {
            let mut text = String::new();
            open(&place(name)).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "text");
        }
        assert!(Command::new("mkfifo").arg(place("pipe")).status().unwrap().success());
        std::os::unix::fs::symlink(place("pipe"), place("link_to_pipe")).unwrap();
        let _socket = UnixListener::bind(place("socket")).unwrap();
        for path in [place("pipe"), place("link_to_pipe"), place("socket"), "/dev/zero".into(), directory.path().into()]
        {
            let error = open(&path).unwrap_err();
            assert!(error.to_string().contains("no regular file"), "{}: {error}", path.display());
        }
        assert_eq!(open(&place("nothing")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    /// Test file that gives its bytes, and then hangs.
    struct Hanging(&'static [u8], Receiver<()>);

    impl Read for Hanging {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                let _ = self.1.recv();
            }
            self.0.read(buffer)
        }
    }

    #[test]
    fn a_whole_file_is_read_part_by_part_and_one_that_hangs_is_given_up() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        let bytes: Vec<u8> = (0..5 * PART / 2).map(|at| at as u8).collect();
        std::fs::write(&file, &bytes).unwrap();
        assert_eq!(read(&file, u64::MAX).unwrap(), bytes);
        assert_eq!(read(&file, 10).unwrap(), bytes[..10]);
        assert_eq!(read(&directory.path().join("nothing"), 10).unwrap_err().kind(), io::ErrorKind::NotFound);

        let patience = Duration::from_millis(50);
        let (release, held) = channel();
        let error = read_parts(&file, move || Ok(Hanging(b"some", held)), patience).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let opening = directory.path().join("opening");
        let (release_opening, held) = channel::<()>();
        let error = read_parts(&opening, move || held.recv().map(|()| io::empty()).map_err(io::Error::other), patience);
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop((release, release_opening));
    }
}
