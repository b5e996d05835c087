//! Our programs' attachments: made once, pinned, updated in place, never detached on a restart.
//!
//! tcx is tried first, then clsact with a fixed priority and handle (RHEL 9 has tcx with an old version number, so the
//! kernel is asked, not its version).

use std::{fs, io, path::Path};

use aya::{
    Ebpf,
    programs::{
        LinkOrder, ProgramError, SchedClassifier, TcAttachType, Xdp, XdpMode,
        links::{FdLink, PinnedLink},
        tc::{SchedClassifierLink, TcAttachOptions, TcError},
        xdp::XdpLink,
    },
    sys::SyscallError,
};

use super::{
    clsact,
    error::{DataplaneError, at},
    link::{HeldLink, Opened, opened},
    object::{self, TC_IN, TC_OUT, TC_WATCH, XDP},
    pins::Pins,
};
use crate::{desired::HookPoint, reconcile::Fault};

/// How one program is attached.
#[derive(Debug)]
pub(super) enum Attachment {
    /// A pinned bpf_link (XDP, tcx), held open to be asked what it sits on.
    Link(HeldLink),
    /// A clsact filter, see [`clsact`].
    Filter,
}

pub(super) type Outcome<T> = Result<T, Fault<DataplaneError>>;

/// Attaches, or updates in place what is attached already.
pub(super) fn attach(
    ebpf: &mut Ebpf,
    pins: &Pins,
    (ifindex, name): (u32, &str),
    point: HookPoint,
    old: Option<Attachment>,
) -> Outcome<Attachment> {
    if !belongs(ifindex, name) {
        return Err(Fault::Gone(ifindex));
    }
    let path = pins.link(ifindex, point);
    let link = match (old, point) {
        // Updated in place under its pin: no moment at which only this process keeps it alive.
        (Some(Attachment::Link(held)), HookPoint::Xdp) => {
            update_xdp(ebpf, pinned(&path)?, ifindex)?;
            return Ok(Attachment::Link(held));
        }
        (Some(Attachment::Link(held)), _) => {
            update_tc(ebpf, pinned(&path)?, ifindex, point)?;
            return Ok(Attachment::Link(held));
        }
        (_, HookPoint::Xdp) => Some(attach_xdp(ebpf, ifindex, name)?),
        (Some(Attachment::Filter), _) => None,
        (None, _) => attach_tcx(ebpf, ifindex, name, point)?,
    };
    let Some(link) = link else {
        clsact::attach(ebpf, &path, (ifindex, name), point)?;
        return if belongs(ifindex, name) { Ok(Attachment::Filter) } else { Err(Fault::Gone(ifindex)) };
    };
    if !belongs(ifindex, name) {
        return Err(Fault::Gone(ifindex));
    }
    if path.exists() {
        fs::remove_file(&path).map_err(at(&path)).map_err(Fault::Failed)?;
    }
    let unpinned = |what| Fault::Failed(DataplaneError::Pins { path: path.clone(), what });
    // Let go only after it is open here as well.
    let _pinned = link.pin(&path).map_err(|error| unpinned(error.to_string()))?;
    match opened(&path) {
        Opened::Link(held) => Ok(Attachment::Link(held)),
        Opened::Program | Opened::Nothing => Err(unpinned("it is gone already".into())),
    }
}

fn pinned(path: &Path) -> Outcome<PinnedLink> {
    PinnedLink::from_pin(path)
        .map_err(|error| Fault::Failed(DataplaneError::Pins { path: path.into(), what: error.to_string() }))
}

/// Detaches what is ours.
pub(super) fn detach(
    path: &Path,
    ifindex: u32,
    attachment: Attachment,
    point: HookPoint,
) -> Result<(), DataplaneError> {
    match attachment {
        Attachment::Link(_) => match fs::remove_file(path) {
            // Somebody has removed the pin: the link ends with our hold on it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(at(path)),
        },
        Attachment::Filter => clsact::detach(path, ifindex, point),
    }
}

/// What is pinned at `path`; `None` if it cannot be opened, or sits on its interface no more.
pub(super) fn find(path: &Path, ifindex: u32, point: HookPoint) -> Option<Attachment> {
    match opened(path) {
        Opened::Link(link) if link.sits_on(ifindex) => Some(Attachment::Link(link)),
        Opened::Program => clsact::is_ours(path, ifindex, point).is_ok_and(|ours| ours).then_some(Attachment::Filter),
        Opened::Link(_) | Opened::Nothing => None,
    }
}

/// Removes the pin of a link whose interface is gone; any other stays.
pub(super) fn bury(path: &Path) {
    if matches!(opened(path), Opened::Link(link) if link.sits_on(0)) {
        let _removed_by_another = fs::remove_file(path);
    }
}

/// Whether the attachment still sits on its interface, and is still pinned.
pub(super) fn is_alive(attachment: &Attachment, path: &Path, ifindex: u32, point: HookPoint) -> bool {
    match attachment {
        Attachment::Link(_) => matches!(opened(path), Opened::Link(link) if link.sits_on(ifindex)),
        // Could not ask: believe it, the next round asks again.
        Attachment::Filter => clsact::is_ours(path, ifindex, point).unwrap_or(true),
    }
}

fn belongs(ifindex: u32, name: &str) -> bool {
    nix::net::if_::if_nametoindex(name).is_ok_and(|found| found == ifindex)
}

pub(super) fn direction(point: HookPoint) -> TcAttachType {
    if point == HookPoint::TcEgress { TcAttachType::Egress } else { TcAttachType::Ingress }
}

/// The TC program of a point.
pub(super) fn tc_name(point: HookPoint) -> &'static str {
    match point {
        HookPoint::TcEgress => TC_OUT,
        HookPoint::TcWatch => TC_WATCH,
        HookPoint::TcIngress | HookPoint::Xdp => TC_IN,
    }
}

pub(super) fn tc_program(ebpf: &mut Ebpf, point: HookPoint) -> Outcome<&mut SchedClassifier> {
    object::program(ebpf, tc_name(point)).map_err(|error| Fault::Failed(error.into()))
}

fn update_tc(ebpf: &mut Ebpf, link: PinnedLink, ifindex: u32, point: HookPoint) -> Outcome<()> {
    let program = tc_program(ebpf, point)?;
    let link = SchedClassifierLink::try_from(FdLink::from(link)).map_err(|error| not_ours(ifindex, &error))?;
    let id = program.attach_to_link(link).map_err(|error| fault(ifindex, "the link", error))?;
    program.take_link(id).map(drop).map_err(|error| fault(ifindex, "the link", error))
}

fn update_xdp(ebpf: &mut Ebpf, link: PinnedLink, ifindex: u32) -> Outcome<()> {
    let program: &mut Xdp = object::program(ebpf, XDP).map_err(|error| Fault::Failed(error.into()))?;
    let link = XdpLink::try_from(FdLink::from(link)).map_err(|error| not_ours(ifindex, &error))?;
    let id = program.attach_to_link(link).map_err(|error| fault(ifindex, "the link", error))?;
    program.take_link(id).map(drop).map_err(|error| fault(ifindex, "the link", error))
}

fn attach_xdp(ebpf: &mut Ebpf, ifindex: u32, name: &str) -> Outcome<FdLink> {
    let program: &mut Xdp = object::program(ebpf, XDP).map_err(|error| Fault::Failed(error.into()))?;
    let id = program.attach_to_if_index(ifindex, XdpMode::Driver).map_err(|error| match errno(&error) {
        Some(libc::EBUSY | libc::EEXIST) => taken(
            name,
            "another XDP program sits on this interface (ip link show); detach it, or choose hook = \"tc\" for this port",
        ),
        Some(libc::EOPNOTSUPP) => taken(name, "its driver has no native XDP; choose hook = \"tc\" for this port"),
        _ => fault(ifindex, name, error),
    })?;
    let link = program.take_link(id).map_err(|error| fault(ifindex, name, error))?;
    // aya falls back to netlink where the kernel has no XDP links; that attachment dies with us.
    FdLink::try_from(link)
        .map_err(|_| taken(name, "this kernel has no XDP links (5.9 or later has); choose hook = \"tc\""))
}

/// `None`: this kernel has no tcx.
fn attach_tcx(ebpf: &mut Ebpf, ifindex: u32, name: &str, point: HookPoint) -> Outcome<Option<FdLink>> {
    if std::env::var_os("FASTBRIDGE_NO_TCX").is_some() {
        return Ok(None);
    }
    let program = tc_program(ebpf, point)?;
    let options = TcAttachOptions::TcxOrder(LinkOrder::default());
    match program.attach_with_options(name, direction(point), options) {
        Ok(id) => {
            let link = program.take_link(id).map_err(|error| fault(ifindex, name, error))?;
            FdLink::try_from(link).map(Some).map_err(|error| not_ours(ifindex, &error))
        }
        Err(error) if errno(&error) == Some(libc::EINVAL) => Ok(None),
        Err(error) => Err(fault(ifindex, name, error)),
    }
}

fn not_ours(ifindex: u32, error: &dyn std::fmt::Display) -> Fault<DataplaneError> {
    let what = format!("the pinned link is of another kind than ours ({error}); run `fastbridge detach`");
    taken(&format!("interface {ifindex}"), &what)
}

pub(super) fn taken(name: &str, what: &str) -> Fault<DataplaneError> {
    Fault::Failed(DataplaneError::HookTaken { name: name.into(), what: what.into() })
}

pub(super) fn fault(ifindex: u32, name: &str, error: ProgramError) -> Fault<DataplaneError> {
    match errno(&error) {
        Some(libc::ENODEV | libc::ENOLINK) => Fault::Gone(ifindex),
        _ => Fault::Failed(DataplaneError::Attach { name: name.into(), error: Box::new(error) }),
    }
}

pub(super) fn errno(error: &ProgramError) -> Option<i32> {
    match error {
        ProgramError::SyscallError(SyscallError { io_error, .. }) => io_error.raw_os_error(),
        ProgramError::TcError(error) => tc_errno(error),
        ProgramError::UnknownInterface { .. } => Some(libc::ENODEV),
        ProgramError::IOError(error) => error.raw_os_error(),
        _ => None,
    }
}

pub(super) fn tc_errno(error: &TcError) -> Option<i32> {
    match error {
        TcError::NetlinkError(error) => error.raw_os_error(),
        TcError::IoError(error) => io::Error::raw_os_error(error),
        _ => None,
    }
}
