//! Changes of the membership, in one process.

mod support;

use std::time::{Duration, Instant};

use krakend_domain::{Command, FEATURE_LEVEL};
use krakend_raft::{ChangeError, FormError, GroupHandle, SnapshotSettings};
use support::*;
use tokio::net::TcpListener;

async fn until(what: &str, mut seen: impl FnMut() -> bool) {
    let limit = soon();
    while !seen() {
        assert!(Instant::now() < limit, "not seen in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn voter(handle: &GroupHandle, id: uuid::Uuid) -> Option<bool> {
    let members = handle.status().members;
    members.iter().find(|it| it.id == id).map(|it| it.voter)
}

/// A group of one, and a second manager that has joined it as learner.
async fn one_and_a_learner() -> (Manager, Manager) {
    let mut first = Manager::new().await;
    let handle = first.start().await;
    handle.form(&[], 1).await.unwrap();
    propose(&handle, bootstrap(handle.group_id().unwrap())).await;
    let mut second = Manager::new().await;
    let joining = second.start().await;
    let peers = [first.address.clone()];
    tokio::time::timeout(PATIENCE, joining.form(&peers, 1))
        .await
        .expect("it joins")
        .unwrap();
    (first, second)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_is_a_learner_until_it_is_promoted() {
    let (mut first, mut second) = one_and_a_learner().await;
    let (leads, joined) = (first.handle(), second.handle());
    let id = joined.identity().manager_id;
    assert_eq!(voter(&leads, id), Some(false));
    // Asked of the learner, carried out by the leader.
    joined.promote(id).await.unwrap();
    assert_eq!(voter(&leads, id), Some(true));
    propose(&joined, write(1)).await;
    second.crash().await;
    first.crash().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_manager_does_not_come_back_by_a_question_asked_before() {
    let (mut first, mut second) = one_and_a_learner().await;
    let (leads, joined) = (first.handle(), second.handle());
    let raise = Command::RaiseFeatureLevel {
        level: FEATURE_LEVEL,
        by: "admin".into(),
    };
    propose(&leads, raise).await;
    let identity = joined.identity();
    let node = |handle: &GroupHandle| {
        let members = handle.status().members;
        let found = members.into_iter().find(|it| it.id == identity.manager_id);
        found.expect("a member").node
    };
    let node = node(&leads);
    leads.remove(identity.manager_id).await.unwrap();
    // What a manager that was cut off from the leader does with the newcomer's first question when it is back.
    let late = leads.add_learner(identity.manager_id, identity.store_id, node);
    let error = late.await.unwrap_err();
    assert!(
        matches!(error, ChangeError::Removed(id) if id == identity.manager_id),
        "{error}"
    );
    assert_eq!(voter(&leads, identity.manager_id), None);
    second.crash().await;
    // The removal is in the state, so a leader that starts anew knows of it as well.
    first.crash().await;
    first.start().await;
    let leads = first.handle();
    let view = leads.linearizable(soon()).await.unwrap();
    assert!(view.state.is_removed_manager(identity.manager_id));
    first.crash().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_that_was_removed_before_it_heard_of_its_admission_stops() {
    let mut first = Manager::new().await;
    let handle = first.start().await;
    handle.form(&[], 1).await.unwrap();
    propose(&handle, bootstrap(handle.group_id().unwrap())).await;
    let raise = Command::RaiseFeatureLevel {
        level: FEATURE_LEVEL,
        by: "admin".into(),
    };
    propose(&handle, raise).await;
    let mut second = Manager::new().await;
    let joining = second.start().await;
    let identity = joining.identity();
    // Let in at an address where nobody is, so that it hears nothing.
    let mut node = handle.status().members[0].node.clone();
    node.raft_address = "127.0.0.1:1".into();
    let adding = {
        let handle = handle.clone();
        let (id, store_id) = (identity.manager_id, identity.store_id);
        tokio::spawn(async move { handle.add_learner(id, store_id, node).await })
    };
    until("it is a member", || {
        voter(&handle, identity.manager_id).is_some()
    })
    .await;
    adding.abort();
    handle.remove(identity.manager_id).await.unwrap();
    let peers = [first.address.clone()];
    let formed = tokio::time::timeout(PATIENCE, joining.form(&peers, 1)).await;
    let error = formed.expect("it gives up").unwrap_err();
    assert!(
        matches!(error, FormError::Refused(ChangeError::Removed(_))),
        "{error}"
    );
    assert!(error.to_string().contains("data_dir"), "{error}");
    second.crash().await;
    first.crash().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_voters_left_half_done_is_finished_by_the_next_leader() {
    let (mut first, mut second) = one_and_a_learner().await;
    let id = second.handle().identity().manager_id;
    second.crash().await;
    // Without the second's answer the joint membership is appended and not committed.
    let leads = first.handle();
    let promoting = tokio::spawn({
        let leads = leads.clone();
        async move { leads.promote(id).await }
    });
    until("the joint membership", || leads.status().joint).await;
    promoting.abort();
    drop(leads);
    first.crash().await;
    first.start().await;
    second.start().await;
    let managers = [first, second];
    let at = leader(&managers).await;
    let leads = managers[at].handle();
    leads.linearizable(soon()).await.unwrap();
    assert!(leads.status().joint, "nobody has finished it yet");
    leads.finish_joint().await.unwrap();
    until("both are voters", || {
        let status = leads.status();
        !status.joint && status.members.iter().filter(|it| it.voter).count() == 2
    })
    .await;
    drop(leads);
    stop_all(managers.into()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voter_that_the_rest_needs_is_not_removed() {
    let mut managers = group(3, SnapshotSettings::default()).await;
    let leads = leader(&managers).await;
    let handle = managers[leads].handle();
    propose(&handle, bootstrap(handle.group_id().unwrap())).await;
    let (dead, needed) = ((leads + 1) % 3, (leads + 2) % 3);
    let ids = [dead, needed].map(|at| managers[at].handle().identity().manager_id);
    managers[dead].crash().await;
    until("the dead one is missed", || {
        let members = handle.status().members;
        members
            .iter()
            .any(|it| it.id == ids[0] && it.reachable == Some(false))
    })
    .await;
    let error = handle.remove(ids[1]).await.unwrap_err();
    assert!(
        matches!(
            error,
            ChangeError::QuorumAtRisk {
                answering: 1,
                remaining: 2,
                ..
            }
        ),
        "{error}"
    );
    handle.remove(ids[0]).await.unwrap();
    assert_eq!(handle.status().members.len(), 2);
    propose(&handle, write(1)).await;
    stop_all(managers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_removed_hands_over_first() {
    let managers = group(3, SnapshotSettings::default()).await;
    let leads = leader(&managers).await;
    let handle = managers[leads].handle();
    propose(&handle, bootstrap(handle.group_id().unwrap())).await;
    let id = handle.identity().manager_id;
    handle.remove(id).await.unwrap();
    let other = managers[(leads + 1) % 3].handle();
    propose(&other, write(7)).await;
    assert_eq!(voter(&other, id), None);
    stop_all(managers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn managers_that_all_moved_find_each_other_again() {
    let mut managers = group(3, SnapshotSettings::default()).await;
    let handle = managers[0].handle();
    propose(&handle, bootstrap(handle.group_id().unwrap())).await;
    propose(&handle, write(1)).await;
    drop(handle);
    for manager in &mut managers {
        manager.crash().await;
    }
    for manager in &mut managers {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        manager.address = listener.local_addr().unwrap().to_string();
        drop(listener);
        manager.start().await;
    }
    // Each knows one other's new address, and learns the third from that one.
    let addresses: Vec<_> = managers.iter().map(|it| it.address.clone()).collect();
    let limit = soon();
    while managers
        .iter()
        .any(|it| it.handle().stale().leader.is_none())
    {
        assert!(Instant::now() < limit, "no leader");
        for (n, manager) in managers.iter().enumerate() {
            let next = [addresses[(n + 1) % 3].clone()];
            manager.handle().announce(&next).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let leads = managers[leader(&managers).await].handle();
    let view = leads.linearizable(soon()).await.unwrap();
    assert_eq!(value(&view.state), Some(1));
    let moved: Vec<_> = leads.status().members.into_iter().collect();
    for member in moved {
        if let Some(node) = member.moved {
            leads.move_member(member.id, node).await.unwrap();
        }
    }
    let mut written: Vec<_> = leads
        .status()
        .members
        .into_iter()
        .map(|it| it.node.raft_address)
        .collect();
    let mut expected = addresses.clone();
    written.sort();
    expected.sort();
    assert_eq!(written, expected);
    drop(leads);
    // What is in the membership now is enough for the next start.
    for manager in &mut managers {
        manager.crash().await;
    }
    for manager in &mut managers {
        manager.start().await;
    }
    let leads = managers[leader(&managers).await].handle();
    propose(&leads, write(2)).await;
    drop(leads);
    stop_all(managers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_cannot_say_where_a_member_is() {
    let managers = group(3, SnapshotSettings::default()).await;
    let mut stranger = Manager::new().await;
    let other = stranger.start().await;
    other.form(&[], 1).await.unwrap();
    let addresses: Vec<_> = managers.iter().map(|it| it.address.clone()).collect();
    assert_eq!(
        other.announce(&addresses).await,
        0,
        "no member of its group answers"
    );
    for manager in &managers {
        let members = manager.handle().status().members;
        assert!(members.iter().all(|it| it.moved.is_none()), "{members:?}");
    }
    stranger.crash().await;
    stop_all(managers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_says_what_only_the_leader_knows() {
    let mut managers = group(3, SnapshotSettings::default()).await;
    let leads = leader(&managers).await;
    let handle = managers[leads].handle();
    let written = propose(&handle, bootstrap(handle.group_id().unwrap())).await;
    let (dead, asked) = ((leads + 1) % 3, (leads + 2) % 3);
    let gone = managers[dead].handle().identity().manager_id;
    managers[dead].crash().await;
    let follower = managers[asked].handle();
    let limit = soon();
    loop {
        let status = follower.observed_status(Duration::from_secs(1)).await;
        let members = &status.members;
        let dead = members.iter().find(|it| it.id == gone).unwrap();
        let others = members.iter().filter(|it| it.id != gone);
        let known = others.clone().all(|it| it.matched >= Some(written.index));
        if dead.reachable == Some(false) && known {
            break;
        }
        assert!(Instant::now() < limit, "{members:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop_all(managers).await;
}
