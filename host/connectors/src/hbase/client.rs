//! Connection to the Thrift server.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hbase_thrift::hbase::HbaseSyncClient;
use thrift::protocol::TBinaryOutputProtocol;

use super::framing::{Answers, Calls, Framing};
use super::protocol::BoundedProtocol;

/// The longest that connecting to one of the server's addresses may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The longest that the server may be silent in a call, and take no bytes of one. A thousand rows take milliseconds; when a region
/// moves, the server itself tries again for seconds.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest that a server which is asked whether it speaks the compact protocol may be silent: one that does answers at once.
const COMPACT_TIMEOUT: Duration = Duration::from_secs(2);

/// The first byte of every message of the compact protocol.
const COMPACT: u8 = 0x82;

/// A call without arguments in the compact protocol: a call of version 1, number 0, `getTableNames`, no argument.
const COMPACT_CALL: &[u8] = b"\x82\x21\x00\x0dgetTableNames\x00";

/// The calls.
pub(super) type Client = HbaseSyncClient<BoundedProtocol<Answers<Socket>>, TBinaryOutputProtocol<Calls<Socket>>>;

/// A connected client.
pub(super) struct Connection {
    pub(super) client: Client,
    heard: Arc<AtomicBool>,
}

impl Connection {
    /// Connects to the first of the name's addresses that answers.
    pub(super) fn open(address: &str, framing: Framing) -> io::Result<Connection> {
        let stream = stream(address)?;
        stream.set_read_timeout(Some(CALL_TIMEOUT))?;
        stream.set_write_timeout(Some(CALL_TIMEOUT))?;
        let heard = Arc::new(AtomicBool::new(false));
        let answers = Answers::new(Socket { stream: stream.try_clone()?, heard: Arc::clone(&heard) }, framing);
        let calls = Calls::new(Socket { stream, heard: Arc::clone(&heard) }, framing);
        let client = HbaseSyncClient::new(BoundedProtocol::new(answers), TBinaryOutputProtocol::new(calls, true));
        Ok(Connection { client, heard })
    }

    /// Says whether the server has said anything.
    pub(super) fn heard(&self) -> bool {
        self.heard.load(Ordering::Relaxed)
    }
}

/// Says whether the server speaks the compact protocol, in frames or not.
pub(super) fn speaks_compact(address: &str) -> bool {
    let framed = [&(COMPACT_CALL.len() as u32).to_be_bytes(), COMPACT_CALL].concat();
    let first = |call: &[u8], at: usize| -> io::Result<bool> {
        let mut stream = stream(address)?;
        stream.set_read_timeout(Some(COMPACT_TIMEOUT))?;
        stream.set_write_timeout(Some(COMPACT_TIMEOUT))?;
        stream.write_all(call)?;
        let mut answer = vec![0; at + 1];
        stream.read_exact(&mut answer)?;
        Ok(answer[at] == COMPACT)
    };
    // No answer is none of the compact protocol.
    first(COMPACT_CALL, 0).unwrap_or(false) || first(&framed, 4).unwrap_or(false)
}

fn stream(address: &str) -> io::Result<TcpStream> {
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(e) => failure = e,
        }
    }
    Err(failure)
}

/// A stream whose timeouts say that they are, and which notes that something came.
pub(super) struct Socket {
    stream: TcpStream,
    heard: Arc<AtomicBool>,
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buffer).map_err(name_timeout)?;
        if read > 0 {
            self.heard.store(true, Ordering::Relaxed);
        }
        Ok(read)
    }
}

impl Write for Socket {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream.write(buffer).map_err(name_timeout)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Names a time-out as such: Unix says "try again" when a socket's time-out ends a call.
fn name_timeout(e: io::Error) -> io::Error {
    match e.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", CALL_TIMEOUT.as_secs()))
        }
        _ => e,
    }
}
