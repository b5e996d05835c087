//! Tells when the topology file may have changed. Watches its directory: editors and configuration managers replace
//! files instead of writing into them.

use std::path::{Path, PathBuf};

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::{sync::mpsc, time};
use tracing::warn;

/// A burst of events ends after this silence.
const QUIET: time::Duration = time::Duration::from_millis(100);

/// Watches one file.
pub(super) struct FileWatch {
    path: PathBuf,
    events: mpsc::UnboundedReceiver<()>,
    /// When the burst that has begun ends, unless it goes on.
    due: Option<time::Instant>,
    _watcher: Option<RecommendedWatcher>,
}

impl FileWatch {
    /// Starts watching. Where that is impossible SIGHUP still works, and a warning says so.
    pub(super) fn new(path: &Path) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let watcher = watch(path, sender);
        if let Err(error) = &watcher {
            warn!("cannot watch {}: {error}; changes are taken over by SIGHUP only", path.display());
        }
        Self { path: path.into(), events, due: None, _watcher: watcher.ok() }
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for a change. Cancel-safe: a burst that has begun is remembered.
    pub(super) async fn changed(&mut self) {
        loop {
            let event = match self.due {
                None => self.events.recv().await,
                Some(due) => match time::timeout_at(due, self.events.recv()).await {
                    Ok(event) => event,
                    Err(_quiet) => {
                        self.due = None;
                        return;
                    }
                },
            };
            if event.is_none() {
                std::future::pending::<()>().await; // the watcher is gone
            }
            self.due = Some(time::Instant::now() + QUIET);
        }
    }
}

fn watch(path: &Path, sender: mpsc::UnboundedSender<()>) -> notify::Result<RecommendedWatcher> {
    let path = path.canonicalize()?;
    let name = path.file_name().map(ToOwned::to_owned);
    let directory = path.parent().unwrap_or(Path::new("/")).to_owned();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let ours = |event: &notify::Event| {
            !event.kind.is_access() && event.paths.iter().any(|path| path.file_name() == name.as_deref())
        };
        if event.as_ref().is_ok_and(ours) {
            let _manager_left = sender.send(());
        }
    })?;
    watcher.watch(&directory, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}
