//! What people and Prometheus are told: every `show` with no manager alive, and the metrics page of a living one. Needs root.

#![allow(clippy::unwrap_used)]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use bridge_tests::find_tool;
use bridge_tests::lab::SlowPath;
use bridge_tests::site::Site;
use bridge_tests::steady::{frame, introduce, topology};
use bridge_tests::wait_until;
use serde_json::json;

const REST: &str = "[[policy.rule]]\nid = \"kept\"\nfrom = \"internal\"\nto = \"any\"\naction = \"allow\"\nstateful = true\n\
                    [[station]]\nname = \"bee\"\nmac = \"52:54:00:00:00:99\"\nport = \"vnet1\"\n\
                    [metrics]\nlisten = \"127.0.0.1:9417\"";
const WHAT: [&str; 6] = ["ports", "fdb", "flows", "counters", "policy", "status"];

#[test]
fn everything_is_shown_without_a_manager() {
    for slow_path in SlowPath::here() {
        let site = Site::pair(slow_path, &topology("", REST)).unwrap();
        let mut manager = site.start().unwrap();
        let (a, b) = site.machines().unwrap();
        introduce(a, b).unwrap();
        // Allowed under a stateful rule: opens a flow.
        bridge_tests::capture::inject(a.netns(), "eth0", &[&frame(a.mac(), b.mac(), false, 0)]).unwrap();
        let alive: Vec<_> = WHAT.iter().map(|what| site.control().show(what).unwrap()).collect();
        let (ports, counters, policy) = (&alive[0]["ports"], &alive[3], alive[4].to_string());
        assert!(["vnet0", "vnet1"].iter().all(|port| ports[port]["attached"] == true), "{ports}");
        assert_eq!(
            (&counters["rules"]["internal"]["packets"], &counters["rules"]["kept"]["packets"]),
            (&json!(3), &json!(1))
        );
        assert!(counters["ports"]["vnet0"]["forward"].as_u64().unwrap() > 0, "{counters}");
        assert!(["internal", "kept", "10.17.0.0/16"].iter().all(|word| policy.contains(word)), "{policy}");
        assert_eq!(alive[5]["manager_alive"], true);
        manager.kill().unwrap();
        for (what, before) in WHAT.iter().zip(&alive) {
            let now = site.control().show(what).unwrap();
            if matches!(*what, "ports" | "counters" | "policy") {
                assert_eq!(now, *before, "{what}");
            }
            let (code, said) = site.control().ends(&["show", what]).unwrap();
            assert_eq!(code, Some(0), "{what}: {said}");
        }
        let dead = || site.control().show("status").unwrap()["manager_alive"] == false;
        wait_until("the heartbeat is stale", Duration::from_secs(20), dead).unwrap();
        assert_eq!(alive[1].as_array().unwrap().iter().filter(|row| row["name"] == "bee").count(), 1, "{}", alive[1]);
        assert_eq!(alive[2].as_array().unwrap().len(), 1, "{}", alive[2]);
        assert_eq!(manager.errors_in_log(), Vec::<String>::new());
        site.control().detach().unwrap();
        let (code, said) = site.control().ends(&["show", "ports"]).unwrap();
        assert!(code == Some(1) && said.contains("nothing is pinned"), "{said}");
        assert_eq!(site.remains().unwrap(), Vec::<String>::new());
    }
}

#[test]
fn prometheus_understands_the_metrics() {
    let site = Site::pair(SlowPath::LinuxBridge, &topology("", REST)).unwrap();
    let manager = site.start().unwrap();
    let (a, b) = site.machines().unwrap();
    introduce(a, b).unwrap();
    let page = site.lab.host().enter(scrape).unwrap().unwrap();
    let (head, body) = page.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(body.contains("port=\"vnet0\"") && !body.contains("10.17.") && !body.contains("52:54"), "{body}");
    let forwarded = site.verdicts("vnet1").unwrap().forward;
    let labels = "direction=\"ingress\",port=\"vnet1\",reason=\"\",verdict=\"forward\"";
    let line = format!("fastbridge_port_packets_total{{{labels}}} {forwarded}\n");
    assert!(forwarded > 0 && body.contains(&line), "no {line}: {body}");
    let mut promtool = Command::new(find_tool("promtool").unwrap());
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().unwrap();
    promtool.stdin.take().unwrap().write_all(body.as_bytes()).unwrap();
    let said = promtool.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success() && told.is_empty(), "{told}");
    assert_eq!(manager.errors_in_log(), Vec::<String>::new());
    drop(manager);
    site.control().detach().unwrap();
    assert_eq!(site.remains().unwrap(), Vec::<String>::new());
}

fn scrape() -> std::io::Result<String> {
    let mut stream = TcpStream::connect("127.0.0.1:9417")?;
    stream.set_read_timeout(Some(std::time::Duration::from_secs(5)))?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    Ok(page)
}
