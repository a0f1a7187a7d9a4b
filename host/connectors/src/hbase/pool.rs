//! The connections to a server: a bounded number, made when one is asked for and none is idle.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hbase_thrift::hbase::IOError;
use thrift::TransportErrorKind;

use super::client::{Client, connect};

/// How long a call waits for another one to give its connection back.
const LEASE_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a call has no answer.
#[derive(Debug)]
pub(super) enum Fault {
    /// Nobody answers there, or no longer.
    Unreachable(String),
    /// HBase's own word for what it couldn't do.
    Refused(String),
    /// What answers isn't HBase's Thrift 1 server, or answers what it never does.
    Foreign(String),
}

/// Connections to one server.
pub(super) struct Pool {
    address: String,
    state: Mutex<State>,
    returned: Condvar,
}

struct State {
    /// How many more calls may be under way.
    free: usize,
    /// At most as many as may be under way: each was under way once.
    idle: Vec<Client>,
}

/// The right to have a call under way.
struct Lease<'a> {
    pool: &'a Pool,
}

impl Pool {
    pub(super) fn new(address: String, connections: usize) -> Pool {
        Pool { address, state: Mutex::new(State { free: connections, idle: Vec::new() }), returned: Condvar::new() }
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Runs a call that may be run again. A server closes connections that are idle, which shows only when they are used:
    /// so a call that breaks an idle one is run once more, on a fresh one.
    pub(super) fn call<T>(&self, mut call: impl FnMut(&mut Client) -> thrift::Result<T>) -> Result<T, Fault> {
        let lease = self.lease()?;
        let idle = self.state().idle.pop();
        if let Some(mut client) = idle {
            match call(&mut client) {
                Err(error) if is_broken(&error) => self.state().idle.clear(),
                answer => return lease.finish(client, answer),
            }
        }
        let mut client = connect(&self.address).map_err(|e| Fault::Unreachable(e.to_string()))?;
        let answer = call(&mut client);
        lease.finish(client, answer)
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
    fn finish<T>(self, client: Client, answer: thrift::Result<T>) -> Result<T, Fault> {
        if matches!(answer, Ok(_) | Err(thrift::Error::User(_) | thrift::Error::Application(_))) {
            self.pool.state().idle.push(client);
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

/// Whether the connection was closed, rather than the server being slow.
fn is_broken(error: &thrift::Error) -> bool {
    matches!(error, thrift::Error::Transport(e) if e.kind != TransportErrorKind::TimedOut)
}

fn fault(error: thrift::Error) -> Fault {
    match error {
        thrift::Error::Transport(e) => Fault::Unreachable(e.message),
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
