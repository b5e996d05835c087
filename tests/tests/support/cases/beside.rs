//! Tags that lie beside the frame, where XDP does not see them: a veth's other end keeps them there, and a card puts them there.

use bridge_common::abi::{Drop, PORT_TAG_BESIDE, Punt};
use bridge_common::decide::{NO_RULE, Retag};
use bridge_tests::model::Setup;

use super::vlan::{VLAN, plain, set, tagged, vlans};
use crate::support::case::{Case, Want, enters};
use crate::support::effects::Effect::{Beside, LearnedIn, Used};
use crate::support::world::*;

pub fn cases() -> Vec<Case> {
    let beside = |w: &mut Setup| {
        vlans(w);
        set(w, 2, PORT_TAG_BESIDE, 0);
        set(w, 10, PORT_TAG_BESIDE, 0);
        w.add_station_in(0, mac(8), 8, 0, w.now_ns);
        set(w, 8, 0, 0);
        w.add_station_in(0, mac(10), 10, 0, w.now_ns);
    };
    let noted = move |w: &mut Setup| {
        beside(w);
        w.beside = [2, 10].into();
    };
    let on = |name: &str, ifindex, frame, want| enters(name, ifindex, frame, want).under(INSIDE);
    vec![
        on("what looks untagged is untagged so far", PB, plain(mac(8), B), Want::Forward(PM)).with(beside),
        on(
            "a tag in the frame is told to those behind",
            PB,
            tagged(A, mac(0x77), 0x300a),
            Want::Punt(Punt::UnknownSource),
        )
        .with(beside)
        .changing([LearnedIn(10, mac(0x77), 2), Used(2, 1, 0)])
        .saying_tag(),
        on("a tag in a frame that is forwarded is told to nobody", PB, tagged(A, B, 10), Want::Forward(PA))
            .with(beside)
            .retagged(Retag::POP),
        on("a tag beside the frame is noted", PB, plain(A, B), Want::Forward(PA))
            .with(beside)
            .metadata_tag(10)
            .retagged(Retag::POP)
            .changing([Beside(2)]),
        on("also of a frame that is dropped", PB, plain(A, mac(4)), Want::Drop(Drop::StationElsewhere))
            .under(NO_RULE)
            .with(beside)
            .metadata_tag(10)
            .changing([Beside(2)]),
        on("and no more once it is", PB, plain(A, B), Want::Forward(PA))
            .with(noted)
            .metadata_tag(10)
            .retagged(Retag::POP),
        on("then XDP does not know what looks untagged", PB, plain(mac(8), B), Want::Forward(PM))
            .with(noted)
            .at_xdp(VLAN),
        on("XDP leaves it to TC behind it", PT, plain(mac(8), mac(10)), Want::Forward(PM))
            .with(noted)
            .at_xdp(Want::ToTc),
        on("a tag that XDP sees is clear", PB, tagged(A, B, 10), Want::Forward(PA)).with(noted).retagged(Retag::POP),
        on("a Linux bridge that minds no tags keeps them", PB, plain(A, B), Want::Forward(PA))
            .with(|w| {
                set(w, 2, PORT_TAG_BESIDE, 0);
                w.beside = [2].into();
            })
            .at_xdp(VLAN),
        on("where no tag can lie beside the frame none is looked for", PB, plain(mac(8), B), Want::Forward(PM)).with(
            |w| {
                noted(w);
                w.ports.get_mut(&2).unwrap().flags &= !PORT_TAG_BESIDE;
            },
        ),
    ]
}
