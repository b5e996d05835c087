//! Keeps a connection to libvirt from a thread of its own, and the last good snapshot while there is none. Never replaces a good snapshot
//! by a failure.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::connection::Connection;
use super::{LibvirtError, LibvirtState, ffi};
use crate::topology::model::Libvirt;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// What has no event (a changed `<bandwidth>`, a lease) is looked at this often, or less often where a look takes long.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// Of the time, this part at most goes into looks that no event asked for.
const SHARE: u32 = 20;

/// A thread that holds the connection; it ends, within a second or with libvirt's answer, after this.
#[derive(Debug)]
pub struct LibvirtWatch {
    state: watch::Receiver<LibvirtState>,
    stop: Arc<AtomicBool>,
}

impl LibvirtWatch {
    /// Starts connecting.
    ///
    /// # Errors
    /// [`LibvirtError::Thread`]. That there is no libvirt is told by the state.
    pub fn spawn(wanted: &Libvirt) -> Result<Self, LibvirtError> {
        let (sender, state) = watch::channel(LibvirtState::nothing(format!("not yet connected to {}", wanted.uri)));
        let stop = Arc::new(AtomicBool::new(false));
        let (wanted, stopped) = (wanted.clone(), Arc::clone(&stop));
        let thread = thread::Builder::new().name("libvirt".into());
        thread.spawn(move || keep(&wanted, &sender, &stopped)).map_err(LibvirtError::Thread)?;
        Ok(Self { state, stop })
    }

    /// The state of now.
    pub fn state(&self) -> LibvirtState {
        self.state.borrow().clone()
    }

    /// Waits until snapshot or health differ from what was last returned here. Cancel-safe.
    pub async fn changed(&mut self) -> LibvirtState {
        if self.state.changed().await.is_err() {
            // The thread holds the sender until this is dropped.
            std::future::pending::<()>().await;
        }
        self.state.borrow_and_update().clone()
    }
}

impl Drop for LibvirtWatch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn keep(wanted: &Libvirt, state: &watch::Sender<LibvirtState>, stop: &AtomicBool) {
    let mut pause = FIRST_PAUSE;
    loop {
        let started = Instant::now();
        match follow(wanted, state, stop) {
            Ok(()) => return,
            Err(error) => {
                tracing::debug!(%error, "libvirt");
                LibvirtState::lost(state, error.to_string());
            }
        }
        // A connection that held for a while starts from the shortest pause again.
        pause = if started.elapsed() > LONGEST_PAUSE { FIRST_PAUSE } else { pause };
        thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Until told to stop.
fn follow(wanted: &Libvirt, state: &watch::Sender<LibvirtState>, stop: &AtomicBool) -> Result<(), LibvirtError> {
    let connection = Connection::open(wanted)?;
    let mut due = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        if connection.news() || Instant::now() >= due {
            let began = Instant::now();
            LibvirtState::good(state, connection.snapshot()?);
            due = Instant::now() + LOOK_AGAIN.max(began.elapsed() * SHARE);
        }
        ffi::turn()?;
        connection.alive()?;
    }
    Ok(())
}
