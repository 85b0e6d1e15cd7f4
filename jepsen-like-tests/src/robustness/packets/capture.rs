use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use rand::Rng;
use socket2::{Domain, Protocol, Socket, Type};

/// `AF_PACKET` and `ETH_P_ALL` of Linux: what passes the bridge's ports is seen by no ordinary socket.
const AF_PACKET: i32 = 17;
const ETH_P_ALL: u16 = 3;
const GOSSIP_PORT: u16 = 7000;
const UDP: u8 = 17;
/// The newest, and some of all that came before.
const FRESH: usize = 256;
const OLD: usize = 4_096;
const LOOK: Duration = Duration::from_millis(200);

/// A gossip packet that passed by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub from: SocketAddrV4,
    pub to: SocketAddrV4,
    pub payload: Vec<u8>,
}

#[derive(Debug, Default)]
pub struct Store {
    pub fresh: VecDeque<Seen>,
    pub old: Vec<Seen>,
    pub count: u64,
}

/// Records gossip packets until it is dropped.
#[derive(Debug)]
pub struct Capture {
    store: Arc<Mutex<Store>>,
    stop: Arc<AtomicBool>,
}

impl Capture {
    /// Records what passes between hosts whose addresses begin like `net`.
    ///
    /// # Errors
    /// The system allows no such socket.
    pub fn start(net: [u8; 3]) -> Result<Self> {
        let every = Protocol::from(i32::from(ETH_P_ALL.to_be()));
        let socket = Socket::new(Domain::from(AF_PACKET), Type::DGRAM, Some(every));
        let mut socket = socket.context("open a socket that sees packets")?;
        socket.set_read_timeout(Some(LOOK))?;
        let (store, stop) = (Arc::<Mutex<Store>>::default(), Arc::<AtomicBool>::default());
        let (to, over) = (store.clone(), stop.clone());
        std::thread::Builder::new()
            .name("capture".into())
            .spawn(move || {
                let mut buffer = [0; 2_048];
                while !over.load(Ordering::SeqCst) {
                    match socket.read(&mut buffer) {
                        Ok(length) => {
                            if let Some(seen) = gossip(&buffer[..length], net) {
                                lock(&to).keep(seen);
                            }
                        }
                        Err(error) if is_silence(error.kind()) => {}
                        Err(error) => {
                            eprintln!("packets are recorded no longer: {error}");
                            return;
                        }
                    }
                }
            })?;
        Ok(Self { store, stop })
    }

    /// What it has.
    pub fn with<T>(&self, look: impl FnOnce(&Store) -> T) -> T {
        look(&lock(&self.store))
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

impl Store {
    fn keep(&mut self, seen: Seen) {
        // Each passes two ports of the bridge.
        if self.fresh.iter().rev().take(64).any(|it| *it == seen) {
            return;
        }
        self.count += 1;
        self.fresh.push_back(seen);
        if self.fresh.len() <= FRESH {
            return;
        }
        let Some(seen) = self.fresh.pop_front() else {
            return;
        };
        if self.old.len() < OLD {
            self.old.push(seen);
        } else {
            // Of all that ever passed, each is kept as likely as any other.
            let at = rand::rng().random_range(0..self.count);
            if let Some(place) = usize::try_from(at).ok().and_then(|at| self.old.get_mut(at)) {
                *place = seen;
            }
        }
    }
}

fn lock(store: &Mutex<Store>) -> std::sync::MutexGuard<'_, Store> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_silence(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

/// The gossip packet in an IPv4 packet between two hosts of the net.
fn gossip(packet: &[u8], net: [u8; 3]) -> Option<Seen> {
    let first = *packet.first()?;
    let header = usize::from(first & 15) * 4;
    if first >> 4 != 4 || *packet.get(9)? != UDP {
        return None;
    }
    let address = |at: usize| -> Option<Ipv4Addr> {
        let bytes: [u8; 4] = packet.get(at..at + 4)?.try_into().ok()?;
        (bytes[..3] == net).then(|| Ipv4Addr::from(bytes))
    };
    let udp = packet.get(header..)?;
    let number = |at: usize| Some(u16::from_be_bytes(udp.get(at..at + 2)?.try_into().ok()?));
    let from = SocketAddrV4::new(address(12)?, number(0)?);
    let to = SocketAddrV4::new(address(16)?, number(2)?);
    let payload = udp.get(8..usize::from(number(4)?))?;
    // What we have sent ourselves comes from no gossip port.
    (from.port() == GOSSIP_PORT && to.port() == GOSSIP_PORT && !payload.is_empty()).then(|| Seen {
        from,
        to,
        payload: payload.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(from_port: u16, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45; 20];
        packet[9] = UDP;
        packet[12..20].copy_from_slice(&[198, 18, 3, 1, 198, 18, 3, 2]);
        packet.extend(from_port.to_be_bytes());
        packet.extend(7000_u16.to_be_bytes());
        packet.extend((8 + payload.len() as u16).to_be_bytes());
        packet.extend([0, 0]);
        packet.extend(payload);
        packet
    }

    #[test]
    fn a_gossip_packet_is_recorded_and_nothing_else() {
        let net = [198, 18, 3];
        let seen = gossip(&packet(7000, b"KG2"), net).expect("gossip");
        assert_eq!(seen.payload, b"KG2");
        assert_eq!(seen.to, "198.18.3.2:7000".parse().expect("an address"));
        assert_eq!(gossip(&packet(40_000, b"KG2"), net), None, "our own");
        assert_eq!(gossip(&packet(7000, b""), net), None);
        assert_eq!(gossip(&packet(7000, b"KG2"), [198, 18, 4]), None);
        let whole = packet(7000, b"KG2");
        for length in 0..whole.len() {
            assert_eq!(gossip(&whole[..length], net), None, "{length}");
        }
    }

    #[test]
    fn what_passes_is_kept_once_and_within_bounds() {
        let mut store = Store::default();
        for number in 0..10_000_u32 {
            let seen = gossip(&packet(7000, &number.to_be_bytes()), [198, 18, 3]);
            let seen = seen.expect("gossip");
            store.keep(seen.clone());
            store.keep(seen);
        }
        assert_eq!(store.count, 10_000);
        assert_eq!((store.fresh.len(), store.old.len()), (FRESH, OLD));
    }
}
