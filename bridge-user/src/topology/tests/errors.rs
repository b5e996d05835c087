//! Every mistake that a file can have. `§` stands where the message must point.

use super::super::{Diagnostics, parse};
use super::{BRIDGE, unmark};

/// Parses `case` less its marks: the messages must stand exactly at the marks and contain `words`, in order.
#[track_caller]
fn refused(case: &str, words: &[&str]) {
    let (text, places) = unmark(case);
    let Diagnostics(found) = parse(&text, "net.toml").unwrap_err();
    let at: Vec<_> = found.iter().map(|diagnostic| (diagnostic.line, diagnostic.column)).collect();
    assert_eq!(at, places, "{text}\n{found:#?}");
    assert_eq!(found.len(), words.len(), "{found:#?}");
    for (diagnostic, words) in found.iter().zip(words) {
        assert!(diagnostic.message.contains(words), "{diagnostic} lacks {words:?}");
        assert!(!diagnostic.message.contains('\n') && diagnostic.file == "net.toml");
    }
}

/// As [`refused`], behind a good `[bridge]`.
#[track_caller]
fn refused_after_bridge(rest: &str, words: &[&str]) {
    refused(&format!("{BRIDGE}{rest}"), words);
}

/// As [`refused`], one rule behind zones `a` and `b`.
#[track_caller]
fn refused_rule(keys: &str, words: &str) {
    let zones = "[[policy.zone]]\nname='a'\nprefixes=['10.0.0.0/8']\n[[policy.zone]]\nname='b'\nprefixes=[]\n";
    refused_after_bridge(&format!("{zones}[[policy.rule]]\n{keys}\n"), &[words]);
}

const RULE: &str = "id='r'\nfrom='a'\nto='b'\naction='allow'\n";

#[test]
fn display_is_file_line_column_message() {
    let (text, _) = unmark("[bridge]\nname = 'br0'\nmanage = []");
    let text = parse(&text, "x.toml").unwrap_err().to_string();
    assert!(text.starts_with("x.toml:3:10: `manage` is empty"), "{text}");
}

#[test]
fn not_toml_or_of_another_type() {
    refused("[bridge§", &["unclosed table"]);
    refused("[bridge]\nname = 'a'\n§name = 'b'", &["duplicate key"]);
    refused("[bridge]\nname = §5", &["invalid type: integer `5`, expected a string"]);
    refused("§[[bridge]]\nname = 'a'", &["invalid type: array, expected a table"]);
    refused("bridge = §['br0']", &["expected a table"]);
    refused("§[port]\nmatch = 'a'", &["expected an array"]);
    refused("[limits]\nports = §99999999999999999999", &["expected i64"]);
    refused("# é ü\n[bridge]\nname = 'ä' §'", &["unexpected key or value"]);
}

#[test]
fn vlans_of_ports() {
    let port = |vlan: &str, words: &str| refused_after_bridge(&format!("[[port]]\nmatch='v'\nvlan = {vlan}"), &[words]);
    port("§{ tag = 10 }", "vlan has no `mode`");
    port("{ mode = §'bridged', tag = 10 }", "one of \"access\", \"trunk\", \"native-tagged\"");
    port("§{ mode = 'access' }", "needs its VLAN");
    port("{ mode = 'access', tag = §0 }", "0 is no VLAN; VIDs are 1 to 4094");
    port("{ mode = 'access', tag = §4095 }", "4095 is no VLAN");
    port("{ mode = 'access', tag = 1, trunks = §[2] }", "`trunks` does not go with this mode");
    port("{ mode = 'access', tag = 1, native = §2 }", "`native` does not go with this mode");
    port("{ mode = 'trunk', tag = §1 }", "`tag` does not go with this mode");
    port("{ mode = 'trunk', trunks = §[] }", "`trunks` is empty");
    for odd in ["'29-20'", "'0-4'", "'1-4095'", "'+1'", "'x'", "''"] {
        port(&format!("{{ mode = 'trunk', trunks = [1, §{odd}] }}"), "no range of VLANs");
    }
    port("{ mode = 'trunk', trunks = [§true] }", "a VLAN is a number, or a range");
    port("§{ mode = 'native-tagged', trunks = [1] }", "needs the VLAN of frames without a tag");
    port("{ mode = 'trunk', §vlan = 1 }", "unknown key `vlan`; known here: `mode`");
}

#[test]
fn unknown_keys() {
    refused("§zone = 1", &["unknown key `zone`; known here: `bridge`, `port`, `station`, `limits`"]);
    refused_after_bridge("§nam = 1", &["unknown key `nam`; known here: `name`, `slow_path`"]);
    refused_after_bridge("[[port]]\n§hok = 1", &["unknown key `hok`; known here: `match`, `hook`"]);
    refused_after_bridge("[[station]]\n§ips = []", &["`name`, `mac`, `ip`, `port`"]);
    refused_after_bridge("[limits]\n§rule = 1", &["`stations`, `stations_per_port`, `ports`"]);
    refused_after_bridge("[metrics]\n§addr = 1", &["unknown key `addr`; known here: `listen`"]);
    refused_after_bridge("[policy]\n§zones = []", &["`default`, `other_ethertypes`, `zone`, `rule`"]);
    refused_after_bridge("[[policy.zone]]\n§prefix = []", &["`name` or `prefixes`"]);
    refused_after_bridge("[[policy.rule]]\n§src = 'a'", &["`id`, `from`, `to`, `both`"]);
}

#[test]
fn bridge() {
    refused("§", &["there is no [bridge] table"]);
    refused("§[bridge]\nmanage = ['a']", &["[bridge] has no `name`"]);
    refused("[bridge]\nname = §'a234567890123456'\nmanage = ['x']", &["longer than the 15 bytes"]);
    for bad in ["'a/b'", "'a b'", "\"a\\tb\"", "'a:b'", "''", "'.'", "'..'"] {
        refused(&format!("[bridge]\nname = §{bad}\nmanage = ['x']"), &["interface"]);
    }
    refused("[bridge]\nname = 'br0'\nmanage = §[]", &["`manage` is empty"]);
    for bad in ["'vnet['", "'a{b'", "'vnet/*'", "'vnet *'", "'a/b'", "'a234567890123456'", "''"] {
        refused(&format!("[bridge]\nname = 'br0'\nmanage = ['ok', §{bad}]"), &["`"]);
    }
    refused(&format!("[bridge]\nname = 'br0'\nmanage = [§'{}*']", "a".repeat(256)), &["longer than 256"]);
    for bad in ["0", "1_000_001", "-1"] {
        refused_after_bridge(&format!("ageing_time = §{bad}"), &["from 1 to 1000000"]);
    }
    refused_after_bridge("slow_path = §'ebpf'", &["one of \"auto\", \"ovs\", \"linux\""]);
    refused_after_bridge("on_exit = §'stay'", &["one of \"keep\", \"detach\""]);
}

#[test]
fn ports() {
    refused_after_bridge("§[[port]]\nhook = 'tc'", &["[[port]] has no `match`"]);
    refused_after_bridge("[[port]]\nmatch = §'a{'", &["no valid glob"]);
    refused_after_bridge("[[port]]\nmatch = 'a'\nhook = §'tcx'", &["one of \"auto\", \"tc\", \"xdp\""]);
    refused_after_bridge("[[port]]\nmatch = 'a'\nrole = §'nic'", &["one of \"auto\", \"station\", \"uplink\""]);
    refused_after_bridge("[[port]]\nmatch = 'vnet*'\nguard = §true", &["no [[station]] has a `port`"]);
    let station = "[[station]]\nname='s'\nmac='52:54:00:00:00:01'\nip=['10.0.0.1']\n";
    refused_after_bridge(&format!("[[port]]\nmatch = 'vnet*'\nguard = §true\n{station}"), &["no [[station]]"]);
    refused_after_bridge(
        &format!("[[port]]\nmatch='vnet*'\n[[port]]\nmatch='vnet3'\nguard=§true\n{station}port='vnet3'"),
        &["matched by the earlier [[port]] `vnet*`"],
    );
    refused_after_bridge("[limits]\nports = 1\n[[port]]\nmatch='a'\n§[[port]]\nmatch='b'", &["limits.ports = 1"]);
}

#[test]
fn stations() {
    refused_after_bridge("§§[[station]]", &["[[station]] has no `name`", "[[station]] has no `mac`"]);
    refused_after_bridge("[[station]]\nname = §' '\nmac = '52:54:00:00:00:01'", &["name is empty"]);
    let malformed =
        ["52:54:00:00:00", "52:54:00:00:00:1", "52:54:00:00:00:01:02", "5g:54:00:00:00:01", "52-54-00-00-00-01"];
    for bad in malformed.into_iter().chain(["", "+2:54:00:00:00:01", "é:54:00:00:00:01"]) {
        refused_after_bridge(&format!("[[station]]\nname = 's'\nmac = §'{bad}'"), &["is no MAC address"]);
    }
    for bad in ["01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff"] {
        refused_after_bridge(&format!("[[station]]\nname = 's'\nmac = §'{bad}'"), &["is a multicast or broadcast"]);
    }
    refused_after_bridge("[[station]]\nname = 's'\nmac = §'00:00:00:00:00:00'", &["is all zeros"]);
    let first = "[[station]]\nname='s'\nmac='52:54:00:00:00:0a'\nip=['10.0.0.1', 'fd00::1']\n[[station]]\n";
    refused_after_bridge(&format!("{first}name=§'s'\nmac='52:54:00:00:00:02'"), &["named `s` already"]);
    refused_after_bridge(&format!("{first}name='t'\nmac=§'52:54:00:00:00:0A'"), &["station `s` has the MAC"]);
    let second = format!("{first}name='t'\nmac='52:54:00:00:00:02'\n");
    refused_after_bridge(&format!("{second}ip=['10.0.0.2', §'fd00:0::1']"), &["station `s` has the address fd00::1"]);
    refused_after_bridge(&format!("{second}ip=['10.0.0.2', §'10.0.0.2']"), &["this station has the address"]);
    for bad in ["10.0.0.2/24", "10.0.0", "host"] {
        refused_after_bridge(&format!("{second}ip=[§'{bad}']"), &["is no IP address"]);
    }
    for bad in ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "::ffff:10.0.0.9"] {
        refused_after_bridge(&format!("{second}ip=[§'{bad}']"), &["is no address of a machine"]);
    }
    refused_after_bridge(&format!("{second}port=§'tap0'"), &["matched by nothing in [bridge] manage"]);
    refused_after_bridge(&format!("{second}port=§'vnet*'"), &["is a glob"]);
    refused_after_bridge(&format!("{second}port=§'vnet45678901234x'"), &["longer than the 15 bytes"]);
    let bound = second.replace("name='t'", "name='t'\nport='vnet1'").replace("name='s'", "name='s'\nport='vnet0'");
    let (first, last) = bound.rsplit_once("[[station]]").unwrap();
    refused_after_bridge(&format!("[limits]\nstations=1\n{first}§[[station]]{last}"), &["limits.stations = 1"]);
}

#[test]
fn libvirt() {
    refused_after_bridge("§[libvirt]", &["[libvirt] has no `uri`"]);
    refused_after_bridge("[libvirt]\n§url = ''", &["unknown key `url`; known here: `uri` or `guest_agent`"]);
    for bad in ["", "qemu", "/system", "://x", "qe mu:///system", "qemu:///sys tem", "qému:///system"] {
        refused_after_bridge(&format!("[libvirt]\nuri = §'{bad}'"), &["write it like \"qemu:///system\""]);
    }
    for bad in ["qemu+ssh://host/system", "test://default", "qemu://"] {
        refused_after_bridge(&format!("[libvirt]\nuri = §'{bad}'"), &["names another host"]);
    }
    refused_after_bridge(&format!("[libvirt]\nuri = §'q:///{}'", "x".repeat(1024)), &["longer than 1024 bytes"]);
    // libvirt is to tell the stations of guarded ports.
    let guarded = format!("{BRIDGE}[[port]]\nmatch = 'vnet*'\nguard = true\n[libvirt]\nuri = 'test:///default'");
    assert!(parse(&guarded, "").is_ok());
}

#[test]
fn limits_and_metrics() {
    let most = [("stations", 1 << 20), ("stations_per_port", 1 << 20), ("ports", 4096), ("flows", 1 << 22)];
    for (key, most) in most.into_iter().chain([("prefixes", 1 << 20), ("zones", 4096), ("rules", 16_384)]) {
        for bad in [0, -1, most + 1, i64::MAX] {
            refused_after_bridge(
                &format!("[limits]\n{key} = §{bad}"),
                &[&format!("limits.{key} is {bad}; it must be")],
            );
        }
        assert!(parse(&format!("{BRIDGE}[limits]\n{key} = {most}"), "").is_ok());
    }
    for bad in ["", "127.0.0.1", "localhost:9417", ":9417", "127.0.0.1:99999"] {
        refused_after_bridge(&format!("[metrics]\nlisten = §'{bad}'"), &["is no address with a port"]);
    }
}

#[test]
fn zones() {
    refused_after_bridge("§§[[policy.zone]]", &["has no `name`", "has no `prefixes`"]);
    refused_after_bridge("[[policy.zone]]\nname=§'any'\nprefixes=[]", &["cannot be named `any`"]);
    refused_after_bridge("[[policy.zone]]\nname=§''\nprefixes=[]", &["name is empty"]);
    let zone = "[[policy.zone]]\nname='a'\nprefixes=['10.0.0.0/8']\n";
    refused_after_bridge(&format!("{zone}[[policy.zone]]\nname=§'a'\nprefixes=[]"), &["named `a` already"]);
    let other = format!("{zone}[[policy.zone]]\nname='b'\n");
    refused_after_bridge(&format!("{other}prefixes=['10.1.0.0/16', §'10.0.0.0/8']"), &["is in zone `a` already"]);
    refused_after_bridge(&format!("{other}prefixes=['fd00::/8', §'fd00:0::/8']"), &["is in this zone already"]);
    for bad in ["10.0.0.0", "10.0.0.0/33", "fd00::/129", "10.0.0/8", "x", "10.0.0.0/-1"] {
        refused_after_bridge(&format!("{other}prefixes=[§'{bad}']"), &["is no prefix"]);
    }
    refused_after_bridge(&format!("{other}prefixes=[§'10.17.3.1/16']"), &["write 10.17.0.0/16"]);
    refused_after_bridge(&format!("{other}prefixes=[§'fd00::1/64']"), &["write fd00::/64"]);
    for bad in ["::ffff:0:0/96", "::ffff:10.0.0.0/104"] {
        refused_after_bridge(&format!("{other}prefixes=[§'{bad}']"), &["IPv4-mapped"]);
    }
    let over = "prefixes=['10.1.0.0/16', 'fd00::/8', §'10.2.0.0/16', '10.3.0.0/16']";
    refused_after_bridge(&format!("[limits]\nprefixes=2\n{other}{over}"), &["limits.prefixes = 2"]);
    refused_after_bridge(
        &format!("[limits]\nzones=1\n{zone}§[[policy.zone]]\nname='b'\nprefixes=[]"),
        &["limits.zones"],
    );
}

#[test]
fn rules() {
    let missing = ["has no `id`", "has no `from`", "has no `to`", "has no `action`"];
    refused_after_bridge("§§§§[[policy.rule]]", &missing);
    for bad in ["", "ä", "a b", "a/b", &"x".repeat(64)] {
        refused_rule(&RULE.replace("'r'", &format!("§'{bad}'")), "a rule id is 1 to 63 characters");
    }
    refused_rule(&RULE.replace("'r'", "§'default'"), "cannot have the id `default`");
    refused_rule(&format!("{RULE}[[policy.rule]]\n{}", RULE.replace("'r'", "§'r'")), "id `r` already");
    refused_rule(&RULE.replace("'a'", "§'c'"), "there is no zone `c`; known zones: `any`, `a`, `b`");
    refused_rule(&RULE.replace("'b'", "§'A'"), "there is no zone `A`");
    refused_rule(&RULE.replace("'allow'", "§'accept'"), "one of \"deny\", \"allow\"");
    refused_rule(&format!("{}stateful=§true", RULE.replace("allow", "deny")), "with action = \"deny\" means nothing");
    refused_after_bridge(
        "[policy]\ndefault='allow'\n[[policy.rule]]\nid='r'\nfrom='any'\nto='any'\naction='allow'\nstateful=§true",
        &["default is \"allow\""],
    );
    refused_after_bridge("[policy]\ndefault=§'drop'", &["one of \"deny\", \"allow\""]);
    refused_after_bridge("[policy]\nother_ethertypes=§'allow'", &["one of \"punt\", \"drop\""]);
    let second = RULE.replace("'r'", "'s'");
    let two = format!(
        "[limits]\nrules=1\n[[policy.zone]]\nname='a'\nprefixes=[]\n[[policy.rule]]\n{RULE}§[[policy.rule]]\n{second}"
    );
    refused_after_bridge(&two.replace("'b'", "'a'"), &["limits.rules = 1"]);
}

#[test]
fn protocols_and_ports() {
    for bad in ["256", "-1", "'sctp'", "'6'", "1.5", "['tcp']", "true", "{}", "1979-01-01", "nan"] {
        refused_rule(&format!("{RULE}proto=§{bad}"), "protocol number from 0 to 255 without quotes");
    }
    for protocol in ["", "proto='icmp'\n", "proto=132\n", "proto=0\n"] {
        refused_rule(&format!("{RULE}{protocol}ports=§['1']"), "`ports` need proto = \"tcp\"");
    }
    for bad in ["", "-", "1-", "-1", "a", "65536", "1-65536", "+1", " 1", "1 - 2", "1-2-3", "0x10"] {
        refused_rule(&format!("{RULE}proto='tcp'\nports=['1', §'{bad}']"), "is no port and no range");
    }
    for bad in ["0", "0-5", "0-0"] {
        refused_rule(&format!("{RULE}proto='tcp'\nports=[§'{bad}']"), "has port 0");
    }
    refused_rule(&format!("{RULE}proto='udp'\nports=[§'443-80']"), "write \"80-443\"");
    refused_rule(&format!("{RULE}proto='udp'\nports=§[]"), "`ports` is empty");
    refused_rule(
        &format!("{RULE}proto='tcp'\nports=['1','2','3','4','5','6','7','8',§'9','10']"),
        "up to 8 port ranges",
    );
    refused_rule(&format!("{RULE}proto='tcp'\nports=[§6443]"), "expected a string");
}

#[test]
fn every_mistake_is_told_at_once_and_in_order() {
    refused(
        "[[station]]\nname = 'é'\nmac = §'x'\nip = ['10.0.0.1', §'10.0.0.999', §'é', §'10.0.0.1']\n\
         [[policy.rule]]\nid = §'ü'\nfrom = §'nowhere'\nto = 'any'\naction = §'x'\nports = §[§'0']\n\
         [bridge]\nname = §'a/b'\nmanage = [§'[']\nageing_time = §0",
        &[
            "no MAC",
            "no IP",
            "no IP",
            "already",
            "rule id",
            "no zone",
            "action cannot be",
            "need proto",
            "port 0",
            "`/`",
            "no valid glob",
            "from 1 to",
        ],
    );
}
