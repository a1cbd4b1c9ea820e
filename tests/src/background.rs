//! The runtime on which the servers of the harness live.
//!
//! They must not share a runtime with a test: a test blocks, and a topology may be shared by tests.

use std::{future::Future, sync::OnceLock};

use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
};

/// A task that ends with its owner.
#[derive(Debug)]
pub struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Starts a task that ends when the returned handle is dropped.
pub fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Task {
    Task(runtime().spawn(future))
}

/// Runs a future to its end. Not to be called from within another.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    runtime().block_on(future)
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("harness")
            .enable_all()
            .build()
            .expect("a runtime for the harness")
    })
}
