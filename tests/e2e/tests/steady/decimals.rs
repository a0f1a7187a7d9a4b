//! Decimals from records through an operator and its states into tables: no digit is lost, and none is made up.

use std::fs;
use std::process::Command;

use serde_json::Value;
use sluice_e2e::{GIFTS, Host, Kind, Metric, Rows, Site, World, guest, ordered, root, sluice, toml};

const AMOUNTS: usize = 100_000;

const TOTALS: Metric =
    Metric { name: "amounts", table: "totals", columns: &[("account", Kind::Integer), ("total", Kind::Decimal)] };

/// Records with what their table must hold, and how many of them are at fault.
struct Case {
    records: Vec<String>,
    expected: Rows,
    faults: u64,
}

impl Case {
    fn of_seed(seed: u32) -> Case {
        let directory = tempfile::tempdir().unwrap();
        let output = Command::new("python3")
            .arg(root().join("tests/oracle/decimals.py"))
            .arg(directory.path())
            .args([seed.to_string(), AMOUNTS.to_string()])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines = |name| -> Vec<String> {
            fs::read_to_string(directory.path().join(name)).unwrap().lines().map(str::to_owned).collect()
        };
        let rows = lines("expected.jsonl").iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let faults = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
        Case { records: lines("records.jsonl"), expected: ordered(rows), faults }
    }

    fn site(world: World) -> Site {
        let site = Site::empty(world, 1);
        site.write(&site.path("operators/amounts.wasm"), &guest("amounts"));
        site.add_pipeline("amounts", "gift_sum", |pipeline| {
            pipeline["source"]["columns"] = toml("account = 'int64'\namount = 'decimal(38, 6)'");
            pipeline["step"][0]["operator"] = "amounts".into();
            pipeline["sink"][0]["table"] = TOTALS.table.into();
            pipeline["sink"][0]["key"] = vec!["account"].into();
            pipeline.insert("on_error".into(), "skip".into());
            if world.has_servers() {
                pipeline["sink"].as_array_mut().unwrap().push(site.topic_sink(TOTALS.table, &["account"]));
            }
        });
        site
    }
}

#[test]
fn sums_of_a_hundred_thousand_amounts_of_up_to_38_digits_are_pythons_and_what_has_more_is_left_out() {
    let case = Case::of_seed(20_261_128);
    for world in [World::Embedded, World::Servers, World::Mysql] {
        let site = Case::site(world);
        let (first, second) = case.records.split_at(case.records.len() / 3);
        site.send(GIFTS, first);
        let mut host = Host::start(&site);
        host.wait("amounts", "it has flushed", |pipeline| pipeline.count("flushes") > 0);
        // Sums that the checkpoint has go on.
        host.kill();
        site.send(GIFTS, second);
        let host = Host::start(&site);
        site.tables().await_table(&TOTALS, &case.expected);
        if world.has_servers() {
            site.published().await_table(&TOTALS, &case.expected);
        }
        assert_eq!(host.terminate().code, Some(0));
    }
}

#[test]
fn amounts_at_fault_are_counted_and_states_are_shown_and_taken_back_with_all_their_digits() {
    let case = Case::of_seed(7);
    let site = Case::site(World::Embedded);
    site.send(GIFTS, &case.records);
    let mut host = Host::start(&site);
    let pipeline =
        host.wait("amounts", "it has read", |pipeline| pipeline.lag() == Some(0) && pipeline.count("pending") == 0);
    assert_eq!(pipeline.count("rejected"), case.faults, "{pipeline:?}");
    assert_eq!(host.terminate().code, Some(0));
    let (config, file) = (site.config(), site.path("exported.jsonl"));
    let state = |arguments: &[&str]| {
        let finished = sluice(&[&["state", "--config", config.to_str().unwrap()], arguments].concat());
        assert_eq!(finished.code, Some(0), "{}", finished.output);
        finished.output
    };
    let exported = state(&["export", "amounts"]);
    fs::write(&file, &exported).unwrap();
    let groups = exported.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let totals: Rows = groups
        .filter(|line| line.get("key").is_some())
        .map(|group| vec![group["key"]["account"].clone(), group["state"]["total"].clone()])
        .collect();
    assert_eq!(ordered(totals), case.expected);
    state(&["reset", "amounts", "--yes"]);
    state(&["import", "amounts", file.to_str().unwrap()]);
    assert_eq!(state(&["export", "amounts"]), exported);
}
