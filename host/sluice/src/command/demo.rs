//! `sluice demo`: the pipelines on generated records, embedded, with the results growing in the terminal.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use sluice_connectors::generator::{Generator, GeneratorOptions, Stream};
use tokio::sync::watch;

use self::own::Own;
use self::terminal::Terminal;
use super::block_on;
use super::generate::{DEFAULT_RATE, Paced};
use crate::config::Config;
use crate::connections::Connections;
use crate::ending::Ending;
use crate::pipeline::Ended;
use crate::pipeline::status::PipelineState;
use crate::running::Statuses;
use crate::service::Service;

mod browser;
mod own;
mod terminal;

/// Number of rooms that visitors enter: as many as the demo's dimension has modules.
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

/// Time between two checks whether all pipelines have begun.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Longest wait for all pipelines to begin. A pipeline that can't begin must not keep the demo from ending.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// Returns once no pipeline waits for its operators any more: the demo's seconds are those of its records.
async fn await_start(statuses: &Statuses) {
    let begun = async {
        while statuses.borrow().iter().any(|handle| handle.status.state() == PipelineState::Waiting) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    // What doesn't begin is shown.
    let _ = tokio::time::timeout(START_PATIENCE, begun).await;
}

impl Demo {
    pub fn execute(self) -> anyhow::Result<ExitCode> {
        let ending = Ending::hear()?;
        let config = super::load(&self.config)?;
        ending.set_bound(config.stop_within);
        let places = Places::of(&config)?;
        block_on(async {
            places.own(&config).begin_anew().await?;
            self.show(&config, &places, ending).await
        })
    }

    async fn show(&self, config: &Config, places: &Places, mut signals: Ending) -> anyhow::Result<ExitCode> {
        let (ending, generating) = watch::channel(false);
        let generator = self.generate(config, places, generating)?;
        let mut service = Service::start(config, None).await?;
        service.serve_admin(config).await?;
        let page = service.serve_board(config).await?.map(|address| format!("http://{address}/"));
        page.iter().for_each(|page| browser::show(page));
        let terminal = Terminal::new(places.database.clone(), service.statuses(), page);
        let statuses = service.statuses();
        let time_is_up = async {
            match self.seconds {
                Some(seconds) => {
                    await_start(&statuses).await;
                    tokio::time::sleep(Duration::from_secs(seconds)).await;
                }
                None => std::future::pending().await,
            }
        };
        let shown = tokio::select! {
            shown = terminal.show() => shown,
            _ = signals.asked() => Ok(()),
            () = time_is_up => Ok(()),
        };
        ending.send_replace(true);
        let generated = tokio::task::spawn_blocking(move || generator.join()).await?;
        generated.map_err(|_| anyhow::anyhow!("the generator's thread died"))??;
        let outcomes = service.end().await?;
        // What it shows is whoever's who has gone from the terminal; what it wrote is flushed all the same.
        shown?;
        terminal.last(config).await?;
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
        let mut writer = Connections::new(&config.connections).open_writer(&places.events_name)?;
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

/// Places of the demo's files.
struct Places {
    events_name: String,
    events: PathBuf,
    database_name: String,
    database: PathBuf,
}

impl Places {
    fn of(config: &Config) -> anyhow::Result<Places> {
        let last = |of: &str| {
            let of_type = config.connections.iter().rfind(|(_, connection)| connection.connector().name == of);
            of_type.and_then(|(name, connection)| Some((name.clone(), connection.path()?.to_owned())))
        };
        let (Some((events_name, events)), Some((database_name, database))) = (last("log"), last("sqlite")) else {
            bail!("{}: the demo needs a `log` and a `sqlite` connection", config.file.display());
        };
        Ok(Places { events_name, events, database_name, database })
    }

    fn own<'a>(&'a self, config: &'a Config) -> Own<'a> {
        Own { config, events: &self.events, connection: &self.database_name, database: &self.database }
    }
}
