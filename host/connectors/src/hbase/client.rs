//! One connection to the Thrift server.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use hbase_thrift::hbase::HbaseSyncClient;
use thrift::protocol::TBinaryOutputProtocol;
use thrift::transport::{TBufferedReadTransport, TBufferedWriteTransport};

use super::protocol::BoundedProtocol;

/// How long connecting to one of the server's addresses may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the server may be silent in a call, and take no bytes of one. A thousand rows take milliseconds; when a region
/// moves, the server itself tries again for seconds.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The socket's buffers: a call of a thousand keys is some tens of kilobytes.
const BUFFER_BYTES: usize = 64 << 10;

/// A connected client.
pub(super) type Client = HbaseSyncClient<
    BoundedProtocol<TBufferedReadTransport<Socket>>,
    TBinaryOutputProtocol<TBufferedWriteTransport<Socket>>,
>;

/// Connects to the first of the name's addresses that answers.
pub(super) fn connect(address: &str) -> io::Result<Client> {
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => return client(stream),
            Err(e) => failure = e,
        }
    }
    Err(failure)
}

fn client(stream: TcpStream) -> io::Result<Client> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(CALL_TIMEOUT))?;
    stream.set_write_timeout(Some(CALL_TIMEOUT))?;
    let answers = TBufferedReadTransport::with_capacity(BUFFER_BYTES, Socket(stream.try_clone()?));
    let calls = TBufferedWriteTransport::with_capacity(BUFFER_BYTES, Socket(stream));
    Ok(HbaseSyncClient::new(BoundedProtocol::new(answers), TBinaryOutputProtocol::new(calls, true)))
}

/// A stream whose timeouts say that they are.
pub(super) struct Socket(TcpStream);

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(name_timeout)
    }
}

impl Write for Socket {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.write(buffer).map_err(name_timeout)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Unix says "try again" when a socket's timeout ends a call.
fn name_timeout(e: io::Error) -> io::Error {
    match e.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", CALL_TIMEOUT.as_secs()))
        }
        _ => e,
    }
}
