//! The engine that all operators share: how code is compiled, where instances live, what they are linked to.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sluice_core::operator::Interrupt;
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::artifact::Artifact;
use crate::boundary;
use crate::code::Code;
use crate::compiling::{Helper as CompileHelper, compiler_config};
use crate::digest::Digest;
use crate::guest::Guest;
use crate::limits::{Limits, MAX_CORE_INSTANCES, MAX_MEMORIES, MAX_TABLE_ELEMENTS, MAX_TABLES};
use crate::loaded::{Gate, Loaded};
use crate::reasons::{ArtifactError, RuntimeError};
use crate::refusals::Refusals;
use crate::running::{Running, StartError};
use crate::ticker::Ticker;
use crate::together::{Together, default_host_memory};

/// Instances at one time, unless the configuration says otherwise: one for each operator of each lane, and one more
/// while a swap opens the next. A slot reserves 4 GiB of addresses, of which 128 TiB exist, and no memory.
pub const DEFAULT_INSTANCES: u32 = 256;

/// Slots whose memory image stays mapped after their instance went, so that a renewed instance finds it. Each costs
/// the pages that the image shares with its artifact, none of its own.
const WARM_SLOTS: u32 = 16;

/// The artifacts that are known to compile within their limits. Fewer: a host that swaps all day asks the helper again. More: a
/// directory full of empty files.
const MAX_KNOWN: usize = 1_024;

/// The memory that an artifact's trial instance may have: more than any interpreter begins with, since a pipeline may
/// raise its own limit, and little enough for a hostile start not to fill the machine.
const TRIAL_MEMORY: usize = 256 << 20;

/// The settings of a runtime.
#[derive(Debug, Clone)]
pub struct RuntimeConfig {
    /// The directory where compiled code is kept, so that a warm start loads an operator in milliseconds; made if it isn't there.
    /// None: each start compiles. What is damaged in it is compiled anew; what somebody puts there on purpose is run, so nobody else
    /// may write there.
    pub cache_dir: Option<PathBuf>,
    /// The helper that compiles what isn't in the cache, so that it can be given up. None, or without a cache: this process
    /// itself, however long that takes and whatever memory.
    pub helper: Option<CompileHelper>,
    /// Instances that there may be at one time.
    pub instances: u32,
    /// Bytes of linear memory that all instances together may have.
    pub memory: usize,
    /// Says whether a call ends when its time is up. Off, one that never returns holds its thread for good: that is only for measuring
    /// what the checks in the code cost.
    pub deadlines: bool,
}

impl Default for RuntimeConfig {
    fn default() -> RuntimeConfig {
        RuntimeConfig {
            cache_dir: None,
            helper: None,
            instances: DEFAULT_INSTANCES,
            memory: default_host_memory(),
            deadlines: true,
        }
    }
}

/// Compiles operators, and holds what their instances share. One for each process: its pool is sized for the host.
pub struct Runtime {
    linker: Linker<Guest>,
    ticker: Arc<Ticker>,
    together: Arc<Together>,
    cache: Option<Code>,
    helper: Option<Helper>,
    loaded: Loaded,
}

/// Helper that compiles new artifacts, with the refusals of earlier ones.
struct Helper {
    helper: CompileHelper,
    known: Known,
    refusals: Refusals,
    gate: Gate,
}

impl Runtime {
    /// An engine with its clock, its pool of instances and its compile cache.
    pub fn new(config: RuntimeConfig) -> Result<Runtime, RuntimeError> {
        let cache = config.cache_dir.as_deref().map(Code::open).transpose()?;
        let engine =
            Engine::new(&engine_config(&config)).map_err(|error| RuntimeError::Engine(format!("{error:#}")))?;
        let linker = boundary::linker(&engine).map_err(|error| RuntimeError::Engine(format!("{error:#}")))?;
        let ticker = Arc::new(Ticker::start(&engine)?);
        let known = config.cache_dir.as_deref().map(|path| (path, Known::new(path, &engine)));
        let helper = config.helper.zip(known).map(|(helper, (path, known))| {
            let refusals = Refusals::new(path.join("refused"), known.compiler, helper.limits);
            Helper { helper, known, refusals, gate: Gate::default() }
        });
        let together = Arc::new(Together::new(config.memory));
        Ok(Runtime { linker, ticker, together, cache, helper, loaded: Loaded::default() })
    }

    /// Checks that these bytes are an operator that this host can run, and compiles them (or takes the code from the
    /// cache, or the artifact that somebody has of the same bytes). Blocks for 10 ms a component of 20 kB to seconds for an
    /// interpreter, on all cores: keep it off lanes. Bytes that the compiler was given up over are refused at once.
    pub fn compile(&self, bytes: &[u8]) -> Result<Artifact, ArtifactError> {
        self.loaded.get_or(Digest::of(bytes), || {
            let compile = |digest| self.component(digest, bytes);
            let artifact = Artifact::compile(&self.linker, &self.ticker, &self.together, bytes, compile)?;
            try_out(&artifact)?;
            Ok(artifact)
        })
    }

    /// The code from the cache, where the helper may have to put it first; else compiled here.
    fn component(&self, digest: Digest, bytes: &[u8]) -> Result<Component, ArtifactError> {
        let engine = self.linker.engine();
        let cached = || self.cache.as_ref().and_then(|code| code.load(engine, digest));
        if let Some(component) = cached() {
            return Ok(component);
        }
        if let Some(helper) = &self.helper {
            helper.warm(digest, bytes)?;
            if let Some(component) = cached() {
                return Ok(component);
            }
        }
        let component = Component::from_binary(engine, bytes);
        let component = component.map_err(|error| ArtifactError::uncompilable(format!("{error:#}")))?;
        if let Some(Err(error)) = self.cache.as_ref().map(|code| code.keep(&component, digest)) {
            tracing::warn!("compiled code isn't kept, and is compiled again at the next start: {error}");
        }
        Ok(component)
    }

    /// Forgets that the compiler was given up over these bytes, if it was: the next to ask has it try again.
    pub fn forget_refusal(&self, bytes: &[u8]) {
        if let Some(helper) = &self.helper {
            helper.refusals.forget(Digest::of(bytes));
        }
    }

    /// The number of artifacts that needed no compiling since the start, as the cache had their code.
    pub fn cache_hits(&self) -> usize {
        self.cache.as_ref().map_or(0, Code::hits)
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").field("cache", &self.cache).finish_non_exhaustive()
    }
}

impl Helper {
    /// Brings the code into the cache, unless it was there before.
    fn warm(&self, digest: Digest, bytes: &[u8]) -> Result<(), ArtifactError> {
        if self.known.has(digest) {
            return Ok(());
        }
        if let Some(refused) = self.refusals.of(digest) {
            return Err(refused);
        }
        let _place = self.gate.enter();
        let compiled = self.helper.compile(bytes);
        match &compiled {
            Ok(()) => self.known.add(digest),
            Err(failure) if failure.is_its_own => self.refusals.add(digest, &failure.error),
            Err(_) => {}
        }
        compiled.map_err(|failure| failure.error)
    }
}

/// The artifacts that were compiled within their limits before, by this very compiler: a file for each, beside the cache. The cache may
/// have dropped their code meanwhile; they are compiled again without a helper, as they are known to be harmless.
struct Known {
    directory: PathBuf,
    compiler: u64,
}

impl Known {
    fn new(cache_dir: &Path, engine: &Engine) -> Known {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Known { directory: cache_dir.join("known"), compiler: hasher.finish() }
    }

    fn has(&self, artifact: Digest) -> bool {
        self.file(artifact).exists()
    }

    /// Notes one. An artifact that can't be noted is compiled by the helper again.
    fn add(&self, artifact: Digest) {
        let note = || {
            if std::fs::read_dir(&self.directory).is_ok_and(|known| known.count() >= MAX_KNOWN) {
                std::fs::remove_dir_all(&self.directory)?;
            }
            std::fs::create_dir_all(&self.directory)?;
            std::fs::write(self.file(artifact), b"")
        };
        if let Err(error) = note() {
            tracing::warn!("{}: {error}", self.directory.display());
        }
    }

    fn file(&self, artifact: Digest) -> PathBuf {
        self.directory.join(format!("{artifact}-{:016x}", self.compiler))
    }
}

/// The types of exports are known only to an instance, and a broken one is better refused now than when a pipeline
/// opens it.
fn try_out(artifact: &Artifact) -> Result<(), ArtifactError> {
    let limits = Limits { memory: TRIAL_MEMORY, ..Limits::default() };
    // A moment's memory, whatever the others have: that the host is full says nothing of the file.
    let together = Arc::new(Together::new(TRIAL_MEMORY));
    match Running::start(artifact.compiled(), "", &limits, &together, &Interrupt::default()) {
        Ok(_) => Ok(()),
        Err(StartError::OtherTypes(reason)) => Err(ArtifactError::OtherTypes(reason)),
        Err(StartError::NoRoom(reason)) => Err(ArtifactError::Unstartable(reason)),
        Err(StartError::Failed(error)) => Err(ArtifactError::Unstartable(error.to_string())),
    }
}

fn engine_config(runtime: &RuntimeConfig) -> Config {
    let mut config = compiler_config();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(runtime.instances)));
    config.epoch_interruption(runtime.deadlines);
    config
}

/// The pool reserves addresses once, so that making an instance is a handful of microseconds. All counts bound
/// addresses and bookkeeping; memory is taken as an instance touches it and given back when the instance goes.
fn pool(instances: u32) -> PoolingAllocationConfig {
    let each = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        // Few components have more than one memory or two tables; those that do take their neighbours' room.
        .total_memories(instances)
        .total_tables(instances.saturating_mul(4))
        .total_core_instances(instances.saturating_mul(8))
        .max_core_instances_per_component(each(MAX_CORE_INSTANCES))
        .max_memories_per_component(each(MAX_MEMORIES))
        .max_tables_per_component(each(MAX_TABLES))
        .table_elements(MAX_TABLE_ELEMENTS)
        .max_unused_warm_slots(WARM_SLOTS)
        // Instances live for days: memory of one that went is worth more to the system than to the next one.
        .linear_memory_keep_resident(0)
        .table_keep_resident(0);
    pool
}
