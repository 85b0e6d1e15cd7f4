//! The managers' HTTP API as an operator's script would use it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::http::{Answer, Ask};

const LIMIT: Duration = Duration::from_secs(8);

/// Asks whichever manager answers.
#[derive(Clone, Debug)]
pub struct Api {
    servers: Vec<SocketAddr>,
    token: String,
}

/// What a publication gave.
#[derive(Clone, Debug)]
pub struct Published {
    pub number: u64,
    pub digest: String,
}

impl Api {
    /// A client for these managers with the admin's token.
    pub fn new(servers: Vec<SocketAddr>, token: String) -> Self {
        Self { servers, token }
    }

    /// The admin's token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// JSON of a `GET` from the first manager that gives a good answer.
    ///
    /// # Errors
    /// No manager gave one; the last one's words.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.send(&Ask::get(path)).await?.json()
    }

    /// JSON of a `GET` from this manager alone.
    ///
    /// # Errors
    /// It gave no good answer.
    pub async fn get_from(&self, server: SocketAddr, path: &str) -> Result<Value> {
        self.authorised(Ask::get(path))
            .send(server, LIMIT)
            .await?
            .ok()?
            .json()
    }

    /// Sends to one manager after the other until one gives a good answer.
    ///
    /// # Errors
    /// None did. An answer below 500 is a manager's decision and ends the search.
    pub async fn send(&self, ask: &Ask) -> Result<Answer> {
        let ask = self.authorised(ask.clone());
        let mut last = anyhow!("there is no manager to ask");
        for server in &self.servers {
            match ask.send(*server, LIMIT).await {
                Ok(answer) if answer.status.is_server_error() => {
                    last = answer.ok().err().unwrap_or(last)
                }
                Ok(answer) => {
                    return answer
                        .ok()
                        .with_context(|| format!("{} {} on {server}", ask.method, ask.path));
                }
                Err(error) => last = error,
            }
        }
        Err(last.context(format!(
            "{} {}: no manager gave an answer",
            ask.method, ask.path
        )))
    }

    /// Repeats a write with one idempotency key until a manager takes it: it is done once, however often it was sent.
    ///
    /// # Errors
    /// Not taken within `limit`.
    pub async fn write(&self, ask: Ask, limit: Duration) -> Result<Answer> {
        let ask = ask.header("idempotency-key", Uuid::new_v4().to_string());
        let start = std::time::Instant::now();
        loop {
            match self.send(&ask).await {
                Ok(answer) => return Ok(answer),
                Err(error) if start.elapsed() > limit => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(150)).await,
            }
        }
    }

    /// Publishes a version of fleet `default`; `parent` is the digest of the newest, none for the first.
    ///
    /// # Errors
    /// Not taken within `limit`.
    pub async fn publish(
        &self,
        document: &Value,
        parent: Option<&str>,
        limit: Duration,
    ) -> Result<Published> {
        let ask = Ask::get("/v1/fleets/default/versions")
            .with_body("POST", Bytes::from(document.to_string()));
        let ask = match parent {
            None => ask.header("if-none-match", "*"),
            Some(digest) => ask.header("if-match", format!("\"{digest}\"")),
        };
        let answer = self
            .write(ask, limit)
            .await
            .context("publish a version")?
            .json()?;
        let number = answer["number"]
            .as_u64()
            .context("no number in the publication's answer")?;
        let digest = answer["digest"]
            .as_str()
            .context("no digest in the publication's answer")?;
        Ok(Published {
            number,
            digest: digest.to_owned(),
        })
    }

    /// A join token for fleet `default`.
    ///
    /// # Errors
    /// Not taken by any manager.
    pub async fn join_token(&self) -> Result<String> {
        let body = json!({"fleet": "default", "ttl_s": 86_400, "max_uses": 100});
        let answer = self
            .write(Ask::json("POST", "/v1/join-tokens", &body), LIMIT)
            .await?
            .json()?;
        Ok(answer["token"]
            .as_str()
            .context("no token in the answer")?
            .to_owned())
    }

    /// Installs a licence.
    ///
    /// # Errors
    /// Refused, or not taken by any manager.
    pub async fn install_license(&self, token: &str) -> Result<()> {
        let ask = Ask::json("PUT", "/v1/license", &json!({"token": token}));
        self.write(ask, LIMIT)
            .await
            .context("install the licence")
            .map(drop)
    }

    /// All nodes of the fleet.
    ///
    /// # Errors
    /// No manager gave a good answer.
    pub async fn nodes(&self) -> Result<Vec<Value>> {
        let answer = self.get("/v1/nodes").await?;
        Ok(answer["nodes"].as_array().cloned().unwrap_or_default())
    }

    fn authorised(&self, ask: Ask) -> Ask {
        ask.header("authorization", format!("Bearer {}", self.token))
    }
}
