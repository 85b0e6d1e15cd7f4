//! Passes closed minutes on to InfluxDB. The leader does it, and how far it is stands in the state: a new leader goes on
//! there. A minute that a late sample changed is passed on again; InfluxDB replaces a point with the same time and tags,
//! so nothing is counted twice there either.

mod line;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use krakend_domain::{ClusterState, Command, MINUTE_MS, Millis, Tier};

use crate::{app::App, control::propose, settings::InfluxSettings};

/// From this feature level on there is something to pass on.
const LEVEL: u32 = 5;
const LOOK_EVERY: Duration = Duration::from_secs(1);
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Minutes in one request, and late ones.
const MINUTES_AT_ONCE: usize = 10;
/// Where it begins when nothing was passed on yet.
const FIRST_BACK_MS: Millis = 60 * MINUTE_MS;
const MAX_ANSWER: usize = 64 * 1024;

type Http = Client<HttpConnector, Full<Bytes>>;

/// Passes on whenever this manager leads.
pub async fn run(app: App) -> Result<()> {
    let Some(settings) = app.settings.influx.clone() else {
        app.stop.cancelled().await;
        return Ok(());
    };
    let http: Http = Client::builder(TokioExecutor::new()).build_http();
    let mut wait = LOOK_EVERY;
    let mut failing = false;
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = app.stop.cancelled() => return Ok(()),
        }
        wait = LOOK_EVERY;
        let level = app.group.stale().state.meta().feature_level;
        if !app.group.leadership().borrow().is_me || level < LEVEL {
            continue;
        }
        match step(&app, &http, &settings).await {
            Ok(true) => wait = Duration::ZERO,
            Ok(false) => wait = settings.every,
            Err(error) => {
                // Once for each outage; the metric tells the rest.
                if !failing {
                    tracing::warn!("statistics do not reach InfluxDB, trying again: {error:#}");
                }
                failing = true;
                wait = settings.every;
                continue;
            }
        }
        if failing {
            tracing::info!("statistics reach InfluxDB again");
            failing = false;
        }
    }
}

/// What is to be passed on next: minutes in order, late ones first, and up to where it is done afterwards.
struct Plan {
    minutes: Vec<Millis>,
    late: Vec<Millis>,
    until_ms: Millis,
}

fn plan(state: &ClusterState) -> Option<Plan> {
    let meta = state.series_meta();
    let folded = meta.folded_until_ms;
    let from = match meta.exported_until_ms {
        0 => folded.saturating_sub(FIRST_BACK_MS),
        until => until,
    };
    let late = meta.late.iter().take(MINUTES_AT_ONCE);
    let late: Vec<_> = late.map(|(minute, _)| *minute).collect();
    let windows = state.windows_from(Tier::FleetMinute, from);
    let starts = windows.map(|(key, _)| key.start_ms);
    let mut minutes: Vec<_> = starts.take_while(|start| *start < folded).collect();
    minutes.dedup();
    minutes.truncate(MINUTES_AT_ONCE);
    let until_ms = match minutes.len() == MINUTES_AT_ONCE {
        true => minutes.last().map_or(folded, |last| last + MINUTE_MS),
        false => folded,
    };
    // The first word also makes the group remember what comes late.
    let begins = meta.exported_until_ms == 0 && folded > 0;
    let news = !late.is_empty() || !minutes.is_empty() || begins;
    news.then_some(Plan {
        minutes,
        late,
        until_ms,
    })
}

/// Whether there was something, so that more may wait.
async fn step(app: &App, http: &Http, settings: &InfluxSettings) -> Result<bool> {
    let view = app.group.stale();
    let state = view.state;
    let Some(plan) = plan(&state) else {
        return Ok(false);
    };
    let mut text = String::new();
    for minute in plan.late.iter().chain(&plan.minutes) {
        text.push_str(&line::minute(&state, *minute));
    }
    if !text.is_empty() {
        send(http, settings, text).await?;
    }
    let command = Command::ReportExport {
        until_ms: plan.until_ms,
        late: plan.late,
        seen: view.applied_index,
    };
    propose(app, command)
        .await
        .context("writing down how far statistics are passed on")?;
    Ok(true)
}

async fn send(http: &Http, settings: &InfluxSettings, text: String) -> Result<()> {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(&settings.url)
        .header("content-type", "text/plain; charset=utf-8");
    if let Some(file) = &settings.token_file {
        // Read each time, so that a token can be changed without a restart.
        let token = std::fs::read_to_string(file)
            .with_context(|| format!("reading influx_token_file {}", file.display()))?;
        let token = zeroize::Zeroizing::new(token);
        let mut value: http::HeaderValue = format!("Token {}", token.trim()).parse()?;
        value.set_sensitive(true);
        request = request.header("authorization", value);
    }
    let request = request.body(Full::new(Bytes::from(text)))?;
    let answer = tokio::time::timeout(ANSWER_WITHIN, http.request(request));
    let answer = answer.await.context("no answer within 30 s")??;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    let said: String = String::from_utf8_lossy(&body).chars().take(300).collect();
    ensure!(status.is_success(), "it answered {status}: {said}");
    Ok(())
}

#[cfg(test)]
mod tests;
