//! What only one page reads.

use leptos::prelude::*;
use leptos::task::spawn_local;
use serde::de::DeserializeOwned;

use super::api;
use super::store::{Remote, Store};

/// Reads an address now, with every change of it, and with every beat of the store. An empty address reads nothing.
///
/// When only the query changes, the old value stays until the new one is there.
pub fn live<T>(
    store: Store,
    address: impl Fn() -> String + Send + Sync + 'static,
) -> RwSignal<Remote<T>>
where
    T: DeserializeOwned + Send + Sync + 'static,
{
    let into = RwSignal::new(Remote::<T>::default());
    let address = Memo::new(move |_| address());
    Effect::new(move |before: Option<String>| {
        store.beat.track();
        let now = address.get();
        let path = |text: &str| text.split('?').next().unwrap_or_default().to_owned();
        if before.is_some_and(|before| path(&before) != path(&now)) {
            into.set(Remote::default());
        }
        if !now.is_empty() {
            let asked = now.clone();
            spawn_local(async move {
                let answer = api::get::<T>(&asked).await;
                // The page may be gone, or ask for something else by now.
                if address.try_get_untracked().as_deref() != Some(&asked) {
                    return;
                }
                match answer {
                    Ok(value) => into.set(Remote {
                        value: Some(value),
                        failure: None,
                    }),
                    Err(failure) => store.failed(into, &failure),
                }
            });
        }
        now
    });
    into
}
