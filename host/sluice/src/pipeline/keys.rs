//! Check of a sink's key: it must tell the rows of a fold apart as the fold's groups do.

use sluice_core::checkpoint::StateForm;
use sluice_core::fold::WINDOW_COLUMNS;
use sluice_core::window::Window;

use crate::config::Sink;

const NO_GROUPS: &str = "the operator groups by nothing, so that no column of its one row identifies it: let it group by a \
                         column, of a constant if there is no other";

/// Returns the reason why rows of different groups would replace each other under this key, or rows of a group would stay behind;
/// none if the key is the one that the fold groups by. Other checks report a key that is empty or not a column of the result.
pub fn misfit(sink: &Sink, form: &StateForm) -> Option<String> {
    if sink.key.is_empty() {
        return None;
    }
    if form.keys.is_empty() {
        return Some(NO_GROUPS.to_owned());
    }
    let [_, window_end] = WINDOW_COLUMNS;
    // A window's end follows from its start; a session's from its rows as well.
    let end_is_spare = matches!(form.window, Some(Window::Tumbling { .. } | Window::Hopping { .. }));
    let groups = form.keys.iter().map(|field| field.name.as_str());
    let needed: Vec<&str> = groups.filter(|name| form.window.is_none() || *name != window_end).collect();
    let key: Vec<&str> =
        sink.key.iter().map(String::as_str).filter(|name| !end_is_spare || *name != window_end).collect();
    let missing = without(&needed, &key);
    let more = without(&key, &needed);
    let why = match (missing.is_empty(), more.is_empty()) {
        (true, true) => return None,
        (true, false) => format!("a group would have a row for each value of {}", listed(&more)),
        (false, _) => format!("groups that differ in {} would replace each other's row", listed(&missing)),
    };
    Some(format!("the sink's key isn't what the fold groups by, so that {why}: say key = {needed:?}"))
}

fn without<'a>(names: &[&'a str], others: &[&str]) -> Vec<&'a str> {
    names.iter().copied().filter(|name| !others.contains(name)).collect()
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sluice_core::window::Length;
    use sluice_core::{Field, Kind};

    use super::*;
    use crate::config::{Delivery, Flush, KeyEquality};
    use crate::connection::Place;

    fn sink(key: &[&str]) -> Sink {
        Sink {
            connection: "livedb".to_owned(),
            place: Place::Table,
            table: "gifts".to_owned(),
            key: key.iter().map(|name| (*name).to_owned()).collect(),
            delivery: Delivery::Upsert,
            create: false,
            shared: false,
            round: false,
            key_equality: KeyEquality::Exact,
            generation: false,
            tombstones: false,
            flush: Flush::default(),
        }
    }

    fn form(keys: &[&str], window: Option<Window>) -> StateForm {
        let windowed = WINDOW_COLUMNS.iter().filter(|_| window.is_some());
        let keys = keys.iter().chain(windowed).map(|name| Field::new(*name, Kind::Int64));
        StateForm { keys: keys.collect(), version: 1, columns: Vec::new(), window }
    }

    fn minute() -> Length {
        Duration::from_secs(60).try_into().unwrap()
    }

    fn why(key: &[&str], form: &StateForm) -> String {
        misfit(&sink(key), form).unwrap()
    }

    #[test]
    fn a_key_is_the_groups_in_any_order_and_nothing_else() {
        let form = form(&["user", "gift"], None);
        assert_eq!(misfit(&sink(&["gift", "user"]), &form), None);
        assert!(why(&["user"], &form).contains("differ in `gift`"));
        assert!(why(&["total"], &form).contains("differ in `user`, `gift`"));
        assert!(why(&["user", "gift", "total"], &form).contains("each value of `total`"));
        assert!(why(&["user"], &form).ends_with("say key = [\"user\", \"gift\"]"));
    }

    #[test]
    fn a_window_is_known_by_its_start_and_its_end_does_no_harm_but_to_sessions() {
        let tumbling = form(&["user"], Some(Window::Tumbling { size: minute() }));
        let session = form(&["user"], Some(Window::Session { gap: minute() }));
        for form in [&tumbling, &session] {
            assert_eq!(misfit(&sink(&["window_start", "user"]), form), None);
            assert!(why(&["window_start"], form).contains("differ in `user`"));
            assert!(why(&["user"], form).contains("differ in `window_start`"));
        }
        assert_eq!(misfit(&sink(&["user", "window_start", "window_end"]), &tumbling), None);
        assert!(why(&["user", "window_start", "window_end"], &session).contains("each value of `window_end`"));
        let whole = form(&[], Some(Window::Tumbling { size: minute() }));
        assert_eq!(misfit(&sink(&["window_start"]), &whole), None);
    }

    #[test]
    fn groups_without_a_key_have_no_row_that_a_column_identifies() {
        assert_eq!(why(&["total"], &form(&[], None)), NO_GROUPS);
    }
}
