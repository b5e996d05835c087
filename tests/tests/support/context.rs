//! Contexts and return codes of BPF_PROG_TEST_RUN, and the one map operation that aya lacks (linux/bpf.h).

use std::os::fd::{AsFd as _, AsRawFd as _};

use aya::Ebpf;
use aya::maps::Map;
use bridge_tests::model::Action;

use super::case::Program;

/// `struct xdp_md`: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
pub fn xdp(length: usize, ifindex: u32) -> Vec<u8> {
    [0, length as u32, 0, ifindex, 0, 0].into_iter().flat_map(u32::to_ne_bytes).collect()
}

/// `struct __sk_buff`, zeros but for what TestRun takes.
pub fn skb(ifindex: u32, ingress_ifindex: u32, gso: bool) -> Vec<u8> {
    let mut context = vec![0; 192];
    let mut put = |offset: usize, value: u32| context[offset..offset + 4].copy_from_slice(&value.to_ne_bytes());
    put(36, ingress_ifindex);
    put(40, ifindex);
    if gso {
        put(164, 2);
        put(176, 1448);
    }
    context
}

/// What a return code does to the frame. XDP does not tell the interface of a redirect; nor does TC.
pub fn action(program: Program, code: u32) -> Action {
    const XDP_DROP: u32 = 1;
    const XDP_PASS: u32 = 2;
    const XDP_REDIRECT: u32 = 4;
    const NEXT: u32 = u32::MAX;
    const TC_ACT_SHOT: u32 = 2;
    const TC_ACT_REDIRECT: u32 = 7;
    match (program, code) {
        // What leaves is dropped by way of an interface that is none.
        (Program::Xdp, XDP_DROP) | (Program::In, TC_ACT_SHOT) | (Program::Out, TC_ACT_REDIRECT) => Action::Drop,
        (Program::Xdp, XDP_PASS) | (Program::In | Program::Out, NEXT) => Action::Pass,
        (Program::Xdp, XDP_REDIRECT) | (Program::In, TC_ACT_REDIRECT) => Action::Redirect(0),
        _ => panic!("{program:?} returned {code}, which means nothing of ours"),
    }
}

/// Deletes an element of an array of maps or devices; aya has no call for it. Nothing there is fine.
pub fn delete(map_fd: i32, key: u32) {
    const BPF_MAP_DELETE_ELEM: i32 = 3;
    #[repr(C)]
    struct Attr {
        fd: u64,
        key: u64,
        value: u64,
        flags: u64,
    }
    let attr = Attr { fd: map_fd as u64, key: (&raw const key) as u64, value: 0, flags: 0 };
    // SAFETY: the attribute names a key of the map's key size that lives through the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, BPF_MAP_DELETE_ELEM, &raw const attr, size_of::<Attr>()) };
    let error = std::io::Error::last_os_error();
    assert!(result == 0 || error.raw_os_error() == Some(libc::ENOENT), "cannot delete element {key}: {error}");
}

/// Descriptor of a map that is an array of devices or maps, for [`delete`].
pub fn descriptor(ebpf: &Ebpf, name: &str) -> i32 {
    match ebpf.map(name) {
        Some(Map::DevMap(data) | Map::ArrayOfMaps(data)) => data.fd().as_fd().as_raw_fd(),
        _ => panic!("{name} is no array of devices or maps"),
    }
}
