//! Documents of versions: packed, unpacked, digested, and without their secrets.

use std::cell::RefCell;

use axum::http::StatusCode;
use krakend_domain::{Digest, VersionRecord};
use sha2::Digest as _;

use super::{configuration::MAX_BODY_BYTES, problem::Failure};
use crate::diff;

/// Of zstd, for what is worth it.
const LEVEL: i32 = 1;
/// Of zstd below [`SMALL`]: without Huffman coding, whose tables cost more time than they save room.
const LEVEL_OF_SMALL: i32 = -1;
/// Bytes.
const SMALL: usize = 1_024;

thread_local! {
    // Contexts that each thread keeps: making one takes longer than a small document needs.
    static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

pub fn compress(body: &[u8]) -> Result<Vec<u8>, Failure> {
    let level = match body.len() {
        ..SMALL => LEVEL_OF_SMALL,
        _ => LEVEL,
    };
    let compressed = COMPRESSOR.with_borrow_mut(|kept| {
        let compressor = match kept {
            Some(compressor) => compressor,
            None => kept.insert(zstd::bulk::Compressor::new(level)?),
        };
        compressor.set_compression_level(level)?;
        compressor.compress(body)
    });
    compressed.map_err(|error| {
        Failure::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "compression",
            error.to_string(),
        )
    })
}

/// SHA-256 of the canonical form (RFC 8785).
pub fn canonical_digest(value: &serde_json::Value) -> Result<Digest, Failure> {
    let canonical = serde_json_canonicalizer::to_vec(value)
        .map_err(|error| Failure::bad_request("malformed", error.to_string()))?;
    Ok(Digest(sha2::Sha256::digest(canonical).into()))
}

pub fn document(version: &VersionRecord) -> Result<serde_json::Value, Failure> {
    serde_json::from_slice(&raw(version)?).map_err(|error| broken(version, &error.to_string()))
}

/// The document byte for byte as it was published.
pub fn raw(version: &VersionRecord) -> Result<Vec<u8>, Failure> {
    let size = usize::try_from(version.size_bytes).unwrap_or(MAX_BODY_BYTES);
    let decompressed = DECOMPRESSOR.with_borrow_mut(|kept| {
        let decompressor = match kept {
            Some(decompressor) => decompressor,
            None => kept.insert(zstd::bulk::Decompressor::new()?),
        };
        decompressor.decompress(&version.body, size.min(MAX_BODY_BYTES))
    });
    decompressed.map_err(|error| broken(version, &error.to_string()))
}

fn broken(version: &VersionRecord, reason: &str) -> Failure {
    Failure::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "damaged-version",
        format!("version {} cannot be read: {reason}", version.number),
    )
}

/// What looks like a secret is hidden from viewers.
pub fn hide_secrets(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                if value.is_string() && diff::is_secret(key) {
                    *value = "(hidden)".into();
                } else {
                    hide_secrets(value);
                }
            }
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(hide_secrets),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_does_not_depend_on_layout_or_key_order() {
        let digest = |text| canonical_digest(&serde_json::from_str(text).expect("json"));
        let one = digest(r#"{"version":3,"name":"a"}"#).expect("a digest");
        let two = digest("{ \"name\": \"a\",\n \"version\": 3.0 }").expect("a digest");
        assert_eq!(one, two);
    }

    #[test]
    fn secrets_are_hidden_and_the_rest_is_not() {
        let mut value = serde_json::json!({"a": {"client_secret": "x", "host": "y"}});
        hide_secrets(&mut value);
        assert_eq!(value["a"]["client_secret"], "(hidden)");
        assert_eq!(value["a"]["host"], "y");
    }
}
