//! Who waits for what: one follower of the applied index wakes the readers of the topics that changed.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use futures::future::select_all;
use krakend_domain::Topic;
use krakend_raft::StateView;
use tokio::sync::watch;

use crate::app::App;

/// For each topic the log index of its last change.
#[derive(Debug)]
pub struct Watch {
    topics: Vec<watch::Sender<u64>>,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            topics: Topic::ALL.iter().map(|_| watch::Sender::new(0)).collect(),
        }
    }
}

impl Watch {
    /// Follows a topic's last change.
    pub fn receiver(&self, topic: Topic) -> watch::Receiver<u64> {
        self.topics[topic as usize].subscribe()
    }

    /// Resolves when one of the topics has changed after `index`.
    pub fn beyond(&self, topics: &[Topic], index: u64) -> impl Future<Output = ()> + Send + use<> {
        let waits: Vec<_> = topics
            .iter()
            .map(|topic| {
                let mut receiver = self.receiver(*topic);
                Box::pin(async move {
                    let reached = receiver.wait_for(|modified| *modified > index).await;
                    drop(reached);
                })
            })
            .collect();
        async move {
            match waits.is_empty() {
                true => std::future::pending().await,
                false => drop(select_all(waits).await),
            }
        }
    }

    fn publish(&self, modified: impl Fn(Topic) -> u64) {
        for topic in Topic::ALL {
            let now = modified(topic);
            self.topics[topic as usize].send_if_modified(|known| {
                let changed = *known != now;
                *known = now;
                changed
            });
        }
    }
}

/// Log index of a topic's last change. The members of the group change besides the state.
pub fn modified(view: &StateView, topic: Topic) -> u64 {
    let modified = view.state.modified(topic);
    match topic {
        Topic::Managers => modified.max(view.membership_index),
        _ => modified,
    }
}

/// Log index of the last change of any of the topics.
pub fn newest(view: &StateView, topics: &[Topic]) -> u64 {
    let modified = topics.iter().map(|topic| modified(view, *topic));
    modified.max().unwrap_or(0)
}

/// Entries within this time wake once; the first of them at once.
const TOGETHER: Duration = Duration::from_millis(5);

/// Follows the applied index for as long as the manager runs.
pub async fn run(app: App) {
    let mut applied = app.group.applied();
    let mut woken = Instant::now();
    loop {
        applied.borrow_and_update();
        let view = app.group.stale();
        app.http.watch.publish(|topic| modified(&view, topic));
        drop(view);
        tokio::select! {
            changed = applied.changed() => if changed.is_err() { return },
            () = app.stop.cancelled() => return,
        }
        if woken.elapsed() < TOGETHER {
            tokio::time::sleep(TOGETHER).await;
        }
        woken = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn a_reader_wakes_for_its_topics_beyond_its_index_and_for_nothing_else() {
        let watch = Watch::default();
        let publish = |topic: Topic, index: u64| {
            watch.publish(|it| if it == topic { index } else { 0 });
        };
        let mut nodes = Box::pin(watch.beyond(&[Topic::Nodes, Topic::Fleets], 10));
        assert!(nodes.as_mut().now_or_never().is_none());
        publish(Topic::Statistics, 11);
        assert!(nodes.as_mut().now_or_never().is_none(), "another topic");
        publish(Topic::Nodes, 10);
        assert!(nodes.as_mut().now_or_never().is_none(), "known already");
        publish(Topic::Fleets, 12);
        assert!(nodes.as_mut().now_or_never().is_some());
        let late = watch.beyond(&[Topic::Fleets], 11);
        assert!(late.now_or_never().is_some(), "changed before it waited");
    }
}
