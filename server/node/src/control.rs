//! How `krakend-node leave` reaches the node that runs: a socket in the data directory that only its owner may open.
//! The loopback port changes nothing, because everybody on the machine may ask it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

const SOCKET: &str = "control.sock";
const LEAVE: &str = "leave";
const MAX_BYTES: u64 = 1_024;
/// Requests that wait; more are refused by the kernel's queue.
const WAITING: usize = 4;
const ASKED_WITHIN: Duration = Duration::from_secs(5);

/// Somebody wants this node to leave for good, and waits for what comes of it.
pub struct LeaveRequest {
    pub answer: oneshot::Sender<String>,
}

/// The program does not run, or does not answer.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error(
        "no krakend-node runs with the data directory {0} ({1}). A node that was stopped has left already: its seat is \
         free five minutes after its stop, or at once with `krakend-cluster-manager nodes remove NODE`"
    )]
    NotRunning(String, std::io::Error),
    #[error("the node ended without a word: {0}")]
    Silent(std::io::Error),
    #[error("the node did not leave within {0:?}")]
    Late(Duration),
}

/// Opens the socket below `directory`, which the caller holds the lock of.
pub fn listen(directory: &Path) -> std::io::Result<mpsc::Receiver<LeaveRequest>> {
    let path = directory.join(SOCKET);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let (requests, taken) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // One at a time: whoever says nothing holds others up for a moment only.
            let asked = serve(stream, &requests);
            let _ = tokio::time::timeout(ASKED_WITHIN, asked).await;
        }
    });
    Ok(taken)
}

async fn serve(stream: UnixStream, requests: &mpsc::Sender<LeaveRequest>) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    let reading = (&mut stream).take(MAX_BYTES).read_line(&mut line).await;
    if reading.is_err() || line.trim() != LEAVE {
        return;
    }
    let (answer, answered) = oneshot::channel::<String>();
    if requests.send(LeaveRequest { answer }).await.is_err() {
        return;
    }
    tokio::spawn(async move {
        if let Ok(text) = answered.await {
            // Whoever has gone meanwhile does not want to know.
            let _ = stream.write_all(text.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
}

/// Asks the node that runs with this data directory to leave for good; what came of it.
pub async fn ask_to_leave(directory: &Path, within: Duration) -> Result<String, ControlError> {
    let path: PathBuf = directory.join(SOCKET);
    let not_running = |error| ControlError::NotRunning(directory.display().to_string(), error);
    let mut stream = UnixStream::connect(&path).await.map_err(not_running)?;
    let talk = async {
        stream.write_all(format!("{LEAVE}\n").as_bytes()).await?;
        let mut text = String::new();
        stream.take(MAX_BYTES).read_to_string(&mut text).await?;
        match text.is_empty() {
            true => Err(std::io::ErrorKind::UnexpectedEof.into()),
            false => Ok(text),
        }
    };
    match tokio::time::timeout(within, talk).await {
        Ok(answer) => answer.map_err(ControlError::Silent),
        Err(_) => Err(ControlError::Late(within)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_leave_is_asked_for_and_answered_and_a_stopped_node_is_named() {
        let dir = tempfile::tempdir().expect("a directory");
        let limit = Duration::from_secs(10);
        let alone = ask_to_leave(dir.path(), limit).await;
        let text = alone.err().map(|error| error.to_string());
        assert!(text.is_some_and(|text| text.contains("nodes remove")));
        let mut requests = listen(dir.path()).expect("open");
        let mode = std::fs::metadata(dir.path().join(SOCKET)).expect("there");
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);
        tokio::spawn(async move {
            let request = requests.recv().await.expect("asked");
            let _ = request.answer.send("left".into());
        });
        let answer = ask_to_leave(dir.path(), limit).await.expect("answered");
        assert_eq!(answer, "left");
    }
}
