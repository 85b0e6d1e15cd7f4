//! HTTPS on the port of the web interface: the operator's certificate, read anew when its files change, or one that the
//! group's authority signs.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use anyhow::Context;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
};
use tokio_rustls::TlsAcceptor;

use super::stall::Wire;
use crate::{
    app::{App, WrongSettings},
    settings::Https,
};

/// Files and the group's authority are looked at so often.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A made certificate is made anew so often: long before it ends, and after the clock was set right.
const REMAKE_EVERY: Duration = Duration::from_secs(24 * 3600);
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// Handshakes at a time.
const MAX_HANDSHAKES: usize = 512;
/// First byte of a TLS handshake.
const HANDSHAKE: u8 = 22;
/// Beside the data: the authority that signed a made certificate, for `--ca-file`.
const CA_FILE: &str = "https-ca.pem";

/// What the port shows, exchanged while it runs.
#[derive(Debug)]
pub struct Certificates {
    current: RwLock<Arc<ServerConfig>>,
}

impl Certificates {
    fn current(&self) -> Arc<ServerConfig> {
        let current = self.current.read();
        current.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, config: ServerConfig) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }
}

/// Certificate and key as text.
#[derive(PartialEq)]
struct Material {
    chain_pem: String,
    key_pem: zeroize::Zeroizing<String>,
}

/// The listener's connections after their handshakes.
///
/// # Errors
/// The files cannot be read or used: settings that are wrong.
pub fn start(
    app: &App,
    listener: TcpListener,
) -> anyhow::Result<mpsc::Receiver<(Wire, SocketAddr)>> {
    let material = read(app)?;
    let config = configure(&material).map_err(|error| WrongSettings(error.to_string()))?;
    let certificates = Arc::new(Certificates {
        current: RwLock::new(Arc::new(config)),
    });
    let (ready, taken) = mpsc::channel(64);
    tokio::spawn(keep(app.clone(), certificates.clone(), material));
    tokio::spawn(accept(app.clone(), listener, certificates, ready));
    Ok(taken)
}

fn read(app: &App) -> anyhow::Result<Material> {
    match &app.settings.https {
        Https::Files { certificate, key } => {
            let text = |what: &str, path: &Path| {
                std::fs::read_to_string(path)
                    .map_err(|error| WrongSettings(format!("{what} {}: {error}", path.display())))
            };
            Ok(Material {
                chain_pem: text("https_certificate_file", certificate)?,
                key_pem: text("https_key_file", key)?.into(),
            })
        }
        Https::Made | Https::Off => make(app),
    }
}

/// A certificate for the names by which this manager is reached.
fn make(app: &App) -> anyhow::Result<Material> {
    let settings = &app.settings;
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".into(), "::1".into()];
    let host = gethostname::gethostname().to_string_lossy().into_owned();
    let listen = settings.listen_http.rsplit_once(':').map(|(host, _)| host);
    for name in [Some(settings.advertise.as_str()), Some(&host), listen] {
        let name = name.unwrap_or_default().trim_matches(['[', ']']);
        if !name.is_empty() && !names.iter().any(|it| it == name) {
            names.push(name.into());
        }
    }
    let ring = app.trust.ring();
    let authority = &ring.in_use().authority;
    let leaf = authority.issue_web(&names, app.trust.not_after_ms())?;
    let path = settings.data_dir.join(CA_FILE);
    let ca = authority.certificate_pem();
    if std::fs::read_to_string(&path).ok().as_ref() != Some(&ca) {
        std::fs::write(&path, ca).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(Material {
        chain_pem: leaf.chain_pem,
        key_pem: leaf.key_pem,
    })
}

fn configure(material: &Material) -> anyhow::Result<ServerConfig> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(material.chain_pem.as_bytes())
        .collect::<Result<_, _>>()
        .context("https_certificate_file is no PEM certificate")?;
    anyhow::ensure!(
        !chain.is_empty(),
        "https_certificate_file has no certificate"
    );
    let key = PrivateKeyDer::from_pem_slice(material.key_pem.as_bytes())
        .context("https_key_file has no private key in PEM")?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("https_certificate_file and https_key_file do not belong together")?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// What is wrong with new files is said once, and the old certificate stays.
async fn keep(app: App, certificates: Arc<Certificates>, mut shown: Material) {
    let mut made = tokio::time::Instant::now();
    let mut authority = app.trust.ring().in_use().id;
    let mut complaint = String::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = app.stop.cancelled() => return,
        }
        let in_use = app.trust.ring().in_use().id;
        let files = matches!(app.settings.https, Https::Files { .. });
        if !files && in_use == authority && made.elapsed() < REMAKE_EVERY {
            continue;
        }
        let renewed = read(&app).and_then(|material| {
            if material == shown {
                return Ok(None);
            }
            Ok(Some((configure(&material)?, material)))
        });
        match renewed {
            Ok(None) => complaint.clear(),
            Ok(Some((config, material))) => {
                certificates.set(config);
                (shown, authority, made) = (material, in_use, tokio::time::Instant::now());
                complaint.clear();
                tracing::info!("HTTPS goes on with another certificate");
            }
            Err(error) => {
                let text = format!("{error:#}");
                if text != complaint {
                    tracing::error!("HTTPS goes on with the certificate that it has: {text}");
                    complaint = text;
                }
            }
        }
    }
}

async fn accept(
    app: App,
    mut listener: TcpListener,
    certificates: Arc<Certificates>,
    ready: mpsc::Sender<(Wire, SocketAddr)>,
) {
    let places = Arc::new(Semaphore::new(MAX_HANDSHAKES));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let (stream, address) = tokio::select! {
            accepted = axum::serve::Listener::accept(&mut listener) => accepted,
            () = app.stop.cancelled() => return,
        };
        let (acceptor, ready) = (TlsAcceptor::from(certificates.current()), ready.clone());
        tokio::spawn(async move {
            let wire = tokio::time::timeout(HANDSHAKE_WITHIN, secure(stream, acceptor)).await;
            drop(place);
            if let Ok(Some(wire)) = wire {
                // Nobody takes it when the manager stops.
                let _ = ready.send((wire, address)).await;
            }
        });
    }
}

/// A caller who speaks plain HTTP is told so, in words.
async fn secure(mut stream: TcpStream, acceptor: TlsAcceptor) -> Option<Wire> {
    let _ = stream.set_nodelay(true);
    let mut first = [0];
    if stream.peek(&mut first).await.ok()? == 0 {
        return None;
    }
    if first[0] != HANDSHAKE {
        const WORDS: &str = "this port speaks HTTPS: use https://\n";
        let answer = format!(
            "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{WORDS}",
            WORDS.len()
        );
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.shutdown().await;
        return None;
    }
    let stream = acceptor.accept(stream).await.ok()?;
    Some(Wire::Tls(Box::new(stream)))
}
