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
}
