//! The editor: a draft that stays in this browser, with what the check found at its lines.

use super::check::{self, Checked, Findings};
use super::publish::Publish;
use super::{context, source, tabs};
use crate::data::browser;
use crate::data::store::Store;
use crate::pure::{clock, json};
use crate::ui::button::Action;
use crate::ui::frame::Head;
use crate::view::prelude::*;
use krakend_api::{Finding, Role};
use leptos::html::Textarea;
use leptos::task::spawn_local;

const LINE_PX: usize = 20;
/// Advance of the mono font at 12 px.
const COLUMN_PX: f64 = 7.2;
const TEMPLATE: &str = "{\n  \"version\": 3,\n  \"name\": \"\",\n  \"timeout\": \"3s\",\n  \"endpoints\": [\n    {\n      \"endpoint\": \"/example\",\n      \"backend\": [\n        {\n          \"url_pattern\": \"/example\",\n          \"host\": [\"http://127.0.0.1:8000\"]\n        }\n      ]\n    }\n  ]\n}";

/// What the parts of the editor share.
#[derive(Clone, Copy)]
pub struct Draft {
    pub text: RwSignal<String>,
    /// Number and digest of the version that it started from.
    pub parent: RwSignal<Option<(u64, String)>>,
    pub checked: RwSignal<Option<Checked>>,
    pub checking: RwSignal<bool>,
    /// False until the text is there.
    loaded: RwSignal<bool>,
    saved_ms: RwSignal<Option<i64>>,
    cursor: RwSignal<(usize, usize)>,
    pub field: NodeRef<Textarea>,
}

impl Draft {
    fn key(store: Store) -> String {
        format!("draft:{}", store.fleet_name.get_untracked())
    }

    /// Takes what was typed and keeps it in this browser.
    pub fn write(&self, store: Store, text: String) {
        let parent = self.parent.get_untracked().map(|(n, d)| format!("{n} {d}"));
        browser::remember(&Self::key(store), &text);
        browser::remember(
            &format!("{}:parent", Self::key(store)),
            &parent.unwrap_or_default(),
        );
        self.text.set(text);
        self.saved_ms.set(Some(store.now_ms()));
    }

    /// Forgets the draft, after it was published.
    pub fn forget(&self, store: Store) {
        browser::remember(&Self::key(store), "");
        self.saved_ms.set(None);
    }

    /// Begins with the newest version again.
    pub fn reset(self, store: Store) {
        let newest = store.newest.with_untracked(|n| {
            n.value
                .as_ref()
                .and_then(Option::as_ref)
                .map(|n| (n.number, n.digest.clone()))
        });
        let fleet = store.fleet_name.get_untracked();
        self.parent.set(newest.clone());
        self.checked.set(None);
        self.forget(store);
        match newest {
            None => {
                self.text.set(TEMPLATE.to_owned());
                self.loaded.set(true);
            }
            Some((number, _)) => spawn_local(async move {
                match source::read(&fleet, number).await {
                    Ok(text) => {
                        self.text.set(text);
                        self.loaded.set(true);
                    }
                    Err(failure) => store.say(failure.text(), true),
                }
            }),
        }
    }

    fn restore(self, store: Store) {
        let kept = browser::recall(&Self::key(store)).filter(|t| !t.is_empty());
        let Some(text) = kept else {
            return self.reset(store);
        };
        let parent = browser::recall(&format!("{}:parent", Self::key(store)));
        let parent = parent.and_then(|p| {
            p.split_once(' ')
                .and_then(|(n, d)| Some((n.parse().ok()?, d.to_owned())))
        });
        self.parent.set(parent);
        self.text.set(text);
        self.loaded.set(true);
    }
}

/// The page.
#[component]
pub fn Editor(store: Store) -> impl IntoView {
    let draft = Draft {
        text: RwSignal::new(String::new()),
        parent: RwSignal::new(None),
        checked: RwSignal::new(None),
        checking: RwSignal::new(false),
        loaded: RwSignal::new(false),
        saved_ms: RwSignal::new(None),
        cursor: RwSignal::new((1, 1)),
        field: NodeRef::new(),
    };
    // The newest version is known, or known not to exist.
    let ready = Memo::new(move |_| {
        store
            .newest
            .with(|n| n.value.is_some())
            .then(|| store.fleet_name.get())
    });
    Effect::new(move |_| {
        if ready.get().is_some() {
            draft.restore(store);
        }
    });
    let errors = Memo::new(move |_| {
        draft
            .checked
            .with(|c| c.as_ref().map_or(0, |c| c.count("error")))
    });
    let note = move || {
        let n = errors.get();
        (n > 0).then(|| {
            if n == 1 {
                "1 error to fix before publishing".to_owned()
            } else {
                format!("{n} errors to fix before publishing")
            }
        })
    };
    let actions = view! {
        <span class="head-note">{note}</span>
        <Action store label=Signal::derive(move || if draft.checking.get() { "Checking\u{2026}" } else { "Check" }.to_owned()) need=Role::Operator testid="check" run=move || check::run(store, draft) />
        <Publish store draft />
    }
    .into_any();
    view! {
        <Head store title="Configuration" context=context(store) middle=tabs(store, 1) actions />
        <div class="editor-page">
            <div class="editor-pane">
                <EditorHead store draft />
                <Sheet store draft />
            </div>
            <Findings store draft />
        </div>
    }
}

#[component]
fn EditorHead(store: Store, draft: Draft) -> impl IntoView {
    let parent = move || match (draft.parent.get(), draft.loaded.get()) {
        (Some((number, _)), true) => format!("parent v{number}"),
        (Some((number, _)), false) => format!("reading v{number}\u{2026}"),
        (None, true) => "the first version".to_owned(),
        (None, false) => "reading the newest version\u{2026}".to_owned(),
    };
    let behind = move || {
        let newest = store
            .newest
            .with(|n| n.value.as_ref().and_then(Option::as_ref).map(|n| n.number))?;
        let parent = draft.parent.get().map_or(0, |p| p.0);
        (newest > parent).then(|| format!("v{newest} has been published since"))
    };
    let saved = move || {
        draft
            .saved_ms
            .get()
            .map(|at| format!(", saved in this browser {}", store.zone().seconds(at)))
    };
    let lines = move || {
        draft
            .text
            .with(|t| crate::pure::format::integer(t.lines().count() as u64))
    };
    let cursor = move || {
        let (line, column) = draft.cursor.get();
        format!("line {line}, column {column}")
    };
    view! {
        <div class="editor-head">
            <strong>"Draft"</strong>
            <span title=move || draft.saved_ms.get().map(clock::utc)>{parent} {saved}</span>
            {move || behind().map(|text| view! { <span class="tag warn">{text}</span> <button type="button" class="link" on:click=move |_| draft.reset(store)>"Start from it"</button> })}
            <span class="grow"></span>
            {move || draft.saved_ms.get().is_some().then(|| view! { <button type="button" class="link" data-testid="discard" on:click=move |_| draft.reset(store)>"Discard"</button> })}
            <span>"JSON, " {lines} " lines"</span>
            <span>{cursor}</span>
        </div>
    }
}

#[component]
fn Sheet(store: Store, draft: Draft) -> impl IntoView {
    let lines = Memo::new(move |_| draft.text.with(|t| t.split('\n').count()));
    let widest = Memo::new(move |_| {
        draft
            .text
            .with(|t| t.lines().map(|l| l.chars().count()).max().unwrap_or(0))
    });
    let numbers = move || {
        (1..=lines.get())
            .map(|n| format!("{n}\n"))
            .collect::<String>()
    };
    let place = move || {
        if let Some(field) = draft.field.get_untracked() {
            let at = field.selection_start().ok().flatten().unwrap_or(0) as usize;
            // The browser counts UTF-16 units.
            let text = field.value();
            let units: Vec<u16> = text.encode_utf16().take(at).collect();
            let before = String::from_utf16_lossy(&units);
            draft
                .cursor
                .set(json::line_and_column(&before, before.len()));
        }
    };
    let height = move || lines.get() * LINE_PX;
    let width = move || (widest.get() + 90) as f64 * COLUMN_PX;
    let marks = move || {
        let found = draft
            .checked
            .with(|c| c.as_ref().map(|c| c.findings.clone()).unwrap_or_default());
        draft.text.with(|text| {
            let all: Vec<&str> = text.split('\n').collect();
            found.iter().map(|f| mark(f, &all)).collect_view()
        })
    };
    view! {
        <div class="editor-scroll">
            <pre class="editor-gutter" aria-hidden="true">{numbers}</pre>
            <div class="editor-text">
                <svg class="editor-marks" width=width height=height aria-hidden="true">{marks}</svg>
                <textarea node_ref=draft.field data-testid="editor" aria-label="Configuration, JSON" aria-busy=move || (!draft.loaded.get()).to_string() prop:readOnly=move || !draft.loaded.get() spellcheck="false" autocomplete="off" wrap="off"
                    rows=move || lines.get() cols=move || widest.get() + 2
                    prop:value=move || draft.text.get()
                    on:input=move |e| { draft.write(store, event_target_value(&e)); place(); }
                    on:keyup=move |_| place() on:click=move |_| place()></textarea>
            </div>
        </div>
    }
}

/// Tint, wave and sentence at the line of a finding.
fn mark(finding: &Finding, lines: &[&str]) -> impl IntoView + use<> {
    let line = usize::try_from(finding.line)
        .unwrap_or(1)
        .clamp(1, lines.len().max(1));
    let text = lines.get(line - 1).copied().unwrap_or_default();
    let column = usize::try_from(finding.column).unwrap_or(1).max(1) - 1;
    let y = (line - 1) * LINE_PX;
    let rest: String = text.chars().skip(column).collect();
    let marked = rest.trim_end_matches(',').chars().count().max(1);
    let x = column as f64 * COLUMN_PX;
    let end = text.chars().count() as f64 * COLUMN_PX + 20.0;
    let mut wave = format!("M{x:.1} {}", y + 18);
    for step in 0..(marked * 2).min(160) {
        let dy = if step % 2 == 0 { -2 } else { 2 };
        wave.push_str(&format!("l3.6 {dy}"));
    }
    let error = finding.severity == "error";
    let (class, word) = if error {
        ("finding-mark error", "Error")
    } else {
        ("finding-mark warning", "Warning")
    };
    view! {
        <g class=class>
            <rect x="0" y=y width="100%" height=LINE_PX />
            <path d=wave />
            <text x=end y=y + 14><tspan class="word">{word}</tspan> " " {finding.message.clone()}</text>
        </g>
    }
}
