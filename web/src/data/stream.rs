//! The event stream. One at a time; the browser holds it, this module its handle.

use krakend_api::{Event, GroupStatus, Latency, NodeList};
use serde::Deserialize;
use std::cell::RefCell;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::{EventSource, MessageEvent};

use super::store::Store;
use crate::pure::event::STREAM_KINDS;
use crate::pure::read;
use crate::pure::series::Now;

/// Data of a message `live`.
#[derive(Deserialize)]
struct Live {
    nodes: NodeList,
    statistics: LiveStatistics,
}

#[derive(Deserialize)]
struct LiveStatistics {
    now_requests_per_s: Option<f64>,
    now_errors_per_s: Option<f64>,
    #[serde(default)]
    now_latency: Latency,
}

/// The open stream with the closures that it calls.
struct Open {
    source: EventSource,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_error: Closure<dyn FnMut(web_sys::Event)>,
}

thread_local! {
    static OPEN: RefCell<Option<Open>> = const { RefCell::new(None) };
}

/// Opens the stream, and closes the one before.
pub fn open(store: Store) {
    close();
    let Ok(source) = EventSource::new("/v1/events") else {
        store.lost();
        return;
    };
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |message: MessageEvent| {
        handle(store, &message)
    });
    let on_error = Closure::<dyn FnMut(web_sys::Event)>::new(move |_: web_sys::Event| store.lost());
    let listener = on_message.as_ref().unchecked_ref();
    for kind in STREAM_KINDS.iter().chain(&["heartbeat", "live"]) {
        source
            .add_event_listener_with_callback(kind, listener)
            .unwrap_or_default();
    }
    source.set_onerror(Some(on_error.as_ref().unchecked_ref()));
    OPEN.with_borrow_mut(|open| {
        *open = Some(Open {
            source,
            _on_message: on_message,
            _on_error: on_error,
        });
    });
}

/// Closes the stream.
pub fn close() {
    if let Some(open) = OPEN.with_borrow_mut(Option::take) {
        open.source.set_onerror(None);
        open.source.close();
    }
}

/// True when the browser has given up on the stream, or none was opened.
pub fn is_closed() -> bool {
    OPEN.with_borrow(|open| {
        open.as_ref()
            .is_none_or(|open| open.source.ready_state() == EventSource::CLOSED)
    })
}

fn handle(store: Store, message: &MessageEvent) {
    store.heard();
    let Some(data) = message.data().as_string() else {
        return;
    };
    match message.type_().as_str() {
        "heartbeat" => {
            if let Some(status) = read::from_str::<GroupStatus>(&data) {
                store.take_status(status);
            }
        }
        "live" => {
            if let Some(live) = read::from_str::<Live>(&data) {
                store.take_live(
                    live.nodes,
                    Now {
                        requests_per_s: live.statistics.now_requests_per_s,
                        errors_per_s: live.statistics.now_errors_per_s,
                        latency: live.statistics.now_latency,
                    },
                );
            }
        }
        _ => {
            if let Some(event) = read::from_str::<Event>(&data) {
                store.take_event(event);
            }
        }
    }
}
