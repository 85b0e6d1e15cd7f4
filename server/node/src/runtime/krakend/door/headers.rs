//! Headers that belong to one connection and not to the message.

use http::header::{CONNECTION, EXPECT, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};

const HOP_BY_HOP: [HeaderName; 5] = [CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];
const OLD_HOP_BY_HOP: [&str; 3] = ["keep-alive", "proxy-connection", "proxy-authenticate"];

/// Takes away what RFC 9110 (7.6.1) does not let an intermediary pass on.
pub(super) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
    for name in OLD_HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Prepares a client's headers for KrakenD, which trusts the front door's
/// `X-Forwarded-For` and nobody else's.
pub(super) fn prepare_request(headers: &mut HeaderMap, client: std::net::IpAddr) {
    strip_hop_by_hop(headers);
    // The front door has answered `100 Continue` itself.
    headers.remove(EXPECT);
    if let Ok(value) = HeaderValue::from_str(&client.to_string()) {
        headers.insert("x-forwarded-for", value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_connection_names_go_with_it() {
        let mut headers = HeaderMap::new();
        headers.insert("connection", "close, X-Private".parse().expect("a value"));
        headers.insert("x-private", "1".parse().expect("a value"));
        headers.insert("x-public", "2".parse().expect("a value"));
        prepare_request(&mut headers, [192, 0, 2, 1].into());
        assert!(headers.get("x-private").is_none() && headers.get("connection").is_none());
        assert_eq!(headers["x-public"], "2");
        assert_eq!(headers["x-forwarded-for"], "192.0.2.1");
    }
}
