//! One backend of an endpoint.

use super::endpoint::read_allow_list;
use super::extra;
use super::keys::BACKEND;
use super::model::{Backend, Encoding, Endpoint, OutputEncoding};
use super::paths::{UrlPattern, clean_host, is_sequential, parameters, verbatim_host};
use super::service::Inherited;
use super::walk::{Object, Walk};

/// Reads one backend. What is wrong with it is in the walk.
pub fn read(
    walk: &mut Walk,
    object: &Object<'_>,
    endpoint: &Endpoint,
    inherited: &Inherited,
) -> Backend {
    walk.check_keys(object, &BACKEND);
    extra::check_inner(walk, object, "a backend");
    if let Some(sd) = walk
        .string(object, "sd")
        .filter(|sd| !sd.is_empty() && sd != "static")
    {
        let message = format!(
            "sd {sd:?} is not supported by the embedded gateway; list the addresses in \"host\" and use \"static\""
        );
        walk.unsupported("unsupported-value", object.to("sd"), message);
    }
    let method = walk
        .string(object, "method")
        .filter(|method| !method.is_empty());
    let method = method.map_or_else(|| endpoint.method.clone(), |method| method.to_uppercase());
    if http::Method::from_bytes(method.as_bytes()).is_err() || method == "CONNECT" {
        let message = format!("{method:?} is no method of a backend; use one such as GET or POST");
        walk.strict("bad-method", object.near("method"), message);
    }
    Backend {
        url_pattern: read_url_pattern(walk, object, endpoint),
        hosts: read_own_hosts(walk, object, inherited),
        method,
        encoding: read_encoding(walk, object, endpoint),
        is_collection: walk.boolean(object, "is_collection"),
        target: walk.string(object, "target").unwrap_or_default(),
        allow: walk.strings(object, "allow"),
        deny: walk.strings(object, "deny"),
        mapping: read_mapping(walk, object),
        group: walk.string(object, "group").unwrap_or_default(),
        input_headers: read_allow_list(walk, object, "input_headers"),
        input_query_strings: read_allow_list(walk, object, "input_query_strings"),
    }
}

fn read_url_pattern(walk: &mut Walk, object: &Object<'_>, endpoint: &Endpoint) -> String {
    let written = walk.string(object, "url_pattern").unwrap_or_default();
    let pattern = format!("/{}", written.strip_prefix('/').unwrap_or(&written));
    let compiled = UrlPattern::compile(&pattern);
    let known = parameters(&endpoint.endpoint).unwrap_or_default();
    for name in compiled.parameters() {
        if is_sequential(name) {
            let message = format!(
                "{{{name}}} in url_pattern {pattern} needs a sequential or JWT-validating KrakenD; the embedded gateway has neither"
            );
            walk.unsupported("unsupported-value", object.to("url_pattern"), message);
        } else if !known.iter().any(|param| param == name) {
            let message = format!(
                "url_pattern {pattern} uses {{{name}}}, which the endpoint {} does not define; correct the name or add /{{{name}}} to the endpoint",
                endpoint.endpoint
            );
            walk.error("undefined-parameter", object.to("url_pattern"), message);
        }
    }
    if !compiled.is_valid() {
        let message = format!(
            "url_pattern {pattern} is no path of a URL; encode spaces and special characters as %XX"
        );
        walk.strict("bad-path", object.to("url_pattern"), message);
    }
    pattern
}

fn read_own_hosts(walk: &mut Walk, object: &Object<'_>, inherited: &Inherited) -> Vec<String> {
    let verbatim = walk.boolean(object, "disable_host_sanitize");
    let mut hosts = read_hosts(walk, object, !verbatim);
    if hosts.is_empty()
        && object
            .map
            .get("host")
            .is_none_or(super::walk::is_empty_list)
    {
        hosts.clone_from(&inherited.hosts);
        if hosts.is_empty() {
            let message = "the backend has no host, and the service has none to inherit; add \"host\": [\"http://address:port\"]".to_owned();
            walk.strict("no-host", object.near("host"), message);
        }
    }
    hosts
}

/// Reads a `host` list, of the service or a backend.
pub fn read_hosts(walk: &mut Walk, object: &Object<'_>, sanitize: bool) -> Vec<String> {
    let mut hosts = Vec::new();
    for (index, written) in walk.strings(object, "host").into_iter().enumerate() {
        let pointer = format!("{}/{index}", object.to("host"));
        let host = if sanitize {
            clean_host(&written)
        } else {
            verbatim_host(&written)
        };
        let Some(host) = host else {
            let message = format!(
                "the host {written:?} is no address; write it as \"http://name:port\" without a path"
            );
            if sanitize {
                walk.error("bad-host", pointer, message);
            } else {
                walk.unsupported("bad-host", pointer, message);
            }
            continue;
        };
        if host.starts_with("https://") {
            let message = format!(
                "the host {written:?} needs TLS, which the embedded gateway does not speak to backends; use http://, or run this fleet on KrakenD"
            );
            walk.unsupported("unsupported-value", pointer, message);
        }
        hosts.push(host);
    }
    hosts
}

fn read_encoding(walk: &mut Walk, object: &Object<'_>, endpoint: &Endpoint) -> Encoding {
    let name = walk
        .string(object, "encoding")
        .unwrap_or_default()
        .to_lowercase();
    if endpoint.output_encoding == OutputEncoding::NoOp {
        return Encoding::NoOp;
    }
    match name.as_str() {
        "" | "json" => Encoding::Json,
        "safejson" => Encoding::SafeJson,
        "string" => Encoding::String,
        "no-op" => Encoding::NoOp,
        _ => {
            let message = format!(
                "encoding {name:?} is not supported by the embedded gateway; use json, safejson, string or no-op"
            );
            walk.unsupported("unsupported-value", object.to("encoding"), message);
            Encoding::Other(name)
        }
    }
}

fn read_mapping(walk: &mut Walk, object: &Object<'_>) -> Vec<(String, String)> {
    let Some(mapping) = walk.object(object, "mapping") else {
        return Vec::new();
    };
    let mut renames = Vec::with_capacity(mapping.map.len());
    for from in mapping.map.keys() {
        if let Some(to) = walk.string(&mapping, from) {
            // Only the first part of a dotted new name counts, as with KrakenD.
            let to = to.split('.').next().unwrap_or_default().to_owned();
            renames.push((from.clone(), to));
        }
    }
    renames
}
