//! What the host does for a plugin in a process of its own. Its services belong to the process, so one test goes through
//! them in order.
#![cfg(unix)]

use std::{
    io,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use expanse_domain::{Matrix, Seed};
use expanse_host::{
    Host, HostError, LOG_TARGET, Sampler, Synthetic, Worker, cancel, on_progress, set_stall_limit,
};
use expanse_tests::{driver, fixture};
use serde_json::{Value, json};

#[test]
fn records_progress_stalls_and_cancellation_pass_from_one_process_to_the_other() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(format!(
            "warn,{LOG_TARGET}::fixture-misbehaving=info,{LOG_TARGET}::sampler-eos=trace"
        ))
        .with_writer({
            let log = log.clone();
            move || Lines(log.clone())
        })
        .without_time()
        .with_ansi(false)
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let open = |mode: &str| isolated("misbehaving", json!({ "mode": mode }));

    resample(&*open("log")).unwrap();
    let told = String::from_utf8(std::mem::take(&mut *log.lock().unwrap())).unwrap();
    assert!(
        told.contains("INFO plugin::fixture-misbehaving: working on=rows: said through tracing"),
        "{told}"
    );
    assert!(told.contains("WARN plugin::fixture-misbehaving: said through log about 6 columns"), "{told}");
    assert!(!told.contains("whispered"), "{told}");

    set_stall_limit(Some(Duration::from_millis(300)));
    let hostile = isolated("hostile", json!({"harm": "loop"}));
    let began = Instant::now();
    let error = resample(&*hostile).unwrap_err();
    assert!(matches!(error, HostError::Stalled { .. }), "{error}");
    assert!(began.elapsed() < Duration::from_secs(10));

    // It tells how far it has come, so it does not count as stalled, and stops when asked.
    let heard = Arc::new(Mutex::new(0u64));
    let told = heard.clone();
    on_progress(move |library, done, _| {
        assert_eq!(library, "fixture-misbehaving");
        *told.lock().unwrap() = done;
    });
    let sampler = open("until-cancelled");
    let working = thread::spawn(move || resample(&*sampler));
    while *heard.lock().unwrap() < 500 {
        assert!(!working.is_finished(), "{:?}", working.join());
        thread::sleep(Duration::from_millis(5));
    }
    cancel();
    let stopped = working.join().unwrap();
    assert!(matches!(stopped, Err(HostError::Cancelled)), "{stopped:?}");
}

fn isolated(library: &str, options: Value) -> Box<dyn Sampler> {
    let worker = Worker { program: driver(), arguments: vec!["plugin-worker".into()] };
    let host = Host::new(Vec::new()).with_worker(worker);
    let library = fixture(library);
    host.isolated_sampler(library.to_str().unwrap(), options.as_object().unwrap(), None).unwrap().0
}

fn resample(sampler: &dyn Sampler) -> Result<Synthetic, HostError> {
    let features = Matrix::new((0..24).map(|value| value as f32).collect(), 4, 6).unwrap();
    sampler.resample(features.view(), &[0, 0, 1, 1], &[1, 1], Seed(0))
}

struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
