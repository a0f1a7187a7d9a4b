//! Compiled code is kept between processes.

use std::ffi::OsString;
use std::time::Duration;

use sluice_core::operator::Operator;
use sluice_runtime::{
    ArtifactError, CompileHelper, CompileLimits, Limits, Runtime, RuntimeConfig, RuntimeError, compile_within,
};

use crate::guests::{columns, config, fields, guest, rows};

fn runtime(directory: &std::path::Path) -> Result<Runtime, RuntimeError> {
    Runtime::new(RuntimeConfig { cache_dir: Some(directory.to_owned()), ..RuntimeConfig::default() })
}

#[test]
fn a_second_start_takes_the_code_from_the_cache_and_it_runs() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path().join("not/yet/there");
    let component = guest("transformer").component;
    let cold = runtime(&directory).unwrap();
    cold.compile(&component).unwrap();
    assert_eq!(cold.cache_hits(), 0);
    let warm = runtime(&directory).unwrap();
    let artifact = warm.compile(&component).unwrap();
    assert_eq!(warm.cache_hits(), 1);
    let mut instance = artifact.open(&config("echo"), &fields(), &Limits::default(), "zoo").unwrap();
    assert_eq!(instance.process(columns(&rows())).unwrap().columns, rows());
}

#[test]
fn a_cache_that_is_damaged_is_compiled_over() {
    let directory = tempfile::tempdir().unwrap();
    let component = guest("transformer").component;
    runtime(directory.path()).unwrap().compile(&component).unwrap();
    overwrite_all(directory.path());
    let again = runtime(directory.path()).unwrap();
    again.compile(&component).unwrap();
    assert_eq!(again.cache_hits(), 0);
}

fn overwrite_all(directory: &std::path::Path) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { overwrite_all(&path) } else { std::fs::write(path, b"damaged").unwrap() }
    }
}

/// A byte here and there: whatever it is, it isn't run.
#[test]
fn compiled_code_with_a_changed_byte_is_never_run() {
    let directory = tempfile::tempdir().unwrap();
    let component = guest("transformer").component;
    runtime(directory.path()).unwrap().compile(&component).unwrap();
    let native = directory.path().join("native");
    let file = std::fs::read_dir(&native).unwrap().next().unwrap().unwrap().path();
    let whole = std::fs::read(&file).unwrap();
    let host = runtime(directory.path()).unwrap();
    for at in (0..12).map(|part| part * (whole.len() - 1) / 11) {
        let mut changed = whole.clone();
        changed[at] ^= 0x40;
        std::fs::write(&file, &changed).unwrap();
        let artifact = host.compile(&component).unwrap();
        assert_eq!(host.cache_hits(), 0, "byte {at}");
        let mut instance = artifact.open(&config("echo"), &fields(), &Limits::default(), "zoo").unwrap();
        assert_eq!(instance.process(columns(&rows())).unwrap().columns, rows());
        // The code was written anew; that of another artifact under this name is none.
        assert_eq!(std::fs::read(&file).unwrap().len(), whole.len());
    }
    host.compile(&component).unwrap();
    assert_eq!(host.cache_hits(), 1);
}

#[test]
fn code_of_another_artifact_under_an_artifacts_name_is_not_run() {
    let directory = tempfile::tempdir().unwrap();
    let components = ["transformer", "aggregator"].map(|name| guest(name).component);
    let host = runtime(directory.path()).unwrap();
    components.iter().for_each(|component| drop(host.compile(component).unwrap()));
    let native = directory.path().join("native");
    let files: Vec<_> = std::fs::read_dir(&native).unwrap().map(|entry| entry.unwrap().path()).collect();
    std::fs::copy(&files[0], &files[1]).unwrap();
    let again = runtime(directory.path()).unwrap();
    let worlds = components.map(|component| again.compile(&component).unwrap().world());
    assert_ne!(worlds[0], worlds[1]);
    assert_eq!(again.cache_hits(), 1);
}

#[test]
fn a_cache_that_can_not_be_made_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = runtime(file.path()).unwrap_err();
    assert!(error.to_string().contains(&file.path().display().to_string()), "{error}");
}

/// A runtime whose helper runs this script instead of compiling.
fn helped(directory: &std::path::Path, script: &str, time: Duration) -> Runtime {
    let arguments = ["-c", script].map(OsString::from).to_vec();
    let limits = CompileLimits { time, ..CompileLimits::default() };
    let helper = Some(CompileHelper { program: "/bin/sh".into(), arguments, limits });
    let cache_dir = Some(directory.to_owned());
    Runtime::new(RuntimeConfig { cache_dir, helper, ..RuntimeConfig::default() }).unwrap()
}

#[test]
fn what_becomes_of_a_helper_is_said_of_the_artifact() {
    let component = guest("transformer").component;
    let answer = |script: &str, time| {
        let directory = tempfile::tempdir().unwrap();
        helped(directory.path(), script, time).compile(&component).unwrap_err()
    };
    let (minute, no_time) = (Duration::from_secs(60), Duration::from_millis(5));
    let given_up = |error: ArtifactError| match error {
        ArtifactError::TooHard { what, .. } => what,
        other => panic!("{other}"),
    };
    assert_eq!(given_up(answer("exec sleep 600", no_time)), "time");
    assert_eq!(given_up(answer("cat > /dev/null; kill -XCPU $$", minute)), "time");
    assert_eq!(given_up(answer("echo memory allocation of 7 bytes failed >&2; kill -ABRT $$", minute)), "memory");
    let said = |script| match answer(script, minute) {
        ArtifactError::Uncompilable(said) => said,
        other => panic!("{other}"),
    };
    assert_eq!(said("echo ' it has no end ' >&2; exit 1"), "it has no end");
    assert!(said("kill -SEGV $$").contains("died of signal 11"));
}

#[test]
fn an_artifact_that_was_compiled_within_its_limits_needs_no_helper_again() {
    let directory = tempfile::tempdir().unwrap();
    let component = guest("transformer").component;
    let runs = directory.path().join("runs");
    let script = format!("cat > /dev/null; echo once >> {}", runs.display());
    for _ in 0..2 {
        helped(directory.path(), &script, Duration::from_secs(60)).compile(&component).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&runs).unwrap(), "once\n");
}

#[test]
fn bytes_that_the_compiler_was_given_up_over_are_refused_at_once_until_something_is_other() {
    let directory = tempfile::tempdir().unwrap();
    let component = guest("transformer").component;
    let runs = directory.path().join("runs");
    let compile = |how: &str, time| {
        let script = format!("cat > /dev/null; echo -n . >> {}; {how}", runs.display());
        let runtime = helped(directory.path(), &script, Duration::from_secs(time));
        (runtime.compile(&component).err(), std::fs::read_to_string(&runs).unwrap().len(), runtime)
    };
    let too_hard = |error: Option<ArtifactError>| matches!(error, Some(ArtifactError::TooHard { what: "time", .. }));
    // What a busy machine may have had a part in is tried again.
    for number in 1..3 {
        let (error, ran, _) = compile("kill -KILL $$", 60);
        assert!(too_hard(error) && ran == number);
    }
    for _ in 0..3 {
        let (error, ran, _) = compile("kill -XCPU $$", 60);
        assert!(too_hard(error) && ran == 3, "{ran}");
    }
    let (error, ran, _) = compile("kill -XCPU $$", 61);
    assert!(too_hard(error) && ran == 4, "other limits: {ran}");
    let (error, ran, runtime) = compile("exit 0", 60);
    assert!(too_hard(error) && ran == 4, "{ran}");
    runtime.forget_refusal(&component);
    runtime.compile(&component).unwrap();
    assert_eq!(std::fs::read_to_string(&runs).unwrap().len(), 5);
}

#[test]
fn the_same_bytes_are_compiled_once_however_many_ask_and_few_are_compiled_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let component = guest("transformer").component;
    let place = directory.path().display();
    // Each is a file while it runs, and says how many there were.
    let script = format!(
        "cat > /dev/null; mkdir -p {place}/at; touch {place}/at/$$; ls {place}/at | wc -l >> {place}/runs; sleep 0.1; \
         rm {place}/at/$$"
    );
    let runtime = helped(directory.path(), &script, Duration::from_secs(60));
    let ran = || std::fs::read_to_string(directory.path().join("runs")).unwrap();
    let all = |many: usize, bytes: &(dyn Fn(usize) -> Vec<u8> + Sync)| -> Vec<sluice_runtime::Artifact> {
        std::thread::scope(|scope| {
            let runtime = &runtime;
            let threads: Vec<_> =
                (0..many).map(|number| scope.spawn(move || runtime.compile(&bytes(number)).unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    };
    let kept = all(8, &|_| component.clone());
    assert_eq!(ran().lines().count(), 1);
    drop(kept);
    // Others, by a custom section that says nothing: id 0, its size, the size of its name, a name.
    all(12, &|number| [&component[..], &[0, 2, 1, b'a' + number as u8]].concat());
    assert_eq!(ran().lines().count(), 13);
    let most = ran().lines().map(|line| line.trim().parse::<usize>().unwrap()).max();
    assert!(most <= Some(4) && most > Some(1), "{most:?}");
}

#[test]
fn a_helper_leaves_its_code_where_the_host_finds_it() {
    let directory = tempfile::tempdir().unwrap();
    let component = guest("transformer").component;
    // This very process is the helper here, and stays limited: to more than the tests take.
    let limits = CompileLimits { time: Duration::from_secs(3_600), memory: 1 << 40 };
    compile_within(directory.path(), limits, component.as_slice()).unwrap();
    let host = runtime(directory.path()).unwrap();
    host.compile(&component).unwrap();
    assert_eq!(host.cache_hits(), 1);
}
