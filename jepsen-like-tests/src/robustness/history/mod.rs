//! What clients asked, what came of it, and when: the only thing that the checkers look at.

mod operation;
mod recorder;

pub use operation::{Action, Event, Operation, Outcome, Seen, Version, fleet};
pub use recorder::{Clock, Recorder, write_lines};
