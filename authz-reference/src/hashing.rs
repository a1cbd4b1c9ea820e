//! A bounded pool for password hashing.
//!
//! One argon2id verification takes some 60 ms of a core and 19 MiB. Without a bound, a thousand
//! clients that reconnect together would each be slow beyond their deadline; with one, the first
//! few hundred get in and the rest hear *at once* that the service is busy. "Busy" is a failure of
//! ours and never reads as "wrong password".

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use thiserror::Error;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task,
    time::Instant,
};

use crate::deadline::Deadline;

/// Why a job was not done. All of these mean "ask again later".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Busy {
    /// Every place in the queue is taken.
    #[error("the password hashing queue is full")]
    QueueFull,
    /// The caller's deadline comes before the result could.
    #[error("the password check would end after the deadline of the call")]
    Late,
    /// The job died. Seen by nobody but a bug.
    #[error("the password check did not finish")]
    Lost,
}

/// Runs blocking jobs, so many at a time, with so many waiting in order.
#[derive(Debug, Clone)]
pub struct HashingPool {
    /// One permit for each job that runs or waits.
    places: Arc<Semaphore>,
    /// One permit for each job that runs. Tokio's semaphore is fair: first come, first served.
    workers: Arc<Semaphore>,
    limits: HashingLimits,
    pace: Arc<Pace>,
}

/// The bounds of a [`HashingPool`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashingLimits {
    /// Jobs that run at the same time.
    pub workers: NonZeroUsize,
    /// Jobs that wait for a worker.
    pub queue: usize,
}

impl HashingPool {
    /// Makes an idle pool.
    #[must_use]
    pub fn new(limits: HashingLimits) -> Self {
        // Semaphores cannot count further than this.
        let most = NonZeroUsize::new(Semaphore::MAX_PERMITS / 2).unwrap_or(NonZeroUsize::MIN);
        let workers = limits.workers.min(most);
        let queue = limits.queue.min(most.get());
        Self {
            places: Arc::new(Semaphore::new(workers.get() + queue)),
            workers: Arc::new(Semaphore::new(workers.get())),
            limits: HashingLimits { workers, queue },
            pace: Arc::default(),
        }
    }

    /// Runs `job` on a blocking thread and waits for what it returns, but not beyond `deadline`.
    ///
    /// Dropping the future gives the place in the queue back. A job that has begun runs to its
    /// end and keeps its worker that long, whoever still waits for it: otherwise clients that
    /// give up early could have any number of them running.
    ///
    /// # Errors
    /// If the pool is too busy; `job` may then not have run.
    pub async fn run<T: Send + 'static>(
        &self,
        deadline: Deadline,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        if deadline.is_before(Instant::now()) {
            return Err(Busy::Late);
        }
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| Busy::QueueFull)?;
        let worker = match Arc::clone(&self.workers).try_acquire_owned() {
            // A free worker is used however slow jobs have been: an estimate that has become too
            // high is put right by running jobs, not by refusing them.
            Ok(worker) => worker,
            Err(_) => self.wait_for_worker(deadline).await?,
        };
        let pace = Arc::clone(&self.pace);
        let running = task::spawn_blocking(move || {
            let _until_done: [OwnedSemaphorePermit; 2] = [worker, place];
            let begun = Instant::now();
            let result = job();
            pace.learn(begun.elapsed());
            result
        });
        deadline
            .bound(running)
            .await
            .ok_or(Busy::Late)?
            .map_err(|_| Busy::Lost)
    }

    /// Jobs that run, and jobs that wait. For metrics.
    pub(crate) fn load(&self) -> (usize, usize) {
        let HashingLimits { workers, queue } = self.limits;
        let running = workers
            .get()
            .saturating_sub(self.workers.available_permits());
        let taken = (workers.get() + queue).saturating_sub(self.places.available_permits());
        (running, taken.saturating_sub(running))
    }

    /// Jobs that may run at once. For metrics.
    pub(crate) fn workers(&self) -> usize {
        self.limits.workers.get()
    }

    /// Waits in the queue, unless the job could not be done in time.
    async fn wait_for_worker(&self, deadline: Deadline) -> Result<OwnedSemaphorePermit, Busy> {
        let in_time = |wait: Duration| {
            let done = Instant::now() + wait + self.pace.per_job();
            if deadline.is_before(done) {
                Err(Busy::Late)
            } else {
                Ok(())
            }
        };
        in_time(self.expected_wait())?;
        let worker = deadline
            .bound(Arc::clone(&self.workers).acquire_owned())
            .await;
        let worker = worker.ok_or(Busy::Late)?.map_err(|_| Busy::Lost)?;
        in_time(Duration::ZERO)?;
        Ok(worker)
    }

    /// How long a job that arrives now will wait for a worker.
    fn expected_wait(&self) -> Duration {
        let workers = self.limits.workers.get();
        let capacity = workers + self.limits.queue;
        // Our own place is already taken and does not wait for itself.
        let ahead = capacity.saturating_sub(self.places.available_permits() + 1);
        let rounds = u32::try_from(ahead / workers).unwrap_or(u32::MAX);
        self.pace.per_job().saturating_mul(rounds)
    }
}

/// A moving average of what one job takes, so that hopeless ones need not wait to be refused.
#[derive(Debug, Default)]
struct Pace(AtomicU64);

impl Pace {
    fn per_job(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed))
    }

    fn learn(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let update = |average: u64| match average {
            0 => took,
            average => average - average / 8 + took / 8,
        };
        // A lost race loses one sample.
        let average = self.0.load(Ordering::Relaxed);
        self.0.store(update(average), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A job that runs until the test lets it go.
    struct Gate {
        open: mpsc::Sender<()>,
        started: tokio::sync::oneshot::Receiver<()>,
        done: task::JoinHandle<Result<&'static str, Busy>>,
    }

    impl Gate {
        fn enter(pool: &HashingPool, deadline: Deadline) -> Self {
            let (open, wait) = mpsc::channel();
            let (running, started) = tokio::sync::oneshot::channel();
            let pool = pool.clone();
            let done = tokio::spawn(async move {
                let job = move || {
                    running.send(()).ok();
                    wait.recv().ok();
                    "done"
                };
                pool.run(deadline, job).await
            });
            Self {
                open,
                started,
                done,
            }
        }

        async fn open(self) -> Result<&'static str, Busy> {
            self.open.send(()).ok();
            self.done.await.unwrap()
        }
    }

    fn pool(workers: usize, queue: usize) -> HashingPool {
        let workers = NonZeroUsize::new(workers).unwrap();
        HashingPool::new(HashingLimits { workers, queue })
    }

    async fn until(condition: impl Fn() -> bool) {
        while !condition() {
            task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn refuses_what_does_not_fit_in_the_queue() {
        let pool = pool(1, 1);
        let mut running = Gate::enter(&pool, Deadline::NONE);
        (&mut running.started).await.unwrap();
        let waiting = Gate::enter(&pool, Deadline::NONE);
        until(|| pool.places.available_permits() == 0).await;

        assert_eq!(pool.run(Deadline::NONE, || ()).await, Err(Busy::QueueFull));

        assert_eq!(running.open().await, Ok("done"));
        assert_eq!(waiting.open().await, Ok("done"));
        assert_eq!(pool.run(Deadline::NONE, || "again").await, Ok("again"));
    }

    #[tokio::test(start_paused = true)]
    async fn gives_up_at_the_deadline_but_keeps_the_worker_until_the_job_ends() {
        let pool = pool(1, 1);
        let mut running = Gate::enter(&pool, Deadline::after(Duration::from_secs(1)));
        (&mut running.started).await.unwrap();
        let waiting = Gate::enter(&pool, Deadline::after(Duration::from_secs(1)));

        until(|| pool.places.available_permits() == 0).await;

        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(waiting.done.await.unwrap(), Err(Busy::Late));
        assert_eq!((&mut running.done).await.unwrap(), Err(Busy::Late));
        assert_eq!(pool.workers.available_permits(), 0, "the job still runs");

        running.open.send(()).unwrap();
        until(|| pool.workers.available_permits() == 1).await;
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_frees_its_place() {
        let pool = pool(1, 1);
        let mut running = Gate::enter(&pool, Deadline::NONE);
        (&mut running.started).await.unwrap();
        let waiting = Gate::enter(&pool, Deadline::NONE);
        until(|| pool.places.available_permits() == 0).await;

        waiting.done.abort();
        until(|| pool.places.available_permits() == 1).await;
        assert_eq!(running.open().await, Ok("done"));
    }

    #[tokio::test]
    async fn refuses_at_once_what_cannot_be_done_in_time() {
        let pool = pool(1, 8);
        pool.pace.learn(Duration::from_secs(3));
        let mut running = Gate::enter(&pool, Deadline::NONE);
        (&mut running.started).await.unwrap();

        // One running job of 3 s and our own 3 s do not fit in 5 s.
        let deadline = Deadline::after(Duration::from_secs(5));
        assert_eq!(pool.run(deadline, || ()).await, Err(Busy::Late));
        assert_eq!(running.open().await, Ok("done"));
    }

    #[tokio::test]
    async fn one_slow_job_does_not_close_the_pool_for_good() {
        let pool = pool(1, 8);
        pool.pace.learn(Duration::from_secs(60));
        let deadline = Deadline::after(Duration::from_secs(5));
        assert_eq!(pool.run(deadline, || ()).await, Ok(()));
        assert!(pool.pace.per_job() < Duration::from_secs(60), "it learns");
    }
}
