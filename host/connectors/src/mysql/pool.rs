//! The connections of one `[connections.NAME]` of `sluice.toml`: at most so many, shared by everything that uses it.
//!
//! ```text
//! sink, letters, check ──lease──▶ [places, first come first served] ──▶ the connection that is there, else a new one
//!        └── give back: no transaction is open, no answer is awaited; else it is dropped, and with it what was not committed
//! ```
//!
//! Whoever has a lease asks for no other, so that nobody who waits keeps others from going on. Each user has a home among the
//! places, where its statements are prepared already; it goes elsewhere only when that is taken.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::mysql::MySqlConnection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The number of connections unless told otherwise. Fewer: flushes of many pipelines wait for each other. More: a server's
/// processors are busy with these already, and its limit (MySQL's default is 151) is for others, too.
pub const DEFAULT_CONNECTIONS: u32 = 8;

/// The longest wait for a connection before that counts as a server that takes no rows. Twice as long as a statement may take:
/// those who wait for a server that hangs say so themselves before, and others take their places.
pub(super) const LEASE_TIMEOUT: Duration = Duration::from_secs(60);

/// Pool with a greatest number of connections to a server. Clones share the connections.
#[derive(Clone)]
pub struct Pool(Arc<Shared>);

struct Shared {
    /// Fair: who waits longest comes next.
    free: Arc<Semaphore>,
    places: Mutex<Vec<Vacancy>>,
    users: AtomicUsize,
}

/// The place where a connection may be.
enum Vacancy {
    Empty,
    Idle(Box<MySqlConnection>),
    Taken,
}

impl Pool {
    /// Makes a pool of this many connections; at least one.
    pub fn new(connections: u32) -> Pool {
        let places = connections.max(1) as usize;
        let free = Arc::new(Semaphore::new(places));
        let places = Mutex::new((0..places).map(|_| Vacancy::Empty).collect());
        Pool(Arc::new(Shared { free, places, users: AtomicUsize::default() }))
    }

    /// The number of connections that there may be.
    pub(super) fn limit(&self) -> usize {
        self.0.places().len()
    }

    /// The home of one more user.
    pub(super) fn home(&self) -> usize {
        self.0.users.fetch_add(1, Ordering::Relaxed) % self.limit()
    }

    /// Takes a place with its connection, if it has one; none if the wait for it takes too long.
    pub(super) async fn take(&self, home: usize) -> Option<(Slot, Option<Box<MySqlConnection>>)> {
        let free = Arc::clone(&self.0.free).acquire_owned();
        // Nobody closes it.
        let permit = tokio::time::timeout(LEASE_TIMEOUT, free).await.ok()?.ok()?;
        let mut places = self.0.places();
        let index = choose(&places, home)?;
        let idle = match std::mem::replace(&mut places[index], Vacancy::Taken) {
            Vacancy::Idle(connection) => Some(connection),
            Vacancy::Empty | Vacancy::Taken => None,
        };
        drop(places);
        Some((Slot { pool: Arc::clone(&self.0), index, _permit: permit }, idle))
    }
}

impl Shared {
    fn places(&self) -> MutexGuard<'_, Vec<Vacancy>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Chooses a place: the home place unless it is taken, then one with a connection, then one that may get a connection.
fn choose(places: &[Vacancy], home: usize) -> Option<usize> {
    if !matches!(places.get(home), None | Some(Vacancy::Taken)) {
        return Some(home);
    }
    let idle = places.iter().position(|place| matches!(place, Vacancy::Idle(_)));
    idle.or_else(|| places.iter().position(|place| matches!(place, Vacancy::Empty)))
}

impl Default for Pool {
    fn default() -> Pool {
        Pool::new(DEFAULT_CONNECTIONS)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({})", self.limit())
    }
}

/// A place that is taken; without a connection given back, it is empty afterwards.
pub(super) struct Slot {
    pool: Arc<Shared>,
    index: usize,
    // The last field: dropped when the place is free.
    _permit: OwnedSemaphorePermit,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let place = &mut self.pool.places()[self.index];
        if matches!(place, Vacancy::Taken) {
            *place = Vacancy::Empty;
        }
    }
}

/// A connection for as long as somebody needs it. Dropped, it is closed, which is right after an error: the server then undoes what
/// was not committed.
pub(super) struct Lease {
    // The first field: closed before another is made in its place.
    connection: Box<MySqlConnection>,
    slot: Slot,
    /// True if the connection was idle in the pool: the server may have closed it meanwhile.
    pub(super) was_idle: bool,
}

impl Lease {
    pub(super) fn new(connection: Box<MySqlConnection>, slot: Slot, was_idle: bool) -> Lease {
        Lease { connection, slot, was_idle }
    }

    /// Gives the connection back for the next user; no transaction may be open.
    pub(super) fn give_back(self) {
        let Lease { connection, slot, .. } = self;
        slot.pool.places()[slot.index] = Vacancy::Idle(connection);
    }
}

impl Deref for Lease {
    type Target = MySqlConnection;

    fn deref(&self) -> &MySqlConnection {
        &self.connection
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut MySqlConnection {
        &mut self.connection
    }
}
