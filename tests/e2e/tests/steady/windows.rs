//! Windowed tables equal the oracle's, with rows out of order and late, over partitions, and through a crash.

use sluice_e2e::{ENTRIES, GIFTS, Host, Rows, Site, WINDOWED, World, expected_of, sluice};

const PARTITIONS: u64 = 3;

/// Numbers that look random and are the same each time: SplitMix64.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (number ^ (number >> 31)) % bound
    }
}

/// A time of the clock on the wall, this many seconds after midnight of a day of three weeks.
fn shown(second: u64) -> String {
    let (day, second) = (second / 86_400, second % 86_400);
    format!("2021-08-{:02} {:02}:{:02}:{:02}.25", day + 1, second / 3600, second / 60 % 60, second % 60)
}

/// Records of some users over some hours, mostly within `lateness`, some late and some without a time; with a partition each.
fn records(
    seed: u64,
    count: u64,
    pace: u64,
    lateness: u64,
    record: impl Fn(&mut Numbers, &str) -> String,
) -> Vec<(usize, String)> {
    let mut numbers = Numbers(seed);
    let mut now = 86_400;
    let one = |_| {
        now += numbers.below(pace);
        let behind = if numbers.below(50) == 0 { lateness * 100 } else { lateness };
        let time = match numbers.below(200) {
            0 => "null".to_owned(),
            _ => format!("\"{}\"", shown(now - numbers.below(behind))),
        };
        let partition = usize::try_from(numbers.below(PARTITIONS)).unwrap();
        (partition, record(&mut numbers, &time))
    };
    (0..count).map(one).collect()
}

/// Entries of forty users, each in a room once a minute or so; gifts of a day or so.
fn all_records() -> [(&'static str, Vec<(usize, String)>); 2] {
    let entry = |numbers: &mut Numbers, time: &str| {
        format!(r#"{{"user_id":{},"arrive_time":{time},"leave_time":{time}}}"#, numbers.below(40))
    };
    let gift = |numbers: &mut Numbers, time: &str| {
        let (gift, amount) = (numbers.below(5), numbers.below(100));
        format!(r#"{{"gift_type":{gift},"gift_total_amount":{amount},"create_time":{time}}}"#)
    };
    [(ENTRIES, records(1, 20_000, 4, 11, entry)), (GIFTS, records(2, 20_000, 10, 62, gift))]
}

fn append(site: &Site, part: impl Fn(usize) -> std::ops::Range<usize>) {
    for (topic, records) in all_records() {
        for partition in 0..usize::try_from(PARTITIONS).unwrap() {
            let lines: Vec<_> =
                records[part(records.len())].iter().filter(|(of, _)| *of == partition).map(|(_, line)| line).collect();
            site.append(topic, partition, &lines);
        }
    }
}

/// A site with the windowed pipelines, in which no partition ever becomes idle.
fn site() -> Site {
    let site = Site::empty(World::Embedded, 3);
    for metric in &WINDOWED {
        site.add_pipeline(metric.name, metric.name, |pipeline| {
            let window = pipeline["step"][0]["window"].as_table_mut().unwrap();
            window.insert("idle_after".into(), "1d".into());
        });
    }
    site
}

fn expected(site: &Site) -> Vec<Rows> {
    let expected = expected_of(&WINDOWED, &site.path("events"), &[]);
    assert!(expected.iter().all(|rows| rows.len() > 500), "the records make windows");
    expected
}

#[test]
fn windowed_tables_equal_the_oracles_late_rows_included() {
    let site = site();
    append(&site, |count| 0..count);
    let config = site.config();
    let finished = sluice(&["run", "--until-caught-up", "--config", config.to_str().unwrap()]);
    assert_eq!(finished.code, Some(0), "{}", finished.output);
    for (metric, expected) in WINDOWED.iter().zip(expected(&site)) {
        site.tables().await_table(metric, &expected);
    }
}

#[test]
fn a_crash_in_the_middle_changes_no_windowed_table_and_late_rows_are_counted() {
    let site = site();
    append(&site, |count| 0..count / 2);
    let mut host = Host::start(&site);
    for metric in &WINDOWED {
        host.wait(metric.name, "it has written", |pipeline| pipeline.count("flushes") > 0);
    }
    host.kill();
    append(&site, |count| count / 2..count);
    let mut host = Host::start(&site);
    for (metric, expected) in WINDOWED.iter().zip(expected(&site)) {
        site.tables().await_table(metric, &expected);
        host.wait(metric.name, "late rows are counted", |pipeline| pipeline.count("late") > 0);
    }
    assert_eq!(host.terminate().code, Some(0));
}
