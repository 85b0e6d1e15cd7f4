use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use super::fail;

const WITHIN: Duration = Duration::from_secs(5);
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// `krakend-node status`.
pub async fn status(api: SocketAddr, json: bool) -> ExitCode {
    show(get(api, "/v1/status").await, json, |status| {
        for (key, value) in status.as_object().into_iter().flatten() {
            match value {
                Value::Null => {}
                Value::Object(inner) => {
                    for (name, value) in inner {
                        println!("{:<28}{}", format!("{key}.{name}"), plain(value));
                    }
                }
                _ => println!("{key:<28}{}", plain(value)),
            }
        }
    })
}

/// `krakend-node members`.
pub async fn members(api: SocketAddr, json: bool) -> ExitCode {
    show(get(api, "/v1/members").await, json, |answer| {
        if let Some(reason) = answer["free_version"]["reason"].as_str() {
            println!("This node is in no cluster: {reason}.");
            return;
        }
        println!("{:<38}{:<9}{:<23}STATE", "ID", "ROLE", "ADDRESS");
        for member in answer["members"].as_array().into_iter().flatten() {
            let [id, role, address, state] =
                ["id", "role", "address", "state"].map(|key| plain(&member[key]));
            let mark = if member["self"] == true {
                " (this node)"
            } else {
                ""
            };
            println!("{id:<38}{role:<9}{address:<23}{state}{mark}");
        }
    })
}

fn show(answer: anyhow::Result<Value>, json: bool, table: impl FnOnce(&Value)) -> ExitCode {
    match answer {
        Ok(answer) if json => println!("{answer:#}"),
        Ok(answer) => table(&answer),
        Err(error) => return fail(&error),
    }
    ExitCode::SUCCESS
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

async fn get(api: SocketAddr, path: &str) -> anyhow::Result<Value> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let uri = format!("http://{api}{path}").parse()?;
    let ask = async {
        let answer = client.get(uri).await?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
        anyhow::Ok((head.status, body))
    };
    let (status, body) = tokio::time::timeout(WITHIN, ask)
        .await
        .with_context(|| format!("the node at {api} does not answer"))?
        .with_context(|| {
            format!("no node answers at {api}: is it running? (`--api` names another)")
        })?;
    if !status.is_success() {
        bail!("the node at {api} answers {status}");
    }
    serde_json::from_slice(&body).with_context(|| format!("{api} is no krakend-node"))
}
