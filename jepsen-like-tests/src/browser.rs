//! A real browser, driven by WebDriver (W3C) through chromedriver.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine;
use serde_json::{Value, json};

use crate::http::Ask;
use crate::process::Process;
use crate::wait::{Seen, until};

const LIMIT: Duration = Duration::from_secs(180);
/// The key of an element's reference, fixed by the standard.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Chromium and chromedriver.
#[derive(Clone, Debug)]
pub struct Programs {
    pub chromium: PathBuf,
    pub chromedriver: PathBuf,
}

impl Programs {
    /// On the `PATH`, under the names that Debian and others give them.
    pub fn find() -> Option<Self> {
        let chromium = ["chromium", "chromium-browser", "google-chrome"]
            .iter()
            .find_map(|name| on_path(name))?;
        Some(Self {
            chromium,
            chromedriver: on_path("chromedriver")?,
        })
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|dir| dir.join(name))
        .find(|path| path.is_file())
}

/// One browser with one page.
#[derive(Debug)]
pub struct Browser {
    driver: SocketAddr,
    session: String,
    process: Process,
}

impl Browser {
    /// Starts both programs with an empty profile below `dir`.
    ///
    /// # Errors
    /// One of them does not start.
    pub async fn start(programs: &Programs, dir: &Path) -> Result<Self> {
        let port = crate::ports::free(1)?[0];
        let profile = dir.join("browser-profile");
        std::fs::create_dir_all(&profile)?;
        let process = Process::start(
            "chromedriver",
            &programs.chromedriver,
            &[&format!("--port={port}")],
            &dir.join("browser.log"),
        )?;
        let driver = crate::ports::loopback(port);
        until("chromedriver is ready", LIMIT, || async {
            let status = Ask::get("/status").send(driver, LIMIT).await?.json()?;
            Ok(if status["value"]["ready"] == true {
                Seen::Yes(())
            } else {
                Seen::No(status.to_string())
            })
        })
        .await?;
        let wanted = capabilities(&programs.chromium, &profile);
        let answer = Ask::json("POST", "/session", &wanted)
            .send(driver, LIMIT)
            .await?
            .ok()
            .context("start chromium")?;
        let session = answer.json()?["value"]["sessionId"]
            .as_str()
            .context("no session id from chromedriver")?
            .to_owned();
        Ok(Self {
            driver,
            session,
            process,
        })
    }

    /// Opens a page.
    ///
    /// # Errors
    /// The browser says why not.
    pub async fn open(&self, url: &str) -> Result<()> {
        self.post("url", &json!({"url": url})).await.map(drop)
    }

    /// Runs the body of a function in the page; its return value.
    ///
    /// # Errors
    /// What the script threw.
    pub async fn run(&self, script: &str) -> Result<Value> {
        self.post("execute/sync", &json!({"script": script, "args": []}))
            .await
    }

    /// Types into the field with this `data-testid`, as keys.
    ///
    /// # Errors
    /// There is no such field.
    pub async fn type_into(&self, test_id: &str, text: &str) -> Result<()> {
        let element = self.element(test_id).await?;
        self.post(&format!("element/{element}/value"), &json!({"text": text}))
            .await
            .map(drop)
    }

    /// Clicks on what has this `data-testid`.
    ///
    /// # Errors
    /// There is no such thing, or something lies over it.
    pub async fn click(&self, test_id: &str) -> Result<()> {
        let element = self.element(test_id).await?;
        self.post(&format!("element/{element}/click"), &json!({}))
            .await
            .map(drop)
    }

    /// The text of what has this `data-testid`, once it is there.
    ///
    /// # Errors
    /// Not within `limit`.
    pub async fn text(&self, test_id: &str, limit: Duration) -> Result<String> {
        let script = format!(
            "const e = document.querySelector('[data-testid=\"{test_id}\"]'); return e && e.innerText.trim()"
        );
        until(&format!("the page shows {test_id}"), limit, || async {
            let text = self.run(&script).await?;
            Ok(text.as_str().filter(|text| !text.is_empty()).map_or_else(
                || Seen::No(text.to_string()),
                |text| Seen::Yes(text.to_owned()),
            ))
        })
        .await
    }

    /// Keeps a picture of the page.
    ///
    /// # Errors
    /// It cannot be taken or written.
    pub async fn screenshot(&self, file: &Path) -> Result<()> {
        let answer = Ask::get(self.path("screenshot"))
            .send(self.driver, LIMIT)
            .await?
            .ok()?
            .json()?;
        let picture = answer["value"]
            .as_str()
            .context("no picture in the answer")?;
        let picture = base64::engine::general_purpose::STANDARD.decode(picture)?;
        std::fs::write(file, picture).with_context(|| format!("write {}", file.display()))
    }

    /// Sets size in CSS pixels and colour scheme (`light` or `dark`).
    ///
    /// # Errors
    /// The browser refuses.
    pub async fn look_like(&self, width: u32, height: u32, scheme: &str) -> Result<()> {
        let phone = width < 600;
        let size = json!({"width": width, "height": height, "deviceScaleFactor": if phone { 2 } else { 1 }, "mobile": phone});
        self.developer_tools("Emulation.setDeviceMetricsOverride", size)
            .await?;
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.developer_tools("Emulation.setEmulatedMedia", media)
            .await
    }

    /// Forgets what it has loaded.
    ///
    /// # Errors
    /// The browser refuses.
    pub async fn clear_cache(&self) -> Result<()> {
        self.developer_tools("Network.clearBrowserCache", json!({}))
            .await
    }

    /// Ends browser and driver.
    pub async fn quit(mut self) {
        let ask = Ask::get(format!("/session/{}", self.session)).with_body("DELETE", "{}".into());
        // A browser that is already gone is as good.
        let _ = ask.send(self.driver, LIMIT).await;
        let _ = self.process.terminate();
        let _ = self.process.wait(Duration::from_secs(5)).await;
    }

    async fn developer_tools(&self, command: &str, parameters: Value) -> Result<()> {
        self.post(
            "goog/cdp/execute",
            &json!({"cmd": command, "params": parameters}),
        )
        .await
        .map(drop)
    }

    async fn element(&self, test_id: &str) -> Result<String> {
        let ask = json!({"using": "css selector", "value": format!("[data-testid=\"{test_id}\"]")});
        let answer = self.post("element", &ask).await?;
        Ok(answer[ELEMENT]
            .as_str()
            .with_context(|| format!("no element {test_id}"))?
            .to_owned())
    }

    async fn post(&self, what: &str, body: &Value) -> Result<Value> {
        let answer = Ask::json("POST", self.path(what), body)
            .send(self.driver, LIMIT)
            .await?;
        Ok(answer
            .ok()
            .with_context(|| format!("WebDriver {what}"))?
            .json()?["value"]
            .take())
    }

    fn path(&self, what: &str) -> String {
        format!("/session/{}/{what}", self.session)
    }
}

fn capabilities(chromium: &Path, profile: &Path) -> Value {
    let flags = json!([
        "--headless=new",
        // Without it Chromium refuses to run as root; the page is our own.
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        format!("--user-data-dir={}", profile.display()),
    ]);
    json!({"capabilities": {"alwaysMatch": {
        "browserName": "chrome",
        // A busy machine is no failure.
        "timeouts": {"script": 150_000, "pageLoad": 150_000},
        "goog:chromeOptions": {"binary": chromium, "args": flags},
    }}})
}
