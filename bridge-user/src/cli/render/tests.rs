//! Exact text and exact JSON: scripts and eyes rely on both.

#![allow(clippy::unwrap_used)]
use bridge_common::abi::{FLOW_RESET, Flow, FlowKey, STATION_HOST, STATION_STATIC, Station, StationKey};

use super::{policy::PolicyView, rows::*, status::status, *};
use crate::{
    metrics::fixture,
    topology::model::{Action, OtherEthertypes, Policy, Rule, Zone, ZoneRef},
};

const SECOND: u64 = 1_000_000_000;

#[test]
fn ports() {
    let snapshot = fixture::snapshot();
    assert_eq!(
        ports_table(&snapshot),
        "\
PORT   IFINDEX  HOOK    ROLE     VLAN       ATTACHED  FORWARD  PUNT  DROP  ELIGIBLE
eno1         2  xdp+tc  uplink   -          yes             0     0     0  no: it is a bond; QoS is set
vnet3        7  tc      station  access 10  yes             9     2     1  yes
unpoliced: afx0 (no hook of ours reaches its frames)
"
    );
    assert_eq!(
        json(&ports_json(&snapshot)).unwrap(),
        concat!(
            r#"{"ports":{"eno1":{"ifindex":2,"hook":"xdp+tc","role":"uplink","vlan":null,"attached":true,"eligible":false,"#,
            r#""reasons":["it is a bond","QoS is set"],"stations":7,"before_attach":4,"forward":0,"punt":0,"drop":0},"#,
            r#""vnet3":{"ifindex":7,"hook":"tc","role":"station","vlan":"access 10","attached":true,"eligible":true,"reasons":[],"#,
            r#""stations":1,"before_attach":0,"forward":9,"punt":2,"drop":1}},"unpoliced":["afx0"]}"#,
        )
    );
}

#[test]
fn libvirt_is_told_where_it_is_a_source() {
    let mut snapshot = fixture::snapshot();
    let note = LibvirtNote { uri: "qemu:///system".into(), lost: None, interfaces: 3 };
    snapshot.libvirt = Some(note.clone());
    assert!(
        status(&snapshot).text().contains("libvirt      qemu:///system answers, 3 interfaces of running domains\n")
    );
    assert!(
        json(&ports_json(&snapshot))
            .unwrap()
            .ends_with(r#","libvirt":{"uri":"qemu:///system","lost":null,"interfaces":3}}"#)
    );
    snapshot.libvirt = Some(LibvirtNote { lost: Some("it closed\u{7}".into()), ..note });
    let lost = "libvirt: it closed\\u{7}; its last word stands (3 interfaces)\n";
    assert!(ports_table(&snapshot).ends_with(lost), "{}", ports_table(&snapshot));
    assert!(json(&status(&snapshot)).unwrap().contains(r#""libvirt":{"uri":"qemu:///system","lost":"it closed"#));
}

#[test]
fn counters() {
    let snapshot = fixture::snapshot();
    assert_eq!(
        counters_table(&snapshot),
        "\
PORT   DIRECTION  VERDICT  REASON     PACKETS  BYTES
eno1   ingress    forward  -                0      0
eno1   egress     pass     -                0      0
vnet3  ingress    forward  -                9    576
vnet3  ingress    punt     multicast        2    128
vnet3  ingress    drop     policy           1     64
vnet3  egress     pass     -                3    192
vnet3  egress     drop     policy           1     64

RULE          PACKETS  BYTES
internal-lan        9    576
default             1     64
"
    );
}

/// The example of design section 5, to the byte but for the spaces.
#[test]
fn counters_json_is_the_documented_form() {
    let mut snapshot = fixture::snapshot();
    snapshot.ports.truncate(1);
    assert_eq!(
        json(&counters_json(&snapshot)).unwrap(),
        concat!(
            r#"{"ports":{"vnet3":{"forward":9,"forward_bytes":576,"punt":{"multicast":2},"drop":{"policy":1},"#,
            r#""egress":{"pass":3,"drop":{"policy":1}}}},"#,
            r#""rules":{"internal-lan":{"packets":9,"bytes":576},"default":{"packets":1,"bytes":64}}}"#,
        )
    );
}

#[test]
fn counters_json_leaves_out_zeros_of_reasons_and_nothing_else() {
    let mut snapshot = fixture::snapshot();
    snapshot.ports.remove(0);
    snapshot.rules.clear();
    assert_eq!(
        json(&counters_json(&snapshot)).unwrap(),
        concat!(
            r#"{"ports":{"eno1":{"forward":0,"forward_bytes":0,"punt":{},"drop":{},"egress":{"pass":0,"drop":{}}}},"#,
            r#""rules":{}}"#,
        )
    );
}

#[test]
fn status_says_whether_the_manager_lives() {
    let mut snapshot = fixture::snapshot();
    assert_eq!(
        status(&snapshot).text(),
        "\
bridge       br0 (ovs)
version      0.1.0, map layouts 5f0c
manager      alive, heartbeat 0.5 s ago
reconcile    in-sync, 1 failures
policy       generation 3
ports        2: 2 attached, 1 eligible
stations     2 static, 8 learned
flows        5
unpoliced    afx0
map          FDB: 10 of 65536 entries
map          FLOWS: 5 of 131072 entries
note         a remark
"
    );
    assert_eq!(
        json(&status(&snapshot)).unwrap(),
        concat!(
            r#"{"bridge":"br0","slow_path":"ovs","version":"0.1.0","abi":"5f0c","generation":3,"manager_alive":true,"#,
            r#""heartbeat_age_seconds":0.5,"reconcile":{"state":"in-sync","last_success_age_seconds":0.25,"failures":1},"#,
            r#""ports":2,"attached":2,"eligible":1,"unpoliced":["afx0"],"static_stations":2,"learned_stations":8,"#,
            r#""flows":5,"fdb_full":0,"maps":[{"name":"FDB","used":10,"capacity":65536},"#,
            r#"{"name":"FLOWS","used":5,"capacity":131072}],"remarks":["a remark"]}"#,
        )
    );
    snapshot.reconcile = None;
    snapshot.generation = 0;
    snapshot.fdb_full = 6;
    snapshot.heartbeat_age_seconds = Some(7.25);
    let text = status(&snapshot).text();
    for line in [
        "manager      gone: last heartbeat 7.2 s ago; the slow path carries every frame, the policy holds",
        "policy       not loaded: every frame is dropped as not-ready",
        "fdb full     6 stations found no room; raise [limits] stations",
    ] {
        assert!(text.lines().any(|found| found == line), "no `{line}` in\n{text}");
    }
    snapshot.heartbeat_age_seconds = None;
    assert!(status(&snapshot).text().contains("manager      stopped: "));
}

#[test]
fn fdb() {
    let key = |last, vlan| StationKey { mac: [0x52, 0x54, 0, 4, 0, last], vlan };
    let station = |seconds: u64, flags| Station { seen_ns: seconds * SECOND, flags, ..Station::default() };
    let now = 100 * SECOND;
    let rows = [
        StationRow::new(&key(0x21, 0), &station(97, STATION_STATIC), now, Some("vnet3"), Some("master1")),
        StationRow::new(&key(0xab, 12), &station(40, 0), now, Some("eno1"), None),
        StationRow::new(&key(1, 0), &station(0, STATION_STATIC | STATION_HOST), now, None, None),
    ];
    assert_eq!(
        fdb_table(&rows),
        "\
MAC                VLAN  PORT   KIND     AGE  NAME
52:54:00:04:00:21     0  vnet3  static    3s  master1
52:54:00:04:00:ab    12  eno1   learned  60s  -
52:54:00:04:00:01     0  -      host       -  -
"
    );
    assert_eq!(
        json(&rows[1]).unwrap(),
        r#"{"mac":"52:54:00:04:00:ab","vlan":12,"port":"eno1","kind":"learned","age_seconds":60,"name":null}"#
    );
}

#[test]
fn flows() {
    let v4 = |last: [u8; 4]| std::array::from_fn(|n| last.get(n).copied().unwrap_or(0));
    let key = FlowKey {
        src: v4([10, 17, 4, 21]),
        dst: v4([203, 0, 113, 9]),
        sport: 40_000,
        dport: 443,
        proto: 6,
        family: 4,
        pad: 0,
    };
    let icmp = FlowKey { sport: 77, dport: 8, proto: 1, ..key };
    let v6 = "2001:db8::21".parse::<std::net::Ipv6Addr>().unwrap().octets();
    let udp = FlowKey { src: v6, dst: v6, sport: 53, dport: 53, proto: 17, family: 6, pad: 0 };
    let flow = |state| Flow { seen_ns: 90 * SECOND, state, ..Flow::default() };
    let row = |key: &FlowKey, state| FlowRow::new(key, &flow(state), 100 * SECOND, "out", "vnet3");
    let rows =
        [row(&key, 0), row(&key, FLOW_RESET), row(&icmp, 0), row(&udp, 0), row(&FlowKey { proto: 50, ..key }, 0)];
    assert_eq!(
        flows_table(&rows),
        "\
PROTO  SOURCE             DESTINATION         STATE    IDLE  EXPIRES  RULE  PORT
tcp    10.17.4.21:40000   203.0.113.9:443     open      10s   86390s  out   vnet3
tcp    10.17.4.21:40000   203.0.113.9:443     closing   10s     110s  out   vnet3
icmp   10.17.4.21 id 77   203.0.113.9 type 8  open      10s      20s  out   vnet3
udp    [2001:db8::21]:53  [2001:db8::21]:53   open      10s     170s  out   vnet3
50     10.17.4.21         203.0.113.9         open      10s     170s  out   vnet3
"
    );
    assert_eq!(
        json(&rows[0]).unwrap(),
        concat!(
            r#"{"proto":"tcp","src":"10.17.4.21","sport":40000,"dst":"203.0.113.9","dport":443,"rule":"out","#,
            r#""port":"vnet3","state":"open","idle_seconds":10,"expires_seconds":86390}"#,
        )
    );
}

#[test]
fn policy() {
    let rule = Rule {
        id: "internal-lan".into(),
        from: ZoneRef::Zone(0),
        to: ZoneRef::Any,
        both: true,
        stateful: false,
        action: Action::Allow,
        proto: Some(vec![6]),
        ports: vec![(6443, 6443), (80, 443)],
    };
    let policy = Policy {
        default: Action::Deny,
        other_ethertypes: OtherEthertypes::Punt,
        zones: vec![Zone {
            name: "internal".into(),
            prefixes: vec!["10.17.0.0/16".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
        }],
        rules: vec![rule],
    };
    let view = PolicyView::new(&policy, 3, &fixture::snapshot().rules);
    assert_eq!(
        view.text(),
        "\
generation 3, default deny, other ethertypes punt

ZONE      PREFIXES
internal  10.17.0.0/16 2001:db8::/32

RULE          FROM      TO   BOTH  STATEFUL  PROTO  PORTS        ACTION  PACKETS  BYTES
internal-lan  internal  any  yes   no        tcp    6443,80-443  allow         9    576
default       any       any  no    no        any    any          deny          1     64
"
    );
    assert_eq!(
        json(&view).unwrap(),
        concat!(
            r#"{"generation":3,"default":"deny","other_ethertypes":"punt","#,
            r#""zones":[{"name":"internal","prefixes":["10.17.0.0/16","2001:db8::/32"]}],"#,
            r#""rules":[{"id":"internal-lan","from":"internal","to":"any","both":true,"stateful":false,"#,
            r#""action":"allow","proto":[6],"ports":["6443","80-443"],"packets":9,"bytes":576},"#,
            r#"{"id":"default","from":"any","to":"any","both":false,"stateful":false,"action":"deny","proto":[],"#,
            r#""ports":[],"packets":1,"bytes":64}]}"#,
        )
    );
}

#[test]
fn names_cannot_drive_the_terminal() {
    let mut snapshot = fixture::snapshot();
    snapshot.ports[0].name = "v\u{1b}[2J \u{202e}\u{e9}".into();
    snapshot.unpoliced_ports[0] = "x\u{7}".into();
    let all = [ports_table(&snapshot), counters_table(&snapshot), status(&snapshot).text()].concat();
    assert!(all.contains("v\\u{1b}[2J \\u{202e}\u{e9}") && all.contains(r"x\u{7}"), "{all}");
    assert!(all.chars().all(|c| c == '\n' || !c.is_control()), "{all:?}");
}
