//! What a balancer asks by TCP (HAProxy's agent-check): one line, and the connection ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::runtime::Runtime;

/// Connections at a time; a balancer has one for each of its processes.
const MAX_CONNECTIONS: usize = 64;
const WRITTEN_WITHIN: Duration = Duration::from_secs(2);
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Opens the port and answers for as long as the program runs.
pub async fn answer_agent_checks(
    listen: SocketAddr,
    runtime: Arc<dyn Runtime>,
) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(listen).await.with_context(|| {
        format!("cannot listen on {listen} for agent checks: set `agent_check` to a free port")
    })?;
    let address = listener.local_addr()?;
    tokio::spawn(serve(listener, runtime));
    Ok(address)
}

async fn serve(listener: TcpListener, runtime: Arc<dyn Runtime>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((mut stream, _)) => {
                let line = line(runtime.is_draining(), runtime.is_ready());
                tokio::spawn(async move {
                    let writing = async {
                        stream.write_all(line.as_bytes()).await?;
                        stream.shutdown().await
                    };
                    // Who does not read it asks again.
                    let _ = tokio::time::timeout(WRITTEN_WITHIN, writing).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "an agent check could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Administrative and operational state, both each time: HAProxy keeps what it is not told otherwise.
fn line(draining: bool, ready: bool) -> &'static str {
    match (draining, ready) {
        (true, true) => "drain up\n",
        (true, false) => "drain down#no gateway serves\n",
        (false, true) => "ready up\n",
        (false, false) => "ready down#no gateway serves\n",
    }
}
