//! Files that are no operator of this host.

use serde_json::json;
use sluice_e2e::{Host, Pipeline, assembled, metric, toml, zoo_guest};
use sluice_testing::{Guest, components};

use crate::cage::Outcome::Right;
use crate::cage::{self, case};

/// Files by name, with a part of what is said of each.
fn files() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let Guest { module, component } = zoo_guest("transformer");
    let starting = |start| assembled(&components::starting(start));
    vec![
        ("core_module", module, "core module"),
        ("empty", Vec::new(), "empty"),
        ("truncated", component[..component.len() / 2].to_vec(), "cut off or damaged"),
        ("cut_in_the_head", component[..3].to_vec(), "not WebAssembly"),
        ("garbage", b"#!/bin/sh\n".to_vec(), "not WebAssembly"),
        ("wasi", assembled(components::WASI), "wasi:cli/environment@0.2.6, wasi:random/random@0.2.6, now"),
        ("unknown_interface", assembled(components::UNKNOWN_INTERFACE), "sluice:operator/clock@0.1.0"),
        ("other_version_imported", assembled(components::OTHER_VERSION_IMPORTED), "sluice:operator@0.3.0"),
        ("other_version_exported", assembled(components::OTHER_VERSION_EXPORTED), "sluice:operator@1.0.0"),
        ("other_world", assembled(components::OTHER_WORLD), "someone:else/run@1.0.0"),
        ("nothing", assembled(components::NOTHING), "exports nothing"),
        ("other_types", assembled(components::OTHER_TYPES), "not those of sluice:operator"),
        ("no_functions", assembled(components::NO_FUNCTIONS), "not those of sluice:operator"),
        ("other_import_types", assembled(components::OTHER_IMPORT_TYPES), "not those of sluice:operator"),
        ("invalid_code", assembled(components::INVALID), "can't be compiled"),
        ("start_that_traps", starting("unreachable"), "trapped"),
        ("start_that_spins", starting("(loop br 0)"), "ran for more than"),
        ("start_that_hoards", starting("(drop (memory.grow (i32.const 8192)))"), "may have 268435456"),
    ]
}

#[test]
fn a_file_that_is_no_operator_is_refused_with_the_reason_and_its_pipeline_waits_for_another() {
    let site = cage::site(&[]);
    let files = files();
    let cases = [case("", Right)];
    for (name, bytes, _) in &files {
        cage::add(&site, "transformer", &cases, r#"{ n = "int64", t = "utf8" }"#, r#"["n"]"#);
        let text = std::fs::read_to_string(site.path("pipelines/transformer_0.toml")).unwrap();
        let text = text
            .replace("transformer_0", name)
            .replace("operator = \"transformer\"", &format!("operator = \"{name}\""));
        site.write(&site.path("pipelines").join(format!("{name}.toml")), text.as_bytes());
        site.write(&site.path("operators").join(format!("{name}.wasm")), bytes);
    }
    std::fs::remove_file(site.path("pipelines/transformer_0.toml")).unwrap();
    let mut host = Host::start(&site);
    for (name, _, reason) in &files {
        let waiting = host.wait(name, "its operator is refused", is_refused);
        assert_eq!(waiting.count("records"), 0);
        let said = waiting.reason.unwrap();
        assert!(said.contains(reason), "{name}: {said}");
    }
    cage::assert_neighbour_goes_on(&site, &mut host);
    let component = zoo_guest("transformer").component;
    for (name, ..) in &files {
        site.write(&site.path("operators").join(format!("{name}.wasm")), &component);
        host.wait(name, "it runs once there is an operator", |pipeline| pipeline.state == "running");
    }
    assert_eq!(host.terminate().code, Some(0));
}

fn is_refused(pipeline: &Pipeline) -> bool {
    pipeline.state == "waiting" && pipeline.reason.as_ref().is_some_and(|reason| reason.contains("is refused"))
}

/// The processor time of a process's children that have ended, in ticks: what `sluice compile` took.
fn ticks_of_children(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // The fields after the name, of which the first is the third: `cutime` and `cstime` are the 16th and 17th.
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    fields[13..15].iter().map(|field| field.parse::<u64>().unwrap()).sum()
}

/// A component of one function that compilers have a hard time with: every one of its many values is used again far away.
fn bomb() -> Vec<u8> {
    let work: String = (0..BOMB)
        .map(|i| {
            let (from, into) = (i * 7 % LOCALS, i * 13 % LOCALS);
            format!("(local.set {into} (i64.add (local.get {from}) (i64.mul (local.get {into}) (i64.const {i}))))(br_if 0 (i64.eqz (local.get {from})))\n")
        })
        .collect();
    assembled(&format!(
        r#"(component
  (core module $m (func (export "f") (local {}) (block {work})))
  (core instance $i (instantiate $m))
  (func $f (canon lift (core func $i "f")))
  (instance $t (export "open" (func $f)) (export "process" (func $f)))
  (export "sluice:operator/transform@0.1.0" (instance $t)))"#,
        "i64 ".repeat(LOCALS)
    ))
}

/// How many steps its function has, and how many variables.
const BOMB: usize = 60_000;
const LOCALS: usize = 400;

#[test]
fn a_file_that_keeps_the_compiler_busy_or_takes_its_memory_is_given_up_and_the_host_goes_on() {
    let bomb = bomb();
    for (limits, reason) in [
        ("time = '1s'", "compiling it takes more than 1s of processor time"),
        ("memory = '128MiB'", "compiling it takes more than 134217728 bytes of memory"),
    ] {
        let site = cage::site(&[]);
        site.configure(|config| drop(config.insert("compile".into(), toml(limits))));
        cage::add(&site, "transformer", &[case("", Right)], r#"{ n = "int64", t = "utf8" }"#, r#"["n"]"#);
        site.write(&site.path("operators/transformer.wasm"), &bomb);
        let mut host = Host::start(&site);
        // What runs doesn't wait for it, and what is deployed meanwhile neither.
        site.tables().await_rows(metric("gift_sum"), metric("gift_sum").table, json!([["1", 5]]));
        let said = host.wait("transformer_0", "it is refused", is_refused).reason.unwrap();
        assert!(said.contains(reason), "{said}");
        cage::assert_neighbour_goes_on(&site, &mut host);
        assert_eq!(host.terminate().code, Some(0));
        // A restart doesn't pay for it again.
        let mut host = Host::start(&site);
        let said = host.wait("transformer_0", "it is refused", is_refused).reason.unwrap();
        assert!(said.contains(reason), "{said}");
        // On a machine so busy that the clock gave it up, and not its own processor time, it may be tried again.
        if site.path("state/compiled/refused").exists() {
            assert_eq!(ticks_of_children(host.id()), 0, "nothing was compiled");
        }
        assert_eq!(host.terminate().code, Some(0));
    }
}
