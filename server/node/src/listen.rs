//! Where the gateway listens.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde_json::Value;

const DEFAULT_PORT: u16 = 8080;

/// What the document says (`listen_ip`, `port`), or all addresses on 8080.
pub fn address_of(document: Option<&[u8]>) -> SocketAddr {
    let document = document.and_then(|bytes| serde_json::from_slice::<Value>(bytes).ok());
    let document = document.unwrap_or_default();
    let port = document["port"]
        .as_u64()
        .and_then(|port| u16::try_from(port).ok());
    let ip = document["listen_ip"]
        .as_str()
        .and_then(|ip| ip.parse().ok());
    let port = port.filter(|port| *port > 0).unwrap_or(DEFAULT_PORT);
    SocketAddr::new(ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_names_the_address_and_8080_stands_in() {
        let table: [(Option<&[u8]>, &str); 4] = [
            (None, "0.0.0.0:8080"),
            (Some(b"no json"), "0.0.0.0:8080"),
            (Some(br#"{"port": 9000}"#), "0.0.0.0:9000"),
            (
                Some(br#"{"port": 9000, "listen_ip": "127.0.0.1"}"#),
                "127.0.0.1:9000",
            ),
        ];
        for (document, expected) in table {
            assert_eq!(address_of(document).to_string(), expected);
        }
    }
}
