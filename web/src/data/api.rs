//! Requests to the manager that served the page.

use std::pin::Pin;

use crate::pure::read;
use krakend_api::{PROBLEM_CONTENT_TYPE, Problem};
use serde::de::DeserializeOwned;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Headers, RequestCache, RequestCredentials, RequestInit, Response};

/// Why a request gave no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// 401: the session is over or was never there.
    SignedOut(String),
    /// The manager answered something else.
    Answered {
        status: u16,
        detail: String,
        /// All of the answer, where it is a problem document.
        problem: Box<Problem>,
    },
    /// No answer.
    Silent,
    /// An answer that is not what the API promises.
    Unreadable,
}

impl Failure {
    /// The problem document of the answer, if it was one.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Answered { problem, .. } => Some(problem),
            _ => None,
        }
    }

    /// One line for people.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::SignedOut(detail) if detail.is_empty() => "The session is over.".to_owned(),
            Self::SignedOut(detail) => detail.clone(),
            Self::Answered { status, detail, .. } => {
                let mut text = format!("The manager answered {status}. {detail}");
                if !text.ends_with(['.', '!', '?', ' ']) {
                    text.push('.');
                }
                text
            }
            Self::Silent => "The manager does not answer.".to_owned(),
            Self::Unreadable => "The manager's answer could not be read.".to_owned(),
        }
    }
}

/// Reads a resource.
///
/// # Errors
/// See [`Failure`].
pub async fn get<T: DeserializeOwned>(path: &str) -> Result<T, Failure> {
    parse(&send("GET", path, None, &[]).await?)
}

/// Reads a resource as text.
///
/// # Errors
/// See [`Failure`].
pub async fn get_text(path: &str) -> Result<String, Failure> {
    send("GET", path, None, &[]).await
}

/// Changes something; the answer as text, empty where it has no body. The same key makes a repetition harmless.
///
/// # Errors
/// See [`Failure`].
pub async fn write(
    method: &str,
    path: &str,
    body: Option<&str>,
    headers: &[(&str, &str)],
) -> Result<String, Failure> {
    let key = super::browser::random_key();
    let mut all = vec![("Idempotency-Key", key.as_str())];
    all.extend_from_slice(headers);
    send(method, path, body, &all).await
}

/// Sends a body and reads the answer.
///
/// # Errors
/// See [`Failure`].
pub async fn post<T: DeserializeOwned>(path: &str, body: &str) -> Result<T, Failure> {
    parse(&send("POST", path, Some(body), &[]).await?)
}

/// Deletes a resource; the answer has no body.
///
/// # Errors
/// See [`Failure`].
pub async fn delete(path: &str) -> Result<(), Failure> {
    send("DELETE", path, None, &[]).await.map(|_| ())
}

/// What the sign-in page may know without a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reachable {
    /// From the header `X-Cluster-Leader`; absent when the manager does not say.
    pub has_leader: Option<bool>,
}

/// Asks whether the manager answers at all.
///
/// # Errors
/// Only when it does not.
pub async fn reachable() -> Result<Reachable, Failure> {
    let response = fetch("GET", "/v1/session", None, &[]).await?;
    let header = response.headers().get("x-cluster-leader").ok().flatten();
    Ok(Reachable {
        has_leader: header.map(|leader| !leader.is_empty() && leader != "none"),
    })
}

/// Sends a request and gives the answer's text. In a box: otherwise each of its callers has a copy of all that it awaits.
fn send<'a>(
    method: &'a str,
    path: &'a str,
    body: Option<&'a str>,
    headers: &'a [(&'a str, &'a str)],
) -> Pin<Box<dyn Future<Output = Result<String, Failure>> + 'a>> {
    Box::pin(answer(method, path, body, headers))
}

async fn answer(
    method: &str,
    path: &str,
    body: Option<&str>,
    headers: &[(&str, &str)],
) -> Result<String, Failure> {
    let response = fetch(method, path, body, headers).await?;
    if response.ok() {
        return text(&response).await;
    }
    let problem = problem(&response).await.unwrap_or_default();
    let detail = problem.detail.clone();
    Err(match response.status() {
        401 => Failure::SignedOut(detail),
        status => Failure::Answered {
            status,
            detail,
            problem: Box::new(problem),
        },
    })
}

async fn fetch(
    method: &str,
    path: &str,
    body: Option<&str>,
    more: &[(&str, &str)],
) -> Result<Response, Failure> {
    let window = web_sys::window().ok_or(Failure::Silent)?;
    let headers = Headers::new().map_err(|_| Failure::Silent)?;
    // A page of another site cannot set this header without the manager's leave.
    let set = |name, value| headers.set(name, value).map_err(|_| Failure::Silent);
    set("X-Requested-With", "krakend-dashboard")?;
    set("Accept", "application/json")?;
    for (name, value) in more {
        set(name, value)?;
    }
    let init = RequestInit::new();
    init.set_method(method);
    init.set_credentials(RequestCredentials::SameOrigin);
    init.set_cache(RequestCache::NoStore);
    if let Some(body) = body {
        set("Content-Type", "application/json")?;
        init.set_body(&JsValue::from_str(body));
    }
    init.set_headers(&headers);
    let answer = JsFuture::from(window.fetch_with_str_and_init(path, &init)).await;
    answer
        .map_err(|_| Failure::Silent)?
        .dyn_into()
        .map_err(|_| Failure::Silent)
}

/// Reads a value out of text.
///
/// # Errors
/// It is not what the API promises.
pub fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Failure> {
    read::from_str(text).ok_or(Failure::Unreadable)
}

async fn problem(response: &Response) -> Option<Problem> {
    let kind = response.headers().get("content-type").ok().flatten()?;
    if !kind.starts_with(PROBLEM_CONTENT_TYPE) {
        return None;
    }
    read::from_str(&text(response).await.ok()?)
}

async fn text(response: &Response) -> Result<String, Failure> {
    let promise = response.text().map_err(|_| Failure::Silent)?;
    let value = JsFuture::from(promise).await.map_err(|_| Failure::Silent)?;
    value.as_string().ok_or(Failure::Unreadable)
}
