//! A group of real managers for tests of what they answer.
#![allow(dead_code)]

use std::{
    fs::OpenOptions,
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use jepsen_like_tests::{
    http::{Answer, Ask},
    managers::{Manager, PORTS_EACH, write_secret},
    options::sibling_bin_dir,
    ports,
    wait::{Seen, until},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};

pub const LIMIT: Duration = Duration::from_secs(60);

/// Managers in a directory of their own.
pub struct Group {
    pub dir: tempfile::TempDir,
    pub managers: Vec<Manager>,
    pub token: String,
}

impl Group {
    pub async fn start(count: usize) -> Result<Self> {
        Self::start_with(count, |_, program| Ok(program.to_owned())).await
    }

    /// `wrap` may put something else in the program's place.
    pub async fn start_with(
        count: usize,
        wrap: impl Fn(&Path, &Path) -> Result<PathBuf>,
    ) -> Result<Self> {
        Self::start_all(count, "", wrap).await
    }

    /// `settings`: lines at the end of each manager's settings file.
    pub async fn start_saying(count: usize, settings: &str) -> Result<Self> {
        Self::start_all(count, settings, |_, program| Ok(program.to_owned())).await
    }

    /// With settings of its own for each manager.
    pub async fn start_each(count: usize, settings: impl Fn(usize) -> String) -> Result<Self> {
        Self::start_any(count, settings, |_, program| Ok(program.to_owned())).await
    }

    async fn start_all(
        count: usize,
        settings: &str,
        wrap: impl Fn(&Path, &Path) -> Result<PathBuf>,
    ) -> Result<Self> {
        Self::start_any(count, |_| settings.to_owned(), wrap).await
    }

    async fn start_any(
        count: usize,
        settings: impl Fn(usize) -> String,
        wrap: impl Fn(&Path, &Path) -> Result<PathBuf>,
    ) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let secret = dir.path().join("group-secret");
        write_secret(&secret)?;
        let program = sibling_bin_dir()?.join("krakend-cluster-manager");
        let ports = ports::free(PORTS_EACH * count)?;
        let mut managers = Vec::new();
        for (number, ports) in ports.chunks_exact(PORTS_EACH).enumerate() {
            let ports = [ports[0], ports[1], ports[2]];
            let home = dir.path().join(format!("manager-{}", number + 1));
            std::fs::create_dir_all(&home)?;
            let program = wrap(&home, &program)?;
            managers.push(Manager::new(number + 1, dir.path(), &program, ports)?);
        }
        let peers: Vec<_> = managers.iter().map(|it| it.managers).collect();
        for (at, manager) in managers.iter_mut().enumerate() {
            manager.configure(&peers, &secret, 5)?;
            let mut file = OpenOptions::new().append(true).open(manager.settings())?;
            file.write_all(settings(at).as_bytes())?;
            manager.start()?;
        }
        let file = managers[0].admin_token();
        let token = until("the admin token", LIMIT, || async {
            Ok(match std::fs::read_to_string(&file) {
                Ok(token) => Seen::Yes(token.trim().to_owned()),
                Err(error) => Seen::No(error.to_string()),
            })
        });
        let token = token.await?;
        let group = Self {
            dir,
            managers,
            token,
        };
        for at in 0..count {
            until("every manager answers", LIMIT, || async {
                group
                    .ask(at, Ask::get("/v1/status"))
                    .await?
                    .ok()
                    .map(Seen::Yes)
            })
            .await?;
        }
        Ok(group)
    }

    pub fn http(&self, at: usize) -> SocketAddr {
        self.managers[at].http
    }

    fn authorised(&self, ask: Ask) -> Ask {
        ask.header("authorization", format!("Bearer {}", self.token))
    }

    pub async fn ask(&self, at: usize, ask: Ask) -> Result<Answer> {
        self.authorised(ask).send(self.http(at), LIMIT).await
    }

    /// Asks while the test goes on; the request is on its way on return, as far as one can know.
    pub fn spawn(&self, at: usize, ask: Ask) -> JoinHandle<Result<Answer>> {
        let (ask, server) = (self.authorised(ask), self.http(at));
        tokio::spawn(async move { ask.send(server, LIMIT).await })
    }

    pub async fn status(&self, at: usize) -> Result<Value> {
        let ask = Ask::get("/v1/status?consistency=stale");
        self.ask(at, ask).await?.ok()?.json()
    }

    /// The position of the manager that leads.
    pub async fn leader(&self) -> Result<usize> {
        until("a leader", LIMIT, || async {
            for at in 0..self.managers.len() {
                let Ok(status) = self.status(at).await else {
                    continue;
                };
                if status["leader_id"].is_string() && status["leader_id"] == status["answered_by"] {
                    return Ok(Seen::Yes(at));
                }
            }
            Ok(Seen::No("nobody leads".into()))
        })
        .await
    }

    pub async fn follower(&self) -> Result<usize> {
        Ok((self.leader().await? + 1) % self.managers.len())
    }

    pub async fn kill(&mut self, at: usize) -> Result<()> {
        self.managers[at].kill().await
    }

    pub fn restart(&mut self, at: usize) -> Result<()> {
        self.managers[at].start()
    }

    pub async fn publish(&self, at: usize) -> Result<Answer> {
        let document = r#"{"version": 3, "endpoints": [{"endpoint": "/a", "backend": [
            {"url_pattern": "/b", "host": ["http://127.0.0.1:8000"]}]}]}"#;
        let ask = Ask::get("/v1/fleets/default/versions").with_body("POST", Bytes::from(document));
        let ask = ask.header("if-none-match", "*");
        self.ask(at, ask).await?.ok()
    }

    /// Many writes of which each is an event; leaves nothing behind but events.
    pub fn busy(&self, worker: usize, count: usize) -> JoinHandle<Result<()>> {
        let server = self.http(0);
        let asks: Vec<_> = (0..count)
            .map(|n| {
                let body = json!({ "name": format!("w{worker}-{n}"), "role": "viewer" });
                self.authorised(Ask::json("POST", "/v1/tokens", &body))
            })
            .collect();
        tokio::spawn(async move {
            for ask in asks {
                ask.send(server, LIMIT).await?.ok()?;
            }
            Ok(())
        })
    }

    /// The ids of at least `count` events after `last` (from the beginning without), from a connection of its own.
    pub async fn events(
        &self,
        at: usize,
        last: Option<(u64, u32)>,
        count: usize,
    ) -> Result<Vec<(u64, u32)>> {
        let mut stream = TcpStream::connect(self.http(at)).await?;
        let resume = last.map_or(String::new(), |(index, position)| {
            format!("last-event-id: {index}.{position}\r\n")
        });
        let request = format!(
            "GET /v1/events?after=0 HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {}\r\n{resume}\r\n",
            self.token
        );
        stream.write_all(request.as_bytes()).await?;
        let mut text = String::new();
        let mut ids = Vec::new();
        let reading = async {
            let mut buffer = [0; 4096];
            // The first live figures come after everything that is there already.
            while ids.len() < count && !text.contains("event: live") {
                let length = stream.read(&mut buffer).await?;
                ensure!(length > 0, "the stream ended: {text}");
                text.push_str(&String::from_utf8_lossy(&buffer[..length]));
                ensure!(text.starts_with("HTTP/1.1 200"), "{text}");
                ids = complete_ids(&text);
            }
            Ok(ids)
        };
        tokio::time::timeout(LIMIT, reading)
            .await
            .context("the stream says nothing")?
    }
}

/// Ids of the messages that have come to their end.
fn complete_ids(text: &str) -> Vec<(u64, u32)> {
    let Some(end) = text.rfind("\n\n") else {
        return Vec::new();
    };
    let lines = text[..end].lines();
    let ids = lines.filter_map(|line| line.strip_prefix("id: ")?.split_once('.'));
    ids.filter_map(|(index, position)| Some((index.parse().ok()?, position.parse().ok()?)))
        .collect()
}

pub fn header(answer: &Answer, name: &str) -> Result<String> {
    let value = answer.headers.get(name);
    let value = value.with_context(|| format!("{name} is missing: {}", answer.excerpt()))?;
    Ok(value.to_str()?.to_owned())
}

pub fn problem(answer: &Answer, status: u16, kind: &str) -> Result<()> {
    ensure!(
        answer.status.as_u16() == status,
        "{} instead of {status}: {}",
        answer.status,
        answer.excerpt()
    );
    let told = answer.json()?;
    let ends = told["type"].as_str().is_some_and(|it| it.ends_with(kind));
    ensure!(ends, "{kind} is expected: {told}");
    Ok(())
}
