//! What one token and one address may ask for: rates, requests at a time, and guesses.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::http::StatusCode;
use krakend_domain::{TokenId, TokenScope};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::Failure;

/// Tokens with limits that are remembered; those that rest are forgotten first.
const MAX_TOKENS: usize = 10_000;
/// Addresses that are remembered.
const MAX_ADDRESSES: usize = 4_096;
/// Wrong tokens that an address may show in a row.
const GUESSES: f64 = 20.0;
/// Time after which it may show one more.
const GUESS_EVERY: Duration = Duration::from_secs(3);
/// Tokens that an address has shown before, so that guesses from there do not lock them out.
const MAX_KNOWN: usize = 32;

/// Bounds for callers, on this manager.
#[derive(Debug, Default)]
pub struct Limits {
    tokens: Mutex<HashMap<TokenId, Token>>,
    addresses: Mutex<HashMap<IpAddr, Address>>,
}

#[derive(Debug)]
struct Token {
    bucket: Bucket,
    places: Arc<Semaphore>,
    limit: u32,
}

#[derive(Debug)]
struct Address {
    guesses: Bucket,
    known: Vec<TokenId>,
}

/// Fills evenly up to its size; each use takes one.
#[derive(Debug)]
struct Bucket {
    level: f64,
    at: Instant,
}

impl Bucket {
    fn full(size: f64, now: Instant) -> Self {
        Self {
            level: size,
            at: now,
        }
    }

    fn fill(&mut self, now: Instant, size: f64, per_s: f64) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.level = (self.level + passed * per_s).min(size);
        self.at = now;
    }

    /// Takes one, or says after how long there is one.
    fn take(&mut self, now: Instant, size: f64, per_s: f64) -> Result<(), Duration> {
        self.fill(now, size, per_s);
        if self.level >= 1.0 {
            self.level -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - self.level) / per_s))
    }
}

impl Limits {
    /// A token's request begins. The place is held until it ends.
    ///
    /// # Errors
    /// 429 with the time to wait.
    pub fn begin(
        &self,
        id: TokenId,
        scope: &TokenScope,
        now: Instant,
    ) -> Result<Option<Arc<OwnedSemaphorePermit>>, Failure> {
        if scope.requests_per_s.is_none() && scope.concurrent.is_none() {
            return Ok(None);
        }
        let mut tokens = lock(&self.tokens);
        if tokens.len() >= MAX_TOKENS && !tokens.contains_key(&id) {
            tokens.retain(|_, it| it.places.available_permits() < it.limit as usize);
        }
        let rate = f64::from(scope.requests_per_s.unwrap_or(0).max(1));
        let limit = scope.concurrent.unwrap_or(u32::MAX >> 4);
        let token = tokens.entry(id).or_insert_with(|| Token {
            bucket: Bucket::full(rate, now),
            places: Arc::new(Semaphore::new(limit as usize)),
            limit,
        });
        let place = token.places.clone().try_acquire_owned();
        let place = place.map_err(|_| {
            let detail = format!(
                "{limit} requests of this token are being worked on, which is its limit on a manager: wait for an answer"
            );
            too_many("token-concurrency", detail, Duration::from_secs(1))
        })?;
        if scope.requests_per_s.is_some() {
            token.bucket.take(now, rate, rate).map_err(|wait| {
                let detail = format!("this token may ask {rate} times a second on a manager");
                too_many("token-rate", detail, wait)
            })?;
        }
        Ok(Some(Arc::new(place)))
    }

    /// Whether a token from this address may be looked at: an address that guesses waits, except for a token that
    /// was right before.
    ///
    /// # Errors
    /// 429 with the time to wait; whether the token is right is not said.
    pub fn look(
        &self,
        address: Option<IpAddr>,
        found: Option<TokenId>,
        now: Instant,
    ) -> Result<(), Failure> {
        let Some(address) = address.map(whole) else {
            return Ok(());
        };
        let per_s = 1.0 / GUESS_EVERY.as_secs_f64();
        let mut addresses = lock(&self.addresses);
        match found {
            Some(id) => {
                let known = addresses.get(&address);
                if known.is_some_and(|it| it.known.contains(&id)) {
                    return Ok(());
                }
                let entry = entry(&mut addresses, address, now);
                entry.guesses.fill(now, GUESSES, per_s);
                if entry.guesses.level < 1.0 {
                    return Err(guessing((1.0 - entry.guesses.level) / per_s));
                }
                if entry.known.len() >= MAX_KNOWN {
                    entry.known.remove(0);
                }
                entry.known.push(id);
                Ok(())
            }
            None => entry(&mut addresses, address, now)
                .guesses
                .take(now, GUESSES, per_s)
                .map_err(|wait| guessing(wait.as_secs_f64())),
        }
    }
}

fn entry(addresses: &mut HashMap<IpAddr, Address>, address: IpAddr, now: Instant) -> &mut Address {
    if addresses.len() >= MAX_ADDRESSES && !addresses.contains_key(&address) {
        // The one that has rested longest: what it may do is what a new one may.
        let oldest = addresses.iter().min_by_key(|(_, it)| it.guesses.at);
        if let Some(oldest) = oldest.map(|(address, _)| *address) {
            addresses.remove(&oldest);
        }
    }
    addresses.entry(address).or_insert_with(|| Address {
        guesses: Bucket::full(GUESSES, now),
        known: Vec::new(),
    })
}

/// A subscriber of IPv6 has a /64 at least.
fn whole(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => {
            let network = u128::from(v6) >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from(network))
        }
        v4 => v4,
    }
}

fn guessing(wait_s: f64) -> Failure {
    too_many(
        "too-many-guesses",
        "too many wrong tokens came from this address, so no new one is looked at from there for a while".into(),
        Duration::from_secs_f64(wait_s),
    )
}

fn too_many(kind: &str, detail: String, wait: Duration) -> Failure {
    let mut failure = Failure::new(StatusCode::TOO_MANY_REQUESTS, kind, detail);
    failure.0.retry_after_s = Some(wait.as_secs() + 1);
    failure
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn scope(requests_per_s: Option<u32>, concurrent: Option<u32>) -> TokenScope {
        TokenScope {
            fleets: Vec::new(),
            requests_per_s,
            concurrent,
        }
    }

    fn kind(failure: &Failure) -> &str {
        failure.0.kind.rsplit(':').next().unwrap_or_default()
    }

    #[test]
    fn a_rate_is_held_to_and_the_wait_that_is_said_is_enough() {
        let (limits, start) = (Limits::default(), Instant::now());
        let (id, scope) = (Uuid::from_u128(1), scope(Some(5), None));
        for _ in 0..5 {
            limits.begin(id, &scope, start).expect("within the rate");
        }
        let refused = limits.begin(id, &scope, start).expect_err("beyond it");
        assert_eq!(kind(&refused), "token-rate");
        let wait = Duration::from_secs(refused.0.retry_after_s.expect("a wait"));
        assert!(limits.begin(id, &scope, start + wait).is_ok());
        let other = Uuid::from_u128(2);
        assert!(limits.begin(other, &scope, start).is_ok(), "another token");
    }

    #[test]
    fn so_many_at_a_time_and_one_more_when_one_has_ended() {
        let (limits, now) = (Limits::default(), Instant::now());
        let (id, scope) = (Uuid::from_u128(1), scope(None, Some(2)));
        let first = limits.begin(id, &scope, now).expect("a place");
        let _second = limits.begin(id, &scope, now).expect("a place");
        let refused = limits.begin(id, &scope, now).expect_err("full");
        assert_eq!(kind(&refused), "token-concurrency");
        drop(first);
        assert!(limits.begin(id, &scope, now).is_ok());
    }

    #[test]
    fn who_guesses_is_slowed_and_tokens_known_from_there_go_on() {
        let (limits, start) = (Limits::default(), Instant::now());
        let address = Some(IpAddr::from([192, 0, 2, 1]));
        let known = Uuid::from_u128(1);
        limits.look(address, Some(known), start).expect("right");
        let mut wrong = 0;
        while limits.look(address, None, start).is_ok() {
            wrong += 1;
        }
        assert_eq!(wrong, 20);
        assert!(limits.look(address, Some(known), start).is_ok());
        let new = Some(Uuid::from_u128(2));
        let refused = limits.look(address, new, start).expect_err("not looked at");
        assert_eq!(kind(&refused), "too-many-guesses");
        let wait = Duration::from_secs(refused.0.retry_after_s.expect("a wait"));
        assert!(limits.look(address, new, start + wait).is_ok());
        let other = Some(IpAddr::from([192, 0, 2, 2]));
        assert!(limits.look(other, None, start).is_ok(), "another address");
    }

    #[test]
    fn addresses_are_bounded_and_one_network_of_ipv6_is_one_address() {
        let (limits, start) = (Limits::default(), Instant::now());
        for host in 0..GUESSES as u128 {
            let address = IpAddr::V6(Ipv6Addr::from((0x2001_0db8_u128 << 96) + host));
            limits.look(Some(address), None, start).expect("a guess");
        }
        let next = IpAddr::V6(Ipv6Addr::from((0x2001_0db8_u128 << 96) + 999_999));
        assert!(limits.look(Some(next), None, start).is_err());
        for number in 0..10_000_u32 {
            let address = IpAddr::from(number.to_be_bytes());
            limits.look(Some(address), None, start).expect("a guess");
        }
        assert!(lock(&limits.addresses).len() <= MAX_ADDRESSES);
    }
}
