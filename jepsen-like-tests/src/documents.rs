//! The KrakenD configurations that the scenario publishes, and what each of their endpoints must answer.

use serde_json::{Value, json};

/// The endpoints, all of method GET. Their order is their number in the ledger.
pub const ENDPOINTS: [Endpoint; 5] = [
    Endpoint {
        pattern: "/users/{id}",
        backends: &["/users/{id}"],
    },
    Endpoint {
        pattern: "/home/{id}",
        backends: &["/users/{id}", "/orders/{id}"],
    },
    Endpoint {
        pattern: "/documents/{name}",
        backends: &["/documents/{name}"],
    },
    Endpoint {
        pattern: "/version",
        backends: &["/versions"],
    },
    Endpoint {
        pattern: "/slow",
        backends: &["/slow"],
    },
];
/// Those that the steady traffic goes to.
pub const STEADY: std::ops::Range<usize> = 0..4;
/// Says which version a node serves.
pub const VERSION: usize = 3;
/// Takes a second.
pub const SLOW: usize = 4;

/// One endpoint of the configuration.
#[derive(Debug)]
pub struct Endpoint {
    pub pattern: &'static str,
    /// URL patterns of its backends; the query is not part of them.
    pub backends: &'static [&'static str],
}

impl Endpoint {
    /// A path that the endpoint serves.
    pub fn path(&self, id: u64) -> String {
        self.pattern
            .replace("{id}", &id.to_string())
            .replace("{name}", &format!("document-{id}"))
    }

    /// Whether `body` is what the sample backend and the gateway make of [`Endpoint::path`].
    pub fn is_answer(&self, id: u64, body: &Value) -> bool {
        match self.pattern {
            "/users/{id}" => body["user_id"] == id && body.get("order_id").is_none(),
            "/home/{id}" => body["user_id"] == id && body["order_id"] == id,
            "/documents/{name}" => body["name"] == format!("document-{id}"),
            "/version" => body["version"].is_u64(),
            _ => body["slow"] == true,
        }
    }
}

/// Version `number` of the configuration, with `backend` (`http://host:port`) behind all endpoints.
pub fn version(number: u64, backend: &str) -> Value {
    let endpoints: Vec<Value> = ENDPOINTS
        .iter()
        .map(|endpoint| one(endpoint, number))
        .collect();
    json!({
        "version": 3,
        "name": format!("Sample, version {number}"),
        "timeout": "5s",
        "host": [backend],
        "endpoints": endpoints,
    })
}

fn one(endpoint: &Endpoint, number: u64) -> Value {
    let plain = endpoint.pattern.starts_with("/documents");
    let mut backends = Vec::new();
    for pattern in endpoint.backends {
        // The one thing that tells the versions apart: the answer comes from another document of the backend.
        let suffix = if endpoint.pattern == "/version" {
            format!("/{number}")
        } else {
            String::new()
        };
        let mut backend = json!({"url_pattern": format!("{pattern}{suffix}")});
        if plain {
            backend["encoding"] = "no-op".into();
        }
        backends.push(backend);
    }
    let mut document = json!({"endpoint": endpoint.pattern, "method": "GET", "backend": backends});
    if plain {
        document["output_encoding"] = "no-op".into();
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_differ_only_where_they_say_their_number() {
        let (one, two) = (
            version(1, "http://h:1").to_string(),
            version(2, "http://h:1").to_string(),
        );
        assert_eq!(
            one.replace("version 1", "version 2")
                .replace("/versions/1", "/versions/2"),
            two
        );
    }
}
