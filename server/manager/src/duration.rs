/// Seconds of `90s`, `15m`, `24h` or `30d`.
pub fn parse_duration(text: &str) -> Result<u64, String> {
    let help = || format!("{text:?} is no duration: write for instance 90s, 15m, 24h or 30d");
    let unit = text.chars().next_back().ok_or_else(help)?;
    let number = text.strip_suffix(unit).unwrap_or_default();
    let number: u64 = number.parse().map_err(|_| help())?;
    let unit = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(help()),
    };
    number.checked_mul(unit).ok_or_else(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(parse_duration("24h"), Ok(86_400));
        for wrong in ["24", "", "h", "1é", "99999999999999999999d"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }
}
