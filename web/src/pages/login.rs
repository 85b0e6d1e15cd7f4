//! Sign-in: a token for a session cookie.

use crate::data::api::{self, Failure, Reachable};
use crate::data::browser;
use crate::data::store::Store;
use crate::pure::contours;
use crate::pure::event::Mark;
use crate::ui::command::Command;
use crate::ui::frame::{Brand, ThemeButton};
use crate::ui::mark::MarkIcon;
use crate::view::prelude::*;
use krakend_api::{LoginRequest, Session};
use leptos::html::Input;
use leptos::task::spawn_local;

/// The page without a session.
#[component]
pub fn LoginPage(store: Store) -> impl IntoView {
    view! {
        <div class="login">
            <main class="login-pane">
                <Brand />
                <div class="login-body">
                    <h1>"Sign in to " {browser::host()}</h1>
                    <p class="lead">"With an access token. The browser keeps a session cookie, not the token."</p>
                    <LoginForm store />
                    <hr />
                    <p class="hint">"No token? The first one lies on every manager, readable by root:"</p>
                    <Command text="sudo cat /var/lib/krakend-cluster-manager/admin-token" />
                </div>
                <LoginFoot />
            </main>
            <Contours />
        </div>
    }
}

#[component]
fn LoginForm(store: Store) -> impl IntoView {
    let field = NodeRef::<Input>::new();
    let busy = RwSignal::new(false);
    let shown = RwSignal::new(false);
    let wrong = RwSignal::new(None::<String>);
    Effect::new(move |_| {
        if let Some(field) = field.get() {
            field.focus().unwrap_or_default();
        }
    });
    let submit = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        let token = field
            .get_untracked()
            .map(|f| f.value().trim().to_owned())
            .unwrap_or_default();
        if token.is_empty() {
            wrong.set(Some("Paste the token first.".to_owned()));
            return;
        }
        busy.set(true);
        spawn_local(async move {
            match sign_in(token).await {
                Ok(session) => store.signed_in(session),
                Err(failure) => {
                    wrong.set(Some(explain(&failure)));
                    busy.set(false);
                }
            }
        });
    };
    view! {
        <form on:submit=submit novalidate>
            <label for="token">"Access token"</label>
            <div class="field" class:wrong=move || wrong.get().is_some()>
                <input id="token" data-testid="login-token" node_ref=field autocomplete="off" spellcheck="false"
                    type=move || if shown.get() { "text" } else { "password" }
                    aria-invalid=move || wrong.get().is_some().to_string() aria-describedby="token-wrong"
                    on:input=move |_| wrong.set(None) />
                <button type="button" class="link" on:click=move |_| shown.update(|s| *s = !*s)>
                    {move || if shown.get() { "Hide" } else { "Show" }}
                </button>
            </div>
            <p class="field-note" id="token-wrong" role="alert">{move || wrong.get()}</p>
            <button type="submit" class="button primary wide" data-testid="login-submit" prop:disabled=move || busy.get()>
                {move || if busy.get() { "Signing in\u{2026}" } else { "Sign in" }}
            </button>
        </form>
    }
}

async fn sign_in(token: String) -> Result<Session, Failure> {
    let body = serde_json::to_string(&LoginRequest { token }).map_err(|_| Failure::Unreadable)?;
    api::post("/v1/session", &body).await
}

fn explain(failure: &Failure) -> String {
    match failure {
        Failure::SignedOut(_) => {
            "This token is not known here, or it was revoked. Take the whole line from the file."
                .to_owned()
        }
        other => other.text(),
    }
}

#[component]
fn LoginFoot() -> impl IntoView {
    let reach = RwSignal::new(None::<Result<Reachable, Failure>>);
    spawn_local(async move { reach.set(Some(api::reachable().await)) });
    view! {
        <footer class="login-foot" role="status">
            {move || match reach.get() {
                None => ().into_any(),
                Some(Err(_)) => view! { <MarkIcon mark=Mark::Reconnecting /> <span>{browser::host()} " does not answer"</span> }.into_any(),
                Some(Ok(found)) => view! {
                    <MarkIcon mark=Mark::Live />
                    <span>{browser::host()} " answers"</span>
                    {found.has_leader.map(|has| {
                        let (mark, text) = if has { (Mark::Leader, "the group has a leader") } else { (Mark::ManagerUnreachable, "the group has no leader") };
                        view! { <MarkIcon mark /> <span>{text}</span> }
                    })}
                }.into_any(),
            }}
            <span class="grow"></span>
            <ThemeButton />
            <span>{env!("CARGO_PKG_VERSION")}</span>
        </footer>
    }
}

/// Contour lines; nothing to read.
#[component]
fn Contours() -> impl IntoView {
    let rings = (0..26)
        .map(|step| {
            let class = if step % 5 == 4 {
                "contour strong"
            } else {
                "contour"
            };
            view! { <path class=class d=contours::ring(step, 37.0) /> }
        })
        .collect_view();
    view! {
        <svg class="contours" viewBox="-480 -400 880 900" preserveAspectRatio="xMidYMid slice" aria-hidden="true">{rings}</svg>
    }
}
