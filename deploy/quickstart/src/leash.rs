//! No child outlives the quick start, however that ends.
//!
//! A child's standard input is a pipe whose other end the parent holds and never writes to. When
//! the parent lets go of it, on purpose or because it was killed, the child reads the end of the
//! pipe and ends as if told to by SIGTERM. This needs no signal from the parent, no unsafe code, and
//! no polling.

use rustix::process::{Signal, getpid, kill_process};
use std::{io, process, thread, time::Duration};

/// How long a child may take to end by itself.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// Sends this process a SIGTERM when the parent lets go, and ends it if that does not.
pub(crate) fn terminate_when_released() {
    thread::spawn(|| {
        wait_for_release();
        // To a process that does not handle it yet, SIGTERM is the end, which is just right.
        let _ = kill_process(getpid(), Signal::TERM);
        thread::sleep(GRACE);
        process::exit(1);
    });
}

/// Returns when the parent lets go.
pub(crate) fn wait_for_release() {
    // A pipe that can't be read is as good as one that ended.
    let _ = io::copy(&mut io::stdin(), &mut io::sink());
}
