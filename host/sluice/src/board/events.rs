//! Streams of events to viewers (server-sent events).
//!
//! A stream asks for the next event only once its client has taken the last one, and then gets what differs from the newest picture: a
//! slow client costs the same as a fast one.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::Response;
use futures_util::stream::{self, Stream};
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::observer::{Pipelines, now_ms};
use super::shown::{Seen, Shown};

/// Longest silence of a stream: then it sends a beat, by which its client knows that it is connected. Shorter: more is sent for nothing.
/// Longer: clients take a quiet stream for a broken one.
const BEAT: Duration = Duration::from_secs(5);

/// The answer that is a stream.
pub fn answer(events: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    use futures_util::StreamExt as _;
    let events = events.map(Ok::<_, std::convert::Infallible>);
    let mut response = Response::new(Body::from_stream(events));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

struct Viewer<T> {
    watch: watch::Receiver<T>,
    seen: Option<Seen>,
    begun: bool,
    /// The viewer's place, until it leaves.
    _place: OwnedSemaphorePermit,
}

/// The events of a board for one viewer.
pub fn board(watch: watch::Receiver<Arc<Shown>>, place: OwnedSemaphorePermit) -> impl Stream<Item = Bytes> {
    let viewer = Viewer { watch, seen: None, begun: false, _place: place };
    stream::unfold(viewer, |mut viewer| async move {
        loop {
            if viewer.begun {
                match tokio::time::timeout(BEAT, viewer.watch.changed()).await {
                    Ok(Ok(())) => {}
                    // The board is gone.
                    Ok(Err(_)) => return None,
                    Err(_) => return Some((beat(), viewer)),
                }
            }
            viewer.begun = true;
            let shown = Arc::clone(&viewer.watch.borrow_and_update());
            let changes = shown.changes(viewer.seen.as_ref());
            if !changes.is_empty() {
                viewer.seen = Some(shown.seen());
                return Some((Bytes::from(shown.events(&changes, now_ms())), viewer));
            }
        }
    })
}

/// The events of the pipelines for one viewer; `list` makes the list's JSON, once for all of them.
pub fn pipelines(
    watch: watch::Receiver<Pipelines>,
    place: OwnedSemaphorePermit,
    list: impl Fn(&Pipelines) -> Bytes + Send + 'static,
) -> impl Stream<Item = Bytes> {
    let viewer = Viewer { watch, seen: None, begun: false, _place: place };
    stream::unfold((viewer, list), |(mut viewer, list)| async move {
        if viewer.begun {
            match tokio::time::timeout(BEAT, viewer.watch.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return None,
                Err(_) => return Some((beat(), (viewer, list))),
            }
        }
        viewer.begun = true;
        let pipelines = Arc::clone(&viewer.watch.borrow_and_update());
        let json = list(&pipelines);
        let event = [b"event: pipelines\ndata: ".as_slice(), &json, b"\n\n"].concat();
        Some((Bytes::from(event), (viewer, list)))
    })
}

fn beat() -> Bytes {
    Bytes::from(format!("event: beat\ndata: {{\"now\":{}}}\n\n", now_ms()))
}
