//! A session of the compiled CPU backend allocates nothing once it is warm.

#![allow(unsafe_code, reason = "an allocator that counts")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering},
};

use expanse_cpu::{Convolutions, Team};
use expanse_domain::Seed;
use expanse_engine::{Kind, Running};
use expanse_tests::model::{Model, OPTIMIZER, Programs};

/// The system's allocator, which counts.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: it passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's contract is that of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// With several threads the queue of the pool takes a block of memory for every few dozen steps; on one there is no
/// queue.
#[test]
fn training_and_evaluation_allocate_nothing_once_they_are_warm() {
    const STEPS: usize = 20;
    for (threads, allowed, convolutions) in [(1, 0, Convolutions::Direct), (2, 2, Convolutions::Winograd)] {
        let model = Model { depth: 8, widen: None, image: [3, 32, 32], batch: 32, classes: 10 };
        let mut session =
            expanse_cpu::Session::new(Team::new(threads).unwrap(), OPTIMIZER).with_convolutions(convolutions);
        let Programs { backbone, head, loss } = model.record().unwrap();
        session.load(&[backbone, head, loss]).unwrap();
        session.import(Kind::Parameters, &model.initialize(Seed(0)).unwrap()).unwrap();
        let (batch, mut embedding) = (model.batch(Seed(0)), vec![0.0; 32 * 64]);
        let inputs = batch.inputs();
        let mut run = || {
            session.step(0, &inputs, 0.01).unwrap();
            session.forward(0, &inputs, &mut [("embedding", &mut embedding)]).unwrap();
        };
        // The list of losses grows to its size, and threads start.
        (0..STEPS + 13).for_each(|_| run());
        let before = ALLOCATIONS.load(Ordering::SeqCst);
        (0..STEPS).for_each(|_| run());
        let allocations = ALLOCATIONS.load(Ordering::SeqCst) - before;
        assert!(allocations <= allowed, "{allocations} allocations in {STEPS} steps of {threads} threads");
    }
}
