//! Waiting for conditions, never for time.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const POLL: Duration = Duration::from_millis(100);

/// What a look at the world gave.
pub enum Seen<T> {
    /// It is there.
    Yes(T),
    /// Not yet, and what was seen instead.
    No(String),
}

/// Looks until it is there. An error from `look` counts as not yet: programs under test are killed and restarted all the time.
///
/// # Errors
/// After `limit`, with what was seen last.
pub async fn until<T, F>(what: &str, limit: Duration, mut look: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<Seen<T>>>,
{
    let start = Instant::now();
    loop {
        let last = match look().await {
            Ok(Seen::Yes(value)) => return Ok(value),
            Ok(Seen::No(last)) => last,
            Err(error) => format!("{error:#}"),
        };
        if start.elapsed() > limit {
            bail!(
                "not within {} s: {what}; last seen: {last}",
                limit.as_secs()
            );
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Milliseconds since `start`.
pub fn ms_since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}
