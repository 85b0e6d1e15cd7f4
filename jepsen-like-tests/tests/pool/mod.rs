//! Real nodes of a group, each with a directory of its own.
#![allow(dead_code)]

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use jepsen_like_tests::http::Ask;
use jepsen_like_tests::managers::write_private;
use jepsen_like_tests::nodes::PORTS_EACH;
use jepsen_like_tests::options::sibling_bin_dir;
use jepsen_like_tests::ports::{self, loopback};
use jepsen_like_tests::process::Process;
use jepsen_like_tests::wait::{Seen, until};
use serde_json::{Value, json};

use super::group::{Group, LIMIT};

const ANSWER_WITHIN: Duration = Duration::from_secs(10);
const LIBRARIES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/faketime/libfaketime.so.1",
];

/// The library that moves a program's clock.
pub fn faketime() -> Option<&'static str> {
    LIBRARIES.into_iter().find(|it| Path::new(it).exists())
}

struct Node {
    dir: PathBuf,
    public: SocketAddr,
    api: SocketAddr,
    id: String,
    process: Option<Process>,
    clock: Option<&'static str>,
}

pub struct Pool {
    nodes: Vec<Node>,
    program: PathBuf,
}

impl Pool {
    pub async fn start(group: &Group, count: usize) -> Result<Self> {
        Self::start_all(group, count, None).await
    }

    /// `count` nodes with addresses and settings of their own, of which the first `now` are started; the others by
    /// [`Self::join`].
    pub async fn start_on(
        group: &Group,
        count: usize,
        host: impl Fn(usize) -> std::net::Ipv4Addr,
        settings: impl Fn(usize) -> String,
        now: usize,
    ) -> Result<Self> {
        let mut pool = Self::lay_out(group, count, None).await?;
        for (at, node) in pool.nodes.iter_mut().enumerate() {
            let file = node.dir.join("service.yml");
            let public = SocketAddr::from((host(at), node.public.port()));
            let text = std::fs::read_to_string(&file)?;
            let listens = |address: SocketAddr| format!("\nlisten: {address}\n");
            let text = text.replace(&listens(node.public), &listens(public));
            node.public = public;
            std::fs::write(&file, format!("{text}{}", settings(at)))?;
        }
        for at in 0..now {
            pool.join(at).await?;
        }
        Ok(pool)
    }

    /// Starts it, and waits until it has an id.
    pub async fn join(&mut self, at: usize) -> Result<()> {
        self.restart(at).await?;
        let id = until("it has an id", LIMIT, || async {
            let status = self.status(at).await?;
            Ok(match status["node_id"].as_str() {
                Some(id) => Seen::Yes(id.to_owned()),
                None => Seen::No(status.to_string()),
            })
        });
        let id = id.await?;
        self.nodes[at].id = id;
        Ok(())
    }

    /// Under wall clocks that a file moves; the boot clock stays.
    pub async fn start_with_clocks(
        group: &Group,
        count: usize,
        library: &'static str,
    ) -> Result<Self> {
        Self::start_all(group, count, Some(library)).await
    }

    async fn start_all(group: &Group, count: usize, clock: Option<&'static str>) -> Result<Self> {
        let mut pool = Self::lay_out(group, count, clock).await?;
        for at in 0..count {
            if clock.is_some() {
                pool.set_clock(at, "+0")?;
            }
            pool.restart(at).await?;
        }
        for at in 0..count {
            let id = until("it has an id", LIMIT, || async {
                let status = pool.status(at).await?;
                Ok(match status["node_id"].as_str() {
                    Some(id) => Seen::Yes(id.to_owned()),
                    None => Seen::No(status.to_string()),
                })
            });
            pool.nodes[at].id = id.await?;
        }
        Ok(pool)
    }

    /// Directories and settings; nothing runs yet.
    async fn lay_out(group: &Group, count: usize, clock: Option<&'static str>) -> Result<Self> {
        let body = json!({ "fleet": "default", "ttl_s": 3_600, "max_uses": 1_000 });
        let token = until("a join token", LIMIT, || async {
            let ask = Ask::json("POST", "/v1/join-tokens", &body);
            let answer = group.ask(0, ask).await?.ok()?.json()?;
            let token = answer["token"].as_str().context("a token")?;
            Ok(Seen::Yes(token.to_owned()))
        })
        .await?;
        let home = group.dir.path().join("nodes");
        std::fs::create_dir_all(&home)?;
        let token_file = home.join("join-token");
        write_private(&token_file, &token)?;
        let seeds: Vec<_> = group
            .managers
            .iter()
            .map(|it| it.nodes.to_string())
            .collect();
        let mut nodes = Vec::new();
        for (at, ports) in ports::free(PORTS_EACH * count)?
            .chunks_exact(PORTS_EACH)
            .enumerate()
        {
            let [public, gossip, api] = [ports[0], ports[1], ports[2]].map(loopback);
            let dir = home.join(format!("node-{}", at + 1));
            std::fs::create_dir_all(&dir)?;
            let text = format!(
                "seed: [{}]\nname: node-{}\ndata_dir: {}\njoin_token_file: {}\nlisten: {public}\ngossip_listen: {gossip}\napi_listen: {api}\ngateway: embedded\nsample_period_s: 1\nretry_max_s: 1\n",
                seeds.join(", "),
                at + 1,
                dir.join("data").display(),
                token_file.display(),
            );
            std::fs::write(dir.join("service.yml"), text)?;
            nodes.push(Node {
                dir,
                public,
                api,
                id: String::new(),
                process: None,
                clock,
            });
        }
        Ok(Self {
            nodes,
            program: sibling_bin_dir()?.join("krakend-node"),
        })
    }

    pub fn id(&self, at: usize) -> &str {
        &self.nodes[at].id
    }

    pub fn public(&self, at: usize) -> SocketAddr {
        self.nodes[at].public
    }

    /// The only version that it keeps on its disk.
    pub fn stored_version(&self, at: usize) -> Result<PathBuf> {
        let versions = std::fs::read_dir(self.nodes[at].dir.join("data/versions"))?;
        let files: std::io::Result<Vec<_>> = versions.map(|it| it.map(|it| it.path())).collect();
        match files?.as_slice() {
            [one] => Ok(one.clone()),
            files => bail!("{} versions", files.len()),
        }
    }

    /// Starts it, and waits until it answers on its own port.
    pub async fn restart(&mut self, at: usize) -> Result<()> {
        if self.nodes[at].process.is_some() {
            self.kill(at).await?;
        }
        let node = &mut self.nodes[at];
        let (name, log) = (format!("node-{}", at + 1), node.dir.join("log"));
        let settings = node.dir.join("service.yml").display().to_string();
        let program = match node.clock {
            None => self.program.clone(),
            Some(library) => wrap(library, &node.dir, &self.program)?,
        };
        let process = Process::start(&name, &program, &["--settings", &settings], &log)?;
        node.process = Some(process);
        until("the node answers", LIMIT, || async {
            self.status(at).await.map(Seen::Yes)
        })
        .await
        .map(drop)
    }

    pub async fn kill(&mut self, at: usize) -> Result<()> {
        let process = self.nodes[at].process.take();
        process.context("it does not run")?.kill().await
    }

    /// SIGTERM, and waits for the end.
    pub async fn terminate(&mut self, at: usize) -> Result<()> {
        let process = self.nodes[at].process.take();
        let mut process = process.context("it does not run")?;
        process.terminate()?;
        let status = process.wait(LIMIT).await?;
        ensure!(status.success(), "it ended with {status}");
        Ok(())
    }

    /// `krakend-node leave`: what it printed.
    pub async fn leave(&mut self, at: usize) -> Result<String> {
        let settings = self.nodes[at].dir.join("service.yml");
        let settings = settings.display().to_string();
        let said = self
            .ask_program(&["leave", "--settings", &settings])
            .await?;
        let mut process = self.nodes[at].process.take().context("it does not run")?;
        let status = process.wait(LIMIT).await?;
        ensure!(status.success(), "it ended with {status}");
        Ok(said)
    }

    async fn ask_program(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.program);
        command.args(arguments);
        for (key, _) in std::env::vars_os() {
            if key.to_string_lossy().starts_with("KRAKEND_") {
                command.env_remove(key);
            }
        }
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// What `krakend-node members` prints.
    pub async fn members_table(&self, at: usize) -> Result<String> {
        let api = self.nodes[at].api.to_string();
        self.ask_program(&["members", "--api", &api]).await
    }

    pub async fn members(&self, at: usize) -> Result<Vec<Value>> {
        let answer = self.get(at, "/v1/members").await?;
        answer["members"].as_array().cloned().context("members")
    }

    async fn get(&self, at: usize, path: &str) -> Result<Value> {
        let ask = Ask::get(path);
        let answer = ask.send(self.nodes[at].api, ANSWER_WITHIN).await?;
        answer.ok()?.json()
    }

    pub async fn status(&self, at: usize) -> Result<Value> {
        self.get(at, "/v1/status").await
    }

    pub async fn figures(&self, at: usize) -> Result<String> {
        let ask = Ask::get("/metrics");
        let answer = ask.send(self.nodes[at].api, ANSWER_WITHIN).await?.ok()?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }

    /// Waits until each node that runs has this mode.
    pub async fn all_are(&self, mode: &str, limit: Duration) -> Result<()> {
        self.all_say("mode", mode, limit).await
    }

    pub async fn all_joined(&self, limit: Duration) -> Result<()> {
        self.all_say("state", "joined", limit).await
    }

    async fn all_say(&self, key: &str, value: &str, limit: Duration) -> Result<()> {
        until(&format!("{key} is {value} everywhere"), limit, || async {
            for at in 0..self.nodes.len() {
                if self.nodes[at].process.is_none() {
                    continue;
                }
                let status = self.status(at).await?;
                if status[key] != value {
                    return Ok(Seen::No(format!("node-{}: {status}", at + 1)));
                }
            }
            Ok(Seen::Yes(()))
        })
        .await
    }

    /// A version that the gateway answers by itself, and waits until all serve it.
    pub async fn publish(&self, group: &Group) -> Result<()> {
        group.publish(0).await?;
        self.serve_the_first().await
    }

    /// The first version, and waits until all that run serve it.
    pub async fn publish_document(&self, group: &Group, document: &Value) -> Result<()> {
        let ask = Ask::json("POST", "/v1/fleets/default/versions", document);
        group.ask(0, ask.header("if-none-match", "*")).await?.ok()?;
        self.serve_the_first().await
    }

    async fn serve_the_first(&self) -> Result<()> {
        until("all serve the version", LIMIT, || async {
            for at in 0..self.nodes.len() {
                if self.nodes[at].process.is_none() {
                    continue;
                }
                let status = self.status(at).await?;
                if status["applied"]["number"] != 1 {
                    return Ok(Seen::No(status.to_string()));
                }
            }
            Ok(Seen::Yes(()))
        })
        .await
    }

    /// The gateway answers with the version's route: its backend is not there, and says so.
    pub async fn serves(&self, at: usize) -> Result<()> {
        let ask = Ask::get("/__health");
        let health = ask.send(self.nodes[at].public, ANSWER_WITHIN).await?;
        ensure!(health.status.is_success(), "{}", health.excerpt());
        self.serves_without_health(at).await
    }

    /// The same of a node that says it wants no traffic.
    pub async fn serves_without_health(&self, at: usize) -> Result<()> {
        let answer = Ask::get("/a")
            .send(self.nodes[at].public, ANSWER_WITHIN)
            .await?;
        ensure!(
            answer.status.as_u16() != 404 && answer.status.as_u16() != 503,
            "{}",
            answer.status
        );
        Ok(())
    }

    pub async fn log_says(&self, at: usize, text: &str) -> Result<()> {
        let log = self.nodes[at].dir.join("log");
        until(
            &format!("node-{}'s log says: {text}", at + 1),
            LIMIT,
            || async {
                let said = std::fs::read_to_string(&log)?;
                Ok(match said.contains(text) {
                    true => Seen::Yes(()),
                    false => Seen::No(said.lines().last().unwrap_or_default().to_owned()),
                })
            },
        )
        .await
    }

    /// Flips a bit in the middle of a file of the node, which must not run.
    pub fn damage(&self, at: usize, file: &str) -> Result<()> {
        let path = self.nodes[at].dir.join("data").join(file);
        let mut bytes = std::fs::read(&path)?;
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(path, bytes).context("damage a file")
    }

    /// Moves the node's wall clock. A rename, so that the program never reads half of it.
    pub fn set_clock(&self, at: usize, offset: &str) -> Result<()> {
        let file = self.nodes[at].dir.join("clock");
        let part = file.with_extension("new");
        std::fs::write(&part, format!("{offset}\n"))?;
        std::fs::rename(part, file).context("set the clock")
    }
}

fn wrap(library: &str, home: &Path, program: &Path) -> Result<PathBuf> {
    let script = home.join("run");
    let text = format!(
        "#!/bin/sh\nexport LD_PRELOAD={library} FAKETIME_TIMESTAMP_FILE={} FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1 DONT_FAKE_MONOTONIC=1\nexec {} \"$@\"\n",
        home.join("clock").display(),
        program.display()
    );
    std::fs::write(&script, text)?;
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))?;
    Ok(script)
}
