use std::path::PathBuf;
use std::time::Duration;

use super::{Partial, SettingsError};
use crate::duration::parse_duration;

/// Where closed minutes of statistics are passed on to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InfluxSettings {
    /// With `precision=ms`.
    pub url: String,
    pub token_file: Option<PathBuf>,
    pub every: Duration,
}

/// `None` where no address is set.
pub(super) fn resolve(partial: &Partial) -> Result<Option<InfluxSettings>, SettingsError> {
    let wrong = |key, value: &str, reason: &str| SettingsError::Value {
        key,
        value: value.into(),
        reason: reason.into(),
    };
    let Some(given) = &partial.influx_url else {
        if let Some(file) = &partial.influx_token_file {
            let file = file.display().to_string();
            return Err(wrong(
                "influx_token_file",
                &file,
                "set `influx_url` as well",
            ));
        }
        return match &partial.influx_every {
            Some(every) => Err(wrong("influx_every", every, "set `influx_url` as well")),
            None => Ok(None),
        };
    };
    let uri: Result<http::Uri, _> = given.parse();
    let uri = uri.map_err(|error| wrong("influx_url", given, &error.to_string()))?;
    if uri.scheme_str() != Some("http") || uri.host().is_none() {
        let reason = "write http://host:8086/api/v2/write?org=ORG&bucket=BUCKET; for TLS go through a proxy on this machine";
        return Err(wrong("influx_url", given, reason));
    }
    let query = uri.query().unwrap_or_default();
    let precision = query
        .split('&')
        .find_map(|it| it.strip_prefix("precision="));
    let url = match precision {
        Some("ms") => given.clone(),
        Some(_) => {
            let reason = "leave `precision` out: times are milliseconds";
            return Err(wrong("influx_url", given, reason));
        }
        None if query.is_empty() => format!("{}?precision=ms", given.trim_end_matches('?')),
        None => format!("{given}&precision=ms"),
    };
    let every = partial.influx_every.as_deref().unwrap_or("10s");
    let every_s = parse_duration(every).map_err(|reason| wrong("influx_every", every, &reason))?;
    if !(1..=3_600).contains(&every_s) {
        return Err(wrong("influx_every", every, "use 1s to 1h"));
    }
    Ok(Some(InfluxSettings {
        url,
        token_file: partial.influx_token_file.clone(),
        every: Duration::from_secs(every_s),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partial(text: &str) -> Partial {
        serde_yaml_ng::from_str(text).expect("settings")
    }

    #[test]
    fn the_address_gets_its_precision_and_nothing_stands_alone() {
        let url = |text: &str| {
            let settings = resolve(&partial(text)).expect("settings");
            settings.expect("an address").url
        };
        assert_eq!(
            url("influx_url: http://i:8086/api/v2/write?org=a&bucket=b"),
            "http://i:8086/api/v2/write?org=a&bucket=b&precision=ms"
        );
        assert_eq!(
            url("influx_url: http://i/write"),
            "http://i/write?precision=ms"
        );
        assert_eq!(resolve(&partial("name: x")).expect("settings"), None);
        for (text, key) in [
            ("influx_every: 1m", "influx_url"),
            ("influx_token_file: /t", "influx_url"),
            ("influx_url: https://i/write", "proxy"),
            ("influx_url: http://i/write?precision=s", "precision"),
            (
                "influx_url: http://i/write\ninflux_every: 0s",
                "influx_every",
            ),
        ] {
            let error = resolve(&partial(text)).expect_err(text);
            assert!(error.to_string().contains(key), "{error}");
        }
    }
}
