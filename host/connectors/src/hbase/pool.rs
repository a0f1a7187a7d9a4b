//! The connections to a server: a bounded number, made when one is asked for and none is idle.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hbase_thrift::hbase::IOError;
use sluice_clock::Stopwatch;
use thrift::{ProtocolErrorKind, TransportErrorKind};

use super::client::{Client, Connection, speaks_compact};
use super::framing::Framing;

/// The longest that a call waits for another one to give its connection back.
const LEASE_TIMEOUT: Duration = Duration::from_secs(10);

/// The time that a server which never answered may close connections without a word before that is the address's fault. A server
/// that is just being started does it too, or what stands in for it (a load balancer, a container's port).
const CLOSED_PATIENCE: Duration = Duration::from_secs(10);

/// The least number of connections that it must have closed by then, so that a pause between two of them proves nothing.
const CLOSED_AT_LEAST: u32 = 3;

/// The reason why a call has no answer.
#[derive(Debug)]
pub(super) enum Fault {
    /// The address doesn't answer, or no longer.
    Unreachable(String),
    /// The server couldn't answer the call. The text is HBase's own.
    Refused(String),
    /// The server isn't HBase's Thrift 1 server, or answers what that never does.
    Foreign(String),
    /// The answer is more than is read of one.
    TooLarge(String),
}

/// Connections to one server.
pub(super) struct Pool {
    address: String,
    state: Mutex<State>,
    returned: Condvar,
}

struct State {
    /// The number of further calls that may be under way.
    free: usize,
    /// Connections that nobody uses, at most as many as may be under way: each was under way once.
    idle: Vec<Connection>,
    /// The framing in which the server was spoken to last, or will be first.
    framing: Framing,
    /// True once the server has answered, so that there is such a server at this address.
    answered: bool,
    /// Time since which a server that never answered has closed connections without a word, and their number.
    closed: Option<(Stopwatch, u32)>,
}

/// The right to have a call under way.
struct Lease<'a> {
    pool: &'a Pool,
}

impl Pool {
    pub(super) fn new(address: String, connections: usize) -> Pool {
        let (framing, idle) = (Framing::Plain, Vec::new());
        let state = State { free: connections, idle, framing, answered: false, closed: None };
        Pool { address, state: Mutex::new(state), returned: Condvar::new() }
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Runs a call that may be run again. A server closes connections that are idle, which shows only when they are used:
    /// so a call that breaks an idle one is run once more, on a fresh one. A server that closes a fresh one without a word
    /// is spoken to in the other framing.
    pub(super) fn call<T>(&self, mut call: impl FnMut(&mut Client) -> thrift::Result<T>) -> Result<T, Fault> {
        let lease = self.lease()?;
        let idle = self.state().idle.pop();
        if let Some(mut connection) = idle {
            match call(&mut connection.client) {
                Err(error) if is_broken(&error) => self.state().idle.clear(),
                answer => return lease.finish(connection, answer),
            }
        }
        let framing = self.state().framing;
        let mut words = String::new();
        for framing in [framing, framing.other()] {
            let mut connection =
                Connection::open(&self.address, framing).map_err(|e| Fault::Unreachable(e.to_string()))?;
            match call(&mut connection.client) {
                Err(error) if is_broken(&error) && !connection.heard() => words = fault_words(error),
                answer => {
                    self.state().framing = framing;
                    return lease.finish(connection, answer);
                }
            }
        }
        Err(self.closed(&words))
    }

    /// Returns the fault for fresh connections that were closed without a word.
    fn closed(&self, words: &str) -> Fault {
        let closed = format!("it closes connections before it answers ({words})");
        if self.state().answered {
            return Fault::Unreachable(closed);
        }
        if speaks_compact(&self.address) {
            return Fault::Foreign("it speaks Thrift's compact protocol".into());
        }
        let mut state = self.state();
        let (since, times) = state.closed.get_or_insert((Stopwatch::start(), 0));
        *times += 1;
        if *times >= CLOSED_AT_LEAST && since.elapsed() >= CLOSED_PATIENCE {
            Fault::Foreign(closed)
        } else {
            Fault::Unreachable(closed)
        }
    }

    fn lease(&self) -> Result<Lease<'_>, Fault> {
        let state = self.state();
        let waited = self.returned.wait_timeout_while(state, LEASE_TIMEOUT, |state| state.free == 0);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.free == 0 {
            return Err(Fault::Unreachable(format!("all connections are in use for {} s", LEASE_TIMEOUT.as_secs())));
        }
        state.free -= 1;
        Ok(Lease { pool: self })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease<'_> {
    /// Keeps the connection, unless an answer's rest may still be in it.
    fn finish<T>(self, connection: Connection, answer: thrift::Result<T>) -> Result<T, Fault> {
        if matches!(answer, Ok(_) | Err(thrift::Error::User(_) | thrift::Error::Application(_))) {
            let mut state = self.pool.state();
            state.idle.push(connection);
            (state.answered, state.closed) = (true, None);
        }
        answer.map_err(fault)
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.pool.state().free += 1;
        self.pool.returned.notify_one();
    }
}

/// Says whether the connection was closed, rather than the server being slow.
fn is_broken(error: &thrift::Error) -> bool {
    matches!(error, thrift::Error::Transport(e) if e.kind != TransportErrorKind::TimedOut)
}

fn fault_words(error: thrift::Error) -> String {
    match fault(error) {
        Fault::Unreachable(words) | Fault::Refused(words) | Fault::Foreign(words) | Fault::TooLarge(words) => words,
    }
}

fn fault(error: thrift::Error) -> Fault {
    match error {
        thrift::Error::Transport(e) => Fault::Unreachable(e.message),
        thrift::Error::Protocol(e) if e.kind == ProtocolErrorKind::SizeLimit => Fault::TooLarge(e.message),
        thrift::Error::Protocol(e) => Fault::Foreign(e.message),
        // A call that the server doesn't know, or that failed in a way it has no word for.
        thrift::Error::Application(e) if e.kind == thrift::ApplicationErrorKind::UnknownMethod => {
            Fault::Foreign(e.message)
        }
        thrift::Error::Application(e) => Fault::Refused(e.message),
        thrift::Error::User(e) => {
            let words = e.downcast_ref::<IOError>().and_then(|e| e.message.clone());
            Fault::Refused(words.unwrap_or_else(|| e.to_string()))
        }
    }
}
