//! The thread of the publishers. In the readers' run queue an answer would wait behind a thousand deliveries, and the
//! run would measure the load generator's queue.

use std::io;
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// A thread with its own runtime. It ends when this is dropped.
#[derive(Debug)]
pub struct PublisherThread {
    handle: Handle,
    _stop: oneshot::Sender<()>,
}

impl PublisherThread {
    /// Starts it.
    ///
    /// # Errors
    /// If the system cannot start a thread.
    pub fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (handle, (stop, stopped)) = (runtime.handle().clone(), oneshot::channel::<()>());
        thread::Builder::new().name("publishers".into()).spawn(move || {
            // Nothing is sent: dropping the sender ends the runtime.
            let _ = runtime.block_on(stopped);
        })?;
        Ok(Self { handle, _stop: stop })
    }

    /// The handle for spawning tasks in it.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}
