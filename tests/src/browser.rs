//! A headless Chromium of the test's own, driven by WebDriver.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

/// A browser with one window. Dropping it ends it.
#[derive(Debug)]
pub struct Browser {
    port: u16,
    session: String,
    driver: Child,
    _profile: TempDir,
}

/// Nothing but what the page asks for may leave the browser.
const ARGUMENTS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

impl Browser {
    /// Starts chromedriver on a free port, and a browser with a fresh profile.
    ///
    /// # Panics
    /// When they do not come up.
    #[must_use]
    pub fn start() -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts: `tests/run` installs it");
        let output = driver.stdout.take().expect("its output");
        let mut lines = BufReader::new(output).lines();
        let port = lines
            .find_map(|line| {
                let line = line.expect("its output is text");
                let (_, port) = line.split_once("started successfully on port ")?;
                port.trim_end_matches('.').parse().ok()
            })
            .expect("chromedriver says where it listens");
        std::thread::spawn(move || lines.for_each(drop));
        let profile = TempDir::new().expect("a folder");
        let mut arguments: Vec<String> = ARGUMENTS.map(str::to_owned).into();
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        let mut browser = Self {
            port,
            session: String::new(),
            driver,
            _profile: profile,
        };
        let options = json!({ "args": arguments });
        let logs = json!({ "browser": "ALL", "performance": "ALL" });
        let wanted = json!({ "goog:chromeOptions": options, "goog:loggingPrefs": logs });
        let capabilities = json!({ "capabilities": { "alwaysMatch": wanted } });
        let session = browser.call("POST", "/session", &capabilities);
        let session = session["sessionId"].as_str().expect("a session");
        browser.session = format!("/session/{session}");
        browser
    }

    /// Opens a page.
    pub fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// Runs a script in the page: the body of a function. Answers what it returns.
    #[must_use]
    pub fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// The text of the page as it is read.
    #[must_use]
    pub fn text(&self) -> String {
        let text = self.run("return document.body.innerText");
        text.as_str().expect("text").to_owned()
    }

    /// Clicks on what the selector finds first. In one step: a page that renews itself would take
    /// away what was found before.
    pub fn click(&self, selector: &str) {
        let script = "document.querySelector(arguments[0]).click()";
        self.post(
            "/execute/sync",
            &json!({ "script": script, "args": [selector] }),
        );
    }

    /// Types into what the selector finds first.
    pub fn write(&self, selector: &str, text: &str) {
        let query = json!({ "using": "css selector", "value": selector });
        let found = self.post("/element", &query);
        let mut ids = found.as_object().expect("an element").values();
        let id = ids.next().and_then(Value::as_str).expect("its number");
        self.post(&format!("/element/{id}/value"), &json!({ "text": text }));
    }

    /// The errors and warnings of the browser's console since the last look.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let log = self.log("browser");
        let is_serious = |entry: &&Value| entry["level"] == "SEVERE" || entry["level"] == "WARNING";
        let serious = log.iter().filter(is_serious);
        serious.map(|entry| entry["message"].to_string()).collect()
    }

    /// Where the browser has sent requests since the last look.
    #[must_use]
    pub fn requested(&self) -> Vec<String> {
        let log = self.log("performance");
        let url = |entry: &Value| {
            let message: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let message = &message["message"];
            let is_request = message["method"] == "Network.requestWillBeSent";
            let url = message["params"]["request"]["url"].as_str()?;
            is_request.then(|| url.to_owned())
        };
        log.iter().filter_map(url).collect()
    }

    fn log(&self, kind: &str) -> Vec<Value> {
        let log = self.post("/se/log", &json!({ "type": kind }));
        log.as_array().expect("a list").clone()
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.call("POST", &format!("{}{path}", self.session), body)
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.try_call(method, path, body);
        let answer = answer.expect("chromedriver answers");
        let value = &answer["value"];
        assert!(value["error"].is_null(), "{method} {path}: {value}");
        value.clone()
    }

    fn try_call(&self, method: &str, path: &str, body: &Value) -> io::Result<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        // Only so that a browser that hangs fails the test instead of stopping it.
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let (port, body) = (self.port, body.to_string());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes())?;
        // It leaves the connection open.
        let mut stream = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            stream.read_line(&mut line)?;
            match line.trim_end().to_ascii_lowercase().split_once(':') {
                Some(("content-length", value)) => {
                    length = value.trim().parse().unwrap_or_default();
                }
                None if line.trim_end().is_empty() => break,
                _ => {}
            }
        }
        let mut answer = vec![0; length];
        stream.read_exact(&mut answer)?;
        Ok(serde_json::from_slice(&answer)?)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It ends the browser, which outlives its driver otherwise.
        let _ = self.try_call("DELETE", &self.session, &json!({}));
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
