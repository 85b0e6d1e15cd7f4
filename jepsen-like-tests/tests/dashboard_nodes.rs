//! A fleet of more than a thousand nodes in the browser: registered for real, silent ever after.

mod common;
mod group;
mod page;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use group::{Group, LIMIT};
use jepsen_like_tests::browser::Browser;
use jepsen_like_tests::http::Ask;
use jepsen_like_tests::options::sibling_bin_dir;
use page::{Page, pictures};
use serde_json::json;
use tokio::process::Command;

/// More than one page of the API.
const NODES: usize = 1_100;
/// With forty rows and their cells a page has some thousand elements; with all rows it would have sixty thousand.
const MOST_ROWS: i64 = 120;

async fn run(command: &mut Command, limit: Duration) -> Result<String> {
    let output = tokio::time::timeout(limit, command.kill_on_drop(true).output())
        .await
        .with_context(|| format!("{command:?} goes on"))?
        .with_context(|| format!("{command:?} does not run; `cargo xtask build` makes it"))?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// How many there are then: a registration that was not answered in time is repeated, so some may be there twice.
async fn fill(group: &Group) -> Result<usize> {
    let programs = sibling_bin_dir()?;
    let mut issue = Command::new(programs.join("krakend-cluster-manager"));
    issue
        .args(["license", "issue", "--subscriber", "Many", "--secret-file"])
        .arg(group.dir.path().join("group-secret"))
        .args(["--max-nodes", &(2 * NODES).to_string()]);
    let license = run(&mut issue, LIMIT).await?;
    let body = json!({ "token": license });
    group
        .ask(0, Ask::json("PUT", "/v1/license", &body))
        .await?
        .ok()?;
    let body = json!({ "fleet": "default", "ttl_s": 3_600, "max_uses": 2 * NODES });
    let made = group
        .ask(0, Ask::json("POST", "/v1/join-tokens", &body))
        .await?
        .ok()?
        .json()?;
    let file = group.dir.path().join("join-token");
    std::fs::write(&file, made["token"].as_str().context("a token")?)?;
    let leader = group.leader().await?;
    let mut fill = Command::new(programs.join("krakend-bench"));
    fill.args(["fill", "--nodes", &NODES.to_string(), "--leader"])
        .arg(group.managers[leader].nodes.to_string())
        .arg("--join-token-file")
        .arg(&file);
    let began = Instant::now();
    run(&mut fill, 10 * LIMIT).await?;
    println!("{NODES} nodes registered in {:.1?}", began.elapsed());
    let (mut count, mut cursor) = (0, String::new());
    loop {
        let path = format!("/v1/nodes?limit=1000{cursor}");
        let page = group.ask(leader, Ask::get(path)).await?.ok()?.json()?;
        count += page["nodes"].as_array().context("nodes")?.len();
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    ensure!(count >= NODES, "only {count} nodes are there");
    Ok(count)
}

/// Names of the rows that are in the page now, and how many rows the table says it has.
const ROWS: &str = "return [document.querySelectorAll('[data-testid=\"node-row\"]').length, Number(document.querySelector('[data-testid=\"nodes-table\"]').getAttribute('aria-rowcount'))]";
/// Scrolls from top to bottom in steps of a screen, a frame each; milliseconds of the slowest frames, and of all.
const SCROLL: &str = "const box = document.querySelector('.table-scroll'); const times = []; box.scrollTop = 0;
    const frame = () => new Promise(done => requestAnimationFrame(done));
    await frame(); let last = performance.now(); const began = last;
    while (box.scrollTop + box.clientHeight < box.scrollHeight - 2) {
        const before = box.scrollTop; box.scrollTop += box.clientHeight; if (box.scrollTop === before) break;
        await frame(); await frame(); const now = performance.now(); times.push(now - last); last = now;
    }
    times.sort((a, b) => b - a);
    return {screens: times.length, slowest: times[0], median: times[times.length >> 1], all: performance.now() - began}";

async fn looks(page: &Page<'_>, count: usize) -> Result<()> {
    page.sign_in().await?;
    page.holds(
        "all nodes of both pages are in the table",
        &format!("const r = (() => {{ {ROWS} }})(); return r[1] === {count}"),
    )
    .await?;
    let seen = page.browser.run(ROWS).await?;
    let drawn = seen[0].as_i64().context("a number")?;
    ensure!(
        (20..=MOST_ROWS).contains(&drawn),
        "{drawn} rows are in the page"
    );
    let times = page
        .browser
        .run(&format!("return (async () => {{ {SCROLL} }})()"))
        .await?;
    println!("scrolling: {times}");
    let screens = times["screens"].as_u64().context("screens")?;
    ensure!(screens > 20, "it did not scroll: {times}");
    let last = page
        .browser
        .run("const all = [...document.querySelectorAll('[data-testid=\"node-row\"]')]; return all.length && all.every(r => r.getBoundingClientRect().height > 0)")
        .await?;
    ensure!(last == true, "there are no rows at the end");
    // A node of the second page of the API is found, sorted and opened like every other.
    let second = page.api("/v1/nodes?limit=1000").await?;
    let cursor = second["next_cursor"].as_str().context("a cursor")?;
    let beyond = page.api(&format!("/v1/nodes?cursor={cursor}")).await?;
    let beyond = &beyond["nodes"][0];
    let (id, name) = (
        beyond["id"].as_str().context("an id")?,
        beyond["name"].as_str().context("a name")?,
    );
    page.paste("search", name).await?;
    page.holds(
        "the search leaves nothing else",
        &format!(
            "const all = [...document.querySelectorAll('[data-testid=\"node-row\"]')]; return all.length >= 1 && all.every(r => r.dataset.name === '{name}')"
        ),
    )
    .await?;
    page.paste("search", "").await?;
    page.click("sort-host").await?;
    page.holds(
        "the order is by host",
        "const all = [...document.querySelectorAll('[data-testid=\"node-row\"]')].map(r => r.dataset.name); return all.length > 5 && all[0] === 'sim-0000' && all.includes('sim-0005') && all.every((n, at) => at === 0 || all[at - 1] <= n)",
    )
    .await?;
    // The stream tells of the first thousand only: the rest must stay.
    page.holds(
        "the count is still whole after the next figures",
        &format!(
            "return new Promise(done => setTimeout(() => done(Number(document.querySelector('[data-testid=\"nodes-table\"]').getAttribute('aria-rowcount')) === {count}), 5000))"
        ),
    )
    .await?;
    page.open(&format!("/nodes/{id}"), name).await
}

/// From the click on a link, so to say, to the first figures, with a warm and with an empty cache.
async fn first_view(page: &Page<'_>) -> Result<()> {
    const VIEW: &str = "const n = performance.getEntriesByType('navigation')[0]; const p = performance.getEntriesByName('first-contentful-paint')[0];
        return {dom_ms: Math.round(n.domContentLoadedEventEnd), load_ms: Math.round(n.loadEventEnd), first_paint_ms: p ? Math.round(p.startTime) : null, figures_ms: Math.round(window.krakend_seen ?? performance.now()), bytes: performance.getEntriesByType('resource').reduce((s, r) => s + r.transferSize, 0)}";
    for (cache, clear) in [("warm", false), ("empty", true)] {
        if clear {
            page.browser.clear_cache().await?;
        }
        page.browser.open(&format!("{}/nodes", page.base)).await?;
        page.browser
            .run(&format!(
                "return new Promise(done => {{ const look = () => {{ const t = document.querySelector('[data-testid=\"nodes-table\"]'); if (t && Number(t.getAttribute('aria-rowcount')) >= {NODES}) {{ window.krakend_seen = performance.now(); done(true); }} else requestAnimationFrame(look); }}; look(); }})"
            ))
            .await?;
        println!(
            "first view, {cache} cache: {}",
            page.browser.run(VIEW).await?
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_a_thousand_nodes_stay_fluid() -> Result<()> {
    let Some(programs) = page::programs() else {
        return Ok(());
    };
    let dir = pictures()?;
    let group = Group::start(3).await?;
    let count = fill(&group).await?;
    let browser = Browser::start(&programs, group.dir.path()).await?;
    let page = Page::new(&browser, &group, 0);
    let done = async {
        looks(&page, count).await?;
        first_view(&page).await?;
        for (path, name) in [
            ("/nodes", "nodes"),
            ("/", "overview"),
            ("/traffic", "traffic"),
        ] {
            browser.open(&format!("{}{path}", page.base)).await?;
            page.is_loaded().await?;
            for scheme in ["light", "dark"] {
                let file = dir.join(format!("many-{name}-wide-{scheme}.png"));
                page.snap(&file, (2560, 1200), scheme).await?;
            }
            page.snap(
                &dir.join(format!("many-{name}-phone-light.png")),
                (390, 844),
                "light",
            )
            .await?;
        }
        anyhow::Ok(())
    }
    .await;
    if done.is_err() {
        let _ = browser.screenshot(&dir.join("failure-many.png")).await;
    }
    browser.quit().await;
    done
}
