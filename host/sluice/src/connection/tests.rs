//! Tests that a connector's place in the list says of it what is so.

use std::path::Path;
use std::sync::Arc;

use super::{CONNECTORS, Connection, Connector, Role};
use crate::config::reader;

/// The connection that these settings make.
pub fn connection(of: &'static Connector, settings: &str) -> Arc<dyn Connection> {
    let text = format!("settings = {settings}");
    let reading = reader::read(Path::new("sluice.toml"), &text, &|_| None, |section| {
        section.required("settings", "settings", |item| {
            item.table("settings", |section| (of.read)(section, Path::new("")))
        })
    });
    assert!(reading.problems.is_empty(), "{:?}", reading.problems);
    reading.value.unwrap()
}

#[test]
fn the_example_of_every_connector_makes_a_connection_with_the_roles_that_are_declared() {
    for of in CONNECTORS {
        let connection = connection(of, of.example);
        assert_eq!(connection.connector().name, of.name);
        for (role, is_there) in [
            (Role::Source, connection.source().is_some()),
            (Role::Lookup, connection.lookup().is_some()),
            (Role::Sink, connection.sink().is_some()),
            (Role::DeadLetters, connection.letters().is_some()),
            (Role::Board, connection.queries().is_some()),
        ] {
            assert_eq!(of.takes(role), is_there, "{}: {role}", of.name);
        }
    }
}

#[test]
fn no_two_connectors_share_a_name_and_every_role_has_one() {
    let mut names: Vec<_> = CONNECTORS.iter().map(|of| of.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), CONNECTORS.len());
    for role in [Role::Source, Role::Lookup, Role::Sink, Role::DeadLetters, Role::Board] {
        assert!(CONNECTORS.iter().any(|of| of.takes(role)), "{role}");
    }
}

#[test]
fn a_role_lists_its_connectors_as_a_sentence_does() {
    assert_eq!(Role::Source.to_string(), "a source (kafka or log)");
    assert_eq!(Role::DeadLetters.to_string(), "a place for dead letters (kafka, mysql or sqlite)");
}

#[test]
fn no_connection_shows_its_password() {
    for (name, settings) in [
        ("mysql", r#"{ url = "mysql://me@h/live", password = "QJXZ" }"#),
        ("kafka", r#"{ brokers = "h:1", properties = { "sasl.password" = "QJXZ" } }"#),
    ] {
        let of = CONNECTORS.iter().find(|of| of.name == name).unwrap();
        let shown = format!("{:?}", connection(of, settings));
        assert!(!shown.contains("QJXZ"), "{shown}");
    }
}
