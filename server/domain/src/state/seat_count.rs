use imbl::OrdMap;

use crate::{Millis, Seat};

/// How many seats are taken, kept up to date with each change of a node. Derived from the nodes: no record of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SeatCount {
    held: u32,
    /// Seats kept for nodes that were stopped, by the time at which they get free.
    held_until: OrdMap<Millis, u32>,
}

impl SeatCount {
    /// A node's seat before and after a change; none where there is no node.
    pub(crate) fn replace(&mut self, before: Option<Seat>, after: Option<Seat>) {
        if before == after {
            return;
        }
        match before {
            Some(Seat::Held) => self.held -= 1,
            Some(Seat::HeldUntil(until)) => {
                let left = self.held_until.get(&until).map_or(0, |count| count - 1);
                match left {
                    0 => self.held_until.remove(&until),
                    left => self.held_until.insert(until, left),
                };
            }
            Some(Seat::Free) | None => {}
        }
        match after {
            Some(Seat::Held) => self.held += 1,
            Some(Seat::HeldUntil(until)) => *self.held_until.entry(until).or_default() += 1,
            Some(Seat::Free) | None => {}
        }
    }

    /// Looks at the seats of stopped nodes only, of which there are those of the last minutes.
    pub(crate) fn taken(&self, now: Millis) -> u32 {
        let after = now.saturating_add(1);
        let kept: u32 = self.held_until.range(after..).map(|(_, count)| count).sum();
        self.held + kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_seat_counts_until_its_time_and_several_may_have_the_same() {
        let mut count = SeatCount::default();
        for seat in [
            Seat::Held,
            Seat::HeldUntil(5),
            Seat::HeldUntil(5),
            Seat::HeldUntil(9),
            Seat::Free,
        ] {
            count.replace(None, Some(seat));
        }
        assert_eq!([4, 5, 8, 9].map(|now| count.taken(now)), [4, 2, 2, 1]);
        count.replace(Some(Seat::HeldUntil(5)), Some(Seat::Held));
        count.replace(Some(Seat::HeldUntil(9)), None);
        assert_eq!([4, 5].map(|now| count.taken(now)), [3, 2]);
        count.replace(Some(Seat::HeldUntil(5)), Some(Seat::Free));
        assert!(count.held_until.is_empty());
    }
}
