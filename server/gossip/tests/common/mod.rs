//! A network in virtual time: engines, delay, loss and cuts, all from one seed.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;

use krakend_gossip::{
    Config, Engine, Identity, Key, KeyRing, MAX_PACKET_BYTES, Member, MemberEvent, MemberState,
    Role, Start,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use uuid::Uuid;

pub fn ring(bytes: &[u8]) -> KeyRing {
    KeyRing::new(bytes.iter().map(|b| Key::new([*b; 32])).collect()).unwrap()
}

pub fn addr_of(index: usize) -> SocketAddr {
    let [_, _, high, low] = (index as u32 + 1).to_be_bytes();
    ([10, 0, high, low], 7000).into()
}

pub fn id_of(index: usize) -> Uuid {
    Uuid::from_u128(index as u128 + 1)
}

pub struct Sim {
    pub now: u64,
    pub engines: Vec<Option<Engine>>,
    pub events: Vec<Vec<(u64, MemberEvent)>>,
    pub loss: f64,
    /// Every packet is delivered this many times.
    pub copies: u64,
    pub cut: HashSet<(usize, usize)>,
    pub frozen: HashSet<usize>,
    pub packets: u64,
    pub bytes: u64,
    queue: BTreeMap<(u64, u64), (usize, Vec<u8>)>,
    sequence: u64,
    rng: StdRng,
    seed: u64,
}

impl Sim {
    pub fn new(members: usize, seed: u64) -> Self {
        println!("seed {seed}");
        let mut sim = Self {
            now: 0,
            engines: Vec::new(),
            events: Vec::new(),
            loss: 0.0,
            copies: 1,
            cut: HashSet::new(),
            frozen: HashSet::new(),
            packets: 0,
            bytes: 0,
            queue: BTreeMap::new(),
            sequence: 0,
            rng: StdRng::seed_from_u64(seed),
            seed,
        };
        for index in 0..members {
            sim.engines.push(None);
            sim.events.push(Vec::new());
            sim.start(index, 1_000_000);
        }
        sim
    }

    /// A pool in which everybody knows everybody.
    pub fn joined(members: usize, seed: u64) -> Self {
        let mut sim = Self::new(members, seed);
        for index in 1..members {
            sim.join(index, 0);
        }
        let took = sim.run_until(60_000, Sim::all_see_all);
        assert!(took.is_some(), "seed {seed}: {}", sim.describe());
        sim
    }

    pub fn start(&mut self, index: usize, bump: u64) {
        self.start_as(index, id_of(index), bump);
    }

    pub fn start_as(&mut self, index: usize, id: Uuid, bump: u64) {
        let role = if index < 3 { Role::Manager } else { Role::Node };
        let start = Start {
            identity: Identity {
                id,
                role,
                addr: addr_of(index),
                bump,
            },
            keys: ring(&[1]),
            config: Config::lan(),
            seed: self.seed ^ (index as u64) << 32 ^ self.now,
            instance: self.rng.random(),
            now_ms: self.now,
        };
        self.engines[index] = Some(Engine::new(start).unwrap());
        self.events[index].clear();
    }

    pub fn kill(&mut self, index: usize) {
        self.engines[index] = None;
    }

    pub fn act(&mut self, index: usize, act: impl FnOnce(&mut Engine, u64)) {
        let now = self.now;
        act(self.engines[index].as_mut().unwrap(), now);
        self.drain(index);
    }

    pub fn join(&mut self, index: usize, seed: usize) {
        self.act(index, |engine, now| engine.join(now, &[addr_of(seed)]));
    }

    pub fn split(&mut self, left: &[usize], right: &[usize]) {
        for l in left {
            for r in right {
                self.cut.insert((*l, *r));
                self.cut.insert((*r, *l));
            }
        }
    }

    fn drain(&mut self, index: usize) {
        let Some(engine) = &mut self.engines[index] else {
            return;
        };
        let output = engine.take_output();
        for event in output.events {
            self.events[index].push((self.now, event));
        }
        for (to, packet) in output.packets {
            assert!(packet.len() <= MAX_PACKET_BYTES, "{} bytes", packet.len());
            self.packets += 1;
            self.bytes += packet.len() as u64;
            let Some(to) = (0..self.engines.len()).find(|i| addr_of(*i) == to) else {
                continue;
            };
            for _ in 0..self.copies {
                if self.cut.contains(&(index, to)) || self.rng.random_bool(self.loss) {
                    continue;
                }
                self.sequence += 1;
                let at = self.now + self.rng.random_range(1..=5);
                self.queue
                    .insert((at, self.sequence), (to, packet.to_vec()));
            }
        }
    }

    fn next_poll(&self) -> Option<(u64, usize)> {
        let running = self.engines.iter().enumerate();
        running
            .filter(|(index, _)| !self.frozen.contains(index))
            .filter_map(|(index, e)| e.as_ref().map(|e| (e.next_deadline_ms(), index)))
            .min()
    }

    fn step(&mut self, until: u64) -> bool {
        let packet_at = self.queue.keys().next().map_or(u64::MAX, |(at, _)| *at);
        let (poll_at, index) = self.next_poll().unwrap_or((u64::MAX, 0));
        let at = packet_at.min(poll_at).max(self.now);
        if at > until {
            self.now = until;
            return false;
        }
        self.now = at;
        if poll_at < packet_at {
            self.act(index, |engine, now| engine.poll(now));
            return true;
        }
        let Some((_, (to, packet))) = self.queue.pop_first() else {
            return false;
        };
        if !self.frozen.contains(&to) && self.engines[to].is_some() {
            self.act(to, |engine, now| engine.handle_packet(now, &packet));
        }
        true
    }

    pub fn run(&mut self, for_ms: u64) {
        let until = self.now + for_ms;
        while self.step(until) {}
    }

    /// How long it took, in steps of 100 ms; None when it did not happen.
    pub fn run_until(&mut self, limit_ms: u64, done: impl Fn(&Sim) -> bool) -> Option<u64> {
        let begin = self.now;
        while !done(self) {
            if self.now - begin >= limit_ms {
                return None;
            }
            self.run(100);
        }
        Some(self.now - begin)
    }

    pub fn running(&self) -> impl Iterator<Item = (usize, &Engine)> {
        let all = self.engines.iter().enumerate();
        all.filter_map(|(index, engine)| engine.as_ref().map(|e| (index, e)))
    }

    pub fn view(&self, index: usize, of: usize) -> Option<MemberState> {
        let members: Vec<Member> = self.engines[index].as_ref()?.members();
        members.iter().find(|m| m.id == id_of(of)).map(|m| m.state)
    }

    pub fn all_see(&self, of: usize, state: MemberState) -> bool {
        let mut others = self.running().filter(|(index, _)| *index != of);
        others.all(|(index, _)| self.view(index, of) == Some(state))
    }

    pub fn all_see_all(&self) -> bool {
        self.running()
            .all(|(index, _)| self.all_see(index, MemberState::Alive))
    }

    pub fn describe(&self) -> String {
        let view = |(index, _)| {
            let line = (0..self.engines.len()).map(|of| match self.view(index, of) {
                Some(MemberState::Alive) => 'a',
                Some(MemberState::Suspect) => 's',
                Some(MemberState::Down) => 'D',
                Some(MemberState::Left) => 'L',
                None => '.',
            });
            format!("\n{index:3} {}", line.collect::<String>())
        };
        format!(
            "at {} ms:{}",
            self.now,
            self.running().map(view).collect::<String>()
        )
    }
}
