//! One connection to libvirt: whole snapshots of the running domains, and whether to look again.
//!
//! It is opened read-only, so that libvirt itself refuses every change. Asking a guest's agent counts as one; only a topology that believes
//! agents opens it otherwise.

use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::{Error, ErrorNumber};
use virt::network::Network;
use virt::sys;

use super::ffi::{self, Events};
use super::{LibvirtError, xml};
use crate::mac;
use crate::source::{GuestInterface, LibvirtSnapshot};
use crate::topology::model::Libvirt;

/// Seconds between two questions to a silent libvirt, and how many may stay without an answer.
const KEEP_ALIVE: (i32, u32) = (5, 2);

/// A connection that hears events.
pub(super) struct Connection {
    // Dropped in this order: what refers to the connection goes first.
    events: Events,
    connect: Connect,
    believe_agents: bool,
}

impl Connection {
    pub(super) fn open(wanted: &Libvirt) -> Result<Self, LibvirtError> {
        ffi::prepare()?;
        let uri = Some(wanted.uri.as_str());
        let opened = if wanted.guest_agent { Connect::open(uri) } else { Connect::open_read_only(uri) };
        let connect = opened
            .map_err(|error| LibvirtError::Connect { uri: wanted.uri.clone(), why: error.message().to_owned() })?;
        // A driver within the library has nobody to ask.
        let _no_daemon = connect.set_keep_alive(KEEP_ALIVE.0, KEEP_ALIVE.1);
        let events = Events::listen(&connect)?;
        Ok(Self { events, connect, believe_agents: wanted.guest_agent })
    }

    /// Whether something happened since the last call.
    pub(super) fn news(&self) -> bool {
        self.events.news()
    }

    pub(super) fn alive(&self) -> Result<(), LibvirtError> {
        if self.connect.is_alive().is_ok_and(|alive| alive) { Ok(()) } else { Err(LibvirtError::Closed) }
    }

    /// Every running domain's interfaces. One domain that cannot be read makes the whole snapshot an error; one that is gone meanwhile is gone.
    pub(super) fn snapshot(&self) -> Result<LibvirtSnapshot, LibvirtError> {
        let domains = self.connect.list_all_domains(sys::VIR_CONNECT_LIST_DOMAINS_ACTIVE);
        let mut interfaces = Vec::new();
        for domain in domains.map_err(refused("the list of domains"))? {
            interfaces.extend(self.interfaces(&domain)?);
        }
        interfaces.sort_by(|a, b| (&a.domain, &a.tap).cmp(&(&b.domain, &b.tap)));
        Ok(LibvirtSnapshot { interfaces })
    }

    fn interfaces(&self, domain: &Domain) -> Result<Vec<GuestInterface>, LibvirtError> {
        let name = domain.get_name().map_err(refused("the name of a domain"))?;
        let text = match domain.get_xml_desc(0) {
            Ok(text) => text,
            Err(error) if error.code() == ErrorNumber::NoDomain => return Ok(Vec::new()),
            Err(error) => return Err(refused("the XML of a domain")(error)),
        };
        let read = xml::parse(&name, &text)?;
        if !read.running {
            return Ok(Vec::new());
        }
        let mut interfaces = read.interfaces;
        for interface in &mut interfaces {
            if let (None, Some(network)) = (&interface.bridge, &interface.network) {
                interface.bridge = self.bridge_of(network);
            }
        }
        self.add_addresses(domain, read.agent, &mut interfaces);
        Ok(interfaces)
    }

    /// `None`: libvirt does not tell (the network is gone, or its daemon is not there).
    fn bridge_of(&self, network: &str) -> Option<String> {
        Network::lookup_by_name(&self.connect, network).and_then(|network| network.get_bridge_name()).ok()
    }

    /// Leases of libvirt's own networks, and what an agent says if it is believed. Not to be had is the usual case, and nothing.
    fn add_addresses(&self, domain: &Domain, agent: bool, interfaces: &mut [GuestInterface]) {
        let leased = interfaces.iter().any(|interface| interface.network.is_some());
        let sources = [
            (leased, sys::VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE),
            (agent && self.believe_agents, sys::VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT),
        ];
        for (_, source) in sources.into_iter().filter(|(asked, _)| *asked) {
            for (hardware, addresses) in ffi::addresses(domain, source) {
                let of_it = |interface: &&mut GuestInterface| mac::parse(&hardware) == Some(interface.mac);
                if let Some(interface) = interfaces.iter_mut().find(of_it) {
                    interface.addresses.extend(addresses);
                }
            }
        }
    }
}

/// libvirt refused a call.
pub(super) fn refused(call: &'static str) -> impl FnOnce(Error) -> LibvirtError {
    move |error| LibvirtError::Refused { call, why: error.message().to_owned() }
}
