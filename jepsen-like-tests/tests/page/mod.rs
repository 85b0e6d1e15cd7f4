//! A page of the dashboard in a real browser, and what tests do with it.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jepsen_like_tests::browser::{Browser, Programs};
use jepsen_like_tests::http::Ask;
use jepsen_like_tests::wait::{Seen, until};
use serde_json::Value;

use crate::common;
use crate::group::{Group, LIMIT};

/// Widths and heights of which pictures are taken, with the part of their names.
pub const SIZES: [(&str, u32, u32); 2] = [("", 1440, 900), ("-phone", 390, 844)];

pub struct Page<'a> {
    pub browser: &'a Browser,
    pub base: String,
    pub group: &'a Group,
    /// The text of axe-core, where it is there.
    pub axe: Option<String>,
    /// What it found so far: one run shows all.
    barriers: Mutex<Vec<String>>,
}

/// Chromium and its driver; without them the test is skipped.
pub fn programs() -> Option<Programs> {
    let found = Programs::find();
    if found.is_none() {
        common::skip(
            "chromium or chromedriver is not on the PATH (Debian: apt-get install chromium chromium-driver)",
        );
    }
    found
}

/// axe-core, which `cargo xtask setup` puts into the user's cache.
pub fn axe() -> Result<Option<String>> {
    let named = std::env::var_os("KRAKEND_CM_AXE").map(PathBuf::from);
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let file = named.or_else(|| {
        Some(cache?.join("krakend-cluster-manager/axe-core/node_modules/axe-core/axe.min.js"))
    });
    match file.filter(|file| file.is_file()) {
        Some(file) => Ok(Some(std::fs::read_to_string(file)?)),
        None => {
            common::skip("axe-core is not there: run `cargo xtask setup`");
            Ok(None)
        }
    }
}

/// Where pictures stay.
pub fn pictures() -> Result<PathBuf> {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("dashboard");
    std::fs::create_dir_all(&dir)?;
    Ok(dir)
}

impl<'a> Page<'a> {
    pub fn new(browser: &'a Browser, group: &'a Group, at: usize) -> Self {
        Self {
            browser,
            base: format!("http://{}", group.http(at)),
            group,
            axe: None,
            barriers: Mutex::default(),
        }
    }
}

impl Page<'_> {
    pub async fn open(&self, path: &str, title: &str) -> Result<()> {
        self.browser.open(&format!("{}{path}", self.base)).await?;
        self.shows("page-title", title).await
    }

    pub async fn shows(&self, test_id: &str, wanted: &str) -> Result<()> {
        until(&format!("{test_id} shows {wanted:?}"), LIMIT, || async {
            let text = self.browser.text(test_id, Duration::from_secs(20)).await?;
            Ok(if text.contains(wanted) {
                Seen::Yes(())
            } else {
                Seen::No(text)
            })
        })
        .await
    }

    /// Waits for a script to return true.
    pub async fn holds(&self, what: &str, script: &str) -> Result<()> {
        until(what, LIMIT, || async {
            let seen = self.browser.run(script).await?;
            Ok(if seen == true {
                Seen::Yes(())
            } else {
                Seen::No(seen.to_string())
            })
        })
        .await
    }

    /// Waits until nothing is loading.
    pub async fn is_loaded(&self) -> Result<()> {
        self.holds(
            "nothing is loading",
            "return document.querySelectorAll('.waiting').length === 0",
        )
        .await
    }

    /// Clicks once the thing is there and may be used.
    pub async fn click(&self, test_id: &str) -> Result<()> {
        let script = format!(
            "const e = document.querySelector('[data-testid=\"{test_id}\"]'); return !!e && !e.disabled && e.getAttribute('aria-disabled') !== 'true'"
        );
        self.holds(&format!("{test_id} can be used"), &script)
            .await?;
        self.browser.click(test_id).await
    }

    /// Puts text into a field at once, as a paste does.
    pub async fn paste(&self, test_id: &str, text: &str) -> Result<()> {
        let text = Value::from(text);
        let script = format!(
            "const e = document.querySelector('[data-testid=\"{test_id}\"]'); e.value = {text}; e.dispatchEvent(new Event('input', {{bubbles: true}})); return true"
        );
        self.browser.run(&script).await.map(drop)
    }

    pub async fn api(&self, path: &str) -> Result<Value> {
        self.group.ask(0, Ask::get(path)).await?.ok()?.json()
    }

    /// Signs in with the admin's token, after having asked for the page of the nodes.
    pub async fn sign_in(&self) -> Result<()> {
        self.browser.look_like(1440, 900, "light").await?;
        self.browser.open(&format!("{}/nodes", self.base)).await?;
        self.holds(
            "the login page is there",
            "return !!document.querySelector('[data-testid=\"login-token\"]')",
        )
        .await?;
        self.browser
            .type_into("login-token", &self.group.token)
            .await?;
        self.browser.click("login-submit").await?;
        // The address that was asked for is the one that opens.
        self.shows("page-title", "Nodes").await
    }

    /// Pictures in both themes and on a phone; nothing is too wide, and axe-core looks at each.
    pub async fn picture(&self, dir: &Path, name: &str) -> Result<()> {
        for (size, width, height) in SIZES {
            for scheme in ["light", "dark"] {
                self.settle(width, height, scheme).await?;
                let wide = self
                    .browser
                    .run("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
                    .await?;
                ensure!(
                    wide.as_i64().unwrap_or(1) <= 0,
                    "{name} is {wide} pixels too wide at {width}"
                );
                let file = dir.join(format!("{name}{size}-{scheme}.png"));
                self.browser.screenshot(&file).await?;
                self.is_accessible(&format!("{name}{size}-{scheme}"))
                    .await?;
            }
        }
        self.browser.look_like(1440, 900, "light").await
    }

    /// One picture of what is there now.
    pub async fn snap(&self, file: &Path, (width, height): (u32, u32), scheme: &str) -> Result<()> {
        self.settle(width, height, scheme).await?;
        self.browser.screenshot(file).await
    }

    async fn settle(&self, width: u32, height: u32, scheme: &str) -> Result<()> {
        self.browser.look_like(width, height, scheme).await?;
        // Two frames, and the end of what moves when something opens.
        self.browser
            .run("return new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => done(true), 150))))")
            .await
            .map(drop)
    }

    /// What axe-core holds for serious or critical in the page as it is now.
    async fn is_accessible(&self, name: &str) -> Result<()> {
        let Some(axe) = &self.axe else { return Ok(()) };
        if self.browser.run("return typeof axe").await? != "object" {
            self.browser
                .run(&format!("{axe}; return true"))
                .await
                .context("load axe-core")?;
        }
        let found = self
            .browser
            .run(
                "return axe.run(document, {resultTypes: ['violations']}).then(r => r.violations
                    .filter(v => v.impact === 'serious' || v.impact === 'critical')
                    .map(v => v.id + ': ' + v.help + ' at ' + v.nodes.slice(0, 4).map(n => n.target.join(' ') + ' ' + n.html.slice(0, 160) + ' (' + n.failureSummary.replace(/\\s+/g, ' ').slice(0, 260) + ')').join('; ')))",
            )
            .await
            .context("run axe-core")?;
        let found = found.as_array().context("axe-core's answer")?;
        let lines = found.iter().filter_map(Value::as_str);
        let lines = lines.map(|line| format!("{name}: {line}"));
        let lines = lines.inspect(|line| eprintln!("{line}"));
        let mut barriers = self.barriers.lock().unwrap_or_else(PoisonError::into_inner);
        barriers.extend(lines);
        Ok(())
    }

    /// Nothing that axe-core holds for serious or critical was in any picture.
    pub fn was_accessible(&self) -> Result<()> {
        let barriers = self.barriers.lock().unwrap_or_else(PoisonError::into_inner);
        ensure!(barriers.is_empty(), "axe-core:\n{}", barriers.join("\n"));
        Ok(())
    }
}
