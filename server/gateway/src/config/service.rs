//! The document's top level.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use serde_json::Value;

use super::keys::SERVICE;
use super::model::{Endpoint, ServiceConfig};
use super::walk::{Object, Walk};
use super::{backend, endpoint, extra, shape};

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(2);
const DEFAULT_PORT: u16 = 8080;

/// What endpoints and backends inherit.
pub struct Inherited {
    pub timeout: Duration,
    pub cache_ttl: Duration,
    pub output_encoding: Option<String>,
    pub hosts: Vec<String>,
}

/// Reads the service. `None` when there is nothing to build on; the walk then holds the errors.
pub fn read(walk: &mut Walk, value: &Value) -> Option<ServiceConfig> {
    let root = walk.root(value)?;
    read_version(walk, &root);
    walk.check_keys(&root, &SERVICE);
    walk.boolean(&root, "disable_rest");
    let router = extra::read_service(walk, &root);
    let inherited = Inherited {
        timeout: walk.duration(&root, "timeout").unwrap_or(DEFAULT_TIMEOUT),
        cache_ttl: walk.duration(&root, "cache_ttl").unwrap_or_default(),
        output_encoding: walk
            .string(&root, "output_encoding")
            .filter(|name| !name.is_empty()),
        hosts: backend::read_hosts(walk, &root, true),
    };
    let endpoints = read_endpoints(walk, &root, &inherited, router.health_path.as_deref());
    Some(ServiceConfig {
        name: walk.string(&root, "name").unwrap_or_default(),
        port: read_port(walk, &root),
        listen_ip: read_listen_ip(walk, &root),
        read_header_timeout: walk.duration(&root, "read_header_timeout"),
        max_shutdown_wait: walk.duration(&root, "max_shutdown_wait_time"),
        health_path: router.health_path,
        hide_version_header: router.hide_version_header,
        redirect_trailing_slash: router.redirect_trailing_slash,
        method_not_allowed: router.method_not_allowed,
        endpoints,
        unsupported: Vec::new(),
    })
}

fn read_version(walk: &mut Walk, root: &Object<'_>) {
    if root.map.get("version").is_none_or(Value::is_null) {
        let message = "the document has no \"version\"; add \"version\": 3".to_owned();
        walk.error("missing-version", root.pointer.clone(), message);
        return;
    }
    match walk.integer(root, "version") {
        Some(3) | None => {}
        Some(other) => {
            let message =
                format!("version {other} is not supported; migrate the document to \"version\": 3");
            walk.error("unsupported-version", root.to("version"), message);
        }
    }
}

fn read_port(walk: &mut Walk, root: &Object<'_>) -> u16 {
    match walk.integer(root, "port") {
        None | Some(0) => DEFAULT_PORT,
        Some(port) => u16::try_from(port).unwrap_or_else(|_| {
            let message = format!("port {port} does not exist; choose one from 1 to 65535");
            walk.error("bad-port", root.to("port"), message);
            DEFAULT_PORT
        }),
    }
}

fn read_listen_ip(walk: &mut Walk, root: &Object<'_>) -> Option<IpAddr> {
    let text = walk
        .string(root, "listen_ip")
        .filter(|text| !text.is_empty())?;
    match text.parse() {
        Ok(ip) => Some(ip),
        Err(_) => {
            let message = format!(
                "listen_ip {text:?} is no IP address; write one such as \"0.0.0.0\" or \"::\""
            );
            walk.error("bad-listen-ip", root.to("listen_ip"), message);
            None
        }
    }
}

fn read_endpoints(
    walk: &mut Walk,
    root: &Object<'_>,
    inherited: &Inherited,
    health_path: Option<&str>,
) -> Vec<Endpoint> {
    let items = walk
        .array(root, "endpoints")
        .map(Vec::as_slice)
        .unwrap_or_default();
    let mut paths = Paths::default();
    let mut endpoints = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let pointer = format!("{}/{index}", root.to("endpoints"));
        let Some(object) = walk.as_object(item, pointer) else {
            continue;
        };
        let Some(endpoint) = endpoint::read(walk, &object, inherited) else {
            continue;
        };
        if endpoint.method == "GET" && health_path == Some(&endpoint.endpoint) {
            let message = format!(
                "{} is the health endpoint; choose another path, or move health_path",
                endpoint.endpoint
            );
            walk.error("reserved-path", object.near("endpoint"), message);
        }
        paths.add(walk, &object, &endpoint);
        endpoints.push(endpoint);
    }
    endpoints
}

/// The paths read so far, to find those that cannot stand beside each other.
#[derive(Default)]
struct Paths {
    /// Method and shape, to the path as written.
    shapes: HashMap<(String, String), String>,
    /// Method and shape up to a parameter, to the parameter's name.
    names: HashMap<(String, String), String>,
}

impl Paths {
    fn add(&mut self, walk: &mut Walk, object: &Object<'_>, endpoint: &Endpoint) {
        let key = (endpoint.method.clone(), shape(&endpoint.endpoint));
        if let Some(first) = self.shapes.get(&key) {
            let message = format!(
                "{} {} answers the same requests as the earlier endpoint {first}; remove one or change its path or method",
                endpoint.method, endpoint.endpoint
            );
            walk.error("duplicate-endpoint", object.near("endpoint"), message);
            return;
        }
        self.shapes.insert(key, endpoint.endpoint.clone());
        for (at, _) in endpoint.endpoint.match_indices("/{") {
            let name = endpoint.endpoint[at + 1..]
                .split('/')
                .next()
                .unwrap_or_default();
            let key = (endpoint.method.clone(), shape(&endpoint.endpoint[..at]));
            let first = self.names.entry(key).or_insert_with(|| name.to_owned());
            if first != name {
                let message = format!(
                    "{} has {name} where an earlier endpoint has {first}, which KrakenD's router refuses; give both one name",
                    endpoint.endpoint
                );
                walk.real_only("parameter-name-conflict", object.near("endpoint"), message);
                return;
            }
        }
    }
}
