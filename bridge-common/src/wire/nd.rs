//! Neighbour discovery bodies (RFC 4861), as far as the guard looks.

use super::{Addr, Frame, Ip};

/// Options are looked for this often.
const MAX_OPTIONS: usize = 4;
/// No option that we read starts beyond this offset.
const MAX_OFFSET: u32 = 512;

/// Target address of a neighbour solicitation or advertisement.
#[inline(always)]
pub fn neighbour_target<F: Frame>(frame: &F, ip: &Ip) -> Option<Addr> {
    if ip.l4_len < 24 {
        return None;
    }
    frame.read::<[u8; 16]>(ip.l4 + 8).map(Addr)
}

/// Checks every link-layer address option (source 1, target 2) that lies `body` bytes into the message: `Some(true)`
/// if all of them name `mac`, `Some(false)` if one names another, `None` if the options cannot be read.
#[inline(never)]
pub fn link_layer_option<F: Frame>(frame: &F, ip: &Ip, body: u32, mac: &[u8; 6]) -> Option<bool> {
    let mut at = ip.l4 + body;
    let mut left = ip.l4_len.checked_sub(body)?;
    for _ in 0..MAX_OPTIONS {
        if left == 0 {
            return Some(true);
        }
        if left < 8 || at > MAX_OFFSET {
            return None;
        }
        let option: [u8; 8] = frame.read(at)?;
        let length = u32::from(option[1]) * 8;
        if length == 0 || length > left {
            return None;
        }
        let named = [option[2], option[3], option[4], option[5], option[6], option[7]];
        if matches!(option[0], 1 | 2) && named != *mac {
            return Some(false);
        }
        at += length;
        left -= length;
    }
    if left == 0 { Some(true) } else { None }
}
