//! libvirt as a source: its last good word, and what it is worth. Nothing waits for it: it may start after us, or never.

use std::{future::pending, sync::Arc, time::Duration};

use tokio::time::timeout;
use tracing::{info, warn};

use crate::{
    dataplane::notes::LibvirtNote,
    source::{
        LibvirtSnapshot,
        libvirt::{LibvirtError, LibvirtState, LibvirtWatch},
        told::Health,
    },
    topology::model::Topology,
};

/// How long the start waits for the first word. Short: a unit that starts before libvirt waits in vain.
const FIRST_WORD: Duration = Duration::from_secs(1);

/// libvirt, where the topology names one.
pub(super) struct Guests {
    watch: Option<LibvirtWatch>,
    told: Option<Told>,
}

/// What libvirt said last.
#[derive(Clone)]
pub(super) struct Told {
    /// The last good word.
    pub(super) snapshot: Option<Arc<LibvirtSnapshot>>,
    /// For people.
    pub(super) note: LibvirtNote,
}

impl Guests {
    /// Starts following libvirt.
    pub(super) async fn open(topology: &Topology) -> Result<Self, LibvirtError> {
        let Some(wanted) = &topology.libvirt else { return Ok(Self { watch: None, told: None }) };
        let mut watch = LibvirtWatch::spawn(wanted)?;
        // The first state is that there is none yet; the second is an answer, or why there is none.
        let _not_yet = timeout(FIRST_WORD, watch.changed()).await;
        let note = LibvirtNote { uri: wanted.uri.clone(), ..LibvirtNote::default() };
        let mut this = Self { told: Some(Told { snapshot: None, note }), watch: None };
        this.hear(watch.state());
        this.watch = Some(watch);
        Ok(this)
    }

    /// Its last word; `None`: the topology names no libvirt.
    pub(super) fn told(&self) -> Option<&Told> {
        self.told.as_ref()
    }

    /// The last good snapshot.
    pub(super) fn snapshot(&self) -> Option<&LibvirtSnapshot> {
        self.told.as_ref()?.snapshot.as_deref()
    }

    /// Waits until it says something new, or falls silent. Cancel-safe.
    pub(super) async fn changed(&mut self) {
        let Some(watch) = &mut self.watch else { return pending().await };
        let state = watch.changed().await;
        self.hear(state);
    }

    /// A loss and a recovery are told once each.
    fn hear(&mut self, state: LibvirtState) {
        let Some(told) = &mut self.told else { return };
        let lost = match state.health {
            Health::Current => None,
            Health::Lost { why, .. } => Some(why),
        };
        match (&lost, &told.note.lost) {
            (Some(why), None) => {
                warn!("libvirt: {why}; its last word, if any, stands, and everything else goes on without it")
            }
            (None, Some(_)) => info!("libvirt: {} answers", told.note.uri),
            _ => {}
        }
        told.note.lost = lost;
        told.note.interfaces = state.snapshot.as_ref().map_or(0, |snapshot| snapshot.interfaces.len());
        told.snapshot = state.snapshot;
    }
}
