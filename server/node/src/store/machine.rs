use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use krakend_domain::Digest;

/// Which machine a data directory belongs to, as digests: what the installation and the (virtual) hardware call themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    installation: Option<Digest>,
    hardware: Option<Digest>,
}

impl Machine {
    /// This one. Only root may read what the hardware calls itself.
    pub fn this() -> Self {
        Self::named(
            read("/etc/machine-id").as_deref(),
            read("/sys/class/dmi/id/product_uuid").as_deref(),
        )
    }

    pub(super) fn named(installation: Option<&str>, hardware: Option<&str>) -> Self {
        let digest = |use_: &str, text: &str| {
            let mut hash = Sha256::new();
            // The id itself must not become known.
            hash.update(b"krakend-node data directory ");
            hash.update(use_.as_bytes());
            hash.update(text.as_bytes());
            Digest(hash.finalize().into())
        };
        Self {
            installation: installation.map(|text| digest("installation ", text)),
            hardware: hardware.map(|text| digest("hardware ", text)),
        }
    }

    /// Whether this is certainly another machine. What only one of the two knows proves nothing.
    pub fn differs(&self, other: &Self) -> bool {
        let differ = |a: &Option<Digest>, b: &Option<Digest>| {
            a.as_ref().zip(b.as_ref()).is_some_and(|(a, b)| a != b)
        };
        differ(&self.installation, &other.installation) || differ(&self.hardware, &other.hardware)
    }

    /// Fills in what is not known yet.
    pub fn or(self, other: Self) -> Self {
        Self {
            installation: self.installation.or(other.installation),
            hardware: self.hardware.or(other.hardware),
        }
    }
}

fn read(path: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let text = text.trim();
    // An image that is not set up yet.
    (!text.is_empty() && text != "uninitialized").then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_both_know_tells_machines_apart() {
        let named = Machine::named;
        let table = [
            (
                named(Some("a"), Some("x")),
                named(Some("a"), Some("x")),
                false,
            ),
            (
                named(Some("a"), Some("x")),
                named(Some("b"), Some("x")),
                true,
            ),
            (
                named(Some("a"), Some("x")),
                named(Some("a"), Some("y")),
                true,
            ),
            (named(Some("a"), None), named(Some("a"), Some("y")), false),
            (named(None, None), named(Some("a"), Some("y")), false),
            (named(Some("a"), None), named(None, Some("a")), false),
        ];
        for (at, (one, other, expected)) in table.into_iter().enumerate() {
            assert_eq!(one.differs(&other), expected, "{at}");
            assert_eq!(other.differs(&one), expected, "{at}");
        }
    }
}
