//! `tidegate` with an allocator that counts. Each line of standard input is answered with the counts so far,
//! as a line of JSON; all else is as in the program itself.

use std::{
    alloc::System,
    io::{self, BufRead as _, Write as _},
    process::ExitCode,
    thread,
};

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> ExitCode {
    thread::spawn(|| {
        for _ in io::stdin().lock().lines() {
            let stats = ALLOCATOR.stats();
            let counts = serde_json::json!({
                "allocations": stats.allocations,
                "reallocations": stats.reallocations,
                "bytes": stats.bytes_allocated,
            });
            let _ = writeln!(io::stdout(), "{counts}");
        }
    });
    tidegate::cli(std::env::args_os())
}
