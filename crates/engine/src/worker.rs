use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{self, Receiver, Sender},
    thread,
};

/// A value in a thread of its own, which works through calls in their order.
pub struct Worker<T> {
    calls: Sender<Call<T>>,
}

type Call<T> = Box<dyn FnOnce(&mut T) + Send>;

impl<T: Send + 'static> Worker<T> {
    /// Begins the thread. It ends with the worker, once it has done what it was called to.
    pub fn begin(name: &str, mut value: T) -> io::Result<Self> {
        let (calls, called) = mpsc::channel::<Call<T>>();
        let work = move || called.into_iter().for_each(|call| call(&mut value));
        thread::Builder::new().name(name.into()).spawn(work)?;
        Ok(Self { calls })
    }

    /// Has the thread do something. The answer never comes, and its channel ends, where that panics.
    pub fn call<A: Send + 'static>(&self, work: impl FnOnce(&mut T) -> A + Send + 'static) -> Receiver<A> {
        let (answer, answered) = mpsc::channel();
        let call = move |value: &mut T| {
            if let Ok(result) = catch_unwind(AssertUnwindSafe(|| work(value))) {
                // Nobody may wait any more.
                let _ = answer.send(result);
            }
        };
        // Where the thread is gone, the call is dropped, and with it the answer's channel.
        let _ = self.calls.send(Box::new(call));
        answered
    }
}
