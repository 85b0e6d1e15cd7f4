//! 9. A browser opens the dashboard with the token and watches it move.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use serde::Serialize;
use serde_json::Value;

use super::SOON;
use crate::browser::{Browser, Programs};
use crate::stage::{MANAGERS, Stage};
use crate::wait::{Seen, until};

/// What was seen.
#[derive(Debug, Serialize)]
pub struct Figures {
    pub managers: usize,
    pub leader: String,
    pub nodes: usize,
    pub verdict: String,
    /// The figure of requests per second, each time it was another, without a reload.
    pub requests_per_s: Vec<String>,
    pub screenshots: Vec<String>,
}

/// How the step ended when nothing was wrong.
#[derive(Debug)]
pub enum Outcome {
    Seen(Figures),
    /// There is no browser here, and this is no CI.
    Skipped(String),
}

/// Runs the step while traffic flows.
///
/// # Errors
/// The page shows something else, does not move, or with `CI=true` there is no browser.
pub async fn run(stage: &Stage) -> Result<Outcome> {
    let Some(programs) = Programs::find() else {
        let missing = "chromium or chromedriver is not on the PATH (Debian: apt-get install chromium chromium-driver)";
        if std::env::var("CI").is_ok_and(|ci| ci == "true") {
            bail!("{missing}; with CI=true that is a failure");
        }
        return Ok(Outcome::Skipped(missing.to_owned()));
    };
    let browser = Browser::start(&programs, &stage.options.dir).await?;
    let seen = look(stage, &browser).await;
    if seen.is_err() {
        // Whatever the page shows now tells more than the error.
        let _ = browser
            .screenshot(&stage.options.dir.join("browser-failure.png"))
            .await;
    }
    browser.quit().await;
    seen.map(Outcome::Seen)
}

async fn look(stage: &Stage, browser: &Browser) -> Result<Figures> {
    browser.look_like(1440, 900, "light").await?;
    browser
        .open(&format!("http://{}/", stage.managers[0].http))
        .await?;
    log_in(stage, browser).await?;
    let verdict = browser.text("verdict", SOON).await?;
    let (managers, leader) = managers_shown(browser).await?;
    let nodes = nodes_shown(stage, browser).await?;
    let requests_per_s = watch_it_move(browser).await?;
    let screenshots = keep_pictures(browser, &stage.options.dir.join("screenshots")).await?;
    Ok(Figures {
        managers,
        leader,
        nodes,
        verdict,
        requests_per_s,
        screenshots,
    })
}

async fn log_in(stage: &Stage, browser: &Browser) -> Result<()> {
    until("the login page is there", SOON, || async {
        let there = browser
            .run("return !!document.querySelector('[data-testid=\"login-token\"]')")
            .await?;
        Ok(if there == true {
            Seen::Yes(())
        } else {
            Seen::No("no login-token".into())
        })
    })
    .await?;
    browser.type_into("login-token", stage.api.token()).await?;
    browser.click("login-submit").await
}

async fn managers_shown(browser: &Browser) -> Result<(usize, String)> {
    until(
        "the page shows three managers and one leader",
        SOON,
        || async {
            let shown = attributes(browser, "manager").await?;
            let leaders: Vec<_> = shown
                .iter()
                .filter(|one| {
                    one["role"]
                        .as_str()
                        .is_some_and(|role| role.eq_ignore_ascii_case("leader"))
                })
                .collect();
            Ok(match leaders.as_slice() {
                [leader] if shown.len() == MANAGERS => Seen::Yes((
                    shown.len(),
                    leader["name"].as_str().unwrap_or_default().to_owned(),
                )),
                _ => Seen::No(format!("{shown:?}")),
            })
        },
    )
    .await
}

async fn nodes_shown(stage: &Stage, browser: &Browser) -> Result<usize> {
    let version = stage.digests.len().to_string();
    until(
        "the page shows every node active with its version",
        SOON,
        || async {
            let shown = attributes(browser, "node").await?;
            let right = |name: &str| {
                shown.iter().any(|one| {
                    one["name"] == name
                        && one["state"]
                            .as_str()
                            .is_some_and(|s| s.eq_ignore_ascii_case("active"))
                        && one["version"]
                            .as_str()
                            .is_some_and(|v| v.trim_start_matches('v') == version)
                })
            };
            let all = stage.nodes.iter().all(|node| right(&node.target.name));
            Ok(if all {
                Seen::Yes(stage.nodes.len())
            } else {
                Seen::No(format!("{shown:?}"))
            })
        },
    )
    .await
}

/// The `data-*` attributes of everything with this `data-testid`.
async fn attributes(browser: &Browser, test_id: &str) -> Result<Vec<Value>> {
    let script = format!(
        "return [...document.querySelectorAll('[data-testid=\"{test_id}\"]')].map(e => ({{...e.dataset}}))"
    );
    Ok(browser
        .run(&script)
        .await?
        .as_array()
        .cloned()
        .unwrap_or_default())
}

/// Three different figures, one after the other, in one and the same page.
async fn watch_it_move(browser: &Browser) -> Result<Vec<String>> {
    browser.run("window.sameDocument = true").await?;
    let mut figures: Vec<String> = Vec::new();
    while figures.len() < 3 {
        let next = until("requests per second change in the page", SOON, || async {
            let text = browser
                .text("requests-per-s", Duration::from_secs(5))
                .await?;
            let moved = text.chars().any(|c| c.is_ascii_digit()) && figures.last() != Some(&text);
            Ok(if moved {
                Seen::Yes(text)
            } else {
                Seen::No(text)
            })
        });
        let next = next.await?;
        figures.push(next);
    }
    ensure!(
        browser.run("return window.sameDocument === true").await? == true,
        "the page was loaded again while it was watched"
    );
    Ok(figures)
}

async fn keep_pictures(browser: &Browser, dir: &Path) -> Result<Vec<String>> {
    std::fs::create_dir_all(dir)?;
    let mut kept = Vec::new();
    for (name, width, height, scheme) in [
        ("light", 1440, 900, "light"),
        ("dark", 1440, 900, "dark"),
        ("phone", 390, 844, "light"),
    ] {
        browser.look_like(width, height, scheme).await?;
        // Two frames: the first may still be of the old size.
        browser.run("return new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))").await?;
        let wide = browser.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth").await?;
        ensure!(
            wide.as_i64().unwrap_or(1) <= 0,
            "at {width} pixels the page is {wide} pixels too wide"
        );
        let file = dir.join(format!("{name}.png"));
        browser.screenshot(&file).await?;
        kept.push(file.display().to_string());
    }
    Ok(kept)
}
