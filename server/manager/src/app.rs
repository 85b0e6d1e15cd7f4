//! Puts a manager together and runs it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use krakend_domain::CertificateLife;
use krakend_gossip::Gossip;
use krakend_proto::tls::LiveTls;
use krakend_raft::{GroupConfig, GroupHandle, ManagerNode, OpenError, PeerVerify, Timers};
use tokio::net::{TcpListener, UdpSocket};
use tokio_util::sync::CancellationToken;

use crate::{
    backups, clock, control, dns,
    epoch::NewestObeyed,
    http, influx, join,
    licensing::{self, Licensing},
    nodes::{self, Sessions},
    settings::{Settings, TimersProfile},
    trust::{self, CertifiedRole, GroupSecret, Trust, role_of},
};

/// What every part of a manager shares.
pub struct Context_ {
    pub settings: Settings,
    pub trust: Trust,
    pub licensing: Licensing,
    pub group: GroupHandle,
    pub sessions: Sessions,
    pub newest_obeyed: NewestObeyed,
    pub gossip: Gossip,
    pub http: http::Shared,
    pub node_address: String,
    pub http_address: String,
    pub raft_address: String,
    pub stop: CancellationToken,
}

/// Shared by reference count.
pub type App = Arc<Context_>;

/// Settings that turned out wrong once they were used: the process ends with 78.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongSettings(pub String);

/// Handing over, and writing what is left.
const CLOSE_WITHIN: Duration = Duration::from_secs(15);

/// Files of this manager are damaged and nobody can give back what they held: the process ends with 74.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DamagedFiles(pub String);

struct Listeners {
    http: TcpListener,
    nodes: TcpListener,
    managers: TcpListener,
    gossip: UdpSocket,
    dns: Option<dns::Listeners>,
}

/// Runs a manager until a signal ends it or something it cannot live without breaks.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let settings = join::prepare(settings).await?;
    let trust = open_trust(&settings)?;
    let licensing = open_licensing(&settings)?;
    let listeners = listen(&settings).await?;
    let node = manager_node(&settings);
    let group = open_group(&settings, node, trust.managers()).await?;
    check_feature_level(&group)?;
    trust.begin(&group).map_err(WrongSettings)?;
    let stop = CancellationToken::new();
    let managers = serve_managers(group.clone(), listeners.managers, stop.clone());
    let gossip = start_gossip(&settings, &trust, &group, listeners.gossip).await?;
    let app: App = Arc::new(Context_ {
        node_address: settings.advertised(&settings.listen_nodes),
        http_address: settings.advertised(&settings.listen_http),
        raft_address: settings.advertised(&settings.listen_managers),
        settings,
        trust,
        licensing,
        group,
        sessions: Sessions::default(),
        newest_obeyed: NewestObeyed::default(),
        gossip,
        http: http::Shared::default(),
        stop: stop.clone(),
    });
    nodes::answer_relayed(&app);
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(managers);
    tasks.spawn(nodes::serve(app.clone(), listeners.nodes));
    tasks.spawn(http::serve(app.clone(), listeners.http));
    if let Some(listeners) = listeners.dns {
        tasks.spawn(dns::serve(app.clone(), listeners));
    }
    tasks.spawn(control::run(app.clone()));
    tasks.spawn(control::stay_reachable(app.clone()));
    tasks.spawn(backups::run(app.clone()));
    tasks.spawn(influx::run(app.clone()));
    tasks.spawn(trust::keep(app.clone()));
    tasks.spawn(licensing::run(app.clone()));
    announce(&app);
    let ended = wait(&app, &mut tasks).await;
    shut_down(app, tasks).await;
    ended
}

fn announce(app: &App) {
    tracing::info!(
        "manager {} ({}) listens: web and API {}://{}, nodes {}, managers {}",
        app.settings.name,
        app.group.identity().manager_id,
        app.settings.https.scheme(),
        app.settings.listen_http,
        app.settings.listen_nodes,
        app.settings.listen_managers
    );
    if !app.settings.https.is_on() && !http::is_loopback(&app.settings.listen_http) {
        tracing::warn!(
            "the web interface and API on {} speak plain HTTP beyond this machine: tokens can be read on the way; set `https: auto` or `https_certificate_file`, put TLS in front, or listen on loopback",
            app.settings.listen_http
        );
    }
}

fn open_trust(settings: &Settings) -> anyhow::Result<Trust> {
    let life = CertificateLife {
        life_ms: settings.certificate_life_ms,
    };
    if let Ok(text) = std::env::var("KRAKEND_CM_SECRET") {
        let text = zeroize::Zeroizing::new(text);
        let secrets = GroupSecret::parse_all(&text, "the environment variable KRAKEND_CM_SECRET");
        let secrets = secrets.map_err(|error| WrongSettings(error.to_string()))?;
        return Trust::new(secrets, None, life);
    }
    Trust::new(
        read_secrets(settings)?,
        Some(settings.secret_file.clone()),
        life,
    )
}

fn read_secrets(settings: &Settings) -> anyhow::Result<Vec<GroupSecret>> {
    std::fs::create_dir_all(&settings.data_dir)
        .with_context(|| format!("making the data directory {}", settings.data_dir.display()))?;
    let path = &settings.secret_file;
    if !path.exists() && belongs_to_group(&settings.data_dir) {
        // A new one would be another certificate authority, which no node trusts.
        let (path, dir) = (path.display(), settings.data_dir.display());
        let text = format!(
            "the group secret {path} is missing, but {dir} belongs to a group: copy the group's secret there, mode 0600"
        );
        return Err(WrongSettings(text).into());
    }
    if !path.exists() && settings.bootstrap_expect == 1 && settings.peers.is_empty() {
        tracing::info!("made a group secret in {}", path.display());
        return Ok(vec![GroupSecret::create(path)?]);
    }
    GroupSecret::read_all(path).map_err(|error| WrongSettings(error.to_string()).into())
}

fn belongs_to_group(data_dir: &std::path::Path) -> bool {
    let identity = krakend_storage::Identity::load(data_dir).ok().flatten();
    identity.is_some_and(|it| it.group_id.is_some())
        || krakend_storage::is_replacement_pending(data_dir)
}

fn open_licensing(settings: &Settings) -> anyhow::Result<Licensing> {
    let opened = Licensing::open(settings.license_key_file.clone());
    opened.map_err(|error| WrongSettings(format!("license_key_file: {error}")).into())
}

async fn listen(settings: &Settings) -> anyhow::Result<Listeners> {
    let tcp = |key: &'static str, address: String| async move {
        TcpListener::bind(&address)
            .await
            .map_err(|error| WrongSettings(port_text(key, &address, &error)))
    };
    let gossip = UdpSocket::bind(&settings.listen_nodes)
        .await
        .map_err(|error| {
            WrongSettings(port_text(
                "listen_nodes (UDP)",
                &settings.listen_nodes,
                &error,
            ))
        })?;
    Ok(Listeners {
        http: http::bind(&settings.listen_http).await.map_err(|error| {
            WrongSettings(port_text("listen_http", &settings.listen_http, &error))
        })?,
        nodes: tcp("listen_nodes", settings.listen_nodes.clone()).await?,
        managers: tcp("listen_managers", settings.listen_managers.clone()).await?,
        gossip,
        dns: match &settings.listen_dns {
            Some(listen) => Some(dns::bind(listen).await?),
            None => None,
        },
    })
}

fn port_text(key: &str, address: &str, error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => format!(
            "{key} {address} is in use by another program: stop it (`ss -tulpn` names it), or set {key} to a free port"
        ),
        _ => format!("{key} {address} cannot be listened on: {error}"),
    }
}

fn manager_node(settings: &Settings) -> ManagerNode {
    ManagerNode {
        name: settings.name.clone(),
        raft_address: settings.advertised(&settings.listen_managers),
        node_address: settings.advertised(&settings.listen_nodes),
        http_address: settings.advertised(&settings.listen_http),
    }
}

async fn open_group(
    settings: &Settings,
    manager: ManagerNode,
    tls: LiveTls,
) -> anyhow::Result<GroupHandle> {
    let mut config = GroupConfig::new(settings.data_dir.clone(), manager);
    config.timers = match settings.timers {
        TimersProfile::Lan => Timers::lan(),
        TimersProfile::Wan => Timers::wan(),
    };
    config.peers.clone_from(&settings.peers);
    config.disk.reserve_bytes = settings.disk_reserve_bytes;
    let opened = GroupHandle::open(config, Some(tls), clock::now_ms).await;
    opened.map_err(|error| match error {
        OpenError::DamagedAlone(_) | OpenError::StateLost { .. } => {
            DamagedFiles(error.to_string()).into()
        }
        error => error.into(),
    })
}

/// A program that is too old must not apply what it does not know.
fn check_feature_level(group: &GroupHandle) -> anyhow::Result<()> {
    let level = group.stale().state.meta().feature_level;
    if level > krakend_domain::FEATURE_LEVEL {
        anyhow::bail!(
            "the group uses feature level {level}, this version ({}) supports {}: start a newer version; there is no way back below that level",
            env!("CARGO_PKG_VERSION"),
            krakend_domain::FEATURE_LEVEL
        );
    }
    Ok(())
}

/// Serves the port for the other managers until the manager stops. Only the role `manager` is let in.
async fn serve_managers(
    group: GroupHandle,
    listener: TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let verify: PeerVerify = Arc::new(|leaf: &[u8]| match role_of(leaf)? {
        CertifiedRole::Manager(_) => Ok(()),
        CertifiedRole::Node(id, _) => Err(format!(
            "node {id} may not speak to the manager port: only managers may"
        )),
    });
    group
        .serve(listener, Some(verify), stop.cancelled_owned())
        .await
        .context("the manager port failed")
}

async fn start_gossip(
    settings: &Settings,
    trust: &Trust,
    group: &GroupHandle,
    socket: UdpSocket,
) -> anyhow::Result<Gossip> {
    let advertised = settings.advertised(&settings.listen_nodes);
    let address: SocketAddr = tokio::net::lookup_host(&advertised)
        .await
        .with_context(|| format!("looking up the advertised address {advertised}"))?
        .next()
        .with_context(|| format!("{advertised} has no address"))?;
    let keys = trust::gossip_ring(&trust.ring(), group.stale().state.keyring())?;
    let id = group.identity().manager_id;
    let config = krakend_gossip::Config::lan();
    let role = krakend_gossip::Role::Manager;
    Ok(Gossip::start(socket, address, id, role, keys, config).await?)
}

async fn wait(
    app: &App,
    tasks: &mut tokio::task::JoinSet<anyhow::Result<()>>,
) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        reason = app.group.fatal() => {
            anyhow::bail!("the Raft group member stopped: {reason}; restart it, its data directory says more")
        }
        ended = tasks.join_next() => match ended {
            Some(Ok(Ok(()))) | None => anyhow::bail!("a part of the manager ended by itself"),
            Some(Ok(Err(error))) => Err(error),
            Some(Err(error)) => Err(error.into()),
        },
    }
}

async fn shut_down(app: App, mut tasks: tokio::task::JoinSet<anyhow::Result<()>>) {
    tracing::info!("stopping: handing leadership over first if this manager leads");
    // A disk that does not answer must not keep the process from ending.
    let closed = tokio::time::timeout(CLOSE_WITHIN, app.group.shutdown()).await;
    if closed.is_err() {
        tracing::error!("the group member did not stop within {CLOSE_WITHIN:?}");
    }
    app.stop.cancel();
    app.gossip.clone().leave(Duration::from_millis(500)).await;
    let drained = async { while tasks.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(Duration::from_secs(3), drained).await;
}
