//! A pinned bpf_link, held open, and what the kernel says of it. aya neither tells a pinned link from a pinned program nor gives a link's
//! interface.

use std::{
    ffi::CString,
    fs,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    path::Path,
};

/// A link that stays as long as this, or its pin.
#[derive(Debug)]
pub(super) struct HeldLink(OwnedFd);

/// What the kernel says of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LinkInfo {
    /// Its number, as [`super::tcx::Tcx`] tells it.
    pub(super) id: u32,
    /// Of XDP and tcx: the interface that it sits on; 0 once that is gone, or somebody has detached it.
    pub(super) ifindex: u32,
}

/// What a pin holds.
pub(super) enum Opened {
    Link(HeldLink),
    /// A program: the mark of a clsact filter.
    Program,
    /// Nothing that can be opened.
    Nothing,
}

/// Opens a pin.
pub(super) fn opened(path: &Path) -> Opened {
    const BPF_OBJ_GET: libc::c_int = 7;
    let Ok(text) = CString::new(path.as_os_str().as_encoded_bytes()) else { return Opened::Nothing };
    let mut open = [text.as_ptr() as u64, 0];
    // SAFETY: the attribute holds a pathname that lives through the call, then zeros.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, BPF_OBJ_GET, open.as_mut_ptr(), size_of_val(&open)) };
    if fd < 0 {
        return Opened::Nothing;
    }
    // SAFETY: a descriptor that the call has just made, nobody else's.
    let fd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    let target = fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap_or_default();
    if target.to_string_lossy().contains("bpf-prog") { Opened::Program } else { Opened::Link(HeldLink(fd)) }
}

impl HeldLink {
    /// `struct bpf_link_info` in linux/bpf.h: type, id, program, padding, then for XDP and tcx the ifindex. `None`: the kernel does not tell.
    pub(super) fn info(&self) -> Option<LinkInfo> {
        const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
        let mut info = [0_u32; 16];
        let mut ask = [self.0.as_raw_fd() as u64 | (size_of_val(&info) as u64) << 32, info.as_mut_ptr() as u64];
        // SAFETY: the attribute names a buffer of the length that it states, which lives through the call.
        let failed =
            unsafe { libc::syscall(libc::SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, ask.as_mut_ptr(), size_of_val(&ask)) };
        (failed == 0).then_some(LinkInfo { id: info[1], ifindex: info[4] })
    }

    /// Whether it sits on that interface; 0: on none any more.
    pub(super) fn sits_on(&self, ifindex: u32) -> bool {
        self.info().is_some_and(|info| info.ifindex == ifindex)
    }
}
