//! The signals that the page reads, and how they are filled.

use krakend_api::{
    Event, EventList, Fleet, FleetList, GroupStatus, License, Manager, ManagerList, Node, NodeList,
    Session, Statistics, VersionList,
};
use leptos::prelude::*;
use leptos::task::spawn_local;
use serde::de::DeserializeOwned;
use std::time::Duration;

use super::api::{self, Failure};
pub use super::model::{Act, Ask, Connection, Elsewhere, Lag, Login, Newest, Remote, Toast};
use super::{browser, follow, stream};
use crate::pure::clock::{self, Zone};
use crate::pure::event;
use crate::pure::rollout;
use crate::pure::route::{self, Place};
use crate::pure::series::Now;

/// Events kept for the list and the charts.
const EVENTS_KEPT: usize = 300;
/// The fleet that is there from the beginning.
pub const DEFAULT_FLEET: &str = "default";
/// Pages of a thousand nodes that are read.
const MAX_NODE_PAGES: usize = 20;
/// Changes that come together are fetched together.
const GATHER: Duration = Duration::from_millis(250);

/// Everything on the page. Copies share the signals.
#[derive(Clone, Copy)]
pub struct Store {
    pub login: RwSignal<Login>,
    pub connection: RwSignal<Connection>,
    pub status: RwSignal<Remote<GroupStatus>>,
    pub managers: RwSignal<Remote<Vec<Manager>>>,
    pub nodes: RwSignal<Remote<Vec<Node>>>,
    pub fleet: RwSignal<Remote<Option<Fleet>>>,
    pub fleets: RwSignal<Vec<Fleet>>,
    /// The fleet that all pages show.
    pub fleet_name: RwSignal<String>,
    /// Path and query.
    pub place: RwSignal<Place>,
    /// Moves whenever what events change is read again; pages read theirs with it.
    pub beat: RwSignal<u64>,
    pub ask: RwSignal<Option<Ask>>,
    pub toast: RwSignal<Option<Toast>>,
    /// Name of the manager that is asked whether it is there.
    pub trying: RwSignal<Option<String>>,
    /// One that answers, while something keeps the reader here.
    pub elsewhere: RwSignal<Option<Elsewhere>>,
    /// True while the list of keys is open.
    pub help: RwSignal<bool>,
    /// How far the managers were behind since the page was opened.
    pub lags: RwSignal<Vec<Lag>>,
    /// `Some(None)`: nothing is published yet.
    pub newest: RwSignal<Remote<Option<Newest>>>,
    pub license: RwSignal<Remote<License>>,
    pub statistics: RwSignal<Remote<Statistics>>,
    pub events: RwSignal<Remote<Vec<Event>>>,
    pub now: RwSignal<Now>,
    /// The manager's clock, moved once a second.
    pub clock_ms: RwSignal<i64>,
    /// The manager's clock minus the browser's.
    skew_ms: RwSignal<i64>,
    /// When the stream was heard last, on the browser's clock.
    heard_ms: RwSignal<i64>,
    refresh_planned: RwSignal<bool>,
    pub range_s: RwSignal<u32>,
    /// Time under the pointer, shared by all charts.
    pub hover: RwSignal<Option<i64>>,
    pub zone: StoredValue<Zone>,
}

impl Store {
    /// Empty signals.
    #[must_use]
    pub fn new() -> Self {
        let range = browser::recall("range_s").and_then(|r| r.parse().ok());
        Self {
            login: RwSignal::new(Login::Unknown),
            connection: RwSignal::new(Connection::Connecting),
            status: RwSignal::default(),
            managers: RwSignal::default(),
            nodes: RwSignal::default(),
            fleet: RwSignal::default(),
            fleets: RwSignal::default(),
            fleet_name: RwSignal::new(
                browser::recall("fleet").unwrap_or_else(|| DEFAULT_FLEET.to_owned()),
            ),
            place: RwSignal::new(Place::parse(&browser::address())),
            beat: RwSignal::new(0),
            ask: RwSignal::new(None),
            toast: RwSignal::new(None),
            trying: RwSignal::new(None),
            elsewhere: RwSignal::new(None),
            help: RwSignal::new(false),
            lags: RwSignal::default(),
            newest: RwSignal::default(),
            license: RwSignal::default(),
            statistics: RwSignal::default(),
            events: RwSignal::default(),
            now: RwSignal::default(),
            clock_ms: RwSignal::new(browser::now_ms()),
            skew_ms: RwSignal::new(0),
            heard_ms: RwSignal::new(browser::now_ms()),
            refresh_planned: RwSignal::new(false),
            range_s: RwSignal::new(range.unwrap_or(3600)),
            hover: RwSignal::new(None),
            zone: StoredValue::new(browser::zone()),
        }
    }

    /// The reader's zone.
    #[must_use]
    pub fn zone(&self) -> Zone {
        self.zone.get_value()
    }

    /// The manager's clock now.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        browser::now_ms() + self.skew_ms.get_untracked()
    }

    /// True while the stream is interrupted: numbers are old then.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        matches!(self.connection.get(), Connection::Reconnecting { .. })
    }

    /// Asks who is signed in.
    pub fn check_session(self) {
        spawn_local(async move {
            match api::get::<Session>("/v1/session").await {
                Ok(session) => self.signed_in(session),
                Err(_) => self.login.set(Login::Out),
            }
        });
    }

    /// Opens the page for a session.
    pub fn signed_in(self, session: Session) {
        self.connection.set(Connection::Connecting);
        self.heard_ms.set(browser::now_ms());
        self.login.set(Login::In(session));
        self.refresh();
        self.read_statistics();
        self.read_events();
        stream::open(self);
    }

    /// Ends the session here and on the manager.
    pub fn sign_out(self) {
        stream::close();
        spawn_local(async move {
            // When the manager does not answer, the cookie stays valid there: then the page stays as well.
            if api::delete("/v1/session").await.is_ok() {
                self.login.set(Login::Out);
            } else {
                stream::open(self);
            }
        });
    }

    /// Once a second: moves the clock, notices silence, reads again what no event announces.
    pub fn tick(self, count: u64) {
        if !matches!(self.login.get_untracked(), Login::In(_)) {
            return;
        }
        self.clock_ms.set(self.now_ms());
        let silent_ms = browser::now_ms() - self.heard_ms.get_untracked();
        if silent_ms > 6_000 {
            self.lost();
        }
        if matches!(
            self.connection.get_untracked(),
            Connection::Reconnecting { .. }
        ) {
            if count.is_multiple_of(2) {
                self.read_status();
            }
            if count.is_multiple_of(3) && (stream::is_closed() || silent_ms > 20_000) {
                stream::open(self);
            }
            if count.is_multiple_of(2) {
                follow::step(self, count / 2);
            }
            return;
        }
        let publishing = self.newest.with_untracked(|n| {
            let newest = n.value.as_ref().and_then(Option::as_ref);
            newest.is_some_and(|n| rollout::is_running(&n.rollout))
        });
        if count.is_multiple_of(10) || (publishing && count.is_multiple_of(2)) {
            self.refresh();
        }
        if count.is_multiple_of(10) {
            self.read_statistics();
        }
    }

    /// The stream broke or fell silent.
    pub fn lost(self) {
        if matches!(
            self.connection.get_untracked(),
            Connection::Reconnecting { .. }
        ) {
            return;
        }
        let heard_ms = self.heard_ms.get_untracked() + self.skew_ms.get_untracked();
        self.connection.set(Connection::Reconnecting { heard_ms });
        self.read_status();
    }

    /// Anything came through the stream.
    pub fn heard(self) {
        self.heard_ms.set(browser::now_ms());
        let before = self.connection.get_untracked();
        if before != Connection::Live {
            self.connection.set(Connection::Live);
        }
        if matches!(before, Connection::Reconnecting { .. }) {
            self.trying.set(None);
            self.elsewhere.set(None);
            self.refresh();
            self.read_statistics();
            self.read_events();
        }
    }

    /// Takes a status, from the stream or from a request.
    pub fn take_status(self, status: GroupStatus) {
        if let Some(at) = clock::parse(&status.now) {
            self.skew_ms.set(at - browser::now_ms());
        }
        let changed = self.status.with_untracked(|old| {
            old.value.as_ref().is_some_and(|old| {
                (&old.leader_id, old.reachable_voters, old.voters)
                    != (&status.leader_id, status.reachable_voters, status.voters)
            })
        });
        self.status.set(Remote {
            value: Some(status),
            failure: None,
        });
        if changed {
            self.refresh_soon();
        }
    }

    /// Takes one event of the stream.
    pub fn take_event(self, event: Event) {
        if !event::is_shown(&event) {
            self.read_statistics();
            return;
        }
        self.events
            .update(|list| event::push(list.value.get_or_insert_default(), event, EVENTS_KEPT));
        self.refresh_soon();
    }

    /// Takes the live figures.
    pub fn take_live(self, nodes: NodeList, now: Now) {
        let more = nodes.next_cursor.is_some();
        let told = nodes.nodes.last().filter(|_| more).map(|n| n.id.clone());
        let mut all = nodes.nodes;
        if let Some(told) = told {
            // The stream tells the first page; what lies beyond stays until it is read again.
            self.nodes.with_untracked(|n| {
                let beyond = n.value.iter().flatten().filter(|n| n.id > told);
                all.extend(beyond.cloned());
            });
        }
        self.take_nodes(all);
        // The stream tells the default fleet's figures only.
        if self.fleet_name.with_untracked(|name| name == DEFAULT_FLEET) {
            self.now.set(now);
        }
    }

    fn take_nodes(self, mut nodes: Vec<Node>) {
        self.fleet_name
            .with_untracked(|name| nodes.retain(|node| node.fleet == *name));
        rollout::sort_trouble_first(&mut nodes);
        self.nodes.set(Remote {
            value: Some(nodes),
            failure: None,
        });
    }

    /// Reads everything that events change, a moment from now.
    pub fn refresh_soon(self) {
        if self.refresh_planned.get_untracked() {
            return;
        }
        self.refresh_planned.set(true);
        set_timeout(
            move || {
                self.refresh_planned.set(false);
                self.refresh();
            },
            GATHER,
        );
    }

    /// Reads everything that events change.
    pub fn refresh(self) {
        self.beat.update(|beat| *beat += 1);
        self.read_status();
        self.read_managers();
        self.read(
            self.license,
            "/v1/license?consistency=stale",
            |license: License| license,
        );
        self.read_fleets();
        spawn_local(async move {
            let fleet = self.fleet_name.get_untracked();
            match all_nodes(&fleet).await {
                Ok(nodes) if self.fleet_name.get_untracked() == fleet => self.take_nodes(nodes),
                Ok(_) => {}
                Err(failure) => self.failed(self.nodes, &failure),
            }
        });
        spawn_local(async move {
            match newest(&self.fleet_name.get_untracked()).await {
                Ok(value) => self.newest.set(Remote {
                    value: Some(value),
                    failure: None,
                }),
                Err(failure) => self.failed(self.newest, &failure),
            }
        });
    }

    fn read_managers(self) {
        spawn_local(async move {
            match api::get::<ManagerList>("/v1/managers?consistency=stale").await {
                Ok(list) => {
                    self.note_lag(&list.managers);
                    self.managers.set(Remote {
                        value: Some(list.managers),
                        failure: None,
                    });
                }
                Err(failure) => self.failed(self.managers, &failure),
            }
        });
    }

    fn read_fleets(self) {
        spawn_local(async move {
            match api::get::<FleetList>("/v1/fleets?consistency=stale").await {
                Ok(list) => {
                    let name = self.fleet_name.get_untracked();
                    let shown = list.fleets.iter().find(|f| f.name == name).cloned();
                    if self.fleets.with_untracked(|old| *old != list.fleets) {
                        self.fleets.set(list.fleets);
                    }
                    self.fleet.set(Remote {
                        value: Some(shown),
                        failure: None,
                    });
                }
                Err(failure) => self.failed(self.fleet, &failure),
            }
        });
    }

    fn read_status(self) {
        spawn_local(async move {
            match api::get::<GroupStatus>("/v1/status?consistency=stale").await {
                Ok(status) => self.take_status(status),
                Err(failure) => self.failed(self.status, &failure),
            }
        });
    }

    /// Reads the windows of the chosen range.
    pub fn read_statistics(self) {
        let range = self.range_s.get_untracked();
        let fleet = route::encode(&self.fleet_name.get_untracked());
        let path = format!("/v1/statistics?fleet={fleet}&range_s={range}&consistency=stale");
        spawn_local(async move {
            match api::get::<Statistics>(&path).await {
                Ok(statistics) => {
                    self.suit_range(&statistics);
                    self.now.set(Now {
                        requests_per_s: statistics.now_requests_per_s,
                        errors_per_s: statistics.now_errors_per_s,
                        latency: statistics.now_latency,
                    });
                    self.statistics.set(Remote {
                        value: Some(statistics),
                        failure: None,
                    });
                }
                Err(failure) => self.failed(self.statistics, &failure),
            }
        });
    }

    /// A group that has just begun is shown closely, unless the reader chose a range.
    fn suit_range(self, statistics: &Statistics) {
        let first = statistics
            .points
            .first()
            .and_then(|p| clock::parse(&p.start));
        let young = first.is_none_or(|first| self.now_ms() - first < 600_000);
        if young
            && self.statistics.with_untracked(|s| s.value.is_none())
            && browser::recall("range_s").is_none()
        {
            self.range_s.set(600);
        }
    }

    fn read_events(self) {
        self.read(
            self.events,
            "/v1/events?history=true&limit=200&consistency=stale",
            |list: EventList| list.events.into_iter().filter(event::is_shown).collect(),
        );
    }

    fn read<W, T>(self, into: RwSignal<Remote<T>>, path: &'static str, take: fn(W) -> T)
    where
        W: DeserializeOwned + 'static,
        T: Send + Sync + 'static,
    {
        spawn_local(async move {
            match api::get::<W>(path).await {
                Ok(answer) => into.set(Remote {
                    value: Some(take(answer)),
                    failure: None,
                }),
                Err(failure) => self.failed(into, &failure),
            }
        });
    }

    /// Old data stays; only the cell says that it could not be read again.
    pub(super) fn failed<T: Send + Sync + 'static>(
        self,
        cell: RwSignal<Remote<T>>,
        failure: &Failure,
    ) {
        if matches!(failure, Failure::SignedOut(_)) {
            stream::close();
            self.login.set(Login::Out);
            return;
        }
        let text = failure.text();
        cell.update(|remote| remote.failure = Some(text));
    }
}

/// All nodes of a fleet, page by page.
async fn all_nodes(fleet: &str) -> Result<Vec<Node>, Failure> {
    let mut all = Vec::new();
    let mut cursor = String::new();
    for _ in 0..MAX_NODE_PAGES {
        let pairs = [
            ("fleet", fleet),
            ("consistency", "stale"),
            ("cursor", &cursor),
        ];
        let list: NodeList = api::get(&route::address("/v1/nodes", &pairs)).await?;
        all.extend(list.nodes);
        match list.next_cursor {
            Some(next) => cursor = next,
            None => break,
        }
    }
    Ok(all)
}

async fn newest(fleet: &str) -> Result<Option<Newest>, Failure> {
    let fleet = route::encode(fleet);
    let list: VersionList = api::get(&format!(
        "/v1/fleets/{fleet}/versions?consistency=stale&limit=1"
    ))
    .await?;
    match list.versions.first() {
        None => Ok(None),
        Some(first) => {
            let path = format!(
                "/v1/fleets/{fleet}/versions/{}?consistency=stale",
                first.number
            );
            api::get(&path).await.map(Some)
        }
    }
}
