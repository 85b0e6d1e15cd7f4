//! Who may speak to the managers' port: the role `manager` of this group, and nobody else.

use std::sync::Arc;

use krakend_cluster_manager::trust::{Authority, CertifiedRole, GroupSecret, role_of};
use krakend_domain::FleetName;
use krakend_proto::{
    join::SERVER_NAME,
    manager::{Envelope, Handshake, manager_peer_client::ManagerPeerClient},
    tls::{Callers, LiveTls, TlsMaterial, TrustedTime},
};
use krakend_raft::{GroupConfig, GroupHandle, ManagerNode, PeerVerify};
use rcgen::{CertificateParams, KeyPair};
use tokio::net::TcpListener;
use tonic::{
    Code,
    transport::{Certificate, ClientTlsConfig, Endpoint, Identity},
};
use uuid::Uuid;

/// When the tests' certificates end: in 2100.
const FAR_MS: u64 = 4_102_444_800_000;

struct Port {
    address: String,
    authority: Authority,
    _dir: tempfile::TempDir,
}

fn authority(digit: &str) -> Authority {
    let secret = GroupSecret::parse(&digit.repeat(64), "the test").expect("a secret");
    Authority::derive(&secret).expect("an authority")
}

fn clock() -> u64 {
    1
}

/// A manager's port as the program serves it.
async fn serve() -> Port {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::tempdir().expect("a directory");
    let authority = authority("a");
    let leaf = authority
        .issue_manager(Uuid::new_v4(), &[], FAR_MS)
        .expect("a leaf");
    let material = TlsMaterial {
        roots_pem: authority.certificate_pem(),
        chain_pem: leaf.chain_pem,
        key_pem: leaf.key_pem,
    };
    let tls = LiveTls::new(&material, Callers::Certified, TrustedTime::unknown()).expect("usable");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let config = GroupConfig::new(dir.path().join("data"), ManagerNode::default());
    let group = GroupHandle::open(config, Some(tls), clock)
        .await
        .expect("it opens");
    let verify: PeerVerify = Arc::new(|leaf: &[u8]| match role_of(leaf)? {
        CertifiedRole::Manager(_) => Ok(()),
        CertifiedRole::Node(id, _) => Err(format!("node {id} may not speak here")),
    });
    tokio::spawn(async move {
        group
            .serve(listener, Some(verify), std::future::pending())
            .await
    });
    Port {
        address,
        authority,
        _dir: dir,
    }
}

/// Asks who is there, with this certificate, believing this authority.
async fn probe(port: &Port, trusted: &Authority, identity: Option<Identity>) -> Result<(), Code> {
    let mut tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(trusted.certificate_pem()))
        .domain_name(SERVER_NAME);
    if let Some(identity) = identity {
        tls = tls.identity(identity);
    }
    let channel = Endpoint::from_shared(format!("https://{}", port.address))
        .and_then(|it| it.tls_config(tls))
        .expect("an endpoint")
        .connect_lazy();
    let handshake = Handshake {
        protocol: 1,
        from_id: Uuid::new_v4().as_bytes().to_vec().into(),
        release: env!("CARGO_PKG_VERSION").into(),
        feature_level: krakend_domain::FEATURE_LEVEL,
        ..Handshake::default()
    };
    let request = Envelope {
        handshake: Some(handshake),
        // The format, and a question without an address.
        payload: vec![1, 0].into(),
    };
    let answer = ManagerPeerClient::new(channel).probe(request).await;
    answer.map(drop).map_err(|status| status.code())
}

/// Whether the call ended below gRPC. With TLS 1.3 the client learns of its refusal only after its own half of the
/// handshake, while it connects, writes or waits, and each of these has a code of its own. The port's own refusals
/// have others.
fn without_connection(answer: &Result<(), Code>) -> bool {
    matches!(
        answer,
        Err(Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled)
    )
}

fn manager_of(authority: &Authority) -> Identity {
    let leaf = authority
        .issue_manager(Uuid::new_v4(), &[], FAR_MS)
        .expect("a leaf");
    Identity::from_pem(leaf.chain_pem, leaf.key_pem.as_bytes())
}

fn node_of(authority: &Authority) -> Identity {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
    let request = CertificateParams::default().serialize_request(&key);
    let request = request.and_then(|it| it.pem()).expect("a request");
    let fleet = FleetName::default_fleet();
    let chain = authority.issue_node(Uuid::new_v4(), &fleet, &request, FAR_MS);
    Identity::from_pem(chain.expect("a certificate"), key.serialize_pem())
}

#[tokio::test]
async fn a_manager_of_the_group_is_answered() {
    let port = serve().await;
    let ours = manager_of(&port.authority);
    assert_eq!(probe(&port, &port.authority, Some(ours)).await, Ok(()));
}

#[tokio::test]
async fn a_node_is_refused_although_its_certificate_is_the_groups() {
    let port = serve().await;
    let node = node_of(&port.authority);
    let answer = probe(&port, &port.authority, Some(node)).await;
    assert_eq!(answer, Err(Code::PermissionDenied));
}

#[tokio::test]
async fn an_outsider_and_a_stranger_without_certificate_get_no_connection() {
    let port = serve().await;
    let other = authority("b");
    let outsider = probe(&port, &port.authority, Some(manager_of(&other))).await;
    assert!(without_connection(&outsider), "{outsider:?}");
    let nobody = probe(&port, &port.authority, None).await;
    assert!(without_connection(&nobody), "{nobody:?}");
    // And nobody is taken for a manager who cannot show this group's authority.
    let ours = manager_of(&port.authority);
    let mistaken = probe(&port, &other, Some(ours)).await;
    assert!(without_connection(&mistaken), "{mistaken:?}");
}
