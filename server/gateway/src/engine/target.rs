//! One backend, prepared for requests.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{HeaderMap, Method, Uri};

use super::manipulate::Manipulation;
use crate::config::{AllowList, Backend, Encoding, Piece, UrlPattern};
use crate::statistics::{BackendSeries, Statistics};

/// A backend of a route.
#[derive(Debug)]
pub struct Target {
    pub method: Method,
    pub encoding: Encoding,
    pub is_collection: bool,
    pub input_headers: AllowList,
    pub manipulation: Manipulation,
    input_query_strings: AllowList,
    pattern: UrlPattern,
    hosts: Vec<(String, Arc<BackendSeries>)>,
    next_host: AtomicUsize,
}

/// What of a client's request goes to the backends of its endpoint.
#[derive(Debug)]
pub struct Outgoing {
    pub params: Vec<(String, String)>,
    pub headers: HeaderMap,
    pub query: Vec<(String, String)>,
}

impl Target {
    /// Fails with the reason when the backend cannot be called.
    pub fn new(backend: &Backend, statistics: &Statistics) -> Result<Self, String> {
        let method = Method::from_bytes(backend.method.as_bytes())
            .map_err(|_| format!("{:?} is no HTTP method", backend.method))?;
        if backend.hosts.is_empty() {
            return Err(format!("the backend {} has no host", backend.url_pattern));
        }
        let hosts = backend.hosts.iter();
        let hosts = hosts
            .map(|host| (host.clone(), statistics.backend(host, &backend.url_pattern)))
            .collect();
        Ok(Target {
            method,
            encoding: backend.encoding.clone(),
            is_collection: backend.is_collection,
            input_headers: backend.input_headers.clone(),
            manipulation: Manipulation::new(backend),
            input_query_strings: backend.input_query_strings.clone(),
            pattern: UrlPattern::compile(&backend.url_pattern),
            hosts,
            next_host: AtomicUsize::new(0),
        })
    }

    /// The next host in turn.
    pub fn next_host(&self) -> (&str, &Arc<BackendSeries>) {
        let turn = match self.hosts.len() {
            1 => 0,
            hosts => self.next_host.fetch_add(1, Ordering::Relaxed) % hosts,
        };
        let (host, series) = &self.hosts[turn];
        (host, series)
    }

    /// The address to call. Parameters are encoded, so that none can leave its place in the URL.
    pub fn uri(&self, host: &str, outgoing: &Outgoing) -> Result<Uri, http::uri::InvalidUri> {
        let mut uri = host.to_owned();
        for piece in &self.pattern.pieces {
            match piece {
                Piece::Literal(text) => uri.push_str(text),
                Piece::Path(name) => {
                    push_encoded(&mut uri, param(outgoing, name), b"-_.~!$&'()*+,;=:@")
                }
                Piece::Query(name) => push_encoded(&mut uri, param(outgoing, name), b"-_.~"),
            }
        }
        let passing = outgoing
            .query
            .iter()
            .filter(|(name, _)| match &self.input_query_strings {
                AllowList::Only(names) => names.contains(name),
                AllowList::Unset | AllowList::All => true,
            });
        let mut separator = if uri.contains('?') { '&' } else { '?' };
        for (name, value) in passing {
            uri.push(separator);
            uri.extend(form_urlencoded::byte_serialize(name.as_bytes()));
            uri.push('=');
            uri.extend(form_urlencoded::byte_serialize(value.as_bytes()));
            separator = '&';
        }
        uri.parse()
    }
}

fn param<'o>(outgoing: &'o Outgoing, name: &str) -> &'o str {
    let found = outgoing.params.iter().find(|(param, _)| param == name);
    found.map_or("", |(_, value)| value.as_str())
}

fn push_encoded(uri: &mut String, text: &str, plain: &[u8]) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            uri.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(uri, "%{byte:02X}");
        }
    }
}
