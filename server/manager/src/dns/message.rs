//! DNS messages (RFC 1035), as far as one question and its answer need them. Pure.

use std::net::IpAddr;

/// Longest name on the wire, and longest label (RFC 1035, 2.3.4).
const MAX_NAME: usize = 255;
const MAX_LABEL: usize = 63;
/// What everybody takes over UDP without EDNS.
const PLAIN_BYTES: usize = 512;
const HEADER: usize = 12;
/// The question's name, which every answer is about.
const POINTER_TO_QUESTION: [u8; 2] = [0xC0, HEADER as u8];

pub const A: u16 = 1;
pub const AAAA: u16 = 28;
pub const SRV: u16 = 33;
const OPT: u16 = 41;
pub const ANY: u16 = 255;
const IN: u16 = 1;

/// What became of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    NoError = 0,
    Malformed = 1,
    NoSuchName = 3,
    Refused = 5,
}

/// One question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    id: u16,
    recursion_desired: bool,
    /// Lower-case labels.
    pub labels: Vec<String>,
    pub kind: u16,
    /// The question as it came, which an answer repeats.
    raw: Vec<u8>,
    /// The longest answer that the asker takes over UDP.
    pub max_bytes: usize,
}

/// One record of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    Address(IpAddr),
    /// A port on a host, and the host's address beside it.
    Service {
        port: u16,
        target: Vec<String>,
        address: IpAddr,
    },
}

/// An answer to one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub code: Code,
    pub records: Vec<Record>,
    /// Seconds for which it may be kept.
    pub ttl_s: u32,
}

/// What came is no question that can be answered. With its first bytes it can be told so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl Question {
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let word = |at: usize| -> Result<u16, Malformed> {
            let pair = bytes.get(at..at + 2).ok_or(Malformed)?;
            Ok(u16::from_be_bytes([pair[0], pair[1]]))
        };
        let flags = word(2)?;
        let is_answer = flags & 0x8000 != 0;
        let is_query = flags & 0x7800 == 0;
        if is_answer || !is_query || word(4)? != 1 || word(6)? != 0 {
            return Err(Malformed);
        }
        let (labels, end) = name(bytes, HEADER)?;
        let kind = word(end)?;
        if word(end + 2)? != IN {
            return Err(Malformed);
        }
        let raw = bytes[HEADER..end + 4].to_vec();
        // The first additional record of a question is EDNS (RFC 6891); whoever has none takes 512 bytes.
        let edns = word(10)? > 0 && bytes.get(end + 4) == Some(&0) && word(end + 5) == Ok(OPT);
        let max_bytes = match edns {
            true => usize::from(word(end + 7)?).max(PLAIN_BYTES),
            false => PLAIN_BYTES,
        };
        Ok(Self {
            id: word(0)?,
            recursion_desired: flags & 0x0100 != 0,
            labels,
            kind,
            raw,
            max_bytes,
        })
    }
}

/// Labels of a name without pointers, and where it ends.
fn name(bytes: &[u8], mut at: usize) -> Result<(Vec<String>, usize), Malformed> {
    let begin = at;
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*bytes.get(at).ok_or(Malformed)?);
        at += 1;
        if length == 0 {
            return Ok((labels, at));
        }
        if length > MAX_LABEL || at + length - begin > MAX_NAME {
            return Err(Malformed);
        }
        let label = bytes.get(at..at + length).ok_or(Malformed)?;
        let label = std::str::from_utf8(label).map_err(|_| Malformed)?;
        labels.push(label.to_ascii_lowercase());
        at += length;
    }
}

/// Tells the sender of something unreadable so; nothing when not even that is possible.
pub fn malformed(bytes: &[u8]) -> Option<Vec<u8>> {
    let id = bytes.get(..2)?;
    // An answer to an answer could go on for ever.
    if bytes.get(2)? & 0x80 != 0 {
        return None;
    }
    let mut out = id.to_vec();
    out.extend([0x80, Code::Malformed as u8]);
    out.extend([0; 8]);
    Some(out)
}

impl Answer {
    /// The message; records that `limit` has no room for are left out and the answer is marked as cut, so that the asker
    /// comes again over TCP.
    pub fn write(&self, question: &Question, limit: usize) -> Vec<u8> {
        let mut out = question.id.to_be_bytes().to_vec();
        let desired = if question.recursion_desired { 0x01 } else { 0 };
        // An answer, authoritative.
        out.extend([0x84 | desired, self.code as u8]);
        out.extend([0, 1, 0, 0, 0, 0, 0, 0]);
        out.extend(&question.raw);
        let mut answers: u16 = 0;
        let mut hosts = Vec::new();
        for record in &self.records {
            let (answer, host) = self.record(record);
            let room = limit.saturating_sub(out.len() + hosts.len());
            if answer.len() + host.len() > room {
                out[2] |= 0x02;
                break;
            }
            out.extend(answer);
            hosts.extend(host);
            answers += 1;
        }
        let additional = if hosts.is_empty() { 0 } else { answers };
        out.extend(hosts);
        out[6..8].copy_from_slice(&answers.to_be_bytes());
        out[10..12].copy_from_slice(&additional.to_be_bytes());
        out
    }

    /// A record, and the address of its host.
    fn record(&self, record: &Record) -> (Vec<u8>, Vec<u8>) {
        match record {
            Record::Address(address) => (self.address(&POINTER_TO_QUESTION, *address), Vec::new()),
            Record::Service {
                port,
                target,
                address,
            } => {
                let target = wire_name(target);
                // All nodes alike: priority 1, weight 10.
                let mut data = vec![0, 1, 0, 10];
                data.extend(port.to_be_bytes());
                data.extend(&target);
                let answer = self.resource(&POINTER_TO_QUESTION, SRV, &data);
                (answer, self.address(&target, *address))
            }
        }
    }

    fn address(&self, name: &[u8], address: IpAddr) -> Vec<u8> {
        match address {
            IpAddr::V4(ip) => self.resource(name, A, &ip.octets()),
            IpAddr::V6(ip) => self.resource(name, AAAA, &ip.octets()),
        }
    }

    fn resource(&self, name: &[u8], kind: u16, data: &[u8]) -> Vec<u8> {
        let mut out = name.to_vec();
        out.extend(kind.to_be_bytes());
        out.extend(IN.to_be_bytes());
        out.extend(self.ttl_s.to_be_bytes());
        out.extend((data.len() as u16).to_be_bytes());
        out.extend(data);
        out
    }
}

fn wire_name(labels: &[String]) -> Vec<u8> {
    let mut out = Vec::new();
    for label in labels {
        // Ours are checked when they are made: ids and names of fleets.
        out.push(label.len().min(MAX_LABEL) as u8);
        out.extend(label.bytes().take(MAX_LABEL));
    }
    out.push(0);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(labels: &[&str], kind: u16, edns: Option<u16>) -> Vec<u8> {
        let mut out = vec![
            0xAB,
            0xCD,
            0x01,
            0,
            0,
            1,
            0,
            0,
            0,
            0,
            0,
            u8::from(edns.is_some()),
        ];
        let labels: Vec<_> = labels.iter().map(|it| (*it).to_owned()).collect();
        out.extend(wire_name(&labels));
        out.extend(kind.to_be_bytes());
        out.extend(IN.to_be_bytes());
        if let Some(size) = edns {
            out.push(0);
            out.extend(OPT.to_be_bytes());
            out.extend(size.to_be_bytes());
            out.extend([0; 6]);
        }
        out
    }

    fn services(count: u8) -> Answer {
        let record = |number| Record::Service {
            port: 8080,
            target: vec![format!("node-{number}"), "nodes".into()],
            address: IpAddr::from([10, 0, 0, number]),
        };
        Answer {
            code: Code::NoError,
            records: (0..count).map(record).collect(),
            ttl_s: 1,
        }
    }

    #[test]
    fn a_question_is_read_and_its_answer_repeats_it() {
        let bytes = asked(&["_Gateway", "_tcp", "default"], SRV, Some(8_192));
        let question = Question::read(&bytes).expect("a question");
        assert_eq!(question.labels, ["_gateway", "_tcp", "default"]);
        assert_eq!((question.kind, question.max_bytes), (SRV, 8_192));
        let out = services(2).write(&question, question.max_bytes);
        assert_eq!(&out[..4], [0xAB, 0xCD, 0x85, 0]);
        assert_eq!(&out[4..12], [0, 1, 0, 2, 0, 0, 0, 2]);
        assert!(out[12..].starts_with(&question.raw));
        // The last octets are the last host's address.
        assert_eq!(&out[out.len() - 4..], [10, 0, 0, 1]);
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_said_so() {
        let bytes = asked(&["a"], SRV, None);
        let question = Question::read(&bytes).expect("a question");
        assert_eq!(question.max_bytes, PLAIN_BYTES);
        let out = services(100).write(&question, question.max_bytes);
        assert!(out.len() <= PLAIN_BYTES);
        assert_eq!(out[2] & 0x02, 0x02, "cut");
        let whole = services(100).write(&question, usize::from(u16::MAX));
        assert_eq!(whole[2] & 0x02, 0);
        assert_eq!(&whole[6..8], [0, 100]);
    }

    #[test]
    fn no_prefix_and_no_flipped_byte_of_a_question_does_harm() {
        let bytes = asked(&["_gateway", "_tcp", "default"], SRV, Some(1_232));
        for length in 0..bytes.len() {
            let _ = Question::read(&bytes[..length]);
            let _ = malformed(&bytes[..length]);
        }
        for at in 0..bytes.len() {
            for flip in 1..=255 {
                let mut bytes = bytes.clone();
                bytes[at] ^= flip;
                if let Ok(question) = Question::read(&bytes) {
                    let limit = question.max_bytes;
                    assert!(services(200).write(&question, limit).len() <= limit.max(600));
                }
            }
        }
        let mut answer = bytes;
        answer[2] |= 0x80;
        assert!(Question::read(&answer).is_err());
        assert_eq!(malformed(&answer), None, "no answer to an answer");
    }
}
