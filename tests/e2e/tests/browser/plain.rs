//! What is sent is text, and can be read without scripts.

use sluice_e2e::{GIFTS, World};

use crate::stage::{BOARD, Stage, put_board};

#[test]
fn tables_are_there_without_scripts() {
    let mut stage = Stage::new(World::Embedded, 200);
    stage.open_board("lang=zh");
    let shown = stage.browser.value("[...document.querySelectorAll('.panel h2')].map(title => title.textContent)");
    stage.browser.allow_scripts(false);
    for page in
        [format!("boards/{BOARD}?lang=zh"), "pipelines?lang=zh".to_owned(), "pipelines/gift_sum?lang=zh".to_owned()]
    {
        stage.browser.open(&format!("{}/{page}", stage.address));
        let text = stage.browser.text("main");
        if page.starts_with("boards") {
            for title in shown.as_array().unwrap() {
                assert!(text.contains(title.as_str().unwrap()), "{title} in {text}");
            }
            assert!(text.contains("内蒙古"), "{text}");
        } else {
            assert!(text.contains("gift_sum"), "{text}");
        }
    }
    stage.browser.assert_nothing_wrong(&stage.address);
}

#[test]
fn what_looks_like_html_is_text() {
    const MARKUP: &str = "<img src=x onerror=\"globalThis.hacked = 1\"><script>globalThis.hacked = 1</script>";
    let mut stage = Stage::new(World::Embedded, 50);
    put_board(&stage.site, |board| {
        board["title"] = MARKUP.into();
        let panels = board["panel"].as_array_mut().unwrap();
        for (panel, chart) in panels.iter_mut().zip(["table", "pie", "bar", "line", "ranking", "number"]) {
            panel["title"] = MARKUP.into();
            panel["chart"] = chart.into();
            panel["sql"] = format!("SELECT '{MARKUP}' AS what, 7 AS n").into();
        }
    });
    stage.open_board("lang=en");
    stage.browser.wait_until(&format!("document.querySelectorAll('h2')[5].textContent === {MARKUP:?}"));
    stage.browser.wait_until(&format!("sluiceShown().every(panel => panel.table[0]?.[0] === {MARKUP:?})"));
    stage.browser.click(".panel:nth-child(1) .foot");
    assert_eq!(stage.browser.text("dialog h2"), MARKUP);

    // A reason of a rejection is an operator's words, a sample is somebody's record.
    stage.site.send(GIFTS, &[format!("{{\"gift_type\": {MARKUP:?}, \"gift_total_amount\": 1}}")]);
    stage.browser.open(&format!("{}/pipelines/gift_sum?lang=en", stage.address));
    stage.browser.wait_until("document.querySelectorAll('.link').length > 0");
    assert_eq!(stage.browser.value("document.querySelectorAll('img, main script').length"), 0);
    assert_eq!(stage.browser.value("globalThis.hacked === undefined"), true);
    stage.browser.assert_nothing_wrong(&stage.address);
}
