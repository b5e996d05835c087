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
