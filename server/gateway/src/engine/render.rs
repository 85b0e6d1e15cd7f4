//! Answers that the gateway writes itself.

use std::io;

use http::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use http::{Response, StatusCode};
use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter, Serializer};

use super::body::Body;
use super::manipulate::Data;
use crate::config::OutputEncoding;

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const BARE_TEXT: HeaderValue = HeaderValue::from_static("text/plain");

/// Merged data in the endpoint's output encoding, with status 200; `None` is written as `null`.
pub fn data(encoding: &OutputEncoding, mut data: Option<Data>) -> Response<Body> {
    let mut take = |key: &str| data.as_mut().and_then(|data| data.remove(key));
    match encoding {
        OutputEncoding::String => {
            let content = match take("content") {
                Some(Value::String(text)) => text,
                _ => String::new(),
            };
            with_type(StatusCode::OK, TEXT, content)
        }
        OutputEncoding::JsonCollection => json(
            StatusCode::OK,
            take("collection").unwrap_or_else(|| Value::Array(Vec::new())),
        ),
        OutputEncoding::Json | OutputEncoding::NoOp | OutputEncoding::Other(_) => {
            json(StatusCode::OK, data.map_or(Value::Null, Value::Object))
        }
    }
}

/// A redirect to a path, with the short page that Go's server writes for it.
pub fn redirect(status: StatusCode, location: HeaderValue, with_page: bool) -> Response<Body> {
    let mut response = match (with_page, location.to_str()) {
        (true, Ok(target)) => {
            let target = target.replace('&', "&amp;").replace('"', "&#34;");
            let target = target.replace('<', "&lt;").replace('>', "&gt;");
            let reason = status.canonical_reason().unwrap_or_default();
            with_type(
                status,
                HTML,
                format!("<a href=\"{target}\">{reason}</a>.\n\n"),
            )
        }
        _ => empty(status),
    };
    response.headers_mut().insert(LOCATION, location);
    response
}

/// A JSON answer, written as Go writes it: keys sorted, `<`, `>` and `&` escaped.
pub fn json(status: StatusCode, mut value: Value) -> Response<Body> {
    value.sort_all_objects();
    let mut bytes = Vec::with_capacity(256);
    let mut serializer = Serializer::with_formatter(&mut bytes, GoFormatter);
    // A Value always serializes, and a Vec takes every write.
    if value.serialize(&mut serializer).is_err() {
        return empty(StatusCode::INTERNAL_SERVER_ERROR);
    }
    with_type(status, JSON, bytes)
}

/// The router's own short texts.
pub fn text(status: StatusCode, message: &'static str) -> Response<Body> {
    with_type(status, BARE_TEXT, message)
}

/// A refusal of the request as such, which KrakenD's own headers do not adorn.
pub fn bad_request(message: &'static str) -> Response<Body> {
    with_type(StatusCode::BAD_REQUEST, TEXT, message)
}

/// A status and nothing else.
pub fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::full(""));
    *response.status_mut() = status;
    response
}

fn with_type(
    status: StatusCode,
    content_type: HeaderValue,
    body: impl Into<bytes::Bytes>,
) -> Response<Body> {
    let mut response = Response::new(Body::full(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// Escapes what Go's encoder escapes beyond JSON's own needs.
struct GoFormatter;

impl Formatter for GoFormatter {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            writer.write_all(&rest.as_bytes()[..at])?;
            let mut chars = rest[at..].chars();
            if let Some(c) = chars.next() {
                write!(writer, "\\u{:04x}", u32::from(c))?;
            }
            rest = chars.as_str();
        }
        writer.write_all(rest.as_bytes())
    }

    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        CompactFormatter.write_char_escape(writer, escape)
    }
}
