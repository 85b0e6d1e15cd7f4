use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use krakend_gossip::Hint;
use tokio::sync::watch;
use uuid::Uuid;

use super::End;
use super::exchange::Exchange;
use crate::applier::Applier;
use crate::cluster::{BackOff, Membership, Route, local_ip_towards};
use crate::desk::Desk;
use crate::enroll::enroll;
use crate::join_token;
use crate::lease::LeaseKeeper;
use crate::runtime::Runtime;
use crate::settings::Settings;
use crate::statistics::Spool;
use crate::status::{Connection as Shown, StatusBoard};
use crate::store::{Enrolled, Store};
use crate::trust::{ConnectError, Connection, GroupTime, RenewError, connect, renew, session_tls};

/// The words of the documents of 2017, letter for letter.
const NO_SEAT: &str = "Your current subscription does not allow more nodes running. Please upgrade to add more nodes.";
/// The same trouble is said again after this long.
const REPEAT_AFTER: Duration = Duration::from_secs(60);
const GOSSIP_LEAVE_WITHIN: Duration = Duration::from_secs(1);

/// What came of leaving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// The leader has committed it.
    Confirmed,
    /// No leader has answered.
    Unconfirmed,
    /// There was no place to give up.
    NeverJoined,
}

/// Whether the node runs or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Running,
    /// The gateway has ended and its last statistics are spooled; until then, goodbye is tried.
    Leaving {
        until: Instant,
        /// The seat is given back at once.
        for_good: bool,
    },
}

/// Finds the leader and stays with it, for as long as the program runs.
pub struct Follower {
    pub settings: Settings,
    pub store: Arc<Store>,
    pub store_id: Uuid,
    pub runtime: Arc<dyn Runtime>,
    pub spool: Arc<Spool>,
    pub applier: Arc<Applier>,
    pub status: Arc<StatusBoard>,
    pub lease: Arc<LeaseKeeper>,
    pub phase: watch::Receiver<Phase>,
    pub desk: Arc<Desk>,
    pub said: Mutex<Option<(String, Instant)>>,
    /// The feature level that a manager told last; 0 before, and of managers that tell none.
    pub group_level: Arc<AtomicU32>,
    /// For how old a manager's certificate may be.
    pub time: GroupTime,
}

impl Follower {
    /// Ends only when the node leaves; what came of that. Its place in gossip is for the caller to give up.
    pub async fn run(&self) -> Farewell {
        let Some(mut enrolled) = self.enrolled().await else {
            return Farewell::NeverJoined;
        };
        let mut route = Route::new(&self.settings.seeds, &enrolled.managers);
        let mut back_off = BackOff::new(self.settings.retry_max);
        let mut membership: Option<Membership> = None;
        while !self.is_over() {
            match self.lease.check() {
                true if membership.is_none() => {
                    membership = self.join_gossip(&enrolled, &route).await;
                }
                true => {}
                false => self.leave_pool(membership.take()).await,
            }
            // Certificate and trust change while the node runs.
            if let Ok(Some(newest)) = self.store.change_enrolled(|_| {}) {
                enrolled = newest;
            }
            let hint = self.hint(membership.as_ref()).borrow().clone();
            let Some(address) = route.next(&hint) else {
                self.say("no manager is known: set `seed`".into());
                self.pause(back_off.pause(rand::random())).await;
                continue;
            };
            let session = self.session(&enrolled, membership.as_ref(), &mut route, &address);
            let end = tokio::select! {
                end = session => end,
                () = self.lease_ends(membership.is_some()) => End::Ended,
            };
            let was_joined = self.status.leave_manager();
            // A refusal is an answer, but no reason to ask again at once.
            if was_joined && !matches!(end, End::Refused { .. }) {
                back_off.reset();
            }
            if end == End::Left {
                tracing::info!("left the cluster");
                return Farewell::Confirmed;
            }
            // Whom the leader does not know has nothing to say goodbye to.
            if matches!(end, End::Refused { .. }) && *self.phase.borrow() != Phase::Running {
                return Farewell::NeverJoined;
            }
            if let End::Refused { code, .. } = &end {
                match code.as_str() {
                    "certificate-expired" => self.exchange_certificate(&enrolled, &address).await,
                    "certificate-unknown" | "certificate-outlived" => {
                        self.enroll_again(&enrolled, &address).await;
                    }
                    "id-in-use" => self.become_another(&enrolled, &address).await,
                    _ => {}
                }
            }
            self.after(end, &address, &mut route, &mut back_off).await;
        }
        Farewell::Unconfirmed
    }

    /// Comes back when a member's lease ends; never for a node that is no member.
    async fn lease_ends(&self, is_member: bool) {
        let mut valid = self.lease.valid();
        if !is_member || valid.wait_for(|valid| !valid).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// The free version is no member: says goodbye in gossip, and carries no order out.
    async fn leave_pool(&self, membership: Option<Membership>) {
        let Some(membership) = membership else { return };
        self.status.update(|status| status.gossip = None);
        self.applier.forget_order();
        membership.gossip().clone().leave(GOSSIP_LEAVE_WITHIN).await;
        tracing::warn!(
            "left the cluster: the free version serves on with the last good configuration, without updates and \
             statistics; joining is tried again by itself"
        );
    }

    /// This data directory is a copy, and the node that it is a copy of runs: with a join token this machine becomes a
    /// node of its own. Without the certainty of being the copy it stays who it is, and is refused.
    async fn become_another(&self, enrolled: &Enrolled, address: &str) {
        // Two with one id in the pool would push each other out.
        self.lease
            .give_up("another machine runs with this node's id");
        if !self.store.is_copy() {
            self.say(
                "another machine runs with this node's id. If this data directory was copied, stop this node, empty \
                 the directory and start it again with a join token"
                    .into(),
            );
            return;
        }
        let token = match join_token::find(&self.settings) {
            Ok(token) => token,
            Err(error) => {
                self.say(format!(
                    "this data directory was copied from the machine of {}, which runs; to become a node of its own \
                     this machine needs a join token: {error}",
                    enrolled.node_id.krakend()
                ));
                return;
            }
        };
        match enroll(&self.store, &token, address, None).await {
            Ok(fresh) => {
                tracing::warn!(
                    "this data directory was copied from the machine of {}, which runs: this one is {} from now on",
                    enrolled.node_id.krakend(),
                    fresh.node_id.krakend()
                );
                self.store.is_no_copy();
                self.accept_identity(&fresh);
            }
            Err(error) => self.say(format!("not enrolled as a node of its own: {error}")),
        }
    }

    fn accept_identity(&self, enrolled: &Enrolled) {
        self.lease.enrolled(enrolled);
        self.status.enrolled(enrolled);
    }

    async fn session(
        &self,
        enrolled: &Enrolled,
        membership: Option<&Membership>,
        route: &mut Route,
        address: &str,
    ) -> End {
        let connection = match self.connect(enrolled, address).await {
            Ok(connection) => connection,
            Err(end) => return end,
        };
        let exchange = Exchange {
            follower: self,
            enrolled: enrolled.clone(),
            membership,
            route,
            address,
            connection,
        };
        exchange.run().await
    }

    async fn connect(&self, enrolled: &Enrolled, address: &str) -> Result<Connection, End> {
        let lost = |reason: String| End::Lost(reason);
        let key = self.store.private_key(&enrolled.key_file);
        let key = key.map_err(|error| lost(error.to_string()))?;
        let key = key.ok_or_else(|| {
            lost(format!(
                "{} is missing; remove node.json to enrol again",
                enrolled.key_file
            ))
        })?;
        let tls = session_tls(enrolled, &key, self.time.trusted());
        let tls = tls.map_err(|error| lost(error.to_string()))?;
        match connect(address, tls).await {
            Ok(connection) => Ok(connection),
            Err(error @ ConnectError::OtherGroup { .. }) => {
                self.enroll_again(enrolled, address).await;
                Err(lost(error.to_string()))
            }
            Err(error) => Err(lost(error.to_string())),
        }
    }

    /// A certificate that has run out is good for one thing: the next.
    async fn exchange_certificate(&self, enrolled: &Enrolled, address: &str) {
        let connection = match self.connect(enrolled, address).await {
            Ok(connection) => connection,
            Err(_) => return,
        };
        match renew(&self.store, connection.client).await {
            Ok(_) => tracing::info!("the certificate had run out and is renewed"),
            Err(RenewError::Refused(reason)) => {
                self.say(reason);
                self.enroll_again(enrolled, address).await;
            }
            Err(error) => self.say(error.to_string()),
        }
    }

    /// With another join token than those that were tried, this node may come back as who it was.
    async fn enroll_again(&self, enrolled: &Enrolled, address: &str) {
        let Ok(token) = join_token::find(&self.settings) else {
            return;
        };
        let enrolling = enroll(&self.store, &token, address, Some(enrolled.node_id));
        match enrolling.await {
            Ok(enrolled) => {
                tracing::info!("enrolled again as {}", enrolled.node_id.krakend());
                self.accept_identity(&enrolled);
            }
            Err(error) => tracing::debug!("not enrolled again: {error}"),
        }
    }

    async fn after(&self, end: End, address: &str, route: &mut Route, back_off: &mut BackOff) {
        match end {
            End::Redirect { leader, managers } => {
                route.learn(&managers);
                if !route.redirected(&leader) {
                    let jitter = rand::random_range(200..500);
                    self.pause(Duration::from_millis(jitter)).await;
                }
            }
            End::Moved => tracing::info!("gossip names a newer leader than {address}"),
            End::Refused { code, message } => {
                self.refused(&code, &message);
                self.pause(back_off.pause(rand::random())).await;
            }
            End::Lost(reason) => {
                self.say(format!(
                    "no session with the manager at {address}: {reason}"
                ));
                self.pause(back_off.pause(rand::random())).await;
            }
            End::Granted => tracing::debug!("joining gossip first"),
            End::Unrenewed => tracing::info!("registering again, so that the lease is renewed"),
            End::Left | End::Ended => {}
        }
    }

    fn refused(&self, code: &str, message: &str) {
        let again = self.status.refuse(message);
        if code == "no-seat" {
            if !again {
                // Plainly as well: this line is looked for by its words.
                eprintln!("{NO_SEAT}");
                tracing::warn!("{NO_SEAT}");
                tracing::info!(
                    "the gateway goes on with what it has; joining is tried again by itself"
                );
            }
        } else {
            self.say(format!("the leader refuses this node ({code}): {message}"));
        }
    }

    /// Who this node is; enrols first where it must.
    async fn enrolled(&self) -> Option<Enrolled> {
        let mut back_off = BackOff::new(self.settings.retry_max);
        let mut route = Route::new(&self.settings.seeds, &[]);
        loop {
            match self.store.identity() {
                Ok(identity) => {
                    if let Some(enrolled) = identity.enrolled {
                        self.accept_identity(&enrolled);
                        return Some(enrolled);
                    }
                }
                Err(error) => self.say(error.to_string()),
            }
            if *self.phase.borrow() != Phase::Running {
                return None;
            }
            self.status
                .update(|status| status.connection = Shown::Enrolling);
            match self.try_to_enroll(&mut route).await {
                Ok(enrolled) => tracing::info!(
                    "enrolled as {} in fleet {}",
                    enrolled.node_id.krakend(),
                    enrolled.fleet
                ),
                Err(reason) => {
                    self.say(reason);
                    self.pause(back_off.pause(rand::random())).await;
                }
            }
        }
    }

    async fn try_to_enroll(&self, route: &mut Route) -> Result<Enrolled, String> {
        let token = join_token::find(&self.settings).map_err(|error| error.to_string())?;
        route.learn(&token.managers);
        let address = route
            .next(&Hint::default())
            .ok_or("no manager is known: set `seed`")?;
        let wanted = self.store.lost_node_id();
        let enrolling = enroll(&self.store, &token, &address, wanted);
        enrolling.await.map_err(|error| error.to_string())
    }

    async fn join_gossip(&self, enrolled: &Enrolled, route: &Route) -> Option<Membership> {
        let keys = match self.store.gossip_keys() {
            Ok(keys) => keys?,
            Err(error) => {
                self.say(error.to_string());
                return None;
            }
        };
        let mut towards = self.settings.seeds.clone();
        towards.extend_from_slice(route.managers());
        towards.extend(self.store.members().iter().map(ToString::to_string));
        let local = local_ip_towards(&towards).await?;
        let id = enrolled.node_id.0;
        match Membership::start(&self.settings, &self.store, id, &keys, local).await {
            Ok(membership) => {
                self.status
                    .update(|s| s.gossip = Some(membership.gossip().clone()));
                Some(membership)
            }
            Err(error) => {
                self.say(error.to_string());
                None
            }
        }
    }

    /// The gossip's hint; without gossip one that never changes.
    pub(super) fn hint(&self, membership: Option<&Membership>) -> watch::Receiver<Hint> {
        match membership {
            Some(membership) => membership.hint(),
            None => watch::channel(Hint::default()).1,
        }
    }

    /// For the next start, when the seeds may be gone.
    pub(super) fn remember_managers(&self, managers: &[String]) {
        let remembered = self.store.change_enrolled(|enrolled| {
            if !managers.is_empty() {
                enrolled.managers = managers.iter().take(16).cloned().collect();
            }
        });
        if let Err(error) = remembered {
            tracing::warn!("the managers' addresses are not remembered: {error}");
        }
    }

    fn is_over(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Leaving { until, .. } if Instant::now() > until)
    }

    /// Sleeps, but not through the end, nor through that of the lease.
    async fn pause(&self, pause: Duration) {
        let mut phase = self.phase.clone();
        let mut valid = self.lease.valid();
        valid.mark_unchanged();
        let now = *phase.borrow_and_update();
        match now {
            Phase::Leaving { .. } => {
                tokio::time::sleep(pause.min(Duration::from_millis(200))).await
            }
            Phase::Running => tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = phase.changed() => {}
                _ = valid.changed() => {}
            },
        }
    }

    /// Warns once about a trouble that lasts.
    fn say(&self, text: String) {
        self.status.trouble(&text);
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let repeated = said
            .as_ref()
            .is_some_and(|(last, at)| *last == text && at.elapsed() < REPEAT_AFTER);
        if repeated {
            tracing::debug!("{text}");
        } else {
            tracing::warn!("{text}");
            *said = Some((text, Instant::now()));
        }
    }
}
