use http::Method;
use krakend_api as api;

use super::{
    Fleets, Managers, Output,
    client::{ApiClient, Ask},
    commands::{delete, encode, print, show},
    tables,
};

/// `managers …`
pub async fn managers(
    client: &ApiClient,
    command: Option<Managers>,
    output: Output,
) -> anyhow::Result<()> {
    match command.unwrap_or(Managers::List) {
        Managers::List => {
            show::<api::ManagerList>(client, "/v1/managers", output, tables::managers).await
        }
        Managers::Add { ttl } => {
            let body = serde_json::json!({ "ttl_s": ttl });
            let made = client.ask(Ask::post("/v1/managers", &body)).await?;
            let made: api::ManagerInvitation = serde_json::from_slice(&made)?;
            print(&made, output, invitation)
        }
        Managers::Remove { manager } => {
            delete(client, &format!("/v1/managers/{}", encode(&manager))).await?;
            println!("{manager} is out of the group; stop it and remove its data directory");
            Ok(())
        }
        Managers::Promote { manager } => {
            let path = format!("/v1/managers/{}/promote", encode(&manager));
            client.ask(Ask::post(path, &serde_json::json!({}))).await?;
            println!("{manager} has a vote");
            Ok(())
        }
        Managers::TransferLeadership { manager } => {
            let body = serde_json::json!({ "to": manager });
            let done = client.ask(Ask::post("/v1/leadership", &body)).await?;
            let done: api::LeadershipTransfer = serde_json::from_slice(&done)?;
            print(&done, output, |done| format!("{} leads", done.leader_name))
        }
    }
}

/// `fleets …`
pub async fn fleets(client: &ApiClient, command: Fleets, output: Output) -> anyhow::Result<()> {
    match command {
        Fleets::List => show::<api::FleetList>(client, "/v1/fleets", output, tables::fleets).await,
        Fleets::Create { name } => {
            let ask = Ask {
                method: Method::PUT,
                path: format!("/v1/fleets/{}", encode(&name)),
                ..Ask::default()
            };
            client.ask(ask).await?;
            println!(
                "fleet {name} is there; its nodes join with `token create-join --fleet {name}`"
            );
            Ok(())
        }
    }
}

fn invitation(made: &api::ManagerInvitation) -> String {
    format!(
        "On the new manager's machine, until {}:\n\n  /etc/krakend/manager-join-token (mode 0600)\n    {}\n\n  /etc/krakend/cluster-manager.yml\n    advertise: <its name or address>\n    join: [{}]\n\nThen start krakend-cluster-manager there. It joins as learner and has a vote once it was stable for ten seconds.",
        made.expires_at,
        made.token,
        made.join.join(", ")
    )
}
