//! A frozen board doesn't look healthy.

use sluice_e2e::{GIFTS, Host, World};

use crate::stage::{Stage, listen, put_board, rows_of};

const BARS: usize = 2;
const MAP: usize = 0;

/// True once no panel looks well.
const NONE_WELL: &str =
    "[...document.querySelectorAll('.panel')].every(panel => ['warn', 'alarm'].includes(panel.dataset.level))";
/// True once all look well.
const ALL_WELL: &str = "[...document.querySelectorAll('.panel')].every(panel => panel.dataset.level === 'ok')";

#[test]
fn a_restart_of_the_host_is_seen_and_survived() {
    let mut stage = Stage::new(World::Embedded, 100);
    let port = stage.address.rsplit_once(':').unwrap().1.parse().unwrap();
    listen(&stage.site, port);
    stage.open_board("lang=en");
    stage.browser.wait_until(ALL_WELL);
    stage.browser.value("globalThis.mark = 'the same page'");
    let before = rows_of(&stage.browser.value("sluiceShown()"), BARS);

    stage.host.signal("-KILL");
    stage.browser.wait_until(NONE_WELL);
    stage.browser.wait_until("document.querySelector('.live').textContent.startsWith('Not connected since')");
    stage.host = Host::start(&stage.site);
    stage.browser.wait_until(ALL_WELL);
    stage.browser.wait_until("document.querySelector('.live').textContent === 'live'");
    assert_eq!(rows_of(&stage.browser.value("sluiceShown()"), BARS), before);
    assert_eq!(stage.browser.value("globalThis.mark"), "the same page");
    stage.browser.assert_nothing_but(&stage.address, |complaint| complaint.contains("net::ERR_"));
}

#[test]
fn a_host_that_is_frozen_is_not_taken_for_a_quiet_one() {
    let mut stage = Stage::new(World::Embedded, 100);
    stage.open_board("lang=en");
    stage.browser.wait_until(ALL_WELL);
    stage.host.freeze();
    stage.browser.wait_until(NONE_WELL);
    stage.host.thaw();
    stage.browser.wait_until(ALL_WELL);
    stage.browser.assert_nothing_but(&stage.address, |complaint| complaint.contains("net::ERR_"));
}

#[test]
fn a_broken_panel_says_what_is_wrong_and_the_others_live_on() {
    let mut stage = Stage::new(World::Embedded, 100);
    stage.open_board("lang=en");
    stage.browser.wait_until(ALL_WELL);
    stage.browser.value("globalThis.mark = 'the same page'");
    put_board(&stage.site, |board| {
        board["panel"][BARS]["sql"] = "SELECT gift_type, gift_total_amount FROM no_such_table".into();
    });
    stage.await_state(BARS, "error");
    let said = stage.text_of(BARS, ".news");
    assert!(said.contains("no_such_table"), "{said}");
    stage.await_state(MAP, "ok");

    put_board(&stage.site, |_| {});
    stage.browser.wait_until(ALL_WELL);
    assert!(!rows_of(&stage.browser.value("sluiceShown()"), BARS).is_empty());
    assert_eq!(stage.browser.value("globalThis.mark"), "the same page");
    stage.browser.assert_nothing_wrong(&stage.address);
}

#[test]
fn figures_of_a_pipeline_that_stopped_say_so_and_the_foot_says_whose_they_are() {
    let mut stage = Stage::new(World::Embedded, 100);
    stage.open_board("lang=en");
    stage.browser.wait_until(ALL_WELL);
    let running = stage.host.wait("gift_sum", "it runs", |pipeline| pipeline.operator.is_some());
    let operator = running.operator.unwrap();
    stage.site.send(GIFTS, &["no JSON"]);
    stage.await_state(BARS, "stopped");
    let before = rows_of(&stage.browser.value("sluiceShown()"), BARS);
    // The map is of another topic.
    stage.await_state(MAP, "ok");

    stage.browser.value("document.querySelectorAll('.foot')[2].focus()");
    stage.browser.type_into(".panel:nth-child(3) .foot", "\u{e007}");
    let dialog = stage.browser.text("dialog");
    for part in ["gift_sum", &format!("#{}", operator.generation), &operator.digest, "stopped", GIFTS] {
        assert!(dialog.contains(part), "{part} in {dialog}");
    }
    assert_eq!(rows_of(&stage.browser.value("sluiceShown()"), BARS), before, "what was known stays");
    stage.browser.assert_nothing_wrong(&stage.address);
}
