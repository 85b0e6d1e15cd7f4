//! The scenario: all steps in order, or the stage set for someone to play on.

use std::time::Instant;

use anyhow::{Result, ensure};
use serde::Serialize;
use serde_json::{Value, json};

use crate::log_lines;
use crate::options::Options;
use crate::report::{Report, Step};
use crate::stage::Stage;
use crate::steps::{
    browse, form, join, lose_all, lose_leader, lose_nodes, publish_first, publish_under_traffic,
    reconcile,
};
use crate::wait::ms_since;

/// Log lines of each program in a failure's report.
const TAIL: usize = 40;
/// The port that the manual names, taken for the demo's first manager when it is free.
const DASHBOARD_PORT: u16 = 9897;

/// Steps so far, and whose logs the next one would show.
struct Run<'a> {
    steps: Vec<Step>,
    failed: bool,
    say: &'a mut dyn FnMut(&str),
}

/// Whose log lines belong to a step's failure.
#[derive(Clone, Copy)]
enum Concerned {
    Managers,
    All,
}

/// Goes through the scenario. Everything that it started has ended when it returns.
///
/// # Errors
/// The stage could not be set; whatever happens later is in the report.
pub async fn run_once(options: Options, say: &mut dyn FnMut(&str)) -> Result<Report> {
    ensure!(
        options.nodes >= 3,
        "the scenario needs three nodes: one stays, one is stopped, one is killed"
    );
    let started = Instant::now();
    let gateway = options.gateway;
    let from = jiff::Timestamp::now().to_string();
    let mut stage = Stage::prepare(options, None).await?;
    say(&format!(
        "gateway {}, files in {}",
        gateway.name(),
        stage.options.dir.display()
    ));
    let mut run = Run {
        steps: Vec::new(),
        failed: false,
        say,
    };
    macro_rules! step {
        ($number:literal, $name:literal, $concerned:ident, $what:expr) => {
            if run.begin($number, $name) {
                let start = Instant::now();
                let result = $what.await;
                run.end($number, $name, start, result, &stage, Concerned::$concerned);
            }
        };
    }
    step!(
        1,
        "three managers form a group",
        Managers,
        form::run(&mut stage)
    );
    step!(
        2,
        "nodes join; one too many is refused",
        All,
        join::run(&mut stage)
    );
    step!(
        3,
        "503 without a configuration, then version 1",
        All,
        publish_first::run(&mut stage)
    );
    step!(
        4,
        "version 2 under traffic",
        All,
        publish_under_traffic::run(&mut stage)
    );
    // While the traffic flows and everything lives; the last in the list because it is the last floor.
    step!(
        9,
        "the dashboard in a browser",
        Managers,
        browse_value(&stage)
    );
    step!(
        5,
        "kill -9 of the leader, then version 3",
        All,
        lose_leader::run(&mut stage)
    );
    step!(
        6,
        "SIGTERM and kill -9 of nodes",
        All,
        lose_nodes::run(&mut stage)
    );
    step!(7, "kill -9 of all managers", All, lose_all::run(&mut stage));
    step!(
        8,
        "statistics equal what was sent",
        All,
        reconcile::run(&mut stage, &from)
    );
    run.steps.sort_by_key(|step| step.number);
    let failed_requests = stage.ledger.failed_requests();
    let ok = !run.failed && failed_requests == 0;
    let steps = run.steps;
    end(stage).await;
    Ok(Report {
        ok,
        steps,
        failed_requests,
        gateway,
        duration_ms: ms_since(started),
    })
}

async fn browse_value(stage: &Stage) -> Result<Value> {
    Ok(match browse::run(stage).await? {
        browse::Outcome::Seen(figures) => serde_json::to_value(figures)?,
        browse::Outcome::Skipped(reason) => json!({"skipped": reason}),
    })
}

impl Run<'_> {
    /// False after a failure: the later steps stand on the earlier ones.
    fn begin(&mut self, number: u8, name: &'static str) -> bool {
        if self.failed {
            let figures = json!({"error": "not reached: an earlier step failed"});
            self.steps.push(Step {
                number,
                name,
                ok: false,
                figures,
                took_ms: 0,
            });
        }
        !self.failed
    }

    fn end<F: Serialize>(
        &mut self,
        number: u8,
        name: &'static str,
        start: Instant,
        result: Result<F>,
        stage: &Stage,
        concerned: Concerned,
    ) {
        let took_ms = ms_since(start);
        let figures = result.and_then(|figures| Ok(serde_json::to_value(figures)?));
        let (ok, figures) = match figures {
            Ok(figures) => (true, figures),
            Err(error) => (false, json!({"error": format!("{error:#}")})),
        };
        let step = Step {
            number,
            name,
            ok,
            figures,
            took_ms,
        };
        (self.say)(&step.line());
        if !ok {
            self.failed = true;
            (self.say)(&format!(
                "   {}",
                step.figures["error"].as_str().unwrap_or_default()
            ));
            self.show_logs(stage, concerned);
        }
        self.steps.push(step);
    }

    fn show_logs(&mut self, stage: &Stage, concerned: Concerned) {
        let mut logs: Vec<_> = stage.managers.iter().map(|manager| manager.log()).collect();
        if matches!(concerned, Concerned::All) {
            logs.extend(
                stage
                    .nodes
                    .iter()
                    .chain(&stage.refused)
                    .map(|node| node.log()),
            );
        }
        for log in logs {
            (self.say)(&format!("   --- the last lines of {}", log.display()));
            for line in log_lines::tail(&log, TAIL) {
                (self.say)(&format!("   {line}"));
            }
        }
    }
}

/// Sets the stage with traffic and leaves it to the user until `until_told` is ready.
///
/// # Errors
/// Something does not start.
pub async fn run_interactively(
    options: Options,
    say: &mut dyn FnMut(&str),
    until_told: impl Future<Output = ()>,
) -> Result<()> {
    let mut stage = Stage::prepare(options, Some(DASHBOARD_PORT)).await?;
    tokio::select! {
        () = until_told => {}
        result = show(&mut stage, say) => result?,
    }
    say("Ending: traffic, nodes, managers.");
    end(stage).await;
    Ok(())
}

async fn show(stage: &mut Stage, say: &mut dyn FnMut(&str)) -> Result<()> {
    say("Three managers start and form a group ...");
    form::run(stage).await?;
    say(&format!(
        "{} nodes join with a licence for just as many ...",
        stage.options.nodes
    ));
    let licensed = stage.options.nodes;
    stage.license(licensed).await?;
    let token = stage.api.join_token().await?;
    crate::managers::write_private(&stage.join_token_file(), &format!("{token}\n"))?;
    join::start_nodes(stage).await?;
    say("The first version of a configuration is published ...");
    let version = publish_first::publish_next(stage).await?;
    stage.until_all_serve(version, crate::steps::SOON).await?;
    for target in stage
        .nodes
        .iter()
        .map(|node| node.target.clone())
        .collect::<Vec<_>>()
    {
        stage.traffic.add(target);
    }
    // The next version lies ready, so that publishing it is one command.
    let next = stage.options.dir.join("version-2.json");
    std::fs::write(
        &next,
        serde_json::to_vec_pretty(&crate::documents::version(2, &stage.backend.url()))?,
    )?;
    say(&crate::stage::guide(stage, &next));
    std::future::pending().await
}

/// Ends the nodes as an operator would, so that their gateways end with them; what remains is killed when the stage is dropped.
async fn end(mut stage: Stage) {
    stage.traffic.stop().await;
    let limit = std::time::Duration::from_secs(10);
    for node in stage.nodes.iter_mut().chain(stage.refused.as_mut()) {
        let _ = node.process().and_then(crate::process::Process::terminate);
    }
    for node in stage.nodes.iter_mut().chain(stage.refused.as_mut()) {
        if let Ok(process) = node.process() {
            let _ = process.wait(limit).await;
        }
    }
    for manager in &mut stage.managers {
        if let Some(process) = &mut manager.process {
            let _ = process.terminate();
        }
    }
    for manager in &mut stage.managers {
        if let Some(process) = &mut manager.process {
            let _ = process.wait(limit).await;
        }
    }
}
