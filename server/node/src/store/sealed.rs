//! JSON with a checksum over everything else in it: a flipped bit in a number or an id still is JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

const CHECKSUM: &str = "crc32";

/// The object as a file holds it.
pub fn seal<T: Serialize>(content: &T) -> serde_json::Result<Vec<u8>> {
    let mut value = serde_json::to_value(content)?;
    let checksum = crc32fast::hash(&serde_json::to_vec(&value)?);
    value[CHECKSUM] = checksum.into();
    serde_json::to_vec_pretty(&value)
}

/// What a file holds.
pub enum Unsealed<T> {
    Whole(T),
    /// It has no checksum: a program before there was one wrote it, or it is damaged.
    Unproved(Value),
}

/// The content, or why the file is worth nothing.
pub fn unseal<T: DeserializeOwned>(bytes: &[u8]) -> Result<Unsealed<T>, String> {
    let value = serde_json::from_slice::<Value>(bytes);
    let mut value = value.map_err(|error| error.to_string())?;
    let map = value.as_object_mut().ok_or("it is no JSON object")?;
    let Some(checksum) = map.shift_remove(CHECKSUM) else {
        return Ok(Unsealed::Unproved(value));
    };
    let found = serde_json::to_vec(&value).map_err(|error| error.to_string())?;
    if checksum != crc32fast::hash(&found) {
        return Err("its checksum does not match".into());
    }
    let content = serde_json::from_value(value).map_err(|error| error.to_string())?;
    Ok(Unsealed::Whole(content))
}
