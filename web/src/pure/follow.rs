//! Where the page goes when the manager that served it is gone.

use krakend_api::Manager;

/// For so long the manager may come back before another is asked, milliseconds.
pub const PATIENCE_MS: i64 = 4_000;
/// A manager that neither answers nor refuses is given up after this, milliseconds.
pub const STALLED_MS: i64 = 15_000;
/// Choices that the browser keeps for each address, and that go along.
pub const CARRIED: [&str; 3] = ["theme", "fleet", "range_s"];

/// The manager to ask next; they take turns.
#[must_use]
pub fn next<'a>(managers: &'a [Manager], host: &str, turn: u64) -> Option<&'a Manager> {
    let others: Vec<&Manager> = managers
        .iter()
        .filter(|m| m.http_address != host && !m.http_address.is_empty())
        .collect();
    let at = usize::try_from(turn).ok()?.checked_rem(others.len())?;
    others.get(at).copied()
}

/// True when the page came from a manager's own address. Behind a balancer or a tunnel the way back is through that.
#[must_use]
pub fn is_direct(managers: &[Manager], host: &str) -> bool {
    managers.iter().any(|m| m.http_address == host)
}

/// The address of the same page elsewhere. What goes along is in the fragment, which no server sees.
#[must_use]
pub fn address(
    scheme: &str,
    to: &Manager,
    place: &str,
    kept: impl Fn(&str) -> Option<String>,
) -> String {
    let pairs: Vec<String> = CARRIED
        .iter()
        .filter_map(|key| Some(format!("{key}={}", super::route::encode(&kept(key)?))))
        .collect();
    let fragment = pairs.join("&");
    format!("{scheme}//{}{place}#followed&{fragment}", to.http_address)
}

/// What came along; nothing when the page was opened in another way.
#[must_use]
pub fn carried(fragment: &str) -> Option<Vec<(&'static str, String)>> {
    let pairs = fragment.strip_prefix("#followed")?;
    let place = super::route::Place::parse(&format!("/?{}", pairs.trim_start_matches('&')));
    let kept = |key: &&'static str| Some((*key, place.get(key)?.to_owned()));
    let known = |(key, value): &(&str, String)| match *key {
        "theme" => value == "light" || value == "dark",
        "range_s" => value.parse::<u32>().is_ok(),
        _ => value.len() <= 64,
    };
    let found = CARRIED.iter().filter_map(kept).filter(known);
    Some(found.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use krakend_api::ManagerRole;

    fn managers() -> Vec<Manager> {
        let one = |at: u32| Manager {
            id: at.to_string(),
            name: format!("manager-{at}"),
            role: ManagerRole::Follower,
            voter: true,
            raft_address: String::new(),
            node_address: String::new(),
            http_address: format!("10.0.0.{at}:9897"),
            version: String::new(),
            matched_index: None,
            behind: None,
        };
        (1..=3).map(one).collect()
    }

    #[test]
    fn the_others_take_turns_and_the_own_one_is_never_asked() {
        let all = managers();
        let asked: Vec<_> = (0..4)
            .map(|turn| next(&all, "10.0.0.2:9897", turn).map(|m| m.name.as_str()))
            .collect();
        let (one, three) = (Some("manager-1"), Some("manager-3"));
        assert_eq!(asked, [one, three, one, three]);
        assert_eq!(next(&all[..1], "10.0.0.1:9897", 0), None);
        assert_eq!(next(&[], "10.0.0.1:9897", 0), None);
    }

    #[test]
    fn a_page_from_a_balancer_is_not_direct() {
        assert!(is_direct(&managers(), "10.0.0.3:9897"));
        assert!(!is_direct(&managers(), "krakend.example.org"));
    }

    #[test]
    fn the_place_and_the_choices_go_along() {
        let kept = |key: &str| match key {
            "theme" => Some("dark".to_owned()),
            "fleet" => Some("edge eu&x".to_owned()),
            _ => None,
        };
        let to = address("https:", &managers()[2], "/nodes?state=down", kept);
        assert_eq!(
            to,
            "https://10.0.0.3:9897/nodes?state=down#followed&theme=dark&fleet=edge%20eu%26x"
        );
        let fragment = to.split_once('#').map(|(_, it)| format!("#{it}"));
        let came = carried(&fragment.unwrap_or_default()).unwrap_or_default();
        assert_eq!(
            came,
            [
                ("theme", "dark".to_owned()),
                ("fleet", "edge eu&x".to_owned())
            ]
        );
    }

    #[test]
    fn a_fragment_of_somebody_else_carries_nothing() {
        assert_eq!(carried(""), None);
        assert_eq!(carried("#sheet"), None);
        let odd = carried("#followed&theme=<b>&range_s=x&token=1");
        assert_eq!(odd, Some(Vec::new()));
    }
}
