//! Durations as Go writes them: `1h30m`, `2.5s`, `300ms`.

use std::time::Duration;

const HELP: &str = "write a number and a unit, such as \"300ms\", \"2s\" or \"1m30s\"";

/// Parses Go's duration syntax. A negative duration is refused: no setting of a gateway has a use for it.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let body = text.strip_prefix('+').unwrap_or(text);
    if body.starts_with('-') {
        return Err(format!("the duration {text:?} is negative; {HELP}"));
    }
    if body == "0" {
        return Ok(Duration::ZERO);
    }
    if body.is_empty() {
        return Err(format!("the duration is empty; {HELP}"));
    }
    let mut rest = body;
    let mut nanos = 0f64;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let number: f64 = rest[..digits]
            .parse()
            .map_err(|_| format!("{text:?} is no duration; {HELP}"))?;
        rest = &rest[digits..];
        let unit_end = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let unit = unit_nanos(&rest[..unit_end])
            .ok_or_else(|| format!("{text:?} has no unit or an unknown one; {HELP}"))?;
        nanos += number * unit;
        rest = &rest[unit_end..];
    }
    // Go keeps durations in an i64 of nanoseconds.
    if nanos > i64::MAX as f64 {
        return Err(format!(
            "the duration {text:?} is longer than 292 years; {HELP}"
        ));
    }
    Ok(Duration::from_nanos(nanos.round() as u64))
}

fn unit_nanos(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1.0,
        "us" | "µs" | "μs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" => 60e9,
        "h" => 3600e9,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_durations_are_understood() {
        for (text, millis) in [
            ("2s", 2000),
            ("1m30s", 90_000),
            ("300ms", 300),
            ("1.5h", 5_400_000),
            ("0", 0),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(millis)),
                "{text}"
            );
        }
        assert_eq!(parse_duration("1500us"), Ok(Duration::from_micros(1500)));
    }

    #[test]
    fn what_is_no_duration_is_refused_with_advice() {
        for text in ["", "2", "s", "2 s", "-1s", "2x", "1.2.3s", "999999999h"] {
            let message = parse_duration(text).unwrap_err();
            assert!(message.contains("such as"), "{text}: {message}");
        }
    }
}
