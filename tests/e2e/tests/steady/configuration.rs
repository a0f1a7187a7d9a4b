use std::fs;

use serde_json::{Value, json};
use sluice_e2e::{ENTRIES, GIFTS, Host, Site, World, assembled, metric, server, sluice, toml};
use toml::Table;

const PASSWORD: &str = "open-sesame";

/// A pipeline that something is wrong with.
struct Fault {
    name: &'static str,
    metric: &'static str,
    edit: fn(&mut Table),
    /// What the sentence about it names.
    says: &'static [&'static str],
}

const FAULTS: [Fault; 18] = [
    Fault {
        name: "missing_topic",
        metric: "gift_sum",
        edit: |p| p["source"]["topic"] = "no_such_topic".into(),
        says: &["no_such_topic"],
    },
    Fault {
        name: "no_broker",
        metric: "gift_sum",
        edit: |p| p["source"]["connection"] = "no_broker".into(),
        says: &["127.0.0.1:1"],
    },
    Fault {
        name: "refused_by_broker",
        metric: "gift_sum",
        edit: |p| p["source"]["connection"] = "refused_by_broker".into(),
        says: &["sasl.*", "Authentication failed", "127.0.0.1:"],
    },
    Fault {
        name: "no_database",
        metric: "gift_sum",
        edit: |p| p["sink"][0]["connection"] = "no_database".into(),
        says: &["127.0.0.1:1"],
    },
    Fault {
        name: "wrong_password",
        metric: "gift_sum",
        edit: |p| p["sink"][0]["connection"] = "wrong_password".into(),
        says: &["password"],
    },
    Fault {
        name: "missing_table",
        metric: "gift_sum",
        edit: |p| {
            p["sink"][0]["table"] = "no_such_table".into();
            p["sink"][0]["create"] = false.into();
        },
        says: &["no_such_table", "create"],
    },
    Fault {
        name: "wrong_type",
        metric: "gift_sum",
        edit: |p| p["sink"][0]["table"] = "texts".into(),
        says: &["texts", "gift_total_amount", "int64"],
    },
    Fault {
        name: "no_key",
        metric: "gift_sum",
        edit: |p| p["sink"][0]["table"] = "keyless".into(),
        says: &["keyless", "gift_type", "key"],
    },
    Fault {
        name: "merged_keys",
        metric: "gift_sum",
        edit: |p| p["sink"][0]["table"] = "merging".into(),
        says: &[
            "merging",
            "utf8mb4_general_ci",
            "MODIFY COLUMN `gift_type` VARCHAR(32) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL",
        ],
    },
    Fault {
        name: "other_key",
        metric: "gift_sum",
        edit: |p| p["sink"][0]["key"] = vec!["gift_total_amount".to_owned()].into(),
        says: &["gift_type", "would replace each other"],
    },
    Fault {
        name: "more_key",
        metric: "gift_sum",
        edit: |p| p["sink"][0]["key"] = vec!["gift_type".to_owned(), "gift_total_amount".to_owned()].into(),
        says: &["gift_total_amount", "a row for each value"],
    },
    Fault {
        name: "no_lookup_server",
        metric: "module_count",
        edit: |p| p["step"][0]["lookup"]["connection"] = "no_dimensions".into(),
        says: &["127.0.0.1:1"],
    },
    Fault {
        name: "missing_lookup_table",
        metric: "module_count",
        edit: |p| p["step"][0]["lookup"]["table"] = "no_such_dimension".into(),
        says: &["no_such_dimension"],
    },
    Fault {
        name: "wrong_column",
        metric: "gift_sum",
        edit: |p| p["source"]["columns"]["gift_type"] = "utf8".into(),
        says: &["gift_type", "int64"],
    },
    Fault {
        name: "broken",
        metric: "gift_sum",
        edit: |p| p["step"][0]["operator"] = "broken".into(),
        says: &["broken.wasm"],
    },
    Fault {
        name: "core_module",
        metric: "gift_sum",
        edit: |p| p["step"][0]["operator"] = "core_module".into(),
        says: &["core_module.wasm", "component"],
    },
    Fault {
        name: "other_world",
        metric: "gift_sum",
        edit: |p| p["step"][0]["operator"] = "other_world".into(),
        says: &["other_world.wasm", "transform"],
    },
    Fault {
        name: "foreign",
        metric: "gift_sum",
        edit: |p| p["step"][0]["operator"] = "foreign".into(),
        says: &["foreign.wasm", "wasi:cli/environment"],
    },
];

/// The broker's listener for those who have its user's password, with this one.
fn guarded_broker(password: Option<&str>) -> toml::Value {
    let server = server("SLUICE_TEST_KAFKA_SASL");
    let (credentials, brokers) = server.rsplit_once('@').unwrap();
    let (user, right) = credentials.split_once(':').unwrap();
    let password = password.unwrap_or(right);
    toml(&format!(
        "kafka = {{ brokers = '{brokers}', properties = {{ 'security.protocol' = 'sasl_plaintext', 'sasl.mechanism' = \
         'PLAIN', 'sasl.username' = '{user}', 'sasl.password' = '{password}' }} }}"
    ))
}

/// A site where each fault has a pipeline, and two pipelines, `sound` and `with_password`, have none.
fn faulty() -> Site {
    let site = Site::empty(World::Servers, 1);
    let operators: [(&str, Vec<u8>); 4] = [
        ("broken", b"\0asm nonsense".to_vec()),
        ("core_module", assembled("(module)")),
        ("other_world", assembled("(component)")),
        ("foreign", assembled(r#"(component (import "wasi:cli/environment@0.2.0" (instance)))"#)),
    ];
    for (name, content) in operators {
        site.write(&site.path(&format!("operators/{name}.wasm")), &content);
    }
    let (authority, database) = site.mysql_url().rsplit_once('/').map(|(a, d)| (a.to_owned(), d.to_owned())).unwrap();
    let host = authority.rsplit_once('@').unwrap().1.to_owned();
    site.configure(|config| {
        let connections = config["connections"].as_table_mut().unwrap();
        let mysql = |place: &str| toml(&format!("mysql = {{ url = 'mysql://root:{PASSWORD}@{place}/{database}' }}"));
        connections.insert("no_broker".into(), toml("kafka = { brokers = '127.0.0.1:1' }"));
        connections.insert("refused_by_broker".into(), guarded_broker(Some(PASSWORD)));
        connections.insert("guarded".into(), guarded_broker(None));
        connections.insert("no_dimensions".into(), toml("hbase = { thrift = '127.0.0.1:1' }"));
        connections.insert("no_database".into(), mysql("127.0.0.1:1"));
        connections.insert("wrong_password".into(), mysql(&host));
    });
    let tables = site.tables();
    let exact = "VARCHAR(32) COLLATE utf8mb4_nopad_bin";
    tables.execute(format!("CREATE TABLE texts (gift_type {exact} PRIMARY KEY, gift_total_amount VARCHAR(9))"));
    tables.execute(
        "CREATE TABLE merging (gift_type VARCHAR(32) COLLATE utf8mb4_general_ci PRIMARY KEY, gift_total_amount BIGINT)"
            .into(),
    );
    tables.execute("CREATE TABLE keyless (gift_type VARCHAR(32), gift_total_amount BIGINT)".into());
    for fault in &FAULTS {
        site.add_pipeline(fault.name, fault.metric, |pipeline| {
            pipeline["sink"][0]["table"] = fault.name.into();
            (fault.edit)(pipeline);
        });
    }
    site.add_pipeline("sound", "gift_sum", |_| {});
    site.add_pipeline("with_password", "gift_sum", |pipeline| {
        pipeline["source"]["connection"] = "guarded".into();
        pipeline["sink"][0]["table"] = "with_password".into();
    });
    site
}

fn assert_says(fault: &Fault, sentence: &str) {
    for part in fault.says {
        assert!(sentence.contains(part), "{}: {part} in: {sentence}", fault.name);
    }
    assert!(sentence.len() < 1000, "{}: one clear sentence: {sentence}", fault.name);
}

#[test]
fn check_says_everything_that_is_wrong_at_once() {
    let site = faulty();
    let config = site.config();
    let finished = sluice(&["check", "--json", "--config", config.to_str().unwrap()]);
    assert_eq!(finished.code, Some(1), "{}", finished.output);
    assert!(!finished.output.contains(PASSWORD), "{}", finished.output);
    let start = finished.output.find("\n[").map_or(0, |at| at + 1);
    let problems: Vec<Value> =
        serde_json::Deserializer::from_str(&finished.output[start..]).into_iter().next().unwrap().unwrap();
    let of = |name: &str| {
        let file = format!("{name}.toml");
        let problems = problems.iter().filter(|problem| problem["file"].as_str().unwrap().ends_with(&file));
        problems.map(Value::to_string).collect::<Vec<_>>().join(" ")
    };
    for fault in &FAULTS {
        assert_says(fault, &of(fault.name));
    }
    for sound in ["sound", "with_password"] {
        assert_eq!(of(sound), "", "nothing is wrong with {sound}");
    }
}

#[test]
fn what_is_wrong_holds_its_own_pipeline_only_and_the_status_says_it() {
    let site = faulty();
    // A lookup's server is asked once there is something to look up.
    site.send(ENTRIES, &[r#"{"user_id":1,"room_id":20210813}"#]);
    let mut host = Host::start(&site);
    for fault in &FAULTS {
        let pipeline = host.wait(fault.name, "it says what is wrong", |pipeline| {
            pipeline.reason.as_ref().is_some_and(|reason| !reason.contains("is being read and compiled"))
        });
        assert!(["stopped", "waiting", "holding"].contains(&pipeline.state.as_str()), "{pipeline:?}");
        assert_says(fault, &pipeline.reason.unwrap());
    }
    site.send(GIFTS, &[r#"{"gift_type":1,"gift_total_amount":5}"#]);
    for table in ["live_gift_total_amount", "with_password"] {
        site.tables().await_rows(metric("gift_sum"), table, json!([["1", 5]]));
    }
    let finished = host.terminate();
    assert!(!finished.output.contains(PASSWORD), "{}", finished.output);
    let lines = finished.output.lines().count();
    assert!(lines < 20 * FAULTS.len(), "what goes on being wrong doesn't flood the log: {lines} lines");
}

/// A password with every character that means something in a url, of which each half would be shown by somebody who takes it
/// for a host, a parameter or a fragment.
const RESERVED: &str = "12?zulu&yaq#qee/xra@wisk:vkt";

#[test]
fn a_password_of_any_characters_is_in_no_output_and_its_own_key_takes_it() {
    let site = Site::empty(World::Embedded, 1);
    let shows = |output: &str| ["zulu", "yaq", "qee", "xra", "wisk", "vkt"].iter().any(|part| output.contains(part));
    let with = |mysql: String| {
        site.configure(|config| {
            config["connections"].as_table_mut().unwrap().insert("secret".into(), toml(&format!("mysql = {mysql}")));
        });
    };
    site.add_pipeline("secret", "gift_sum", |pipeline| pipeline["sink"][0]["connection"] = "secret".into());
    let config = site.config();
    with(format!("{{ url = 'mysql://root:{RESERVED}@127.0.0.1:1/livedb' }}"));
    for verb in ["run", "check"] {
        let finished = sluice(&[verb, "--config", config.to_str().unwrap()]);
        assert_eq!(finished.code, Some(1), "{verb}: {}", finished.output);
        assert!(finished.output.contains("%3F") && !shows(&finished.output), "{verb}: {}", finished.output);
    }
    with(format!("{{ url = 'mysql://127.0.0.1:1', user = 'root', password = '{RESERVED}', database = 'livedb' }}"));
    let finished = sluice(&["check", "--config", config.to_str().unwrap()]);
    assert!(finished.output.contains("127.0.0.1:1") && !shows(&finished.output), "{}", finished.output);
    site.send(GIFTS, &[r#"{"gift_type":1,"gift_total_amount":5}"#]);
    let mut host = Host::start(&site);
    let waiting = host.wait("secret", "it says what is wrong", |pipeline| pipeline.reason.is_some());
    assert!(!shows(&format!("{waiting:?}")), "{waiting:?}");
    let finished = host.terminate();
    assert!(finished.output.contains("127.0.0.1:1") && !shows(&finished.output), "{}", finished.output);
}

#[test]
fn a_file_that_is_no_configuration_is_said_with_its_place_and_fails_what_is_to_end() {
    let site = Site::empty(World::Embedded, 1);
    fs::write(site.path("pipelines/torn.toml"), "[source]\nconnection = \"events\n").unwrap();
    fs::write(site.path("pipelines/unset.toml"), "[source]\nconnection = \"${SLUICE_E2E_NOT_SET}\"\n").unwrap();
    let config = site.config();
    let fails = |arguments: &[&str], parts: &[&str]| {
        let finished = sluice(&[arguments, &["--config", config.to_str().unwrap()]].concat());
        assert_eq!(finished.code, Some(1), "{arguments:?}: {}", finished.output);
        for part in parts {
            assert!(finished.output.contains(part), "{arguments:?}: {part} in {}", finished.output);
        }
    };
    for arguments in [&["run", "--until-caught-up"][..], &["check"]] {
        fails(arguments, &["torn.toml", "unset.toml", "SLUICE_E2E_NOT_SET"]);
    }
    // The service's own file is another matter.
    fs::write(&config, "operators = \"operators\"\nnonsense = 1\n").unwrap();
    for verb in ["run", "check"] {
        fails(&[verb], &["nonsense"]);
    }
}
