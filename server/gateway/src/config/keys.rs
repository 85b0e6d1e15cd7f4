//! The keys and namespaces of KrakenD's configuration, and which of them the engine implements.

/// The keys of one level of the document.
pub struct Keys {
    /// How messages name the level.
    pub level: &'static str,
    /// Implemented.
    pub supported: &'static [&'static str],
    /// Tuning of a KrakenD process without effect on answers: taken with a warning.
    pub tuning: &'static [&'static str],
    /// They change behaviour and are not implemented.
    pub unsupported: &'static [&'static str],
}

pub const SERVICE: Keys = Keys {
    level: "the service",
    supported: &[
        "version",
        "name",
        "port",
        "listen_ip",
        "host",
        "timeout",
        "cache_ttl",
        "output_encoding",
        "endpoints",
        "extra_config",
        "read_header_timeout",
        "max_shutdown_wait_time",
        "disable_rest",
    ],
    tuning: &[
        "sequential_start",
        "max_idle_connections",
        "max_idle_connections_per_host",
        "idle_connection_timeout",
        "dialer_timeout",
        "dialer_fallback_delay",
        "dialer_keep_alive",
        "dns_cache_ttl",
        "expect_continue_timeout",
        "disable_compression",
        "max_header_bytes",
        "idle_timeout",
    ],
    unsupported: &[
        "async_agent",
        "plugin",
        "debug_endpoint",
        "echo_endpoint",
        "use_h2c",
        "read_timeout",
        "write_timeout",
        "disable_keep_alives",
        "response_header_timeout",
        "allow_insecure_connections",
        "tls",
        "client_tls",
    ],
};

pub const ENDPOINT: Keys = Keys {
    level: "an endpoint",
    supported: &[
        "endpoint",
        "method",
        "backend",
        "timeout",
        "cache_ttl",
        "concurrent_calls",
        "input_headers",
        "input_query_strings",
        "output_encoding",
        "extra_config",
    ],
    tuning: &[],
    unsupported: &[],
};

pub const BACKEND: Keys = Keys {
    level: "a backend",
    supported: &[
        "url_pattern",
        "host",
        "method",
        "disable_host_sanitize",
        "encoding",
        "is_collection",
        "target",
        "allow",
        "deny",
        "mapping",
        "group",
        "sd",
        "input_headers",
        "input_query_strings",
        "extra_config",
    ],
    tuning: &["sd_scheme"],
    unsupported: &[],
};

pub const ROUTER: Keys = Keys {
    level: "the router's options",
    supported: &[
        "health_path",
        "disable_health",
        "hide_version_header",
        "disable_redirect_trailing_slash",
        "disable_handle_method_not_allowed",
    ],
    tuning: &[
        "disable_access_log",
        "logger_skip_paths",
        "disable_redirect_fixed_path",
        "max_multipart_memory",
    ],
    unsupported: &[
        "auto_options",
        "return_error_msg",
        "forwarded_by_client_ip",
        "remote_ip_headers",
        "trusted_proxies",
        "app_engine",
        "remove_extra_slash",
        "disable_path_decoding",
        "use_h2c",
    ],
};

/// Namespaces of the community edition, of all levels.
pub const NAMESPACES: &[&str] = &[
    "router",
    "telemetry/logging",
    "telemetry/metrics",
    "telemetry/opentelemetry",
    "telemetry/influx",
    "telemetry/gelf",
    "telemetry/logstash",
    "telemetry/opencensus",
    "security/cors",
    "security/http",
    "security/bot-detector",
    "auth/validator",
    "auth/signer",
    "auth/revoker",
    "auth/client-credentials",
    "plugin/http-server",
    "plugin/http-client",
    "plugin/req-resp-modifier",
    "modifier/lua-endpoint",
    "modifier/lua-proxy",
    "modifier/lua-backend",
    "modifier/martian",
    "qos/ratelimit/router",
    "qos/ratelimit/proxy",
    "qos/circuit-breaker",
    "qos/http-cache",
    "proxy",
    "validation/cel",
    "validation/json-schema",
    "backend/http",
    "backend/http/client",
    "backend/graphql",
    "backend/lambda",
    "backend/amqp/consumer",
    "backend/amqp/producer",
    "backend/pubsub/publisher",
    "backend/pubsub/subscriber",
    "documentation/openapi",
];

/// The short name of a namespace's older, long name.
pub fn short_namespace(name: &str) -> &str {
    match name {
        "github_com/luraproject/lura/router/gin" | "github_com/devopsfaith/krakend/router/gin" => {
            "router"
        }
        "github_com/devopsfaith/krakend-gologging" => "telemetry/logging",
        "github_com/devopsfaith/krakend-metrics" => "telemetry/metrics",
        "github_com/devopsfaith/krakend-cors" => "security/cors",
        "github.com/devopsfaith/krakend/proxy" => "proxy",
        "github.com/devopsfaith/krakend/http" => "backend/http",
        "github.com/devopsfaith/krakend-httpcache" => "qos/http-cache",
        "github.com/devopsfaith/krakend-circuitbreaker/gobreaker" => "qos/circuit-breaker",
        "github.com/devopsfaith/krakend-jsonschema" => "validation/json-schema",
        other => other,
    }
}

/// The known name nearest to what was written, when it is near enough to be meant.
pub fn did_you_mean<'k>(written: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let written = written.to_lowercase();
    known
        .map(|name| (distance(&written, name), name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 5)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Levenshtein's distance in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    // Longer words than any key cannot be near: bounds the work on hostile keys.
    for (i, x) in a.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_recognised_and_a_stranger_is_not() {
        let keys = || ENDPOINT.supported.iter().copied();
        assert_eq!(did_you_mean("time_out", keys()), Some("timeout"));
        assert_eq!(did_you_mean("Backend", keys()), Some("backend"));
        assert_eq!(did_you_mean("backends", keys()), Some("backend"));
        assert_eq!(did_you_mean("colour", keys()), None);
    }
}
