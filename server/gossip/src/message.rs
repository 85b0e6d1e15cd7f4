use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::hint::OrderedHint;
use crate::identity::Identity;
use crate::seal::MAX_BODY_BYTES;

/// What foca may fill: one byte says that it is foca's.
pub(crate) const MAX_FOCA_BYTES: usize = MAX_BODY_BYTES - 1;

const FOCA: u8 = 0;
const CONTROL: u8 = 1;

/// The body of a sealed packet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Body<'a> {
    Foca(&'a [u8]),
    Control(Control),
}

/// What SWIM leaves out: meeting a member of whom only the address is known,
/// and leaving with certainty. Answers go to the address in the identity, so
/// that a replayed question cannot be aimed at a third party.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Control {
    /// "Who are you? I am `from`."
    Hello { from: Identity },
    /// "I am `from`; the newest life of yours I know of is `your_bump`."
    HelloAck {
        from: Identity,
        your_bump: Option<u64>,
        hint: OrderedHint,
    },
    /// "I suspect your `life` at this incarnation: speak, or be down."
    Suspected {
        from: Identity,
        life: Identity,
        incarnation: u16,
    },
    /// "This life of mine ends now."
    Leave { from: Identity },
    /// "I, `from`, have heard that the life `bump` of yours ends, and pass it on."
    LeaveAck { from: Uuid, bump: u64 },
}

impl<'a> Body<'a> {
    pub(crate) fn foca(data: &[u8]) -> Vec<u8> {
        let mut body = Vec::with_capacity(data.len() + 1);
        body.push(FOCA);
        body.extend_from_slice(data);
        body
    }

    pub(crate) fn control(control: &Control) -> Vec<u8> {
        postcard::to_extend(control, vec![CONTROL]).unwrap_or_default()
    }

    pub(crate) fn parse(body: &'a [u8]) -> Option<Self> {
        match body.split_first()? {
            (&FOCA, data) => Some(Self::Foca(data)),
            (&CONTROL, data) => match postcard::take_from_bytes(data).ok()? {
                (control, []) => Some(Self::Control(control)),
                _ => None,
            },
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Role;

    #[test]
    fn control_messages_parse_back_and_trailing_bytes_do_not() {
        let from = Identity {
            id: Uuid::from_u128(7),
            role: Role::Node,
            addr: ([127, 0, 0, 1], 7000).into(),
            bump: 9,
        };
        let hello = Control::HelloAck {
            from,
            your_bump: Some(3),
            hint: OrderedHint::default(),
        };
        let mut body = Body::control(&hello);
        assert_eq!(Body::parse(&body), Some(Body::Control(hello)));
        body.push(0);
        assert_eq!(Body::parse(&body), None);
        assert_eq!(Body::parse(&[]), None);
        assert_eq!(Body::parse(&[9, 9]), None);
    }
}
