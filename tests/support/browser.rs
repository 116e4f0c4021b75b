//! Chromium without a screen, driven by its protocol for developers' tools over a pipe.
//!
//! <https://chromedevtools.github.io/devtools-protocol/>: messages are JSON, each ended by a zero byte.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{PATIENCE, wait_until};

/// Says that there is no browser, and that this is meant to be so.
const WITHOUT: &str = "TIDEGATE_TEST_WITHOUT_BROWSER";

/// A browser with one page. It is killed, with all its processes, when this is dropped.
pub struct Browser {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    session: Option<String>,
    number: u64,
    /// What the page has written to its console, and errors in its scripts.
    pub said: Vec<String>,
    _profile: TempDir,
}

/// What the program is called on different systems.
fn program() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&folders).collect();
    names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|path| path.exists())
}

impl Browser {
    /// Starts it. `None`, and a word about it, where there is none and the environment says that this is meant to be so.
    pub fn start() -> Option<Self> {
        let Some(program) = program() else {
            assert!(
                std::env::var_os(WITHOUT).is_some(),
                "there is no Chromium: scripts/setup.sh test installs it; {WITHOUT}=1 leaves these tests out"
            );
            eprintln!("skipped: there is no Chromium ({WITHOUT})");
            return None;
        };
        let profile = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        // It reads from 3 and writes to 4.
        command.args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1"]).arg(program);
        command.args([
            "--headless",
            "--remote-debugging-pipe",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
        ]);
        command.args([
            "--no-first-run",
            "--disable-background-networking",
            "--disable-extensions",
            "--disable-sync",
        ]);
        command.args(["--disable-dev-shm-usage", "--disable-component-update", "--force-color-profile=srgb"]);
        command.arg(format!("--user-data-dir={}", profile.path().display())).env("HOME", profile.path());
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0).spawn().unwrap();
        let (to, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (heard, from) = sync_channel(1024);
        thread::spawn(move || {
            let mut output = BufReader::new(output);
            let mut message = Vec::new();
            while output.read_until(0, &mut message).is_ok_and(|length| length > 0) {
                message.pop();
                let Ok(value) = serde_json::from_slice(&message) else { return };
                if heard.send(value).is_err() {
                    return;
                }
                message.clear();
            }
        });
        let (session, number, said) = (None, 0, Vec::new());
        let mut browser = Self { child, to, from, session, number, said, _profile: profile };
        let target = browser.call("Target.createTarget", &json!({"url": "about:blank"}));
        let target = json!({"targetId": target["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", &target);
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        Some(browser)
    }

    /// Calls a method, and returns its result.
    #[track_caller]
    pub fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.number += 1;
        let number = self.number;
        let mut message = json!({"id": number, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = serde_json::to_vec(&message).unwrap();
        bytes.push(0);
        self.to.write_all(&bytes).unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let answer = self.from.recv_timeout(left).unwrap_or_else(|_| panic!("no answer to {method}"));
            if answer["id"] != number {
                self.hear(&answer);
                continue;
            }
            assert!(answer.get("error").is_none(), "{method} {parameters}: {}", answer["error"]);
            return answer["result"].clone();
        }
    }

    fn hear(&mut self, event: &Value) {
        let parameters = &event["params"];
        let said = match event["method"].as_str() {
            Some("Log.entryAdded") => &parameters["entry"],
            Some("Runtime.exceptionThrown" | "Runtime.consoleAPICalled" | "Page.javascriptDialogOpening") => {
                parameters
            }
            _ => return,
        };
        self.said.push(said.to_string());
    }

    /// Goes to an address.
    pub fn open(&mut self, address: &str) {
        self.call("Page.navigate", &json!({"url": address}));
    }

    /// What an expression is worth in the page; a promise is waited for.
    #[track_caller]
    pub fn value(&mut self, expression: &str) -> Value {
        let parameters = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let result = self.call("Runtime.evaluate", &parameters);
        assert!(result.get("exceptionDetails").is_none(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    /// Waits until an expression is true in the page.
    #[track_caller]
    pub fn wait(&mut self, expression: &str) {
        let guarded =
            format!("(() => {{ try {{ return Boolean({expression}) }} catch {{ return false }} }})()");
        wait_until(expression, || self.value(&guarded) == true);
    }

    /// The text that is to be seen.
    pub fn text(&mut self) -> String {
        self.value("document.body.innerText").as_str().unwrap_or_default().to_owned()
    }

    /// Types a text where the cursor is.
    pub fn types(&mut self, text: &str) {
        self.call("Input.insertText", &json!({"text": text}));
    }

    /// Presses a key that has a name, such as `Tab`.
    pub fn presses(&mut self, key: &str, code: u32) {
        let text = if key == "Enter" { "\r" } else { "" };
        for kind in ["keyDown", "keyUp"] {
            let parameters = json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code,
                                    "text": if kind == "keyDown" { text } else { "" }});
            self.call("Input.dispatchKeyEvent", &parameters);
        }
    }

    /// A window of this size, in light or dark colours.
    pub fn looks(&mut self, width: u32, height: u32, scheme: &str) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", &size);
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", &features);
    }

    /// Takes a picture of the whole page.
    pub fn picture(&mut self, file: &Path) {
        let shot =
            self.call("Page.captureScreenshot", &json!({"format": "png", "captureBeyondViewport": true}));
        let data = BASE64.decode(shot["data"].as_str().unwrap()).unwrap();
        std::fs::write(file, data).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // All of its processes are of its group.
        let group = format!("-{}", self.child.id());
        let _ =
            Command::new("sh").args(["-c", "kill -s KILL -- \"$0\"", &group]).stderr(Stdio::null()).status();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("---- the page said:\n{}", self.said.join("\n"));
        }
    }
}
