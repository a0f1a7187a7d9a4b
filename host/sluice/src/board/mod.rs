//! The board: pages with what people's SQL answers, kept up to date, and with what the pipelines do.
//!
//! ```text
//! boards/*.toml ──directory──▶ Board ──┐
//! databases ──asker──▶ rows ───────────┼─▶ screen: Shown, one for all viewers ──events──▶ viewers
//! pipelines ──observer──▶ health ──────┘
//!                └──▶ pipelines: the list, and each in detail
//! ```
//!
//! Everything that is sent is made once, however many look; nothing that a page says gets into a statement.

mod asker;
mod assets;
mod directory;
mod events;
pub mod file;
mod guard;
mod health;
mod observer;
mod pages;
mod parameter;
mod pipelines;
mod routes;
mod screen;
mod screens;
mod shown;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use tokio::sync::{Semaphore, watch};

pub use directory::{Directory, problems};

use self::asker::Asker;
use self::guard::Access;
use self::observer::Observer;
use self::routes::{Parts, VIEWERS};
use self::screens::Screens;
use crate::admin::{self, Token};
use crate::config::{self, BoardServer, Config, Pipeline};
use crate::connections::Connections;
use crate::died::kept_alive;
use crate::http::{ASK_WITHIN, Limits, accept};

/// The file in the state directory that says which port was taken, where the configuration says 0.
const ADDRESS_FILE: &str = "board.address";

/// Limits of its connections: each viewer has one, and besides them pages are loaded.
const LIMITS: Limits = Limits { server: "the board", connections: VIEWERS + 64, ask_within: ASK_WITHIN };

/// Listens, and serves in the background for as long as the service runs. Port 0 takes one that is free: the log and a file of the
/// state directory say which. Returns the address.
pub async fn serve(
    settings: &BoardServer,
    config: &Config,
    service: admin::Service,
    files: watch::Receiver<Vec<Pipeline>>,
) -> anyhow::Result<SocketAddr> {
    let token = Token::load_or_make(&config.state)?;
    let address = settings.listen;
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .with_context(|| format!("[board] can't listen on {address}; is another sluice running there?"))?;
    let taken = listener.local_addr()?;
    if taken != address {
        let file = config.state.join(ADDRESS_FILE);
        std::fs::write(&file, taken.to_string()).with_context(|| format!("{} can't be written", file.display()))?;
    }
    let access = Access { token, public: !address.ip().is_loopback(), hosts: settings.hosts.clone() };
    let routes = routes::all(begin(settings, config, service, files), access);
    tracing::info!("board at http://{taken}/");
    let listener = Arc::new(listener);
    tokio::spawn(async move {
        let accept = || accept(Arc::clone(&listener), routes.clone(), LIMITS);
        kept_alive("the board", accept).await;
    });
    Ok(taken)
}

/// Begins to watch files and pipelines, and to ask for viewers.
fn begin(
    settings: &BoardServer,
    config: &Config,
    service: admin::Service,
    files: watch::Receiver<Vec<Pipeline>>,
) -> Parts {
    let (publish, boards) = watch::channel(directory::Boards::new());
    let (settings_of, connections) = (settings.clone(), config.connections.clone());
    tokio::spawn(async move {
        let watch = || directory::watch(Directory::new(&settings_of, &connections), publish.clone());
        kept_alive("the watch of the boards", watch).await;
    });
    let (publish, pipelines) = watch::channel(observer::Pipelines::default());
    let observed = (service.clone(), files);
    tokio::spawn(async move {
        let observe = || Observer::new(observed.0.clone(), observed.1.clone()).observe(publish.clone());
        kept_alive("the observation of the pipelines", observe).await;
    });
    let screens = Screens::new(Arc::new(Asker::new(&config.connections)), pipelines.clone());
    let (followed, boards) = (screens.clone(), Mutex::new(boards));
    tokio::spawn(async move {
        let follow = || followed.clone().follow(boards.lock().unwrap_or_else(PoisonError::into_inner).clone());
        kept_alive("the boards", follow).await;
    });
    Parts {
        screens,
        pipelines,
        service,
        connections: Arc::new(Connections::new(&config.connections)),
        directory: config::shown(&settings.boards),
        list: Arc::default(),
        letters: Default::default(),
        viewers: Arc::new(Semaphore::new(VIEWERS)),
    }
}
