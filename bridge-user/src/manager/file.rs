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
        Self { path: path.into(), events, _watcher: watcher.ok() }
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for a change. Cancel-safe: a change that is cut off here comes again with the next event of its burst or
    /// was read whole.
    pub(super) async fn changed(&mut self) {
        if self.events.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        while let Ok(Some(())) = time::timeout(QUIET, self.events.recv()).await {}
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
