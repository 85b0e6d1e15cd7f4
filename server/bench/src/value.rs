//! The 256 bytes that both groups store: a KrakenD configuration whose name fills it up.

use bytes::Bytes;
use rand::Rng;
use rand::distr::Alphanumeric;

/// Length of every value in bytes.
pub const BYTES: usize = 256;

const HEAD: &str = r#"{"version":3,"endpoints":[],"name":""#;
const TAIL: &str = r#""}"#;
/// Hexadecimal digits of the count.
const COUNT: usize = 16;

/// One client's values: each differs from the one before in a count, and from other clients' in random letters.
#[derive(Clone, Debug)]
pub struct Values {
    count: u64,
    filling: String,
}

impl Values {
    /// A new series that starts at a random count, so that no version of an earlier series comes again.
    pub fn new() -> Self {
        let mut rng = rand::rng();
        let length = BYTES - HEAD.len() - TAIL.len() - COUNT;
        Self {
            count: rng.random(),
            filling: (&mut rng)
                .sample_iter(Alphanumeric)
                .take(length)
                .map(char::from)
                .collect(),
        }
    }

    /// The next value.
    pub fn next_value(&mut self) -> Bytes {
        self.count = self.count.wrapping_add(1);
        let Self { count, filling } = self;
        Bytes::from(format!("{HEAD}{count:016x}{filling}{TAIL}"))
    }

    /// Whether an answer holds the last value.
    pub fn is_last_in(&self, answer: &[u8]) -> bool {
        let last = format!("{:016x}{}", self.count, self.filling);
        answer
            .windows(last.len())
            .any(|window| window == last.as_bytes())
    }
}

impl Default for Values {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_256_bytes_is_json_and_differs_from_the_one_before() {
        let mut values = Values::new();
        values.count = u64::MAX;
        let (one, two) = (values.next_value(), values.next_value());
        assert_eq!((one.len(), two.len()), (BYTES, BYTES));
        assert_ne!(one, two);
        let json: serde_json::Value = serde_json::from_slice(&one).expect("json");
        assert_eq!(json["version"], 3);
    }

    #[test]
    fn only_an_answer_with_the_last_value_is_taken_for_it() {
        let mut values = Values::new();
        let old = values.next_value();
        let new = values.next_value();
        assert!(values.is_last_in(&new));
        assert!(!values.is_last_in(&old));
        assert!(!values.is_last_in(b""));
    }
}
