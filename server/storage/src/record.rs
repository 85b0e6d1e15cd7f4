//! How one stored value looks: a format marker, a checksum over key and value, the value.

/// Format marker of every value this version writes.
const MARKER: u8 = 1;
const HEAD: usize = 5;

/// Wraps a value for storage.
pub(crate) fn seal(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(HEAD + value.len());
    sealed.push(MARKER);
    sealed.extend_from_slice(&checksum(key, value).to_le_bytes());
    sealed.extend_from_slice(value);
    sealed
}

/// Gives the value back, or says why it cannot be trusted.
pub(crate) fn open<'a>(key: &[u8], sealed: &'a [u8]) -> Result<&'a [u8], String> {
    let Some((head, value)) = sealed.split_at_checked(HEAD) else {
        return Err(format!("{} bytes are too few", sealed.len()));
    };
    if head[0] != MARKER {
        return Err(format!("format {} is unknown", head[0]));
    }
    let stored = u32::from_le_bytes([head[1], head[2], head[3], head[4]]);
    let found = checksum(key, value);
    if stored != found {
        return Err(format!(
            "its checksum is {found:08x} instead of {stored:08x}"
        ));
    }
    Ok(value)
}

/// The key takes part so that a value found under another key is noticed.
pub(crate) fn checksum(key: &[u8], value: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(value);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_flipped_bit_is_noticed() {
        let sealed = seal(b"key", b"value");
        assert_eq!(open(b"key", &sealed).unwrap(), b"value");
        assert!(open(b"kez", &sealed).is_err());
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(open(b"key", &flipped).is_err(), "bit {bit}");
        }
    }
}
