//! Several hosts that read a topic as the same group, each with a state of its own.

use std::thread;

use sluice_e2e::{
    Corpus, ENTRIES, GIFTS, Host, Metric, PATIENCE, Rows, Seat, Site, World, await_rows_of_either, digest, eventually,
    expected_of, guest, metric, rebuilt, toml,
};

/// A host that isn't heard of for so long is expelled: as short as a broker lets it be.
const SESSION: &str = "kafka = { properties = { 'session.timeout.ms' = '6000' } }";

/// A pipeline and the records for it, for hosts to come and go.
struct Group {
    metric: &'static Metric,
    topic: &'static str,
    corpus: Corpus,
    site: Site,
}

impl Group {
    fn new(name: &str, topic: &'static str, corpus: Corpus, partitions: i32) -> Group {
        let site = Site::empty(World::Servers, partitions);
        site.add_pipeline(name, name, |_| {});
        Group { metric: metric(name), topic, corpus, site }
    }

    fn seat(&self, name: &str) -> Seat {
        self.site.seat_of(name, |config| {
            let properties = toml(SESSION)["kafka"]["properties"].clone();
            let kafka = config["connections"]["events"]["kafka"].as_table_mut().unwrap();
            kafka.insert("properties".to_owned(), properties);
        })
    }

    fn load(&self, from: f64, to: f64) {
        self.corpus.load(self.topic, self.site.topic(self.topic), from, to);
    }

    /// Does something while records come.
    fn under_load<T>(&self, from: f64, to: f64, work: impl FnOnce() -> T) -> T {
        thread::scope(|scope| {
            let loading = scope.spawn(|| self.load(from, to));
            let done = work();
            loading.join().unwrap();
            done
        })
    }

    /// Waits until every partition is read by exactly one of these hosts, and each of them reads some.
    fn await_shared(&self, hosts: &mut [&mut Host], partitions: usize) {
        eventually("the hosts share the partitions", PATIENCE, || {
            let mut all = Vec::new();
            for host in hosts.iter_mut() {
                host.assert_runs();
                let status = host.status()?;
                let mine = &status.pipeline(self.metric.name)?.partitions;
                if mine.is_empty() {
                    return Err(format!("{status:?}"));
                }
                all.extend_from_slice(mine);
            }
            all.sort_unstable();
            let every: Vec<i32> = (0..).take(partitions).collect();
            (all == every).then_some(()).ok_or_else(|| format!("{all:?}"))
        });
    }

    fn await_running(&self, host: &mut Host) {
        host.wait(self.metric.name, "it has the partitions", |pipeline| {
            pipeline.state == "running" && !pipeline.partitions.is_empty()
        });
    }

    /// Waits until the host holds since another one has the partitions, and says which one.
    fn await_held_by(&self, host: &mut Host, other: &Host) {
        let name = format!(":{} (from", other.id());
        host.wait(self.metric.name, &format!("it holds and names the process {}", other.id()), |pipeline| {
            pipeline.state == "holding" && pipeline.reason.as_ref().is_some_and(|reason| reason.contains(&name))
        });
    }

    /// What the table must hold for the records of each partition up to this fraction.
    fn expected(&self, to: f64) -> Rows {
        let part = self.corpus.part(to);
        expected_of(&[*self.metric], part.path(), &[]).remove(0)
    }

    fn await_right(&self) {
        let expected = expected_of(&[*self.metric], &self.corpus.topics(), &[]);
        self.site.tables().await_table(self.metric, &expected[0]);
    }
}

fn terminate(host: Host) {
    let finished = host.terminate();
    assert_eq!(finished.code, Some(0), "{}", finished.output);
}

fn transform() -> Group {
    Group::new("live_cleanup", ENTRIES, Corpus::generate(31, 60_000, 1, 4), 4)
}

fn fold() -> Group {
    Group::new("gift_sum", GIFTS, Corpus::generate(32, 1, 60_000, 3), 3)
}

#[test]
fn a_transforms_table_is_right_while_hosts_join_leave_and_die_under_load() {
    let group = transform();
    let mut first = Host::start_at(&group.seat("first"));
    group.load(0.0, 0.1);
    group.await_shared(&mut [&mut first], 4);
    let mut second = group.under_load(0.1, 0.3, || Host::start_at(&group.seat("second")));
    group.await_shared(&mut [&mut first, &mut second], 4);
    let mut third = group.under_load(0.3, 0.5, || Host::start_at(&group.seat("third")));
    group.await_shared(&mut [&mut first, &mut second, &mut third], 4);
    group.under_load(0.5, 0.7, || terminate(second));
    group.await_shared(&mut [&mut first, &mut third], 4);
    group.under_load(0.7, 0.9, || first.kill());
    group.await_shared(&mut [&mut third], 4);
    group.load(0.9, 1.0);
    group.await_right();
    terminate(third);
}

#[test]
fn a_swap_while_partitions_move_reaches_every_host_and_no_row_is_lost() {
    // The columns of the table's key.
    const KEY: usize = 4;
    let group = transform();
    let mut first = Host::start_at(&group.seat("first"));
    group.load(0.0, 0.2);
    group.await_shared(&mut [&mut first], 4);
    // Its rows have keys of their own.
    let new = guest("live_cleanup_apart");
    let deploy = |file: &[u8]| group.site.write(&group.site.path("operators/live_cleanup.wasm"), file);
    let mut second = group.under_load(0.2, 0.6, || {
        let second = Host::start_at(&group.seat("second"));
        eventually("the second host begins", PATIENCE, || second.admin());
        deploy(&rebuilt(&new, 1));
        second
    });
    // One more, as soon as they share.
    let newest = rebuilt(&new, 2);
    group.under_load(0.6, 0.9, || {
        group.await_shared(&mut [&mut first, &mut second], 4);
        deploy(&newest);
    });
    for host in [&mut first, &mut second] {
        host.wait_for_artifact(group.metric.name, &digest(&newest));
    }
    group.await_shared(&mut [&mut first, &mut second], 4);
    // From now on it is the new one that writes, whichever host has the partition.
    let tables = group.site.tables();
    let before = await_rows_of_either(&tables, group.metric, KEY, &group.expected(0.9)).plain;
    group.load(0.9, 1.0);
    let after = await_rows_of_either(&tables, group.metric, KEY, &group.expected(1.0));
    assert_eq!(after.plain, before);
    assert!(!after.apart.is_empty());
    terminate(first);
    terminate(second);
}

#[test]
fn a_host_that_was_away_goes_on_where_the_others_are() {
    let group = transform();
    let seat = group.seat("first");
    let mut first = Host::start_at(&seat);
    group.load(0.0, 0.3);
    group.await_shared(&mut [&mut first], 4);
    let mut second = Host::start_at(&group.seat("second"));
    group.await_shared(&mut [&mut first, &mut second], 4);
    terminate(first);
    group.load(0.3, 0.6);
    group.await_shared(&mut [&mut second], 4);
    let mut first = group.under_load(0.6, 0.8, || Host::start_at(&seat));
    group.await_shared(&mut [&mut first, &mut second], 4);
    second.kill();
    group.load(0.8, 1.0);
    group.await_right();
    terminate(first);
}

#[test]
fn of_two_hosts_of_a_fold_one_holds_and_names_the_other_and_takes_over_when_it_dies() {
    let group = fold();
    let seat = group.seat("first");
    let mut first = Host::start_at(&seat);
    group.load(0.0, 0.3);
    group.await_running(&mut first);
    let mut second = Host::start_at(&group.seat("second"));
    group.await_held_by(&mut second, &first);
    group.under_load(0.3, 0.6, || first.kill());
    group.await_running(&mut second);
    // Back with an older checkpoint, it waits for its turn, and then reads again what the other has read.
    let mut first = Host::start_at(&seat);
    group.await_held_by(&mut first, &second);
    group.under_load(0.6, 0.9, || terminate(second));
    group.await_running(&mut first);
    group.load(0.9, 1.0);
    group.await_right();
    terminate(first);
}

#[test]
fn of_three_hosts_of_a_fold_that_start_at_once_exactly_one_runs() {
    let group = fold();
    group.load(0.0, 0.5);
    let seats = ["first", "second", "third"].map(|name| group.seat(name));
    let mut hosts: Vec<Host> = seats.iter().map(Host::start_at).collect();
    while !hosts.is_empty() {
        let running = eventually("one runs and the others hold", PATIENCE, || {
            let mut running = Vec::new();
            for (index, host) in hosts.iter_mut().enumerate() {
                host.assert_runs();
                let status = host.status()?;
                let pipeline = status.pipeline(group.metric.name)?;
                match pipeline.state.as_str() {
                    "running" => running.push(index),
                    "holding" => {}
                    _ => return Err(format!("{pipeline:?}")),
                }
            }
            if let [one] = running[..] { Ok(one) } else { Err(format!("{running:?} run")) }
        });
        terminate(hosts.remove(running));
    }
    group.load(0.5, 1.0);
    let last = Host::start_at(&seats[0]);
    group.await_right();
    terminate(last);
}

#[test]
fn a_fold_that_was_stopped_past_its_session_writes_nothing_over_its_successors_totals() {
    let group = fold();
    let mut first = Host::start_at(&group.seat("first"));
    group.load(0.0, 0.3);
    group.await_running(&mut first);
    let mut second = Host::start_at(&group.seat("second"));
    group.await_held_by(&mut second, &first);
    group.under_load(0.3, 0.5, || first.freeze());
    group.await_running(&mut second);
    group.load(0.5, 1.0);
    group.await_right();
    first.thaw();
    group.await_held_by(&mut first, &second);
    group.await_right();
    terminate(second);
    group.await_running(&mut first);
    first.wait(group.metric.name, "it has read everything again", |pipeline| pipeline.lag() == Some(0));
    group.await_right();
    terminate(first);
}

#[test]
fn a_transforms_host_that_was_stopped_past_its_session_loses_nothing() {
    let group = transform();
    let mut first = Host::start_at(&group.seat("first"));
    let mut second = Host::start_at(&group.seat("second"));
    group.load(0.0, 0.2);
    group.await_shared(&mut [&mut first, &mut second], 4);
    group.under_load(0.2, 0.6, || first.freeze());
    group.await_shared(&mut [&mut second], 4);
    group.under_load(0.6, 1.0, || first.thaw());
    group.await_shared(&mut [&mut first, &mut second], 4);
    group.await_right();
    terminate(first);
    terminate(second);
}

#[test]
fn a_backfill_of_a_fold_beside_a_host_that_runs_it_ends_and_says_who_does() {
    let group = fold();
    let mut first = Host::start_at(&group.seat("first"));
    group.await_running(&mut first);
    let seat = group.seat("second");
    let finished = sluice_e2e::sluice(&["run", "--until-caught-up", "--config", seat.config.to_str().unwrap()]);
    assert_eq!(finished.code, Some(1), "{}", finished.output);
    assert!(finished.output.contains(&format!(":{} (from", first.id())), "{}", finished.output);
    group.load(0.0, 1.0);
    group.await_right();
    terminate(first);
}
