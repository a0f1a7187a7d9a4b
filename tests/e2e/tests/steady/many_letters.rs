//! More dead letters than are taken in, or looked through, at once.

use sluice_e2e::{Finished, GIFTS, Site, World, sluice, toml};
use toml::Table;

/// No operator takes it.
const BAD: &str = "bad";

fn site(world: World, records: usize, edit: impl FnOnce(&mut Table)) -> Site {
    let site = Site::empty(world, 1);
    site.add_pipeline("gifts", "gift_sum", |pipeline| {
        pipeline.insert("on_error".into(), "dead_letter".into());
        edit(pipeline);
    });
    site.send(GIFTS, &vec![BAD; records]);
    site
}

fn catch_up(site: &Site) -> Finished {
    let finished = sluice(&["run", "--until-caught-up", "--config", site.config().to_str().unwrap()]);
    assert_eq!(finished.code, Some(0), "{}", finished.output);
    finished
}

#[test]
fn thousands_of_letters_are_retried_without_waiting_for_the_interval_of_the_flushes() {
    const LETTERS: usize = 3_500;
    let site = site(World::Servers, LETTERS, |pipeline| {
        pipeline["sink"][0]["flush"] = toml("rows = 1000000\ninterval = '1h'\nretries = 0");
    });
    let count = |marked: u8| {
        site.tables().number(&format!("SELECT COUNT(*) FROM sluice_dead_letters WHERE retry = {marked}")).unwrap()
    };
    catch_up(&site);
    let config = site.config();
    let retry = sluice(&["dead-letters", "retry", "--yes", "--config", config.to_str().unwrap()]);
    assert_eq!(retry.code, Some(0), "{}", retry.output);
    assert_eq!(count(1), LETTERS as i64);
    catch_up(&site);
    assert_eq!((count(0), count(1)), (LETTERS as i64, 0), "each was taken in, and left out again");
}

#[test]
fn a_run_that_is_to_end_does_so_though_there_are_more_letters_than_are_looked_through() {
    // As `MAX_LETTERS` is, and one more.
    const LETTERS: usize = 250_001;
    let site = site(World::Embedded, LETTERS, |pipeline| {
        pipeline.insert("dead_letters".into(), toml("file = '../letters.jsonl'"));
    });
    catch_up(&site);
    let finished = catch_up(&site);
    assert!(finished.output.contains("has more than 250000 dead letters"), "{}", finished.output);
}
