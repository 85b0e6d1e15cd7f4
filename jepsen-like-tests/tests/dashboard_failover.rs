//! What the open dashboard does when the manager that served it dies, and while nobody leads.

mod common;
mod group;
mod page;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use group::{Group, LIMIT};
use jepsen_like_tests::browser::Browser;
use jepsen_like_tests::wait::{Seen, until};
use page::{Page, pictures};

const DOCUMENT: &str = r#"{
  "version": 3,
  "endpoints": [
    { "endpoint": "/a", "backend": [{ "url_pattern": "/b", "host": ["http://127.0.0.1:8000"] }] }
  ]
}"#;

async fn state_is(browser: &Browser, wanted: &str) -> Result<()> {
    let script = "return document.querySelector('[data-testid=\"live\"]')?.dataset.state ?? 'none'";
    until(&format!("the page is {wanted}"), LIMIT, || async {
        let state = browser.run(script).await?;
        Ok(match state == wanted {
            true => Seen::Yes(()),
            false => Seen::No(state.to_string()),
        })
    })
    .await
}

async fn host(browser: &Browser) -> Result<String> {
    let host = browser.run("return location.host").await?;
    Ok(host.as_str().context("a host")?.to_owned())
}

/// The page that is open publishes, and the group that is left has it.
async fn publish(browser: &Browser, group: &Group, at: usize, number: u64) -> Result<()> {
    let page = Page::new(browser, group, at);
    page.open("/configuration/editor", "Configuration").await?;
    page.holds(
        "the editor has a text",
        "return (document.querySelector('[data-testid=\"editor\"]')?.value ?? '').length > 2",
    )
    .await?;
    page.paste("editor", &DOCUMENT.replace("/a", &format!("/a{number}")))
        .await?;
    page.click("check").await?;
    page.paste("publish-message", "After the failover").await?;
    page.click("publish").await?;
    page.click("confirm").await?;
    page.shows("toast", &format!("v{number} is published"))
        .await?;
    let path = "/v1/fleets/default/versions";
    let list = group.ask(at, jepsen_like_tests::http::Ask::get(path));
    let list = list.await?.ok()?.json()?;
    ensure!(list["versions"][0]["number"] == number, "{list}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_open_page_follows_to_another_manager_when_its_own_is_killed() -> Result<()> {
    let Some(programs) = page::programs() else {
        return Ok(());
    };
    let dir = pictures()?;
    let mut group = Group::start(3).await?;
    let at = group.leader().await?;
    let browser = Browser::start(&programs, group.dir.path()).await?;
    let first = {
        let page = Page::new(&browser, &group, at);
        page.sign_in().await?;
        publish(&browser, &group, at, 1).await?;
        page.open("/nodes?state=active", "Nodes").await?;
        browser.run("localStorage.setItem('theme', 'dark')").await?;
        // Whatever stays of this page stays in this window.
        browser.run("window.name = 'the same window'").await?;
        state_is(&browser, "live").await?;
        group.http(at).to_string()
    };
    ensure!(host(&browser).await? == first, "it began elsewhere");
    group.kill(at).await?;
    state_is(&browser, "reconnecting").await?;
    browser
        .screenshot(&dir.join("failover-reconnecting.png"))
        .await?;
    // Nobody reloads anything.
    let second = until("the page is at another manager", LIMIT, || async {
        let now = host(&browser).await.unwrap_or_default();
        Ok(match now != first && !now.is_empty() {
            true => Seen::Yes(now),
            false => Seen::No(now),
        })
    })
    .await?;
    state_is(&browser, "live").await?;
    let place = browser
        .run("return location.pathname + location.search + location.hash + ' ' + localStorage.getItem('theme')")
        .await?;
    ensure!(
        place == "/nodes?state=active dark",
        "it did not bring its place along: {place}"
    );
    let now_at = (0..3)
        .find(|at| group.http(*at).to_string() == second)
        .context("a manager of the group")?;
    let page = Page::new(&browser, &group, now_at);
    page.shows("page-title", "Nodes").await?;
    page.shows("status-line", &format!("Live from manager-{}", now_at + 1))
        .await?;
    page.snap(&dir.join("failover-followed.png"), (1440, 900), "light")
        .await?;
    publish(&browser, &group, now_at, 2).await?;
    browser.quit().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_draft_keeps_the_page_where_it_is_and_the_way_is_shown() -> Result<()> {
    let Some(programs) = page::programs() else {
        return Ok(());
    };
    let mut group = Group::start(3).await?;
    let browser = Browser::start(&programs, group.dir.path()).await?;
    let first = {
        let page = Page::new(&browser, &group, 0);
        page.sign_in().await?;
        page.open("/configuration/editor", "Configuration").await?;
        page.holds(
            "the editor has a text",
            "return (document.querySelector('[data-testid=\"editor\"]')?.value ?? '').length > 2",
        )
        .await?;
        page.paste("editor", DOCUMENT).await?;
        state_is(&browser, "live").await?;
        host(&browser).await?
    };
    group.kill(0).await?;
    let way = browser.text("elsewhere", LIMIT).await?;
    ensure!(way.contains("answers"), "{way}");
    ensure!(host(&browser).await? == first, "the draft was left behind");
    let draft = browser
        .run("return document.querySelector('[data-testid=\"editor\"]').value")
        .await?;
    ensure!(draft == DOCUMENT, "{draft}");
    group.restart(0)?;
    state_is(&browser, "live").await?;
    let way = browser
        .run("return document.querySelector('[data-testid=\"elsewhere\"]') === null")
        .await?;
    ensure!(way == true, "the way is still shown");
    browser.quit().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_leader_the_page_says_so_and_recovers_by_itself() -> Result<()> {
    let Some(programs) = page::programs() else {
        return Ok(());
    };
    let dir = pictures()?;
    let mut group = Group::start(3).await?;
    let browser = Browser::start(&programs, group.dir.path()).await?;
    Page::new(&browser, &group, 0).sign_in().await?;
    Page::new(&browser, &group, 0).open("/", "Overview").await?;
    state_is(&browser, "live").await?;
    group.kill(1).await?;
    group.kill(2).await?;
    {
        let page = Page::new(&browser, &group, 0);
        page.shows("status-line", "No leader").await?;
        page.holds(
            "the first sentence says it",
            "return /leader/i.test(document.querySelector('[data-testid=\"verdict\"]')?.innerText ?? '')",
        )
        .await?;
        for (size, width, height) in page::SIZES {
            let file = dir.join(format!("no-leader{size}-light.png"));
            page.snap(&file, (width, height), "light").await?;
        }
        page.snap(&dir.join("no-leader-dark.png"), (1440, 900), "dark")
            .await?;
        page.snap(&dir.join("no-leader-light.png"), (1440, 900), "light")
            .await?;
        page.open("/tokens", "Tokens").await?;
        page.holds(
            "nothing can be changed, and why is said",
            "const b = document.querySelector('[data-testid=\"create-token\"]'); return !!b && (b.disabled || b.getAttribute('aria-disabled') === 'true') && /leader/i.test((b.title || '') + (b.parentElement.innerText || ''))",
        )
        .await?;
        page.open("/", "Overview").await?;
    }
    group.restart(1)?;
    let page = Page::new(&browser, &group, 0);
    page.shows("status-line", "leads, term").await?;
    page.holds(
        "the red band is gone",
        "return !document.querySelector('.status-line.no-leader')",
    )
    .await?;
    page.open("/tokens", "Tokens").await?;
    page.click("create-token").await?;
    browser.quit().await;
    tokio::time::timeout(Duration::from_secs(30), group.kill(0)).await?
}
