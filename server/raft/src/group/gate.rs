use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::rt;

/// Lets callers that come while a question is on its way share the next one: the answer to a question that was asked
/// after a caller came is good for that caller too. At most one question is on its way.
#[derive(Debug)]
pub(super) struct Gate<T> {
    shared: Arc<Mutex<Waiting<T>>>,
}

#[derive(Debug)]
struct Waiting<T> {
    callers: Vec<oneshot::Sender<T>>,
    asking: bool,
}

impl<T> Default for Gate<T> {
    fn default() -> Self {
        let waiting = Waiting {
            callers: Vec::new(),
            asking: false,
        };
        Self {
            shared: Arc::new(Mutex::new(waiting)),
        }
    }
}

impl<T> Waiting<T> {
    /// Whose turn it is; nobody ends the asking.
    fn next(&mut self) -> Vec<oneshot::Sender<T>> {
        let callers = std::mem::take(&mut self.callers);
        self.asking = !callers.is_empty();
        callers
    }
}

fn lock<T>(waiting: &Mutex<Waiting<T>>) -> MutexGuard<'_, Waiting<T>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T: Clone + Send + 'static> Gate<T> {
    /// The answer to a question asked from now on. `ask` must end by itself. `None`: it panicked.
    pub(super) async fn pass<F, Fut>(&self, ask: F) -> Option<T>
    where
        F: Fn() -> Fut + Send + 'static,
        Fut: Future<Output = T> + Send + 'static,
    {
        let (sender, answer) = oneshot::channel();
        let begin = {
            let mut waiting = lock(&self.shared);
            waiting.callers.push(sender);
            !std::mem::replace(&mut waiting.asking, true)
        };
        if begin {
            // Not by this caller, who may give up while others wait.
            rt::spawn(serve(self.shared.clone(), ask));
        }
        answer.await.ok()
    }
}

async fn serve<T, F, Fut>(shared: Arc<Mutex<Waiting<T>>>, ask: F)
where
    T: Clone,
    F: Fn() -> Fut,
    Fut: Future<Output = T>,
{
    /// A question that panics must not leave the gate shut.
    struct Open<'a, T>(&'a Mutex<Waiting<T>>);
    impl<T> Drop for Open<'_, T> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                let mut waiting = lock(self.0);
                waiting.callers.clear();
                waiting.asking = false;
            }
        }
    }
    let _open = Open(&shared);
    loop {
        let callers = lock(&shared).next();
        if callers.is_empty() {
            return;
        }
        let answer = ask().await;
        for caller in callers {
            // Who gave up meanwhile does not mind.
            let _ = caller.send(answer.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn callers_share_the_next_question_and_never_one_that_was_asked_before() {
        let gate = Arc::new(Gate::<u32>::default());
        let asked = Arc::new(AtomicU32::new(0));
        let may_answer = Arc::new(Semaphore::new(0));
        let call = || {
            let (gate, asked, may_answer) = (gate.clone(), asked.clone(), may_answer.clone());
            tokio::spawn(async move {
                gate.pass(move || {
                    let number = asked.fetch_add(1, Ordering::SeqCst) + 1;
                    let may_answer = may_answer.clone();
                    async move {
                        may_answer.acquire().await.expect("open").forget();
                        number
                    }
                })
                .await
            })
        };
        let first = call();
        while asked.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        // Ten more come while the first question is on its way.
        let rest: Vec<_> = (0..10).map(|_| call()).collect();
        while lock(&gate.shared).callers.len() < 10 {
            tokio::task::yield_now().await;
        }
        may_answer.add_permits(2);
        assert_eq!(first.await.unwrap(), Some(1));
        for caller in rest {
            assert_eq!(caller.await.unwrap(), Some(2));
        }
        may_answer.add_permits(1);
        assert_eq!(call().await.unwrap(), Some(3));
    }

    #[tokio::test]
    async fn a_question_that_panics_leaves_the_gate_open() {
        let gate = Gate::<u32>::default();
        let answer = gate.pass(|| async { panic!("on purpose") }).await;
        assert_eq!(answer, None);
        assert_eq!(gate.pass(|| async { 7 }).await, Some(7));
    }

    #[tokio::test]
    async fn a_caller_that_gives_up_does_not_take_the_others_answer_away() {
        let gate = Arc::new(Gate::<u32>::default());
        let may_answer = Arc::new(Semaphore::new(0));
        let ask = {
            let may_answer = may_answer.clone();
            move || {
                let may_answer = may_answer.clone();
                async move {
                    may_answer.acquire().await.expect("open").forget();
                    1
                }
            }
        };
        let impatient = tokio::spawn({
            let (gate, ask) = (gate.clone(), ask.clone());
            async move { gate.pass(ask).await }
        });
        while !lock(&gate.shared).asking {
            tokio::task::yield_now().await;
        }
        let patient = tokio::spawn({
            let (gate, ask) = (gate.clone(), ask.clone());
            async move { gate.pass(ask).await }
        });
        impatient.abort();
        may_answer.add_permits(2);
        assert_eq!(patient.await.unwrap(), Some(1));
    }
}
