//! The programs' per-frame log (feature `trace`), handed on to this process's log.

use aya::Ebpf;
use aya_log::EbpfLogger;
use tracing::warn;

/// Reads the log for as long as the process lives.
pub(super) fn follow(ebpf: &mut Ebpf) {
    match EbpfLogger::init(ebpf) {
        Ok(mut logger) => {
            std::thread::spawn(move || {
                loop {
                    logger.flush();
                    std::thread::sleep(std::time::Duration::from_millis(50));
                }
            });
        }
        Err(error) => warn!("the programs' log cannot be read: {error}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{
        io,
        sync::{Arc, Mutex},
        time::{Duration, Instant},
    };

    use aya::{
        TestRun as _,
        programs::{SchedClassifier, TestRunOptions, Xdp},
    };
    use bridge_common::abi::{Counted, Drop, maps::DEFAULT_LIMITS};

    use crate::dataplane::object::{LoadOptions, TC_IN, TC_OUT, XDP, load, program};

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The verifier takes all three programs with their log, and each tells what became of a frame.
    #[test]
    fn every_program_logs_the_frame_that_it_judged() {
        let sink = Sink::default();
        let writer = sink.clone();
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).try_init().unwrap();
        let mut ebpf = load(LoadOptions { limits: DEFAULT_LIMITS, pins: None, record_verdict: false }).unwrap();
        // No map is filled: there is no port, and nothing is ready.
        for (name, length) in [(TC_IN, 60), (TC_OUT, 61)] {
            let frame = vec![0; length];
            let tc: &mut SchedClassifier = program(&mut ebpf, name).unwrap();
            tc.test_run(TestRunOptions { data_in: Some(&frame), ..TestRunOptions::default() }).unwrap();
        }
        let xdp: &mut Xdp = program(&mut ebpf, XDP).unwrap();
        xdp.test_run(TestRunOptions { data_in: Some(&[0; 62]), ..TestRunOptions::default() }).unwrap();
        let line = |counted: Counted, length| format!("slot 0 cell {} rule {} len {length}", counted.cell(), u32::MAX);
        let (dropped, kept_in) = (Counted::Drop(Drop::NotReady), Counted::EgressDrop(Drop::NotReady));
        let wanted = [line(dropped, 60), line(kept_in, 61), line(dropped, 62)];
        let began = Instant::now();
        let logged = || String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        while !wanted.iter().all(|line| logged().contains(line)) {
            assert!(began.elapsed() < Duration::from_secs(10), "not all of {wanted:#?} in {:?}", logged());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
