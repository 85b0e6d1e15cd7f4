use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::robustness::history::Recorder;
use crate::robustness::nemesis::Nemesis;

/// Says how far the run is: on a terminal one line that is written over, elsewhere a line each half minute.
pub async fn progress(time: Duration, recorder: Recorder, nemesis: Nemesis) {
    let start = Instant::now();
    let terminal = std::io::stderr().is_terminal();
    let every = Duration::from_secs(if terminal { 1 } else { 30 });
    loop {
        tokio::time::sleep(every).await;
        let [ok, failed, open] = recorder.counts();
        let bands = nemesis.bands();
        let last = bands.last().map_or("none yet", |band| &band.what);
        let line = format!(
            "{:>4}/{} s  {ok} ok, {failed} failed, {open} indeterminate; {} faults, last: {last}",
            start.elapsed().as_secs(),
            time.as_secs(),
            bands.len(),
        );
        let mut out = std::io::stderr().lock();
        let _ = if terminal {
            write!(out, "\r\x1b[2K{line}").and_then(|()| out.flush())
        } else {
            writeln!(out, "{line}")
        };
    }
}
