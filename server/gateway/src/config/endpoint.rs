//! One endpoint of the document.

use super::keys::ENDPOINT;
use super::model::{AllowList, Encoding, Endpoint, OutputEncoding};
use super::paths::parameters;
use super::service::Inherited;
use super::walk::{Object, Walk};
use super::{backend, extra};

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];
const RESERVED: [&str; 3] = ["__debug", "__echo", "__health"];

/// Reads one endpoint. `None` when its path is reserved; the walk then holds the error.
pub fn read(walk: &mut Walk, object: &Object<'_>, inherited: &Inherited) -> Option<Endpoint> {
    walk.check_keys(object, &ENDPOINT);
    extra::check_inner(walk, object, "an endpoint");
    let path = read_path(walk, object)?;
    let method = read_method(walk, object);
    if let Some(calls) = walk
        .integer(object, "concurrent_calls")
        .filter(|calls| *calls > 1)
    {
        let message = format!(
            "concurrent_calls {calls} is not supported by the embedded gateway; set it to 1 or remove it"
        );
        walk.unsupported("unsupported-value", object.to("concurrent_calls"), message);
    }
    let timeout = walk
        .duration(object, "timeout")
        .unwrap_or(inherited.timeout);
    let output_encoding = read_output_encoding(walk, object, inherited);
    let mut endpoint = Endpoint {
        method,
        timeout,
        cache_ttl: walk
            .duration(object, "cache_ttl")
            .unwrap_or(inherited.cache_ttl),
        output_encoding,
        input_headers: read_allow_list(walk, object, "input_headers"),
        input_query_strings: read_allow_list(walk, object, "input_query_strings"),
        backends: Vec::new(),
        endpoint: path,
    };
    read_backends(walk, object, inherited, &mut endpoint);
    Some(endpoint)
}

fn read_path(walk: &mut Walk, object: &Object<'_>) -> Option<String> {
    let path = walk.string(object, "endpoint").unwrap_or_default();
    let pointer = object.near("endpoint");
    if path.is_empty()
        && object
            .map
            .get("endpoint")
            .is_none_or(|value| value.is_string())
    {
        let message = "the endpoint has no path; add \"endpoint\": \"/some/path\"".to_owned();
        walk.strict("missing-path", pointer.clone(), message);
    }
    let path = format!("/{}", path.strip_prefix('/').unwrap_or(&path));
    if let Some(reserved) = path.split('/').find(|segment| RESERVED.contains(segment)) {
        let message = format!(
            "{path} is reserved: KrakenD keeps /{reserved} for itself; choose another path"
        );
        walk.error("reserved-path", pointer, message);
        return None;
    }
    if let Err(why) = parameters(&path) {
        walk.unsupported("bad-path", pointer, format!("the path {path} {why}"));
    }
    Some(path)
}

fn read_method(walk: &mut Walk, object: &Object<'_>) -> String {
    let written = walk
        .string(object, "method")
        .filter(|method| !method.is_empty());
    let method = written.unwrap_or_else(|| "GET".to_owned()).to_uppercase();
    if !METHODS.contains(&method.as_str()) {
        let message = format!(
            "{method:?} is no method of an endpoint; use one of {}",
            METHODS.join(", ")
        );
        walk.strict("bad-method", object.to("method"), message);
    }
    method
}

fn read_output_encoding(
    walk: &mut Walk,
    object: &Object<'_>,
    inherited: &Inherited,
) -> OutputEncoding {
    let own = walk
        .string(object, "output_encoding")
        .filter(|name| !name.is_empty());
    let name = own
        .or_else(|| inherited.output_encoding.clone())
        .unwrap_or_else(|| "json".to_owned());
    match name.as_str() {
        "json" => OutputEncoding::Json,
        "json-collection" => OutputEncoding::JsonCollection,
        "string" => OutputEncoding::String,
        "no-op" => OutputEncoding::NoOp,
        _ => {
            let message = format!(
                "output_encoding {name:?} is not supported by the embedded gateway; use json, json-collection, string or no-op"
            );
            walk.unsupported("unsupported-value", object.near("output_encoding"), message);
            OutputEncoding::Other(name)
        }
    }
}

fn read_backends(
    walk: &mut Walk,
    object: &Object<'_>,
    inherited: &Inherited,
    endpoint: &mut Endpoint,
) {
    let items = walk
        .array(object, "backend")
        .map(Vec::as_slice)
        .unwrap_or_default();
    if items.is_empty() {
        if object
            .map
            .get("backend")
            .is_none_or(|value| value.is_array() || value.is_null())
        {
            let message = format!(
                "{} {} has no backend; give it at least one",
                endpoint.method, endpoint.endpoint
            );
            walk.error("no-backend", object.near("backend"), message);
        }
        return;
    }
    if endpoint.output_encoding == OutputEncoding::NoOp && items.len() > 1 {
        let message = format!(
            "{} {} is no-op and has {} backends; no-op passes one answer through, so keep one backend or use json",
            endpoint.method,
            endpoint.endpoint,
            items.len()
        );
        walk.error("no-op-with-several-backends", object.to("backend"), message);
    }
    for (index, item) in items.iter().enumerate() {
        let Some(inner) = walk.as_object(item, format!("{}/{index}", object.to("backend"))) else {
            continue;
        };
        let backend = backend::read(walk, &inner, endpoint, inherited);
        if backend.encoding == Encoding::NoOp && endpoint.output_encoding != OutputEncoding::NoOp {
            let message = "a no-op backend in an endpoint that is not no-op would always answer {}; \
                           set the endpoint's output_encoding to no-op, or the backend's encoding to json"
                .to_owned();
            walk.strict("no-op-mismatch", inner.near("encoding"), message);
        }
        endpoint.backends.push(backend);
    }
}

/// Reads an allow-list, in which `*` means all.
pub fn read_allow_list(walk: &mut Walk, object: &Object<'_>, key: &str) -> AllowList {
    let names = walk.strings(object, key);
    if names.is_empty() {
        AllowList::Unset
    } else if names.iter().any(|name| name == "*") {
        AllowList::All
    } else {
        AllowList::Only(names)
    }
}
