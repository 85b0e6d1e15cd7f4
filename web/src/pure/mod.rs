//! What needs no browser.

pub mod attention;
pub mod chart;
pub mod clock;
pub mod columns;
pub mod contours;
pub mod diff;
pub mod event;
pub mod follow;
pub mod format;
pub mod heat;
pub mod json;
pub mod keys;
pub mod nodes;
pub mod order;
pub mod read;
pub mod rollout;
pub mod route;
pub mod ruler;
pub mod scale;
pub mod series;
pub mod timeline;
pub mod trail;
pub mod verdict;
