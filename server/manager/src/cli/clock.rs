use clap::Subcommand;
use http::Method;
use krakend_api as api;

use super::{
    Output,
    client::{ApiClient, Ask},
    commands::{print, show},
};

#[derive(Subcommand)]
pub enum Clock {
    /// The group's time, a jump that is held, and how far the managers' clocks are apart
    Status,
    /// A jump ahead was right: it becomes the time
    Confirm,
    /// Set the group's time to the leader's clock, also back
    Reset,
}

impl Clock {
    pub async fn run(self, client: &ApiClient, output: Output) -> anyhow::Result<()> {
        match self {
            // Also without a leader: a clock may be why there is none.
            Self::Status => {
                let path = "/v1/clock?consistency=stale";
                show::<api::Clock>(client, path, output, table).await
            }
            Self::Confirm => set(client, output, "/v1/clock/confirm").await,
            Self::Reset => set(client, output, "/v1/clock/reset").await,
        }
    }
}

async fn set(client: &ApiClient, output: Output, path: &str) -> anyhow::Result<()> {
    let ask = Ask {
        method: Method::POST,
        path: path.into(),
        headers: vec![("idempotency-key", uuid::Uuid::new_v4().to_string())],
        ..Ask::default()
    };
    let set: serde_json::Value = serde_json::from_slice(&client.ask(ask).await?)?;
    print(&set, output, |set| {
        let text = |key: &str| set[key].as_str().unwrap_or_default().to_owned();
        format!(
            "the group's time moved from {} to {}",
            text("from"),
            text("to")
        )
    })
}

fn table(clock: &api::Clock) -> String {
    let mut lines = vec![
        format!("Group time   {}", clock.state_time),
        format!("This manager {}", clock.manager_time),
    ];
    match &clock.hold {
        None => lines.push("Held         nothing".into()),
        Some(hold) => lines.push(format!(
            "Held         a jump from {} to {} by {} (index {}): `clock confirm` if it is right, `clock reset` if not",
            hold.from,
            hold.to,
            hold.manager_name.as_deref().unwrap_or("a leader"),
            hold.index
        )),
    }
    for manager in &clock.managers {
        let ahead = match manager.ahead_ms {
            Some(ms) => format!("{ms:+} ms"),
            None => "not known here: ask the leader".into(),
        };
        let off = if manager.off { "  OFF" } else { "" };
        lines.push(format!("{:<12} {ahead}{off}", manager.name));
    }
    lines.join("\n")
}
