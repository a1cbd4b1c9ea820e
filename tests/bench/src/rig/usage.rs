//! What the operating system says that a process has used.

use std::{fs, ops::Sub, time::Duration};

use anyhow::Context as _;

/// CPU time of a process, all of its threads together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cpu {
    pub(crate) user: Duration,
    pub(crate) system: Duration,
}

impl Cpu {
    pub(crate) fn total(self) -> Duration {
        self.user + self.system
    }
}

impl Sub for Cpu {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
        }
    }
}

/// CPU time of a process so far, to a clock tick (10 ms): `utime` and `stime` of proc(5).
pub(crate) fn cpu(process: u32) -> anyhow::Result<Cpu> {
    let path = format!("/proc/{process}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    // The name of the program is in brackets, and may hold anything.
    let (_, fields) = stat.rsplit_once(')').context("no name in it")?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut next = || {
        let ticks = fields.next().and_then(|field| field.parse().ok());
        ticks
            .map(ticks_to_time)
            .with_context(|| format!("cannot understand {path}"))
    };
    Ok(Cpu {
        user: next()?,
        system: next()?,
    })
}

/// Clock ticks as proc(5) counts.
pub(super) fn ticks_to_time(ticks: u64) -> Duration {
    Duration::from_secs(ticks)
        / u32::try_from(rustix::param::clock_ticks_per_second()).unwrap_or(100)
}

/// Resident memory of a process in bytes: `Rss` of `smaps_rollup`, which is exact, where `VmRSS` of `status`
/// may be behind by some pages per thread.
pub(crate) fn resident_bytes(process: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{process}/smaps_rollup");
    let rollup = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let kib = rollup.lines().find_map(|line| {
        line.strip_prefix("Rss:")?
            .trim()
            .strip_suffix(" kB")?
            .parse::<u64>()
            .ok()
    });
    Ok(kib.with_context(|| format!("no Rss in {path}"))? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_something() {
        let me = std::process::id();
        assert!(resident_bytes(me).unwrap() > 100_000);
        let begin = cpu(me).unwrap();
        while cpu(me).unwrap() == begin {
            std::hint::spin_loop();
        }
        let used = cpu(me).unwrap() - begin;
        assert!(used.total() >= Duration::from_millis(10), "{used:?}");
    }
}
