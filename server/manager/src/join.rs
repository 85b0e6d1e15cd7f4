//! A new manager's way into a group that exists: a join token buys the group secret and the others' addresses.

use std::{path::Path, time::Duration};

use anyhow::Context;
use krakend_proto::{
    join::{JoinRole, JoinToken, connect, enrolment_tls},
    node::{EnrollManagerRequest, EnrollManagerResponse},
};
use tonic::Code;
use zeroize::Zeroizing;

use crate::{app::WrongSettings, settings::Settings, trust::GroupSecret};

/// Where the others' addresses are kept until this manager is a member.
const PEERS_FILE: &str = "join-peers";
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
const RETRY_EVERY: Duration = Duration::from_secs(2);

/// With `join` set: obtains secret and peers once, and fills in `peers`. Without: nothing.
pub async fn prepare(mut settings: Settings) -> anyhow::Result<Settings> {
    if settings.join.is_empty() {
        return Ok(settings);
    }
    let peers_file = settings.data_dir.join(PEERS_FILE);
    if !settings.secret_file.exists() {
        std::fs::create_dir_all(&settings.data_dir)
            .with_context(|| format!("making {}", settings.data_dir.display()))?;
        let token = token(&settings.join_token_file)?;
        let answer = enroll(&settings, &token).await?;
        keep(&settings, answer, &peers_file)?;
    }
    let peers = std::fs::read_to_string(&peers_file).map_err(|error| {
        WrongSettings(format!(
            "{} cannot be read ({error}): remove {} to enrol again, or name the managers in `peers` instead of `join`",
            peers_file.display(),
            settings.secret_file.display()
        ))
    })?;
    settings.peers = peers.lines().map(str::to_owned).collect();
    Ok(settings)
}

fn token(path: &Path) -> anyhow::Result<JoinToken> {
    const ADVICE: &str =
        "make one with `krakend-cluster-manager managers add` on a manager of the group";
    let wrong = |reason: String| {
        WrongSettings(format!(
            "the join token file {}: {reason}; {ADVICE}",
            path.display()
        ))
    };
    let text = match std::env::var("KRAKEND_CM_JOIN_TOKEN") {
        Ok(text) => Zeroizing::new(text),
        Err(_) => {
            Zeroizing::new(std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?)
        }
    };
    let token = JoinToken::parse(&text).map_err(|error| wrong(error.to_string()))?;
    match token.role {
        JoinRole::Manager => Ok(token),
        JoinRole::Node => Err(wrong("it is for a node, not for a manager".into()).into()),
    }
}

/// Asks one manager after the other until one answers. A token that is refused is refused by all.
async fn enroll(settings: &Settings, token: &JoinToken) -> anyhow::Result<EnrollManagerResponse> {
    let mut said = false;
    loop {
        for address in settings.join.iter().chain(&token.managers) {
            match enroll_at(address, token).await {
                Ok(answer) => return Ok(answer),
                Err(Refusal::Token(reason)) => return Err(WrongSettings(reason).into()),
                Err(Refusal::Later(reason)) if !said => {
                    tracing::warn!("joining through {address}: {reason}; trying again");
                }
                Err(Refusal::Later(reason)) => {
                    tracing::debug!("joining through {address}: {reason}");
                }
            }
        }
        said = true;
        tokio::time::sleep(RETRY_EVERY).await;
    }
}

enum Refusal {
    Token(String),
    Later(String),
}

async fn enroll_at(address: &str, token: &JoinToken) -> Result<EnrollManagerResponse, Refusal> {
    let later = |reason: String| Refusal::Later(reason);
    let tls = enrolment_tls(token.ca_sha256).map_err(|error| later(error.to_string()))?;
    let mut connection = connect(address, tls)
        .await
        .map_err(|error| later(error.to_string()))?;
    let request = EnrollManagerRequest {
        token_id: token.id.as_bytes().to_vec().into(),
        token_secret: token.secret.to_vec().into(),
    };
    let answer = tokio::time::timeout(ANSWER_WITHIN, connection.client.enroll_manager(request))
        .await
        .map_err(|_| later(format!("no answer in {ANSWER_WITHIN:?}")))?;
    match answer {
        Ok(answer) => Ok(answer.into_inner()),
        Err(status) if status.code() == Code::PermissionDenied => {
            Err(Refusal::Token(status.message().into()))
        }
        Err(status) => Err(later(status.message().into())),
    }
}

/// The secret last: with it the enrolment counts as done.
fn keep(
    settings: &Settings,
    mut answer: EnrollManagerResponse,
    peers_file: &Path,
) -> anyhow::Result<()> {
    let mut all = std::mem::take(&mut answer.group_secrets);
    if all.is_empty() {
        all.push(std::mem::take(&mut answer.group_secret));
    }
    let secrets: Option<Vec<_>> = all.iter().map(|it| GroupSecret::from_bytes(it)).collect();
    let secrets = secrets
        .context("the manager's answer has no group secret: its version does not fit this one")?;
    let write = || -> std::io::Result<()> {
        let part = peers_file.with_extension("new");
        std::fs::write(&part, answer.peers.join("\n"))?;
        std::fs::File::open(&part)?.sync_all()?;
        std::fs::rename(&part, peers_file)?;
        std::fs::File::open(&settings.data_dir)?.sync_all()
    };
    write().with_context(|| format!("writing {}", peers_file.display()))?;
    GroupSecret::keep(&secrets, &settings.secret_file)?;
    tracing::info!(
        "the group secret is in {}; joining through {}",
        settings.secret_file.display(),
        answer.peers.join(", ")
    );
    Ok(())
}
