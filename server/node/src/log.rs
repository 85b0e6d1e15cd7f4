//! This program's log lines: `NODE 2017/02/13 - 18:18:23.290 ▶ INFO message`.

pub use krakend_log::LogFormat;
use krakend_log::Program;

const NODE: Program = Program {
    prefix: "NODE",
    name: "krakend-node",
    directives: str::to_owned,
};

/// Sends logs to standard error. `level` is a level or a list of `target=level`.
pub fn init(format: LogFormat, level: &str) {
    krakend_log::init(NODE, format, level);
}
