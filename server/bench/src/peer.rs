//! What the two groups have in common: three members that are started, asked and killed in the same way.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::Members;

/// Members of a group.
pub const SIZE: usize = 3;

/// How long one request under load may take before it counts as an error; what both servers' clients default to or less.
pub const REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// How long a group may take until every member serves.
const READY_LIMIT: Duration = Duration::from_secs(90);

/// A group under measurement.
pub trait Peer: Sync {
    type Client: Client;

    /// For people and in messages.
    const NAME: &'static str;

    fn members(&self) -> &Members;

    fn members_mut(&mut self) -> &mut Members;

    /// The member that leads now.
    ///
    /// # Errors
    /// None says that it leads.
    fn leader(&self) -> impl Future<Output = Result<usize>> + Send;

    /// Client `number`, which has a key or fleet of its own, connected to one member.
    ///
    /// # Errors
    /// The member does not answer.
    fn connect(
        &self,
        member: usize,
        number: usize,
    ) -> impl Future<Output = Result<Self::Client>> + Send;
}

/// One caller; one request at a time.
pub trait Client: Send + 'static {
    /// Writes the next value of 256 bytes, durable on a majority when it returns.
    ///
    /// # Errors
    /// Any answer but success, or none within `limit`.
    fn write(&mut self, limit: Duration) -> impl Future<Output = Result<()>> + Send;

    /// Reads the last value back, linearizable.
    ///
    /// # Errors
    /// Any answer but success, another value, or no answer within `limit`.
    fn read(&mut self, limit: Duration) -> impl Future<Output = Result<()>> + Send;
}

/// Waits until there is a leader and a client can write and read through every member: so none lags behind.
///
/// # Errors
/// Not within a minute and a half; says what the last attempt met.
pub async fn ready<P: Peer>(peer: &mut P) -> Result<()> {
    let mut last = None;
    let waiting = async {
        loop {
            match serves(peer).await {
                Ok(()) => return Ok(()),
                Err(error) => last = Some(error),
            }
            peer.members_mut().expect_running()?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    match tokio::time::timeout(READY_LIMIT, waiting).await {
        Ok(ready) => ready,
        Err(_) => {
            Err(last.unwrap_or_else(|| anyhow::anyhow!("nothing was answered"))).context(format!(
                "{}: not every member serves within {READY_LIMIT:?}",
                P::NAME
            ))
        }
    }
}

async fn serves<P: Peer>(peer: &P) -> Result<()> {
    const LIMIT: Duration = Duration::from_secs(2);
    peer.leader().await?;
    for member in 0..SIZE {
        let mut client = peer.connect(member, member).await?;
        client.write(LIMIT).await?;
        client.read(LIMIT).await?;
    }
    Ok(())
}
