//! Parts that pages are made of.

pub mod cell;
pub mod chart;
pub mod command;
pub mod frame;
pub mod icon;
pub mod mark;
pub mod status_line;
