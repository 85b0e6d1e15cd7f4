//! Which headers and query strings travel, and under which names the gateway speaks.

use std::net::{IpAddr, SocketAddr};

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::config::AllowList;

/// The version the gateway names itself with, in `X-Krakend: Version …` and `User-Agent: KrakenD Version …`.
pub const GATEWAY_VERSION: &str = concat!("krakend-node/", env!("CARGO_PKG_VERSION"));

const VERSION_VALUE: HeaderValue =
    HeaderValue::from_static(concat!("Version krakend-node/", env!("CARGO_PKG_VERSION")));
const HIDDEN_VERSION_VALUE: HeaderValue = HeaderValue::from_static("Version undefined");
const USER_AGENT_VALUE: HeaderValue = HeaderValue::from_static(concat!(
    "KrakenD Version krakend-node/",
    env!("CARGO_PKG_VERSION")
));

const X_KRAKEND: HeaderName = HeaderName::from_static("x-krakend");
const X_KRAKEND_COMPLETED: HeaderName = HeaderName::from_static("x-krakend-completed");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_VIA: HeaderName = HeaderName::from_static("x-forwarded-via");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// They belong to one connection (RFC 9110, section 7.6.1) and never travel on.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Writes `X-Krakend` and `X-Krakend-Completed`.
pub fn mark(headers: &mut HeaderMap, hide_version: bool, complete: bool) {
    headers.insert(
        X_KRAKEND,
        if hide_version {
            HIDDEN_VERSION_VALUE
        } else {
            VERSION_VALUE
        },
    );
    headers.insert(
        X_KRAKEND_COMPLETED,
        HeaderValue::from_static(if complete { "true" } else { "false" }),
    );
}

/// The headers for the backends: what the endpoint lets through, and the gateway's own.
pub fn for_backends(client: &HeaderMap, allowed: &AllowList, peer: SocketAddr) -> HeaderMap {
    let mut headers = match allowed {
        AllowList::Unset => only(client, std::iter::once(header::CONTENT_TYPE.as_str())),
        AllowList::Only(names) => only(client, names.iter().map(String::as_str)),
        AllowList::All => client.clone(),
    };
    strip_hop_by_hop(&mut headers);
    // The body's length may change on its way; the client for backends sets both itself.
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::EXPECT);
    let host = headers
        .remove(header::HOST)
        .or_else(|| client.get(header::HOST).cloned());
    if let Ok(ip) = HeaderValue::from_str(&client_ip(client, peer).to_string()) {
        headers.insert(X_FORWARDED_FOR, ip);
    }
    if let Some(host) = host {
        headers.insert(X_FORWARDED_HOST, host);
    }
    let own_agent = if headers.contains_key(header::USER_AGENT) {
        X_FORWARDED_VIA
    } else {
        header::USER_AGENT
    };
    headers.insert(own_agent, USER_AGENT_VALUE);
    headers
}

/// What one backend lets through of the headers that its endpoint did.
pub fn narrow(headers: &HeaderMap, allowed: &AllowList) -> HeaderMap {
    match allowed {
        AllowList::Only(names) => only(headers, names.iter().map(String::as_str)),
        AllowList::Unset | AllowList::All => headers.clone(),
    }
}

/// Removes what belongs to the connection, also what `Connection` names.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// The client's address as KrakenD's router sees it: it trusts `X-Forwarded-For`, then `X-Real-IP`, then the connection.
fn client_ip(headers: &HeaderMap, peer: SocketAddr) -> IpAddr {
    let listed = |name: HeaderName| {
        let text = headers.get(name)?.to_str().ok()?;
        let parsed: Result<Vec<IpAddr>, _> =
            text.split(',').map(|part| part.trim().parse()).collect();
        parsed.ok()?.first().copied()
    };
    listed(X_FORWARDED_FOR)
        .or_else(|| listed(X_REAL_IP))
        .unwrap_or_else(|| peer.ip().to_canonical())
}

fn only<'n>(headers: &HeaderMap, names: impl Iterator<Item = &'n str>) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for name in names.filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok()) {
        if kept.contains_key(&name) {
            continue;
        }
        for value in headers.get_all(&name) {
            kept.append(name.clone(), value.clone());
        }
    }
    kept
}

/// The client's query strings that pass, sorted by name and in the client's order within a name.
pub fn query(query: Option<&str>, allowed: &AllowList) -> Vec<(String, String)> {
    let (Some(query), true) = (query, *allowed != AllowList::Unset) else {
        return Vec::new();
    };
    let mut pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| match allowed {
            AllowList::Only(names) => names.iter().any(|allowed| allowed == name),
            AllowList::All | AllowList::Unset => true,
        })
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    pairs
}
