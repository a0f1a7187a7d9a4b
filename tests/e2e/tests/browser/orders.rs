//! The pipelines' pages, and what a person orders there.

use std::fs;

use sluice_e2e::{METRICS, World, digest, rebuilt};

use crate::stage::Stage;

#[test]
fn the_pipelines_are_seen_and_one_is_rolled_back_with_the_token() {
    let mut stage = Stage::new(World::Embedded, 100);
    stage.browser.open(&format!("{}/pipelines?lang=en", stage.address));
    for metric in &METRICS {
        let name = metric.name;
        stage.browser.wait_until(&format!(
            "[...document.querySelectorAll('.card')].some(card => card.querySelector('h2').textContent === '{name}' \
             && card.querySelector('.badges').textContent === 'running' && card.querySelectorAll('.link').length >= 3)"
        ));
    }

    let file = stage.site.path("operators/gift_sum.wasm");
    let first = fs::read(&file).unwrap();
    let second = rebuilt(&first, b'2');
    stage.host.wait_for_artifact("gift_sum", &digest(&first));
    stage.site.write(&file, &second);
    stage.host.wait_for_artifact("gift_sum", &digest(&second));
    stage.browser.open(&format!("{}/pipelines/gift_sum?lang=en", stage.address));
    stage.browser.wait_until(&format!(
        "document.querySelector('.rows-generations').textContent.includes('{}')",
        &digest(&second)[..12]
    ));

    stage.browser.click(".order-rollback");
    stage.browser.type_into("#token", "no token at all");
    stage.browser.click("dialog .primary");
    stage.browser.wait_until("document.querySelector('.result').textContent === \"The host doesn't take this token.\"");
    let token = fs::read_to_string(stage.site.path("state/admin.token")).unwrap();
    stage.browser.value("document.querySelector('#token').value = ''");
    stage.browser.type_into("#token", token.trim());
    stage.browser.click("dialog .primary");
    stage.host.wait_for_artifact("gift_sum", &digest(&first));
    stage.browser.wait_until("document.querySelector('dialog .primary').hidden");
    stage.browser.click("dialog .dialog-close");

    // It stays pinned, until that is taken back; the token is known by now.
    stage.browser.wait_until("document.querySelector('.badges').textContent.includes('pinned')");
    stage.browser.click(".order-unpin");
    stage.browser.click("dialog .primary");
    stage.host.wait_for_artifact("gift_sum", &digest(&second));
    stage.browser.assert_nothing_but(&stage.address, |complaint| complaint.contains("401 (Unauthorized)"));
}
