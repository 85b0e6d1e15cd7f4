//! Engines on a simulated network: delay, loss and deaths, all from one seed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;

use krakend_gossip::{
    Config, Engine, Identity, Key, KeyRing, MemberEvent, MemberState, Role, Start,
};
use rand010::rngs::StdRng;
use rand010::{RngExt, SeedableRng};

/// A virtual millisecond apart from the next one is all that order needs.
type At = Reverse<(u64, u64, usize)>;

pub struct World {
    pub now: u64,
    pub engines: Vec<Option<Engine>>,
    /// Who declared whom down and when: (time, observer, member).
    pub downs: Vec<(u64, usize, usize)>,
    pub packets: u64,
    pub bytes: u64,
    loss: f64,
    polls: BinaryHeap<At>,
    due: Vec<u64>,
    flying: BinaryHeap<At>,
    cargo: Vec<Option<(usize, Vec<u8>)>>,
    free: Vec<usize>,
    sequence: u64,
    rng: StdRng,
}

fn addr_of(index: usize) -> SocketAddr {
    let [_, _, high, low] = u32::try_from(index + 1).unwrap_or(0).to_be_bytes();
    ([10, 0, high, low], 7000).into()
}

fn index_of(addr: SocketAddr) -> usize {
    match addr.ip() {
        std::net::IpAddr::V4(ip) => u32::from(ip) as usize % (1 << 16) - 1,
        std::net::IpAddr::V6(_) => 0,
    }
}

fn identity(index: usize, bump: u64) -> Identity {
    Identity {
        id: uuid::Uuid::from_u128(index as u128 + 1),
        role: if index < 3 { Role::Manager } else { Role::Node },
        addr: addr_of(index),
        bump,
    }
}

impl World {
    /// A pool in which everybody knows everybody.
    pub fn new(members: usize, loss: f64, seed: u64) -> Self {
        let mut world = Self {
            now: 0,
            engines: Vec::new(),
            downs: Vec::new(),
            packets: 0,
            bytes: 0,
            loss,
            polls: BinaryHeap::new(),
            due: vec![u64::MAX; members],
            flying: BinaryHeap::new(),
            cargo: Vec::new(),
            free: Vec::new(),
            sequence: 0,
            rng: StdRng::seed_from_u64(seed),
        };
        let all: Vec<(Identity, u64)> = (0..members)
            .map(|index| (identity(index, 1_000_000), world.rng.random()))
            .collect();
        for (member, instance) in &all {
            let mut engine = world.engine(*member, *instance);
            engine.assume(&all);
            world.engines.push(Some(engine));
        }
        for index in 0..members {
            world.schedule(index);
        }
        world
    }

    fn engine(&mut self, identity: Identity, instance: u64) -> Engine {
        let keys = KeyRing::new(vec![Key::new([1; 32])]).expect("one key is a ring");
        let start = Start {
            identity,
            keys,
            config: Config::lan(),
            seed: self.rng.random(),
            instance,
            now_ms: self.now,
        };
        Engine::new(start).expect("the default settings fit")
    }

    pub fn random_member(&mut self) -> usize {
        self.rng.random_range(0..self.engines.len())
    }

    pub fn kill(&mut self, index: usize) {
        self.engines[index] = None;
    }

    /// Starts a member again; it joins through another one.
    pub fn revive(&mut self, index: usize) {
        let instance = self.rng.random();
        let engine = self.engine(identity(index, 1_000_000 + self.now), instance);
        self.engines[index] = Some(engine);
        let seed = (index + 1) % self.engines.len();
        self.act(index, |engine, now| engine.join(now, &[addr_of(seed)]));
    }

    pub fn living(&self) -> usize {
        self.engines.iter().flatten().count()
    }

    pub fn run(&mut self, for_ms: u64) {
        let until = self.now + for_ms;
        while self.step(until) {}
    }

    /// One event; false when the next one is later.
    pub fn step(&mut self, until: u64) -> bool {
        let poll = self.polls.peek().map_or(u64::MAX, |Reverse((at, ..))| *at);
        let packet = self.flying.peek().map_or(u64::MAX, |Reverse((at, ..))| *at);
        if poll.min(packet) > until {
            self.now = until;
            return false;
        }
        if packet <= poll {
            let Some(Reverse((at, _, slot))) = self.flying.pop() else {
                return false;
            };
            self.now = self.now.max(at);
            if let Some((to, bytes)) = self.cargo[slot].take() {
                self.free.push(slot);
                self.act(to, |engine, now| engine.handle_packet(now, &bytes));
            }
            return true;
        }
        let Some(Reverse((at, _, index))) = self.polls.pop() else {
            return false;
        };
        if self.due[index] == at {
            self.due[index] = u64::MAX;
            self.now = self.now.max(at);
            self.act(index, |engine, now| engine.poll(now));
        }
        true
    }

    fn act(&mut self, index: usize, act: impl FnOnce(&mut Engine, u64)) {
        let now = self.now;
        let Some(engine) = &mut self.engines[index] else {
            return;
        };
        act(engine, now);
        let output = engine.take_output();
        for event in output.events {
            self.note(index, event);
        }
        for (to, packet) in output.packets {
            self.packets += 1;
            self.bytes += packet.len() as u64;
            if !self.rng.random_bool(self.loss) {
                self.fly(index_of(to), packet.to_vec());
            }
        }
        self.schedule(index);
    }

    fn note(&mut self, observer: usize, event: MemberEvent) {
        if event.state == MemberState::Down {
            let member = event.id.as_u128() as usize - 1;
            self.downs.push((self.now, observer, member));
        }
    }

    fn fly(&mut self, to: usize, bytes: Vec<u8>) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.cargo.push(None);
            self.cargo.len() - 1
        });
        self.cargo[slot] = Some((to, bytes));
        self.sequence += 1;
        let at = self.now + self.rng.random_range(1..=5);
        self.flying.push(Reverse((at, self.sequence, slot)));
    }

    fn schedule(&mut self, index: usize) {
        let Some(engine) = &self.engines[index] else {
            return;
        };
        let next = engine.next_deadline_ms();
        if next < self.due[index] {
            self.due[index] = next;
            self.sequence += 1;
            self.polls.push(Reverse((next, self.sequence, index)));
        }
    }
}
