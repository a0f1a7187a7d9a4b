//! `sluice demo`: the pipelines on generated records, embedded, with the results growing in the terminal.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use sluice_connectors::generator::{Generator, GeneratorOptions, Stream};
use sluice_core::checkpoint::CheckpointStore as _;
use tokio::sync::watch;

use super::block_on;
use super::generate::{DEFAULT_RATE, Paced};
use super::run::ended_by_signal;
use crate::board::Board;
use crate::checkpoints;
use crate::config::{self, Config, Connection};
use crate::connections::Connections;
use crate::pipeline::Ended;
use crate::service::Service;

/// How many rooms visitors enter: as many as the demo's dimension has modules.
const ROOMS: std::num::NonZeroU32 = std::num::NonZeroU32::MIN.saturating_add(9);

/// Run the pipelines on generated records and show the results growing; Ctrl-C ends it.
#[derive(Debug, clap::Args)]
pub struct Demo {
    /// The service's file: its pipelines read from a `log` connection and write to a `sqlite` one.
    #[arg(long, default_value = "demo/sluice.toml")]
    config: PathBuf,
    /// End by itself after this long.
    #[arg(long)]
    seconds: Option<u64>,
    /// Records a second.
    #[arg(long, default_value_t = DEFAULT_RATE)]
    rate: u64,
    /// The same seed gives the same records but for their times.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

impl Demo {
    pub fn execute(self) -> anyhow::Result<ExitCode> {
        let config = super::load(&self.config)?;
        let places = Places::of(&config)?;
        forget(&config)?;
        places.clear()?;
        block_on(self.show(&config, &places))
    }

    async fn show(&self, config: &Config, places: &Places) -> anyhow::Result<ExitCode> {
        let ended = ended_by_signal()?;
        let (ending, generating) = watch::channel(false);
        let generator = self.generate(config, places, generating)?;
        let mut service = Service::start(config, None).await?;
        service.serve_admin(config).await?;
        let board = Board::new(places.database.clone(), service.statuses());
        let time_is_up = async {
            match self.seconds {
                Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            shown = board.show() => shown?,
            _ = ended => {}
            () = time_is_up => {}
        }
        ending.send_replace(true);
        let generated = tokio::task::spawn_blocking(move || generator.join()).await?;
        generated.map_err(|_| anyhow::anyhow!("the generator's thread died"))??;
        service.stop();
        let outcomes = service.finished().await?;
        board.last(config).await?;
        let well = outcomes.iter().all(|outcome| outcome.ended == Ended::Well);
        Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// The generator's thread; the topics are there when this returns.
    fn generate(
        &self,
        config: &Config,
        places: &Places,
        ending: watch::Receiver<bool>,
    ) -> anyhow::Result<std::thread::JoinHandle<anyhow::Result<()>>> {
        let mut writer = Connections::new(&config.connections)?.open_writer(&places.events_name)?;
        for stream in [Stream::Entry, Stream::Gift] {
            writer.ensure_topic(stream.topic(), 1)?;
        }
        let options = GeneratorOptions { seed: self.seed, rooms: ROOMS, ..GeneratorOptions::default() };
        let mut paced =
            Paced { generator: Generator::new(options), only: None, rate: self.rate.max(1), left: None, made: 0 };
        let thread = std::thread::Builder::new().name("generator".to_owned());
        Ok(thread.spawn(move || paced.run(writer.as_mut(), &ending))?)
    }
}

/// Forgets the last demo's checkpoints, which are of records that are about to go, and what ran in it or was pinned. Fails while another host has them, before
/// anything of that host's is removed.
fn forget(config: &Config) -> anyhow::Result<()> {
    let store = checkpoints::open(config)?;
    for pipeline in &config.pipelines {
        store.reset(&pipeline.name)?;
        store.histories().forget(&pipeline.name)?;
    }
    Ok(())
}

/// Where the demo's files are.
struct Places {
    events_name: String,
    events: PathBuf,
    database: PathBuf,
}

impl Places {
    fn of(config: &Config) -> anyhow::Result<Places> {
        let mut log = None;
        let mut sqlite = None;
        for (name, connection) in &config.connections {
            match connection {
                config::Connection::Log { directory } => log = Some((name.clone(), directory.clone())),
                Connection::Sqlite { path } => sqlite = Some(path.clone()),
                _ => {}
            }
        }
        let (Some((events_name, events)), Some(database)) = (log, sqlite) else {
            bail!("{}: the demo wants a `log` and a `sqlite` connection", config.file.display());
        };
        Ok(Places { events_name, events, database })
    }

    /// Every demo begins with nothing. Only what a demo makes is removed: the two topics, and the database.
    fn clear(&self) -> anyhow::Result<()> {
        for stream in [Stream::Entry, Stream::Gift] {
            gone(std::fs::remove_dir_all(self.events.join(stream.topic())), &self.events)?;
        }
        for ending in ["", "-wal", "-shm"] {
            let mut file = self.database.clone().into_os_string();
            file.push(ending);
            gone(std::fs::remove_file(&file), Path::new(&file))?;
        }
        Ok(())
    }
}

fn gone(removed: std::io::Result<()>, path: &Path) -> anyhow::Result<()> {
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} can't be removed", path.display()))
        }
        _ => Ok(()),
    }
}
