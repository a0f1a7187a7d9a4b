//! As much of WebDriver, which is JSON over HTTP on this machine, as the tests need: one session of a chromedriver of their own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::PATIENCE;

/// The key under which an element's reference is.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A session with a browser. Both end when it is dropped.
pub struct Session {
    driver: Child,
    port: u16,
    path: String,
}

impl Session {
    /// Starts a driver, and a browser with these options of chromium's.
    pub fn start(options: Value, logs: Value) -> Session {
        let (driver, port) = driver();
        let mut session = Session { driver, port, path: "/session".to_owned() };
        let wanted = json!({ "goog:chromeOptions": options, "goog:loggingPrefs": logs });
        let made = session.post("", &json!({ "capabilities": { "alwaysMatch": wanted } })).expect("a browser starts");
        session.path = format!("/session/{}", made["sessionId"].as_str().expect("a session has a name"));
        session
    }

    /// The value that the command answers, or what the driver says against it.
    pub fn post(&self, command: &str, body: &Value) -> Result<Value, String> {
        self.ask("POST", command, &body.to_string())
    }

    /// The same for a command that only looks.
    pub fn get(&self, command: &str) -> Result<Value, String> {
        self.ask("GET", command, "")
    }

    /// The path of the first element that is selected.
    pub fn element(&self, selector: &str) -> Result<String, String> {
        let found = self.post("/element", &json!({ "using": "css selector", "value": selector }))?;
        Ok(format!("/element/{}", found[ELEMENT].as_str().ok_or_else(|| format!("no element: {found}"))?))
    }

    fn ask(&self, method: &str, command: &str, body: &str) -> Result<Value, String> {
        let path = format!("{}{command}", self.path);
        let answer = exchange(self.port, method, &path, body).map_err(|e| format!("{method} {path}: {e}"))?;
        let mut answer: Value = serde_json::from_str(&answer).map_err(|e| format!("{e} in {answer}"))?;
        match &answer["value"]["error"] {
            Value::String(error) => Err(format!("{error}: {}", answer["value"]["message"])),
            _ => Ok(answer["value"].take()),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The driver ends its browser with the session.
        let ended = self.ask("DELETE", "", "");
        self.driver.kill().ok();
        self.driver.wait().ok();
        if let Err(error) = ended {
            eprintln!("the browser may be left: {error}");
        }
    }
}

/// Starts chromedriver on a port that is free, which it says.
fn driver() -> (Child, u16) {
    let mut command = Command::new("chromedriver");
    command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let started = command.spawn();
    let mut driver = started.unwrap_or_else(|e| panic!("chromedriver: {e}: run `tests/services/browser.sh install`"));
    let lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let port = lines.map_while(Result::ok).find_map(|line| {
        let (_, said) = line.split_once("successfully on port ")?;
        said.trim_end_matches('.').parse().ok()
    });
    (driver, port.expect("chromedriver says its port"))
}

/// Sends a request on a connection of its own, and returns the answer's body.
fn exchange(port: u16, method: &str, path: &str, body: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n")?;
    write!(stream, "Content-Length: {length}\r\nConnection: close\r\n\r\n{body}")?;
    let mut answer = BufReader::new(stream);
    let mut length = 0;
    let mut line = String::new();
    while answer.read_line(&mut line)? > 2 {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().map_err(std::io::Error::other)?;
        }
        line.clear();
    }
    let mut body = String::new();
    answer.take(length).read_to_string(&mut body)?;
    Ok(body)
}
