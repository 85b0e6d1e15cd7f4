//! The dashboard of the cluster manager.
//!
//! It sees the API's JSON types and nothing else of the server. [`pure`] holds what needs no browser and is tested natively;
//! the rest compiles for `wasm32` alone.

pub mod pure;

#[cfg(target_arch = "wasm32")]
mod app;
#[cfg(target_arch = "wasm32")]
mod data;
#[cfg(target_arch = "wasm32")]
mod pages;
#[cfg(target_arch = "wasm32")]
mod ui;
#[cfg(target_arch = "wasm32")]
mod view;

#[cfg(target_arch = "wasm32")]
pub use app::mount;
