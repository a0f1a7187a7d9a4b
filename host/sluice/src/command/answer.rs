//! Standard output for the answers of verbs.

use std::io::{self, ErrorKind, Stdout, Write};

/// Destination of a verb's answer. A reader that has gone (`| head -1`) has what it wanted: nothing more is written, and the verb
/// ends as if all had been read. Any other failure, such as that of a full disk, is a failure of the verb.
pub struct Output {
    out: Stdout,
    unread: bool,
}

impl Output {
    pub fn new() -> Output {
        Output { out: io::stdout(), unread: false }
    }

    fn tell<T>(&mut self, unread: T, tell: impl FnOnce(&mut Stdout) -> io::Result<T>) -> io::Result<T> {
        if self.unread {
            return Ok(unread);
        }
        match tell(&mut self.out) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.unread = true;
                Ok(unread)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Err(error),
            told => told.map_err(|error| io::Error::new(error.kind(), format!("standard output: {error}"))),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tell(bytes.len(), |out| out.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tell((), Stdout::flush)
    }
}
