//! Tests that no possible secret leaves through a message or a dump.

use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;

use super::{PIPELINE, directory, load_from};
use crate::config::{Problems, load, reader, service};

/// Secret that no text may contain. Its letters occur nowhere else, so that parts of it are found as well.
const WORD: &str = "QJXZQJXZ";

const SERVICE: &str = r#"
[connections.events]
kafka = { brokers = "127.0.0.1:9092", properties = { "sasl.password" = "QJXZQJXZ", "sasl.username" = "${WORD}" } }
[connections.livedb]
mysql = { url = "mysql://root:QJXZQJXZ@127.0.0.1:3306/live", time_zone = "+08:00" }
"#;

/// Returns everything that loading reports of these files, in all its forms.
fn said(service: &str, pipeline: &str) -> String {
    let directory = directory(service, &[("p.toml", pipeline)]);
    let env = |_: &str| Some(WORD.to_owned());
    match load(&directory.path().join("sluice.toml"), &env) {
        Ok(config) => format!("{config:?}"),
        Err(problems) => {
            format!("{problems} {problems:?} {}", serde_json::to_string(&problems).unwrap())
        }
    }
}

#[test]
fn a_configuration_can_be_dumped() {
    let operator = "[[step]]\noperator = \"o\"\nconfig = { salt = \"${WORD}\" }\n[[sink]]";
    let said = said(SERVICE, &PIPELINE.replace("[[sink]]", operator));
    assert!(said.contains("OperatorStep") && said.contains("sasl.password"), "{said}");
    assert!(!said.contains(WORD), "{said}");
}

#[test]
fn wrong_secrets_are_not_shown() {
    for (right, wrong) in [
        (r#""mysql://root"#, r#""jdbc:mysql://root"#),
        (r#"url = "mysql://root:QJXZQJXZ@127.0.0.1:3306/live""#, r#"url = ["QJXZQJXZ"]"#),
        (
            r#"mysql = { url = "mysql://root:QJXZQJXZ@127.0.0.1:3306/live", time_zone = "+08:00" }"#,
            r#"mysql = "QJXZQJXZ""#,
        ),
        ("url =", "uri ="),
        (r#""sasl.password" = "QJXZQJXZ""#, r#""sasl.password" = ["QJXZQJXZ"]"#),
        (r#""sasl.password" = "QJXZQJXZ""#, r#""group.id" = "QJXZQJXZ""#),
        (r#"properties = {"#, r#"properties = "QJXZQJXZ", property = {"#),
        ("127.0.0.1:9092", "${WORD}"),
        ("+08:00", "${WORD}!"),
        (r#"+08:00""#, r#"+08:00"#),
        ("QJXZQJXZ", "${QJXZ QJXZ}"),
    ] {
        let service = SERVICE.replace(right, wrong);
        assert_ne!(service, SERVICE);
        let said = said(&service, PIPELINE);
        assert!(said.contains("found"), "{wrong} is taken");
        assert!(!said.contains("QJXZ"), "{wrong} is shown: {said}");
    }
}

#[test]
fn values_of_variables_are_not_shown_wherever_they_are_put() {
    for (right, wrong) in [
        (r#""gifts""#, r#""${WORD}/""#),
        (r#""earliest""#, r#""${WORD}""#),
        (r#""int64""#, r#""${WORD}""#),
        (r#"["id"]"#, r#"["${WORD}"]"#),
        (r#""livedb""#, r#""${WORD}""#),
    ] {
        let said = said(SERVICE, &PIPELINE.replace(right, wrong));
        assert!(said.contains("found") && !said.contains(WORD), "{said}");
    }
}

#[test]
fn no_slip_in_a_file_shows_a_secret() {
    let path = Path::new("sluice.toml");
    for at in 0..SERVICE.len() {
        for with in "\"\n=,.{}[]#$a \\'".chars() {
            let text = format!("{}{with}{}", &SERVICE[..at], &SERVICE[at + 1..]);
            let reading = reader::read(path, &text, &|_| Some(WORD.to_owned()), |section| {
                Some(service::read(section, Path::new("")))
            });
            // A slip within the secret leaves less than all of it.
            let said = Problems(reading.problems).to_string();
            assert!(!said.contains("QJX"), "{with:?} at {at}: {said}");
        }
    }
}

#[test]
fn the_slips_start_from_a_configuration_that_loads() {
    let directory = directory(&SERVICE.replace("${WORD}", "w"), &[("p.toml", PIPELINE)]);
    assert!(load_from(directory.path()).is_ok());
}

/// Files with a password where one can be, as people write it who don't know what it means there.
fn with_password(place: usize, password: &str) -> String {
    let quoted = toml::Value::String(password.to_owned());
    let text = |text: String| toml::Value::String(text);
    let connection = match place {
        0 => format!("mysql = {{ url = {} }}", text(format!("mysql://root:{password}@127.0.0.1:3306/live"))),
        1 => format!(r#"mysql = {{ url = "mysql://127.0.0.1/live", user = "root", password = {quoted} }}"#),
        2 => format!(
            r#"mysql = {{ url = "mysql://u:x@127.0.0.1/live", user = "root", password = {quoted}, tls = "on" }}"#
        ),
        3 => format!(r#"kafka = {{ brokers = "127.0.0.1:9092", properties = {{ "sasl.password" = {quoted} }} }}"#),
        4 => format!(r#"kafka = {{ brokers = "127.0.0.1:9092", "sasl.password" = {quoted} }}"#),
        5 => r#"mysql = { url = "${WORD}" }"#.to_owned(),
        _ => r#"mysql = { url = "mysql://root@127.0.0.1/live", password = "${WORD}", user = "" }"#.to_owned(),
    };
    format!("[connections.livedb]\n{connection}\n")
}

fn said_of(place: usize, password: &str) -> String {
    let directory = directory(&with_password(place, password), &[]);
    let env = |_: &str| Some(format!("mysql://root:{password}@127.0.0.1:3306/live"));
    let said = match load(&directory.path().join("sluice.toml"), &env) {
        Ok(config) => format!("{config:?}"),
        Err(problems) => format!("{problems} {problems:?}"),
    };
    said.replace(&directory.path().display().to_string(), "")
}

/// Returns all sequences of four bytes in a text.
fn parts(text: &str) -> BTreeSet<&[u8]> {
    text.as_bytes().windows(4).collect()
}

proptest! {
    #[test]
    fn of_no_password_a_part_is_shown(password in "[!-~]{4,24}", place in 0usize..7) {
        // What is said of another one is said of any.
        let any = said_of(place, "?#/") + &said_of(place, "w");
        let said = said_of(place, &password);
        let shown: Vec<_> = parts(&said).intersection(&parts(&password)).copied().collect();
        prop_assert!(shown.iter().all(|part| parts(&any).contains(part)), "{password}: {said}");
    }
}
