//! Who the client is, as KrakenD would see it without the front door.
//!
//! KrakenD sends its backends one address in `X-Forwarded-For`, found by the
//! rules of gin: the peer's own, or, when the peer is a trusted proxy (by
//! default every one is), the right-most untrusted entry of the first header
//! that holds a valid list. The front door applies the same rules and hands
//! KrakenD the result.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use serde_json::{Map, Value};

use super::document::parse_network;

/// The `router` settings about the client's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientIpRules {
    use_headers: bool,
    headers: Vec<String>,
    /// `None` trusts everyone.
    trusted: Option<Vec<(IpAddr, u8)>>,
}

impl ClientIpRules {
    pub(crate) fn from_router(router: Option<&Map<String, Value>>) -> Self {
        let strings = |key: &str| -> Option<Vec<String>> {
            let list = router?.get(key)?.as_array()?;
            let texts = list.iter().filter_map(Value::as_str).map(str::to_owned);
            Some(texts.collect::<Vec<_>>()).filter(|l| !l.is_empty())
        };
        let use_headers = router
            .and_then(|r| r.get("forwarded_by_client_ip")?.as_bool())
            .unwrap_or(true);
        Self {
            use_headers,
            headers: strings("remote_ip_headers")
                .unwrap_or_else(|| vec!["X-Forwarded-For".into(), "X-Real-IP".into()]),
            trusted: strings("trusted_proxies")
                .map(|list| list.iter().filter_map(|n| parse_network(n)).collect()),
        }
    }

    /// The address KrakenD would find for this request.
    pub(crate) fn client_ip(&self, peer: SocketAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.ip().to_canonical();
        if !self.use_headers || !self.trusts(peer) {
            return peer;
        }
        let found = self.headers.iter().find_map(|name| {
            let list = headers.get(name)?.to_str().ok()?;
            self.right_most_untrusted(list)
        });
        found.unwrap_or(peer)
    }

    fn right_most_untrusted(&self, list: &str) -> Option<IpAddr> {
        let mut leftmost = None;
        for entry in list.rsplit(',') {
            let address: IpAddr = entry.trim().parse().ok()?;
            if !self.trusts(address) {
                return Some(address);
            }
            leftmost = Some(address);
        }
        leftmost
    }

    fn trusts(&self, address: IpAddr) -> bool {
        let Some(networks) = &self.trusted else {
            return true;
        };
        networks
            .iter()
            .any(|&(network, bits)| contains(network, bits, address))
    }
}

fn contains(network: IpAddr, bits: u8, address: IpAddr) -> bool {
    match (network, address) {
        (IpAddr::V4(n), IpAddr::V4(a)) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            (n.to_bits() ^ a.to_bits()) & mask == 0
        }
        (IpAddr::V6(n), IpAddr::V6(a)) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            (n.to_bits() ^ a.to_bits()) & mask == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(router: &str, peer: &str, forwarded: Option<&str>) -> String {
        let router: Value = serde_json::from_str(router).expect("JSON");
        let rules = ClientIpRules::from_router(router.as_object());
        let mut headers = HeaderMap::new();
        if let Some(list) = forwarded {
            headers.insert("x-forwarded-for", list.parse().expect("a header"));
        }
        let peer = SocketAddr::new(peer.parse().expect("an address"), 1);
        rules.client_ip(peer, &headers).to_string()
    }

    #[test]
    fn by_default_every_proxy_is_trusted() {
        assert_eq!(client("{}", "10.0.0.1", None), "10.0.0.1");
        assert_eq!(
            client("{}", "10.0.0.1", Some("9.9.9.9, 10.0.0.7")),
            "9.9.9.9"
        );
        assert_eq!(client("{}", "10.0.0.1", Some("not an address")), "10.0.0.1");
    }

    #[test]
    fn an_untrusted_peer_cannot_claim_another_address() {
        let router = r#"{"trusted_proxies":["10.0.0.0/8"]}"#;
        assert_eq!(client(router, "192.0.2.1", Some("9.9.9.9")), "192.0.2.1");
        assert_eq!(
            client(router, "10.0.0.1", Some("1.1.1.1, 9.9.9.9, 10.2.2.2")),
            "9.9.9.9"
        );
    }

    #[test]
    fn headers_are_left_alone_when_the_configuration_says_so() {
        let router = r#"{"forwarded_by_client_ip":false}"#;
        assert_eq!(client(router, "10.0.0.1", Some("9.9.9.9")), "10.0.0.1");
    }
}
