//! A topic is what its server says that it is, not its name.

use std::fs;

use sluice_e2e::{Corpus, Finished, GIFTS, Host, Site, Topic, World, expected_of, metric, sluice};

const GROUPS: &str = "live_gift_total_amount";

fn state(site: &Site, arguments: &[&str]) -> Finished {
    let config = site.config();
    sluice(&[&["state", "--config", config.to_str().unwrap()], arguments].concat())
}

fn catch_up(site: &Site) -> Finished {
    sluice(&["run", "--until-caught-up", "--config", site.config().to_str().unwrap()])
}

/// A site on servers with the gift totals of a whole corpus.
fn counted(records: usize) -> (Corpus, Site) {
    let corpus = Corpus::generate(31, 1, records, 1);
    let site = Site::empty(World::Servers, 1);
    site.add_pipeline("gift_sum", "gift_sum", |_| {});
    corpus.load(GIFTS, site.topic(GIFTS), 0.0, 1.0);
    let done = catch_up(&site);
    assert_eq!(done.code, Some(0), "{}", done.output);
    (corpus, site)
}

/// Deletes the topic and makes it anew under its name, with the corpus in it.
fn recreate(site: &Site, corpus: &Corpus) {
    let name = site.topic_name(GIFTS);
    Topic::remove(&name);
    let again =
        sluice_e2e::eventually("the topic can be made again", sluice_e2e::PATIENCE, || Topic::try_create(&name, 1));
    corpus.load(GIFTS, &again, 0.0, 1.0);
    // The site deletes it.
    std::mem::forget(again);
}

fn rows(site: &Site) -> sluice_e2e::Rows {
    site.tables().rows(metric("gift_sum"), GROUPS).unwrap()
}

#[test]
fn a_topic_made_anew_with_more_records_stops_the_pipeline_and_loses_none_after_a_reset() {
    let (_, site) = counted(500);
    let before = rows(&site);
    let more = Corpus::generate(32, 1, 3_000, 1);
    recreate(&site, &more);
    let stopped = catch_up(&site);
    assert_eq!(stopped.code, Some(1), "{}", stopped.output);
    for said in ["is another one than was read so far", "topic-id=", "state reset gift_sum", "state adopt gift_sum"] {
        assert!(stopped.output.contains(said), "{said} in {}", stopped.output);
    }
    assert_eq!(rows(&site), before, "nothing of it was counted");
    assert_eq!(state(&site, &["reset", "gift_sum", "--yes"]).code, Some(0));
    assert_eq!(catch_up(&site).code, Some(0));
    let expected = &expected_of(&[*metric("gift_sum")], &more.topics(), &[])[0];
    let now = rows(&site);
    assert!(expected.iter().all(|row| now.contains(row)), "{now:?} holds {expected:?}");
}

#[test]
fn a_topic_made_anew_is_adopted_with_the_states_and_all_of_its_records() {
    let (_, site) = counted(400);
    let before = rows(&site);
    // The same records once more: each total is twice what it was.
    let same = Corpus::generate(31, 1, 400, 1);
    recreate(&site, &same);
    assert_eq!(catch_up(&site).code, Some(1));
    let adopted = state(&site, &["adopt", "gift_sum", "--from", "earliest"]);
    assert_eq!(adopted.code, Some(0), "{}", adopted.output);
    assert!(adopted.output.matches("topic-id=").count() == 2, "{}", adopted.output);
    assert_eq!(catch_up(&site).code, Some(0));
    for (was, is) in before.iter().zip(rows(&site)) {
        assert_eq!(is[1].as_f64().unwrap(), 2.0 * was[1].as_f64().unwrap(), "{was:?} {is:?}");
    }
}

#[test]
fn a_topic_made_anew_under_a_running_host_is_noticed_before_any_of_its_records_is_counted() {
    let (_, site) = counted(300);
    let before = rows(&site);
    let mut host = Host::start(&site);
    host.wait("gift_sum", "it runs", |pipeline| pipeline.state == "running" && pipeline.lag() == Some(0));
    recreate(&site, &Corpus::generate(33, 1, 5_000, 1));
    let stopped = host.wait("gift_sum", "it stops", |pipeline| pipeline.state == "stopped");
    let reason = stopped.reason.unwrap();
    assert!(reason.contains("is another one than was read so far"), "{reason}");
    assert_eq!(rows(&site), before, "nothing of it was counted");
    assert_eq!(host.terminate().code, Some(0));
    // What is kept is of the topic before.
    let adopted = state(&site, &["adopt", "gift_sum", "--from", "latest"]);
    assert_eq!(adopted.code, Some(0), "{}", adopted.output);
    assert_eq!(catch_up(&site).code, Some(0));
    assert_eq!(rows(&site), before);
}

/// Totals of an embedded log.
fn counted_from_files() -> (Corpus, Site) {
    let corpus = Corpus::generate(34, 1, 1_000, 2);
    let site = Site::empty(World::Embedded, 2);
    site.add_pipeline("gift_sum", "gift_sum", |_| {});
    corpus.append(GIFTS, &site.path("events"), 0.0, 0.5);
    assert_eq!(catch_up(&site).code, Some(0));
    (corpus, site)
}

#[test]
fn another_file_of_the_name_stops_the_pipeline_and_a_copy_that_is_brought_back_does_not() {
    let (corpus, site) = counted_from_files();
    let (file, copy) = (site.path("events").join(GIFTS).join("0.jsonl"), site.path("copy"));
    fs::copy(&file, &copy).unwrap();
    fs::remove_file(&file).unwrap();
    fs::copy(&copy, &file).unwrap();
    assert_eq!(catch_up(&site).code, Some(0), "a copy is the same");
    // More lines than were read, and none of them those that were.
    let other = fs::read_to_string(&copy).unwrap();
    let lines: Vec<&str> = other.lines().skip(1).collect();
    fs::write(&file, format!("{0}\n{0}\n", lines.join("\n"))).unwrap();
    let stopped = catch_up(&site);
    assert_eq!(stopped.code, Some(1));
    assert!(stopped.output.contains("is another one than was read so far: that was 0.jsonl="), "{}", stopped.output);
    fs::copy(&copy, &file).unwrap();
    corpus.append(GIFTS, &site.path("events"), 0.5, 1.0);
    assert_eq!(catch_up(&site).code, Some(0));
    assert_eq!(rows(&site), expected_of(&[*metric("gift_sum")], &corpus.topics(), &[])[0]);
}

#[test]
fn a_file_that_is_written_over_in_place_under_a_running_host_stops_the_pipeline() {
    let (_, site) = counted_from_files();
    let before = rows(&site);
    let mut host = Host::start(&site);
    host.wait("gift_sum", "it runs", |pipeline| pipeline.state == "running");
    let file = site.path("events").join(GIFTS).join("0.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    let mut bytes = text.into_bytes();
    // The very file, no shorter: only what is in its first line is another.
    let digit = bytes.iter().position(u8::is_ascii_digit).unwrap();
    bytes[digit] = if bytes[digit] == b'9' { b'8' } else { bytes[digit] + 1 };
    let same = fs::File::options().write(true).open(&file).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&same, &bytes, 0).unwrap();
    let stopped = host.wait("gift_sum", "it stops", |pipeline| pipeline.state == "stopped");
    assert!(stopped.reason.unwrap().contains("is another one than was read so far"));
    assert_eq!(rows(&site), before);
    assert_eq!(host.terminate().code, Some(0));
}

fn letters(site: &Site) -> Vec<(String, String)> {
    let config = site.config();
    let shown = sluice(&["dead-letters", "show", "--json", "--config", config.to_str().unwrap()]).output;
    let start = shown.find('[').unwrap_or_else(|| panic!("{shown}"));
    let letters: Vec<serde_json::Value> =
        serde_json::Deserializer::from_str(&shown[start..]).into_iter().next().unwrap().unwrap();
    let text = |letter: &serde_json::Value, key: &str| letter[key].as_str().unwrap().to_owned();
    letters.iter().map(|letter| (text(letter, "topic"), text(letter, "value"))).collect()
}

#[test]
fn letters_of_a_topic_that_was_made_anew_stay_beside_those_of_the_new_one_at_the_same_places() {
    const GOOD: &str = r#"{"gift_type":1,"gift_total_amount":5}"#;
    for world in [World::Embedded, World::Servers] {
        let site = Site::empty(world, 1);
        site.add_pipeline("gift_sum", "gift_sum", |pipeline| {
            pipeline.insert("on_error".into(), "dead_letter".into());
        });
        let name = site.topic_name(GIFTS);
        site.send(GIFTS, &["{", GOOD]);
        assert_eq!(catch_up(&site).code, Some(0));
        assert_eq!(letters(&site), [(name.clone(), "{".to_owned())]);
        match world {
            World::Embedded => {
                fs::write(site.path("events").join(GIFTS).join("0.jsonl"), format!("[1]\n{GOOD}\n{GOOD}\n")).unwrap()
            }
            World::Servers | World::Mysql => {
                Topic::remove(&name);
                let again = sluice_e2e::eventually("it can be made again", sluice_e2e::PATIENCE, || {
                    Topic::try_create(&name, 1)
                });
                ["[1]", GOOD, GOOD].iter().for_each(|record| again.send(0, Some(record.as_bytes())));
                again.flush();
                std::mem::forget(again);
            }
        }
        assert_eq!(catch_up(&site).code, Some(1));
        assert_eq!(state(&site, &["reset", "gift_sum", "--yes"]).code, Some(0));
        assert_eq!(letters(&site).len(), 1);
        for _ in 0..2 {
            assert_eq!(catch_up(&site).code, Some(0));
            let kept = letters(&site);
            let [(new, second), (old, first)] = &kept[..] else { panic!("{kept:?}") };
            assert_eq!((new, second.as_str(), first.as_str()), (&name, "[1]", "{"));
            assert!(old.starts_with(&format!("{name}@")) && old.len() == name.len() + 6, "{old}");
        }
        site.tables().await_rows(metric("gift_sum"), GROUPS, serde_json::json!([["1", 10]]));
    }
}
