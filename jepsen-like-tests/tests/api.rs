//! What the API promises about configurations, the audit trail and tokens, against the real program.

mod group;

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use group::{Group, LIMIT, header, problem};
use jepsen_like_tests::http::{Answer, Ask};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

fn document(timeout: &str) -> Value {
    json!({"version": 3, "endpoints": [{
        "endpoint": "/a", "timeout": timeout,
        "backend": [{"url_pattern": "/b", "host": ["http://127.0.0.1:8000"]}]
    }]})
}

async fn publish(group: &Group, document: &Value, parent: Option<&str>) -> Result<Answer> {
    let ask = Ask::json("POST", "/v1/fleets/default/versions", document);
    let ask = match parent {
        None => ask.header("if-none-match", "*"),
        Some(digest) => ask.header("if-match", format!("\"{digest}\"")),
    };
    group.ask(0, ask).await
}

async fn get(group: &Group, path: &str) -> Result<Value> {
    group.ask(0, Ask::get(path)).await?.ok()?.json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_are_compared_rolled_back_and_exported_and_a_conflict_is_readable() -> Result<()> {
    let group = Group::start(1).await?;
    let text = "{\"version\":3,\n\"endpoints\":[] }";
    let ask = Ask::get("/v1/fleets/default/versions").with_body("POST", Bytes::from(text));
    let first = group.ask(0, ask.header("if-none-match", "*")).await?.ok()?;
    let first = first.json()?["digest"]
        .as_str()
        .context("a digest")?
        .to_owned();
    let second = publish(&group, &document("2s"), Some(&first)).await?.ok()?;
    let second = second.json()?["digest"]
        .as_str()
        .context("a digest")?
        .to_owned();
    publish(&group, &document("3s"), Some(&second))
        .await?
        .ok()?;

    let diff = get(&group, "/v1/fleets/default/diff?from=2&to=3").await?;
    assert_eq!(diff["changes"][0]["subject"], "endpoint GET /a");
    assert_eq!(diff["changes"][0]["details"], json!(["timeout 2s → 3s"]));
    let unified = diff["unified"].as_str().context("text")?;
    ensure!(unified.contains("+      \"timeout\": \"3s\""), "{unified}");
    let ask = Ask::json("POST", "/v1/fleets/default/diff", &document("9s"));
    let diff = group.ask(0, ask).await?.ok()?.json()?;
    assert_eq!(diff["changes"][0]["details"], json!(["timeout 3s → 9s"]));

    let stale = publish(&group, &document("4s"), Some(&second)).await?;
    problem(&stale, 409, "stale-parent")?;
    let told = stale.json()?;
    assert_eq!(told["changes"][0]["details"], json!(["timeout 2s → 3s"]));
    assert_eq!(told["current"]["number"], 3);
    ensure!(
        told["diff"].as_str().is_some_and(|it| it.contains("3s")),
        "{told}"
    );

    let back = |to: u64| Ask::json("POST", "/v1/fleets/default/rollback", &json!({ "to": to }));
    let rolled = group
        .ask(0, back(1).header("idempotency-key", "once"))
        .await?
        .ok()?;
    let rolled = rolled.json()?;
    assert_eq!(
        (&rolled["number"], &rolled["digest"]),
        (&json!(4), &json!(first))
    );
    let again = group
        .ask(0, back(1).header("idempotency-key", "once"))
        .await?
        .ok()?;
    assert_eq!(again.json()?["number"], 4);
    problem(&group.ask(0, back(4)).await?, 409, "already-newest")?;
    problem(&group.ask(0, back(77)).await?, 404, "not-found")?;
    let list = get(&group, "/v1/fleets/default/versions").await?;
    assert_eq!(list["versions"][0]["message"], "Roll back to v1");

    let export = Ask::get("/v1/fleets/default/versions/4/document");
    let answer = group.ask(0, export.clone()).await?.ok()?;
    assert_eq!(answer.body, text, "byte for byte");
    let etag = header(&answer, "etag")?;
    let same = group.ask(0, export.header("if-none-match", etag)).await?;
    assert_eq!(same.status.as_u16(), 304);

    let rollout = get(&group, "/v1/fleets/default/rollout?wait=5s").await?;
    assert_eq!(
        (&rollout["version"], &rollout["state"]),
        (&json!(4), &json!("complete"))
    );
    Ok(())
}

/// Fields as the API's description says: netstrings, `-` for what is absent.
fn chained(record: &Value) -> Result<String> {
    let mut text = String::new();
    let mut put = |value: Option<String>| match value {
        Some(value) => text.push_str(&format!("{}:{value},", value.len())),
        None => text.push('-'),
    };
    let word = |value: &Value| value.as_str().map(str::to_owned);
    let time: jiff::Timestamp = record["time"].as_str().context("a time")?.parse()?;
    let actor = &record["actor"];
    put(word(&record["previous_hash"]));
    put(Some(record["index"].to_string()));
    put(Some(time.as_millisecond().to_string()));
    for key in ["action", "subject", "fleet"] {
        put(word(&record[key]));
    }
    for key in ["token_id", "name", "role", "address", "via"] {
        put(word(&actor[key]));
    }
    for key in ["request", "idempotency_key", "before", "after"] {
        put(word(&record[key]));
    }
    let hash = Sha256::digest(text.as_bytes());
    Ok(hash.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_write_is_in_the_audit_trail_once_and_an_outsider_can_verify_the_chain() -> Result<()>
{
    let group = Group::start(1).await?;
    let json = |method, path: &str, body: Value| Ask::json(method, path, &body);
    let first = publish(&group, &document("1s"), None).await?.ok()?;
    let digest = first.json()?["digest"]
        .as_str()
        .context("a digest")?
        .to_owned();
    publish(&group, &document("2s"), Some(&digest))
        .await?
        .ok()?;
    let token = json("POST", "/v1/tokens", json!({"name": "t", "role": "viewer"}));
    let token = group.ask(0, token).await?.ok()?.json()?;
    let id = token["id"].as_str().context("an id")?;
    let key = group
        .ask(0, json("POST", "/v1/keyring", json!({})))
        .await?
        .ok()?
        .json()?;
    let key = key["installed"].as_str().context("a key")?;
    let empty = |method, path: String| Ask::get(path).with_body(method, Bytes::new());
    for ask in [
        empty("PUT", "/v1/fleets/shop".into()),
        json("POST", "/v1/fleets/default/rollback", json!({"to": 1})),
        empty("DELETE", format!("/v1/tokens/{id}")),
        json("POST", "/v1/join-tokens", json!({})),
        json("POST", "/v1/managers", json!({})),
        empty("POST", "/v1/clock/reset".into()),
        empty("DELETE", format!("/v1/keyring/{key}")),
    ] {
        let before = get(&group, "/v1/audit").await?["total"].clone();
        let line = format!("{} {}", ask.method, ask.path);
        group.ask(0, ask).await?.ok()?;
        let list = get(&group, "/v1/audit?limit=1").await?;
        let newest = &list["records"][0];
        assert_eq!(newest["request"], line.as_str());
        assert_eq!(
            list["total"].as_u64(),
            before.as_u64().map(|it| it + 1),
            "{line}"
        );
        assert_eq!(newest["actor"]["name"], "admin");
        assert_eq!(newest["actor"]["address"], "127.0.0.1");
        assert_eq!(newest["actor"]["via"], "api");
    }
    // Refused: nothing was changed, so nothing is told.
    let before = get(&group, "/v1/audit").await?["total"].clone();
    problem(
        &publish(&group, &document("3s"), None).await?,
        409,
        "stale-parent",
    )?;
    assert_eq!(get(&group, "/v1/audit").await?["total"], before);

    let list = get(&group, "/v1/audit?action=rollback&fleet=default").await?;
    assert_eq!(list["records"].as_array().map(Vec::len), Some(1));
    let text = |key: &str| {
        list["records"][0][key]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    ensure!(
        text("before").starts_with("v2 ") && text("after").starts_with("v3 "),
        "{list}"
    );

    let export = group.ask(0, Ask::get("/v1/audit/export")).await?.ok()?;
    let export = String::from_utf8(export.body.to_vec())?;
    ensure!(
        !export.contains(&group.token),
        "the trail has a secret in it"
    );
    let text = token["token"].as_str().context("a token")?;
    ensure!(!export.contains(text), "the trail has a secret in it");
    let records: Vec<Value> = export
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    assert_eq!(Some(records.len() as u64), before.as_u64());
    let mut previous = "0".repeat(64);
    for record in &records {
        assert_eq!(record["previous_hash"], previous.as_str());
        assert_eq!(record["hash"], chained(record)?.as_str(), "{record}");
        previous = record["hash"].as_str().context("a hash")?.to_owned();
    }
    let verified = get(&group, "/v1/audit/verify").await?;
    assert_eq!(
        (&verified["ok"], &verified["head"]),
        (&json!(true), &json!(previous))
    );

    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = get(&group, &format!("/v1/audit?limit=3{cursor}")).await?;
        pages.extend(page["records"].as_array().cloned().unwrap_or_default());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    pages.reverse();
    assert_eq!(pages, records);
    Ok(())
}

async fn token(group: &Group, body: Value) -> Result<String> {
    let ask = Ask::json("POST", "/v1/tokens", &body);
    let made = group.ask(0, ask).await?.ok()?.json()?;
    Ok(made["token"].as_str().context("a token")?.to_owned())
}

async fn as_token(server: SocketAddr, token: &str, ask: Ask) -> Result<Answer> {
    let ask = ask.header("authorization", format!("Bearer {token}"));
    ask.send(server, LIMIT).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_held_to_its_fleets_and_its_rate() -> Result<()> {
    let group = Group::start(1).await?;
    let server = group.http(0);
    let fleet = |name: &str| Ask::get(format!("/v1/fleets/{name}")).with_body("PUT", Bytes::new());
    group.ask(0, fleet("shop")).await?.ok()?;
    let body = json!({"name": "shop", "role": "admin", "fleets": ["shop"]});
    let shop = token(&group, body).await?;
    let publish = |name: &str| {
        let path = format!("/v1/fleets/{name}/versions");
        Ask::json("POST", path, &document("1s")).header("if-none-match", "*")
    };
    as_token(server, &shop, publish("shop")).await?.ok()?;
    for ask in [
        publish("default"),
        fleet("other"),
        Ask::json("POST", "/v1/tokens", &json!({"name": "x", "role": "admin"})),
        Ask::json("POST", "/v1/leadership", &json!({})),
    ] {
        problem(&as_token(server, &shop, ask).await?, 403, "outside-scope")?;
    }
    let unknown = json!({"name": "y", "role": "viewer", "fleets": ["nowhere"]});
    let answer = group
        .ask(0, Ask::json("POST", "/v1/tokens", &unknown))
        .await?;
    problem(&answer, 404, "no-such-fleet")?;

    let body = json!({"name": "slow", "role": "viewer", "requests_per_s": 2});
    let slow = token(&group, body).await?;
    let mut refused = 0;
    for _ in 0..12 {
        let answer = as_token(server, &slow, Ask::get("/v1/session")).await?;
        if answer.status.as_u16() == 429 {
            problem(&answer, 429, "token-rate")?;
            let wait: u64 = header(&answer, "retry-after")?.parse()?;
            ensure!((1..=2).contains(&wait), "{wait}");
            refused += 1;
        }
    }
    // Two at once, and two for each second that the twelve took.
    ensure!(refused > 0, "no request was too many");
    group.ask(0, Ask::get("/v1/session")).await?.ok()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_guesses_tokens_is_slowed_and_the_browser_s_session_is_guarded() -> Result<()> {
    let group = Group::start(1).await?;
    let server = group.http(0);
    let login = |token: &str| Ask::json("POST", "/v1/session", &json!({ "token": token }));
    let answer = login(&group.token).send(server, LIMIT).await?.ok()?;
    let cookie = header(&answer, "set-cookie")?;
    for word in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        ensure!(cookie.contains(word), "{word} is missing: {cookie}");
    }
    ensure!(
        !cookie.contains("Secure"),
        "a browser would drop it over HTTP: {cookie}"
    );
    let proxied = login(&group.token).header("x-forwarded-proto", "https");
    let proxied = proxied.send(server, LIMIT).await?.ok()?;
    ensure!(
        header(&proxied, "set-cookie")?.contains("; Secure"),
        "Secure is missing"
    );
    let pair = cookie.split(';').next().context("a cookie")?.to_owned();
    let write = |name: &str| {
        let ask = Ask::get(format!("/v1/fleets/{name}")).with_body("PUT", Bytes::new());
        ask.header("cookie", pair.clone())
    };
    let forged = write("forged").send(server, LIMIT).await?;
    problem(&forged, 403, "cross-site")?;
    let own = write("own").header("x-requested-with", "krakend");
    own.send(server, LIMIT).await?.ok()?;
    let newest = get(&group, "/v1/audit?limit=1").await?;
    assert_eq!(newest["records"][0]["actor"]["via"], "web");

    let mut answers = Vec::new();
    for number in 0..40 {
        let guess = match number % 2 {
            0 => {
                login(&format!("guess-{number}"))
                    .send(server, LIMIT)
                    .await?
            }
            _ => as_token(server, &format!("guess-{number}"), Ask::get("/v1/session")).await?,
        };
        answers.push(guess);
    }
    problem(&answers[0], 401, "bad-token")?;
    let last = answers.last().context("the last")?;
    problem(last, 429, "too-many-guesses")?;
    header(last, "retry-after")?;
    // Who has shown a right token from there before goes on.
    group.ask(0, Ask::get("/v1/session")).await?.ok()?;
    Ok(())
}
