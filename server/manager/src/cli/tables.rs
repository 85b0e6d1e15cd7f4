use krakend_api as api;

use super::table::Table;

fn table(head: &[&str]) -> Table {
    Table::new(head)
}

/// `1 node`, `2 nodes`.
pub fn plural(count: u32, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}

pub fn finding(finding: &api::Finding) -> String {
    format!(
        "{} line {}, column {}: {}",
        finding.severity, finding.line, finding.column, finding.message
    )
}

pub fn word<T: serde::Serialize>(value: T) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().into()
}

pub fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".into(), |value| value.to_string())
}

pub fn one_decimal(value: Option<f64>) -> String {
    value.map_or_else(|| "no data".into(), |value| format!("{value:.1}"))
}

/// In units of 1,000, as networks count.
pub fn bytes(count: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let mut value = count as f64;
    let mut unit = units[0];
    for next in &units[1..] {
        if value < 999.95 {
            break;
        }
        (value, unit) = (value / 1_000.0, next);
    }
    match unit {
        "B" => format!("{count} B"),
        _ => format!("{value:.1} {unit}"),
    }
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
        text.push('\n');
        text.push_str(&finding(warning));
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
        "endpoint", "method", "requests", "4xx", "5xx", "p50 ms", "p99 ms", "sent",
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
            bytes(row.totals.bytes_sent),
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

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn bytes_are_told_in_the_unit_that_keeps_them_short() {
        let told = [0, 999, 1_000, 999_949, 999_950, 7_260_000_000].map(bytes);
        let short = ["0 B", "999 B", "1.0 kB", "999.9 kB", "1.0 MB", "7.3 GB"];
        assert_eq!(told, short);
    }
}
