//! Times of the API (RFC 3339 in UTC) and how they are written in the reader's zone.

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 86_400_000;

/// Unix milliseconds of an RFC 3339 time, or nothing when it is not one.
#[must_use]
pub fn parse(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| -> Option<i64> {
        let part = text.get(from..to)?;
        part.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
        part.parse().ok()
    };
    let separators = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if bytes.len() < 20 || separators.iter().any(|(at, b)| bytes[*at] != *b) {
        return None;
    }
    let days = days_from_civil(number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let seconds = number(11, 13)? * 3600 + number(14, 16)? * 60 + number(17, 19)?;
    let mut rest = text.get(19..)?;
    let mut fraction_ms = 0;
    if let Some(after) = rest.strip_prefix('.') {
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        let padded = format!("{:0<3}", after.get(..digits)?);
        fraction_ms = padded.get(..3)?.parse().ok()?;
        rest = after.get(digits..)?;
    }
    Some(days * DAY_MS + seconds * 1000 + fraction_ms - offset_ms(rest)?)
}

fn offset_ms(zone: &str) -> Option<i64> {
    if zone == "Z" || zone == "z" {
        return Some(0);
    }
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let hours: i64 = zone.get(1..3)?.parse().ok()?;
    let minutes: i64 = zone.get(4..6)?.parse().ok()?;
    Some(sign * (hours * 60 + minutes) * MINUTE_MS)
}

/// Days since 1970-01-01 (Howard Hinnant's `days_from_civil`).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Year, month (1 to 12), day (Howard Hinnant's `civil_from_days`).
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

/// The reader's zone: minutes east of UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Zone {
    pub offset_min: i64,
}

impl Zone {
    fn local(self, ms: i64) -> i64 {
        ms + self.offset_min * MINUTE_MS
    }

    /// `14:32:08`.
    #[must_use]
    pub fn seconds(self, ms: i64) -> String {
        let s = self.local(ms).rem_euclid(DAY_MS) / 1000;
        format!("{:02}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
    }

    /// `14:32`.
    #[must_use]
    pub fn minutes(self, ms: i64) -> String {
        let s = self.local(ms).rem_euclid(DAY_MS) / 1000;
        format!("{:02}:{:02}", s / 3600, s / 60 % 60)
    }

    /// `14 Dec`, with the year if it is not this one.
    #[must_use]
    pub fn day(self, ms: i64, now_ms: i64) -> String {
        let (year, month, day) = civil_from_days(self.local(ms).div_euclid(DAY_MS));
        let (this_year, _, _) = civil_from_days(self.local(now_ms).div_euclid(DAY_MS));
        let month = MONTHS[usize::try_from(month - 1).unwrap_or(0).min(11)];
        if year == this_year {
            format!("{day} {month}")
        } else {
            format!("{day} {month} {year}")
        }
    }

    /// `14:30` today, `12 Nov, 09:14` otherwise.
    #[must_use]
    pub fn moment(self, ms: i64, now_ms: i64) -> String {
        if self.same_day(ms, now_ms) {
            self.minutes(ms)
        } else {
            format!("{}, {}", self.day(ms, now_ms), self.minutes(ms))
        }
    }

    /// Day and time without seconds in lists that are narrow: `14:30` today, `12 Nov` otherwise.
    #[must_use]
    pub fn event_short(self, ms: i64, now_ms: i64) -> String {
        if self.same_day(ms, now_ms) {
            self.minutes(ms)
        } else {
            self.day(ms, now_ms)
        }
    }

    /// `14 Dec 2026, 23:59`: a date that people sign.
    #[must_use]
    pub fn date(self, ms: i64) -> String {
        // Another year's day has its year.
        let other_year = ms + 400 * DAY_MS;
        format!("{}, {}", self.day(ms, other_year), self.minutes(ms))
    }

    /// For lists of what just happened: `14:30:12` today, `12 Nov` otherwise.
    #[must_use]
    pub fn event(self, ms: i64, now_ms: i64) -> String {
        if self.same_day(ms, now_ms) {
            self.seconds(ms)
        } else {
            self.day(ms, now_ms)
        }
    }

    /// `2026-11-17T14:32`, as a field for date and time wants it.
    #[must_use]
    pub fn field(self, ms: i64) -> String {
        let (year, month, day) = civil_from_days(self.local(ms).div_euclid(DAY_MS));
        format!("{year:04}-{month:02}-{day:02}T{}", self.minutes(ms))
    }

    /// Reads what such a field holds, with or without seconds.
    #[must_use]
    pub fn read_field(self, text: &str) -> Option<i64> {
        let seconds = if text.len() == 16 { ":00Z" } else { "Z" };
        let utc = parse(&format!("{text}{seconds}"))?;
        Some(utc - self.offset_min * MINUTE_MS)
    }

    fn same_day(self, a: i64, b: i64) -> bool {
        self.local(a).div_euclid(DAY_MS) == self.local(b).div_euclid(DAY_MS)
    }
}

/// `13:30:12 UTC`, for hover and focus.
#[must_use]
pub fn utc(ms: i64) -> String {
    format!("{} UTC", Zone::default().seconds(ms))
}

/// `2026-11-17T13:32:00Z`.
#[must_use]
pub fn rfc3339(ms: i64) -> String {
    let s = ms.rem_euclid(60_000) / 1000;
    format!("{}:{s:02}Z", Zone::default().field(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CET: Zone = Zone { offset_min: 60 };

    #[test]
    fn what_a_field_holds_is_the_readers_time() {
        let at = parse("2026-11-17T23:32:41Z").unwrap_or_default();
        assert_eq!(CET.field(at), "2026-11-18T00:32");
        let read = CET.read_field("2026-11-18T00:32").unwrap_or_default();
        assert_eq!(rfc3339(read), "2026-11-17T23:32:00Z");
        let exact = CET.read_field("2026-11-18T00:32:41").unwrap_or_default();
        assert_eq!(exact, at);
        assert_eq!(CET.read_field(""), None);
        assert_eq!(CET.read_field("2026-11-18"), None);
    }

    #[test]
    fn api_times_are_read_with_fraction_and_offset() {
        assert_eq!(parse("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(parse("2026-11-17T13:32:08.290Z"), Some(1_794_922_328_290));
        assert_eq!(
            parse("2026-11-17T14:32:08.290123+01:00"),
            Some(1_794_922_328_290)
        );
        assert_eq!(parse("2026-11-17T13:32:08.2Z"), Some(1_794_922_328_200));
    }

    #[test]
    fn what_is_not_a_time_is_nothing() {
        for text in [
            "",
            "yesterday",
            "2026-11-17",
            "2026-11-17T13:32:08",
            "2026/11/17T13:32:08Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn times_are_written_in_the_readers_zone() {
        let ms = parse("2026-11-17T13:32:08Z").expect("valid");
        assert_eq!(CET.seconds(ms), "14:32:08");
        assert_eq!(CET.minutes(ms), "14:32");
        assert_eq!(utc(ms), "13:32:08 UTC");
    }

    #[test]
    fn another_day_shows_its_date_and_another_year_its_year() {
        let now = parse("2026-11-17T13:32:08Z").expect("valid");
        let earlier = parse("2026-11-12T08:14:00Z").expect("valid");
        let last_year = parse("2025-12-31T10:00:00Z").expect("valid");
        assert_eq!(CET.moment(now, now), "14:32");
        assert_eq!(CET.moment(earlier, now), "12 Nov, 09:14");
        assert_eq!(CET.day(last_year, now), "31 Dec 2025");
        assert_eq!(CET.event(earlier, now), "12 Nov");
    }

    #[test]
    fn days_convert_both_ways_across_leap_years() {
        for days in (-200_000..200_000).step_by(37) {
            let (y, m, d) = civil_from_days(days);
            assert_eq!(days_from_civil(y, m, d), days);
        }
        assert_eq!(civil_from_days(days_from_civil(2024, 2, 29)), (2024, 2, 29));
    }
}
