//! Names as they are shown, and libvirt's own library with its test driver, which needs no daemon.
#![allow(clippy::unwrap_used)]

use super::shown;

#[test]
fn a_name_is_one_word_whatever_it_is() {
    assert_eq!(shown("web-1.example_a"), "web-1.example_a");
    assert_eq!(shown("my vm"), "my\\u{20}vm");
    assert_eq!(shown("größe\u{1b}[2J\u{202e}"), "gr\\u{f6}\\u{df}e\\u{1b}[2J\\u{202e}");
    assert_eq!(shown("a\\u{20}b"), "a\\u{5c}u{20}b", "no name looks like another's escaped one");
}

#[cfg(not(feature = "libvirt"))]
#[test]
fn without_libvirt_the_one_who_asks_is_told() {
    let wanted = crate::topology::model::Libvirt { uri: "qemu:///system".into(), guest_agent: false };
    let error = super::LibvirtWatch::spawn(&wanted).unwrap_err();
    assert!(error.to_string().contains("built without libvirt"), "{error}");
    assert_eq!(crate::manager::ManagerError::from(error).exit_code(), 2);
}

#[cfg(feature = "libvirt")]
mod with_the_library {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::super::{LibvirtState, LibvirtWatch};
    use crate::source::told::Health;
    use crate::topology::model::Libvirt;

    /// Two running domains, one that does not run, one without a tap.
    const NODE: &str = "<node>
        <domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'><name>b c</name><memory>8192</memory>
            <os><type>hvm</type></os><devices><interface type='bridge'><mac address='52:54:00:00:00:02'/><source bridge='br0'/>
            <target dev='tap2'/><bandwidth><inbound average='100'/></bandwidth></interface></devices></domain>
        <domain type='test'><name>a</name><memory>8192</memory><os><type>hvm</type></os><devices>
            <interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='br1'/><target dev='tap1'/></interface>
            </devices></domain>
        <domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'><test:runstate>5</test:runstate>
            <name>off</name><memory>8192</memory><os><type>hvm</type></os><devices><interface type='bridge'>
            <mac address='52:54:00:00:00:03'/><source bridge='br0'/><target dev='tap3'/></interface></devices></domain>
        </node>";

    async fn until(watch: &mut LibvirtWatch, wanted: impl Fn(&LibvirtState) -> bool) -> LibvirtState {
        let waited = timeout(Duration::from_secs(20), async {
            loop {
                let state = watch.changed().await;
                if wanted(&state) {
                    return state;
                }
            }
        });
        waited.await.unwrap_or_else(|_| panic!("{:?}", watch.state()))
    }

    #[tokio::test]
    async fn running_domains_are_told_and_what_is_no_libvirt_is_a_reason() {
        let directory = tempfile::tempdir().unwrap();
        let node = directory.path().join("node.xml");
        let wanted = Libvirt { uri: format!("test://{}", node.display()), guest_agent: false };
        let mut watch = LibvirtWatch::spawn(&wanted).unwrap();
        let state =
            until(&mut watch, |state| matches!(&state.health, Health::Lost { why, .. } if why.contains("cannot")))
                .await;
        assert_eq!(state.snapshot, None);
        // It is tried again until it is there.
        std::fs::write(&node, NODE).unwrap();
        let state = until(&mut watch, |state| state.health == Health::Current).await;
        let told: Vec<_> = state.snapshot.as_ref().unwrap().interfaces.iter().collect();
        let names: Vec<_> = told.iter().map(|told| (told.domain.as_str(), told.tap.as_str(), told.mac[5])).collect();
        assert_eq!(names, [("a", "tap1", 1), ("b\\u{20}c", "tap2", 2)]);
        assert!(told[1].bandwidth.is_some() && told[1].bridge.as_deref() == Some("br0"));
    }
}
