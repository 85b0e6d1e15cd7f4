/// Whether two versions of the program may be in one group: the same major one, at most one minor version apart.
pub(crate) fn fit(ours: &str, theirs: &str) -> bool {
    match (parse(ours), parse(theirs)) {
        (Some((major, minor)), Some((their_major, their_minor))) => {
            major == their_major && u32::abs_diff(minor, their_minor) <= 1
        }
        _ => false,
    }
}

fn parse(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::fit;

    #[test]
    fn one_minor_version_older_or_newer_fits() {
        assert!(fit("0.4.0", "0.4.9"));
        assert!(fit("0.4.0", "0.5.0"));
        assert!(fit("0.4.0", "0.3.7-beta"));
        assert!(!fit("0.4.0", "0.6.0"));
        assert!(!fit("0.4.0", "1.4.0"));
        assert!(!fit("0.4.0", ""));
        assert!(!fit("0.4.0", "four"));
    }
}
