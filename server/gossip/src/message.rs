use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::hint::{MAX_HINT_BYTES, MAX_MANAGERS, OrderedHint};
use crate::record::Record;

/// Parts into which the digest of a pool is split.
pub(crate) const BUCKETS: usize = 64;

/// What one packet is for. Answers go to the address in the asker's record, so
/// that a replayed question cannot be aimed at a third party.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Message {
    /// Nothing but news.
    News,
    /// "Are you `to`, and alive?" `to` is the tag of an id. The first ping of a
    /// probe does not say who asks: the packet's instance does, to whoever
    /// knows us. That is a third of all traffic.
    Ping {
        seq: u32,
        to: u32,
        from: Option<Record>,
    },
    /// "I am."
    Ack { seq: u32 },
    /// "Ask `to` at `addr` for me."
    PingReq {
        seq: u32,
        to: u32,
        addr: SocketAddr,
        from: Record,
    },
    /// "I have asked, and had no answer": the asker's own way is sound.
    Nack { seq: u32 },
    /// "Who are you? I am `from`."
    Hello { from: Record },
    /// "I am `from`."
    HelloAck { from: Record },
    /// "This is my digest of all who live": answered when the own one differs.
    Compare { from: Record, whole: u64 },
    /// "These are the parts of mine."
    Buckets { from: Record, parts: Vec<u32> },
    /// "Tell me whom you know in these parts."
    Want { from: Record, mask: u64 },
    /// News that answers a comparison: what one member knew, not what happened.
    Known,
    /// "I leave."
    Leave { from: Record },
    /// "I, `from`, have heard that you leave at `bump`, and pass it on."
    LeaveAck {
        #[serde(with = "uuid::serde::compact")]
        from: Uuid,
        bump: u64,
    },
    /// "I have no answer from `to` at `addr`, whatever I tried: have you?"
    Confirm {
        seq: u32,
        to: u32,
        addr: SocketAddr,
        from: Record,
    },
    /// "I have tried as hard, and have none either."
    Doubt { seq: u32 },
}

/// The body of a sealed packet: message | hint, if any | records to the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Body {
    pub(crate) message: Message,
    pub(crate) hint: Option<OrderedHint>,
    pub(crate) records: Vec<Record>,
}

impl Body {
    /// None for anything that is not wholly well formed and within bounds.
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let (message, rest) = postcard::take_from_bytes::<Message>(body).ok()?;
        if let Message::Buckets { parts, .. } = &message
            && parts.len() != BUCKETS
        {
            return None;
        }
        let (hint, mut rest) = postcard::take_from_bytes::<Option<OrderedHint>>(rest).ok()?;
        if let Some(hint) = &hint
            && (hint.hint.managers.len() > MAX_MANAGERS || hint.encode().len() > MAX_HINT_BYTES)
        {
            return None;
        }
        let mut records = Vec::new();
        while !rest.is_empty() {
            let (record, after) = postcard::take_from_bytes(rest).ok()?;
            records.push(record);
            rest = after;
        }
        Some(Self {
            message,
            hint,
            records,
        })
    }
}

/// Puts a body together within a number of bytes.
#[derive(Debug)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
    limit: usize,
}

impl Writer {
    /// A hint that does not fit is left out.
    pub(crate) fn new(message: &Message, hint: Option<&OrderedHint>, limit: usize) -> Self {
        let bytes = postcard::to_stdvec(message).unwrap_or_default();
        let mut writer = Self { bytes, limit };
        let hint = postcard::to_stdvec(&hint).unwrap_or_default();
        if !writer.push(&hint) {
            writer.bytes.push(0);
        }
        writer
    }

    /// False when it does not fit any more.
    pub(crate) fn record(&mut self, record: &Record) -> bool {
        let bytes = postcard::to_stdvec(record).unwrap_or_default();
        self.push(&bytes)
    }

    fn push(&mut self, more: &[u8]) -> bool {
        let fits = self.bytes.len() + more.len() <= self.limit;
        if fits {
            self.bytes.extend_from_slice(more);
        }
        fits
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Identity, Role};
    use crate::record::Claim;

    fn record(id: u128) -> Record {
        let member = Identity {
            id: Uuid::from_u128(id),
            role: Role::Node,
            addr: ([127, 0, 0, 1], 7000).into(),
            bump: 1_800_000_000_000,
        };
        Record::alive(member, u32::MAX).claiming(Claim::Suspect { by: u32::MAX })
    }

    #[test]
    fn a_body_parses_back_and_trailing_bytes_do_not() {
        let message = Message::Ping {
            seq: 7,
            to: 9,
            from: Some(record(1)),
        };
        let hint = OrderedHint::default();
        let mut writer = Writer::new(&message, Some(&hint), 1_000);
        assert!(writer.record(&record(2)));
        let mut bytes = writer.finish();
        let body = Body::parse(&bytes).unwrap();
        assert_eq!((body.message, body.hint), (message, Some(hint)));
        assert_eq!(body.records, [record(2)]);
        bytes.push(0);
        assert_eq!(Body::parse(&bytes), None);
        assert_eq!(Body::parse(&[]), None);
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_the_rest_still_parses() {
        let mut writer = Writer::new(&Message::News, Some(&OrderedHint::default()), 130);
        let fitted = (0..10).take_while(|id| writer.record(&record(*id))).count();
        assert!((2..=4).contains(&fitted), "{fitted}");
        let bytes = writer.finish();
        assert!(bytes.len() <= 130);
        assert_eq!(Body::parse(&bytes).unwrap().records.len(), fitted);
    }

    #[test]
    fn parts_of_a_wrong_number_are_refused() {
        for wrong in [0, BUCKETS - 1, BUCKETS + 1] {
            let parts = vec![1; wrong];
            let from = record(1);
            let bytes = Writer::new(&Message::Buckets { from, parts }, None, 1_000).finish();
            assert_eq!(Body::parse(&bytes), None, "{wrong}");
        }
    }

    #[test]
    fn bytes_by_chance_and_bodies_with_changed_bytes_are_refused_or_read_whole() {
        use rand::rngs::StdRng;
        use rand::{RngExt, SeedableRng};
        let seed = 20_261;
        println!("seed {seed}");
        let mut rng = StdRng::seed_from_u64(seed);
        let from = record(1);
        let parts = (0..BUCKETS as u32).map(|part| part.wrapping_mul(0x9e37_79b9));
        let messages = [
            Message::News,
            Message::Hello { from },
            Message::Buckets {
                from,
                parts: parts.collect(),
            },
            Message::Want { from, mask: 5 },
            Message::Confirm {
                seq: 9,
                to: 7,
                addr: from.addr,
                from,
            },
        ];
        let mut read = 0;
        // For a night; ten million took 14 s.
        let rounds = std::env::var("KRAKEND_GOSSIP_FUZZ_ROUNDS");
        let rounds = rounds.ok().and_then(|it| it.parse().ok());
        for round in 0..rounds.unwrap_or(40_000) {
            let mut bytes = match messages.get(round % 8) {
                Some(message) => {
                    let hint = OrderedHint::default();
                    let mut writer = Writer::new(message, Some(&hint), 1_300);
                    writer.record(&record(round as u128));
                    writer.finish()
                }
                None => vec![0; rng.random_range(0..300)],
            };
            for _ in 0..rng.random_range(1..8) {
                if !bytes.is_empty() {
                    let at = rng.random_range(0..bytes.len());
                    bytes[at] = rng.random();
                }
            }
            bytes.truncate(rng.random_range(0..=bytes.len().max(1)));
            if let Some(body) = Body::parse(&bytes) {
                read += 1;
                let mut again = Writer::new(&body.message, body.hint.as_ref(), 2_000);
                assert!(body.records.iter().all(|it| again.record(it)));
                assert_eq!(Body::parse(&again.finish()), Some(body));
            }
        }
        assert!(read > 100, "only {read} were read: nothing was tested");
    }
}
