//! A group begins to use a secret only when every voter holds it, whoever leads.

mod support;

use krakend_domain::{Command, SecretId};
use krakend_raft::{GroupHandle, ProposeError};
use support::*;

const OLD: SecretId = SecretId([1; 8]);
const NEW: SecretId = SecretId([2; 8]);

fn using(id: SecretId) -> Command {
    Command::UseSecret {
        id,
        by: "test".into(),
    }
}

/// What the leader says to the use of a secret, once it is a leader that has heard everybody.
async fn answer(handle: &GroupHandle, id: SecretId) -> Result<(), ProposeError> {
    handle.propose(using(id), soon()).await.map(drop)
}

fn lacks(answer: &Result<(), ProposeError>, name: &str) -> bool {
    matches!(answer, Err(ProposeError::SecretNotHeld { who, .. }) if who.contains(name))
}

async fn until_used(handle: &GroupHandle, id: SecretId) {
    while let Err(error) = answer(handle, id).await {
        assert!(
            matches!(error, ProposeError::SecretNotHeld { .. }),
            "{error}"
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_is_used_when_every_voter_holds_it_and_not_before() {
    let mut first = Manager::new().await;
    let leads = first.start().await;
    leads.form(&[], 1).await.unwrap();
    propose(&leads, bootstrap(leads.group_id().unwrap())).await;
    let raise = Command::RaiseFeatureLevel {
        level: krakend_domain::FEATURE_LEVEL,
        by: "test".into(),
    };
    propose(&leads, raise).await;
    leads.set_secrets(&[OLD], OLD);
    tokio::time::timeout(PATIENCE, until_used(&leads, OLD))
        .await
        .expect("it holds that one");

    let mut second = Manager::new().await;
    let joins = second.start().await;
    joins.set_secrets(&[OLD], OLD);
    let peers = [first.address.clone()];
    joins.form(&peers, 1).await.unwrap();
    leads.promote(joins.identity().manager_id).await.unwrap();
    leads.set_secrets(&[NEW, OLD], OLD);
    let name = format!("manager-{}", second.address);
    let refused = answer(&leads, NEW).await;
    assert!(lacks(&refused, &name), "{refused:?}");
    // The same asked of the follower, which forwards it.
    let refused = answer(&joins, NEW).await;
    assert!(lacks(&refused, &name), "{refused:?}");
    assert_eq!(leads.stale().state.secret().in_use, Some(OLD));

    joins.set_secrets(&[NEW, OLD], OLD);
    tokio::time::timeout(PATIENCE, until_used(&leads, NEW))
        .await
        .expect("both hold it");
    let view = joins.linearizable(soon()).await.unwrap();
    assert_eq!(view.state.secret().in_use, Some(NEW));
    second.crash().await;
    first.crash().await;
}
