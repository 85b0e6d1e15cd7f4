//! The one place where the manager reads the wall clock.

/// UTC milliseconds since 1970.
pub fn now_ms() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0)
}

/// The time to decide by: the state's, as this manager's clock moves it. A clock that has jumped moves it nowhere.
pub fn decide_ms(state: &krakend_domain::ClusterState) -> u64 {
    state.time_at(now_ms())
}

/// RFC 3339 in UTC with milliseconds.
pub fn rfc3339(ms: u64) -> String {
    match jiff::Timestamp::from_millisecond(i64::try_from(ms).unwrap_or(i64::MAX)) {
        Ok(time) => format!("{time:.3}"),
        Err(_) => "9999-12-31T23:59:59.999Z".into(),
    }
}

/// Reads RFC 3339.
pub fn parse_rfc3339(text: &str) -> Option<u64> {
    let time: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(time.as_millisecond()).ok()
}
