//! The host as a process.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{PATIENCE, Seat, Site, eventually, root};

/// What `GET /status` answers.
#[derive(Debug, Clone, Deserialize)]
pub struct Status {
    /// Lines of the log that could not be written.
    pub log_lines_lost: u64,
    /// One for each pipeline's file.
    pub pipelines: Vec<Pipeline>,
}

impl Status {
    /// The pipeline of this name.
    pub fn pipeline(&self, name: &str) -> Result<&Pipeline, String> {
        self.pipelines.iter().find(|p| p.name == name).ok_or_else(|| format!("no pipeline {name} in {self:?}"))
    }
}

/// One pipeline's part of the status.
#[derive(Debug, Clone, Deserialize)]
pub struct Pipeline {
    /// Its file's name.
    pub name: String,
    /// `running`, `holding`, `stopped`, `disabled`, `waiting` or `finished`.
    pub state: String,
    /// Why it isn't running.
    pub reason: Option<String>,
    /// Those of the topic's that its host reads.
    pub partitions: Vec<i32>,
    /// Why the newest file of its operator isn't what it runs.
    pub refused: Option<String>,
    /// Operators that it runs.
    pub operator: Option<Operator>,
    /// Whether that is on trial.
    pub on_trial: bool,
    /// Whether groups are still to be written again.
    pub refreshing: bool,
    /// What was last found of its tables.
    pub tables: Option<String>,
    /// All else, among it the figures.
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl Pipeline {
    /// A figure as the JSON has it.
    pub fn figure(&self, name: &str) -> &Value {
        self.rest.get(name).unwrap_or_else(|| panic!("no figure {name} in {self:?}"))
    }

    /// A figure that is a whole number and known.
    pub fn count(&self, name: &str) -> u64 {
        self.figure(name).as_u64().unwrap_or_else(|| panic!("{name} is no number in {self:?}"))
    }

    /// Records that wait in the source; none while nobody knows.
    pub fn lag(&self) -> Option<u64> {
        self.figure("lag").as_u64()
    }

    /// A figure that is counted by reason.
    pub fn by_reason(&self, name: &str) -> BTreeMap<String, u64> {
        serde_json::from_value(self.figure(name).clone()).unwrap_or_else(|e| panic!("{name}: {e} in {self:?}"))
    }
}

/// The deployed operator of a pipeline.
#[derive(Debug, Clone, Deserialize)]
pub struct Operator {
    /// Its file's name.
    pub name: String,
    /// The file's SHA-256.
    pub digest: String,
    /// Counts the artifacts that this pipeline ran.
    pub generation: u64,
}

/// What a process left when it ended.
#[derive(Debug)]
pub struct Finished {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// Everything it said, on both streams.
    pub output: String,
}

/// The path of the binary under test.
fn binary() -> PathBuf {
    let path = std::env::var_os("SLUICE_BIN").map_or_else(|| root().join("dist/sluice"), PathBuf::from);
    assert!(path.exists(), "{} isn't there: run `make build`", path.display());
    path
}

/// Runs the binary to its end, which is waited for as long as for anything.
pub fn sluice<A: AsRef<std::ffi::OsStr>>(arguments: &[A]) -> Finished {
    finish(Command::new(binary()).args(arguments).stdin(Stdio::null()))
}

/// Compiles a component as the service has it compiled, while the log is to show everything.
pub fn compile(component: &Path, cache: &Path) -> Finished {
    let arguments: [&OsStr; 4] = ["compile".as_ref(), cache.as_ref(), "10".as_ref(), "2147483648".as_ref()];
    let component = File::open(component).expect("the component is there");
    let mut command = Command::new(binary());
    // As the service sets it, so that the limit of memory counts what is used.
    command.env("MIMALLOC_ARENA_EAGER_COMMIT", "0").env("SLUICE_LOG", "trace");
    finish(command.args(arguments).stdin(component))
}

fn finish(command: &mut Command) -> Finished {
    let mut output = tempfile::tempfile().unwrap();
    let streams = (output.try_clone().unwrap(), output.try_clone().unwrap());
    let mut child = command.stdout(streams.0).stderr(streams.1).spawn().expect("the binary runs");
    let begun = Instant::now();
    let status = eventually("it ends", PATIENCE * 2, || match child.try_wait().unwrap() {
        Some(status) => Ok(Some(status)),
        None if begun.elapsed() > PATIENCE => Ok(None),
        None => Err("it runs".to_owned()),
    });
    let _ = child.kill();
    let mut said = Vec::new();
    output.rewind().unwrap();
    output.read_to_end(&mut said).unwrap();
    let output = String::from_utf8_lossy(&said).into_owned();
    let status = status.unwrap_or_else(|| panic!("{command:?} has not ended within {PATIENCE:?}: {output}"));
    Finished { code: status.code(), output }
}

/// The command `sluice` with these arguments and nothing to read, for tests that look at one of its streams.
pub fn sluice_command<A: AsRef<OsStr>>(arguments: &[A]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments).stdin(Stdio::null());
    command
}

/// A running `sluice run`. Killed when dropped; its log is shown if that is in a failing test.
pub struct Host {
    child: Child,
    log: PathBuf,
    /// Where this process's part of the log begins.
    begun: usize,
    admin: OnceLock<SocketAddr>,
}

impl Host {
    /// Starts the service on the site's configuration.
    pub fn start(site: &Site) -> Host {
        Host::start_at(&site.seat())
    }

    /// Starts the service on one of the site's hosts' configurations.
    pub fn start_at(seat: &Seat) -> Host {
        Host::start_changed(seat, |_| {})
    }

    /// Starts it with a standard error, or a variable, that the test chooses.
    pub fn start_changed(seat: &Seat, change: impl FnOnce(&mut Command)) -> Host {
        let log = seat.log.clone();
        let out = File::options().create(true).append(true).open(&log).unwrap();
        let begun = usize::try_from(out.metadata().unwrap().len()).unwrap();
        let mut command = Command::new(binary());
        command.args(["run", "--log", "json", "--config"]).arg(&seat.config).stdin(Stdio::null());
        command.stderr(out.try_clone().unwrap()).stdout(out);
        change(&mut command);
        Host { child: command.spawn().expect("the binary runs"), log, begun, admin: OnceLock::new() }
    }

    /// What it said, where the test made a pipe of it.
    pub fn take_stderr(&mut self) -> ChildStderr {
        self.child.stderr.take().expect("a pipe")
    }

    /// Its admin endpoint is where this file says, once it is there: for a host whose log can't be read.
    pub fn find_admin_in(&self, state: &Path) {
        let file = state.join("admin.address");
        let address = eventually("the host says where it listens", PATIENCE, || {
            let address = std::fs::read_to_string(&file).map_err(|e| e.to_string())?;
            address.parse::<SocketAddr>().map_err(|e| format!("{e}: {address}"))
        });
        self.admin.get_or_init(|| address);
    }

    /// Everything the host said so far, also before a restart on the same site.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap()).into_owned()
    }

    /// Where its admin endpoint listens, once it has said so: it took a port that was free.
    pub fn admin(&self) -> Result<SocketAddr, String> {
        if let Some(address) = self.admin.get() {
            return Ok(*address);
        }
        const BEFORE: &str = "http://";
        let log = self.log();
        let said = log[self.begun..].split_once(BEFORE).ok_or_else(|| format!("no {BEFORE} in its log"))?.1;
        let end = said.find(|c: char| !matches!(c, '0'..='9' | '.' | ':')).ok_or("half a line in its log")?;
        let address = said[..end].parse().map_err(|e| format!("{e}: {}", &said[..end]))?;
        Ok(*self.admin.get_or_init(|| address))
    }

    /// What the admin endpoint answers now.
    pub fn status(&self) -> Result<Status, String> {
        let admin = self.admin()?;
        let answer = get(admin, "/status").map_err(|e| format!("{admin}: {e}"))?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| format!("no HTTP answer: {answer}"))?;
        if !head.starts_with("HTTP/1.1 200") && !head.starts_with("HTTP/1.0 200") {
            return Err(format!("not 200: {answer}"));
        }
        serde_json::from_str(body).map_err(|e| format!("{e} in {body}"))
    }

    /// Waits until the status of the pipeline satisfies the condition.
    pub fn wait(&mut self, name: &str, what: &str, condition: impl Fn(&Pipeline) -> bool) -> Pipeline {
        eventually(&format!("pipeline {name}: {what}"), PATIENCE, || {
            self.assert_runs();
            let status = self.status()?;
            let pipeline = status.pipeline(name)?;
            condition(pipeline).then(|| pipeline.clone()).ok_or_else(|| format!("{pipeline:?}"))
        })
    }

    /// Waits until there is no such pipeline any more.
    pub fn wait_gone(&mut self, name: &str) {
        eventually(&format!("pipeline {name} is gone"), PATIENCE, || {
            self.assert_runs();
            self.status()?.pipeline(name).map_or(Ok(()), |pipeline| Err(format!("{pipeline:?}")))
        });
    }

    /// Waits until the pipeline runs the artifact of this SHA-256.
    pub fn wait_for_artifact(&mut self, name: &str, digest: &str) -> Pipeline {
        self.wait(name, "the newest artifact runs", |pipeline| {
            let operator = pipeline.operator.as_ref();
            pipeline.state == "running" && operator.is_some_and(|operator| operator.digest == digest)
        })
    }

    /// Waits until every pipeline has read everything that its topic holds.
    pub fn wait_until_read(&mut self, patience: Duration) {
        eventually("every pipeline has read everything", patience, || {
            self.assert_runs();
            let status = self.status()?;
            let done = status.pipelines.iter().all(|p| p.lag() == Some(0) && p.count("records") > 0);
            done.then_some(()).ok_or_else(|| format!("{status:?}"))
        });
    }

    /// Fails if the process has ended by itself.
    pub fn assert_runs(&mut self) {
        if let Some(code) = self.child.try_wait().unwrap() {
            panic!("the host ended by itself: {code}");
        }
    }

    /// The most memory that the process ever had resident, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux tells the peak");
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// The process's number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Stops it in its tracks, until [`Host::thaw`].
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    /// Sends it a signal, such as `-HUP`.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success(), "kill {signal}");
    }

    /// Ends the host as a crash does.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks the host to end, as a service's supervisor does, and waits until it has.
    pub fn terminate(self) -> Finished {
        self.signal("-TERM");
        self.end()
    }

    /// Waits until the host has ended.
    pub fn end(mut self) -> Finished {
        let status = eventually("the host ends", PATIENCE, || self.child.try_wait().unwrap().ok_or_else(|| self.log()));
        Finished { code: status.code(), output: self.log() }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            eprintln!("--- the host's log:\n{}", self.log());
        }
    }
}

fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
