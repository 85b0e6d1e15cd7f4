//! Every manager verifies the installed licence with its own key: at its start, daily, and when licence or keys change. One
//! whose key does not verify it says so and hands the leadership to one whose key does.

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use krakend_api as api;
use krakend_domain::{
    ClusterState, Command, Digest, LicenseRecord, LicenseState, LicenseStatus, ManagerId, Topic,
};
use krakend_raft::StateView;
use sha2::Digest as _;

use crate::{
    app::App,
    clock::{self, rfc3339},
    control::propose,
    license::{self, Groups, KeyError, LicenseError, LicenseKey},
};

const STEP: Duration = Duration::from_secs(1);
const DAILY: Duration = Duration::from_secs(86_400);
/// A key that does not fit is tried again: its file may have been put right.
const AGAIN: Duration = Duration::from_secs(10);
const DAILY_MS: u64 = 86_400_000;

/// This manager's keys for licences and what it found with them.
#[derive(Default)]
pub struct Licensing {
    /// `None`: the keys derive from the group secrets.
    file: Option<KeyFile>,
    found: Mutex<Option<Found>>,
}

struct KeyFile {
    path: PathBuf,
    keys: Mutex<Vec<LicenseKey>>,
}

/// What this manager found when it verified the installed licence.
#[derive(Clone, PartialEq, Eq)]
struct Found {
    license: Digest,
    at_ms: u64,
    problem: Option<String>,
}

impl Licensing {
    /// Reads the key file, which must be right at the start.
    pub fn open(path: Option<PathBuf>) -> Result<Self, KeyError> {
        let read = |path: PathBuf| -> Result<KeyFile, KeyError> {
            let keys = Mutex::new(LicenseKey::read_all(&path)?);
            Ok(KeyFile { path, keys })
        };
        Ok(Self {
            file: path.map(read).transpose()?,
            found: Mutex::default(),
        })
    }

    fn found(&self) -> Option<Found> {
        lock(&self.found).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What this manager verifies licences with: the configured keys, read anew, or one for each group secret that it holds,
/// so that a licence which was issued before a rotation can be installed after it.
pub fn keys(app: &App) -> Vec<LicenseKey> {
    let Some(file) = &app.licensing.file else {
        let ring = app.trust.ring();
        let of_group = ring.all().map(|held| LicenseKey::of_group(&held.secret));
        return of_group.collect();
    };
    match LicenseKey::read_all(&file.path) {
        Ok(keys) => lock(&file.keys).clone_from(&keys),
        Err(error) => tracing::warn!("the former licence keys go on: {error}"),
    }
    lock(&file.keys).clone()
}

/// Name of a licence: SHA-256 of its text.
pub fn digest(token: &str) -> Digest {
    Digest(sha2::Sha256::digest(token.as_bytes()).into())
}

/// Looks after the licence until the manager stops.
pub async fn run(app: App) -> anyhow::Result<()> {
    let mut changed = app.http.watch.receiver(Topic::License);
    let mut watched = Watched::default();
    while !app.stop.is_cancelled() {
        let view = app.group.stale();
        if view.state.meta().group_id.is_some() {
            watched.look(&app, &view).await;
        }
        tokio::select! {
            _ = changed.changed() => {}
            () = tokio::time::sleep(STEP) => {}
            () = app.stop.cancelled() => {}
        }
    }
    Ok(())
}

/// What the task remembers from look to look.
#[derive(Default)]
struct Watched {
    checked: Option<(Digest, Vec<String>, Instant)>,
    told: Option<(LicenseState, Option<u32>)>,
    tried: Option<Instant>,
}

impl Watched {
    async fn look(&mut self, app: &App, view: &StateView) {
        let state = &view.state;
        self.tell(state);
        let Some(record) = state.license() else {
            self.checked = None;
            *lock(&app.licensing.found) = None;
            return;
        };
        self.check(app, state, record);
        let recently = self.tried.is_some_and(|at| at.elapsed() < AGAIN);
        let Some(found) = app.licensing.found().filter(|_| !recently) else {
            return;
        };
        if is_news(app, state, &found) {
            self.tried = Some(Instant::now());
            report(app, &found).await;
        } else if found.problem.is_some() && view.leader == Some(me(app)) {
            self.tried = Some(Instant::now());
            hand_over(app, state, &found).await;
        }
    }

    /// Says in the log where the licence stands: at the start, and at each step that the group has told.
    fn tell(&mut self, state: &ClusterState) {
        let told = state.meta().license_state.unwrap_or(LicenseState::Free);
        let now = (told, state.license_notes().told_days);
        if self.told == Some(now) {
            return;
        }
        let record = state.license();
        if self.told.is_none() && record.is_none() {
            tracing::info!(
                "no licence is installed: {} nodes may run",
                krakend_domain::FREE_MAX_NODES
            );
        }
        if let Some(record) = record {
            let now_ms = clock::decide_ms(state);
            let status = LicenseStatus::at(Some(&record.claims), state.decision_time(now_ms));
            let text = status.text(Some(&record.claims));
            match status.state {
                LicenseState::Valid => tracing::info!("{text}"),
                _ => tracing::warn!("{text}"),
            }
        }
        self.told = Some(now);
    }

    fn check(&mut self, app: &App, state: &ClusterState, record: &LicenseRecord) {
        let license = digest(&record.token);
        let secrets: Vec<_> = app
            .trust
            .ring()
            .ids()
            .iter()
            .map(ToString::to_string)
            .collect();
        let failed = app.licensing.found().is_some_and(|it| it.problem.is_some());
        let every = if failed { AGAIN } else { DAILY };
        let fresh = self.checked.as_ref().is_some_and(|(of, with, at)| {
            *of == license && *with == secrets && at.elapsed() < every
        });
        if fresh {
            return;
        }
        self.checked = Some((license, secrets, Instant::now()));
        let problem = problem(app, state, record);
        let before = app.licensing.found();
        let known = before.is_some_and(|it| it.license == license && it.problem == problem);
        match &problem {
            Some(problem) if !known => tracing::error!(
                "the installed licence does not verify on {}: {problem}",
                app.settings.name
            ),
            None if !known => tracing::info!("the installed licence verifies"),
            _ => {}
        }
        *lock(&app.licensing.found) = Some(Found {
            license,
            at_ms: clock::decide_ms(state),
            problem,
        });
    }
}

fn me(app: &App) -> ManagerId {
    app.group.identity().manager_id
}

/// Why the installed licence does not verify here. Its dates are the state's matter.
fn problem(app: &App, state: &ClusterState, record: &LicenseRecord) -> Option<String> {
    let verified = license::read(&keys(app), &record.token).and_then(|license| {
        license.check_group(&Groups::of(state))?;
        match license.claims == record.claims {
            true => Ok(()),
            false => Err(LicenseError::Claims(
                "its text says something else than what was installed".into(),
            )),
        }
    });
    verified.err().map(|error| error.to_string())
}

/// Whether the group does not know it yet, or has not heard it for a day.
fn is_news(app: &App, state: &ClusterState, found: &Found) -> bool {
    let known = state.license_notes().checks.get(&me(app));
    let is_known = known.is_some_and(|it| {
        it.license == found.license
            && it.problem == found.problem
            && found.at_ms < it.at_ms.saturating_add(DAILY_MS)
    });
    // Who is not registered yet has no name in the trail.
    !is_known && state.manager(me(app)).is_some() && state.meta().feature_level >= 4
}

async fn report(app: &App, found: &Found) {
    let command = Command::ReportLicense {
        manager_id: me(app),
        license: found.license,
        problem: found.problem.clone(),
    };
    if let Err(error) = propose(app, command).await {
        tracing::debug!("the licence's check is not written, trying again: {error}");
    }
}

/// Who cannot verify the licence should not decide about it. While nobody can, what was verified when it was installed
/// goes on: a lost key stops nobody's traffic.
async fn hand_over(app: &App, state: &ClusterState, found: &Found) {
    let checks = &state.license_notes().checks;
    let fits = |id: &ManagerId| {
        checks
            .get(id)
            .is_some_and(|it| it.license == found.license && it.problem.is_none())
    };
    let members = app.group.status().members;
    let to = members
        .into_iter()
        .find(|it| it.voter && it.reachable == Some(true) && fits(&it.id));
    let Some(to) = to else {
        return;
    };
    tracing::warn!(
        "{} cannot verify the licence and hands the leadership to {}",
        app.settings.name,
        to.node.name
    );
    if let Err(error) = app.group.transfer_leadership(to.id).await {
        tracing::warn!("the leadership was not handed over: {error}");
    }
}

/// What each manager found, for the API.
pub fn checks(state: &ClusterState) -> Vec<api::LicenseCheck> {
    let Some(installed) = state.license().map(|record| digest(&record.token)) else {
        return Vec::new();
    };
    let checks = state.license_notes().checks.iter();
    let of_installed = checks.filter(|(_, check)| check.license == installed);
    let mut checks: Vec<_> = of_installed
        .filter_map(|(id, check)| {
            Some(api::LicenseCheck {
                manager_id: id.to_string(),
                manager: state.manager(*id)?.name.clone(),
                at: rfc3339(check.at_ms),
                problem: check.problem.clone(),
            })
        })
        .collect();
    checks.sort_by(|a, b| a.manager.cmp(&b.manager));
    checks
}

/// What of the licence wants an operator.
pub fn alarms(app: &App, view: &StateView) -> Vec<api::Alarm> {
    let alarm = |kind: &str, message: String, since: String| api::Alarm {
        kind: kind.into(),
        message,
        since,
    };
    let mut alarms = Vec::new();
    let own = app.licensing.found().filter(|it| it.problem.is_some());
    let name = &app.settings.name;
    let mut unverified: Vec<_> = checks(&view.state)
        .into_iter()
        .filter(|it| it.problem.is_some() && it.manager != *name)
        .map(|it| (it.manager, it.problem.unwrap_or_default(), it.at))
        .collect();
    if let Some(own) = own {
        let since = rfc3339(own.at_ms);
        unverified.push((name.clone(), own.problem.unwrap_or_default(), since));
    }
    for (manager, problem, since) in unverified {
        let text = format!("{manager} cannot verify the installed licence: {problem}");
        alarms.push(alarm("license-unverified", text, since));
    }
    let waiting = app.sessions.waiting();
    if !waiting.is_empty() {
        let names: Vec<_> = waiting.iter().take(5).map(String::as_str).collect();
        let more = if waiting.len() > 5 { " and others" } else { "" };
        let text = format!(
            "{} node(s) wait for a seat ({}{more}): upgrade the licence, or take out nodes that are gone with `nodes remove`",
            waiting.len(),
            names.join(", ")
        );
        alarms.push(alarm("no-seat", text, rfc3339(clock::now_ms())));
    }
    alarms
}

/// For the metrics: whether this manager's key verifies what is installed; 1 without a licence.
pub fn verifies(app: &App) -> bool {
    app.licensing.found().is_none_or(|it| it.problem.is_none())
}
