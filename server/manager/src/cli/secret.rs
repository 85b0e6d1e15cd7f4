use clap::Subcommand;
use http::Method;
use krakend_api as api;

use super::{
    Output,
    client::{ApiClient, Ask},
    commands::{print, show},
};

const PATH: &str = "/v1/secret";

#[derive(Subcommand)]
pub enum Secret {
    /// Who holds and uses which secret, who still needs the old one, and what to do next
    Status,
    /// Begin to use the newest secret; refused while a voter does not hold it
    Rotate {
        /// Name of another secret that all hold [default: the first in the answering manager's file]
        #[arg(long)]
        to: Option<String>,
    },
}

impl Secret {
    pub async fn run(self, client: &ApiClient, output: Output) -> anyhow::Result<()> {
        let Self::Rotate { to } = self else {
            return show::<api::SecretStatus>(client, PATH, output, table).await;
        };
        let ask = Ask {
            method: Method::POST,
            path: format!("{PATH}/rotate"),
            headers: vec![("idempotency-key", uuid::Uuid::new_v4().to_string())],
            body: serde_json::to_vec(&serde_json::json!({ "to": to }))?,
            ..Ask::default()
        };
        let done: serde_json::Value = serde_json::from_slice(&client.ask(ask).await?)?;
        print(&done, output, |done| {
            format!(
                "the group uses the secret {}; `secret status` says when the old one can go",
                done["in_use"].as_str().unwrap_or_default()
            )
        })
    }
}

fn table(status: &api::SecretStatus) -> String {
    let since = status.since.as_deref();
    let since = since.map_or(String::new(), |since| format!(" since {since}"));
    let mut lines = vec![format!("The group uses {}{since}", status.in_use)];
    for manager in &status.managers {
        let holds = match &manager.holds {
            Some(held) => format!("holds {}", held.join(", ")),
            None => "not known here: ask the leader".into(),
        };
        let uses = manager.uses.as_deref();
        let uses = uses.map_or(String::new(), |uses| format!(", uses {uses}"));
        let learner = if manager.voter { "" } else { " (learner)" };
        lines.push(format!("{:<12} {holds}{uses}{learner}", manager.name));
    }
    for secret in &status.secrets {
        let names = match secret.node_names.is_empty() {
            true => String::new(),
            false => format!(" ({})", secret.node_names.join(", ")),
        };
        let tokens = match (&secret.join_tokens, &secret.api_tokens) {
            (Some(join), Some(api)) => {
                format!(", {join} usable join token(s), {api} API token(s) derive from it")
            }
            _ => String::new(),
        };
        lines.push(format!(
            "{}{}: {} manager(s), {} node(s){names}{tokens}",
            secret.id,
            if secret.in_use { " in use" } else { "" },
            secret.managers,
            secret.nodes
        ));
    }
    lines.push(format!("Next: {}", status.next));
    lines.join("\n")
}
