use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::http::Ask;
use crate::managers::write_secret;
use crate::robustness::RunOptions;
use crate::robustness::fleet::LEASE_MS;
use crate::robustness::host::{Lab, Machine, Way};
use crate::robustness::nemesis::{Kind, hosts};
use crate::robustness::workload::Workload;
use crate::wait;

/// On a busy machine a group of debug builds takes its time.
pub const FORM_WITHIN: Duration = Duration::from_secs(120);

/// What is there before the first start.
pub struct Prepared {
    pub machines: Vec<Machine>,
    /// The file with the group's secret.
    pub secret: PathBuf,
}

/// Directories, settings and secret of every manager, and its disk where it has one of its own.
pub fn prepare(lab: &Lab, options: &RunOptions) -> Result<Prepared> {
    let dir = &options.dir;
    std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
    if std::fs::read_dir(dir)?.next().is_some() {
        bail!("{} is not empty: name a new directory", dir.display());
    }
    // Programs in a namespace start in another place.
    let dir = std::fs::canonicalize(dir)?;
    let secret = dir.join("group-secret");
    write_secret(&secret)?;
    let mut machines = (0..hosts(&options.nemeses, options.managers))
        .map(|host| {
            Machine::new(
                lab,
                host,
                &dir,
                &options.program,
                options.planted.as_deref(),
            )
        })
        .collect::<Result<Vec<_>>>()?;
    let forming = machines.iter().take(options.managers);
    let peers = forming.map(|machine| machine.manager_address().to_string());
    let way = Way::Form {
        peers: peers.collect(),
        secret: secret.clone(),
    };
    for (host, machine) in machines.iter_mut().enumerate() {
        machine.deployed = host < options.managers;
        machine.lease_ms = options
            .workloads
            .contains(&Workload::Lease)
            .then_some(LEASE_MS);
        machine.configure(&way)?;
    }
    for machine in &mut machines {
        if options.nemeses.contains(&Kind::Power)
            && let Err(error) = machine.mount_disk()
        {
            eprintln!("no power loss in this run: {error:#}");
            break;
        }
    }
    Ok(Prepared { machines, secret })
}

/// Starts the managers and waits until each is ready; the admin's token.
pub async fn form(mut machines: Vec<Machine>) -> Result<(Vec<Machine>, String)> {
    for machine in &mut machines {
        machine.start()?;
    }
    for machine in machines.iter().filter(|machine| machine.deployed) {
        ready(machine, FORM_WITHIN).await?;
    }
    let file = machines[0].admin_token();
    // Written by the control loop, a moment after the group has formed.
    let token = wait::until("the admin's token is written", FORM_WITHIN, async || {
        let read = std::fs::read_to_string(&file);
        let text = read.with_context(|| format!("read {}", file.display()))?;
        Ok(wait::Seen::Yes(text))
    })
    .await?;
    Ok((machines, token.trim().to_owned()))
}

async fn ready(machine: &Machine, limit: Duration) -> Result<()> {
    let what = format!("{} is ready", machine.name);
    let server = machine.http;
    wait::until(&what, limit, async || {
        let answer = Ask::get("/readyz")
            .send(server, Duration::from_secs(2))
            .await?;
        Ok(if answer.status.is_success() {
            wait::Seen::Yes(())
        } else {
            wait::Seen::No(answer.excerpt())
        })
    })
    .await
    .with_context(|| format!("see {}", machine.log().display()))
}
