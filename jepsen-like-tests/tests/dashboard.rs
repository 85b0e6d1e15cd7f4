//! Every page of the dashboard in a real browser, against three managers and two nodes: each is opened by its address, and each main
//! action is done as a person does it, then looked up in the API. Pictures of all pages in both themes stay in `target/tmp/dashboard`.

mod group;
mod pool;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use group::{Group, LIMIT};
use jepsen_like_tests::browser::{Browser, Programs};
use jepsen_like_tests::http::Ask;
use jepsen_like_tests::wait::{Seen, until};
use pool::Pool;
use serde_json::Value;

const NODES: usize = 2;
const DOCUMENT: &str = r#"{
  "version": 3,
  "timeout": "2s",
  "endpoints": [
    { "endpoint": "/a", "backend": [{ "url_pattern": "/b", "host": ["http://127.0.0.1:8000"] }] }
  ]
}"#;

/// Address, and the title that the page must show.
const PAGES: [(&str, &str, &str); 10] = [
    ("overview", "/", "Overview"),
    ("nodes", "/nodes", "Nodes"),
    ("traffic", "/traffic", "Traffic"),
    ("configuration", "/configuration", "Configuration"),
    ("editor", "/configuration/editor", "Configuration"),
    ("drift", "/configuration/drift", "Configuration"),
    ("managers", "/managers", "Managers"),
    ("licence", "/licence", "Licence"),
    ("events", "/events", "Events and audit"),
    ("tokens", "/tokens", "Tokens"),
];

struct Page<'a> {
    browser: &'a Browser,
    base: String,
    group: &'a Group,
}

impl Page<'_> {
    async fn open(&self, path: &str, title: &str) -> Result<()> {
        self.browser.open(&format!("{}{path}", self.base)).await?;
        self.shows("page-title", title).await
    }

    async fn shows(&self, test_id: &str, wanted: &str) -> Result<()> {
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
    async fn holds(&self, what: &str, script: &str) -> Result<()> {
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

    /// Clicks once the thing is there and may be used.
    async fn click(&self, test_id: &str) -> Result<()> {
        let script = format!(
            "const e = document.querySelector('[data-testid=\"{test_id}\"]'); return !!e && !e.disabled && e.getAttribute('aria-disabled') !== 'true'"
        );
        self.holds(&format!("{test_id} can be used"), &script)
            .await?;
        self.browser.click(test_id).await
    }

    /// Puts text into a field at once, as a paste does.
    async fn paste(&self, test_id: &str, text: &str) -> Result<()> {
        let text = Value::from(text);
        let script = format!(
            "const e = document.querySelector('[data-testid=\"{test_id}\"]'); e.value = {text}; e.dispatchEvent(new Event('input', {{bubbles: true}})); return true"
        );
        self.browser.run(&script).await.map(drop)
    }

    async fn api(&self, path: &str) -> Result<Value> {
        self.group.ask(0, Ask::get(path)).await?.ok()?.json()
    }

    async fn picture(&self, dir: &Path, name: &str) -> Result<()> {
        for (size, width, height) in [("", 1440, 900), ("-phone", 390, 844)] {
            for scheme in ["light", "dark"] {
                self.browser.look_like(width, height, scheme).await?;
                self.browser
                    .run("return new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => done(true), 150))))")
                    .await?;
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
            }
        }
        self.browser.look_like(1440, 900, "light").await
    }
}

async fn sign_in(page: &Page<'_>) -> Result<()> {
    page.browser.look_like(1440, 900, "light").await?;
    page.browser.open(&format!("{}/nodes", page.base)).await?;
    page.holds(
        "the login page is there",
        "return !!document.querySelector('[data-testid=\"login-token\"]')",
    )
    .await?;
    page.browser
        .type_into("login-token", &page.group.token)
        .await?;
    page.browser.click("login-submit").await?;
    // The address that was asked for is the one that opens.
    page.shows("page-title", "Nodes").await
}

async fn newest(page: &Page<'_>) -> Result<Value> {
    let list = page.api("/v1/fleets/default/versions").await?;
    Ok(list["versions"][0].clone())
}

async fn publish(page: &Page<'_>, text: &str, number: u64) -> Result<()> {
    page.open("/configuration/editor", "Configuration").await?;
    // The draft has been read once it knows its parent.
    page.holds(
        "the editor has a text",
        "return (document.querySelector('[data-testid=\"editor\"]')?.value ?? '').length > 2",
    )
    .await?;
    page.paste(
        "editor",
        "{\n  \"version\": 3,\n  \"timeout\": \"2x\",\n  \"endpoints\": []\n}",
    )
    .await?;
    page.click("check").await?;
    page.shows("findings", ":").await?;
    let blocked = page
        .browser
        .run("return document.querySelector('[data-testid=\"publish\"]').getAttribute('aria-disabled')")
        .await?;
    ensure!(blocked == "true", "a text with errors can be published");
    page.paste("editor", text).await?;
    page.click("check").await?;
    page.paste("publish-message", &format!("Version {number}"))
        .await?;
    page.click("publish").await?;
    page.click("confirm").await?;
    page.shows("toast", &format!("v{number} is published"))
        .await?;
    page.holds(
        "every node has applied it, as the page says",
        &format!(
            "const p = document.querySelector('[data-testid=\"progress\"]'); return !!p && p.dataset.version === '{number}' && p.dataset.applied === '{NODES}' && p.dataset.total === '{NODES}'"
        ),
    )
    .await?;
    let newest = newest(page).await?;
    ensure!(
        newest["number"] == number && newest["message"] == format!("Version {number}"),
        "{newest}"
    );
    Ok(())
}

async fn roll_back(page: &Page<'_>) -> Result<()> {
    let first = page.api("/v1/fleets/default/versions/1").await?;
    page.open("/configuration/1", "Configuration").await?;
    page.click("roll-back").await?;
    page.click("confirm").await?;
    page.shows("toast", "Rolled back to v1").await?;
    let newest = newest(page).await?;
    ensure!(
        newest["number"] == 3 && newest["digest"] == first["digest"],
        "version 3 is not the content of version 1: {newest}"
    );
    Ok(())
}

async fn transfer(page: &Page<'_>) -> Result<()> {
    let before = page.api("/v1/status").await?["leader_id"].clone();
    page.open("/managers", "Managers").await?;
    page.click("transfer").await?;
    page.click("confirm").await?;
    page.shows("toast", "leads").await?;
    let after = page.api("/v1/status").await?["leader_id"].clone();
    ensure!(before != after, "the leader is still {before}");
    Ok(())
}

async fn tokens(page: &Page<'_>) -> Result<()> {
    page.open("/tokens", "Tokens").await?;
    page.click("create-token").await?;
    page.holds(
        "the field is there",
        "return !!document.querySelector('[data-testid=\"token-name\"]')",
    )
    .await?;
    page.browser
        .type_into("token-name", "from-the-page")
        .await?;
    page.click("token-submit").await?;
    let text = page.browser.text("token-text", LIMIT).await?;
    let ask = Ask::get("/v1/status").header("authorization", format!("Bearer {text}"));
    ask.send(page.group.http(0), LIMIT)
        .await?
        .ok()
        .context("the token that the page showed")?;
    page.click("token-done").await?;
    let row = "[data-testid=\"token-row\"][data-name=\"from-the-page\"]";
    page.holds(
        "the token is listed",
        &format!("return !!document.querySelector('{row}')"),
    )
    .await?;
    page.browser
        .run(&format!(
            "document.querySelector('{row} [data-testid=\"revoke\"]').click()"
        ))
        .await?;
    page.holds(
        "the question is there",
        "return !!document.querySelector('[data-testid=\"confirm-name\"]')",
    )
    .await?;
    let early = page
        .browser
        .run("return document.querySelector('[data-testid=\"confirm\"]').disabled")
        .await?;
    ensure!(early == true, "it could be revoked without its name");
    page.browser
        .type_into("confirm-name", "from-the-page")
        .await?;
    page.click("confirm").await?;
    page.shows("toast", "revoked").await?;
    let list = page.api("/v1/tokens").await?;
    ensure!(!list.to_string().contains("from-the-page"), "{list}");
    Ok(())
}

async fn remove_node(page: &Page<'_>) -> Result<()> {
    let nodes = page.api("/v1/nodes").await?;
    let (id, name) = (
        nodes["nodes"][0]["id"].as_str().context("an id")?,
        nodes["nodes"][0]["name"].as_str().context("a name")?,
    );
    page.open(&format!("/nodes/{id}"), name).await?;
    page.click("node-remove").await?;
    page.holds(
        "the question is there",
        "return !!document.querySelector('[data-testid=\"confirm-name\"]')",
    )
    .await?;
    page.browser.type_into("confirm-name", name).await?;
    page.click("confirm").await?;
    page.shows("toast", "removed").await?;
    let events = page.api("/v1/events?history=true&limit=100").await?;
    let removed = events["events"].as_array().is_some_and(|all| {
        all.iter()
            .any(|e| e["kind"] == "node_removed" && e["subject_id"] == id)
    });
    ensure!(removed, "no event tells that {name} was removed: {events}");
    Ok(())
}

async fn keys(page: &Page<'_>) -> Result<()> {
    page.open("/", "Overview").await?;
    let press = |key: &str| {
        format!(
            "document.body.dispatchEvent(new KeyboardEvent('keydown', {{key: '{key}', bubbles: true}})); return location.pathname"
        )
    };
    page.browser.run(&press("g")).await?;
    page.browser.run(&press("m")).await?;
    page.shows("page-title", "Managers").await?;
    ensure!(
        page.browser.run("return location.pathname").await? == "/managers",
        "the address stayed"
    );
    page.browser.run("history.back()").await?;
    page.shows("page-title", "Overview").await?;
    page.browser.run(&press("?")).await?;
    page.holds(
        "the list of keys is open",
        "return !!document.querySelector('dialog[open] .keys')",
    )
    .await
}

async fn everything(page: &Page<'_>, dir: &Path) -> Result<()> {
    sign_in(page).await?;
    publish(page, DOCUMENT, 1).await?;
    publish(page, &DOCUMENT.replace("2s", "3s"), 2).await?;
    let nodes = page.api("/v1/nodes").await?;
    let node = nodes["nodes"][0].clone();
    for (name, path, title) in PAGES {
        page.open(path, title)
            .await
            .with_context(|| path.to_owned())?;
        page.holds(
            "nothing is loading",
            "return document.querySelectorAll('.waiting').length === 0",
        )
        .await?;
        page.picture(dir, name).await?;
    }
    let (id, name) = (
        node["id"].as_str().context("an id")?,
        node["name"].as_str().context("a name")?,
    );
    page.open(&format!("/nodes/{id}"), name).await?;
    page.picture(dir, "node-detail").await?;
    keys(page).await?;
    transfer(page).await?;
    tokens(page).await?;
    // A manager of before says what it does not offer.
    if page.api("/v1/openapi.json").await?["paths"]["/v1/fleets/{fleet}/rollback"].is_object() {
        roll_back(page).await?;
    }
    remove_node(page).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_opens_and_every_main_action_works_in_a_browser() -> Result<()> {
    let Some(programs) = Programs::find() else {
        if std::env::var("CI").is_ok_and(|ci| ci == "true") {
            bail!(
                "chromium or chromedriver is not on the PATH (Debian: apt-get install chromium chromium-driver); with CI=true that is a failure"
            );
        }
        eprintln!("skipped: there is no browser here");
        return Ok(());
    };
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("dashboard");
    std::fs::create_dir_all(&dir)?;
    let group = Group::start(3).await?;
    let _pool = Pool::start(&group, NODES).await?;
    let browser = Browser::start(&programs, group.dir.path()).await?;
    let page = Page {
        browser: &browser,
        base: format!("http://{}", group.http(0)),
        group: &group,
    };
    let done = everything(&page, &dir).await;
    if done.is_err() {
        // Whatever the page shows now tells more than the error.
        let _ = browser.screenshot(&dir.join("failure.png")).await;
    }
    browser.quit().await;
    done
}
