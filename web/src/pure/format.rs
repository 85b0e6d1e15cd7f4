//! How values are written. One form for each kind of value, everywhere on the screen.

/// What stands where a value is missing. Never a zero.
pub const NO_DATA: &str = "no data";

/// `1842031` as `1,842,031`.
#[must_use]
pub fn integer(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Requests per second without the unit: whole from 10, one decimal below.
#[must_use]
pub fn rate(per_s: f64) -> String {
    if !per_s.is_finite() {
        return NO_DATA.to_owned();
    }
    let per_s = per_s.max(0.0);
    if per_s == 0.0 {
        "0".to_owned()
    } else if per_s < 0.1 {
        "< 0.1".to_owned()
    } else if per_s < 9.95 {
        trim_zero(&format!("{per_s:.1}"))
    } else {
        integer(per_s.round() as u64)
    }
}

/// A share from 0 to 1 in per cent without the sign: `0.21`, `< 0.01`, `12.5`.
#[must_use]
pub fn percent(ratio: f64) -> String {
    if !ratio.is_finite() {
        return NO_DATA.to_owned();
    }
    let percent = ratio.max(0.0) * 100.0;
    if percent == 0.0 {
        "0".to_owned()
    } else if percent < 0.01 {
        "< 0.01".to_owned()
    } else if percent < 9.995 {
        format!("{percent:.2}")
    } else {
        trim_zero(&format!("{percent:.1}"))
    }
}

/// A latency as value and unit: `9 ms`, `1,480 ms`, from 10 s `12.4 s`.
#[must_use]
pub fn latency(ms: f64) -> (String, &'static str) {
    if !ms.is_finite() {
        return (NO_DATA.to_owned(), "");
    }
    let ms = ms.max(0.0);
    if ms >= 10_000.0 {
        (format!("{:.1}", ms / 1000.0), "s")
    } else if ms < 1.0 {
        (
            if ms == 0.0 {
                "0".to_owned()
            } else {
                format!("{ms:.1}")
            },
            "ms",
        )
    } else if ms < 9.95 {
        (trim_zero(&format!("{ms:.1}")), "ms")
    } else {
        (integer(ms.round() as u64), "ms")
    }
}

/// [`latency`] in one string.
#[must_use]
pub fn latency_text(ms: Option<f64>) -> String {
    match ms.map(latency) {
        Some((value, "")) => value,
        Some((value, unit)) => format!("{value} {unit}"),
        None => NO_DATA.to_owned(),
    }
}

/// `441 req/s`, or `no data`.
#[must_use]
pub fn rate_text(per_s: Option<f64>) -> String {
    per_s.map_or_else(|| NO_DATA.to_owned(), |v| format!("{} req/s", rate(v)))
}

/// A duration in at most two units: `41 s`, `3 min 12 s`, `6 d 21 h`.
#[must_use]
pub fn duration(ms: i64) -> String {
    let s = (ms.max(0)) / 1000;
    let (d, h, m) = (s / 86_400, s / 3600 % 24, s / 60 % 60);
    let two = |a: i64, a_unit: &str, b: i64, b_unit: &str| {
        if b == 0 {
            format!("{a} {a_unit}")
        } else {
            format!("{a} {a_unit} {b} {b_unit}")
        }
    };
    if d > 0 {
        two(d, "d", h, "h")
    } else if h > 0 {
        two(h, "h", m, "min")
    } else if m > 0 {
        two(m, "min", s % 60, "s")
    } else {
        format!("{s} s")
    }
}

/// The larger unit of [`duration`] alone, where room is short: `3 min`.
#[must_use]
pub fn duration_short(ms: i64) -> String {
    duration(ms)
        .split(' ')
        .take(2)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Time that something took: `840 ms`, `1.2 s`, from a minute as [`duration`].
#[must_use]
pub fn took(ms: u64) -> String {
    if ms < 1000 {
        format!("{ms} ms")
    } else if ms < 60_000 {
        format!("{:.1} s", ms as f64 / 1000.0)
    } else {
        duration(i64::try_from(ms).unwrap_or(i64::MAX))
    }
}

/// `212 MiB`, `61,204 bytes`.
#[must_use]
pub fn bytes(value: u64) -> String {
    const MIB: u64 = 1024 * 1024;
    if value < MIB {
        format!("{} bytes", integer(value))
    } else if value < 1024 * MIB {
        format!("{} MiB", value / MIB)
    } else {
        format!("{:.1} GiB", value as f64 / (1024 * MIB) as f64)
    }
}

/// First eight digits of an id. The prefix is drawn apart, in a lighter ink.
#[must_use]
pub fn short_id(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

/// A small count as a word that can open a sentence.
#[must_use]
pub fn count_word(n: u32) -> String {
    const WORDS: [&str; 13] = [
        "No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten",
        "Eleven", "Twelve",
    ];
    WORDS
        .get(n as usize)
        .map_or_else(|| integer(u64::from(n)), |w| (*w).to_owned())
}

/// `1 node`, `12 nodes`, `no nodes`.
#[must_use]
pub fn nodes(n: u32) -> String {
    match n {
        0 => "no nodes".to_owned(),
        1 => "1 node".to_owned(),
        n => format!("{} nodes", integer(u64::from(n))),
    }
}

fn trim_zero(text: &str) -> String {
    text.strip_suffix(".0").unwrap_or(text).to_owned()
}

/// A number in a table whose head has the unit: three digits that count, `1,234`, `12.3`, `0.045`.
#[must_use]
pub fn plain(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => integer(value.round().max(0.0) as u64),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 || v == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_numbers_have_three_digits_that_count() {
        let all = [1234.4, 12.34, 1.234, 0.0, 0.0451].map(plain);
        assert_eq!(all, ["1,234", "12.3", "1.23", "0.00", "0.045"]);
    }

    #[test]
    fn thousands_are_grouped_with_commas() {
        assert_eq!(integer(0), "0");
        assert_eq!(integer(999), "999");
        assert_eq!(integer(4_812), "4,812");
        assert_eq!(integer(1_842_031), "1,842,031");
    }

    #[test]
    fn a_rate_keeps_a_decimal_only_while_it_is_small() {
        assert_eq!(rate(4_812.3), "4,812");
        assert_eq!(rate(0.3), "0.3");
        assert_eq!(rate(0.02), "< 0.1");
        assert_eq!(rate(0.0), "0");
        assert_eq!(rate(9.0), "9");
        assert_eq!(rate(9.96), "10");
    }

    #[test]
    fn a_tiny_ratio_is_not_written_as_zero() {
        assert_eq!(percent(0.0021), "0.21");
        assert_eq!(percent(0.00001), "< 0.01");
        assert_eq!(percent(0.0), "0");
        assert_eq!(percent(0.125), "12.5");
        assert_eq!(percent(1.0), "100");
    }

    #[test]
    fn a_latency_turns_to_seconds_from_ten_seconds_on() {
        assert_eq!(latency_text(Some(9.0)), "9 ms");
        assert_eq!(latency_text(Some(1_480.0)), "1,480 ms");
        assert_eq!(latency_text(Some(12_400.0)), "12.4 s");
        assert_eq!(latency_text(Some(0.42)), "0.4 ms");
        assert_eq!(latency_text(None), "no data");
    }

    #[test]
    fn a_duration_has_two_units_at_most() {
        assert_eq!(duration(192_000), "3 min 12 s");
        assert_eq!(duration((6 * 24 + 21) * 3_600_000 + 59_000), "6 d 21 h");
        assert_eq!(duration(180_000), "3 min");
        assert_eq!(duration(-5), "0 s");
        assert_eq!(duration_short(192_000), "3 min");
    }

    #[test]
    fn missing_values_are_words() {
        assert_eq!(rate_text(None), "no data");
        assert_eq!(rate(f64::NAN), "no data");
        assert_eq!(percent(f64::INFINITY), "no data");
    }

    #[test]
    fn sizes_and_times_taken_have_one_form() {
        assert_eq!(bytes(61_204), "61,204 bytes");
        assert_eq!(bytes(212 * 1024 * 1024), "212 MiB");
        assert_eq!(took(1_200), "1.2 s");
        assert_eq!(took(840), "840 ms");
        assert_eq!(took(116_000), "1 min 56 s");
    }

    #[test]
    fn counts_open_sentences_as_words() {
        assert_eq!(count_word(1), "One");
        assert_eq!(count_word(12), "Twelve");
        assert_eq!(count_word(40), "40");
        assert_eq!(nodes(0), "no nodes");
        assert_eq!(short_id("3f20a44d-3d93"), "3f20a44d");
    }
}
