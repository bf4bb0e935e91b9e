//! The threads that work together.

use std::sync::Arc;

use rayon::{
    ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder,
    iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator},
    slice::ParallelSliceMut,
};

use crate::kernels::simd::Isa;

/// Threads and the instruction set that they use. Clones share the threads.
#[derive(Clone, Debug)]
pub struct Team {
    pool: Option<Arc<ThreadPool>>,
    isa: Isa,
}

impl Team {
    /// A team of as many threads, with the widest instruction set that the processor has.
    ///
    /// # Errors
    ///
    /// If the system gives no threads.
    pub fn new(threads: usize) -> Result<Self, ThreadPoolBuildError> {
        Self::with_isa(threads, Isa::detect())
    }

    /// As [`new`](Self::new), with an instruction set of [`Isa::available`].
    ///
    /// # Errors
    ///
    /// If the system gives no threads.
    pub fn with_isa(threads: usize, isa: Isa) -> Result<Self, ThreadPoolBuildError> {
        let pool = match threads {
            0 | 1 => None,
            threads => Some(Arc::new(ThreadPoolBuilder::new().num_threads(threads).build()?)),
        };
        Ok(Self { pool, isa })
    }

    /// The instruction set.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// The number of threads.
    pub fn threads(&self) -> usize {
        self.pool.as_ref().map_or(1, |pool| pool.current_num_threads())
    }

    /// Runs `work` on the team, or on the calling thread alone where it is too small to be shared.
    pub(crate) fn run<R: Send>(&self, large: bool, work: impl FnOnce(Crew) -> R + Send) -> R {
        match &self.pool {
            Some(pool) if large => pool.install(|| work(Crew { shared: true, isa: self.isa })),
            _ => work(Crew { shared: false, isa: self.isa }),
        }
    }
}

/// Those of the team that work on a step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crew {
    shared: bool,
    pub isa: Isa,
}

impl Crew {
    /// Runs each task once, in any order.
    pub fn each(&self, tasks: usize, run: impl Fn(usize) + Sync + Send) {
        if self.shared && tasks > 1 {
            (0..tasks).into_par_iter().with_max_len(1).for_each(run);
        } else {
            (0..tasks).for_each(run);
        }
    }

    /// Runs `run` on each chunk of `length` elements, with its number.
    pub fn chunks<T: Send>(
        &self,
        slice: &mut [T],
        length: usize,
        run: impl Fn(usize, &mut [T]) + Sync + Send,
    ) {
        if self.shared {
            slice.par_chunks_mut(length).enumerate().for_each(|(at, chunk)| run(at, chunk));
        } else {
            slice.chunks_mut(length).enumerate().for_each(|(at, chunk)| run(at, chunk));
        }
    }

    /// Runs `run` on the chunks of the same number of two slices.
    pub fn chunk_pairs<T: Send>(
        &self,
        (one, other): (&mut [T], &mut [T]),
        lengths: [usize; 2],
        run: impl Fn(usize, &mut [T], &mut [T]) + Sync + Send,
    ) {
        if self.shared {
            let pairs = one.par_chunks_mut(lengths[0]).zip(other.par_chunks_mut(lengths[1]));
            pairs.enumerate().for_each(|(at, (one, other))| run(at, one, other));
        } else {
            let pairs = one.chunks_mut(lengths[0]).zip(other.chunks_mut(lengths[1]));
            pairs.enumerate().for_each(|(at, (one, other))| run(at, one, other));
        }
    }
}
