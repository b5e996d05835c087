//! What libvirt says of the running domains: read-only, by its own library.
//!
//! [`LibvirtWatch`] follows it from a thread of its own, because libvirt's calls block; it connects again and keeps the last good snapshot.
//! `connection` is one connection, `ffi` what the `virt` crate lacks, `xml` the pure reading of a domain's XML.
//! It changes nothing in libvirt and starts nothing. A partial snapshot is an error, never "nothing there".

#[cfg(feature = "libvirt")]
mod connection;
#[cfg(feature = "libvirt")]
mod ffi;
#[cfg(feature = "libvirt")]
mod watch;
#[cfg(not(feature = "libvirt"))]
#[path = "without.rs"]
mod watch;
pub mod xml;

pub use self::watch::LibvirtWatch;
use self::xml::XmlError;
use super::{LibvirtSnapshot, told::Told};

/// What libvirt said last.
pub type LibvirtState = Told<LibvirtSnapshot>;

/// Why libvirt's word could not be had, or not be trusted.
#[derive(Debug, thiserror::Error)]
pub enum LibvirtError {
    /// This binary has no libvirt in it.
    #[error(
        "this fastbridge was built without libvirt (cargo feature `libvirt`); use one that has it, or leave out \
         --libvirt and the [libvirt] table"
    )]
    NotBuilt,
    /// No thread to follow it from.
    #[error("no thread for libvirt: {0}")]
    Thread(std::io::Error),
    /// No connection.
    #[error("cannot connect to {uri}: {why}")]
    Connect {
        /// Where to.
        uri: String,
        /// libvirt's words.
        why: String,
    },
    /// A call failed.
    #[error("libvirt refused {call}: {why}")]
    Refused {
        /// What was asked for.
        call: &'static str,
        /// libvirt's words.
        why: String,
    },
    /// End of file, or no answer to the keep-alive.
    #[error("libvirt closed the connection or stopped answering")]
    Closed,
    /// A domain's XML is not as libvirt writes it.
    #[error(transparent)]
    Xml(#[from] XmlError),
}

/// The name of a domain as it is shown, logged and listed: one word of visible ASCII characters, everything else escaped (`\u{20}`).
/// Domains may be called anything without a slash, and a name must neither move a terminal's cursor nor look like another name.
pub fn shown(name: &str) -> String {
    name.chars().fold(String::with_capacity(name.len()), |mut text, character| {
        if character.is_ascii_graphic() && character != '\\' {
            text.push(character);
        } else {
            text.extend(character.escape_unicode());
        }
        text
    })
}

#[cfg(test)]
mod tests;
