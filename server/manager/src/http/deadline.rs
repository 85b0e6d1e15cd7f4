//! How long a caller waits.

use std::time::{Duration, Instant};

use axum::http::HeaderMap;

use super::problem::Failure;

/// Milliseconds after which the caller wants an answer. A length and no date, so no clocks are compared.
pub const HEADER: &str = "x-request-timeout-ms";
const DEFAULT: Duration = Duration::from_secs(10);
const MIN_MS: u64 = 100;
const MAX_MS: u64 = 60_000;

/// When a request must be answered; it travels on to the leader.
pub fn deadline(headers: &HeaderMap) -> Result<Instant, Failure> {
    timeout(headers).map(|timeout| Instant::now() + timeout)
}

fn timeout(headers: &HeaderMap) -> Result<Duration, Failure> {
    let Some(value) = headers.get(HEADER) else {
        return Ok(DEFAULT);
    };
    let given = value.to_str().ok().and_then(|text| text.parse().ok());
    match given {
        Some(ms) if (MIN_MS..=MAX_MS).contains(&ms) => Ok(Duration::from_millis(ms)),
        _ => Err(Failure::bad_request(
            "bad-timeout",
            format!(
                "X-Request-Timeout-Ms is {value:?}: a whole number from {MIN_MS} to {MAX_MS} is expected"
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, text.parse().expect("a header"));
        timeout(&headers).ok()
    }

    #[test]
    fn a_timeout_is_bounded_and_anything_else_is_refused_by_name() {
        assert_eq!(timeout(&HeaderMap::new()).ok(), Some(DEFAULT));
        assert_eq!(of("100"), Some(Duration::from_millis(100)));
        assert_eq!(of("60000"), Some(Duration::from_secs(60)));
        for bad in ["99", "60001", "5s", "-1", "", "1e3"] {
            assert_eq!(of(bad), None, "{bad:?}");
        }
    }
}
