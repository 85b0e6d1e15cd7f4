//! Comparing the statistics of the API with the ledger of what was sent.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use serde_json::Value;

use crate::documents::ENDPOINTS;
use crate::ledger::Entry;
use crate::nodes::{Node, SAMPLE_PERIOD_S};

/// A killed node lacks at most what came after its last sample was on disk: a period, and the time that writing it takes.
const LOST_WITHIN_MS: u64 = SAMPLE_PERIOD_S * 1_000 + 700;

/// What was sent.
#[derive(Debug)]
pub struct Account<'a> {
    entries: &'a [Entry],
}

/// One node, sent against reported.
#[derive(Debug, Serialize)]
pub struct NodeFigures {
    pub name: String,
    pub killed: bool,
    pub sent: u64,
    pub reported: u64,
    pub backend_calls: u64,
    pub backend_calls_reported: u64,
    pub missing_ms: u64,
}

impl<'a> Account<'a> {
    /// Over these entries.
    pub fn new(entries: &'a [Entry]) -> Self {
        Self { entries }
    }

    /// Calls that all requests make at the backend.
    pub fn backend_calls(&self) -> u64 {
        self.entries
            .iter()
            .map(|entry| ENDPOINTS[entry.endpoint].backends.len() as u64)
            .sum()
    }

    /// Requests to a node, by endpoint.
    fn requests(&self, node: usize, since_ms: u64, until_ms: u64) -> BTreeMap<&'static str, u64> {
        self.count(node, since_ms, until_ms, |endpoint, counts| {
            *counts.entry(ENDPOINTS[endpoint].pattern).or_default() += 1
        })
    }

    /// Calls that these requests make, by first part of the backend's path.
    fn calls(&self, node: usize, since_ms: u64, until_ms: u64) -> BTreeMap<&'static str, u64> {
        self.count(node, since_ms, until_ms, |endpoint, counts| {
            for backend in ENDPOINTS[endpoint].backends {
                *counts.entry(first_part(backend)).or_default() += 1;
            }
        })
    }

    fn count(
        &self,
        node: usize,
        since_ms: u64,
        until_ms: u64,
        add: impl Fn(usize, &mut BTreeMap<&'static str, u64>),
    ) -> BTreeMap<&'static str, u64> {
        let mut counts = BTreeMap::new();
        for entry in self
            .entries
            .iter()
            .filter(|entry| entry.node == node && (since_ms..=until_ms).contains(&entry.at_ms))
        {
            add(entry.endpoint, &mut counts);
        }
        counts
    }
}

/// Compares one node.
///
/// # Errors
/// Says endpoint or backend, what was sent and what is reported.
pub fn compare(account: &Account<'_>, node: &Node, statistics: &Value) -> Result<NodeFigures> {
    let all = statistics["nodes"]
        .as_array()
        .context("no nodes in the statistics")?;
    let totals = all
        .iter()
        .find(|totals| totals["node_id"] == node.id.as_str());
    let totals = totals.with_context(|| format!("no statistics of {}", node.id))?;
    let index = node.target.index;
    let lost_since = node
        .killed_at_ms
        .map(|at| at.saturating_sub(LOST_WITHIN_MS));
    let until = node.killed_at_ms.unwrap_or_default();
    let may_lack = |calls: bool| match lost_since {
        None => BTreeMap::new(),
        Some(since) if calls => account.calls(index, since, until),
        Some(since) => account.requests(index, since, until),
    };
    let sent = account.requests(index, 0, u64::MAX);
    let reported = requests_reported(totals);
    check("endpoint", &sent, &reported, &may_lack(false))?;
    let calls = account.calls(index, 0, u64::MAX);
    let calls_reported = calls_reported(totals);
    check("backend", &calls, &calls_reported, &may_lack(true))?;
    let missing_ms = totals["missing_ms"].as_u64().unwrap_or_default();
    if node.killed_at_ms.is_some() {
        ensure!(
            missing_ms > 0,
            "killed with -9, but no gap is shown (missing_ms is 0)"
        );
    }
    let sum = |counts: &BTreeMap<&str, u64>| counts.values().sum::<u64>();
    let sum_reported = |counts: &BTreeMap<String, u64>, of: &BTreeMap<&str, u64>| {
        of.keys().filter_map(|key| counts.get(*key)).sum::<u64>()
    };
    Ok(NodeFigures {
        name: node.target.name.clone(),
        killed: node.killed_at_ms.is_some(),
        sent: sum(&sent),
        reported: sum_reported(&reported, &sent),
        backend_calls: sum(&calls),
        backend_calls_reported: sum_reported(&calls_reported, &calls),
        missing_ms,
    })
}

/// Reported equals sent, or is less by no more than what may be lacking; it is never more.
fn check(
    what: &str,
    sent: &BTreeMap<&str, u64>,
    reported: &BTreeMap<String, u64>,
    may_lack: &BTreeMap<&str, u64>,
) -> Result<()> {
    let mut wrong = Vec::new();
    for (key, sent) in sent {
        let reported = reported.get(*key).copied().unwrap_or_default();
        let least = sent - may_lack.get(key).copied().unwrap_or_default();
        if reported > *sent || reported < least {
            wrong.push(format!(
                "{what} {key}: sent {sent}, reported {reported} (may lack {})",
                sent - least
            ));
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        bail!("{}; all that is reported: {reported:?}", wrong.join("; "))
    }
}

fn requests_reported(totals: &Value) -> BTreeMap<String, u64> {
    sums(&totals["endpoints"], |one| {
        (
            one["endpoint"].as_str().map(str::to_owned),
            one["requests"].as_u64(),
        )
    })
}

fn calls_reported(totals: &Value) -> BTreeMap<String, u64> {
    sums(&totals["backends"], |one| {
        (
            one["url_pattern"]
                .as_str()
                .map(|pattern| first_part(pattern).to_owned()),
            one["calls"].as_u64(),
        )
    })
}

fn sums(
    list: &Value,
    pick: impl Fn(&Value) -> (Option<String>, Option<u64>),
) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for one in list.as_array().into_iter().flatten() {
        if let (Some(key), Some(count)) = pick(one) {
            *sums.entry(key).or_default() += count;
        }
    }
    sums
}

/// `/users` of `/users/{id}`: gateways spell parameters in their own ways.
fn first_part(path: &str) -> &str {
    let end = path
        .get(1..)
        .and_then(|rest| rest.find('/'))
        .map_or(path.len(), |at| at + 1);
    &path[..end]
}

/// UTC milliseconds of an RFC 3339 text; 0 for none.
pub fn time_ms(value: &Value) -> u64 {
    let time = value
        .as_str()
        .and_then(|text| text.parse::<jiff::Timestamp>().ok());
    time.and_then(|time| u64::try_from(time.as_millisecond()).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(count: u64) -> (BTreeMap<&'static str, u64>, BTreeMap<String, u64>) {
        (
            BTreeMap::from([("/users/{id}", 100)]),
            BTreeMap::from([("/users/{id}".to_owned(), count)]),
        )
    }

    #[test]
    fn a_doubled_request_is_found_and_a_lost_one_too() {
        for (reported, lack, good) in [
            (100, 0, true),
            (101, 0, false),
            (99, 0, false),
            (99, 1, true),
            (98, 1, false),
            (101, 5, false),
        ] {
            let (sent, seen) = one(reported);
            let may_lack = BTreeMap::from([("/users/{id}", lack)]);
            assert_eq!(
                check("endpoint", &sent, &seen, &may_lack).is_ok(),
                good,
                "{reported} reported, {lack} may lack"
            );
        }
    }

    #[test]
    fn parameters_do_not_matter_in_a_backends_name() {
        assert_eq!(first_part("/users/{{.Id}}"), "/users");
        assert_eq!(first_part("/slow"), "/slow");
    }
}
