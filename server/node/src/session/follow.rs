use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use krakend_gossip::Hint;
use tokio::sync::watch;
use uuid::Uuid;

use super::End;
use super::exchange::Exchange;
use crate::applier::Applier;
use crate::cluster::{BackOff, Membership, Route, local_ip_towards};
use crate::enroll::enroll;
use crate::join_token;
use crate::runtime::Runtime;
use crate::settings::Settings;
use crate::statistics::Spool;
use crate::status::{Connection as Shown, StatusBoard};
use crate::store::{Enrolled, Store};
use crate::trust::{connect, session_tls};

/// The words of the documents of 2017, letter for letter.
const NO_SEAT: &str = "Your current subscription does not allow more nodes running. Please upgrade to add more nodes.";
/// The same trouble is said again after this long.
const REPEAT_AFTER: Duration = Duration::from_secs(60);

/// Whether the node runs or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Running,
    /// The gateway has ended and its last statistics are spooled; until then, goodbye is tried.
    Leaving(Instant),
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
    pub phase: watch::Receiver<Phase>,
    pub said: Mutex<Option<(String, Instant)>>,
}

impl Follower {
    /// Ends only when the node leaves. Hands the gossip membership back, for its own goodbye.
    pub async fn run(&self) -> Option<Membership> {
        let enrolled = self.enrolled().await?;
        let mut route = Route::new(&self.settings.seeds, &enrolled.managers);
        let mut back_off = BackOff::new(self.settings.retry_max);
        let mut membership: Option<Membership> = None;
        while !self.is_over() {
            if membership.is_none() {
                membership = self.join_gossip(&enrolled, &route).await;
            }
            let hint = self.hint(membership.as_ref()).borrow().clone();
            let Some(address) = route.next(&hint) else {
                self.say("no manager is known: set `seed`".into());
                self.pause(back_off.pause(rand::random())).await;
                continue;
            };
            let session = self.session(&enrolled, membership.as_ref(), &mut route, &address);
            let end = session.await;
            let was_joined = self.status.leave_manager();
            // A refusal is an answer, but no reason to ask again at once.
            if was_joined && !matches!(end, End::Refused { .. }) {
                back_off.reset();
            }
            if end == End::Left {
                tracing::info!("left the cluster");
                break;
            }
            // Whom the leader does not know has nothing to say goodbye to.
            if matches!(end, End::Refused { .. }) && *self.phase.borrow() != Phase::Running {
                break;
            }
            self.after(end, &address, &mut route, &mut back_off).await;
        }
        membership
    }

    async fn session(
        &self,
        enrolled: &Enrolled,
        membership: Option<&Membership>,
        route: &mut Route,
        address: &str,
    ) -> End {
        let key = match self.store.private_key() {
            Ok(Some(key)) => key,
            Ok(None) => {
                return End::Lost("node.key is missing; remove node.json to enrol again".into());
            }
            Err(error) => return End::Lost(error.to_string()),
        };
        let tls = match session_tls(enrolled, &key) {
            Ok(tls) => tls,
            Err(error) => return End::Lost(error.to_string()),
        };
        let connection = match connect(address, tls).await {
            Ok(connection) => connection,
            Err(error) => return End::Lost(error.to_string()),
        };
        let exchange = Exchange {
            follower: self,
            enrolled,
            membership,
            route,
            address,
            connection,
        };
        exchange.run().await
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
            End::Left => {}
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
                        self.status.enrolled(&enrolled, &self.store);
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
        let enrolling = enroll(&self.store, &token, &address);
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
        let Ok(mut identity) = self.store.identity() else {
            return;
        };
        if let Some(enrolled) = &mut identity.enrolled
            && !managers.is_empty()
            && enrolled.managers != managers
        {
            enrolled.managers = managers.iter().take(16).cloned().collect();
            if let Err(error) = self.store.set_identity(&identity) {
                tracing::warn!("the managers' addresses are not remembered: {error}");
            }
        }
    }

    fn is_over(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Leaving(until) if Instant::now() > until)
    }

    /// Sleeps, but not through the end.
    async fn pause(&self, pause: Duration) {
        let mut phase = self.phase.clone();
        let now = *phase.borrow_and_update();
        match now {
            Phase::Leaving(_) => tokio::time::sleep(pause.min(Duration::from_millis(200))).await,
            Phase::Running => {
                let _ = tokio::time::timeout(pause, phase.changed()).await;
            }
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
