use clap::Subcommand;
use http::Method;
use krakend_api as api;

use super::{
    Output,
    client::{ApiClient, Ask},
    commands::show,
};

const PATH: &str = "/v1/feature-level";

#[derive(Subcommand)]
pub enum FeatureLevel {
    /// The group's level, and what each manager supports
    Status,
    /// Use what is new; after that no manager can go back to a version that does not support it
    Raise {
        /// [default: what the answering manager supports]
        level: Option<u32>,
    },
}

impl FeatureLevel {
    pub async fn run(self, client: &ApiClient, output: Output) -> anyhow::Result<()> {
        let Self::Raise { level } = self else {
            return show::<api::FeatureLevel>(client, PATH, output, table).await;
        };
        let level = match level {
            Some(level) => level,
            None => client.get::<api::FeatureLevel>(PATH).await?.supported,
        };
        let ask = Ask {
            method: Method::POST,
            path: PATH.into(),
            headers: vec![("idempotency-key", uuid::Uuid::new_v4().to_string())],
            body: serde_json::to_vec(&serde_json::json!({ "level": level }))?,
            ..Ask::default()
        };
        client.ask(ask).await?;
        println!("the feature level is {level}");
        Ok(())
    }
}

fn table(levels: &api::FeatureLevel) -> String {
    let mut lines = vec![format!("The group uses level {}", levels.level)];
    for manager in &levels.managers {
        let supported = match manager.supported {
            Some(level) => format!("supports {level}"),
            None => "not known here: ask the leader".into(),
        };
        lines.push(format!("{:<12} {supported}", manager.name));
    }
    lines.join("\n")
}
