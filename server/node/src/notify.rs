//! What systemd wants to hear (`sd_notify(3)`): ready, stopping, a status line, and a sign of life for its watchdog.
//! Without `NOTIFY_SOCKET` nobody listens, and all of it does nothing.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The service manager's socket, where there is one.
pub struct Notifier {
    to: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// From the environment as systemd sets it.
    pub fn from_environment() -> Self {
        let variable = |name: &str| std::env::var(name).ok();
        let own = std::process::id().to_string();
        let ours = variable("WATCHDOG_PID").is_none_or(|pid| pid == own);
        let watchdog = variable("WATCHDOG_USEC").filter(|_| ours);
        Self::new(variable("NOTIFY_SOCKET").as_deref(), watchdog.as_deref())
    }

    fn new(socket: Option<&str>, watchdog_usec: Option<&str>) -> Self {
        let address = socket.and_then(|path| match path.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name).ok(),
            None => SocketAddr::from_pathname(path).ok(),
        });
        let to = address.and_then(|address| {
            let socket = UnixDatagram::unbound().ok()?;
            // A service manager that does not read must not hold the gateway up.
            socket.set_nonblocking(true).ok()?;
            Some((socket, address))
        });
        let period = watchdog_usec.and_then(|text| text.parse().ok());
        let period = period.filter(|usec| *usec > 0).map(Duration::from_micros);
        Self {
            watchdog: period.filter(|_| to.is_some()),
            to,
        }
    }

    /// The program serves.
    pub fn ready(&self) {
        self.send("READY=1");
    }

    /// It has begun to end.
    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// One line for `systemctl status`.
    pub fn status(&self, line: &str) {
        self.send(&format!("STATUS={}", line.replace('\n', " ")));
    }

    /// A sign of life.
    pub fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    /// How often a sign of life is due: half of what systemd waits for.
    pub fn sign_of_life_every(&self) -> Option<Duration> {
        self.watchdog.map(|limit| limit / 2)
    }

    fn send(&self, text: &str) {
        if let Some((socket, address)) = &self.to
            && let Err(error) = socket.send_to_addr(text.as_bytes(), address)
        {
            tracing::debug!("the service manager was not told {text}: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_hears_each_word_at_a_path_and_at_an_abstract_name() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("notify");
        let name = format!("krakend-node-test-{}", std::process::id());
        let at_path = UnixDatagram::bind(&path).expect("bound");
        let address = SocketAddr::from_abstract_name(&name).expect("an address");
        let at_name = UnixDatagram::bind_addr(&address).expect("bound");
        let spoken = [
            (path.display().to_string(), at_path),
            (format!("@{name}"), at_name),
        ];
        for (socket, listener) in spoken {
            let notifier = Notifier::new(Some(&socket), Some("4000000"));
            notifier.ready();
            notifier.status("joined,\nall well");
            notifier.alive();
            notifier.stopping();
            let mut buffer = [0; 64];
            for expected in [
                "READY=1",
                "STATUS=joined, all well",
                "WATCHDOG=1",
                "STOPPING=1",
            ] {
                let length = listener.recv(&mut buffer).expect("heard");
                assert_eq!(&buffer[..length], expected.as_bytes());
            }
            let every = notifier.sign_of_life_every();
            assert_eq!(every, Some(Duration::from_secs(2)));
        }
    }

    #[test]
    fn without_systemd_nothing_is_said_and_no_watchdog_waits() {
        let notifier = Notifier::new(None, Some("4000000"));
        notifier.ready();
        assert_eq!(notifier.sign_of_life_every(), None);
        assert_eq!(
            Notifier::new(Some("@x"), Some("0")).sign_of_life_every(),
            None
        );
    }
}
