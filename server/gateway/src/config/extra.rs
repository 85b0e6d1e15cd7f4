//! `extra_config` at its three levels.

use super::keys::{NAMESPACES, ROUTER, did_you_mean, short_namespace};
use super::walk::{Object, Walk};

/// The router's options that the engine implements.
pub struct RouterOptions {
    pub health_path: Option<String>,
    pub hide_version_header: bool,
    pub redirect_trailing_slash: bool,
    pub method_not_allowed: bool,
}

impl Default for RouterOptions {
    fn default() -> Self {
        RouterOptions {
            health_path: Some("/__health".to_owned()),
            hide_version_header: false,
            redirect_trailing_slash: true,
            method_not_allowed: true,
        }
    }
}

/// Reads the service's `extra_config`.
pub fn read_service(walk: &mut Walk, root: &Object<'_>) -> RouterOptions {
    let mut options = RouterOptions::default();
    let Some(extra) = walk.object(root, "extra_config") else {
        return options;
    };
    for name in extra.map.keys() {
        match short_namespace(name) {
            "router" => {
                if let Some(router) = walk.object(&extra, name) {
                    options = read_router(walk, &router);
                }
            }
            short @ ("telemetry/logging" | "telemetry/metrics") => {
                let message = format!(
                    "{short:?} has no effect on the embedded gateway: the node logs and counts itself"
                );
                walk.warn("supplied-by-node", extra.to(name), message);
            }
            _ => refuse_namespace(walk, &extra, name, "the service"),
        }
    }
    options
}

/// Judges the `extra_config` of an endpoint or a backend, of which the engine implements none.
pub fn check_inner(walk: &mut Walk, object: &Object<'_>, level: &str) {
    let Some(extra) = walk.object(object, "extra_config") else {
        return;
    };
    for name in extra.map.keys() {
        refuse_namespace(walk, &extra, name, level);
    }
}

fn refuse_namespace(walk: &mut Walk, extra: &Object<'_>, name: &str, level: &str) {
    if name.starts_with(['@', '$', '_', '#']) {
        return;
    }
    let pointer = extra.to(name);
    if NAMESPACES.contains(&short_namespace(name)) {
        let message = format!(
            "the namespace {name:?} of {level} is not supported by the embedded gateway; remove it, or run this fleet on KrakenD"
        );
        walk.unsupported("unsupported-namespace", pointer, message);
    } else {
        let advice = match did_you_mean(name, NAMESPACES.iter().copied()) {
            Some(near) => format!("did you mean {near:?}?"),
            None => "remove it, or run this fleet on a KrakenD that knows it".to_owned(),
        };
        let message = format!("the namespace {name:?} of {level} is unknown; {advice}");
        walk.unsupported("unknown-namespace", pointer, message);
    }
}

fn read_router(walk: &mut Walk, router: &Object<'_>) -> RouterOptions {
    walk.check_keys(router, &ROUTER);
    let path = walk
        .string(router, "health_path")
        .filter(|path| !path.is_empty());
    if path
        .as_deref()
        .is_some_and(|path| !path.starts_with('/') || path.contains(['{', '}', '*', ':']))
    {
        let message = "health_path must begin with \"/\" and hold no parameters; write one such as \"/health\"".to_owned();
        walk.error("bad-path", router.to("health_path"), message);
    }
    let health_path = (!walk.boolean(router, "disable_health"))
        .then(|| path.unwrap_or_else(|| "/__health".to_owned()));
    RouterOptions {
        health_path,
        hide_version_header: walk.boolean(router, "hide_version_header"),
        redirect_trailing_slash: !walk.boolean(router, "disable_redirect_trailing_slash"),
        method_not_allowed: !walk.boolean(router, "disable_handle_method_not_allowed"),
    }
}
