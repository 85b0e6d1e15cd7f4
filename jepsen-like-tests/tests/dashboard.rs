//! Every page of the dashboard in a real browser, against three managers and two nodes: each is opened by its address, and each main
//! action is done as a person does it, then looked up in the API. Pictures of all pages in both themes stay in `target/tmp/dashboard`.

mod common;
mod demand;
mod group;
mod page;
mod pool;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use demand::{Demand, TILL_SEEN};
use group::{Group, LIMIT};
use jepsen_like_tests::backend::Backend;
use jepsen_like_tests::browser::Browser;
use jepsen_like_tests::http::Ask;
use jepsen_like_tests::ports;
use page::{Page, pictures};
use pool::Pool;
use serde_json::Value;

const NODES: usize = 2;
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

/// The two charts of a page have lines, and the tables have figures.
async fn traffic_is_seen(page: &Page<'_>) -> Result<()> {
    page.open("/traffic", "Traffic").await?;
    page.holds(
        "the charts have lines",
        "return [...document.querySelectorAll('.chart path.line.s-all, .chart path.line.q-99')].filter(p => (p.getAttribute('d') || '').length > 20).length >= 1",
    )
    .await?;
    page.holds(
        "every endpoint has its row and its heat",
        "return document.querySelectorAll('[data-testid=\"endpoint\"] .heat rect').length > 0 && document.querySelectorAll('[data-testid=\"endpoint\"]').length >= 5",
    )
    .await?;
    page.holds(
        "errors of both kinds are listed",
        "const all = [...document.querySelectorAll('.top-errors strong')].map(e => e.innerText[0]); return all.includes('4') && all.includes('5')",
    )
    .await
}

/// What the charts draw can be read as a table, and a stretch of time can be named; the address carries it.
async fn charts_as_tables_and_between_times(page: &Page<'_>, dir: &Path) -> Result<()> {
    page.open("/traffic", "Traffic").await?;
    page.is_loaded().await?;
    page.click("chart-table").await?;
    page.holds(
        "the table has the head and a row with figures",
        "const t = document.querySelector('.chart-table'); return !!t && t.querySelectorAll('thead th').length === 4 && [...t.querySelectorAll('tbody td')].some(c => Number(c.innerText) > 0)",
    )
    .await?;
    page.snap(&dir.join("traffic-table-light.png"), (1440, 900), "light")
        .await?;
    page.click("chart-table").await?;
    page.click("between").await?;
    page.holds(
        "the fields are there",
        "return !!document.querySelector('[data-testid=\"from\"]')",
    )
    .await?;
    page.paste("from", "2026-01-02T10:00").await?;
    page.paste("to", "2026-01-02T09:00").await?;
    page.click("apply-range").await?;
    page.holds(
        "the wrong order is told",
        "return /after the first/.test(document.querySelector('dialog[open] [role=alert]')?.innerText ?? '')",
    )
    .await?;
    let fill = "const two = n => String(n).padStart(2, '0'); const f = d => `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}T${two(d.getHours())}:${two(d.getMinutes())}`; const set = (id, v) => { const e = document.querySelector(`[data-testid=\"${id}\"]`); e.value = v; e.dispatchEvent(new Event('input', {bubbles: true})); }; const now = Date.now(); set('from', f(new Date(now - 600000))); set('to', f(new Date(now + 60000))); return true";
    page.browser.run(fill).await?;
    page.snap(&dir.join("traffic-between-light.png"), (1440, 900), "light")
        .await?;
    page.click("apply-range").await?;
    page.holds(
        "the address names it, and the endpoints of that time are there",
        "return /from=.*&to=/.test(location.search) && document.querySelectorAll('[data-testid=\"endpoint\"]').length >= 5",
    )
    .await?;
    page.browser
        .run("document.querySelector('.ranges button').click()")
        .await?;
    page.holds("a range takes it away", "return location.search === ''")
        .await
}

async fn everything(page: &Page<'_>, dir: &Path, pool: &Pool, backends: [&str; 2]) -> Result<()> {
    page.sign_in().await?;
    publish(page, &demand::document(backends, "2s"), 1).await?;
    let demand = Demand::start(pool, NODES);
    publish(page, &demand::document(backends, "3s"), 2).await?;
    demand.has_run(TILL_SEEN).await?;
    traffic_is_seen(page).await?;
    let nodes = page.api("/v1/nodes").await?;
    let node = nodes["nodes"][0].clone();
    for (name, path, title) in PAGES {
        page.open(path, title)
            .await
            .with_context(|| path.to_owned())?;
        page.is_loaded().await?;
        page.picture(dir, name).await?;
    }
    let (id, name) = (
        node["id"].as_str().context("an id")?,
        node["name"].as_str().context("a name")?,
    );
    page.open(&format!("/nodes/{id}"), name).await?;
    page.is_loaded().await?;
    page.picture(dir, "node-detail").await?;
    charts_as_tables_and_between_times(page, dir).await?;
    demand.end().await?;
    keys(page).await?;
    transfer(page).await?;
    tokens(page).await?;
    roll_back(page).await?;
    remove_node(page).await?;
    page.was_accessible()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_opens_and_every_main_action_works_in_a_browser() -> Result<()> {
    let Some(programs) = page::programs() else {
        return Ok(());
    };
    let axe = page::axe()?;
    let dir = pictures()?;
    let group = Group::start(3).await?;
    let pool = Pool::start(&group, NODES).await?;
    let ports = ports::free(2)?;
    let (orders, users) = (
        Backend::start(ports[0]).await?,
        Backend::start(ports[1]).await?,
    );
    let browser = Browser::start(&programs, group.dir.path()).await?;
    let mut page = Page::new(&browser, &group, 0);
    page.axe = axe;
    let done = everything(&page, &dir, &pool, [&orders.url(), &users.url()]).await;
    if done.is_err() {
        // Whatever the page shows now tells more than the error.
        let _ = browser.screenshot(&dir.join("failure.png")).await;
    }
    browser.quit().await;
    done
}
