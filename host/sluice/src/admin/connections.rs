//! Connections to the admin API, of which there is a greatest number at one time.
//!
//! A place costs its holder nothing, so a client without a request must not keep others out: when all places are taken, the
//! connection that has had no request for the longest is closed. New clients wait only while every place has a request that is
//! being answered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Limits of the API's connections.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Greatest number of connections at one time.
    pub connections: usize,
    /// Longest wait for a request, from the time that the connection was opened or had its last answer.
    pub ask_within: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            // Fewer: a board that keeps some open loses them to others. More: they take file descriptors that pipelines need.
            connections: 64,
            // Shorter: a slow client's request is cut. Longer: whoever asks nothing keeps its place that long.
            ask_within: Duration::from_secs(10),
        }
    }
}

/// Pause in accepting connections after the system refused one.
const WHILE_REFUSED: Duration = Duration::from_millis(100);

/// Wait for a free place before the next look for a connection that has become idle.
const WHILE_FULL: Duration = Duration::from_millis(20);

/// Serves all connections, for as long as the process runs.
pub async fn accept(listener: Arc<TcpListener>, routes: Router, limits: Limits) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let idle = Idle::default();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("a connection to the admin API can't be accepted: {error}");
                tokio::time::sleep(WHILE_REFUSED).await;
                continue;
            }
        };
        let Some(place) = place(&places, &idle).await else { return };
        tokio::spawn(serve(TokioIo::new(stream), routes.clone(), limits, idle.clone(), place));
    }
}

/// Returns a place, for which the connection that was idle for the longest is closed if need be; none once nothing is served any
/// more.
async fn place(places: &Arc<Semaphore>, idle: &Idle) -> Option<OwnedSemaphorePermit> {
    loop {
        if places.available_permits() == 0 {
            idle.close_oldest();
        }
        // One that is answered meanwhile is idle from then on.
        if let Ok(place) = tokio::time::timeout(WHILE_FULL, Arc::clone(places).acquire_owned()).await {
            return place.ok();
        }
    }
}

async fn serve(
    stream: TokioIo<tokio::net::TcpStream>,
    routes: Router,
    limits: Limits,
    idle: Idle,
    place: OwnedSemaphorePermit,
) {
    let seat = Arc::new(idle.enter());
    let closed = Arc::clone(&seat.closed);
    let routes = TowerToHyperService::new(routes);
    let service = service_fn(move |request: Request<Incoming>| {
        seat.asks();
        let (answer, seat) = (routes.call(request), Arc::clone(&seat));
        async move {
            let answer = answer.await;
            seat.is_answered();
            answer
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.ask_within);
    tokio::select! {
        ended = http.serve_connection(stream, service) => {
            if let Err(error) = ended {
                tracing::debug!("a connection to the admin API: {error}");
            }
        }
        () = closed.notified() => tracing::debug!("a connection to the admin API made room for another"),
    }
    drop(place);
}

/// Idle connections, which have no request, from the longest idle one on.
#[derive(Clone, Default)]
struct Idle(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    next: u64,
    connections: BTreeMap<u64, Arc<Notify>>,
}

impl Idle {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self) -> Seat {
        let seat = Seat { idle: self.clone(), number: Mutex::new(None), closed: Arc::default() };
        seat.is_answered();
        seat
    }

    fn close_oldest(&self) {
        if let Some((_, oldest)) = self.lock().connections.pop_first() {
            oldest.notify_one();
        }
    }
}

/// A connection among the others.
struct Seat {
    idle: Idle,
    /// Number of the connection among the idle ones, while it is idle.
    number: Mutex<Option<u64>>,
    closed: Arc<Notify>,
}

impl Seat {
    fn asks(&self) {
        let number = self.number.lock().unwrap_or_else(PoisonError::into_inner).take();
        number.inspect(|number| drop(self.idle.lock().connections.remove(number)));
    }

    fn is_answered(&self) {
        let mut waiting = self.idle.lock();
        let number = waiting.next;
        waiting.next += 1;
        waiting.connections.insert(number, Arc::clone(&self.closed));
        *self.number.lock().unwrap_or_else(PoisonError::into_inner) = Some(number);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.asks();
    }
}
