//! Connections to a server of the host, of which there is a greatest number at one time.
//!
//! A place costs its holder nothing, so a client without a request must not keep others out: when all places are taken, the
//! connection that has waited for its client for the longest is closed: for a request, or to take what was answered. New clients wait
//! only while every place has a request that is being answered.
//!
//! ```text
//! idle ──request──▶ busy ──answer, or a part of a stream──▶ idle until the client has taken it ──▶ busy, while there is more to come
//! ```

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::{Error, Router};
use hyper::Request;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Limits of a server's connections.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// What serves, for the log.
    pub server: &'static str,
    /// Greatest number of connections at one time.
    pub connections: usize,
    /// Longest wait for a request, from the time that the connection was opened or had its last answer.
    pub ask_within: Duration,
}

/// Longest wait for a request. Shorter: a slow client's request is cut. Longer: whoever asks nothing keeps its place that long.
pub const ASK_WITHIN: Duration = Duration::from_secs(10);

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
                tracing::warn!("a connection to {} can't be accepted: {error}", limits.server);
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
        seat.works();
        let (answer, seat) = (routes.call(request), Arc::clone(&seat));
        async move {
            let answer = answer.await;
            seat.waits();
            answer.map(|answer| answer.map(|body| Body::new(Watched { body, seat })))
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.ask_within);
    tokio::select! {
        ended = http.serve_connection(stream, service) => {
            if let Err(error) = ended {
                tracing::debug!("a connection to {}: {error}", limits.server);
            }
        }
        () = closed.notified() => tracing::debug!("a connection to {} made room for another", limits.server),
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
        seat.waits();
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
    /// The server is to answer, or to go on with an answer.
    fn works(&self) {
        let number = self.number.lock().unwrap_or_else(PoisonError::into_inner).take();
        number.inspect(|number| drop(self.idle.lock().connections.remove(number)));
    }

    /// The client is to ask, or to take what it was answered.
    fn waits(&self) {
        if self.number.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            return;
        }
        let mut waiting = self.idle.lock();
        let number = waiting.next;
        waiting.next += 1;
        waiting.connections.insert(number, Arc::clone(&self.closed));
        *self.number.lock().unwrap_or_else(PoisonError::into_inner) = Some(number);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.works();
    }
}

/// Body of an answer on a connection. What the connection waits for is the client as long as a part was given that it hasn't taken,
/// else whatever makes the next part. A client that takes nothing is therefore idle, whatever is to come.
struct Watched {
    body: Body,
    seat: Arc<Seat>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        // Asked for only once there is room for it.
        self.seat.works();
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if frame.is_ready() {
            self.seat.waits();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::routing::get;
    use futures_util::stream;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    const SOON: Duration = Duration::from_secs(60);

    /// A server of two places, with a page, a stream without an end and without a pause, and one that says a word and then nothing.
    async fn server() -> SocketAddr {
        let endless = || stream::repeat_with(|| Ok::<_, Error>(Bytes::from_static(&[b'x'; 1 << 16])));
        let quiet = || {
            stream::unfold(false, |said| async move {
                if said {
                    std::future::pending::<()>().await;
                }
                Some((Ok::<_, Error>(Bytes::from_static(b"word")), true))
            })
        };
        let routes = Router::new()
            .route("/", get(async || "page"))
            .route("/endless", get(async move || Body::from_stream(endless())))
            .route("/quiet", get(async move || Body::from_stream(quiet())));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(accept(Arc::new(listener), routes, Limits { server: "a test", connections: 2, ask_within: SOON }));
        address
    }

    async fn ask(address: SocketAddr, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
        stream
    }

    async fn read_to(stream: &mut TcpStream, words: &str) {
        let mut read = Vec::new();
        while !String::from_utf8_lossy(&read).contains(words) {
            let mut part = [0; 1 << 10];
            let length = tokio::time::timeout(SOON, stream.read(&mut part)).await.unwrap().unwrap();
            assert!(length > 0, "closed before {words}");
            read.extend_from_slice(&part[..length]);
        }
    }

    #[tokio::test]
    async fn clients_that_take_nothing_of_a_stream_make_room_for_others() {
        let address = server().await;
        let stuck = [ask(address, "/endless").await, ask(address, "/endless").await];
        read_to(&mut ask(address, "/").await, "page").await;
        drop(stuck);
    }

    #[tokio::test]
    async fn a_stream_that_is_read_stays_however_many_others_come() {
        let address = server().await;
        let mut viewer = ask(address, "/quiet").await;
        read_to(&mut viewer, "word").await;
        for _ in 0..20 {
            read_to(&mut ask(address, "/").await, "page").await;
        }
        let ended = tokio::time::timeout(Duration::from_millis(50), viewer.read_u8()).await;
        assert!(ended.is_err(), "{ended:?}");
    }
}
