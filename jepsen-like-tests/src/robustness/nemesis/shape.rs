use std::collections::BTreeSet;

use crate::robustness::host::Cut;

/// How a network breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Two groups; the victim is in the smaller one.
    Halves,
    /// The victim alone.
    Alone,
    /// Two groups that only the victim connects.
    Bridge,
    /// The victim hears nobody, everybody hears it.
    Deaf,
    /// Nobody hears the victim, it hears everybody.
    Mute,
}

impl Shape {
    pub const ALL: [Self; 5] = [
        Self::Halves,
        Self::Alone,
        Self::Bridge,
        Self::Deaf,
        Self::Mute,
    ];

    /// What is cut among `hosts` hosts.
    pub fn cuts(self, victim: usize, hosts: usize) -> BTreeSet<Cut> {
        let all = || (0..hosts).flat_map(move |from| (0..hosts).map(move |to| (from, to)));
        // Positions counted from the victim, so that groups follow it around the ring.
        let place = |host: usize| (host + hosts - victim) % hosts;
        let cut = |(from, to): &Cut| {
            let (from_place, to_place) = (place(*from), place(*to));
            from != to
                && match self {
                    Self::Halves => (from_place < hosts / 2) != (to_place < hosts / 2),
                    Self::Alone => from_place == 0 || to_place == 0,
                    Self::Bridge => {
                        from_place != 0
                            && to_place != 0
                            && (from_place <= hosts / 2) != (to_place <= hosts / 2)
                    }
                    Self::Deaf => to_place == 0,
                    Self::Mute => from_place == 0,
                }
        };
        all().filter(cut).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bridge_connects_both_sides_and_they_do_not_meet() {
        for hosts in [3, 4, 5] {
            let cuts = Shape::Bridge.cuts(1, hosts);
            assert!(!cuts.is_empty());
            assert!(
                cuts.iter().all(|(from, to)| *from != 1 && *to != 1),
                "{cuts:?}"
            );
        }
        assert_eq!(Shape::Bridge.cuts(0, 3), BTreeSet::from([(1, 2), (2, 1)]));
    }

    #[test]
    fn halves_leave_a_majority_connected() {
        let cuts = Shape::Halves.cuts(2, 5);
        assert_eq!(cuts.len(), 12);
        assert!(!cuts.contains(&(2, 3)) && cuts.contains(&(2, 4)) && cuts.contains(&(4, 2)));
    }

    #[test]
    fn one_way_cuts_are_one_way() {
        assert_eq!(Shape::Deaf.cuts(0, 3), BTreeSet::from([(1, 0), (2, 0)]));
        assert_eq!(Shape::Mute.cuts(0, 3), BTreeSet::from([(0, 1), (0, 2)]));
    }

    #[test]
    fn nobody_is_cut_off_from_itself() {
        for shape in Shape::ALL {
            assert!(shape.cuts(0, 3).iter().all(|(from, to)| from != to));
        }
    }
}
