//! What the API promises about configurations, the audit trail, tokens and HTTPS, against the real program.

mod group;

use std::{net::SocketAddr, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use group::{Group, LIMIT, header, problem};
use jepsen_like_tests::{
    http::{Answer, Ask},
    options::sibling_bin_dir,
    wait::{Seen, until},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::process::Command;

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
    let first = first.json()?["digest"].as_str().context("a digest")?.to_owned();
    let second = publish(&group, &document("2s"), Some(&first)).await?.ok()?;
    let second = second.json()?["digest"].as_str().context("a digest")?.to_owned();
    publish(&group, &document("3s"), Some(&second)).await?.ok()?;

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
    ensure!(told["diff"].as_str().is_some_and(|it| it.contains("3s")), "{told}");

    let back = |to: u64| Ask::json("POST", "/v1/fleets/default/rollback", &json!({ "to": to }));
    let rolled = group.ask(0, back(1).header("idempotency-key", "once")).await?.ok()?;
    let rolled = rolled.json()?;
    assert_eq!((&rolled["number"], &rolled["digest"]), (&json!(4), &json!(first)));
    let again = group.ask(0, back(1).header("idempotency-key", "once")).await?.ok()?;
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
    assert_eq!((&rollout["version"], &rollout["state"]), (&json!(4), &json!("complete")));
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
async fn every_write_is_in_the_audit_trail_once_and_an_outsider_can_verify_the_chain() -> Result<()> {
    let group = Group::start(1).await?;
    let json = |method, path: &str, body: Value| Ask::json(method, path, &body);
    let first = publish(&group, &document("1s"), None).await?.ok()?;
    let digest = first.json()?["digest"].as_str().context("a digest")?.to_owned();
    publish(&group, &document("2s"), Some(&digest)).await?.ok()?;
    let token = json("POST", "/v1/tokens", json!({"name": "t", "role": "viewer"}));
    let token = group.ask(0, token).await?.ok()?.json()?;
    let id = token["id"].as_str().context("an id")?;
    let key = group.ask(0, json("POST", "/v1/keyring", json!({}))).await?.ok()?.json()?;
    let keys = key["keys"].as_array().context("keys")?.iter();
    let mut keys = keys.filter_map(|key| key["id"].as_str());
    let key = keys.find(|key| *key != "initial").context("a key")?;
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
        assert_eq!(list["total"].as_u64(), before.as_u64().map(|it| it + 1), "{line}");
        assert_eq!(newest["actor"]["name"], "admin");
        assert_eq!(newest["actor"]["address"], "127.0.0.1");
        assert_eq!(newest["actor"]["via"], "api");
    }
    // Refused: nothing was changed, so nothing is told.
    let before = get(&group, "/v1/audit").await?["total"].clone();
    problem(&publish(&group, &document("3s"), None).await?, 409, "stale-parent")?;
    assert_eq!(get(&group, "/v1/audit").await?["total"], before);

    let list = get(&group, "/v1/audit?action=rollback&fleet=default").await?;
    assert_eq!(list["records"].as_array().map(Vec::len), Some(1));
    let text = |key: &str| list["records"][0][key].as_str().unwrap_or_default().to_owned();
    ensure!(text("before").starts_with("v2 ") && text("after").starts_with("v3 "), "{list}");

    let export = group.ask(0, Ask::get("/v1/audit/export")).await?.ok()?;
    let export = String::from_utf8(export.body.to_vec())?;
    ensure!(!export.contains(&group.token), "the trail has a secret in it");
    let text = token["token"].as_str().context("a token")?;
    ensure!(!export.contains(text), "the trail has a secret in it");
    let records: Vec<Value> = export.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    assert_eq!(Some(records.len() as u64), before.as_u64());
    let mut previous = "0".repeat(64);
    for record in &records {
        assert_eq!(record["previous_hash"], previous.as_str());
        assert_eq!(record["hash"], chained(record)?.as_str(), "{record}");
        previous = record["hash"].as_str().context("a hash")?.to_owned();
    }
    let verified = get(&group, "/v1/audit/verify").await?;
    assert_eq!((&verified["ok"], &verified["head"]), (&json!(true), &json!(previous)));

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
    let answer = group.ask(0, Ask::json("POST", "/v1/tokens", &unknown)).await?;
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
    ensure!(!cookie.contains("Secure"), "a browser would drop it over HTTP: {cookie}");
    let proxied = login(&group.token).header("x-forwarded-proto", "https");
    let proxied = proxied.send(server, LIMIT).await?.ok()?;
    ensure!(header(&proxied, "set-cookie")?.contains("; Secure"), "Secure is missing");
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
            0 => login(&format!("guess-{number}")).send(server, LIMIT).await?,
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

async fn status_by(server: &str, ca: &std::path::Path, token: &std::path::Path) -> Result<String> {
    let program = sibling_bin_dir()?.join("krakend-cluster-manager");
    let mut command = Command::new(program);
    command.arg("--server").arg(server).arg("--ca-file").arg(ca);
    command.arg("--token-file").arg(token).arg("status");
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(LIMIT, command.output()).await??;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    ensure!(output.status.success(), "{text}");
    Ok(text)
}

/// Starts one manager by itself: the group's helper speaks plain HTTP.
async fn secure_manager(settings: &str) -> Result<(tempfile::TempDir, jepsen_like_tests::managers::Manager)> {
    use jepsen_like_tests::{managers::{Manager, PORTS_EACH, write_secret}, ports};
    use std::io::Write;
    let dir = tempfile::tempdir()?;
    let secret = dir.path().join("group-secret");
    write_secret(&secret)?;
    let program = sibling_bin_dir()?.join("krakend-cluster-manager");
    let ports = ports::free(PORTS_EACH)?;
    let mut manager = Manager::new(1, dir.path(), &program, [ports[0], ports[1], ports[2]])?;
    manager.configure(&[manager.managers], &secret, 5)?;
    let mut file = std::fs::OpenOptions::new().append(true).open(manager.settings())?;
    file.write_all(settings.replace("DIR", &dir.path().display().to_string()).as_bytes())?;
    manager.start()?;
    let token = manager.admin_token();
    until("the admin token", LIMIT, || async {
        Ok(match token.exists() {
            true => Seen::Yes(()),
            false => Seen::No("it is not there yet".into()),
        })
    })
    .await?;
    Ok((dir, manager))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn https_is_spoken_with_a_made_certificate_and_with_the_operator_s_which_may_change() -> Result<()> {
    let (made, manager) = secure_manager("https: auto\n").await?;
    let (ca, token) = (manager.data_dir().join("https-ca.pem"), manager.admin_token());
    for host in ["127.0.0.1", "localhost"] {
        let server = format!("https://{host}:{}", manager.http.port());
        until("an answer over TLS", LIMIT, || async {
            Ok(match status_by(&server, &ca, &token).await {
                Ok(text) => Seen::Yes(text),
                Err(error) => Seen::No(error.to_string()),
            })
        })
        .await?;
    }
    let plain = Ask::get("/livez").send(manager.http, LIMIT).await?;
    assert_eq!(plain.status.as_u16(), 400);
    ensure!(plain.excerpt().contains("https://"), "{}", plain.excerpt());

    // Another group's authority is not believed.
    let (other, second) = secure_manager("https: auto\n").await?;
    let other_ca = second.data_dir().join("https-ca.pem");
    let server = format!("https://127.0.0.1:{}", manager.http.port());
    let refused = status_by(&server, &other_ca, &token).await.expect_err("refused");
    ensure!(format!("{refused:#}").contains("TLS"), "{refused:#}");

    // Certificates that the programs made serve as the operator's own, and are exchanged while it runs.
    let pair = tls_files(made.path(), "one").await?;
    let next = tls_files(made.path(), "two").await?;
    let Some(((cert, key, first_ca), (next_cert, next_key, next_ca))) = pair.zip(next) else {
        eprintln!("skipped: no openssl on the PATH, so the operator's certificate is not tried");
        return Ok(());
    };
    let settings = format!(
        "https_certificate_file: {}\nhttps_key_file: {}\n",
        cert.display(),
        key.display()
    );
    let (third, own) = secure_manager(&settings).await?;
    let (server, token) = (format!("https://127.0.0.1:{}", own.http.port()), own.admin_token());
    until("the operator's certificate", LIMIT, || async {
        Ok(match status_by(&server, &first_ca, &token).await {
            Ok(text) => Seen::Yes(text),
            Err(error) => Seen::No(error.to_string()),
        })
    })
    .await?;
    std::fs::copy(next_key, key)?;
    std::fs::copy(next_cert, cert)?;
    until("the exchanged certificate", Duration::from_secs(90), || async {
        Ok(match status_by(&server, &next_ca, &token).await {
            Ok(text) => Seen::Yes(text),
            Err(error) => Seen::No(error.to_string()),
        })
    })
    .await?;
    drop((made, other, third));
    Ok(())
}

/// A self-signed certificate for 127.0.0.1: certificate, key, and what to trust.
async fn tls_files(
    dir: &std::path::Path,
    name: &str,
) -> Result<Option<(std::path::PathBuf, std::path::PathBuf, std::path::PathBuf)>> {
    let path = |end: &str| dir.join(format!("{name}.{end}"));
    let (cert, key, ca) = (path("crt"), path("key"), path("ca"));
    let mut command = Command::new("openssl");
    command
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    match command.status().await {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        status => ensure!(status?.success(), "openssl failed"),
    }
    std::fs::copy(&cert, &ca)?;
    Ok(Some((cert, key, ca)))
}
