use std::fs;

use sluice_e2e::{ENTRIES, GIFTS, Site, Topic, World, sluice};

#[test]
fn the_generator_writes_both_topics_to_the_broker() {
    // Its topics have fixed names; no other test uses them there.
    let topics = [ENTRIES, GIFTS];
    topics.iter().for_each(|topic| Topic::remove(topic));
    let site = Site::empty(World::Servers, 1);
    let config = site.config();
    let options = "generate --connection events --partitions 3 --count 1000 --rate 1000000 --seed 7 --rooms 5 --config";
    let mut arguments: Vec<&str> = options.split(' ').collect();
    arguments.push(config.to_str().unwrap());
    let finished = sluice(&arguments);
    assert_eq!(finished.code, Some(0), "{}", finished.output);
    let mut lines = 0;
    for topic in topics {
        let dump = site.path(topic);
        Topic::dump(topic, &dump);
        let files: Vec<_> = (0..3).map(|p| fs::read_to_string(dump.join(format!("{p}.jsonl"))).unwrap()).collect();
        assert!(files.iter().all(|file| !file.is_empty()), "{topic}: records in every partition");
        lines += files.iter().map(|file| file.lines().count()).sum::<usize>();
        Topic::remove(topic);
    }
    assert_eq!(lines, 1000);
}
