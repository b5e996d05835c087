//! Stands in for the watch where libvirt is not built in: there is none, and the one who asks is told so.

use std::convert::Infallible;

use super::{LibvirtError, LibvirtState};
use crate::topology::model::Libvirt;

/// There is none.
#[derive(Debug)]
pub struct LibvirtWatch(Infallible);

impl LibvirtWatch {
    /// # Errors
    /// Always [`LibvirtError::NotBuilt`].
    pub fn spawn(_wanted: &Libvirt) -> Result<Self, LibvirtError> {
        Err(LibvirtError::NotBuilt)
    }

    /// The state of now.
    pub fn state(&self) -> LibvirtState {
        match self.0 {}
    }

    /// Waits until the state differs from what was last returned here.
    pub async fn changed(&mut self) -> LibvirtState {
        match self.0 {}
    }
}
