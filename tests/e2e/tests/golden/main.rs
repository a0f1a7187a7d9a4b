//! The golden cases of `tests/golden`: each pipeline's records and the one table that they must end in, however they are
//! cut into partitions and batches, and whatever happens on the way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::thread;

use serde_json::Value;
use sluice_e2e::{Host, Metric, Rows, Site, World, guest, metric, ordered, rebuilt, root, sluice, toml};

/// A pipeline's case: the records of its topic in their order, and the rows of its table.
struct Case {
    metric: &'static Metric,
    topic: String,
    /// The operator of its last step.
    operator: String,
    records: Vec<String>,
    expected: Rows,
}

fn cases() -> Vec<Case> {
    let directory = root().join("tests/golden");
    let mut names: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let cases: Vec<Case> = names.into_iter().filter(|path| path.is_dir()).map(|path| case(&path)).collect();
    assert!(!cases.is_empty());
    cases
}

fn case(path: &std::path::Path) -> Case {
    let name = path.file_name().unwrap().to_str().unwrap();
    let pipeline = fs::read_to_string(root().join("pipelines").join(format!("{name}.toml"))).unwrap();
    let pipeline: ::toml::Table = pipeline.parse().unwrap();
    let topic = pipeline["source"]["topic"].as_str().unwrap().to_owned();
    let operator = pipeline["step"].as_array().unwrap().last().unwrap()["operator"].as_str().unwrap().to_owned();
    let lines = |file| fs::read_to_string(path.join(file)).unwrap().lines().map(str::to_owned).collect::<Vec<_>>();
    let rows = lines("expected.jsonl").iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    Case { metric: metric(name), topic, operator, records: lines("records.jsonl"), expected: ordered(rows) }
}

impl Case {
    /// A site with this pipeline alone, in batches of at most so many rows.
    fn site(&self, partitions: usize, batch: usize) -> Site {
        self.site_with(partitions, batch, "upsert")
    }

    /// The same, whose rows are delivered so.
    fn site_with(&self, partitions: usize, batch: usize, delivery: &str) -> Site {
        let site = Site::empty(World::Embedded, i32::try_from(partitions).unwrap());
        site.add_pipeline(self.metric.name, self.metric.name, |pipeline| {
            pipeline["source"].as_table_mut().unwrap().insert("batch".into(), toml(&format!("rows = {batch}")));
            pipeline["sink"][0]["flush"] = toml("rows = 5\ninterval = '20ms'");
            pipeline["sink"][0].as_table_mut().unwrap().insert("delivery".into(), delivery.into());
            // A partition of a case is never idle, however slow the machine is.
            if let Some(window) = pipeline["step"].as_array_mut().and_then(|steps| steps.last_mut()?.get_mut("window"))
            {
                window.as_table_mut().unwrap().insert("idle_after".into(), "1d".into());
            }
        });
        (0..partitions).for_each(|partition| site.append(&self.topic, partition, &[] as &[&str]));
        site
    }

    /// Appends some of the records. A user's are in one partition, so that "the latest" is defined for every key.
    fn send(&self, site: &Site, partitions: usize, records: &[String]) {
        let mut by_partition: BTreeMap<usize, Vec<&String>> = BTreeMap::new();
        for record in records {
            let user = serde_json::from_str::<Value>(record).ok().and_then(|record| record["user_id"].as_i64());
            let partition = usize::try_from(user.unwrap_or(0).unsigned_abs()).unwrap() % partitions;
            by_partition.entry(partition).or_default().push(record);
        }
        by_partition.iter().for_each(|(partition, records)| site.append(&self.topic, *partition, records));
    }

    fn assert_equal_when_cut(&self, partitions: usize, batch: usize) {
        let site = self.site(partitions, batch);
        self.send(&site, partitions, &self.records);
        catch_up(&site);
        self.assert_equal(&site, &format!("{partitions} partitions, batches of {batch}"));
    }

    fn assert_equal(&self, site: &Site, how: &str) {
        let rows = site.tables().rows(self.metric, self.metric.table).unwrap();
        assert_eq!(rows, self.expected, "{}, {how}", self.metric.name);
    }
}

fn catch_up(site: &Site) {
    let config = site.config();
    let finished = sluice(&["run".as_ref(), "--until-caught-up".as_ref(), "--config".as_ref(), config.as_os_str()]);
    assert_eq!(finished.code, Some(0), "{}", finished.output);
}

#[test]
fn every_case_ends_in_its_table_however_it_is_cut() {
    for case in cases() {
        // Side by side: a host that has so little to do waits for most of its time.
        thread::scope(|scope| {
            for partitions in [1, 3, 7] {
                let case = &case;
                scope.spawn(move || {
                    for batch in [1, 7, 8_192] {
                        case.assert_equal_when_cut(partitions, batch);
                    }
                });
            }
        });
    }
}

#[test]
fn every_case_ends_in_its_table_after_a_kill_at_any_flush() {
    ends_in_its_table_after_a_kill_at_any_flush("upsert");
}

#[test]
fn every_case_ends_in_its_table_after_a_kill_at_any_flush_in_transactions() {
    ends_in_its_table_after_a_kill_at_any_flush("transaction");
}

fn ends_in_its_table_after_a_kill_at_any_flush(delivery: &str) {
    for case in cases() {
        for flushes in 1..=4 {
            let site = case.site_with(3, 7, delivery);
            let mut host = Host::start(&site);
            // One part for each flush, so that there are so many.
            let parts = case.records.chunks(case.records.len().div_ceil(6));
            for (number, part) in parts.enumerate() {
                case.send(&site, 3, part);
                if number < flushes {
                    let wanted = number as u64 + 1;
                    host.wait(case.metric.name, "it has flushed", |pipeline| pipeline.count("flushes") >= wanted);
                } else if number == flushes {
                    host.kill();
                    host = Host::start(&site);
                }
            }
            host.kill();
            catch_up(&site);
            case.assert_equal(&site, &format!("killed after flush {flushes}"));
        }
    }
}

/// Swaps the case's operator in the middle, with a trial that ends soon or is cut off by a kill.
fn assert_right_after_a_swap(case: &Case, operator: impl Fn(&[u8]) -> Vec<u8>, how: &str) {
    assert_right_after_a_swap_from(case, None, operator, how);
}

/// The same, beginning with this operator instead of the repository's.
fn assert_right_after_a_swap_from(case: &Case, first: Option<&[u8]>, operator: impl Fn(&[u8]) -> Vec<u8>, how: &str) {
    for (probation, killed) in [("rows = 0", false), ("time = '20ms'", false), ("time = '1h'", true)] {
        let site = case.site(3, 7);
        site.edit_pipeline(case.metric.name, |pipeline| {
            pipeline.insert("probation".into(), toml(probation));
        });
        let file = site.path("operators").join(format!("{}.wasm", case.operator));
        first.into_iter().for_each(|first| site.write(&file, first));
        let mut host = Host::start(&site);
        let (earlier, second) = case.records.split_at(case.records.len() / 2);
        case.send(&site, 3, earlier);
        host.wait(case.metric.name, "it has flushed", |pipeline| pipeline.count("flushes") > 0);
        site.write(&file, &operator(&fs::read(&file).unwrap()));
        host.wait(case.metric.name, "the new one runs", |pipeline| {
            pipeline.operator.as_ref().is_some_and(|operator| operator.generation == 2)
        });
        case.send(&site, 3, second);
        host.wait(case.metric.name, "it has read", |pipeline| pipeline.lag() == Some(0));
        if killed {
            host.kill()
        } else {
            drop(host.terminate())
        }
        catch_up(&site);
        case.assert_equal(&site, &format!("{how}, {probation}"));
    }
}

#[test]
fn every_case_ends_in_its_table_after_a_swap_to_another_build() {
    for case in cases() {
        assert_right_after_a_swap(&case, |component| rebuilt(component, 1), "another build");
    }
}

/// The operator as it was built for version 0.1 of the contract, if it is one that is kept.
fn of_contract_0_1(operator: &str) -> Option<Vec<u8>> {
    fs::read(root().join("tests/contract/0.1").join(format!("{operator}.wasm"))).ok()
}

#[test]
fn operators_of_contract_0_1_end_in_the_same_tables_and_swap_with_those_of_today_both_ways_with_their_states() {
    let mut tried = 0;
    for case in cases() {
        let Some(older) = of_contract_0_1(&case.operator) else { continue };
        tried += 1;
        let site = case.site(3, 7);
        let file = site.path("operators").join(format!("{}.wasm", case.operator));
        let today = fs::read(&file).unwrap();
        site.write(&file, &older);
        case.send(&site, 3, &case.records);
        catch_up(&site);
        case.assert_equal(&site, "of contract 0.1");
        assert_right_after_a_swap(&case, |_| older.clone(), "to contract 0.1");
        assert_right_after_a_swap_from(&case, Some(&older), |_| today.clone(), "from contract 0.1");
    }
    assert!(tried >= 4, "{tried}");
}

#[test]
fn the_kept_operators_are_of_contract_0_1_and_those_of_today_of_0_2() {
    let contract = |file: PathBuf| {
        let finished = sluice(&["inspect".as_ref(), file.as_os_str(), "--json".as_ref()]);
        assert_eq!(finished.code, Some(0), "{}", finished.output);
        serde_json::from_str::<Value>(&finished.output).unwrap()["contract"].clone()
    };
    for kept in fs::read_dir(root().join("tests/contract/0.1")).unwrap().map(|entry| entry.unwrap()) {
        assert_eq!(contract(kept.path()), "0.1.0", "{kept:?}");
        assert_eq!(contract(root().join("dist/operators").join(kept.file_name())), "0.2.0", "{kept:?}");
    }
}

#[test]
fn a_case_ends_in_its_table_after_a_swap_to_a_version_with_another_state() {
    let case = cases().into_iter().find(|case| case.metric.name == "gift_sum").unwrap();
    let versioned = guest("gift_sum_versioned");
    assert_right_after_a_swap(&case, |_| versioned.clone(), "another state");
}

#[test]
fn every_pipeline_has_a_case() {
    let pipelines = fs::read_dir(root().join("pipelines")).unwrap();
    for pipeline in pipelines {
        let name = pipeline.unwrap().path().file_stem().unwrap().to_owned();
        assert!(root().join("tests/golden").join(&name).is_dir(), "{} has no golden case", name.display());
    }
}

#[test]
fn a_case_that_restarts_reads_nothing_twice() {
    let case = cases().into_iter().find(|case| case.metric.name == "gift_sum").unwrap();
    let site = case.site(1, 8_192);
    case.send(&site, 1, &case.records);
    catch_up(&site);
    let config = site.config();
    let again = sluice(&["run".as_ref(), "--until-caught-up".as_ref(), "--config".as_ref(), config.as_os_str()]);
    assert!(again.output.contains("gift_sum: 0 records, 0 rows"), "{}", again.output);
}
