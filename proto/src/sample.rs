use krakend_domain::Sample;

/// Format of an encoded sample: this byte, then postcard.
const FORMAT: u8 = 1;
/// Largest sample that is accepted.
pub const MAX_SAMPLE_BYTES: usize = 1 << 20;

/// A sample that cannot be read. The sender keeps it and says so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SampleError {
    #[error("a sample of {0} bytes is longer than {MAX_SAMPLE_BYTES}")]
    TooLong(usize),
    #[error("a sample of format {0} comes from a newer node: update the managers first")]
    Newer(u8),
    #[error("a sample cannot be read: {0}")]
    Malformed(String),
}

/// The sample's bytes on the wire and in the node's spool.
pub fn encode_sample(sample: &Sample) -> Vec<u8> {
    let mut out = vec![FORMAT];
    if let Ok(bytes) = postcard::to_stdvec(sample) {
        out.extend(bytes);
    }
    out
}

/// Reads what [`encode_sample`] wrote.
pub fn decode_sample(bytes: &[u8]) -> Result<Sample, SampleError> {
    if bytes.len() > MAX_SAMPLE_BYTES {
        return Err(SampleError::TooLong(bytes.len()));
    }
    match bytes.split_first() {
        Some((&FORMAT, rest)) => {
            postcard::from_bytes(rest).map_err(|error| SampleError::Malformed(error.to_string()))
        }
        Some((&other, _)) => Err(SampleError::Newer(other)),
        None => Err(SampleError::Malformed("it is empty".into())),
    }
}
