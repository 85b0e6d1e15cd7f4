//! The routes of one configuration and how they answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use futures::future::join_all;
use http::header::{ALLOW, CACHE_CONTROL, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::json;

use super::body::{Body, ClientBody, Recorder};
use super::client::{CallError, HttpClient};
use super::headers;
use super::manipulate::Data;
use super::proxy;
use super::render;
use super::route::{Lookup, RouteTable, decode};
use super::target::{Outgoing, Target};
use super::{ApplyError, Shared, counted};
use crate::config::{Endpoint, OutputEncoding, ServiceConfig};
use crate::statistics::{EndpointSeries, NO_ROUTE, Statistics};

/// A configuration, ready to serve.
pub struct Gateway {
    pub config: Arc<ServiceConfig>,
    table: RouteTable,
    /// In the configuration's order, which the table's indexes mean.
    routes: Vec<Route>,
}

struct Route {
    targets: Vec<Target>,
    series: Arc<EndpointSeries>,
    cache_control: Option<HeaderValue>,
}

impl Gateway {
    pub fn new(config: Arc<ServiceConfig>, statistics: &Statistics) -> Result<Self, ApplyError> {
        if !config.unsupported.is_empty() {
            return Err(ApplyError::Unsupported(config.unsupported.clone()));
        }
        let table = RouteTable::new(&config);
        table
            .is_complete(&config)
            .map_err(ApplyError::RouteCollision)?;
        let routes = config
            .endpoints
            .iter()
            .map(|endpoint| Route::new(endpoint, statistics))
            .collect::<Result<_, _>>()?;
        Ok(Gateway {
            config,
            table,
            routes,
        })
    }

    /// Answers one request.
    pub async fn handle(
        &self,
        shared: &Shared,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> Response<Body> {
        let started = Instant::now();
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        if method == Method::GET && self.config.health_path.as_deref() == Some(&path) {
            return health(shared.draining.load(std::sync::atomic::Ordering::Relaxed));
        }
        let found = decode(&path).map(|decoded| self.table.lookup(method.as_str(), &decoded));
        if let Some(Lookup::Found(index, params)) = found {
            let (route, endpoint) = (&self.routes[index], &self.config.endpoints[index]);
            let recorder = Recorder::new(route.series.clone(), started);
            let response = match are_plain(&params) {
                true => {
                    self.proxy(&shared.client, route, endpoint, params, request, peer)
                        .await
                }
                false => render::bad_request("error: encoded url params"),
            };
            return counted(response, recorder);
        }
        let recorder = Recorder::new(
            shared.statistics.endpoint(NO_ROUTE, method.as_str()),
            started,
        );
        counted(
            self.unrouted(found, &method, request.uri().query()),
            recorder,
        )
    }

    /// What the router answers by itself.
    fn unrouted(
        &self,
        found: Option<Lookup>,
        method: &Method,
        query: Option<&str>,
    ) -> Response<Body> {
        match found {
            Some(Lookup::TrailingSlash(path)) => redirect(method, &path, query),
            Some(Lookup::OtherMethods(methods)) => {
                let mut response =
                    render::text(StatusCode::METHOD_NOT_ALLOWED, "405 method not allowed");
                if let Ok(allowed) = HeaderValue::from_str(&methods.join(", ")) {
                    response.headers_mut().insert(ALLOW, allowed);
                }
                self.marked(response, false)
            }
            Some(_) => self.marked(
                render::text(StatusCode::NOT_FOUND, "404 page not found"),
                false,
            ),
            None => render::bad_request("400 Bad Request"),
        }
    }

    async fn proxy(
        &self,
        client: &HttpClient,
        route: &Route,
        endpoint: &Endpoint,
        params: Vec<(String, String)>,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let outgoing = Outgoing {
            params,
            headers: headers::for_backends(&parts.headers, &endpoint.input_headers, peer),
            query: headers::query(parts.uri.query(), &endpoint.input_query_strings),
        };
        let now = tokio::time::Instant::now();
        let answered = match route.targets.as_slice() {
            [target] => {
                let deadline = now + endpoint.timeout;
                if endpoint.output_encoding == OutputEncoding::NoOp {
                    return self
                        .pass_through(client, target, &outgoing, body, deadline)
                        .await;
                }
                one(client, target, &outgoing, body, deadline)
                    .await
                    .map(|data| (data, true))
            }
            // The merge must be done before the endpoint's own time is up.
            targets => {
                merge(
                    client,
                    targets,
                    &outgoing,
                    body,
                    now + endpoint.timeout.mul_f64(0.85),
                )
                .await
            }
        };
        match answered {
            Ok((data, complete)) => {
                let complete = complete && data.as_ref().is_some_and(|data| !data.is_empty());
                let mut response =
                    self.marked(render::data(&endpoint.output_encoding, data), complete);
                if let Some(value) = route.cache_control.as_ref().filter(|_| complete) {
                    response.headers_mut().insert(CACHE_CONTROL, value.clone());
                }
                response
            }
            Err(error) => self.failed(&error),
        }
    }

    async fn pass_through(
        &self,
        client: &HttpClient,
        target: &Target,
        outgoing: &Outgoing,
        body: Incoming,
        deadline: tokio::time::Instant,
    ) -> Response<Body> {
        let result = match proxy::streamed(body) {
            Ok(body) => proxy::fetch_through(client, target, outgoing, body, deadline).await,
            Err(error) => Err(error),
        };
        let response = match result {
            Ok(response) => response,
            Err(error) => return self.failed(&error),
        };
        // KrakenD calls an answer complete that has data of its own to show, and a no-op answer has none.
        let mut own = HeaderMap::with_capacity(2 + response.headers().len());
        headers::mark(&mut own, self.config.hide_version_header, false);
        let (mut parts, body) = response.into_parts();
        for (name, value) in &parts.headers {
            own.append(name, value.clone());
        }
        parts.headers = own;
        Response::from_parts(parts, body)
    }

    fn failed(&self, error: &CallError) -> Response<Body> {
        tracing::debug!(%error, "no answer for the client");
        let status = match error {
            CallError::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        self.marked(render::empty(status), false)
    }

    fn marked(&self, mut response: Response<Body>, complete: bool) -> Response<Body> {
        headers::mark(
            response.headers_mut(),
            self.config.hide_version_header,
            complete,
        );
        response
    }
}

impl Route {
    fn new(endpoint: &Endpoint, statistics: &Statistics) -> Result<Self, ApplyError> {
        let name = || format!("{} {}", endpoint.method, endpoint.endpoint);
        let refuse = |reason| ApplyError::Backend {
            endpoint: name(),
            reason,
        };
        if endpoint.backends.is_empty() {
            return Err(refuse("it has no backend".to_owned()));
        }
        let targets = endpoint
            .backends
            .iter()
            .map(|backend| Target::new(backend, statistics).map_err(refuse));
        let max_age = endpoint.cache_ttl.as_secs();
        Ok(Route {
            targets: targets.collect::<Result<_, _>>()?,
            series: statistics.endpoint(&endpoint.endpoint, &endpoint.method),
            cache_control: (!endpoint.cache_ttl.is_zero())
                .then(|| HeaderValue::from_str(&format!("public, max-age={max_age}")).ok())
                .flatten(),
        })
    }
}

async fn one(
    client: &HttpClient,
    target: &Target,
    outgoing: &Outgoing,
    body: Incoming,
    deadline: tokio::time::Instant,
) -> Result<Option<Data>, CallError> {
    proxy::fetch_data(client, target, outgoing, proxy::streamed(body)?, deadline).await
}

/// Calls all backends at once. Later ones in the configuration win where keys collide; `false` when one is missing.
async fn merge(
    client: &HttpClient,
    targets: &[Target],
    outgoing: &Outgoing,
    body: Incoming,
    deadline: tokio::time::Instant,
) -> Result<(Option<Data>, bool), CallError> {
    let body = proxy::buffered(body, deadline).await?;
    let calls = targets.iter().map(|target| {
        let body = ClientBody::full(body.clone());
        proxy::fetch_data(client, target, outgoing, body, deadline)
    });
    let mut merged: Option<Data> = None;
    let mut failure = None;
    let mut complete = true;
    for part in join_all(calls).await {
        match part {
            Ok(Some(data)) => merged.get_or_insert_default().extend(data),
            Ok(None) => complete = false,
            Err(error) => {
                tracing::debug!(%error, "a part of a merge is missing");
                failure = Some(error);
            }
        }
    }
    match (merged, failure) {
        (None, Some(error)) => Err(error),
        (merged, failure) => Ok((
            Some(merged.unwrap_or_default()),
            complete && failure.is_none(),
        )),
    }
}

/// Whether parameters can be put into a backend's path: nothing doubly encoded, no query, no step up.
fn are_plain(params: &[(String, String)]) -> bool {
    params.iter().all(|(_, value)| {
        let encoded = value.contains('%') && decode(value).is_none_or(|decoded| decoded != *value);
        !encoded && !value.contains(['?', '#']) && value != "." && value != ".."
    })
}

fn redirect(method: &Method, path: &str, query: Option<&str>) -> Response<Body> {
    let status = match *method {
        Method::GET => StatusCode::MOVED_PERMANENTLY,
        _ => StatusCode::TEMPORARY_REDIRECT,
    };
    let encoded: Vec<String> = path
        .split('/')
        .map(|segment| form_urlencoded::byte_serialize(segment.as_bytes()).collect())
        .collect();
    // Two slashes at the beginning would name another host.
    let path = format!(
        "/{}",
        encoded
            .join("/")
            .replace('+', "%20")
            .trim_start_matches('/')
    );
    let location = query.map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
    match HeaderValue::from_str(&location) {
        Ok(location) => render::redirect(status, location, *method == Method::GET),
        Err(_) => render::empty(StatusCode::NOT_FOUND),
    }
}

fn health(draining: bool) -> Response<Body> {
    if draining {
        return render::json(
            StatusCode::SERVICE_UNAVAILABLE,
            json!({"status": "draining"}),
        );
    }
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    let now = httpdate::fmt_http_date(std::time::UNIX_EPOCH + now);
    render::json(
        StatusCode::OK,
        json!({"status": "ok", "agents": {}, "now": now}),
    )
}
