//! The few values of a domain's XML that matter here. Pure: text in, values out.
//!
//! libvirt writes this text, but parts of it come from whoever defined the domain, so nothing is taken for granted: what is too long or
//! too deep, a DTD, an entity that is not XML's own and anything not well-formed is an error, and memory stays that of the text.
//! Format: <https://libvirt.org/formatdomain.html>. Must not: ask libvirt, or know of bridges.

mod interface;

use std::borrow::Cow;

use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use self::interface::Draft;
use super::shown;
use crate::source::GuestInterface;

/// Longest text that is read, in bytes: the longest string that libvirt itself transports (REMOTE_STRING_MAX).
pub const MAX_BYTES: usize = 4 << 20;
/// Deepest nesting; libvirt's own elements end at about ten.
const MAX_DEPTH: usize = 64;
/// Longest value that is kept, in bytes; interface names have 15, names of networks and filters are file names.
const MAX_VALUE: usize = 255;

/// What a domain's XML says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Domain {
    /// It has an id: it runs. The XML of one that stopped meanwhile has none.
    pub running: bool,
    /// A guest agent has opened its channel.
    pub agent: bool,
    /// Its interfaces that have a tap, without addresses.
    pub interfaces: Vec<GuestInterface>,
}

/// Why the XML of a domain is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the XML of domain {domain} {problem}")]
pub struct XmlError {
    /// The domain's name, escaped.
    pub domain: String,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with an XML text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Longer than [`MAX_BYTES`].
    #[error("has {0} bytes, and more than {MAX_BYTES} are not read")]
    TooLong(usize),
    /// Deeper than `MAX_DEPTH`.
    #[error("nests deeper than {MAX_DEPTH} elements")]
    TooDeep,
    /// A DTD, which may define entities and name files.
    #[error("has a document type, which libvirt never writes")]
    DocumentType,
    /// An entity that is none of XML's own five.
    #[error("uses an entity that it does not define")]
    Entity,
    /// Not well-formed.
    #[error("is not well-formed: {0}")]
    Malformed(String),
    /// Something else than one `<domain>`.
    #[error("is not one <domain> element")]
    NoDomain,
    /// A value that cannot be.
    #[error("has an interface whose {0} cannot be read: {1:?}")]
    Value(&'static str, String),
}

/// Where in the document an element stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Document,
    Domain,
    Devices,
    Interface,
    Vlan,
    Bandwidth,
    Channel,
    Other,
}

impl Place {
    /// Where the children of the child called `name` stand.
    fn child(self, name: &str) -> Self {
        match (self, name) {
            (Self::Document, "domain") => Self::Domain,
            (Self::Domain, "devices") => Self::Devices,
            (Self::Devices, "interface") => Self::Interface,
            (Self::Devices, "channel") => Self::Channel,
            (Self::Interface, "vlan") => Self::Vlan,
            (Self::Interface, "bandwidth") => Self::Bandwidth,
            _ => Self::Other,
        }
    }
}

/// Reads the XML of the domain called `name`.
///
/// # Errors
/// Everything that is not as libvirt writes it, with the domain's name.
pub fn parse(name: &str, xml: &str) -> Result<Domain, XmlError> {
    let domain = shown(name);
    let mut walk = Walk { open: vec![Place::Document], seen: false, draft: None, domain: Domain::default() };
    match walk.whole(&domain, xml) {
        Ok(()) => Ok(walk.domain),
        Err(problem) => Err(XmlError { domain, problem }),
    }
}

/// The walk through one document.
struct Walk {
    /// The document, and the elements that are open.
    open: Vec<Place>,
    /// The root was there.
    seen: bool,
    /// The interface that is open.
    draft: Option<Draft>,
    domain: Domain,
}

impl Walk {
    fn whole(&mut self, domain: &str, xml: &str) -> Result<(), Problem> {
        if xml.len() > MAX_BYTES {
            return Err(Problem::TooLong(xml.len()));
        }
        let mut reader = Reader::from_str(xml);
        loop {
            match reader.read_event().map_err(malformed)? {
                Event::Start(element) => self.enter(&element)?,
                Event::Empty(element) => {
                    self.enter(&element)?;
                    self.leave(domain)?;
                }
                Event::End(_) => self.leave(domain)?,
                Event::DocType(_) => return Err(Problem::DocumentType),
                Event::GeneralRef(entity) => known(&entity)?,
                Event::Eof if self.seen && self.open.len() == 1 => return Ok(()),
                Event::Eof if self.seen => return Err(Problem::Malformed("it ends within an element".into())),
                Event::Eof => return Err(Problem::NoDomain),
                // Nothing that is read stands in text.
                Event::Text(_) | Event::CData(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            }
        }
    }

    fn enter(&mut self, element: &BytesStart<'_>) -> Result<(), Problem> {
        if self.open.len() > MAX_DEPTH {
            return Err(Problem::TooDeep);
        }
        let parent = self.place();
        let name = element.name();
        let name = name.as_ref();
        match (parent, name) {
            (Place::Document, "domain") if !self.seen => {
                self.seen = true;
                self.domain.running = attribute(element, "id")?.is_some();
            }
            (Place::Document, _) => return Err(Problem::NoDomain),
            (Place::Devices, "interface") => self.draft = Some(Draft::default()),
            (Place::Channel, "target") => {
                let agent = attribute(element, "name")?.as_deref() == Some("org.qemu.guest_agent.0");
                self.domain.agent |= agent && attribute(element, "state")?.as_deref() == Some("connected");
            }
            (Place::Interface | Place::Vlan | Place::Bandwidth, _) => {
                if let Some(draft) = &mut self.draft {
                    draft.take(parent, name, element)?;
                }
            }
            _ => {}
        }
        self.open.push(parent.child(name));
        Ok(())
    }

    fn leave(&mut self, domain: &str) -> Result<(), Problem> {
        if self.open.pop() == Some(Place::Interface)
            && let Some(draft) = self.draft.take()
        {
            self.domain.interfaces.extend(draft.finish(domain)?);
        }
        Ok(())
    }

    fn place(&self) -> Place {
        self.open.last().copied().unwrap_or(Place::Document)
    }
}

/// The parser quotes the text that it stumbles over.
fn malformed(error: impl ToString) -> Problem {
    Problem::Malformed(error.to_string().chars().take(MAX_VALUE).flat_map(char::escape_debug).collect())
}

/// A character by its number, or one of `lt gt amp quot apos`.
fn known(entity: &BytesRef<'_>) -> Result<(), Problem> {
    let character = entity.resolve_char_ref().map_err(malformed)?;
    let own = || quick_xml::escape::resolve_xml_entity(&entity.xml10_content()).is_some();
    if character.is_some() || own() { Ok(()) } else { Err(Problem::Entity) }
}

/// The first attribute of that name. (That a name comes once only is not checked: it takes quadratic time.)
fn attribute(element: &BytesStart<'_>, name: &str) -> Result<Option<String>, Problem> {
    for attribute in element.attributes().with_checks(false) {
        let attribute = attribute.map_err(malformed)?;
        if attribute.key.as_ref() == name {
            let value: Cow<'_, str> =
                attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|_| Problem::Entity)?;
            return Ok(Some(value.chars().take(MAX_VALUE).collect()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
