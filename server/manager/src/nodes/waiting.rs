//! Nodes that were refused for want of a seat. Their next question is kept until there is a seat for them, so that they need not
//! find out by asking.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use krakend_domain::{NodeId, Topic};
use krakend_proto::node::{self as wire, manager_message::Message as Out};
use tonic::{Status, Streaming};

use super::{
    enroll::managers,
    session::{HEARTBEAT, Outgoing, say},
};
use crate::{app::App, clock};

/// Then the question is answered with a refusal, which the node asks again.
const KEEP: Duration = Duration::from_secs(60);
/// Further nodes are refused at once, and ask every few seconds: each question kept is an open stream, and wakes with each change
/// of a node.
const MAX_KEPT: usize = 1_024;
/// Who was told to come has registered by then, or does not.
const COMES_WITHIN: Duration = Duration::from_secs(1);

/// Those who wait, in the order of their first asking.
#[derive(Default)]
pub struct Queue {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    kept: BTreeSet<u64>,
    told: Vec<Instant>,
    next_order: u64,
}

/// A place in the queue, given up when it is dropped.
pub struct Place<'a> {
    queue: &'a Queue,
    order: u64,
}

impl Queue {
    pub fn next_order(&self) -> u64 {
        let mut inner = self.lock();
        inner.next_order += 1;
        inner.next_order
    }

    /// None when too many wait, or this one does already.
    fn enter(&self, order: u64) -> Option<Place<'_>> {
        let mut inner = self.lock();
        let fits = inner.kept.len() < MAX_KEPT && inner.kept.insert(order);
        // Made only where it fits: the end of a place takes the lock.
        fits.then(|| Place { queue: self, order })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place<'_> {
    /// Whether one of so many free seats is for this one. Never more are told so than there are seats.
    fn is_turn(&self, free: u32, now: Instant) -> bool {
        let mut inner = self.queue.lock();
        inner
            .told
            .retain(|at| now.saturating_duration_since(*at) < COMES_WITHIN);
        // No further than it matters: the queue may be long.
        let ahead = inner.kept.range(..self.order).take(free as usize);
        let turn = ahead.count() + inner.told.len() < free as usize;
        if turn {
            inner.told.push(now);
            inner.kept.remove(&self.order);
        }
        turn
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.queue.lock().kept.remove(&self.order);
    }
}

/// What becomes of the question.
pub enum Kept {
    /// It is answered as any other.
    Answer,
    /// There is a seat now. The question has grown old meanwhile, and a lease is as old as what it answers: the node asks anew.
    AskAnew,
}

/// Keeps the question of a node that was refused a seat lately, while there is none and this manager leads.
pub async fn for_seat(
    app: &App,
    node_id: NodeId,
    messages: &mut Streaming<wire::NodeMessage>,
    out: &Outgoing,
) -> Result<Kept, Status> {
    let Some(order) = app.sessions.waits(node_id) else {
        return Ok(Kept::Answer);
    };
    if has_seat(app, node_id) || free_seats(app) > 0 {
        return Ok(Kept::Answer);
    }
    let Some(place) = app.sessions.queue.enter(order) else {
        return Ok(Kept::Answer);
    };
    let mut nodes = app.http.watch.receiver(Topic::Nodes);
    let mut license = app.http.watch.receiver(Topic::License);
    let mut leader = app.group.leadership();
    // At least as often as a silent manager is given up. A seat that is held for a time gets free without a change.
    let mut beat = tokio::time::interval(HEARTBEAT);
    let over = tokio::time::sleep(KEEP);
    tokio::pin!(over);
    loop {
        if !leader.borrow_and_update().is_me || has_seat(app, node_id) {
            return Ok(Kept::AskAnew);
        }
        if place.is_turn(free_seats(app), Instant::now()) {
            return Ok(Kept::AskAnew);
        }
        tokio::select! {
            _ = leader.changed() => {}
            _ = nodes.changed() => {}
            _ = license.changed() => {}
            _ = beat.tick() => {
                app.sessions.waits(node_id);
                let beat = super::heartbeat(app);
                say(out, Out::Heartbeat(beat)).await?;
            }
            () = &mut over => return Ok(Kept::Answer),
            () = app.stop.cancelled() => return Err(Status::unavailable("this manager is stopping")),
            message = messages.message() => {
                if message?.is_none() {
                    return Err(Status::cancelled("the node hung up"));
                }
            }
        }
    }
}

/// Sends the node to the leader, which may be this manager.
pub fn ask_anew(app: &App) -> Out {
    let leader = app.group.leadership().borrow().leader;
    let mut members = app.group.status().members.into_iter();
    let leader = members.find(|member| Some(member.id) == leader);
    Out::Redirect(wire::Redirect {
        leader: leader.map_or_else(String::new, |member| member.node.node_address),
        managers: managers(app),
    })
}

fn has_seat(app: &App, node_id: NodeId) -> bool {
    let state = app.group.stale().state;
    let held = state.decision_time(clock::decide_ms(&state));
    state
        .node(node_id)
        .is_some_and(|node| node.seat.is_taken(held))
}

fn free_seats(app: &App) -> u32 {
    let state = app.group.stale().state;
    let now_ms = clock::decide_ms(&state);
    let max_nodes = state.license_status(now_ms).limits.max_nodes;
    max_nodes.saturating_sub(state.seats_used(now_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_seats_go_to_those_who_asked_first_and_to_no_more_than_there_are() {
        let queue = Queue::default();
        let orders: Vec<u64> = (0..4).map(|_| queue.next_order()).collect();
        // They come back in another order.
        let mut places: Vec<_> = [2, 0, 3, 1]
            .map(|at| queue.enter(orders[at]).expect("there is room"))
            .into();
        let now = Instant::now();
        let turns = |places: &[Place<'_>], free, now| -> Vec<u64> {
            let turn = |place: &&Place<'_>| place.is_turn(free, now);
            places.iter().filter(turn).map(|it| it.order).collect()
        };
        assert!(turns(&places, 0, now).is_empty());
        assert_eq!(turns(&places, 1, now), [orders[0]]);
        places.retain(|it| it.order != orders[0]);
        // The seat is not taken yet: nobody else is told that it is free.
        assert!(turns(&places, 1, now).is_empty());
        assert_eq!(turns(&places, 2, now), [orders[1]]);
        places.retain(|it| it.order != orders[1]);
        // Neither has come.
        let later = now + COMES_WITHIN;
        assert_eq!(turns(&places, 1, later), [orders[2]]);
    }

    #[test]
    fn a_node_that_hangs_up_gives_its_place_to_the_next() {
        let queue = Queue::default();
        let (first, second) = (queue.next_order(), queue.next_order());
        let gone = queue.enter(first).expect("there is room");
        assert!(queue.enter(first).is_none(), "it waits already");
        let next = queue.enter(second).expect("there is room");
        assert!(!next.is_turn(1, Instant::now()));
        drop(gone);
        assert!(next.is_turn(1, Instant::now()));
        assert!(queue.enter(first).is_some());
    }
}
