//! Attachment where the kernel has no tcx: a filter of fixed priority and handle under the interface's clsact qdisc.
//!
//! A filter is no bpf_link, so nothing of it can be pinned. Its mark is our program's pin beside the links: a filter at
//! our place is ours if it runs a program of our name and the pin is there. The pin comes first and goes last, so that
//! a manager killed in between leaves nothing that the next one takes for somebody else's. The qdisc stays after
//! `detach`, whoever made it: others may use it by then.

use std::{fs, io, path::Path};

use aya::{
    Ebpf,
    programs::{
        SchedClassifier, TcAttachType,
        tc::{NlOptions, SchedClassifierLink, TcAttachOptions, TcHandle, qdisc_add_clsact},
    },
};
use netlink_packet_core::{NLM_F_ECHO, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::{
    RouteNetlinkMessage,
    tc::{self, TcAttribute, TcFilterBpf, TcFilterBpfOption, TcMessage, TcOption},
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use super::{
    error::{DataplaneError, at},
    links::{Outcome, direction, errno, fault, taken, tc_errno, tc_name, tc_program},
};
use crate::{desired::HookPoint, reconcile::Fault};

/// Priority of our filters.
const PRIORITY: u16 = 0xfb;
/// Every protocol, in the wire's order, as `tcm_info` holds it.
const ETH_P_ALL: u16 = (libc::ETH_P_ALL as u16).to_be();

/// Handle of our filter.
fn handle(point: HookPoint) -> u16 {
    if point == HookPoint::TcWatch { 2 } else { 1 }
}

/// Attaches our program, or puts it in the place of an older one of ours, without a moment between.
pub(super) fn attach(ebpf: &mut Ebpf, path: &Path, (ifindex, name): (u32, &str), point: HookPoint) -> Outcome<()> {
    let again = is_ours(path, ifindex, point).map_err(|error| Fault::Failed(at(path)(error)))?;
    let program = tc_program(ebpf, point)?;
    if again {
        let old =
            SchedClassifierLink::attached(name, direction(point), PRIORITY, TcHandle::new(0, handle(point)), None);
        let id = program.attach_to_link(old.map_err(|_| Fault::Gone(ifindex))?);
        keep(program, id.map_err(|error| fault(ifindex, name, error))?, ifindex, name)?;
        return mark(program, path);
    }
    add_qdisc(ifindex, name)?;
    mark(program, path)?;
    let options = NlOptions { priority: PRIORITY, handle: TcHandle::new(0, handle(point)), classid: None };
    let id = program.attach_with_options(name, direction(point), TcAttachOptions::Netlink(options));
    let id = id.map_err(|error| match errno(&error) {
        Some(libc::EEXIST) => taken(
            name,
            "a tc filter of priority 251 and handle 1 or 2 is there that is not ours; remove it (tc filter del ...)",
        ),
        _ => fault(ifindex, name, error),
    });
    match id {
        Ok(id) => keep(program, id, ifindex, name),
        Err(error) => {
            let _mark_of_nothing = fs::remove_file(path);
            Err(error)
        }
    }
}

/// Whether the filter at our place runs a program of ours.
///
/// # Errors
/// The kernel could not be asked.
pub(super) fn is_ours(path: &Path, ifindex: u32, point: HookPoint) -> io::Result<bool> {
    Ok(path.exists() && filter(ifindex, point)?.is_some_and(|name| name == tc_name(point)))
}

/// Removes our filter, if it is there, and its mark.
pub(super) fn detach(path: &Path, ifindex: u32, point: HookPoint) -> Result<(), DataplaneError> {
    if is_ours(path, ifindex, point).map_err(at(path))?
        && let Ok(name) = nix::net::if_::if_indextoname(ifindex)
    {
        let handle = TcHandle::new(0, handle(point));
        let filter = SchedClassifierLink::attached(&name.to_string_lossy(), direction(point), PRIORITY, handle, None);
        // Dropping it detaches it. Gone with its interface: nothing to detach.
        drop(filter);
    }
    fs::remove_file(path).map_err(at(path))
}

fn add_qdisc(ifindex: u32, name: &str) -> Outcome<()> {
    let Err(error) = qdisc_add_clsact(name) else { return Ok(()) };
    if !matches!(tc_errno(&error), Some(libc::EEXIST | libc::EINVAL)) {
        return Err(fault(ifindex, name, error.into()));
    }
    // Something is there. Under an `ingress` qdisc the kernel would put our egress filter into the ingress chain.
    match ingress_kind(ifindex) {
        Ok(Some(kind)) if kind == "clsact" => Ok(()),
        Ok(kind) => {
            let kind = kind.unwrap_or_else(|| "foreign".into());
            Err(taken(name, &format!("its {kind} qdisc excludes clsact; remove it (tc qdisc del dev {name} ingress)")))
        }
        Err(error) => Err(Fault::Failed(DataplaneError::HookTaken { name: name.into(), what: error.to_string() })),
    }
}

/// Kind of the qdisc at the ingress place, where `ingress` and `clsact` exclude each other; `None`: there is none.
fn ingress_kind(ifindex: u32) -> io::Result<Option<String>> {
    let mut question = TcMessage::with_index(ifindex as i32);
    question.header.parent = tc::TcHandle::from(0xffff_fff1); // TC_H_INGRESS
    let answer = ask(RouteNetlinkMessage::GetQueueDiscipline(question))?;
    Ok(answer.and_then(|qdisc| {
        qdisc.attributes.into_iter().find_map(|attribute| match attribute {
            TcAttribute::Kind(kind) => Some(kind),
            _ => None,
        })
    }))
}

/// Dropping the link would detach it: its life is the interface's, or until `detach`.
fn keep(
    program: &mut SchedClassifier,
    id: aya::programs::tc::SchedClassifierLinkId,
    ifindex: u32,
    name: &str,
) -> Outcome<()> {
    std::mem::forget(program.take_link(id).map_err(|error| fault(ifindex, name, error))?);
    Ok(())
}

/// Pins the program at `path`, in the place of an older one at once.
fn mark(program: &mut SchedClassifier, path: &Path) -> Outcome<()> {
    let new = path.with_file_name(format!("{}-new", path.file_name().unwrap_or_default().to_string_lossy()));
    let failed = |what: String| Fault::Failed(DataplaneError::Pins { path: path.into(), what });
    let _left_by_a_crash = fs::remove_file(&new);
    program.pin(&new).map_err(|error| failed(error.to_string()))?;
    fs::rename(&new, path).map_err(|error| failed(error.to_string()))
}

/// Name of the program that the filter at our place runs; `None` if there is no such filter, or it runs none.
fn filter(ifindex: u32, point: HookPoint) -> io::Result<Option<String>> {
    let mut question = TcMessage::with_index(ifindex as i32);
    question.header.handle = tc::TcHandle::from(u32::from(handle(point)));
    question.header.parent = tc::TcHandle::from(match direction(point) {
        TcAttachType::Egress => 0xffff_fff3,
        _ => 0xffff_fff2, // clsact's two classes: TC_H_MIN_INGRESS and TC_H_MIN_EGRESS in linux/pkt_sched.h
    });
    question.header.info = u32::from(PRIORITY) << 16 | u32::from(ETH_P_ALL);
    question.attributes.push(TcAttribute::Kind(TcFilterBpf::KIND.into()));
    Ok(ask(RouteNetlinkMessage::GetTrafficFilter(question))?.as_ref().and_then(program_name))
}

/// The one filter or qdisc that a question names; `None`: there is none.
fn ask(question: RouteNetlinkMessage) -> io::Result<Option<TcMessage>> {
    let mut header = NetlinkHeader::default();
    // A question about a qdisc is answered to its asker only if he wants an echo (net/sched/sch_api.c `qdisc_get_notify`).
    header.flags = NLM_F_REQUEST | NLM_F_ECHO;
    let mut message = NetlinkMessage::new(header, question.into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    let socket = Socket::new(NETLINK_ROUTE)?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&bytes, 0)?;
    // The kernel answers within the send; where there is no qdisc it may say nothing at all.
    socket.set_non_blocking(true)?;
    let answer = match socket.recv_from_full() {
        Ok((answer, _)) => answer,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
        Err(error) => return Err(error),
    };
    let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer).map_err(io::Error::other)?;
    match answer.payload {
        NetlinkPayload::InnerMessage(
            RouteNetlinkMessage::NewTrafficFilter(found) | RouteNetlinkMessage::NewQueueDiscipline(found),
        ) => Ok(Some(found)),
        NetlinkPayload::Error(error) => match -error.raw_code() {
            // No such filter, no such chain or qdisc (EINVAL), no such interface.
            libc::ENOENT | libc::EINVAL | libc::ENODEV => Ok(None),
            code => Err(io::Error::from_raw_os_error(code)),
        },
        _ => Ok(None),
    }
}

fn program_name(filter: &TcMessage) -> Option<String> {
    let options = filter.attributes.iter().filter_map(|attribute| match attribute {
        TcAttribute::Options(options) => Some(options),
        _ => None,
    });
    options.flatten().find_map(|option| match option {
        TcOption::Bpf(TcFilterBpfOption::ProgName(name)) => Some(name.clone()),
        _ => None,
    })
}
