//! Compiling in a process of its own, which can be given up.
//!
//! ```text
//! host ──component──▶ helper: limits itself, compiles ──code──▶ compile cache ──▶ host loads it
//!   └──────────────── kills it when its time is up ─────┘
//! ```
//!
//! A component of a few KB can keep the compiler busy for minutes, or want gigabytes. A thread can't be given up, and memory is the
//! whole process's; so the helper is a process, which the kernel holds to what it may use. The host never reads what the helper says
//! as code: it finds the code in the cache that both share, under the digest of what it asked for.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};

use rustix::process::{Resource, Rlimit, nice, setrlimit};
use wasmtime::component::Component;
use wasmtime::{Config, Engine, InstanceAllocationStrategy, WasmBacktraceDetails};

use crate::code::Code;
use crate::digest::Digest;
use crate::limits::{CompileLimits, MAX_ARTIFACT_BYTES, MAX_MESSAGE_BYTES, truncated};
use crate::reasons::ArtifactError;

/// The host's stack that one call may use. Lanes have 2 MiB; the rest is for the host's own frames.
const MAX_WASM_STACK: usize = 512 << 10;

/// Frames that a trap's report names. The innermost say what was being done; more is noise in one sentence.
const BACKTRACE_FRAMES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(15);

/// Multiple of its processor time after which the helper is killed: it may have to wait for a core, but not for ever.
const CLOCK_FACTOR: u32 = 4;

/// The steps that the helper goes back when cores are scarce (`nice`): records that flow come before an operator that is not yet needed.
const NICENESS: i32 = 10;

/// The most bytes that the helper's last words may have.
const MAX_WORDS: u64 = 64 << 10;

/// A program that reads a component from its standard input and calls [`compile_within`] with it. It ends with 0 once the code is in
/// the cache; else it says why not on its standard error.
#[derive(Debug, Clone)]
pub struct Helper {
    /// The program.
    pub program: PathBuf,
    /// Arguments of the program, which tell it the cache and the limits.
    pub arguments: Vec<OsString>,
    /// The limits that the program sets itself.
    pub limits: CompileLimits,
}

/// The reason why a component wasn't compiled.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: ArtifactError,
    /// The component alone took all that it may use: it would again. Else a busy machine may have had a part in it.
    pub(crate) is_its_own: bool,
}

impl Failure {
    fn passing(error: ArtifactError) -> Failure {
        Failure { error, is_its_own: false }
    }
}

impl Helper {
    /// Compiles a component in the helper's process. Blocks until that is done, or given up.
    pub(crate) fn compile(&self, bytes: &[u8]) -> Result<(), Failure> {
        let failed = |error: io::Error| {
            Failure::passing(ArtifactError::Uncompilable(format!("the compiler can't be run: {error}")))
        };
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            // The allocator's arenas are to count when they are used, not when they are reserved.
            .env("MIMALLOC_ARENA_EAGER_COMMIT", "0")
            // Its last words are for the author of the component.
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let words = self.converse(&mut child, bytes);
        let status = child.wait().map_err(failed)?;
        match words {
            None => Err(Failure::passing(self.given_up("time"))),
            Some(words) => self.judge(status, &words),
        }
    }

    /// Gives the child its input; answers what it said until it ended. None: its time was up, and it is killed.
    fn converse(&self, child: &mut Child, bytes: &[u8]) -> Option<String> {
        let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
        std::thread::scope(|scope| {
            let (said, heard) = mpsc::channel();
            scope.spawn(move || {
                let mut words = Vec::new();
                // A child that is gone has said all that it will.
                let _ = stderr.map(|stderr| stderr.take(MAX_WORDS).read_to_end(&mut words));
                let _ = said.send(words);
            });
            scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(bytes)));
            let words = match heard.recv_timeout(self.limits.time.saturating_mul(CLOCK_FACTOR)) {
                Ok(words) => Some(words),
                Err(RecvTimeoutError::Disconnected) => Some(Vec::new()),
                Err(RecvTimeoutError::Timeout) => None,
            };
            if words.is_none() {
                // It may have ended just now.
                let _ = child.kill();
            }
            words.map(|words| String::from_utf8_lossy(&words).trim().to_owned())
        })
    }

    fn judge(&self, status: ExitStatus, words: &str) -> Result<(), Failure> {
        use std::os::unix::process::ExitStatusExt;
        let own = |what| Failure { error: self.given_up(what), is_its_own: true };
        let uncompilable = |why| Failure::passing(ArtifactError::Uncompilable(truncated(why, MAX_MESSAGE_BYTES)));
        match (status.success(), status.signal()) {
            (true, _) => Ok(()),
            // The kernel ends what has used up its processor time, first by asking.
            (_, Some(SIGXCPU)) => Err(own("time")),
            // Or a machine without memory does, or a person.
            (_, Some(SIGKILL)) => Err(Failure::passing(self.given_up("time"))),
            // Rust's allocator ends what gets no memory.
            (_, Some(SIGABRT)) if words.contains("memory allocation") => Err(own("memory")),
            (_, Some(signal)) => Err(uncompilable(format!("the compiler died of signal {signal}: {words}"))),
            (_, None) => {
                let words = truncated(words.to_owned(), MAX_MESSAGE_BYTES);
                Err(Failure::passing(ArtifactError::uncompilable(words)))
            }
        }
    }

    fn given_up(&self, what: &'static str) -> ArtifactError {
        ArtifactError::TooHard { what, limits: self.limits }
    }
}

const SIGABRT: i32 = 6;
const SIGKILL: i32 = 9;
const SIGXCPU: i32 = 24;

/// The helper's part: holds this process to the limits, then compiles what `component` gives into the cache in this directory.
///
/// # Errors
///
/// A sentence for whoever made the component. A process that reaches a limit is ended.
pub fn compile_within(cache_dir: &Path, limits: CompileLimits, component: impl Read) -> Result<(), String> {
    limit(limits).map_err(|error| format!("this process can't be limited: {error}"))?;
    let mut bytes = Vec::new();
    let most = MAX_ARTIFACT_BYTES as u64 + 1;
    component.take(most).read_to_end(&mut bytes).map_err(|error| format!("it can't be read: {error}"))?;
    let cache = Code::open(cache_dir).map_err(|error| error.to_string())?;
    let mut config = compiler_config();
    // Nothing runs here.
    config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
    let component = compile(&config, &bytes).map_err(|error| format!("{error:#}"))?;
    cache.keep(&component, Digest::of(&bytes)).map_err(|error| format!("the code can't be kept: {error}"))
}

/// Returns the configuration that the code depends on: the same for the host and for the helper that compiles.
pub(crate) fn compiler_config() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        // Without it every call would go through a scheduler, at four times the cost; no export is async.
        .concurrency_support(false)
        .max_wasm_stack(MAX_WASM_STACK)
        .wasm_backtrace_max_frames(Some(BACKTRACE_FRAMES))
        // Names of functions are enough for a sentence; lines would need the debug information parsed in the host.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .generate_address_map(false);
    config
}

fn compile(config: &Config, bytes: &[u8]) -> wasmtime::Result<Component> {
    Component::from_binary(&Engine::new(config)?, bytes)
}

fn limit(limits: CompileLimits) -> io::Result<()> {
    let at_most = |most: u64, at_last: u64| Rlimit { current: Some(most), maximum: Some(at_last) };
    let seconds = limits.time.as_secs().max(1);
    setrlimit(Resource::Cpu, at_most(seconds, seconds + 1))?;
    setrlimit(Resource::Data, at_most(limits.memory, limits.memory))?;
    // A core file of a compiler that ran out of memory is of no use to anybody.
    setrlimit(Resource::Core, at_most(0, 0))?;
    nice(NICENESS)?;
    Ok(())
}
