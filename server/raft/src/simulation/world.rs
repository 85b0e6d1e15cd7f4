//! One thread, one clock that stands still while anything can run, one source of chance.
//!
//! Everything that was woken is run in rounds: the round's tasks are ordered by number and then shuffled by the seed.
//! So it does not matter who woke whom first (tokio's `watch` wakes its waiters in a random order), and each seed tries
//! another interleaving.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

use super::{Random, Trace, checks::Checks, network::Net};

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;
type TaskId = u64;

/// More rounds than anything sensible takes.
const MAX_ROUNDS: u64 = 100_000;

/// One run of a manager's process. Host 0 is the world outside: network, clients, faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Host(pub u64);

pub(super) const OUTSIDE: Host = Host(0);

thread_local! {
    static CURRENT: RefCell<Option<World>> = const { RefCell::new(None) };
}

/// Whether this thread is inside a simulation.
pub(crate) fn is_running() -> bool {
    CURRENT.with_borrow(Option::is_some)
}

/// The simulation that this thread is inside of.
pub(crate) fn world() -> World {
    let world = CURRENT.with_borrow(Clone::clone);
    world.expect("inside a simulation")
}

/// A simulation. Clones are the same one.
#[derive(Clone)]
pub(crate) struct World {
    state: Arc<Mutex<State>>,
    ready: Arc<Mutex<BTreeSet<TaskId>>>,
    /// What the clock of the simulation counts from; only differences are ever looked at.
    began: Instant,
    net: Arc<Net>,
    checks: Arc<Checks>,
}

struct State {
    now: Duration,
    random: Random,
    trace: Trace,
    tasks: BTreeMap<TaskId, Task>,
    timers: BTreeMap<(Duration, u64), Waker>,
    /// Tasks and timers that there have been.
    counted: u64,
    /// Whose task is running.
    here: Host,
    paused: BTreeSet<Host>,
    ended: BTreeSet<Host>,
    /// Rounds without any time passing.
    rounds: u64,
    /// The first thing that went wrong.
    failure: Option<String>,
}

struct Task {
    host: Host,
    waker: Waker,
    /// Absent while it runs.
    work: Option<Work>,
}

struct Woken {
    id: TaskId,
    ready: Arc<Mutex<BTreeSet<TaskId>>>,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        lock(&self.ready).insert(self.id);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    /// Runs `main` to its end, and says how often anything was run, what went by, and what went wrong.
    pub(super) fn run(
        seed: u64,
        main: impl Future<Output = ()> + Send + 'static,
    ) -> (Trace, Duration, Result<(), String>) {
        let world = Self {
            state: Arc::new(Mutex::new(State {
                now: Duration::ZERO,
                random: Random::new(seed),
                trace: Trace::default(),
                tasks: BTreeMap::new(),
                timers: BTreeMap::new(),
                counted: 0,
                here: OUTSIDE,
                paused: BTreeSet::new(),
                ended: BTreeSet::new(),
                rounds: 0,
                failure: None,
            })),
            ready: Arc::default(),
            began: Instant::now(),
            net: Arc::default(),
            checks: Arc::default(),
        };
        CURRENT.set(Some(world.clone()));
        let main = world.spawn(OUTSIDE, main);
        while world.failure().is_none() && world.has(main) && world.round() {}
        if world.has(main) && world.failure().is_none() {
            world.fail("nothing can run any more, and nothing is waited for".into());
        }
        let tasks = std::mem::take(&mut lock(&world.state).tasks);
        drop(tasks);
        CURRENT.set(None);
        let mut state = lock(&world.state);
        let trace = std::mem::take(&mut state.trace);
        let result = state.failure.take().map_or(Ok(()), Err);
        state.timers.clear();
        (trace, state.now, result)
    }

    /// Runs what is awake, else lets time pass to the next timer. False: there is neither.
    fn round(&self) -> bool {
        let batch = self.batch();
        if batch.is_empty() {
            return self.pass_time();
        }
        for id in batch {
            self.poll(id);
            if lock(&self.state).failure.is_some() {
                return true;
            }
        }
        true
    }

    fn batch(&self) -> Vec<TaskId> {
        let mut state = lock(&self.state);
        state.rounds += 1;
        if state.rounds > MAX_ROUNDS {
            let here = format!("something runs for ever at {:?}", state.now);
            state.failure.get_or_insert(here);
            return Vec::new();
        }
        let mut ready = lock(&self.ready);
        ready.retain(|id| state.tasks.contains_key(id));
        let runs = |id: &TaskId| !state.paused.contains(&state.tasks[id].host);
        let mut batch: Vec<TaskId> = ready.iter().copied().filter(runs).collect();
        for id in &batch {
            ready.remove(id);
        }
        state.random.shuffle(&mut batch);
        batch
    }

    fn poll(&self, id: TaskId) {
        let (mut work, waker) = {
            let mut state = lock(&self.state);
            let Some(task) = state.tasks.get_mut(&id) else {
                return;
            };
            let Some(work) = task.work.take() else { return };
            let (waker, host) = (task.waker.clone(), task.host);
            state.here = host;
            let now = state.now;
            state.trace.note("run", &[id, now.as_nanos() as u64]);
            (work, waker)
        };
        let mut context = Context::from_waker(&waker);
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(&mut context)));
        let mut state = lock(&self.state);
        state.here = OUTSIDE;
        let done = match polled {
            Ok(Poll::Pending) => {
                if let Some(task) = state.tasks.get_mut(&id) {
                    task.work = Some(work);
                    return;
                }
                // Its host has ended meanwhile.
                None
            }
            Ok(Poll::Ready(())) => state.tasks.remove(&id),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|it| (*it).into()));
                let text = text.unwrap_or_else(|| "something".into());
                state
                    .failure
                    .get_or_insert(format!("a task panicked: {text}"));
                state.tasks.remove(&id)
            }
        };
        drop(state);
        drop(work);
        drop(done);
    }

    fn pass_time(&self) -> bool {
        let due: Vec<Waker> = {
            let mut state = lock(&self.state);
            let Some((&(next, _), _)) = state.timers.first_key_value() else {
                return false;
            };
            state.now = state.now.max(next);
            state.rounds = 0;
            let now = state.now;
            let later = state.timers.split_off(&(now, u64::MAX));
            let due = std::mem::replace(&mut state.timers, later);
            due.into_values().collect()
        };
        due.iter().for_each(Waker::wake_by_ref);
        true
    }

    fn has(&self, id: TaskId) -> bool {
        lock(&self.state).tasks.contains_key(&id)
    }

    /// Begins a task of a host, unless that one has ended.
    pub(super) fn spawn(
        &self,
        host: Host,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> TaskId {
        let work: Work = Box::pin(work);
        let mut state = lock(&self.state);
        state.counted += 1;
        let id = state.counted;
        if state.ended.contains(&host) {
            drop(state);
            drop(work);
            return id;
        }
        let waker = Waker::from(Arc::new(Woken {
            id,
            ready: self.ready.clone(),
        }));
        let task = Task {
            host,
            waker,
            work: Some(work),
        };
        state.tasks.insert(id, task);
        lock(&self.ready).insert(id);
        id
    }

    /// The process ends at once: nothing of it ever runs again.
    pub(super) fn end(&self, host: Host) {
        let gone: Vec<Task> = {
            let mut state = lock(&self.state);
            state.ended.insert(host);
            state.paused.remove(&host);
            let ids: Vec<TaskId> = state
                .tasks
                .iter()
                .filter(|(_, it)| it.host == host)
                .map(|(id, _)| *id)
                .collect();
            ids.iter().filter_map(|id| state.tasks.remove(id)).collect()
        };
        drop(gone);
    }

    /// The process stands still, or goes on.
    pub(super) fn pause(&self, host: Host, paused: bool) {
        let mut state = lock(&self.state);
        if paused {
            state.paused.insert(host);
        } else {
            state.paused.remove(&host);
        }
    }

    /// Whose task is running.
    pub(super) fn here(&self) -> Host {
        lock(&self.state).here
    }

    pub(super) fn new_host(&self) -> Host {
        let mut state = lock(&self.state);
        state.counted += 1;
        Host(state.counted)
    }

    pub(super) fn net(&self) -> &Net {
        &self.net
    }

    pub(super) fn checks(&self) -> &Checks {
        &self.checks
    }

    /// Time since the simulation began.
    pub(super) fn elapsed(&self) -> Duration {
        lock(&self.state).now
    }

    pub(crate) fn now(&self) -> Instant {
        self.began + self.elapsed()
    }

    pub(crate) fn random<T>(&self, draw: impl FnOnce(&mut Random) -> T) -> T {
        draw(&mut lock(&self.state).random)
    }

    pub(super) fn note(&self, what: &str, numbers: &[u64]) {
        let mut state = lock(&self.state);
        let now = state.now;
        state.trace.note(what, numbers);
        state.trace.tell(now, what, numbers);
    }

    pub(super) fn fail(&self, reason: String) {
        lock(&self.state).failure.get_or_insert(reason);
    }

    fn failure(&self) -> Option<String> {
        lock(&self.state).failure.clone()
    }

    /// Wakes `waker` at an instant; returns what [`Self::cancel`] takes.
    fn wake_at(&self, at: Duration, waker: Waker) -> (Duration, u64) {
        let mut state = lock(&self.state);
        state.counted += 1;
        let key = (at, state.counted);
        state.timers.insert(key, waker);
        key
    }

    fn cancel(&self, key: (Duration, u64)) {
        let gone = lock(&self.state).timers.remove(&key);
        drop(gone);
    }

    pub(crate) fn sleep(&self, time: Duration) -> Sleep {
        self.sleep_until(self.elapsed() + time)
    }

    pub(super) fn sleep_until(&self, at: Duration) -> Sleep {
        Sleep {
            world: self.clone(),
            at,
            timer: None,
        }
    }

    pub(crate) fn sleep_until_instant(&self, at: Instant) -> Sleep {
        self.sleep_until(at.saturating_duration_since(self.began))
    }
}

/// Ends when the simulation's clock says so.
pub(crate) struct Sleep {
    world: World,
    at: Duration,
    timer: Option<(Duration, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if let Some(timer) = self.timer.take() {
            self.world.cancel(timer);
        }
        if self.world.elapsed() >= self.at {
            return Poll::Ready(());
        }
        let timer = self.world.wake_at(self.at, context.waker().clone());
        self.timer = Some(timer);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(timer) = self.timer.take() {
            self.world.cancel(timer);
        }
    }
}
