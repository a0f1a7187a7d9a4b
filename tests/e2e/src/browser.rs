//! A real browser: Debian's chromium without a window.

use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::webdriver::Session;
use crate::{PATIENCE, eventually};

/// What a page is looked at with.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    /// Width in the page's pixels.
    pub width: u32,
    /// Height in the page's pixels.
    pub height: u32,
    /// The screen's pixels for one of the page's.
    pub scale: u32,
    /// Whether the person prefers dark pages.
    pub dark: bool,
}

impl Screen {
    /// A screen on a wall.
    pub const WALL: Screen = Screen { width: 1920, height: 1080, scale: 1, dark: true };
    /// One of four times as many pixels.
    pub const LARGE_WALL: Screen = Screen { width: 3840, height: 2160, ..Screen::WALL };
    /// A phone held upright.
    pub const PHONE: Screen = Screen { width: 390, height: 844, scale: 2, dark: true };

    /// The same, for who prefers light pages.
    pub const fn light(self) -> Screen {
        Screen { dark: false, ..self }
    }
}

/// A browser of one test's own: nothing is kept from others, and what its pages did wrong is remembered.
pub struct Browser {
    session: Session,
    _profile: TempDir,
    requests: Vec<String>,
    complaints: Vec<String>,
}

impl Browser {
    /// Starts it.
    pub fn start() -> Browser {
        let profile = tempfile::tempdir().unwrap();
        let session = Session::start(options(profile.path()), json!({ "browser": "ALL", "performance": "ALL" }));
        Browser { session, _profile: profile, requests: Vec::new(), complaints: Vec::new() }
    }

    /// Looks at pages with another screen from now on.
    pub fn look_with(&self, screen: Screen) {
        let Screen { width, height, scale, dark } = screen;
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < height });
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics);
        let scheme = if dark { "dark" } else { "light" };
        // What moves to its place is somewhere else in each picture.
        let features = json!({ "features": [
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ] });
        self.devtools("Emulation.setEmulatedMedia", &features);
    }

    /// Pages have scripts from now on, or none.
    pub fn allow_scripts(&self, allowed: bool) {
        self.devtools("Emulation.setScriptExecutionDisabled", &json!({ "value": !allowed }));
    }

    /// Opens a page and waits until it is loaded.
    pub fn open(&self, address: &str) {
        self.session.post("/url", &json!({ "url": address })).unwrap_or_else(|e| panic!("{address}: {e}"));
    }

    /// The value of an expression in the page.
    pub fn value(&self, expression: &str) -> Value {
        self.try_value(expression).unwrap_or_else(|e| panic!("{expression}: {e}"))
    }

    fn try_value(&self, expression: &str) -> Result<Value, String> {
        self.session.post("/execute/sync", &json!({ "script": format!("return {expression};"), "args": [] }))
    }

    /// Waits until an expression in the page has a value that is taken.
    pub fn wait<T>(&self, expression: &str, take: impl Fn(&Value) -> Result<T, String>) -> T {
        eventually(expression, PATIENCE, || take(&self.try_value(expression)?))
    }

    /// Waits until an expression in the page is true.
    pub fn wait_until(&self, expression: &str) {
        self.wait(expression, |value| if *value == json!(true) { Ok(()) } else { Err(value.to_string()) });
    }

    /// The text of the first element that is selected, as people see it.
    pub fn text(&self, selector: &str) -> String {
        let text = self.session.element(selector).and_then(|element| self.session.get(&format!("{element}/text")));
        text.unwrap_or_else(|e| panic!("{selector}: {e}")).as_str().expect("a text").to_owned()
    }

    /// Clicks on the first element that is selected.
    pub fn click(&self, selector: &str) {
        self.act(selector, "click", &json!({}));
    }

    /// Types into the first element that is selected.
    pub fn type_into(&self, selector: &str, text: &str) {
        self.act(selector, "value", &json!({ "text": text }));
    }

    fn act(&self, selector: &str, act: &str, body: &Value) {
        let element = self.session.element(selector);
        let done = element.and_then(|element| self.session.post(&format!("{element}/{act}"), body));
        done.unwrap_or_else(|e| panic!("{act} on {selector}: {e}"));
    }

    /// Writes what the screen shows to a file, as PNG.
    pub fn picture(&self, file: &Path) {
        let picture = self.session.get("/screenshot").unwrap();
        let picture = BASE64_STANDARD.decode(picture.as_str().expect("a text")).unwrap();
        std::fs::write(file, picture).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    }

    /// Fails if a page asked for anything that isn't at this address, or complained: of a script's error, of the security policy, or of
    /// something that couldn't be loaded.
    pub fn assert_nothing_wrong(&mut self, address: &str) {
        self.assert_nothing_but(address, |_| false);
    }

    /// The same, but for complaints that the test is the cause of.
    pub fn assert_nothing_but(&mut self, address: &str, expected: impl Fn(&str) -> bool) {
        self.hear();
        let elsewhere: Vec<&String> = self.requests.iter().filter(|url| !is_of(url, address)).collect();
        assert!(elsewhere.is_empty(), "asked for elsewhere: {elsewhere:?}");
        assert!(self.requests.iter().any(|url| url.starts_with(address)), "no page of {address} was seen");
        let complaints: Vec<&String> = self.complaints.iter().filter(|one| !expected(one)).collect();
        assert!(complaints.is_empty(), "the browser complains: {complaints:#?}");
    }

    /// Takes what the browser has logged since the last time.
    fn hear(&mut self) {
        for entry in self.log("performance") {
            let message = entry["message"].as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
            let message = message.unwrap_or_default();
            let (method, params) = (&message["message"]["method"], &message["message"]["params"]);
            let url = match method.as_str() {
                Some("Network.requestWillBeSent") => &params["request"]["url"],
                Some("Network.webSocketCreated" | "Network.webTransportCreated") => &params["url"],
                _ => continue,
            };
            self.requests.push(url.as_str().unwrap_or("a request without an address").to_owned());
        }
        for entry in self.log("browser") {
            self.complaints.push(format!("{} {}", entry["level"], entry["message"]));
        }
    }

    fn log(&self, kind: &str) -> Vec<Value> {
        let entries = self.session.post("/se/log", &json!({ "type": kind })).unwrap();
        entries.as_array().expect("a list").clone()
    }

    fn devtools(&self, command: &str, params: &Value) {
        let done = self.session.post("/goog/cdp/execute", &json!({ "cmd": command, "params": params }));
        done.unwrap_or_else(|e| panic!("{command}: {e}"));
    }
}

/// Options of a chromium that reaches this machine only.
fn options(profile: &Path) -> Value {
    let profile = format!("--user-data-dir={}", profile.display());
    let mut arguments = vec![
        "--headless=new",
        &profile,
        "--hide-scrollbars",
        "--force-color-profile=srgb",
        "--disable-gpu",
        // In a container /dev/shm is small.
        "--disable-dev-shm-usage",
        // Whatever a page asks for elsewhere finds nothing, and is a fault of the page.
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ];
    let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    if root {
        // Its sandbox refuses to run as root.
        arguments.push("--no-sandbox");
    }
    json!({ "args": arguments })
}

/// True if the address is the host's, or of what the page has itself; the browser's own pages, such as its first one, have others.
fn is_of(url: &str, address: &str) -> bool {
    let own = format!("{}/", address.trim_end_matches('/'));
    [own.as_str(), "data:", "chrome:"].iter().any(|begin| url.starts_with(begin))
}
