//! openraft's view of [`super`], in tests.

use std::{future::Future, io, time::Duration};

use openraft::impls::TokioRuntime;
use openraft::{AsyncRuntime, OptionalSend};

use super::tested::{self, Elapsed, JoinError, JoinHandle, Sleep, Timeout};
use crate::simulation::{Random, is_running, world};

/// A moment with the arithmetic that both need.
macro_rules! instant {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(pub std::time::Instant);

        impl std::ops::Add<std::time::Duration> for $name {
            type Output = Self;
            fn add(self, time: std::time::Duration) -> Self {
                Self(self.0 + time)
            }
        }

        impl std::ops::AddAssign<std::time::Duration> for $name {
            fn add_assign(&mut self, time: std::time::Duration) {
                self.0 += time;
            }
        }

        impl std::ops::Sub<std::time::Duration> for $name {
            type Output = Self;
            fn sub(self, time: std::time::Duration) -> Self {
                Self(self.0 - time)
            }
        }

        impl std::ops::SubAssign<std::time::Duration> for $name {
            fn sub_assign(&mut self, time: std::time::Duration) {
                self.0 -= time;
            }
        }

        impl std::ops::Sub for $name {
            type Output = std::time::Duration;
            fn sub(self, earlier: Self) -> std::time::Duration {
                self.0.saturating_duration_since(earlier.0)
            }
        }
    };
}
pub(super) use instant;

instant! {
    /// A moment as Raft sees it.
    Moment
}

impl openraft::Instant for Moment {
    fn now() -> Self {
        Self(tested::Instant::now().0)
    }
}

/// What Raft's own tasks run on.
#[derive(Debug)]
pub(crate) struct Runtime;

impl AsyncRuntime for Runtime {
    type JoinError = JoinError;
    type JoinHandle<T: OptionalSend + 'static> = JoinHandle<T>;
    type Sleep = Sleep;
    type Instant = Moment;
    type TimeoutError = Elapsed;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = Timeout<T>;
    type ThreadLocalRng = Random;
    type Mpsc = <TokioRuntime as AsyncRuntime>::Mpsc;
    type Watch = <TokioRuntime as AsyncRuntime>::Watch;
    type Oneshot = <TokioRuntime as AsyncRuntime>::Oneshot;
    type Mutex<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::Mutex<T>;

    fn spawn<T>(future: T) -> JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        tested::spawn(future)
    }

    fn sleep(duration: Duration) -> Sleep {
        tested::sleep(duration)
    }

    fn sleep_until(deadline: Moment) -> Sleep {
        tested::sleep_until(tested::Instant(deadline.0))
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(
        duration: Duration,
        future: F,
    ) -> Timeout<F> {
        tested::timeout(duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(
        deadline: Moment,
        future: F,
    ) -> Timeout<F> {
        tested::timeout_at(tested::Instant(deadline.0), future)
    }

    fn is_panic(error: &JoinError) -> bool {
        error.panicked
    }

    fn thread_rng() -> Random {
        match is_running() {
            true => Random::new(world().random(Random::next)),
            false => Random::new(uuid::Uuid::new_v4().as_u64_pair().0),
        }
    }

    fn new(_: usize) -> Self {
        Self
    }

    fn block_on<F: Future<Output = T>, T>(&mut self, future: F) -> T {
        // openraft's own tests alone ask for this.
        TokioRuntime::new(2).block_on(future)
    }

    async fn spawn_blocking<F, T>(work: F) -> Result<T, io::Error>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        tested::spawn_blocking(work).await.map_err(io::Error::other)
    }
}
