use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;

use ed25519_dalek::{Signer, SigningKey};
use krakend_domain::Millis;
use krakend_proto::{LeaseClaims, node};

use super::{Cause, LeaseKeeper, Reading, Standing};
use crate::store::{Enrolled, Identity, Store, enrolled_as};

const DAY: Millis = 86_400_000;

thread_local! {
    /// Boot, boot clock, wall clock.
    static NOW: Cell<(u32, Millis, Millis)> = const { Cell::new((1, DAY, 100 * DAY)) };
}

fn clock() -> Reading {
    let (boot, boot_ms, wall_ms) = NOW.get();
    Reading {
        boot_id: boot.to_string(),
        boot_ms,
        wall_ms,
    }
}

fn pass(ms: Millis) {
    let (boot, boot_ms, wall_ms) = NOW.get();
    NOW.set((boot, boot_ms + ms, wall_ms + ms));
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn claims(node: u128) -> LeaseClaims {
    LeaseClaims {
        group_id: "g".into(),
        node_id: uuid::Uuid::from_u128(node).to_string(),
        level: "enterprise".into(),
        max_nodes: 50,
        features: vec![],
        issued_ms: 1_000,
        duration_ms: 7 * DAY,
        epoch: 1,
    }
}

fn sign(key: &SigningKey, claims: &LeaseClaims) -> node::Lease {
    let claims = claims.to_bytes();
    let signature = key.sign(&claims).to_bytes().to_vec().into();
    node::Lease {
        claims: claims.into(),
        signature,
        heard_ms: 0,
    }
}

fn enrolled() -> Enrolled {
    Enrolled {
        lease_verifying_key: key(3).verifying_key().to_bytes(),
        ..enrolled_as(7)
    }
}

fn open(dir: &Path) -> (Arc<Store>, LeaseKeeper) {
    let store = Arc::new(Store::open(dir).expect("opened"));
    let mut identity: Identity = store.identity().expect("made");
    if identity.enrolled.is_none() {
        identity.enrolled = Some(enrolled());
        store.set_identity(&identity).expect("written");
    }
    let keeper = LeaseKeeper::open(store.clone(), identity.enrolled.as_ref(), clock);
    (store, keeper)
}

fn now_enrolled(store: &Store) -> Enrolled {
    let identity = store.identity().expect("read");
    identity.enrolled.expect("enrolled")
}

fn accept(store: &Store, keeper: &LeaseKeeper, lease: &node::Lease) -> Result<bool, String> {
    let accepted = keeper.accept(&now_enrolled(store), lease, clock().boot_ms);
    accepted.map_err(|error| error.to_string())
}

#[test]
fn only_a_lease_for_this_node_and_of_this_group_is_accepted() {
    let dir = tempfile::tempdir().expect("a directory");
    let (store, keeper) = open(dir.path());
    assert_eq!(keeper.view().standing, Standing::Without);
    let refused = |lease: &node::Lease, why: &str| {
        let error = accept(&store, &keeper, lease).err().unwrap_or_default();
        assert!(error.contains(why), "{why}: {error}");
    };
    let good = claims(7);
    refused(&sign(&key(4), &good), "not signed by this group");
    refused(&sign(&key(3), &claims(8)), "made for node");
    let mut torn = sign(&key(3), &good);
    torn.claims = torn.claims.slice(..20);
    refused(&torn, "not signed");
    torn.signature = torn.signature.slice(..20);
    refused(&torn, "not signed");
    assert!(!keeper.is_valid());
    assert_eq!(accept(&store, &keeper, &sign(&key(3), &good)), Ok(true));
    assert_eq!(
        accept(&store, &keeper, &sign(&key(3), &good)),
        Ok(false),
        "renewed"
    );
    let other = LeaseClaims {
        group_id: "h".into(),
        ..good.clone()
    };
    refused(&sign(&key(3), &other), "group h");
    // After a restore the group is another, of a newer epoch; then the old one says nothing any more.
    let newer = LeaseClaims { epoch: 2, ..other };
    assert_eq!(accept(&store, &keeper, &sign(&key(3), &newer)), Ok(false));
    refused(&sign(&key(3), &good), "epoch 1");
    assert_eq!(keeper.view().limits.max_nodes, 50);
}

#[test]
fn a_lease_is_charged_over_restarts_and_boots_and_its_end_changes_the_limits() {
    let dir = tempfile::tempdir().expect("a directory");
    let (store, keeper) = open(dir.path());
    accept(&store, &keeper, &sign(&key(3), &claims(7))).expect("accepted");
    pass(2 * DAY);
    assert!(keeper.check());
    drop((store, keeper));
    // Off for two days.
    let (_, _, wall_ms) = NOW.get();
    NOW.set((2, 10_000, wall_ms + 2 * DAY));
    let (store, keeper) = open(dir.path());
    let remaining_ms = 3 * DAY - 60_000;
    assert_eq!(keeper.view().standing, Standing::Valid { remaining_ms });
    pass(remaining_ms - 1);
    assert!(keeper.check());
    pass(1);
    assert!(!keeper.check() && keeper.has_ended());
    let view = keeper.view();
    assert_eq!(
        (view.limits.max_nodes, view.limits.level.as_str()),
        (3, "free")
    );
    let cause = Cause::WallClock;
    assert!(matches!(view.standing, Standing::Ended { cause: it, .. } if it == cause));
    drop((store, keeper));
    // Neither a clock set back nor a restart makes anything of it.
    NOW.set((3, 5, 0));
    let (store, keeper) = open(dir.path());
    assert!(!keeper.is_valid() && keeper.has_ended());
    assert_eq!(
        accept(&store, &keeper, &sign(&key(3), &claims(7))),
        Ok(true)
    );
    assert!(keeper.is_valid() && !keeper.has_ended());
}

#[test]
fn what_was_charged_is_on_disk_within_a_minute_readable_by_the_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a directory");
    let (store, keeper) = open(dir.path());
    accept(&store, &keeper, &sign(&key(3), &claims(7))).expect("accepted");
    let file = store.path("lease.json");
    let mode = std::fs::metadata(&file)
        .expect("there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let written = || std::fs::read_to_string(&file).expect("read");
    let before = written();
    pass(59_000);
    keeper.check();
    assert_eq!(written(), before);
    pass(1_000);
    keeper.check();
    assert!(written().contains("\"charged_ms\": 60000"), "{}", written());
}

#[test]
fn a_damaged_lease_is_none_until_a_manager_gives_another() {
    let dir = tempfile::tempdir().expect("a directory");
    let (store, keeper) = open(dir.path());
    accept(&store, &keeper, &sign(&key(3), &claims(7))).expect("accepted");
    let good = std::fs::read(store.path("lease.json")).expect("read");
    drop((store, keeper));
    for at in (0..good.len()).step_by(11) {
        let mut bytes = good.clone();
        bytes[at] ^= 4;
        std::fs::write(dir.path().join("lease.json"), &bytes).expect("written");
        let (_store, keeper) = open(dir.path());
        assert!(!keeper.is_valid(), "byte {at}");
    }
    std::fs::write(dir.path().join("lease.json"), &good[..good.len() / 2]).expect("cut");
    let (store, keeper) = open(dir.path());
    assert!(!keeper.is_valid() && keeper.has_ended());
    assert!(
        keeper
            .view()
            .problem
            .is_some_and(|it| it.contains("lease.json"))
    );
    assert_eq!(
        accept(&store, &keeper, &sign(&key(3), &claims(7))),
        Ok(true)
    );
}

#[test]
fn a_lease_of_another_group_goes_with_its_enrolment() {
    let dir = tempfile::tempdir().expect("a directory");
    let (store, keeper) = open(dir.path());
    accept(&store, &keeper, &sign(&key(3), &claims(7))).expect("accepted");
    keeper.enrolled(&now_enrolled(&store));
    assert!(keeper.is_valid());
    keeper.enrolled(&Enrolled {
        lease_verifying_key: key(5).verifying_key().to_bytes(),
        ..enrolled_as(7)
    });
    assert!(!keeper.is_valid());
}

#[test]
fn a_lease_that_was_given_up_does_not_come_back_with_a_restart_and_nobody_is_woken_in_vain() {
    let dir = tempfile::tempdir().expect("a directory");
    let (store, keeper) = open(dir.path());
    let mut valid = keeper.valid();
    valid.mark_unchanged();
    keeper.check();
    assert!(
        !valid.has_changed().expect("open"),
        "without a lease nothing has changed"
    );
    accept(&store, &keeper, &sign(&key(3), &claims(7))).expect("accepted");
    assert!(valid.has_changed().expect("open"));
    valid.mark_unchanged();
    pass(1_000);
    keeper.check();
    assert!(!valid.has_changed().expect("open"));
    keeper.give_up("another machine");
    assert!(!keeper.is_valid() && keeper.has_ended());
    drop((store, keeper));
    let (_store, keeper) = open(dir.path());
    assert_eq!(keeper.view().standing, Standing::Without);
}

#[test]
fn a_clock_that_is_moved_just_before_a_renewal_is_noticed_all_the_same() {
    let dir = tempfile::tempdir().expect("a directory");
    let (store, keeper) = open(dir.path());
    accept(&store, &keeper, &sign(&key(3), &claims(7))).expect("accepted");
    let (boot, boot_ms, wall_ms) = NOW.get();
    NOW.set((boot, boot_ms + 10, wall_ms + 365 * DAY));
    accept(&store, &keeper, &sign(&key(3), &claims(7))).expect("accepted");
    let view = keeper.view();
    assert_eq!(view.clock_moved_ms, 365 * DAY as i64 - 10);
    assert_eq!(view.charged_ms, 0, "nothing of that is charged");
}
