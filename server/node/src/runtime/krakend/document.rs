//! What the node changes in a configuration before KrakenD reads it.

use std::collections::HashMap;
use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::client_ip::ClientIpRules;
use crate::runtime::Refusal;

/// How often KrakenD starts its latency histograms anew. Its counters are
/// live whatever this says.
const COLLECTION_TIME: &str = "10s";
const IDLE_TIMEOUT: &str = "180s";
/// Parts of KrakenD that may refuse the node's own health check, or answer it
/// otherwise (an allow-list of hosts does).
const FILTERS: [&str; 8] = [
    "security/http",
    "github_com/devopsfaith/krakend-httpsecure",
    "security/bot-detector",
    "github_com/devopsfaith/krakend-botdetector",
    "modifier/lua-endpoint",
    "github.com/devopsfaith/krakend-lua/router",
    "plugin/http-server",
    "github_com/devopsfaith/krakend/transport/http/server/handler",
];
const METRICS: [&str; 2] = [
    "telemetry/metrics",
    "github_com/devopsfaith/krakend-metrics",
];
const ROUTER: [&str; 2] = ["router", "github_com/luraproject/lura/router/gin"];

/// Stands for a backend's host where KrakenD's counters do not tell which.
const SEVERAL_HOSTS: &str = "(several)";

/// A backend as its author wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BackendName {
    pub(crate) url_pattern: String,
    pub(crate) host: String,
}

/// A configuration as the node needs to know it.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    root: Map<String, Value>,
}

impl Document {
    /// Takes a configuration that KrakenD's own check accepted.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let refuse = |text: String| Refusal { text };
        let root = match serde_json::from_slice(bytes) {
            Ok(Value::Object(root)) => root,
            Ok(_) => return Err(refuse("the configuration is not a JSON object".into())),
            Err(e) => return Err(refuse(format!("the configuration is not JSON: {e}"))),
        };
        let tls = root.get("tls").filter(|t| !t.is_null());
        let disabled = tls.and_then(|t| t.get("disabled")).and_then(Value::as_bool);
        if tls.is_some() && disabled != Some(true) {
            return Err(refuse(
                "tls: the node's front door speaks plain HTTP; end TLS in front of the node, or set tls.disabled".into(),
            ));
        }
        if root.get("use_h2c").and_then(Value::as_bool) == Some(true) {
            tracing::warn!(target: "gateway", "use_h2c: the node's front door speaks HTTP/1.1 only");
        }
        Ok(Self { root })
    }

    /// The bytes KrakenD runs from: it listens on loopback behind the front
    /// door, shows its counters on `stats_port`, and takes the client's
    /// address from the front door alone.
    pub(crate) fn render(&self, stats_port: u16) -> Vec<u8> {
        let mut root = self.root.clone();
        root.insert("listen_ip".into(), json!("127.0.0.1"));
        // Longer than the front door keeps its connections: else KrakenD could
        // close one just as a request goes out on it.
        root.insert("idle_timeout".into(), json!(IDLE_TIMEOUT));
        let extra = object_at(&mut root, "extra_config");

        let mut metrics = take_first(extra, &METRICS);
        metrics.insert(
            "listen_address".into(),
            json!(format!("127.0.0.1:{stats_port}")),
        );
        metrics.insert("collection_time".into(), json!(COLLECTION_TIME));
        metrics.insert("endpoint_disabled".into(), json!(false));
        metrics.insert("backend_disabled".into(), json!(false));
        extra.insert(METRICS[0].into(), Value::Object(metrics));

        let mut router = take_first(extra, &ROUTER);
        router.insert("forwarded_by_client_ip".into(), json!(true));
        router.insert("remote_ip_headers".into(), json!(["X-Forwarded-For"]));
        router.insert("trusted_proxies".into(), json!(["127.0.0.1"]));
        extra.insert(ROUTER[0].into(), Value::Object(router));

        let mut bytes = serde_json::to_vec_pretty(&root).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Where KrakenD answers its health check; `None` when that is disabled.
    pub(crate) fn health_path(&self) -> Option<String> {
        let router = self.router();
        let disabled = router.and_then(|r| r.get("disable_health"));
        if disabled.and_then(Value::as_bool) == Some(true) {
            return None;
        }
        let path = router
            .and_then(|r| r.get("health_path"))
            .and_then(Value::as_str);
        Some(
            path.filter(|p| !p.is_empty())
                .unwrap_or("/__health")
                .to_owned(),
        )
    }

    /// Whether the health check must answer 200. Otherwise any answer shows
    /// that KrakenD serves.
    pub(crate) fn expects_health_200(&self) -> bool {
        let extra = self.root.get("extra_config");
        let filtered =
            extra.is_some_and(|extra| FILTERS.iter().any(|name| extra.get(name).is_some()));
        !filtered && self.health_path().is_some()
    }

    /// How this configuration wants the client's address found.
    pub(crate) fn client_ip_rules(&self) -> ClientIpRules {
        ClientIpRules::from_router(self.router())
    }

    /// The statistics name of each backend, with pattern and host as they
    /// were written. KrakenD counts equal patterns of different hosts as one.
    pub(crate) fn backend_names(&self) -> HashMap<String, BackendName> {
        let mut names: HashMap<String, BackendName> = HashMap::new();
        let lists = ["endpoints", "async_agent"].map(|key| self.root.get(key));
        let parents = lists
            .into_iter()
            .flatten()
            .filter_map(Value::as_array)
            .flatten();
        for backend in parents
            .filter_map(|e| e.get("backend")?.as_array())
            .flatten()
        {
            let Some(pattern) = backend.get("url_pattern").and_then(Value::as_str) else {
                continue;
            };
            let host = self.host_of(backend);
            let entry = names
                .entry(statistics_name(pattern))
                .or_insert_with(|| BackendName {
                    url_pattern: pattern.to_owned(),
                    host: host.clone(),
                });
            if entry.host != host {
                entry.host = SEVERAL_HOSTS.to_owned();
            }
        }
        names
    }

    fn host_of(&self, backend: &Value) -> String {
        let own = backend
            .get("host")
            .and_then(Value::as_array)
            .filter(|h| !h.is_empty());
        let hosts = own.or_else(|| self.root.get("host").and_then(Value::as_array));
        match hosts.map(Vec::as_slice) {
            Some([Value::String(one)]) if one.contains("://") => {
                one.trim_end_matches('/').to_owned()
            }
            Some([Value::String(one)]) => format!("http://{}", one.trim_end_matches('/')),
            Some([_, _, ..]) => SEVERAL_HOSTS.to_owned(),
            _ => String::new(),
        }
    }

    fn router(&self) -> Option<&Map<String, Value>> {
        let extra = self.root.get("extra_config")?;
        ROUTER.iter().find_map(|key| extra.get(key)?.as_object())
    }
}

/// KrakenD counts a backend under its compiled template: `/p/{id}` is
/// `/p/{{.Id}}` there, with a leading slash in any case.
fn statistics_name(pattern: &str) -> String {
    let mut name = String::with_capacity(pattern.len() + 8);
    if !pattern.starts_with('/') {
        name.push('/');
    }
    let mut rest = pattern;
    while let Some(open) = rest.find('{') {
        let Some(close) = rest[open..].find('}').map(|c| c + open) else {
            break;
        };
        name.push_str(&rest[..open]);
        let mut letters = rest[open + 1..close].chars();
        name.push_str("{{.");
        name.extend(letters.next().into_iter().flat_map(char::to_uppercase));
        name.push_str(letters.as_str());
        name.push_str("}}");
        rest = &rest[close + 1..];
    }
    name.push_str(rest);
    name
}

fn object_at<'a>(root: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let slot = root.entry(key).or_insert_with(|| json!({}));
    if !slot.is_object() {
        *slot = json!({});
    }
    match slot {
        Value::Object(map) => map,
        _ => unreachable!("made an object just above"),
    }
}

/// Removes a namespace under all its names and returns what it held.
fn take_first(extra: &mut Map<String, Value>, names: &[&str]) -> Map<String, Value> {
    let mut found = Map::new();
    for name in names {
        if let Some(Value::Object(map)) = extra.shift_remove(*name) {
            found = map;
        }
    }
    found
}

/// Parses what a configuration calls a network: `10.0.0.0/8` or one address.
pub(crate) fn parse_network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address.parse().ok()?, bits.parse().ok()?),
        None => {
            let address: IpAddr = text.parse().ok()?;
            (address, if address.is_ipv4() { 32 } else { 128 })
        }
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    (bits <= most).then_some((address, bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rendering_moves_the_listeners_and_keeps_the_rest() {
        let source = br#"{"version":3,"name":"n","extra_config":{
            "telemetry/metrics":{"listen_address":":8090","proxy_disabled":true},
            "router":{"health_path":"/up"}}}"#;
        let document = Document::parse(source).expect("an object");
        assert_eq!(document.health_path().as_deref(), Some("/up"));
        let rendered: Value = serde_json::from_slice(&document.render(4242)).expect("JSON");
        let metrics = &rendered["extra_config"]["telemetry/metrics"];
        assert_eq!(metrics["listen_address"], "127.0.0.1:4242");
        assert_eq!(metrics["proxy_disabled"], true);
        assert_eq!(rendered["name"], "n");
        assert!(document.expects_health_200());
        assert_eq!(rendered["extra_config"]["router"]["health_path"], "/up");
    }

    #[test]
    fn a_configuration_with_tls_is_refused_by_name() {
        let refusal = Document::parse(br#"{"tls":{"public_key":"a"}}"#).expect_err("refused");
        assert!(refusal.text.starts_with("tls:"));
        assert!(Document::parse(br#"{"tls":{"disabled":true}}"#).is_ok());
    }

    #[test]
    fn backend_names_lead_back_to_pattern_and_host_as_written() {
        let source = br#"{"host":["h:1"],"endpoints":[{"backend":[
            {"url_pattern":"/a/{id}/b.{ext}"},
            {"url_pattern":"c","host":["http://x/"]},{"url_pattern":"/c","host":["http://y"]}]}]}"#;
        let names = Document::parse(source).expect("an object").backend_names();
        let name = |key: &str| (names[key].url_pattern.as_str(), names[key].host.as_str());
        assert_eq!(
            name("/a/{{.Id}}/b.{{.Ext}}"),
            ("/a/{id}/b.{ext}", "http://h:1")
        );
        assert_eq!(name("/c"), ("c", "(several)"));
    }
}
