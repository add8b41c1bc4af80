//! A tiny executor: a list of futures, of which whoever has it says which is polled next. Only one
//! that was woken may be polled, so that a wake-up that is lost shows.

use std::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake},
};

type Work = Pin<Box<dyn Future<Output = ()>>>;

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

struct Task {
    name: String,
    /// Whoever asked for it may go away; what is detached is never dropped before the process.
    detached: bool,
    work: Work,
    woken: Arc<Woken>,
}

/// Takes tasks while others run.
#[derive(Clone, Default)]
pub struct Spawner(Rc<RefCell<Vec<Task>>>);

impl Spawner {
    pub fn spawn(&self, name: String, detached: bool, work: impl Future<Output = ()> + 'static) {
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        self.0.borrow_mut().push(Task { name, detached, work: Box::pin(work), woken });
    }
}

/// All tasks of one process.
#[derive(Default)]
pub struct Tasks {
    tasks: Vec<Task>,
    spawner: Spawner,
}

impl Tasks {
    pub fn spawner(&self) -> Spawner {
        self.spawner.clone()
    }

    fn take_in(&mut self) {
        self.tasks.append(&mut self.spawner.0.borrow_mut());
    }

    pub fn len(&mut self) -> usize {
        self.take_in();
        self.tasks.len()
    }

    /// Those that were woken since they were last polled.
    pub fn ready(&mut self) -> Vec<usize> {
        self.take_in();
        let woken = |index: &usize| self.tasks[*index].woken.0.load(Ordering::SeqCst);
        (0..self.tasks.len()).filter(woken).collect()
    }

    pub fn name(&self, index: usize) -> &str {
        &self.tasks[index].name
    }

    /// Polls one; whether it ended.
    pub fn poll(&mut self, index: usize) -> bool {
        let task = &mut self.tasks[index];
        task.woken.0.store(false, Ordering::SeqCst);
        let waker = Arc::clone(&task.woken).into();
        let ended = task.work.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        if ended {
            drop(self.tasks.swap_remove(index));
        }
        ended
    }

    /// Those that may be dropped before they end.
    pub fn cancellable(&mut self) -> Vec<usize> {
        self.take_in();
        (0..self.tasks.len()).filter(|index| !self.tasks[*index].detached).collect()
    }

    pub fn cancel(&mut self, index: usize) {
        drop(self.tasks.swap_remove(index));
    }

    /// What does not get on, for a message.
    pub fn names(&self) -> Vec<&str> {
        self.tasks.iter().map(|task| task.name.as_str()).collect()
    }
}

/// Polls a future once more, whether it was woken or not.
pub fn poll_now<T>(future: &mut Pin<Box<dyn Future<Output = T> + '_>>) -> Poll<T> {
    future.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop()))
}
