use comfy_table::{Table, presets};
use krakend_api as api;

fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(head.iter().map(|title| title.to_uppercase()));
    table
}

fn word<T: serde::Serialize>(value: T) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().into()
}

fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".into(), |value| value.to_string())
}

fn one_decimal(value: Option<f64>) -> String {
    value.map_or_else(|| "no data".into(), |value| format!("{value:.1}"))
}

pub fn status(status: &api::GroupStatus, license: &api::License) -> String {
    let leader = match &status.leader_name {
        Some(name) => format!("{name} leads, term {}", status.term),
        None => "no leader: no writes; nodes go on serving".into(),
    };
    let lose = match status.can_lose {
        0 if status.reachable_voters < status.voters / 2 + 1 => "writes do not go on".into(),
        0 => "no manager can be lost".into(),
        1 => "can lose 1 manager".into(),
        n => format!("can lose {n} managers"),
    };
    let alarms = match status.alarms.is_empty() {
        true => "none".into(),
        false => status
            .alarms
            .iter()
            .map(|alarm| alarm.message.clone())
            .collect::<Vec<_>>()
            .join("; "),
    };
    let mut lines = vec![
        format!("Group      {}", status.group_id),
        format!("Leader     {leader}"),
        format!(
            "Managers   {} of {} answer, {lose}",
            status.reachable_voters, status.voters
        ),
        format!(
            "Nodes      {} active, {} unreachable, {} down",
            status.nodes_active, status.nodes_unreachable, status.nodes_down
        ),
        format!(
            "Licence    {}, {} of {} seats in use{}",
            word(license.state),
            license.seats_used,
            license.max_nodes,
            match license.days_left {
                Some(days) => format!(", {days} days left"),
                None => String::new(),
            }
        ),
        format!("Alarms     {alarms}"),
    ];
    if let Some(backup) = &status.last_backup {
        lines.push(format!(
            "Backup     {}, index {}, {} on {}",
            backup.at, backup.index, backup.file, backup.manager
        ));
    }
    lines.push(format!(
        "Index      {} applied on {}, generation {}",
        status.applied_index, status.answered_by_name, status.generation
    ));
    lines.join("\n")
}

pub fn managers(list: &api::ManagerList) -> String {
    let mut table = table(&["name", "role", "behind", "managers", "nodes", "http", "id"]);
    for manager in &list.managers {
        table.add_row([
            manager.name.clone(),
            word(manager.role),
            or_dash(manager.behind),
            manager.raft_address.clone(),
            manager.node_address.clone(),
            manager.http_address.clone(),
            manager.id.clone(),
        ]);
    }
    table.to_string()
}

pub fn fleets(list: &api::FleetList) -> String {
    let mut table = table(&["fleet", "nodes", "version", "digest"]);
    for fleet in &list.fleets {
        table.add_row([
            fleet.name.clone(),
            fleet.nodes.to_string(),
            or_dash(fleet.version),
            or_dash(fleet.digest.clone()),
        ]);
    }
    table.to_string()
}

pub fn nodes(list: &api::NodeList) -> String {
    let mut table = table(&[
        "name", "state", "version", "desired", "req/s", "p99 ms", "gateway", "address", "id",
    ]);
    for node in &list.nodes {
        table.add_row([
            node.name.clone(),
            match node.free_version_since {
                None => word(node.state),
                Some(_) => format!("{}, free version", word(node.state)),
            },
            or_dash(node.applied_version),
            or_dash(node.desired_version),
            one_decimal(node.requests_per_s),
            one_decimal(node.latency_p99_ms),
            word(node.gateway),
            node.gateway_address.clone(),
            format!("krakend_{}", node.id),
        ]);
    }
    table.to_string()
}

pub fn versions(list: &api::VersionList) -> String {
    let mut table = table(&["version", "published", "by", "message", "bytes", "digest"]);
    for version in &list.versions {
        table.add_row([
            format!("v{}", version.number),
            version.published_at.clone(),
            version.author.clone(),
            version.message.clone(),
            version.size_bytes.to_string(),
            version.digest.clone(),
        ]);
    }
    table.to_string()
}

pub fn published(published: &api::Published) -> String {
    let mut text = format!(
        "published v{} ({}) at index {}",
        published.number, published.digest, published.index
    );
    for warning in &published.warnings {
        text.push_str(&format!(
            "\n{} line {}, column {}: {}",
            warning.severity, warning.line, warning.column, warning.message
        ));
    }
    text
}

pub fn license(license: &api::License) -> String {
    let over = match license.over_by {
        0 => String::new(),
        n => format!(": over by {n}; nobody is unseated, nobody new is let in"),
    };
    let left = license.days_left.map_or(String::new(), |days| match days {
        0.. => format!(" ({days} days left)"),
        _ => format!(" ({} days ago)", days.unsigned_abs()),
    });
    let mut lines = vec![
        format!("State       {}", word(license.state)),
        format!("Subscriber  {}", or_dash(license.subscriber.clone())),
        format!("Level       {}", license.level),
        format!(
            "Seats       {} of {} in use{over}",
            license.seats_used, license.max_nodes
        ),
        format!("Valid from  {}", or_dash(license.not_before.clone())),
        format!("Expires     {}{left}", or_dash(license.expires_at.clone())),
        format!("Grace ends  {}", or_dash(license.grace_ends_at.clone())),
        format!("Then        {} nodes", license.free_max_nodes),
    ];
    if !license.features.is_empty() {
        lines.push(format!("Features    {}", license.features.join(", ")));
    }
    if let Some(group) = &license.group {
        lines.push(format!("For group   {group}"));
    }
    for check in &license.checks {
        let found = check.problem.as_deref().unwrap_or("verifies it");
        lines.push(format!("{:<12}{found} ({})", check.manager, check.at));
    }
    lines.join("\n")
}

pub fn backup_kinds(
    kinds: &std::collections::BTreeMap<&'static str, krakend_raft::KindSize>,
) -> String {
    let mut table = table(&["kind", "count", "bytes"]);
    for (kind, size) in kinds {
        table.add_row([
            (*kind).to_owned(),
            size.count.to_string(),
            size.bytes.to_string(),
        ]);
    }
    table.to_string()
}

pub fn events(list: &api::EventList) -> String {
    let mut table = table(&["time", "index", "what"]);
    for event in list.events.iter().rev() {
        table.add_row([
            event.time.clone(),
            event.index.to_string(),
            event.message.clone(),
        ]);
    }
    table.to_string()
}

pub fn tokens(list: &serde_json::Value) -> String {
    let mut table = table(&["name", "role", "expires", "created by", "id"]);
    let text = |value: &serde_json::Value| value.as_str().unwrap_or("-").to_owned();
    for token in list["tokens"].as_array().into_iter().flatten() {
        table.add_row([
            text(&token["name"]),
            text(&token["role"]),
            text(&token["expires_at"]),
            text(&token["created_by"]),
            text(&token["id"]),
        ]);
    }
    table.to_string()
}

pub fn statistics(statistics: &api::Statistics) -> String {
    let mut endpoints = table(&[
        "endpoint", "method", "requests", "4xx", "5xx", "p50 ms", "p99 ms",
    ]);
    for row in &statistics.endpoints {
        endpoints.add_row([
            row.endpoint.clone(),
            row.method.clone(),
            row.totals.requests.to_string(),
            row.totals.status_4xx.to_string(),
            row.totals.status_5xx.to_string(),
            one_decimal(row.latency.p50_ms),
            one_decimal(row.latency.p99_ms),
        ]);
    }
    let mut backends = table(&["backend", "calls", "errors", "p99 ms"]);
    for row in &statistics.backends {
        backends.add_row([
            format!("{}{}", row.host, row.url_pattern),
            row.calls.to_string(),
            row.errors.to_string(),
            one_decimal(row.latency.p99_ms),
        ]);
    }
    format!("{endpoints}\n\n{backends}")
}
