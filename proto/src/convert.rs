use krakend_domain::Digest;
use uuid::Uuid;

/// A field of a message that does not hold what it must.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "field {field} has {found} bytes instead of {expected}: the sender speaks another version of the protocol"
)]
pub struct FieldError {
    pub field: &'static str,
    pub expected: usize,
    pub found: usize,
}

/// Reads a UUID of 16 bytes.
pub fn uuid_from(field: &'static str, bytes: &[u8]) -> Result<Uuid, FieldError> {
    Uuid::from_slice(bytes).map_err(|_| FieldError {
        field,
        expected: 16,
        found: bytes.len(),
    })
}

/// Reads a SHA-256 of 32 bytes.
pub fn digest_from(field: &'static str, bytes: &[u8]) -> Result<Digest, FieldError> {
    let bytes: [u8; 32] = bytes.try_into().map_err(|_| FieldError {
        field,
        expected: 32,
        found: bytes.len(),
    })?;
    Ok(Digest(bytes))
}
