//! What a path carries. Knows nothing of paths.

use bridge_tests::Mac;

use crate::{
    frames::{self, Variety},
    topology::Rules,
};

/// An address of no zone: nothing may come from there.
const OUTSIDE: [u8; 4] = [203, 0, 113, 7];

const DHCP_CLIENT: u16 = 68;

/// What a path carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    OneFlow,
    /// Between two stations.
    Flows,
    /// Towards one, each in turn: of 4096 nearly all are remembered, of 50,000 a third.
    Stations(u32),
    /// The same, of which nothing is remembered: every frame comes from the port of DHCP clients, each of which is looked at.
    Anew(u32),
    /// What every policy here denies.
    Denied,
    /// The same, of many flows.
    DeniedFlows,
}

const FLOWS: u32 = 16_384;

impl Load {
    pub(super) fn name(self) -> String {
        match self {
            Self::OneFlow => "1 flow".into(),
            Self::Flows => format!("{FLOWS} flows"),
            Self::Stations(count) => format!("{count} stations"),
            Self::Anew(count) => format!("{count} stations, each frame decided anew"),
            Self::Denied => "denied, 1 flow".into(),
            Self::DeniedFlows => format!("denied, {FLOWS} flows"),
        }
    }

    /// Whether nothing of it may arrive.
    pub(super) fn is_denied(self) -> bool {
        matches!(self, Self::Denied | Self::DeniedFlows)
    }

    /// Whether its stations differ.
    pub(super) fn is_of_stations(self) -> bool {
        matches!(self, Self::Stations(_) | Self::Anew(_))
    }

    pub(super) fn variety(self) -> Variety {
        match self {
            Self::OneFlow | Self::Denied => Variety::None,
            Self::Flows | Self::DeniedFlows => Variety::Flows(FLOWS),
            Self::Stations(count) | Self::Anew(count) => Variety::Stations(count),
        }
    }

    /// From the first station to the second.
    pub(super) fn frame(self, source: Mac, destination: Mac, rules: Rules) -> Vec<u8> {
        let [from, to] = rules.stations();
        let from = if self.is_denied() { OUTSIDE } else { from };
        let port = if matches!(self, Self::Anew(_)) { DHCP_CLIENT } else { frames::PORT };
        frames::udp_from(port, source, destination, from, to)
    }
}
