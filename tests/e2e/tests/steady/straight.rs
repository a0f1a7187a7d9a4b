use std::thread;

use sluice_e2e::{Corpus, METRICS, Rows, Site, World, expected, root, sluice, toml};

fn run_until_caught_up(site: &Site) {
    let config = site.config();
    let finished = sluice(&["run", "--until-caught-up", "--config", config.to_str().unwrap()]);
    assert_eq!(finished.code, Some(0), "{}", finished.output);
    for metric in &METRICS {
        let line = finished.output.lines().find(|line| line.contains(metric.name) && line.contains("records"));
        assert!(line.is_some(), "a line for {} in {}", metric.name, finished.output);
    }
}

fn assert_caught_up(world: World, corpus: &Corpus, expected: &[Rows]) {
    let site = Site::new(world, 3);
    site.load(corpus, 0.0, 1.0);
    run_until_caught_up(&site);
    site.tables().assert_equal(expected);
}

#[test]
fn every_table_equals_the_oracles_on_mariadb_on_mysql_and_on_the_embedded_default() {
    let corpus = Corpus::generate(1, 200_000, 500_000, 3);
    thread::scope(|scope| {
        let oracle = scope.spawn(|| expected(&corpus.topics(), &[]));
        let site = Site::new(World::Servers, 3);
        site.load(&corpus, 0.0, 1.0);
        run_until_caught_up(&site);
        let expected = oracle.join().unwrap();
        site.tables().assert_equal(&expected);
        assert_caught_up(World::Mysql, &corpus, &expected);
        assert_caught_up(World::Embedded, &corpus, &expected);
    });
}

#[test]
fn a_region_that_the_pipeline_maps_is_in_the_table() {
    let corpus = Corpus::generate(2, 2_000, 10, 1);
    let expected = expected(&corpus.topics(), &["--region-field", "region"]);
    let site = Site::empty(World::Embedded, 1);
    site.add_pipeline("live_cleanup", "live_cleanup", |pipeline| {
        pipeline["source"]["columns"]["region_code"] = toml("kind = 'int64'\nfield = 'region'");
    });
    site.load(&corpus, 0.0, 1.0);
    let config = site.config();
    let finished = sluice(&["run", "--until-caught-up", "--config", config.to_str().unwrap()]);
    assert_eq!(finished.code, Some(0), "{}", finished.output);
    assert_eq!(site.tables().rows(&METRICS[0], METRICS[0].table).unwrap(), expected[0]);
}

/// The statements that make the dimension of module_count a table of the database, under names of its own.
fn rooms() -> [String; 2] {
    let text = std::fs::read_to_string(root().join("demo/dimensions/dim_hbase.csv")).unwrap();
    let rows: Vec<_> = text
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(','))
        .map(|(room, module)| format!("({room}, '{module}')"))
        .collect();
    let table = "CREATE TABLE rooms (id BIGINT NOT NULL PRIMARY KEY, module VARCHAR(64))";
    [table.to_owned(), format!("INSERT INTO rooms VALUES {}", rows.join(", "))]
}

#[test]
fn a_dimension_in_a_table_of_the_database_ends_in_the_same_table_as_one_in_hbase() {
    let corpus = Corpus::generate(3, 50_000, 10, 3);
    let expected = &expected(&corpus.topics(), &[])[2];
    for world in [World::Servers, World::Embedded] {
        let site = Site::empty(world, 3);
        rooms().into_iter().for_each(|sql| site.tables().execute(sql));
        site.add_pipeline("module_count", "module_count", |pipeline| {
            pipeline["step"][0]["lookup"] = toml(
                "connection = 'livedb'\ntable = 'rooms'\nkey = { room_id = 'id' }\ncolumns = { module_id = 'module' }\n\
                 join = 'inner'",
            );
        });
        site.load(&corpus, 0.0, 1.0);
        let config = site.config();
        let checked = sluice(&["check", "--config", config.to_str().unwrap()]);
        assert_eq!(checked.code, Some(0), "{}", checked.output);
        let finished = sluice(&["run", "--until-caught-up", "--config", config.to_str().unwrap()]);
        assert_eq!(finished.code, Some(0), "{}", finished.output);
        assert_eq!(METRICS[2].name, "module_count");
        assert_eq!(&site.tables().rows(&METRICS[2], METRICS[2].table).unwrap(), expected);
        // What keeps it from answering is a problem of `check`.
        site.tables().execute("DROP TABLE rooms".to_owned());
        let checked = sluice(&["check", "--config", config.to_str().unwrap()]);
        assert!(checked.code != Some(0) && checked.output.contains("step[0].lookup.table"), "{}", checked.output);
        assert!(checked.output.contains("no table `rooms`"), "{}", checked.output);
    }
}
