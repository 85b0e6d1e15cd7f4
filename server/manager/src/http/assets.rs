//! The dashboard, embedded when it was built.

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use rust_embed::RustEmbed;

use super::{SECURITY_POLICY, problem::Failure};
use crate::app::App;

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/../../web/dist"]
#[allow_missing = true]
struct Dashboard;

const NOT_BUILT: &str = "The dashboard was not built into this program: run `cargo xtask web`, then build it again. The API is under /v1.\n";

pub async fn serve(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Response {
    let mut response = file(&uri, &headers);
    if !uri.path().contains('.')
        && let Some(policy) = policy(&app)
    {
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// The page may ask the group's other managers whether they are there, and follows to one when its own is gone.
fn policy(app: &App) -> Option<HeaderValue> {
    let scheme = match app.settings.https.is_on() {
        true => "https",
        false => "http",
    };
    let members = app.group.status().members.into_iter();
    let sources: String = members
        .map(|member| member.node.http_address)
        .filter(|address| is_source(address))
        .map(|address| format!(" {scheme}://{address}"))
        .collect();
    let own = "connect-src 'self'";
    let policy = SECURITY_POLICY.replace(own, &format!("{own}{sources}"));
    HeaderValue::from_str(&policy).ok()
}

/// `host:port` with nothing in it that means something in a policy.
fn is_source(address: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
    !address.is_empty() && address.chars().all(plain)
}

fn file(uri: &Uri, headers: &HeaderMap) -> Response {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_cannot_add_to_the_policy() {
        assert!(is_source("manager-1.example.org:9897"));
        assert!(is_source("[fd00::1]:9897"));
        for address in [
            "",
            "a:1; script-src *",
            "a:1 *",
            "'unsafe-inline'",
            "a:1,b:2",
        ] {
            assert!(!is_source(address), "{address:?}");
        }
    }

    #[test]
    fn the_policy_has_the_place_where_managers_go() {
        assert!(SECURITY_POLICY.contains("connect-src 'self';"));
    }
}
