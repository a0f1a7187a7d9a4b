//! Regular files: what a program may open that doesn't know what is there.
//!
//! A named pipe's open waits for whoever writes to it, a device's may do anything, and a terminal's read waits for a person. So a
//! file is opened without waiting, and only a regular one is read.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

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

fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file: put one there, or a link to one")
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixListener;
    use std::process::Command;

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
}
