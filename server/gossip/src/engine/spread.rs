use std::net::SocketAddr;

use super::Engine;
use crate::member::MemberState;
use crate::message::{Message, Writer};
use crate::record::Record;
use crate::seal::MAX_BODY_BYTES;
use crate::timers::Timer;

impl Engine {
    /// Sends a message with as much news as fits. `first` goes before all news
    /// (Lifeguard's buddy system: a suspect hears of it first).
    pub(super) fn send(&mut self, to: SocketAddr, message: &Message, first: Option<Record>) {
        let hint = self.board.hint_for(message, self.transmissions());
        let mut writer = Writer::new(message, hint.as_ref(), MAX_BODY_BYTES);
        let mut used = None;
        if let Some(first) = first {
            writer.record(&first);
            used = Some(first);
        }
        let limit = self.transmissions();
        self.news.fill(limit, |record| {
            used == Some(*record) || writer.record(record)
        });
        self.send_body(to, &writer.finish());
    }

    pub(super) fn send_body(&mut self, to: SocketAddr, body: &[u8]) {
        let Some(packet) = self.seal.seal(body) else {
            tracing::debug!(bytes = body.len(), "a gossip body does not fit a packet");
            return;
        };
        self.counters.packets_out += 1;
        self.counters.bytes_out += packet.len() as u64;
        self.output.packets.push((to, packet));
    }

    /// What a member must hear before anything else from us: that it is not
    /// held for alive, or that a later incarnation of it is known.
    pub(super) fn buddy_news(&self, member: &Record) -> Option<Record> {
        let known = self.peers.get(member.id)?.record;
        let outdone = known.order() > member.order();
        let told = outdone || known.state() != MemberState::Alive;
        told.then_some(known)
    }

    /// Pushes news to a few members.
    pub(super) fn gossip(&mut self) {
        self.timers
            .schedule(Timer::Gossip, self.config.gossip_period_ms);
        if self.leaving.is_some() {
            return;
        }
        for _ in 0..self.config.fan_out {
            if self.news.is_empty() && !self.board.is_waiting() {
                return;
            }
            let active = |record: &Record| record.state().is_active();
            let Some(to) = self.peers.sample(&mut self.rng, 1, active).pop() else {
                return;
            };
            let first = self.buddy_news(&to);
            self.send(to.addr, &Message::News, first);
        }
    }
}
