//! Framing says how messages are put on the wire: one after the other, or each in a frame with its length before it.

use std::io::{self, BufReader, ErrorKind, Read, Write};

use thrift::transport::{TBufferedWriteTransport, TFramedWriteTransport};

use super::protocol::MAX_ANSWER_BYTES;

/// The socket's buffers: a call of a thousand keys is some tens of kilobytes.
const BUFFER_BYTES: usize = 64 << 10;

/// The longest frame: the texts of an answer, and as much again for what stands between them.
const MAX_FRAME: usize = 2 * MAX_ANSWER_BYTES;

/// The framing that a server expects, and answers in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// Messages without frames, as `hbase thrift start` has them.
    Plain,
    /// Messages in frames, as `hbase thrift start -framed`, and the servers that can do nothing else (`-nonblocking`, `-hsha`).
    Framed,
}

impl Framing {
    /// Returns the other framing.
    pub(super) fn other(self) -> Framing {
        match self {
            Framing::Plain => Framing::Framed,
            Framing::Framed => Framing::Plain,
        }
    }
}

/// The server's bytes without what frames them.
pub(super) struct Answers<S> {
    stream: BufReader<S>,
    /// The bytes that are left of a frame; none without frames.
    frame: Option<usize>,
}

impl<S: Read> Answers<S> {
    pub(super) fn new(stream: S, framing: Framing) -> Answers<S> {
        let frame = (framing == Framing::Framed).then_some(0);
        Answers { stream: BufReader::with_capacity(BUFFER_BYTES, stream), frame }
    }
}

impl<S: Read> Read for Answers<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(left) = &mut self.frame else { return self.stream.read(buffer) };
        if *left == 0 {
            let mut length = [0; 4];
            self.stream.read_exact(&mut length)?;
            let claimed = u32::from_be_bytes(length) as usize;
            if claimed > MAX_FRAME {
                return Err(io::Error::new(ErrorKind::InvalidData, format!("a frame of {claimed} bytes")));
            }
            *left = claimed;
        }
        let most = buffer.len().min(*left);
        let read = self.stream.read(&mut buffer[..most])?;
        *left -= read;
        Ok(read)
    }
}

/// Calls on their way to the server.
pub(super) enum Calls<S: Write> {
    Plain(TBufferedWriteTransport<S>),
    Framed(TFramedWriteTransport<S>),
}

impl<S: Write> Calls<S> {
    pub(super) fn new(stream: S, framing: Framing) -> Calls<S> {
        match framing {
            Framing::Plain => Calls::Plain(TBufferedWriteTransport::with_capacity(BUFFER_BYTES, stream)),
            Framing::Framed => Calls::Framed(TFramedWriteTransport::with_capacity(BUFFER_BYTES, stream)),
        }
    }
}

impl<S: Write> Write for Calls<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Calls::Plain(calls) => calls.write(bytes),
            Calls::Framed(calls) => calls.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Calls::Plain(calls) => calls.flush(),
            Calls::Framed(calls) => calls.flush(),
        }
    }
}
