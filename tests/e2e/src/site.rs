//! Everything one test's host works with.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;
use toml::{Table, Value};

use crate::{Corpus, ENTRIES, GIFTS, METRICS, Tables, Topic, root, server};

/// What stands behind the connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// Kafka, HBase, MariaDB.
    Servers,
    /// The same with MySQL itself.
    Mysql,
    /// An embedded log, CSV, SQLite.
    Embedded,
}

impl World {
    /// Returns true if there are servers behind its connections.
    pub fn has_servers(self) -> bool {
        self != World::Embedded
    }

    /// The variable with the url of its database server.
    fn database(self) -> &'static str {
        if self == World::Mysql { "SLUICE_TEST_MYSQL" } else { "SLUICE_TEST_MARIADB" }
    }

    /// The collation in which texts are the same only if they are, as its database calls it.
    pub fn exact_collation(self) -> &'static str {
        match self {
            World::Servers => "utf8mb4_nopad_bin",
            World::Mysql => "utf8mb4_0900_bin",
            World::Embedded => "BINARY",
        }
    }
}

/// What one host of a site starts with.
#[derive(Debug, Clone)]
pub struct Seat {
    /// Its sluice.toml.
    pub config: PathBuf,
    /// Where its log goes.
    pub log: PathBuf,
}

/// A directory with sluice.toml, pipelines and operators, and on servers a database and topics, all of one test's own.
pub struct Site {
    directory: TempDir,
    world: World,
    database: String,
    topics: Vec<(&'static str, Topic)>,
    /// Topics that hosts make.
    published: Mutex<Vec<String>>,
}

impl Site {
    /// A site with the repository's operators and pipelines, whose topics have this many partitions and no record.
    pub fn new(world: World, partitions: i32) -> Site {
        let site = Site::empty(world, partitions);
        for metric in &METRICS {
            site.add_pipeline(metric.name, metric.name, |_| {});
        }
        site
    }

    /// A site with the repository's operators and no pipeline.
    pub fn empty(world: World, partitions: i32) -> Site {
        let directory = tempfile::tempdir().unwrap();
        let unique = unique();
        let mut site = Site {
            directory,
            world,
            database: format!("e2e_{unique}"),
            topics: Vec::new(),
            published: Mutex::default(),
        };
        for name in ["operators", "pipelines", "state", "events"] {
            fs::create_dir(site.path(name)).unwrap();
        }
        for file in fs::read_dir(root().join("dist/operators")).expect("make build ran").map(Result::unwrap) {
            fs::copy(file.path(), site.path("operators").join(file.file_name())).unwrap();
        }
        if world.has_servers() {
            site.administer(format!("CREATE DATABASE {} CHARACTER SET utf8mb4", site.database)).unwrap();
            for topic in [ENTRIES, GIFTS] {
                site.topics.push((topic, Topic::create(&format!("{topic}-{unique}"), partitions)));
            }
        }
        site.configure(|_| {});
        site
    }

    /// A file or directory of the site.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The path of its sluice.toml.
    pub fn config(&self) -> PathBuf {
        self.path("sluice.toml")
    }

    /// What its host starts with.
    pub fn seat(&self) -> Seat {
        Seat { config: self.config(), log: self.path("host.log") }
    }

    /// What one more host of this name starts with: the same pipelines and servers, a state of its own.
    pub fn seat_of(&self, name: &str, edit: impl FnOnce(&mut Table)) -> Seat {
        let file = |end| self.path(&format!("{name}{end}"));
        let seat = Seat { config: file(".toml"), log: file(".log") };
        fs::create_dir(file(".state")).unwrap();
        self.write_config(&seat, &format!("{name}.state"), edit);
        seat
    }

    /// The tables that its pipelines write.
    pub fn tables(&self) -> Tables {
        match self.world {
            World::Servers | World::Mysql => Tables::Mysql(self.mysql_url()),
            World::Embedded => Tables::Sqlite(self.path("live.db")),
        }
    }

    /// The topics that its pipelines write in place of tables.
    pub fn published(&self) -> Tables {
        Tables::Topics(format!("-{}", self.database))
    }

    /// The name of the topic in place of a table. A host makes it; it is gone with the site.
    pub fn topic_of(&self, table: &str) -> String {
        let name = format!("{table}-{}", self.database);
        self.published.lock().unwrap().push(name.clone());
        name
    }

    /// The keys of a sink into the topic in place of this table.
    pub fn topic_sink(&self, table: &str, key: &[&str]) -> Value {
        let key = toml::Value::from(key.to_vec());
        let topic = self.topic_of(table);
        crate::toml(&format!(
            "connection = 'events'\ntopic = '{topic}'\nkey = {key}\ncreate = true\nflush = {{ rows = 5000, interval = '200ms', retries = 3 }}"
        ))
    }

    /// The URL of its own database.
    pub fn mysql_url(&self) -> String {
        let url = server(self.world.database());
        format!("{}/{}", url.rsplit_once('/').expect("the URL names a database").0, self.database)
    }

    /// The topic on the broker that stands for this one of the original's.
    pub fn topic(&self, name: &str) -> &Topic {
        &self.topics.iter().find(|(original, _)| *original == name).expect("a topic on servers").1
    }

    /// The name that pipelines know the topic by.
    pub fn topic_name(&self, name: &str) -> String {
        match self.world {
            World::Servers | World::Mysql => self.topic(name).name.clone(),
            World::Embedded => name.to_owned(),
        }
    }

    /// Writes this part of the corpus to both topics.
    pub fn load(&self, corpus: &Corpus, from: f64, to: f64) {
        for topic in [ENTRIES, GIFTS] {
            match self.world {
                World::Servers | World::Mysql => corpus.load(topic, self.topic(topic), from, to),
                World::Embedded => corpus.append(topic, &self.path("events"), from, to),
            }
        }
    }

    /// Appends records to a partition of an embedded topic.
    pub fn append<R: AsRef<[u8]>>(&self, topic: &str, partition: usize, records: &[R]) {
        append_lines(&self.path("events").join(topic), partition, records);
    }

    /// Appends records to partition 0 of the topic.
    pub fn send<R: AsRef<[u8]>>(&self, topic: &str, records: &[R]) {
        match self.world {
            World::Servers | World::Mysql => {
                records.iter().for_each(|record| self.topic(topic).send(0, Some(record.as_ref())));
                self.topic(topic).flush();
            }
            World::Embedded => self.append(topic, 0, records),
        }
    }

    /// Writes sluice.toml anew, after `edit`.
    pub fn configure(&self, edit: impl FnOnce(&mut Table)) {
        self.write_config(&self.seat(), "state", edit);
    }

    fn write_config(&self, seat: &Seat, state: &str, edit: impl FnOnce(&mut Table)) {
        let connections = match self.world {
            World::Servers | World::Mysql => format!(
                "events = {{ kafka = {{ brokers = \"{}\" }} }}\ndimensions = {{ hbase = {{ thrift = \"{}\" }} }}\n\
                 livedb = {{ mysql = {{ url = \"{}\", time_zone = \"Asia/Shanghai\" }} }}\n",
                server("SLUICE_TEST_KAFKA"),
                server("SLUICE_TEST_HBASE"),
                self.mysql_url()
            ),
            World::Embedded => format!(
                "events = {{ log = {{ directory = \"events\" }} }}\ndimensions = {{ csv = {{ directory = \"{}\" }} }}\n\
                 livedb = {{ sqlite = {{ path = \"live.db\" }} }}\n",
                root().join("demo/dimensions").display()
            ),
        };
        let text = format!(
            "operators = \"operators\"\npipelines = \"pipelines\"\nstate = \"{state}\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
             [connections]\n{connections}"
        );
        let mut config: Table = toml::from_str(&text).unwrap();
        edit(&mut config);
        fs::write(&seat.config, toml::to_string(&config).unwrap()).unwrap();
    }

    /// Adds a pipeline: the repository's one for the metric, on this site's topic, after `edit`. Flushes are made frequent,
    /// so that tests needn't wait for them, and changed operators are not on trial.
    pub fn add_pipeline(&self, name: &str, metric: &str, edit: impl FnOnce(&mut Table)) {
        let text = fs::read_to_string(root().join("pipelines").join(format!("{metric}.toml"))).unwrap();
        let mut pipeline: Table = toml::from_str(&text).unwrap();
        let source = table(&mut pipeline, "source");
        let topic = source["topic"].as_str().unwrap().to_owned();
        source.insert("topic".into(), self.topic_name(&topic).into());
        source.insert("group".into(), format!("{}-{name}", self.database).into());
        for sink in pipeline["sink"].as_array_mut().unwrap() {
            sink["flush"]["interval"] = "200ms".into();
        }
        pipeline.insert("probation".into(), crate::toml("rows = 0"));
        edit(&mut pipeline);
        self.write(
            &self.path("pipelines").join(format!("{name}.toml")),
            toml::to_string(&pipeline).unwrap().as_bytes(),
        );
    }

    /// Changes the file of a pipeline of this site.
    pub fn edit_pipeline(&self, name: &str, edit: impl FnOnce(&mut Table)) {
        let path = self.path("pipelines").join(format!("{name}.toml"));
        let mut pipeline: Table = toml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        edit(&mut pipeline);
        self.write(&path, toml::to_string(&pipeline).unwrap().as_bytes());
    }

    /// Puts the file there in one step, as a deployment does.
    pub fn write(&self, path: &Path, content: &[u8]) {
        let beside = self.path("being-written");
        fs::write(&beside, content).unwrap();
        fs::rename(beside, path).unwrap();
    }

    fn administer(&self, sql: String) -> Result<(), sqlx::Error> {
        Tables::Mysql(server(self.world.database())).try_execute(sql)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if self.world.has_servers() {
            let dropped = self.administer(format!("DROP DATABASE {}", self.database));
            // A second panic would end all tests.
            if !std::thread::panicking() {
                dropped.unwrap();
                self.published.get_mut().unwrap().iter().for_each(|topic| Topic::remove(topic));
            }
        }
    }
}

/// The table under this key.
pub(crate) fn table<'a>(parent: &'a mut Table, key: &str) -> &'a mut Table {
    parent.get_mut(key).and_then(Value::as_table_mut).expect("a table")
}

/// A name that no other test of this or another run has.
fn unique() -> String {
    static COUNTER: AtomicUsize = AtomicUsize::new(0);
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
    format!("{now}_{}_{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed))
}

fn append_lines<R: AsRef<[u8]>>(topic: &Path, partition: usize, records: &[R]) {
    fs::create_dir_all(topic).unwrap();
    let lines: Vec<u8> = records.iter().flat_map(|record| [record.as_ref(), b"\n"].concat()).collect();
    append(&topic.join(format!("{partition}.jsonl")), &lines);
}

/// Appends in one write, as a producer to an embedded log should.
pub(crate) fn append(path: &Path, lines: &[u8]) {
    let mut file = fs::File::options().create(true).append(true).open(path).unwrap();
    file.write_all(lines).unwrap();
}
