//! `[libvirt]`, and the URI that `--libvirt` gives.

use super::super::model::Libvirt;
use super::super::{diagnostic::Report, raw};
use super::required;
use toml::Spanned;

/// Longest URI, in bytes.
const MAX_URI: usize = 1024;

/// The table, if it is there.
pub(super) fn check(table: Option<Spanned<raw::Table<raw::Libvirt>>>, report: &mut Report) -> Option<Libvirt> {
    let table = table?;
    let place = table.span();
    let raw::Table(raw) = table.into_inner();
    let uri = required(&raw.uri, "uri", "[libvirt]", place, report)?;
    if let Some(why) = unfit(uri.get_ref()) {
        report.error(uri.span(), why);
    }
    Some(Libvirt { uri: uri.get_ref().clone(), guest_agent: raw.guest_agent.unwrap_or(false) })
}

/// Why this URI cannot be used, if so. (That libvirt knows its driver is seen when connecting.) One that names a host is refused: its
/// interfaces are none of this host's, though their names may be the same.
pub fn unfit(uri: &str) -> Option<String> {
    let hint = "write it like \"qemu:///system\"";
    if uri.len() > MAX_URI {
        return Some(format!("the libvirt URI is longer than {MAX_URI} bytes; {hint}"));
    }
    let shown = uri.escape_debug();
    if uri.chars().any(|character| character.is_control() || character.is_whitespace()) {
        return Some(format!("`{shown}` has white space or control characters, which no URI has; {hint}"));
    }
    let (scheme, rest) = match uri.split_once("://") {
        Some((scheme, rest)) if !scheme.is_empty() => (scheme, rest),
        _ => return Some(format!("`{shown}` is no libvirt URI; {hint}")),
    };
    if !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) {
        return Some(format!("`{shown}` is no libvirt URI; {hint}"));
    }
    if !rest.starts_with('/') {
        return Some(format!("`{shown}` names another host, whose interfaces are not here; {hint}"));
    }
    None
}
