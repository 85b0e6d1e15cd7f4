//! Everything that needs no browser: how values are written, what the page says, where lines run.

pub mod attention;
pub mod chart;
pub mod clock;
pub mod contours;
pub mod event;
pub mod format;
pub mod rollout;
pub mod scale;
pub mod series;
pub mod verdict;
