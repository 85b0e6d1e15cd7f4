use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use rustls::{ClientConfig, ServerConfig, pki_types::CertificateDer};
use tokio_util::sync::CancellationToken;

use super::{
    material::{TlsError, TlsMaterial, client_config, provider, wrong},
    verify::{Judgement, TimedClient, TrustedTime},
};

/// Who may speak to a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callers {
    /// Whose certificate leads to a trusted authority; the handshake ends for others.
    Certified,
    /// Everybody, with or without a certificate: the service judges it ([`LiveTls::judge`]), and can say why not.
    Anybody,
}

/// One end's TLS in both directions. Clones share it: what is set counts from the next handshake on, and a connection
/// whose other end is no longer trusted then is cut. Everything else goes on.
#[derive(Clone)]
pub struct LiveTls {
    shared: Arc<Shared>,
}

struct Shared {
    callers: Callers,
    time: TrustedTime,
    current: RwLock<Arc<Current>>,
    /// Connections that stand, with what their callers showed.
    open: Mutex<Vec<Open>>,
}

struct Current {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    callers: Arc<TimedClient>,
    /// Trust in nothing but the authorities, whatever the time is.
    ageless: TimedClient,
}

struct Open {
    chain: Vec<CertificateDer<'static>>,
    cut: CancellationToken,
}

impl fmt::Debug for LiveTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveTls").finish_non_exhaustive()
    }
}

impl LiveTls {
    /// Lives are judged by `time`, on both sides.
    pub fn new(
        material: &TlsMaterial,
        callers: Callers,
        time: TrustedTime,
    ) -> Result<Self, TlsError> {
        let current = Current::new(material, callers, &time)?;
        let shared = Shared {
            callers,
            time,
            current: RwLock::new(Arc::new(current)),
            open: Mutex::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Goes on with this. On failure nothing has changed.
    pub fn set(&self, material: &TlsMaterial) -> Result<(), TlsError> {
        let shared = &self.shared;
        let current = Arc::new(Current::new(material, shared.callers, &shared.time)?);
        *shared
            .current
            .write()
            .unwrap_or_else(PoisonError::into_inner) = current.clone();
        let mut open = shared.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|it| !it.cut.is_cancelled());
        for it in open.iter() {
            if matches!(current.ageless.judge(&it.chain), Judgement::Unknown { .. }) {
                it.cut.cancel();
            }
        }
        Ok(())
    }

    fn current(&self) -> Arc<Current> {
        let current = &self.shared.current;
        current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// For the next connection from here.
    pub fn client(&self) -> Arc<ClientConfig> {
        self.current().client.clone()
    }

    /// For the next connection to here.
    pub fn server(&self) -> Arc<ServerConfig> {
        self.current().server.clone()
    }

    /// What a caller's certificates prove now.
    pub fn judge(&self, chain: &[CertificateDer<'_>]) -> Judgement {
        self.current().callers.judge(chain)
    }

    /// Follows a connection, to cut it when its caller loses the trust.
    pub(super) fn follow(&self, chain: Vec<CertificateDer<'static>>, cut: CancellationToken) {
        if chain.is_empty() {
            return;
        }
        let mut open = self
            .shared
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Those that ended go when there is no room, so a connection costs a constant on average.
        if open.len() == open.capacity() {
            open.retain(|it| !it.cut.is_cancelled());
        }
        open.push(Open { chain, cut });
    }
}

impl Current {
    fn new(material: &TlsMaterial, callers: Callers, time: &TrustedTime) -> Result<Self, TlsError> {
        let roots = material.roots()?;
        let strict = callers == Callers::Certified;
        let ageless = TimedClient::new(&roots, TrustedTime::unknown(), true)?;
        let callers = Arc::new(TimedClient::new(&roots, time.clone(), strict)?);
        let mut server = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(wrong("TLS set-up"))?
            .with_client_cert_verifier(callers.clone())
            .with_single_cert(material.chain()?, material.key()?)
            .map_err(wrong("certificate"))?;
        server.alpn_protocols = vec![b"h2".to_vec()];
        // A resumed session would stand on a certificate that was verified when other authorities held.
        server.send_tls13_tickets = 0;
        server.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        Ok(Self {
            server: Arc::new(server),
            client: client_config(material, time.clone())?,
            callers,
            ageless,
        })
    }
}
