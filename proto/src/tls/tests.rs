use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PublicKeyData,
    date_time_ymd,
};
use rustls::pki_types::CertificateDer;

use super::*;
use crate::join::SERVER_NAME;

struct Authority {
    params: CertificateParams,
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    public: rcgen::SubjectPublicKeyInfo,
}

fn params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "every authority has this name");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params
}

fn authority() -> Authority {
    let key = KeyPair::generate().expect("a key");
    let certificate = params().self_signed(&key).expect("signed");
    let public = rcgen::SubjectPublicKeyInfo::from_der(&key.subject_public_key_info());
    Authority {
        params: params(),
        pem: certificate.pem(),
        public: public.expect("a public key"),
        issuer: Issuer::new(params(), key),
    }
}

/// A leaf of `ours` that also leads to `others`.
fn material(ours: &Authority, others: &[&Authority], until: i32) -> TlsMaterial {
    let key = KeyPair::generate().expect("a key");
    let mut leaf = CertificateParams::new([SERVER_NAME.to_owned()]).expect("params");
    leaf.not_before = date_time_ymd(2020, 1, 1);
    leaf.not_after = date_time_ymd(until, 1, 1);
    let mut chain = leaf.signed_by(&key, &ours.issuer).expect("signed").pem();
    let mut roots = ours.pem.clone();
    for other in others {
        let cross = ours.params.signed_by(&ours.public, &other.issuer);
        chain.push_str(&cross.expect("signed").pem());
        roots.push_str(&other.pem);
    }
    TlsMaterial {
        roots_pem: roots,
        chain_pem: chain + &ours.pem,
        key_pem: key.serialize_pem().into(),
    }
}

fn live(material: &TlsMaterial, callers: Callers) -> LiveTls {
    LiveTls::new(material, callers, TrustedTime::unknown()).expect("usable")
}

/// Whether both ends of a connection believe each other.
async fn trust(server: &LiveTls, client: &LiveTls) -> bool {
    let (here, there) = tokio::io::duplex(64 * 1024);
    let acceptor = tokio_rustls::TlsAcceptor::from(server.server());
    let (accepted, connected) = tokio::join!(
        acceptor.accept(here),
        connect(there, client.client(), SERVER_NAME)
    );
    accepted.is_ok() && connected.is_ok()
}

fn chain(material: &TlsMaterial) -> Vec<CertificateDer<'static>> {
    material.chain().expect("a chain")
}

#[tokio::test]
async fn one_authority_in_common_is_enough() {
    let (old, new) = (authority(), authority());
    let only_old = live(&material(&old, &[], 2120), Callers::Certified);
    let both = live(&material(&new, &[&old], 2120), Callers::Certified);
    let only_new = live(&material(&new, &[], 2120), Callers::Certified);
    for (one, other) in [(&only_old, &both), (&both, &both), (&both, &only_new)] {
        assert!(trust(one, other).await && trust(other, one).await);
    }
    assert!(!trust(&only_old, &only_new).await && !trust(&only_new, &only_old).await);
}

#[tokio::test]
async fn what_is_set_counts_from_the_next_handshake_on() {
    let (old, new) = (authority(), authority());
    let server = live(&material(&old, &[], 2120), Callers::Certified);
    let client = live(&material(&new, &[], 2120), Callers::Certified);
    assert!(!trust(&server, &client).await);
    server.set(&material(&old, &[&new], 2120)).expect("usable");
    assert!(trust(&server, &client).await);
    let broken = TlsMaterial::default();
    assert!(server.set(&broken).is_err());
    assert!(trust(&server, &client).await, "it goes on with what it had");
}

#[test]
fn a_connection_is_cut_when_its_caller_loses_the_trust_and_no_other() {
    let (old, new) = (authority(), authority());
    let server = live(&material(&new, &[&old], 2120), Callers::Certified);
    let cut = [(); 2].map(|()| tokio_util::sync::CancellationToken::new());
    server.follow(chain(&material(&old, &[], 2021)), cut[0].clone());
    server.follow(chain(&material(&new, &[], 2021)), cut[1].clone());
    server.set(&material(&new, &[&old], 2120)).expect("usable");
    assert!(!cut[0].is_cancelled(), "nothing was taken away");
    server.set(&material(&new, &[], 2120)).expect("usable");
    assert!(cut[0].is_cancelled() && !cut[1].is_cancelled());
}

#[test]
fn the_time_is_the_groups_and_without_one_nothing_is_too_old() {
    let ours = authority();
    let all = material(&ours, &[], 2120);
    let leaf = chain(&material(&ours, &[], 2021));
    let judge = |time| {
        let live = LiveTls::new(&all, Callers::Anybody, time).expect("usable");
        live.judge(&leaf)
    };
    let in_2020 = TrustedTime::new(|| Some(1_600_000_000_000));
    let in_2030 = TrustedTime::new(|| Some(1_900_000_000_000));
    assert_eq!(judge(in_2020), Judgement::Trusted { root: 0 });
    let not_after_ms = 1_609_459_200_000;
    let expired = Judgement::Expired {
        root: 0,
        not_after_ms,
    };
    assert_eq!(judge(in_2030), expired);
    assert_eq!(
        judge(TrustedTime::unknown()),
        Judgement::Trusted { root: 0 }
    );
}

#[test]
fn which_authority_certified_a_caller_is_told_and_a_stranger_is_none() {
    let (old, new, other) = (authority(), authority(), authority());
    let live = live(&material(&new, &[&old], 2120), Callers::Anybody);
    let judge = |material: TlsMaterial| live.judge(&chain(&material));
    let trusted = |root| Judgement::Trusted { root };
    assert_eq!(judge(material(&new, &[], 2120)), trusted(0));
    assert_eq!(judge(material(&old, &[], 2120)), trusted(1));
    let stranger = judge(material(&other, &[], 2120));
    assert!(
        matches!(stranger, Judgement::Unknown { .. }),
        "{stranger:?}"
    );
}
