//! Connections to the admin API, of which there are so many at a time, and which have to ask soon.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// What connections may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// At one time; more wait to be accepted.
    pub connections: usize,
    /// How long one may take to ask, from when it is open or had its last answer.
    pub ask_within: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            // Fewer: a board that keeps some open shuts others out. More: they take file descriptors that pipelines need.
            connections: 64,
            // Shorter: a slow client's request is cut. Longer: whoever asks nothing keeps its place that long.
            ask_within: Duration::from_secs(10),
        }
    }
}

/// How long nothing is accepted after the system refused to.
const WHILE_REFUSED: Duration = Duration::from_millis(100);

/// Serves whoever connects, for good.
pub async fn accept(listener: Arc<TcpListener>, routes: Router, limits: Limits) {
    let places = Arc::new(Semaphore::new(limits.connections));
    // Nobody closes it.
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        let stream = match listener.accept().await {
            Ok((stream, _)) => TokioIo::new(stream),
            Err(error) => {
                tracing::warn!("a connection to the admin API can't be accepted: {error}");
                tokio::time::sleep(WHILE_REFUSED).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(routes.clone());
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(limits.ask_within);
        tokio::spawn(async move {
            if let Err(error) = http.serve_connection(stream, service).await {
                tracing::debug!("a connection to the admin API: {error}");
            }
            drop(place);
        });
    }
}
