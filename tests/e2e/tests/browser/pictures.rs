//! What the board looks like: everything has its room, on screens of all sizes; and how long it takes to be there.

use std::path::PathBuf;

use serde_json::Value;
use sluice_e2e::{Screen, World};

use crate::stage::{BOARD, Stage};

/// Most bytes that a page may bring, compressed.
const MOST_BYTES: u64 = 500_000;

/// Longest time until the charts are there, in milliseconds: a second is aimed at; a busy machine is no failure.
const LONGEST: f64 = 10_000.0;

/// Parts whose content is larger than their room, by more than letters stand out of their line.
const CRAMPED: &str = "[...document.querySelectorAll('.panel h2, .tiles li, .ranking li, .parts-frame, .foot, .body')] \
    .filter(one => Math.max(one.scrollWidth - one.clientWidth, one.scrollHeight - one.clientHeight) \
        > parseFloat(getComputedStyle(document.documentElement).fontSize) / 6) \
    .map(one => `${one.className} ${one.tagName} ${one.textContent.slice(0, 40)}`)";

/// Where pictures go: to the directory that is named, to be looked at; or to one that is gone afterwards.
fn directory(temporary: &tempfile::TempDir) -> PathBuf {
    let named = std::env::var_os("SLUICE_PICTURES").map(PathBuf::from);
    named.inspect(|named| std::fs::create_dir_all(named).unwrap()).unwrap_or_else(|| temporary.path().to_owned())
}

#[test]
fn everything_has_its_room_on_walls_and_phones_in_both_themes() {
    let mut stage = Stage::new(World::Embedded, 20_000);
    let temporary = tempfile::tempdir().unwrap();
    let directory = directory(&temporary);
    for (size, screen) in [("wall", Screen::WALL), ("large-wall", Screen::LARGE_WALL), ("phone", Screen::PHONE)] {
        for (theme, screen, lang) in [("dark", screen, "en"), ("light", screen.light(), "zh")] {
            stage.browser.look_with(screen);
            stage.browser.open(&format!("{}/boards/{BOARD}?lang={lang}&kiosk=1", stage.address));
            stage.browser.wait_until("document.querySelectorAll('.panel[data-level=ok]').length === 6");
            let name = format!("board-{theme}-{size}");
            assert_eq!(stage.browser.value("document.documentElement.dataset.theme"), theme);
            let [width, height] = ["scrollWidth", "scrollHeight"]
                .map(|side| whole(&stage.browser.value(&format!("document.documentElement.{side}"))));
            assert_eq!(width, u64::from(screen.width), "{name} is as wide as the screen");
            if size != "phone" {
                assert_eq!(height, u64::from(screen.height), "{name} fits on a wall");
            }
            let cramped = stage.browser.value(CRAMPED);
            assert_eq!(cramped.as_array().unwrap().len(), 0, "{name}: {cramped:#}");
            stage.browser.picture(&directory.join(format!("{name}.png")));
        }
    }
    stage.browser.assert_nothing_wrong(&stage.address);
}

#[test]
fn pipelines_have_their_room_on_walls_and_phones() {
    let mut stage = Stage::new(World::Embedded, 2000);
    let temporary = tempfile::tempdir().unwrap();
    let directory = directory(&temporary);
    for (size, screen) in [("wall", Screen::WALL), ("phone", Screen::PHONE.light())] {
        stage.browser.look_with(screen);
        for (page, name) in [("pipelines", "pipelines"), ("pipelines/gift_by_user", "pipeline")] {
            stage.browser.open(&format!("{}/{page}?lang=en", stage.address));
            stage.browser.wait_until("document.querySelectorAll('.link').length > 0");
            let width = whole(&stage.browser.value("document.documentElement.scrollWidth"));
            assert_eq!(width, u64::from(screen.width), "{name} is as wide as the screen");
            stage.browser.picture(&directory.join(format!("{name}-{size}.png")));
        }
    }
    stage.browser.assert_nothing_wrong(&stage.address);
}

#[test]
fn a_page_is_small_and_soon_there() {
    let mut stage = Stage::new(World::Embedded, 1000);
    stage.open_board("lang=en");
    let drawn = "performance.getEntriesByName('sluice drawn')[0]?.startTime ?? null";
    let time = stage.browser.wait(drawn, |time| time.as_f64().ok_or("not yet".to_owned()));
    let bytes = "[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')] \
                 .reduce((sum, one) => sum + one.transferSize, 0)";
    let bytes = whole(&stage.browser.value(bytes));
    eprintln!("the charts were there after {time:.0} ms and {bytes} bytes");
    assert!(bytes > 50_000, "the measure measures: {bytes}");
    assert!(bytes < MOST_BYTES, "{bytes} bytes");
    assert!(time < LONGEST, "{time} ms");
    stage.browser.assert_nothing_wrong(&stage.address);
}

#[test]
fn keys_switch_theme_and_kiosk_and_the_page_remembers() {
    let mut stage = Stage::new(World::Embedded, 50);
    stage.open_board("lang=en");
    let theme = "document.documentElement.dataset.theme";
    assert_eq!(stage.browser.value(theme), "dark");
    stage.browser.type_into("body", "t");
    assert_eq!(stage.browser.value(theme), "light");
    stage.browser.type_into("body", "k");
    assert_eq!(stage.browser.value("document.body.classList.contains('kiosk')"), true);
    assert_eq!(stage.browser.value("getComputedStyle(document.querySelector('.tools')).display"), "none");
    stage.open_board("lang=en&kiosk=1");
    assert_eq!(stage.browser.value(theme), "light");
    assert_eq!(stage.browser.value("document.body.classList.contains('kiosk')"), true);
    // Each panel is a region with a name, each figure can be read, and each foot can be reached.
    let named = "[...document.querySelectorAll('.panel')].every(panel => document.getElementById(panel.getAttribute('aria-labelledby')).textContent !== '' \
                 && (panel.querySelector('table, li') !== null) && panel.querySelector('button.foot').tabIndex === 0)";
    assert_eq!(stage.browser.value(named), true);
    stage.browser.assert_nothing_wrong(&stage.address);
}

fn whole(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no whole number"))
}
