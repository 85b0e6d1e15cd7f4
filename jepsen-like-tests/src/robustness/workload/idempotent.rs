use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::client::{Client, PATIENCE, Reply};
use super::register::{publication, published, read};
use crate::http::Ask;
use crate::robustness::history::{Action, Outcome, Seen, Version};

/// More tokens than this are not made: the managers keep 10,000.
const MAX_TOKENS: u64 = 6_000;

/// Makes tokens and publishes versions under Idempotency-Keys; gives up on an answer early, sometimes, and asks another
/// manager with the same key until one decides.
pub async fn run(client: Client, mut rng: StdRng, stop: CancellationToken) {
    let mut made = 0;
    while !stop.is_cancelled() {
        if rng.random_bool(0.7) && made < MAX_TOKENS {
            made += 1;
            create_token(&client, made, &mut rng, &stop).await;
        } else {
            publish(&client, &mut rng, &stop).await;
        }
        let pause = Duration::from_millis(rng.random_range(20..150));
        let _ = tokio::time::timeout(pause, stop.cancelled()).await;
    }
}

/// What came of a request that was sent again and again.
struct Decided {
    reply: Reply,
    manager: usize,
    /// Whether an earlier attempt may have done it: then a refusal or a stop leaves it open.
    unsure: bool,
}

/// Sends until a manager decides, or until the run ends.
async fn persist(
    client: &Client,
    ask: &Ask,
    rng: &mut StdRng,
    stop: &CancellationToken,
) -> Decided {
    let mut unsure = false;
    loop {
        let manager = client.shared.manager(rng);
        let patience = if rng.random_bool(0.3) {
            Duration::from_millis(rng.random_range(1..60))
        } else {
            PATIENCE
        };
        let reply = client.shared.send(manager, ask.clone(), patience).await;
        let decided = match reply.outcome() {
            Outcome::Unexpected(_) => true,
            Outcome::Indeterminate(_) => {
                unsure = true;
                false
            }
            _ => false,
        };
        if decided || stop.is_cancelled() {
            return Decided {
                reply,
                manager,
                unsure,
            };
        }
        let pause = Duration::from_millis(rng.random_range(10..200));
        let _ = tokio::time::timeout(pause, stop.cancelled()).await;
    }
}

fn open_if(unsure: bool, outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Failed(reason) if unsure => Outcome::Indeterminate(reason),
        outcome => outcome,
    }
}

async fn create_token(client: &Client, number: u64, rng: &mut StdRng, stop: &CancellationToken) {
    let shared = &client.shared;
    let name = format!("t{}-{number}", client.id);
    let body = json!({"name": name, "role": "viewer"});
    let key = format!("{:032x}", rng.random::<u128>());
    let ask = Ask::json("POST", "/v1/tokens", &body).header("idempotency-key", key);
    let id = shared
        .recorder
        .invoke(client.id, 0, Action::CreateToken { name });
    let decided = persist(client, &ask, rng, stop).await;
    let token = |reply: &Reply| Some(reply.json()?["id"].as_str()?.to_owned());
    let outcome = match token(&decided.reply) {
        Some(id) => {
            let again = if rng.random_bool(0.25) {
                let manager = shared.manager(rng);
                token(&shared.send(manager, ask, PATIENCE).await)
            } else {
                None
            };
            Outcome::Ok(Seen::Token { id, again })
        }
        None => open_if(decided.unsure, decided.reply.outcome()),
    };
    shared.recorder.complete(id, decided.manager, outcome);
}

async fn publish(client: &Client, rng: &mut StdRng, stop: &CancellationToken) {
    let shared = &client.shared;
    let manager = shared.manager(rng);
    let register = shared.key(rng);
    let Some(parent) = read(client, manager, register, false).await else {
        return;
    };
    let value = shared.value();
    let action = Action::Publish {
        key: register,
        parent: parent.as_ref().map(|parent: &Version| parent.value),
        value,
        keyed: true,
    };
    let key = format!("{:032x}", rng.random::<u128>());
    let ask = publication(register, value, parent.as_ref()).header("idempotency-key", key);
    let id = shared.recorder.invoke(client.id, manager, action);
    let decided = persist(client, &ask, rng, stop).await;
    let outcome = match published(&decided.reply) {
        Some((outcome, _)) => outcome,
        None => open_if(decided.unsure, decided.reply.outcome()),
    };
    shared.recorder.complete(id, decided.manager, outcome);
}
