//! Which endpoint a request belongs to.

use std::borrow::Cow;

use matchit::Router;

use crate::config::{ServiceConfig, shape};

/// Maps requests to the endpoints of a configuration. Static segments win over parameters, as in KrakenD's router.
pub struct RouteTable {
    /// One tree for each method, as KrakenD's router has them.
    methods: Vec<(String, Router<usize>)>,
    /// Endpoint patterns in the configuration's order.
    endpoints: Vec<String>,
    redirect_trailing_slash: bool,
    method_not_allowed: bool,
}

/// What the table knows about a request.
#[derive(Debug, PartialEq)]
pub(crate) enum Lookup {
    /// Index of the endpoint in the configuration, and its parameters in the path's order, decoded.
    Found(usize, Vec<(String, String)>),
    /// Only the path with (or without) the trailing slash is an endpoint.
    TrailingSlash(String),
    /// The methods that the path has.
    OtherMethods(Vec<String>),
    Nothing,
}

impl RouteTable {
    /// The routes of a configuration. An endpoint that cannot be routed (a lenient parse lets wildcards pass) is left out.
    pub fn new(config: &ServiceConfig) -> Self {
        let mut table = RouteTable {
            methods: Vec::new(),
            endpoints: config
                .endpoints
                .iter()
                .map(|endpoint| endpoint.endpoint.clone())
                .collect(),
            redirect_trailing_slash: config.redirect_trailing_slash,
            method_not_allowed: config.method_not_allowed,
        };
        for (index, endpoint) in config.endpoints.iter().enumerate() {
            let router = table.router_mut(&endpoint.method);
            if let Err(error) = router.insert(to_route(&endpoint.endpoint), index) {
                tracing::debug!(endpoint = %endpoint.endpoint, %error, "endpoint left out of the route table");
            }
        }
        table
    }

    /// The configured pattern that answers a request, such as `/users/{id}`. `path` is the path as sent, without the query.
    pub fn endpoint_of(&self, method: &str, path: &str) -> Option<&str> {
        let path = decode(path)?;
        let found = self.router(method)?.at(&path).ok()?;
        self.endpoints.get(*found.value).map(String::as_str)
    }

    /// Looks a decoded path up.
    pub(crate) fn lookup(&self, method: &str, path: &str) -> Lookup {
        if let Some(router) = self.router(method) {
            if let Ok(found) = router.at(path) {
                let params = found
                    .params
                    .iter()
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect();
                return Lookup::Found(*found.value, params);
            }
            if self.redirect_trailing_slash && path != "/" {
                let other = match path.strip_suffix('/') {
                    Some(shorter) => shorter.to_owned(),
                    None => format!("{path}/"),
                };
                if router.at(&other).is_ok() {
                    return Lookup::TrailingSlash(other);
                }
            }
        }
        if self.method_not_allowed {
            let others = self
                .methods
                .iter()
                .filter(|(name, router)| name != method && router.at(path).is_ok());
            let allowed: Vec<String> = others.map(|(name, _)| name.clone()).collect();
            if !allowed.is_empty() {
                return Lookup::OtherMethods(allowed);
            }
        }
        Lookup::Nothing
    }

    /// Whether every endpoint of `config` found its place.
    pub(crate) fn is_complete(&self, config: &ServiceConfig) -> Result<(), String> {
        for (index, endpoint) in config.endpoints.iter().enumerate() {
            let sample = shape(&endpoint.endpoint).replace("{}", "{\u{1}}");
            let hit = self
                .router(&endpoint.method)
                .and_then(|router| router.at(&sample).ok());
            if hit.is_none_or(|found| *found.value != index) {
                return Err(format!("{} {}", endpoint.method, endpoint.endpoint));
            }
        }
        Ok(())
    }

    fn router(&self, method: &str) -> Option<&Router<usize>> {
        self.methods
            .iter()
            .find(|(name, _)| name == method)
            .map(|(_, router)| router)
    }

    fn router_mut(&mut self, method: &str) -> &mut Router<usize> {
        let at = self
            .methods
            .iter()
            .position(|(name, _)| name == method)
            .unwrap_or_else(|| {
                self.methods.push((method.to_owned(), Router::new()));
                self.methods.len() - 1
            });
        &mut self.methods[at].1
    }
}

impl std::fmt::Debug for RouteTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RouteTable")
            .field("endpoints", &self.endpoints)
            .finish_non_exhaustive()
    }
}

/// KrakenD's wildcard `/*` is the router's `/{*rest}`; parameters are written alike.
fn to_route(endpoint: &str) -> String {
    match endpoint.strip_suffix("/*") {
        Some(prefix) => format!("{prefix}/{{*rest}}"),
        None => endpoint.to_owned(),
    }
}

/// A path with its percent-encoding taken away. `None` when that is broken or not UTF-8.
pub(crate) fn decode(path: &str) -> Option<Cow<'_, str>> {
    if !path.contains('%') {
        return Some(Cow::Borrowed(path));
    }
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let [high, low, tail @ ..] = rest else {
            return None;
        };
        bytes.push(hex(*high)? << 4 | hex(*low)?);
        rest = tail;
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}
