//! What a gateway would say of the draft.

use super::compare::Changes;
use super::editor::Draft;
use crate::data::api::{self, Failure};
use crate::data::store::Store;
use crate::pure::event::Mark;
use crate::pure::{format, route};
use crate::ui::mark::MarkIcon;
use crate::view::prelude::*;
use krakend_api::{ConfigurationDiff, Finding};
use leptos::task::spawn_local;

/// The newest answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The text that was checked.
    pub text: String,
    pub findings: Vec<Finding>,
    pub at_ms: i64,
    pub took_ms: u64,
    /// Where it is not the configuration that is wrong.
    pub failure: Option<String>,
}

impl Checked {
    /// Findings of a severity.
    pub fn count(&self, severity: &str) -> usize {
        self.findings
            .iter()
            .filter(|f| f.severity == severity)
            .count()
    }

    /// True when this text may be published.
    pub fn passes(&self, text: &str) -> bool {
        self.text == text && self.failure.is_none() && self.count("error") == 0
    }
}

/// Checks the draft without publishing it.
pub fn run(store: Store, draft: Draft) {
    if draft.checking.get_untracked() {
        return;
    }
    draft.checking.set(true);
    let (text, fleet) = (draft.text.get_untracked(), store.fleet_name.get_untracked());
    let begun = store.now_ms();
    spawn_local(async move {
        let path = format!("/v1/fleets/{}/check", route::encode(&fleet));
        let (findings, failure) = match api::write("POST", &path, Some(&text), &[]).await {
            Ok(answer) => (
                api::parse::<Vec<Finding>>(&answer).unwrap_or_default(),
                None,
            ),
            Err(failure) => split(failure),
        };
        let at_ms = store.now_ms();
        draft.checked.set(Some(Checked {
            text,
            findings,
            at_ms,
            took_ms: u64::try_from(at_ms - begun).unwrap_or(0),
            failure,
        }));
        draft.checking.set(false);
    });
}

/// What is wrong with the document, or with the request.
pub fn split(failure: Failure) -> (Vec<Finding>, Option<String>) {
    match failure.problem() {
        Some(problem) if !problem.findings.is_empty() => (problem.findings.clone(), None),
        _ => (Vec::new(), Some(failure.text())),
    }
}

/// The findings, the message, and what changed against the parent.
#[component]
pub fn Findings(store: Store, draft: Draft) -> impl IntoView {
    let summary = move || {
        draft.checked.with(|c| match c {
            None => "not yet".to_owned(),
            Some(c) if c.failure.is_some() => "failed".to_owned(),
            Some(c) => {
                let some =
                    |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
                match (c.count("error"), c.count("warning")) {
                    (0, 0) => "nothing found".to_owned(),
                    (e, w) => format!("{}, {}", some(e, "error"), some(w, "warning")),
                }
            }
        })
    };
    let when = move || {
        draft.checked.with(|c| {
            c.as_ref().map(|c| {
                format!(
                    "{}, {}",
                    store.zone().seconds(c.at_ms),
                    format::took(c.took_ms)
                )
            })
        })
    };
    let old = move || {
        draft.checked.with(|c| {
            c.as_ref()
                .is_some_and(|c| draft.text.with(|t| *t != c.text))
        })
    };
    let list = move || {
        draft.checked.with(|c| {
            let c = c.as_ref()?;
            if let Some(failure) = &c.failure {
                return Some(view! { <p class="failed"><MarkIcon mark=Mark::Refused /> <span>{failure.clone()}</span></p> }.into_any());
            }
            let rows = c.findings.iter().map(|f| finding(draft, f)).collect_view();
            Some(view! { <ul class="findings" data-testid="findings">{rows}</ul> }.into_any())
        })
    };
    view! {
        <aside class="editor-side">
            <section class="cell" aria-labelledby="check-title">
                <div class="cell-head"><h2 id="check-title">"Check"</h2> <span class="context" role="status" data-testid="check-summary">{summary}</span> <span class="grow"></span> <span class="context">{when}</span></div>
                {move || old().then(|| view! { <p class="note">"The text has changed since."</p> })}
                {list}
            </section>
            <super::publish::Message store />
            <Against store draft />
        </aside>
    }
}

fn finding(draft: Draft, finding: &Finding) -> impl IntoView + use<> {
    let (line, column) = (finding.line, finding.column);
    let error = finding.severity == "error";
    let (mark, word) = if error {
        (Mark::Refused, "Error")
    } else {
        (Mark::Unreachable, "Warning")
    };
    let jump = move |_| {
        let Some(field) = draft.field.get_untracked() else {
            return;
        };
        let text = field.value();
        let before: usize = text
            .split('\n')
            .take((line.max(1) - 1) as usize)
            .map(|l| l.encode_utf16().count() + 1)
            .sum();
        let at = u32::try_from(before + (column.max(1) - 1) as usize).unwrap_or(0);
        field.focus().unwrap_or_default();
        field.set_selection_range(at, at).unwrap_or_default();
    };
    view! {
        <li>
            <MarkIcon mark />
            <span><span class="reader">{word} ": "</span> {finding.message.clone()}</span>
            <button type="button" class="link mono" aria-label=format!("Go to line {line}, column {column}") on:click=jump>{format!("{line}:{column}")}</button>
        </li>
    }
}

/// The structural difference of the draft to its parent, where the manager can tell.
#[component]
fn Against(store: Store, draft: Draft) -> impl IntoView {
    let diff = RwSignal::new(None::<ConfigurationDiff>);
    Effect::new(move |_| {
        let passed = draft.checked.with(|c| {
            c.as_ref()
                .filter(|c| c.passes(&c.text))
                .map(|c| c.text.clone())
        });
        let parent = draft.parent.get().map(|p| p.0);
        diff.set(None);
        if let (Some(text), Some(parent)) = (passed, parent) {
            let path = format!(
                "/v1/fleets/{}/diff?from={parent}",
                route::encode(&store.fleet_name.get_untracked())
            );
            spawn_local(async move {
                // An older manager cannot compare a draft: then nothing is shown.
                if let Ok(answer) = api::write("POST", &path, Some(&text), &[]).await {
                    diff.set(api::parse(&answer).ok());
                }
            });
        }
    });
    move || {
        diff.get().map(|d| {
            let parent = d.from;
            view! {
                <section class="cell" aria-labelledby="against-title">
                    <div class="cell-head"><h2 id="against-title">{format!("Against v{parent}")}</h2></div>
                    <Changes changes=d.changes />
                </section>
            }
        })
    }
}
