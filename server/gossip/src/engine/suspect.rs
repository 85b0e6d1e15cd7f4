use foca::{Incarnation, State, Timer};

use super::Engine;
use crate::identity::Identity;
use crate::message::Control;

/// Accusations that are followed up at a time.
const MAX_ACCUSED: usize = 256;

/// Members that we ourselves have begun to suspect, each with the incarnation
/// that is suspected.
#[derive(Debug, Default)]
pub(crate) struct Accused(Vec<(Identity, Incarnation)>);

impl Accused {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Engine {
    /// A suspect must hear of it first (Lifeguard's "buddy system",
    /// arXiv:1707.00788): foca leaves that to chance, and under loss the
    /// chance is missed now and then. Whoever starts the clock that ends with
    /// "down" tells the suspect directly, and repeats it until it is refuted.
    pub(super) fn follow_up(&mut self, timer: &Timer<Identity>) {
        let Timer::ChangeSuspectToDown {
            member_id,
            incarnation,
            ..
        } = timer
        else {
            return;
        };
        let accused = (*member_id, *incarnation);
        if !self.accused.0.contains(&accused) && self.accused.0.len() < MAX_ACCUSED {
            self.accused.0.push(accused);
            self.tell_suspect(accused);
        }
    }

    /// foca 2.0 tells a member that it is down whenever the suspicion's clock
    /// runs out, also when the member has refuted meanwhile; that would push a
    /// living member into a new life. Such clocks are not passed on.
    pub(super) fn is_moot(&self, timer: &Timer<Identity>) -> bool {
        let Timer::ChangeSuspectToDown {
            member_id,
            incarnation,
            ..
        } = timer
        else {
            return false;
        };
        !self.foca.iter_members().any(|member| {
            member.id() == member_id
                && member.incarnation() == *incarnation
                && member.state() == State::Suspect
        })
    }

    pub(super) fn tell_suspects(&mut self) {
        if self.accused.is_empty() {
            return;
        }
        let still: Vec<_> = self
            .foca
            .iter_members()
            .filter(|member| member.state() == State::Suspect)
            .map(|member| (*member.id(), member.incarnation()))
            .filter(|suspect| self.accused.0.contains(suspect))
            .collect();
        self.accused.0.clone_from(&still);
        for accused in still {
            self.tell_suspect(accused);
        }
    }

    fn tell_suspect(&mut self, (life, incarnation): (Identity, Incarnation)) {
        let accusation = Control::Suspected {
            from: self.identity(),
            life,
            incarnation,
        };
        self.send_control(life.addr, &accusation);
    }

    /// We are suspected: refute towards all, and towards the accuser directly.
    pub(super) fn handle_suspected(&mut self, from: Identity, life: Identity, number: Incarnation) {
        if life != self.identity() || self.leaving.is_some() {
            return;
        }
        let suspicion = foca::Member::new(life, number, State::Suspect);
        self.with_foca("refute", |foca, outbox| {
            foca.apply_many(std::iter::once(suspicion), true, &mut *outbox)?;
            // Any packet of ours carries the new incarnation.
            foca.announce(from, outbox)
        });
    }
}
