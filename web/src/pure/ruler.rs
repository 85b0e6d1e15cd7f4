//! The log ruler: all managers on one axis of log indexes.

use krakend_api::Manager;

use super::format;

/// Where one manager's log ends, in shares of the ruler from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mark {
    /// Everything left of it is on the manager's disk.
    pub has: f64,
    /// Where the leader's log ends.
    pub end: f64,
}

/// The axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ruler {
    pub from: u64,
    pub to: u64,
    /// The newest entry.
    pub last: u64,
}

/// Entries that the axis shows at least.
const LEAST: u64 = 100;
const HEADROOM: f64 = 0.045;

impl Ruler {
    /// An axis on which the slowest living manager's end is well inside.
    #[must_use]
    pub fn of(managers: &[Manager], applied: u64) -> Self {
        let known = || managers.iter().filter_map(|m| m.matched_index);
        let last = known().max().unwrap_or(applied).max(applied);
        let behind = known().map(|i| last - i).max().unwrap_or(0);
        let span = (behind as f64 * 1.7).max(LEAST as f64);
        // Round, so that it does not twitch with each entry.
        let unit = 10u64.pow((span.log10() as u32).saturating_sub(1));
        let span = (span as u64).div_ceil(unit) * unit;
        let from = (last.saturating_sub(span) / unit) * unit;
        let room = ((last - from) as f64 * HEADROOM).ceil() as u64;
        Self {
            from,
            to: last + room.max(1),
            last,
        }
    }

    fn share(&self, index: u64) -> f64 {
        let index = index.clamp(self.from, self.to);
        (index - self.from) as f64 / (self.to - self.from).max(1) as f64
    }

    /// The bar of a manager whose log ends at `index`.
    #[must_use]
    pub fn mark(&self, index: u64) -> Mark {
        Mark {
            has: self.share(index),
            end: self.share(self.last),
        }
    }

    /// Indexes to write above the bars, with their shares.
    #[must_use]
    pub fn ticks(&self) -> Vec<(f64, String)> {
        let step = ((self.last - self.from) / 4).max(1);
        (0..3)
            .map(|n| self.from + n * step)
            .map(|index| (self.share(index), format::integer(index)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use krakend_api::ManagerRole;

    fn manager(matched: Option<u64>) -> Manager {
        Manager {
            id: String::new(),
            name: String::new(),
            role: ManagerRole::Follower,
            voter: true,
            raft_address: String::new(),
            node_address: String::new(),
            http_address: String::new(),
            version: String::new(),
            matched_index: matched,
            behind: None,
        }
    }

    #[test]
    fn the_slowest_is_inside_and_the_newest_nearly_at_the_end() {
        let managers = [manager(Some(1_842_031)), manager(Some(1_841_918))];
        let ruler = Ruler::of(&managers, 1_842_031);
        let slow = ruler.mark(1_841_918);
        assert!(slow.has > 0.2 && slow.has < 0.6, "{slow:?}");
        assert!(slow.end > 0.93 && slow.end < 1.0, "{slow:?}");
        assert_eq!(ruler.ticks().len(), 3);
    }

    #[test]
    fn a_young_group_and_unknown_indexes_still_have_an_axis() {
        let ruler = Ruler::of(&[manager(None)], 7);
        assert_eq!((ruler.from, ruler.last), (0, 7));
        assert!(ruler.mark(7).has > 0.8);
        let empty = Ruler::of(&[], 0);
        assert!(empty.mark(0).has.is_finite());
    }
}
