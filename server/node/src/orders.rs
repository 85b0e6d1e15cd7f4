//! Whether an order from a manager is obeyed. Pure.

use krakend_domain::Digest;
use krakend_proto::node::Desired;
use krakend_proto::{FieldError, digest_from};

use crate::store::{LastGood, Seen};

/// An order: which version this node shall serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    pub at: Seen,
    /// `None`: the fleet has no version yet.
    pub version: Option<Wanted>,
}

/// A version to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub number: u64,
    pub digest: Digest,
    pub body_sha256: Digest,
    pub size_bytes: u64,
}

impl Order {
    pub fn from_wire(desired: &Desired) -> Result<Self, FieldError> {
        let version = match desired.number {
            0 => None,
            number => Some(Wanted {
                number,
                digest: digest_from("digest", &desired.digest)?,
                body_sha256: digest_from("body_sha256", &desired.body_sha256)?,
                size_bytes: desired.size_bytes,
            }),
        };
        let at = Seen {
            epoch: desired.epoch,
            generation: desired.generation,
        };
        Ok(Self { at, version })
    }
}

/// What the node is at when an order comes.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// The highest order ever taken.
    pub seen: Seen,
    pub last_good: Option<LastGood>,
    /// Whether the gateway serves `last_good` right now.
    pub serving: bool,
    /// The order that the gateway refused last.
    pub refused: Option<Seen>,
}

/// What to do about an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// An older one, whoever sent it.
    Ignore,
    /// Nothing to serve yet.
    Note,
    /// It serves already.
    Acknowledge,
    /// The gateway refused exactly this one.
    RefuseAgain,
    /// The same document under a newer order.
    Renumber,
    /// Download, check, serve.
    Apply,
}

/// Decides about an order from an authenticated session.
pub fn decide(order: &Order, standing: &Standing) -> Decision {
    if order.at < standing.seen {
        return Decision::Ignore;
    }
    let Some(wanted) = &order.version else {
        return Decision::Note;
    };
    if standing.refused == Some(order.at) {
        return Decision::RefuseAgain;
    }
    match &standing.last_good {
        Some(good) if good.digest == wanted.digest && standing.serving => {
            if good.seen() == order.at {
                Decision::Acknowledge
            } else {
                Decision::Renumber
            }
        }
        _ => Decision::Apply,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: u64, generation: u64) -> Seen {
        Seen { epoch, generation }
    }

    fn order(at: Seen, digest: u8) -> Order {
        let version = Wanted {
            number: 1,
            digest: Digest([digest; 32]),
            body_sha256: Digest([0; 32]),
            size_bytes: 2,
        };
        let version = (digest > 0).then_some(version);
        Order { at, version }
    }

    fn standing(seen: Seen, digest: u8) -> Standing {
        let good = LastGood {
            epoch: seen.epoch,
            generation: seen.generation,
            number: 1,
            digest: Digest([digest; 32]),
            body_sha256: Digest([0; 32]),
            rendered: Digest([0; 32]),
        };
        Standing {
            seen,
            last_good: (digest > 0).then_some(good),
            serving: digest > 0,
            refused: None,
        }
    }

    #[test]
    fn a_node_obeys_only_newer_orders() {
        use Decision::*;
        let table = [
            // order, standing, decision
            (order(at(1, 5), 7), standing(at(1, 4), 6), Apply),
            (order(at(1, 3), 7), standing(at(1, 4), 6), Ignore),
            (order(at(1, 9), 7), standing(at(2, 1), 6), Ignore),
            (order(at(2, 1), 7), standing(at(1, 9), 6), Apply),
            (order(at(1, 4), 6), standing(at(1, 4), 6), Acknowledge),
            (order(at(1, 5), 6), standing(at(1, 4), 6), Renumber),
            (order(at(1, 1), 7), standing(at(0, 0), 0), Apply),
            (order(at(1, 0), 0), standing(at(0, 0), 0), Note),
        ];
        for (order, standing, expected) in table {
            assert_eq!(
                decide(&order, &standing),
                expected,
                "{order:?} {standing:?}"
            );
        }
    }

    #[test]
    fn a_refused_order_is_not_tried_again_but_the_next_is() {
        let mut standing = standing(at(1, 5), 6);
        standing.refused = Some(at(1, 5));
        assert_eq!(
            decide(&order(at(1, 5), 7), &standing),
            Decision::RefuseAgain
        );
        assert_eq!(decide(&order(at(1, 6), 7), &standing), Decision::Apply);
    }

    #[test]
    fn an_order_taken_before_a_crash_is_carried_out_after_it() {
        let mut standing = standing(at(1, 5), 6);
        standing.seen = at(1, 6);
        assert_eq!(decide(&order(at(1, 6), 7), &standing), Decision::Apply);
        standing.serving = false;
        assert_eq!(decide(&order(at(1, 6), 6), &standing), Decision::Apply);
    }
}
