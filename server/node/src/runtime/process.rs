//! Memory and CPU time of a process, from `/proc`.

use std::fs;

/// Kernel clock ticks are exported to user space at 100 Hz on every Linux.
const MS_PER_TICK: u64 = 10;

/// What `/proc` says about one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProcessUse {
    pub(crate) memory_bytes: u64,
    pub(crate) cpu_ms: u64,
}

/// Reads memory and CPU time of `pid`; `None` when it is gone.
pub(crate) fn read_use(pid: u32) -> Option<ProcessUse> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(ProcessUse {
        memory_bytes: resident_bytes(&status)?,
        cpu_ms: cpu_ms(&stat)?,
    })
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// User plus system time: fields 14 and 15, counted after the program's name,
/// which may itself contain spaces and brackets.
fn cpu_ms(stat: &str) -> Option<u64> {
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) * MS_PER_TICK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_brackets_does_not_shift_the_fields() {
        let stat = "7 (a) (b)) S 1 2 3 4 5 6 7 8 9 10 12 3 0 0 20";
        assert_eq!(cpu_ms(stat), Some(150));
    }

    #[test]
    fn this_process_uses_memory() {
        assert!(read_use(std::process::id()).is_some_and(|u| u.memory_bytes > 0));
    }
}
