//! How a run went: for programs, for people, and for whoever wants to see it again.

mod outcome;
mod page;
mod progress;

pub use outcome::Outcome;
pub use progress::progress;
