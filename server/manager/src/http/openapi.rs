//! The API's description.

use axum::{http::header, response::IntoResponse};

/// OpenAPI 3.1 document, kept beside this file.
pub const DOCUMENT: &str = include_str!("openapi.json");

pub async fn document() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_described() {
        let document: serde_json::Value = serde_json::from_str(DOCUMENT).expect("JSON");
        let routes = include_str!("mod.rs");
        let mut found = 0;
        for part in routes.split(".route(").skip(1) {
            let path = part.split('"').nth(1).expect("a path");
            assert!(
                document["paths"][path].is_object(),
                "{path} is not in openapi.json"
            );
            found += 1;
        }
        assert!(found > 15, "only {found} routes were found");
    }

    /// Method and handler (`module::function`) of every route.
    fn handlers() -> Vec<(String, &'static str, String)> {
        let routes = include_str!("mod.rs");
        let mut found = Vec::new();
        for part in routes.split(".route(").skip(1) {
            let path = part.split('"').nth(1).expect("a path");
            let end = part.find(".fallback(").unwrap_or(part.len());
            for method in ["get", "post", "put", "delete"] {
                for handler in part[..end].split(&format!("{method}(")).skip(1) {
                    let handler: String = handler
                        .trim_start()
                        .chars()
                        .take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':')
                        .collect();
                    if handler.contains("::") && !handler.contains("Default") {
                        found.push((path.to_owned(), method, handler));
                    }
                }
            }
        }
        found
    }

    fn source(file: &str) -> String {
        let path = format!("{}/src/{file}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// These change nothing in the group: a browser's login, and questions with a body.
    const NO_WRITES: [&str; 5] = [
        "cookie::begin",
        "cookie::end",
        "configuration::check",
        "difference::against",
        "licensing::check",
    ];

    #[test]
    fn every_writing_route_goes_through_what_audits() {
        let mut writes = 0;
        for (path, method, handler) in handlers() {
            if method == "get" || NO_WRITES.contains(&handler.as_str()) {
                continue;
            }
            let (module, function) = handler.split_once("::").expect("a handler");
            let text = source(&format!("http/{module}.rs"));
            let start = text
                .find(&format!("pub async fn {function}("))
                .unwrap_or_else(|| panic!("{handler} is not in http/{module}.rs"));
            let body = text[start..].split("\n}\n").next().unwrap_or_default();
            // `write::submit` wraps every command; `record` and `set` stand beside their handlers and do the same.
            let audits = [
                "write::propose(",
                "write::submit(",
                "write::note(",
                "submit(&app",
                "record(&app",
                "set(&app",
                "set_draining(state",
                "tell(&app",
                "note_level(&app",
            ];
            assert!(
                audits.iter().any(|call| body.contains(call)),
                "{method} {path} ({handler}) does not go through `http/write.rs`, which audits"
            );
            writes += 1;
        }
        assert!(writes >= 15, "only {writes} writing routes were found");
    }

    #[test]
    fn every_method_of_a_route_is_described_with_an_answer_and_the_problem() {
        let document: serde_json::Value = serde_json::from_str(DOCUMENT).expect("JSON");
        for (path, method, handler) in handlers() {
            let operation = &document["paths"][&path][method];
            assert!(operation.is_object(), "{method} {path} ({handler})");
            let told = &operation["responses"];
            assert!(told.is_object(), "{method} {path} has no answers");
            assert!(operation["operationId"].is_string(), "{method} {path}");
        }
    }

    /// Fields of the public structs of `server/api`, by the name that travels.
    fn fields(text: &str) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        let mut of = None;
        let (mut renamed, mut flat) = (None, false);
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("pub struct ") {
                of = rest.strip_suffix(" {").map(str::to_owned);
            } else if line == "}" {
                of = None;
            }
            let line = line.trim();
            if line.starts_with("#[") {
                flat |= line.contains("flatten");
                let name = line.split("rename = \"").nth(1);
                renamed = name.and_then(|it| it.split('"').next()).or(renamed);
            }
            let name = line.strip_prefix("pub ").and_then(|it| it.split_once(": "));
            if let (Some(of), Some((name, _))) = (&of, name) {
                if !flat {
                    fields.push((of.clone(), renamed.unwrap_or(name).to_owned()));
                }
                (renamed, flat) = (None, false);
            }
        }
        fields
    }

    #[test]
    fn every_field_of_every_type_is_described() {
        let document: serde_json::Value = serde_json::from_str(DOCUMENT).expect("JSON");
        let folder = format!("{}/../api/src", env!("CARGO_MANIFEST_DIR"));
        let mut described = 0;
        for file in std::fs::read_dir(&folder).expect("server/api/src") {
            let text = std::fs::read_to_string(file.expect("a file").path()).expect("text");
            for (of, name) in fields(&text) {
                let schema = &document["components"]["schemas"][&of];
                assert!(
                    schema["properties"][&name].is_object(),
                    "{of}.{name} is not in openapi.json"
                );
                described += 1;
            }
        }
        assert!(described > 200, "only {described} fields were found");
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn walk(value: &serde_json::Value, document: &serde_json::Value) {
            match value {
                serde_json::Value::Object(map) => {
                    if let Some(to) = map.get("$ref").and_then(serde_json::Value::as_str) {
                        let to = to.strip_prefix('#').expect("within the document");
                        assert!(document.pointer(to).is_some(), "{to} is nowhere");
                    }
                    map.values().for_each(|value| walk(value, document));
                }
                serde_json::Value::Array(items) => {
                    items.iter().for_each(|value| walk(value, document));
                }
                _ => {}
            }
        }
        let document: serde_json::Value = serde_json::from_str(DOCUMENT).expect("JSON");
        walk(&document, &document);
    }

    #[test]
    fn every_problem_type_is_listed() {
        let document: serde_json::Value = serde_json::from_str(DOCUMENT).expect("JSON");
        let listed = document["components"]["schemas"]["ProblemType"]["description"]
            .as_str()
            .expect("a list")
            .to_owned();
        let folder = format!("{}/src/http", env!("CARGO_MANIFEST_DIR"));
        let mut found = 0;
        for file in std::fs::read_dir(&folder).expect("src/http") {
            let path = file.expect("a file").path();
            let text = match path.extension().is_some_and(|it| it == "rs") {
                true => std::fs::read_to_string(&path).expect("text"),
                false => continue,
            };
            let text = text.split("#[cfg(test)]").next().unwrap_or_default();
            for start in ["bad_request(", "StatusCode::", "too_many("] {
                for part in text.split(start).skip(1) {
                    // The type is the first text, right after the status.
                    let mut words = part.splitn(3, '"');
                    let before = words.next().unwrap_or_default();
                    let kind = words.next().unwrap_or_default();
                    let is_kind = !kind.is_empty()
                        && kind.chars().all(|c| c.is_ascii_lowercase() || c == '-')
                        && before.chars().all(|c| {
                            c.is_ascii_uppercase() || c == '_' || c == ',' || c.is_whitespace()
                        });
                    if is_kind {
                        assert!(
                            listed.contains(&format!("`{kind}`")),
                            "{kind} of {} is not in openapi.json",
                            path.display()
                        );
                        found += 1;
                    }
                }
            }
        }
        assert!(found > 40, "only {found} were found");
    }
}
