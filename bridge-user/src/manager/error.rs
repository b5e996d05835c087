//! Why the manager did not start, or ended.

use thiserror::Error;

use crate::{
    dataplane::DataplaneError,
    desired::DesiredError,
    metrics::ServeError,
    policy::LowerError,
    source::{libvirt::LibvirtError, netlink::NetlinkError},
    topology::Diagnostics,
};

/// An error that ends the manager.
#[derive(Debug, Error)]
pub enum ManagerError {
    /// The topology file.
    #[error("{0}")]
    Topology(Diagnostics),
    /// The runtime could not be made.
    #[error("cannot start: {0}")]
    Runtime(std::io::Error),
    /// Netlink.
    #[error("netlink: {0}")]
    Netlink(#[from] NetlinkError),
    /// There is nothing to attach to, or what is asked for would do harm.
    #[error("{0}")]
    Desired(#[from] DesiredError),
    /// The policy does not fit.
    #[error("the policy cannot be loaded: {0}")]
    Lower(#[from] LowerError),
    /// libvirt cannot be followed at all; that it does not answer is no error.
    #[error(transparent)]
    Libvirt(#[from] LibvirtError),
    /// Maps, programs, links, pins.
    #[error(transparent)]
    Dataplane(#[from] DataplaneError),
    /// The metrics endpoint.
    #[error(transparent)]
    Metrics(#[from] ServeError),
    /// Ports that no hook reaches.
    #[error(
        "no program can police these ports of the bridge: {}; take them out of the bridge, or accept each with a \
         [[port]] entry that matches it and says unpoliced = true",
        .0.join(", ")
    )]
    Unpoliced(Vec<String>),
}

impl ManagerError {
    /// See `cli`.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Topology(_) | Self::Lower(_) | Self::Libvirt(LibvirtError::NotBuilt) => 2,
            Self::Desired(_) | Self::Unpoliced(_) => 3,
            Self::Dataplane(error) if error.is_refusal() => 3,
            Self::Netlink(NetlinkError::NotPermitted(_)) => 3,
            Self::Runtime(_) | Self::Netlink(_) | Self::Dataplane(_) | Self::Metrics(_) | Self::Libvirt(_) => 1,
        }
    }
}
