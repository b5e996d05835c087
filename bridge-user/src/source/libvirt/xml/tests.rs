//! What is read out of a domain's XML, and that nothing hostile is read at all.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::source::{Carries, PortVlan};

/// As libvirt 9.0 shows a running domain, shortened.
const RUNNING: &str = include_str!("running.xml");

fn read(interface: &str) -> Result<Domain, XmlError> {
    parse("d", &format!("<domain id='1'><devices><interface type='bridge'>{interface}</interface></devices></domain>"))
}

fn one(interface: &str) -> GuestInterface {
    let plain = "<mac address='52:54:00:00:00:01'/><target dev='vnet0'/>";
    read(&format!("{plain}{interface}")).unwrap().interfaces.remove(0)
}

fn problem(xml: &str) -> Problem {
    parse("d", xml).unwrap_err().problem
}

#[test]
fn a_running_domain_as_libvirt_shows_it() {
    let domain = parse("my guest", RUNNING).unwrap();
    assert!(domain.running && domain.agent);
    let [one, two] = &domain.interfaces[..] else { panic!("{domain:#?}") };
    assert_eq!((one.domain.as_str(), one.tap.as_str()), ("my\\u{20}guest", "vnet0"));
    assert_eq!(one.mac, [0x52, 0x54, 0, 4, 0, 0x21]);
    assert_eq!((one.bridge.as_deref(), one.network.as_deref()), (Some("br0"), None));
    assert_eq!((&one.vlan, &one.bandwidth, &one.filter), (&None, &None, &None));
    assert_eq!((two.bridge.as_deref(), two.network.as_deref()), (Some("br0"), Some("kube & co")));
    assert_eq!(two.vlan, Some(PortVlan::access(42)));
    assert_eq!(two.filter.as_deref(), Some("clean-traffic"));
    assert!(two.bandwidth.as_ref().unwrap().contains("sends and receives"));
}

#[test]
fn one_that_stopped_meanwhile_has_no_id() {
    assert!(!parse("d", "<domain type='qemu'><name>d</name></domain>").unwrap().running);
    assert!(!parse("d", "<domain id='3'><devices/></domain>").unwrap().agent);
}

#[test]
fn vlans_as_libvirt_hands_them_to_open_vswitch() {
    let vlan = |xml: &str| one(xml).vlan;
    assert_eq!(vlan("<vlan/>"), None);
    assert_eq!(vlan("<vlan><tag id='7'/></vlan>"), Some(PortVlan::access(7)));
    let trunk = vlan("<vlan trunk='yes'><tag id='7'/></vlan>").unwrap();
    assert_eq!(trunk, PortVlan::trunk(&BTreeSet::from([7])));
    assert_eq!(vlan("<vlan><tag id='7'/><tag id='8'/></vlan>"), Some(PortVlan::trunk(&BTreeSet::from([7, 8]))));
    let native =
        |mode| vlan(&format!("<vlan trunk='yes'><tag id='7' nativeMode='{mode}'/><tag id='8'/></vlan>")).unwrap();
    let (tagged, untagged) = (native("tagged"), native("untagged"));
    assert_eq!((tagged.pvid, tagged.pvid_tagged, untagged.pvid_tagged), (Some(7), true, false));
    assert_eq!(untagged.carries, Carries::Listed(BTreeSet::from([7, 8])));
    for bad in ["4095", "-1", "x", ""] {
        let xml = format!("<target dev='vnet0'/><vlan><tag id='{bad}'/></vlan>");
        assert_eq!(read(&xml).unwrap_err().problem, Problem::Value("VLAN tag", bad.into()));
    }
}

#[test]
fn bandwidth_says_which_way() {
    let limited = |xml: &str| one(xml).bandwidth.unwrap_or_default();
    assert!(limited("<bandwidth><inbound average='1'/></bandwidth>").contains("guest receives ("));
    assert!(limited("<bandwidth><outbound average='1'/></bandwidth>").contains("guest sends ("));
    assert_eq!(limited("<bandwidth/>"), "");
}

#[test]
fn interfaces_without_a_tap_are_none_of_ours_and_one_without_a_mac_is_wrong() {
    assert_eq!(read("<mac address='52:54:00:00:00:01'/><source dev='eno1'/>").unwrap().interfaces, []);
    assert_eq!(read("<target dev=''/>").unwrap().interfaces, []);
    for bad in ["52:54:00:00:00", "53:54:00:00:00:01", "00:00:00:00:00:00"] {
        let error = read(&format!("<mac address='{bad}'/><target dev='vnet0'/>")).unwrap_err();
        assert_eq!(error.problem, Problem::Value("MAC address", bad.into()));
    }
}

#[test]
fn elements_count_in_their_own_place_only() {
    let elsewhere = "<domain id='1'><metadata><devices><interface><target dev='vnet9'/></interface></devices></metadata>\
                     <devices><disk><target dev='vda'/></disk><hub><interface><target dev='vnet8'/></interface></hub></devices></domain>";
    assert_eq!(parse("d", elsewhere).unwrap().interfaces, []);
}

#[test]
fn what_is_not_well_formed_is_refused_by_the_domains_name() {
    for bad in [
        "<domain id='1'><devices></domain></devices>",
        "<domain><devices>",
        "<domain></domain></domain>",
        "<domain",
        "<domain id='1></domain>",
        "<domain id=1></domain>",
        "<domain><name>a & b</name></domain>",
    ] {
        let error = parse("rm -rf\u{202e}", bad).unwrap_err();
        assert!(matches!(error.problem, Problem::Malformed(_)), "{bad}: {error}");
        assert!(error.to_string().contains("domain rm\\u{20}-rf\\u{202e} "), "{error}");
    }
    for other in ["", "text", "<!-- -->", "<network/>", "<domain/><domain/>", "<domain/><x/>"] {
        assert_eq!(problem(other), Problem::NoDomain, "{other}");
    }
}

#[test]
fn document_types_and_entities_are_refused() {
    for dtd in ["<!DOCTYPE domain>", "<!DOCTYPE d SYSTEM 'file:///etc/passwd'>", "<!DOCTYPE d [<!ENTITY a 'x'>]>"] {
        assert_eq!(problem(&format!("{dtd}<domain/>")), Problem::DocumentType);
    }
    assert_eq!(problem("<domain><name>&a;</name></domain>"), Problem::Entity);
    assert_eq!(problem("<domain id='&a;'/>"), Problem::Entity);
    assert!(parse("d", "<domain id='&#49;&amp;'><name>&lt;&#x41;</name></domain>").unwrap().running);
}

#[test]
fn length_and_depth_are_bounded() {
    let long = format!("<domain>{}</domain>", "<a/>".repeat(10 << 18));
    assert!(long.len() > 10_000_000);
    assert_eq!(problem(&long), Problem::TooLong(long.len()));
    let fits = format!("<domain>{}</domain>", " ".repeat(MAX_BYTES - 17));
    assert_eq!(parse("d", &fits).unwrap(), Domain::default());
    let nested = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
    assert!(parse("d", &format!("<domain>{}</domain>", nested(MAX_DEPTH - 1))).is_ok());
    assert_eq!(problem(&format!("<domain>{}</domain>", nested(MAX_DEPTH))), Problem::TooDeep);
    // A million attributes in one element take no quadratic time, and a long value is cut.
    let many = format!("<domain id='1' {}/>", "a='' ".repeat(MAX_BYTES / 6));
    assert!(parse("d", &many).unwrap().running);
    assert_eq!(one(&format!("<filterref filter='{}'/>", "f".repeat(MAX_BYTES / 2))).filter.unwrap().len(), MAX_VALUE);
}

/// Pieces that mean something, and some that do not.
fn piece() -> impl Strategy<Value = String> {
    let element = "(domain|devices|interface|mac|target|source|vlan|tag|bandwidth|inbound|channel|filterref)";
    let of = |pattern: String| prop::string::string_regex(&pattern).unwrap();
    prop_oneof![
        of(format!("<{element}>")),
        of(format!("</{element}>")),
        of(format!("<{element} (id|dev|address|bridge|network|state|trunk)='[a-z0-9:&;]{{0,18}}'/?>")),
        "&[a-z#0-9]{0,4};?",
        Just("<!DOCTYPE a [".to_owned()),
        Just("<![CDATA[x]]>".to_owned()),
        "\\PC{0,8}",
    ]
}

/// The promises of whatever is read.
fn holds(xml: &str) {
    let Ok(domain) = parse("d e", xml) else { return };
    for interface in domain.interfaces {
        assert_eq!(interface.domain, "d\\u{20}e");
        assert!(!interface.tap.is_empty() && interface.mac[0] & 1 == 0);
        assert!(interface.tap.chars().count() <= MAX_VALUE && interface.addresses.is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_text(text in "\\PC*") {
        holds(&text);
    }

    #[test]
    fn any_pieces(pieces in prop::collection::vec(piece(), 0..24)) {
        let text = pieces.concat();
        holds(&text);
        holds(&format!("<domain id='1'><devices><interface>{text}</interface></devices></domain>"));
    }

    #[test]
    fn mutated(edits in prop::collection::vec((any::<prop::sample::Index>(), 0..40_usize, piece()), 1..4)) {
        let mut characters: Vec<char> = RUNNING.chars().collect();
        for (at, removed, inserted) in edits {
            let at = at.index(characters.len());
            let end = (at + removed).min(characters.len());
            characters.splice(at..end, inserted.chars());
        }
        holds(&characters.into_iter().collect::<String>());
    }

    /// Whatever libvirt escapes comes back as it was.
    #[test]
    fn values_survive_escaping(bridge in "[^\\p{C}]{1,40}") {
        let escaped = quick_xml::escape::escape(bridge.as_str());
        prop_assert_eq!(one(&format!("<source bridge=\"{escaped}\"/>")).bridge, Some(bridge));
    }
}
