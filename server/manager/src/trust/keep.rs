//! What this manager trusts by, kept up to date while it runs: secrets, authorities, its own certificate.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context;
use krakend_domain::{CertificateLife, SecretId, SecretRecord};
use krakend_proto::tls::{Callers, LiveTls, TlsMaterial, TrustedTime};
use krakend_raft::GroupHandle;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use uuid::Uuid;

use super::{GroupSecret, Ring, gossip_ring};
use crate::{app::App, clock};

/// How often the state's word on the secret is looked at.
const STEP: Duration = Duration::from_millis(200);
/// How often the file is read. A signal (SIGHUP) makes it sooner; it is read anyway, because a secret that is mounted
/// into a container changes by a link that sends no signal.
const READ_EVERY: Duration = Duration::from_secs(5);
/// A manager that has heard no leader for longer does not know what time it is for the others.
const FRESH_MS: u64 = 60_000;
/// Longer than any authority lives: the certificate of a manager that does not know the time. A bounded one might have
/// run out for the others, who would not let it in to learn better. It takes a bounded one as soon as it knows.
const WITHOUT_END_MS: u64 = u64::MAX;

/// The group's time once there is a group; nothing before.
#[derive(Clone, Default)]
struct GroupTime(Arc<OnceLock<GroupHandle>>);

impl GroupTime {
    fn now_ms(&self) -> Option<u64> {
        let state = self.0.get()?.stale().state;
        state.meta().group_id.map(|_| clock::decide_ms(&state))
    }

    /// The same, as long as a living leader keeps it up to date.
    fn fresh_ms(&self) -> Option<u64> {
        let view = self.0.get()?.stale();
        self.now_ms().filter(|_| view.staleness_ms <= FRESH_MS)
    }
}

/// Secrets and certificates of this manager as they are now.
pub struct Trust {
    ring: watch::Sender<Arc<Ring>>,
    /// `None`: the secrets are from the environment, which does not change.
    file: Option<PathBuf>,
    managers: LiveTls,
    nodes: LiveTls,
    pub life: CertificateLife,
    not_after_ms: Mutex<u64>,
    time: GroupTime,
    trouble: Mutex<Option<(String, u64)>>,
}

impl Trust {
    /// With the secrets that were read, newest first.
    pub fn new(
        secrets: Vec<GroupSecret>,
        file: Option<PathBuf>,
        life: CertificateLife,
    ) -> anyhow::Result<Self> {
        let ring = Ring::new(secrets, &SecretRecord::default())
            .context("deriving the group's authority")?;
        let time = GroupTime::default();
        let material = material(&ring, Uuid::new_v4(), WITHOUT_END_MS)?;
        let trusted = || {
            let time = time.clone();
            TrustedTime::new(move || time.now_ms())
        };
        Ok(Self {
            managers: LiveTls::new(&material, Callers::Certified, trusted())?,
            nodes: LiveTls::new(&material, Callers::Anybody, trusted())?,
            ring: watch::Sender::new(Arc::new(ring)),
            file,
            life,
            not_after_ms: Mutex::new(WITHOUT_END_MS),
            time,
            trouble: Mutex::default(),
        })
    }

    /// The secrets of this moment.
    pub fn ring(&self) -> Arc<Ring> {
        self.ring.borrow().clone()
    }

    /// Follows the secrets.
    pub fn changes(&self) -> watch::Receiver<Arc<Ring>> {
        self.ring.subscribe()
    }

    /// TLS of the managers' port, both ways.
    pub fn managers(&self) -> LiveTls {
        self.managers.clone()
    }

    /// TLS of the nodes' port. A certificate is optional there, because enrolment has none yet; the service judges it.
    pub fn nodes(&self) -> &LiveTls {
        &self.nodes
    }

    /// End of this manager's own certificate.
    pub fn not_after_ms(&self) -> u64 {
        *self
            .not_after_ms
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the secret file is not followed, and since when.
    pub fn trouble(&self) -> Option<(String, u64)> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.clone()
    }

    /// From now on the time is the group's, and its word on the secret counts. An error says what the file lacks.
    pub fn begin(&self, group: &GroupHandle) -> Result<(), String> {
        let _ = self.time.0.set(group.clone());
        let record = group.stale().state.secret().clone();
        let ring = self.ring();
        if let Some(id) = record.in_use.filter(|id| !ring.holds(*id)) {
            return Err(format!(
                "the group uses the secret {id}, but this manager has only {}: put the one in use into its secret file as the first line; `krakend-cluster-manager secret status` on another manager shows who has it",
                names(&ring.ids())
            ));
        }
        self.take(group, ring.seen_by(&record));
        Ok(())
    }

    /// Goes on with these secrets, and with a certificate of the one in use.
    fn take(&self, group: &GroupHandle, ring: Ring) {
        group.set_secrets(&ring.ids(), ring.in_use().id);
        self.ring.send_replace(Arc::new(ring));
        self.renew(group.identity().manager_id);
    }

    fn renew(&self, id: Uuid) {
        let end = self
            .time
            .fresh_ms()
            .map(|now_ms| now_ms + self.life.life_ms);
        let end = end.unwrap_or(WITHOUT_END_MS);
        let set = material(&self.ring(), id, end).and_then(|material| {
            self.managers.set(&material)?;
            Ok(self.nodes.set(&material)?)
        });
        match set {
            Ok(()) => {
                *self
                    .not_after_ms
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner) = end
            }
            Err(error) => tracing::error!("this manager's certificate is not renewed: {error:#}"),
        }
    }

    /// Reads the file again. What cannot be used changes nothing, and is said.
    fn reread(&self, group: &GroupHandle) {
        let Some(file) = &self.file else { return };
        let read = GroupSecret::read_all(file).map_err(|error| error.to_string());
        let trouble = match read {
            Ok(secrets) => self.compare(group, secrets),
            Err(error) => Err(error),
        };
        let mut known = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match trouble {
            Ok(()) => *known = None,
            Err(text) if known.as_ref().is_none_or(|(before, _)| *before != text) => {
                tracing::error!("the secrets stay as they are: {text}");
                *known = Some((text, clock::now_ms()));
            }
            Err(_) => {}
        }
    }

    /// The one in use is kept whatever the file says: without it this manager could speak to nobody.
    fn compare(&self, group: &GroupHandle, mut secrets: Vec<GroupSecret>) -> Result<(), String> {
        let ring = self.ring();
        let in_use = ring.in_use();
        let lacks = !secrets.iter().any(|it| it.id() == in_use.id);
        if lacks {
            secrets.push(in_use.secret.clone());
        }
        let found: Vec<_> = secrets.iter().map(GroupSecret::id).collect();
        if found != ring.ids() {
            let record = group.stale().state.secret().clone();
            let next = Ring::new(secrets, &record).map_err(|error| error.to_string())?;
            tracing::info!("the group secrets are now {}", names(&found));
            self.take(group, next);
        }
        match lacks {
            true => Err(format!(
                "the secret in use, {}, is not in the file: it is kept in memory until this manager stops; put it back, or `krakend-cluster-manager secret rotate` first",
                in_use.id
            )),
            false => Ok(()),
        }
    }

    /// Follows the state's word on the secret, and renews the certificate in time.
    fn step(&self, group: &GroupHandle) {
        let record = group.stale().state.secret().clone();
        let ring = self.ring();
        let other = |id: &SecretId| *id != ring.in_use().id && ring.holds(*id);
        if let Some(id) = record.in_use.filter(other) {
            tracing::info!("the group uses the secret {id} from now on");
            self.take(group, ring.seen_by(&record));
        }
        let end_ms = self.not_after_ms();
        match self.time.fresh_ms() {
            Some(now_ms) if self.life.is_due(end_ms, now_ms) => {
                self.renew(group.identity().manager_id);
                tracing::info!(
                    "this manager's certificate is renewed until {}",
                    clock::rfc3339(self.not_after_ms())
                );
            }
            // The time is known now, or was set back.
            Some(now_ms) if end_ms > now_ms.saturating_add(self.life.life_ms) => {
                self.renew(group.identity().manager_id);
            }
            None if end_ms != WITHOUT_END_MS => self.renew(group.identity().manager_id),
            _ => {}
        }
    }

    /// The state's secret in use, where this manager lacks it.
    pub fn lacks(&self, group: &GroupHandle) -> Option<SecretId> {
        let in_use = group.stale().state.secret().in_use;
        in_use.filter(|id| !self.ring().holds(*id))
    }
}

/// Names with commas.
pub fn names(ids: &[SecretId]) -> String {
    let names: Vec<_> = ids.iter().map(ToString::to_string).collect();
    names.join(", ")
}

/// A certificate that every other authority that is held vouches for: one secret in common is enough for two managers
/// to believe each other.
fn material(ring: &Ring, id: Uuid, not_after_ms: u64) -> anyhow::Result<TlsMaterial> {
    let others: Vec<_> = ring.vouching().map(|it| &it.authority).collect();
    let leaf = ring
        .certifier()
        .authority
        .issue_manager(id, &others, not_after_ms)?;
    Ok(TlsMaterial {
        roots_pem: ring.roots_pem(),
        chain_pem: leaf.chain_pem,
        key_pem: leaf.key_pem,
    })
}

/// Keeps everything up to date until the manager stops.
pub async fn keep(app: App) -> anyhow::Result<()> {
    let mut reread = signal(SignalKind::hangup())?;
    let mut changes = app.trust.changes();
    let mut next_read = Instant::now() + READ_EVERY;
    let mut lacked = None;
    let mut ring_revision = 0;
    loop {
        tokio::select! {
            () = app.stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(STEP) => {}
            _ = reread.recv() => next_read = Instant::now(),
        }
        if Instant::now() >= next_read {
            next_read = Instant::now() + READ_EVERY;
            app.trust.reread(&app.group);
        }
        app.trust.step(&app.group);
        let state = app.group.stale().state;
        let revision = state.keyring().revision;
        if changes.has_changed().unwrap_or(false) || revision != ring_revision {
            ring_revision = revision;
            let ring = changes.borrow_and_update().clone();
            app.gossip.set_keys(gossip_ring(&ring, state.keyring())?);
        }
        let lacks = app.trust.lacks(&app.group);
        if lacks != lacked {
            lacked = lacks;
            if let Some(id) = lacks {
                tracing::error!("{}", missing_text(id));
            }
        }
    }
}

/// What to do about a secret that the group uses and this manager lacks.
pub fn missing_text(id: SecretId) -> String {
    format!(
        "the group uses the secret {id}, which this manager lacks: put it into its secret file as the first line, before the others remove the old one"
    )
}

#[cfg(test)]
mod tests {
    use krakend_proto::tls::{CertificateDer, Judgement};
    use rustls::pki_types::pem::PemObject;

    use super::*;

    fn secret(digit: &str) -> GroupSecret {
        GroupSecret::parse(&digit.repeat(64), "the test").expect("a secret")
    }

    fn shown(ring: &Ring) -> TlsMaterial {
        material(ring, Uuid::nil(), 1_800_000_000_000).expect("made")
    }

    fn chain(pem: &str) -> Vec<CertificateDer<'static>> {
        let chain = CertificateDer::pem_slice_iter(pem.as_bytes());
        chain.collect::<Result<_, _>>().expect("certificates")
    }

    fn believes(ring: &Ring, chain: &[CertificateDer<'_>]) -> bool {
        let live = LiveTls::new(&shown(ring), Callers::Certified, TrustedTime::unknown());
        let judged = live.expect("usable").judge(chain);
        matches!(judged, Judgement::Trusted { .. })
    }

    #[test]
    fn managers_in_every_phase_of_a_rotation_believe_each_other() {
        let (old, new) = (secret("a"), secret("b"));
        let both = vec![new.clone(), old.clone()];
        let before = SecretRecord::default();
        let after = SecretRecord {
            in_use: Some(new.id()),
            former: vec![old.id()],
            ..SecretRecord::default()
        };
        let ring = |secrets: &[GroupSecret], record: &SecretRecord| {
            Ring::new(secrets.to_vec(), record).expect("a ring")
        };
        let phases = [
            ring(std::slice::from_ref(&old), &before),
            ring(&both, &before),
            ring(&both, &after),
            ring(std::slice::from_ref(&new), &after),
        ];
        for (at, one) in phases.iter().enumerate() {
            for (other_at, other) in phases.iter().enumerate() {
                let apart = at.abs_diff(other_at) == 3;
                let pem = shown(other).chain_pem;
                assert_eq!(believes(one, &chain(&pem)), !apart, "{at} {other_at}");
            }
        }
        // Whoever has the old secret, and everything that managers ever showed, is nobody to the new one.
        let forger = &phases[0].in_use().authority;
        let forged = forger
            .issue_manager(Uuid::nil(), &[], 1_900_000_000_000)
            .expect("forged");
        let mut forged = chain(&forged.chain_pem);
        for phase in &phases {
            forged.extend(chain(&shown(phase).chain_pem).into_iter().skip(1));
        }
        assert!(believes(&phases[2], &forged), "the old secret still counts");
        assert!(!believes(&phases[3], &forged), "it is removed");
    }
}
