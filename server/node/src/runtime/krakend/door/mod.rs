//! The front door: the node's public port in front of KrakenD.
//!
//! HTTP/1.1, bodies streamed both ways. Which gateway a request goes to is
//! looked up once, when it arrives, so a switch never tears a request.

mod exchange;
mod forward;
mod headers;
mod server;

pub(crate) use server::FrontDoor;
