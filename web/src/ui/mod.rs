//! Parts that pages are made of.

pub mod button;
pub mod cell;
pub mod chart;
mod chart_table;
pub mod command;
pub mod control;
pub mod dialog;
pub mod diff;
pub mod empty;
pub mod frame;
pub mod heat;
pub mod icon;
pub mod keyboard;
pub mod mark;
pub mod status_line;
pub mod toast;
