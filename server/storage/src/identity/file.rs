//! `identity.json`: readable, with a checksum over what it says. A flipped bit in an id would give another valid id.

use std::{fs, io, path::Path};

use serde_json::Value;

use super::{FORMAT, Identity, IdentityError};
use crate::FileError;

const CHECKSUM: &str = "checksum";

/// `None` where there is no file.
pub(super) fn read(path: &Path) -> Result<Option<Identity>, IdentityError> {
    match fs::read(path) {
        Ok(content) => decode(path, &content).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FileError::of("read", path)(error).into()),
    }
}

pub(super) fn decode(path: &Path, content: &[u8]) -> Result<Identity, IdentityError> {
    let damaged = |reason: String| IdentityError::Damaged {
        path: path.into(),
        reason,
    };
    let mut value: Value =
        serde_json::from_slice(content).map_err(|error| damaged(error.to_string()))?;
    let format = value.get("format").and_then(Value::as_u64);
    if let Some(found) = format.filter(|format| *format == 0 || *format > u64::from(FORMAT)) {
        return Err(IdentityError::UnknownFormat {
            path: path.into(),
            found: found.try_into().unwrap_or(u32::MAX),
        });
    }
    let stored = value
        .as_object_mut()
        .and_then(|fields| fields.remove(CHECKSUM));
    let identity: Identity =
        serde_json::from_value(value).map_err(|error| damaged(error.to_string()))?;
    if identity.format == 1 {
        return Ok(identity);
    }
    let found = checksum(&identity);
    match stored.as_ref().and_then(Value::as_str) {
        Some(stored) if stored == found => Ok(identity),
        Some(stored) => Err(damaged(format!(
            "its checksum is {found} instead of {stored}"
        ))),
        None => Err(damaged("its checksum is missing".into())),
    }
}

pub(super) fn encode(identity: &Identity) -> Vec<u8> {
    let mut value = to_value(identity);
    if let Some(fields) = value.as_object_mut() {
        fields.insert(CHECKSUM.into(), checksum(identity).into());
    }
    format!("{value:#}\n").into_bytes()
}

fn checksum(identity: &Identity) -> String {
    let text = to_value(identity).to_string();
    format!("{:08x}", crc32fast::hash(text.as_bytes()))
}

fn to_value(identity: &Identity) -> Value {
    // Ids and numbers only: this cannot fail, and a null would not be read back.
    serde_json::to_value(identity).unwrap_or_default()
}
