//! Keeps a connection to libvirt from a thread of its own, and the last good snapshot while there is none. Never replaces a good snapshot
//! by a failure.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::connection::Connection;
use super::{LibvirtError, LibvirtState, ffi};
use crate::source::told::Health;
use crate::topology::model::Libvirt;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// What has no event (a changed `<bandwidth>`, a lease) is looked at this often, or less often where a look takes long.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// Of the time, this part at most goes into looks that no event asked for.
const SHARE: u32 = 20;

/// A libvirt that has not let the thread turn for this long hangs: libvirt's own keep-alive does not end a call that waits.
const SILENCE: Duration = Duration::from_secs(10);

/// What the thread and its owner share.
#[derive(Debug)]
struct Shared {
    state: watch::Sender<LibvirtState>,
    stop: AtomicBool,
    /// When the thread last went round.
    turned: Mutex<Instant>,
}

/// A thread that holds the connection; it ends, within a second or with libvirt's answer, after this.
#[derive(Debug)]
pub struct LibvirtWatch {
    state: watch::Receiver<LibvirtState>,
    shared: Arc<Shared>,
}

impl LibvirtWatch {
    /// Starts connecting.
    ///
    /// # Errors
    /// [`LibvirtError::Thread`]. That there is no libvirt is told by the state.
    pub fn spawn(wanted: &Libvirt) -> Result<Self, LibvirtError> {
        let (sender, state) = watch::channel(LibvirtState::nothing(format!("not yet connected to {}", wanted.uri)));
        let turned = Mutex::new(Instant::now());
        let shared = Arc::new(Shared { state: sender, stop: AtomicBool::new(false), turned });
        let (wanted, its) = (wanted.clone(), Arc::clone(&shared));
        let thread = thread::Builder::new().name("libvirt".into());
        thread.spawn(move || keep(&wanted, &its)).map_err(LibvirtError::Thread)?;
        Ok(Self { state, shared })
    }

    /// The state of now.
    pub fn state(&self) -> LibvirtState {
        self.state.borrow().clone()
    }

    /// Waits until snapshot or health differ from what was last returned here. Cancel-safe.
    pub async fn changed(&mut self) -> LibvirtState {
        // Before each wait, however short the caller's patience is. The wait never fails: the sender is ours as well.
        loop {
            self.shared.lost_if_silent();
            if tokio::time::timeout(SILENCE / 4, self.state.changed()).await.is_ok() {
                break;
            }
        }
        self.state.borrow_and_update().clone()
    }
}

impl Drop for LibvirtWatch {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn turned(&self) -> std::sync::MutexGuard<'_, Instant> {
        self.turned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread waits in a call: its word is not of now. When libvirt answers, the thread says so itself.
    fn lost_if_silent(&self) {
        if self.turned().elapsed() > SILENCE && self.state.borrow().health == Health::Current {
            LibvirtState::lost(&self.state, format!("libvirt has not answered for {} s", SILENCE.as_secs()));
        }
    }
}

fn keep(wanted: &Libvirt, shared: &Shared) {
    let mut pause = FIRST_PAUSE;
    loop {
        let started = Instant::now();
        match follow(wanted, shared) {
            Ok(()) => return,
            Err(error) => {
                tracing::debug!(%error, "libvirt");
                LibvirtState::lost(&shared.state, error.to_string());
            }
        }
        // A connection that held for a while starts from the shortest pause again.
        pause = if started.elapsed() > LONGEST_PAUSE { FIRST_PAUSE } else { pause };
        thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Until told to stop.
fn follow(wanted: &Libvirt, shared: &Shared) -> Result<(), LibvirtError> {
    let connection = Connection::open(wanted)?;
    let mut due = Instant::now();
    while !shared.stop.load(Ordering::Relaxed) {
        *shared.turned() = Instant::now();
        if connection.news() || Instant::now() >= due {
            let began = Instant::now();
            LibvirtState::good(&shared.state, connection.snapshot()?);
            due = Instant::now() + LOOK_AGAIN.max(began.elapsed() * SHARE);
        }
        ffi::turn()?;
        connection.alive()?;
    }
    Ok(())
}
