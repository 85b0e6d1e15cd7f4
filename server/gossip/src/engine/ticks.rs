use rand::RngExt;

use super::Engine;
use crate::config::{Config, transmissions};
use crate::identity::Identity;
use crate::message::MAX_FOCA_BYTES;
use crate::roster::MemberState;

/// About this many members repeat the hint in each period.
const HINT_REPEATERS: f64 = 3.0;

/// What the engine does periodically beside foca. Protocol time.
#[derive(Debug)]
pub(crate) struct Ticks {
    refresh_ms: u64,
    announce_ms: u64,
    hint_ms: u64,
    suspects_ms: u64,
    /// Something was heard since the roster was last refreshed.
    heard: bool,
    transmissions: u8,
}

impl Ticks {
    pub(crate) fn new(config: &Config, now: u64) -> Self {
        Self {
            refresh_ms: now + config.probe_period_ms,
            announce_ms: now + config.announce_period_ms,
            hint_ms: now + config.hint_period_ms,
            suspects_ms: now,
            heard: false,
            transmissions: transmissions(1).get(),
        }
    }

    pub(crate) fn heard(&mut self) {
        self.heard = true;
    }

    pub(crate) fn announce_soon(&mut self, now: u64) {
        self.announce_ms = now;
    }
}

impl Engine {
    /// Protocol time of the next thing to do.
    pub(super) fn next_tick(&self) -> u64 {
        let ticks = &self.ticks;
        let own = ticks.refresh_ms.min(ticks.announce_ms).min(ticks.hint_ms);
        let renew = self.renewal.due_ms().unwrap_or(u64::MAX);
        let leave = self.leaving.as_ref().map_or(u64::MAX, |l| l.next_round_ms);
        let suspects = match self.accused.is_empty() {
            true => u64::MAX,
            false => ticks.suspects_ms,
        };
        own.min(renew).min(leave).min(suspects)
    }

    pub(super) fn run_ticks(&mut self) {
        let now = self.timers.now();
        self.renew_if_due(now);
        self.continue_leave(now);
        if self.ticks.suspects_ms <= now {
            self.ticks.suspects_ms = now + self.config.gossip_period_ms;
            self.tell_suspects();
        }
        if self.ticks.refresh_ms <= now {
            self.ticks.refresh_ms = now + self.config.probe_period_ms;
            self.refresh();
        }
        if self.ticks.announce_ms <= now {
            self.ticks.announce_ms = now + self.jittered(self.config.announce_period_ms);
            self.contact_absent();
        }
        if self.ticks.hint_ms <= now {
            self.ticks.hint_ms = now + self.jittered(self.config.hint_period_ms);
            self.maybe_repeat_hint();
        }
    }

    /// Within a fifth, so that members do not fall into step.
    fn jittered(&mut self, period_ms: u64) -> u64 {
        let fifth = period_ms / 5;
        self.rng.random_range(period_ms - fifth..=period_ms + fifth)
    }

    fn maybe_repeat_hint(&mut self) {
        let share = HINT_REPEATERS / (self.foca.num_members() + 1) as f64;
        if self.rng.random_bool(share.min(1.0)) {
            self.repeat_hint();
        }
    }

    /// foca announces who goes up or down but not who is suspected.
    fn refresh(&mut self) {
        if !std::mem::take(&mut self.ticks.heard) && self.foca.num_members() == 0 {
            return;
        }
        let state = |member: &foca::Member<Identity>| match member.state() {
            foca::State::Alive => MemberState::Alive,
            foca::State::Suspect => MemberState::Suspect,
            foca::State::Down => MemberState::Down,
        };
        let all: Vec<_> = self
            .foca
            .iter_membership_state()
            .map(|member| (*member.id(), state(member)))
            .filter(|(member, state)| self.roster_differs(member, *state))
            .collect();
        for (member, state) in all {
            self.note(member, state);
        }
        self.resize();
    }

    fn roster_differs(&self, member: &Identity, state: MemberState) -> bool {
        let ended = |state: MemberState| !state.is_active();
        let same = |known: MemberState| known == state || (ended(known) && ended(state));
        !self.roster.state(member.id).is_some_and(same)
            || self.roster.identity(member.id) != Some(*member)
    }

    /// News must be repeated more often in a larger pool.
    fn resize(&mut self) {
        let members = self.foca.num_members() + 1;
        let wanted = transmissions(members).get();
        if wanted != self.ticks.transmissions {
            self.ticks.transmissions = wanted;
            let config = self.config.for_foca(members, MAX_FOCA_BYTES);
            self.with_foca("resize", |foca, _| foca.set_config(config));
        }
    }
}
