//! The dashboard, embedded when it was built.

use axum::{
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use rust_embed::RustEmbed;

use super::problem::Failure;

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/../../web/dist"]
#[allow_missing = true]
struct Dashboard;

const NOT_BUILT: &str = "The dashboard was not built into this program: run `cargo xtask web`, then build it again. The API is under /v1.\n";

pub async fn serve(uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    if path.starts_with("v1/") {
        return Failure::not_found("there is no such path: /v1/openapi.json lists them")
            .into_response();
    }
    let asset = path.contains('.');
    let name = if asset { path } else { "index.html" };
    let gzip = headers
        .get(header::ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("gzip"));
    if gzip && let Some(file) = Dashboard::get(&format!("{name}.gz")) {
        let mut response = file_response(name, file.data.into_owned());
        let encoding = header::HeaderValue::from_static("gzip");
        response
            .headers_mut()
            .insert(header::CONTENT_ENCODING, encoding);
        return response;
    }
    match Dashboard::get(name) {
        Some(file) => file_response(name, file.data.into_owned()),
        None if asset => Failure::not_found("there is no such file").into_response(),
        None => (StatusCode::OK, NOT_BUILT).into_response(),
    }
}

fn file_response(name: &str, data: Vec<u8>) -> Response {
    let kind = match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("woff2") => "font/woff2",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    };
    // Everything but the page itself has its content's hash in its name.
    let cache = match name {
        "index.html" => "no-cache",
        _ => "public, max-age=31536000, immutable",
    };
    (
        [
            (header::CONTENT_TYPE, kind),
            (header::CACHE_CONTROL, cache),
            (header::VARY, "Accept-Encoding"),
        ],
        data,
    )
        .into_response()
}
