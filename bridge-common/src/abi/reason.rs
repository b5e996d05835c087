//! Why a frame was punted or dropped. Numbers are append-only: they index counters in pinned maps.

macro_rules! reasons {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $number:literal $text:literal,)* }) => {
        $(#[$meta])*
        #[repr(u8)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$doc])* $variant = $number,)* }

        impl $name {
            /// Every reason, in the order of its number.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The reason of this number; of one that is none, the first.
            #[inline(always)]
            pub const fn of_number(number: u8) -> Self {
                match number { $($number => Self::$variant,)* _ => Self::ALL[0] }
            }

            /// The kebab-case name that operators see.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

reasons! {
    /// The frame goes on to the slow path.
    Punt {
        /// Multicast or broadcast, at the Ethernet or the IP level.
        Multicast = 0 "multicast",
        /// The destination is not known, or was not seen yet.
        UnknownDestination = 1 "unknown-destination",
        /// The source was not known; it is learned unless learning is off.
        UnknownSource = 2 "unknown-source",
        /// To one of the host's own MACs.
        OwnMac = 3 "own-mac",
        /// The destination is on the port that the frame came in by.
        SamePort = 4 "same-port",
        /// Longer than the egress port's MTU.
        OverMtu = 5 "over-mtu",
        /// Control traffic, which the slow path must see.
        Control = 6 "control",
        /// Allowed, but the slow path drops it for its VLAN, or treats its tag as we cannot.
        Vlan = 7 "vlan",
        /// Neither IPv4, IPv6 nor ARP, and `other_ethertypes = "punt"`.
        Ethertype = 8 "ethertype",
        /// The bridge or the port does what we cannot do identically.
        Ineligible = 9 "ineligible",
        /// No manager is alive.
        NoManager = 10 "no-manager",
        /// The checksum may be a partial one, which XDP would lose.
        PartialChecksum = 11 "partial-checksum",
        /// The station was last seen on another port.
        StationMoved = 12 "station-moved",
        /// The port's share of stations, or the FDB, is full.
        StationLimit = 13 "station-limit",
        /// The egress port is down.
        EgressDown = 14 "egress-down",
        /// The source MAC is a group address or all zeros.
        BadSourceMac = 15 "bad-source-mac",
        /// The egress device takes no frames from XDP.
        NoXdpTarget = 16 "no-xdp-target",
    }
}

reasons! {
    /// The frame is dropped.
    Drop {
        /// A rule, or the default, denies it.
        Policy = 0 "policy",
        /// A header is cut, or lies about its length.
        Malformed = 1 "malformed",
        /// A later fragment under a decision that needs ports.
        FragmentNoPorts = 2 "fragment-no-ports",
        /// An IPv6 extension header chain that cannot be read.
        Ipv6Extension = 3 "ipv6-extension",
        /// Several tags in front of what the policy would have to read.
        VlanDepth = 4 "vlan-depth",
        /// LLC/SNAP around IPv4, IPv6, ARP or a tag.
        Llc = 5 "llc",
        /// An ethertype that hides its content, or `other_ethertypes = "drop"`.
        Ethertype = 6 "ethertype",
        /// The source is one of the host's own addresses.
        HostSpoof = 7 "host-spoof",
        /// The source MAC belongs to a static station of another port, or to the host.
        StationElsewhere = 8 "station-elsewhere",
        /// Guard: not the bound station's MAC.
        GuardMac = 9 "guard-mac",
        /// Guard: not the bound station's address.
        GuardIp = 10 "guard-ip",
        /// Guard: an ARP sender that is not the bound station.
        GuardArp = 11 "guard-arp",
        /// Guard: neighbour discovery for an address or MAC that is not the bound station's.
        GuardNd = 12 "guard-nd",
        /// Guard: a router advertisement.
        GuardRa = 13 "guard-ra",
        /// Guard: a DHCP or DHCPv6 server's message.
        GuardDhcp = 14 "guard-dhcp",
        /// Guard: an ICMP or ICMPv6 redirect.
        GuardRedirect = 15 "guard-redirect",
        /// The port's share of flows, or the flow table, is full.
        FlowTableFull = 16 "flow-table-full",
        /// The maps are not filled yet.
        NotReady = 17 "not-ready",
        /// The port is no member of the bridge.
        NotMember = 18 "not-member",
        /// The refresh frame of the manager, which no port may send or let out.
        Refresh = 19 "refresh",
    }
}

/// Ethertype of the frame that keeps OVS's FDB entries young: IEEE 802 local experimental ethertype 2 (IEEE 802, 9.2.3).
pub const REFRESH_ETHERTYPE: u16 = 0x88b6;
