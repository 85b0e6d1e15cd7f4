//! HTTPS on the port of web interface and API, asked by the real command line.

use std::{io::Write, process::Stdio, time::Duration};

use anyhow::{Result, ensure};
use jepsen_like_tests::{
    http::Ask,
    managers::{Manager, PORTS_EACH, write_secret},
    options::sibling_bin_dir,
    ports,
    wait::{Seen, until},
};
use tokio::process::Command;

const LIMIT: Duration = Duration::from_secs(60);

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
async fn secure_manager(settings: &str) -> Result<(tempfile::TempDir, Manager)> {
    let dir = tempfile::tempdir()?;
    let secret = dir.path().join("group-secret");
    write_secret(&secret)?;
    let program = sibling_bin_dir()?.join("krakend-cluster-manager");
    let ports = ports::free(PORTS_EACH)?;
    let mut manager = Manager::new(1, dir.path(), &program, [ports[0], ports[1], ports[2]])?;
    manager.configure(&[manager.managers], &secret, 5)?;
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(manager.settings())?;
    file.write_all(
        settings
            .replace("DIR", &dir.path().display().to_string())
            .as_bytes(),
    )?;
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
async fn https_is_spoken_with_a_made_certificate_and_with_the_operator_s_which_may_change()
-> Result<()> {
    let (made, manager) = secure_manager("https: auto\n").await?;
    let (ca, token) = (
        manager.data_dir().join("https-ca.pem"),
        manager.admin_token(),
    );
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
    let refused = status_by(&server, &other_ca, &token)
        .await
        .expect_err("refused");
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
    let (server, token) = (
        format!("https://127.0.0.1:{}", own.http.port()),
        own.admin_token(),
    );
    until("the operator's certificate", LIMIT, || async {
        Ok(match status_by(&server, &first_ca, &token).await {
            Ok(text) => Seen::Yes(text),
            Err(error) => Seen::No(error.to_string()),
        })
    })
    .await?;
    std::fs::copy(next_key, key)?;
    std::fs::copy(next_cert, cert)?;
    until(
        "the exchanged certificate",
        Duration::from_secs(90),
        || async {
            Ok(match status_by(&server, &next_ca, &token).await {
                Ok(text) => Seen::Yes(text),
                Err(error) => Seen::No(error.to_string()),
            })
        },
    )
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
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
        ])
        .args([
            "-days",
            "2",
            "-subj",
            "/CN=test",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
        ])
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
