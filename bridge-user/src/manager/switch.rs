//! What ovs-vswitchd says of its orders, added to what ovsdb-server says of the bridge.

use std::{path::Path, time::Duration};

use tokio::time::timeout;

use crate::source::{
    OvsBridge,
    openflow::{OpenFlowError, OrderWatch, Orders},
};

/// How long a look waits for ovs-vswitchd: the heartbeat waits with it.
const ANSWER: Duration = Duration::from_millis(300);

/// ovs-vswitchd and its last good word.
pub(super) struct Switch {
    bridge: String,
    watch: OrderWatch,
    /// Or why they are not known.
    orders: Result<Orders, String>,
}

impl Switch {
    /// Connects with the first look.
    pub(super) fn new(rundir: &Path, bridge: &str) -> Self {
        // Nobody has said that there is only NORMAL before ovs-vswitchd has.
        let orders = Err("ovs-vswitchd has not told the bridge's flows yet".into());
        Self { bridge: bridge.into(), watch: OrderWatch::new(rundir, bridge), orders }
    }

    /// Asks; whether it says something else than before. One that does not answer at once has said nothing new.
    pub(super) async fn look(&mut self) -> bool {
        let orders = match timeout(ANSWER, self.watch.orders()).await {
            Ok(Ok(orders)) => Ok(orders),
            Ok(Err(error @ OpenFlowError::Version)) => Err(error.to_string()),
            Ok(Err(_)) | Err(_) => return false,
        };
        let news = orders != self.orders;
        self.orders = orders;
        news
    }

    /// Says of the bridge and its ports why they must be left to it.
    pub(super) fn add_to(&self, bridge: &mut OvsBridge) {
        let orders = match &self.orders {
            Ok(orders) => orders,
            Err(why) => return bridge.ineligible.push(why.clone()),
        };
        bridge.ineligible.extend(orders.of_bridge(&self.bridge));
        for interface in &mut bridge.interfaces {
            if let Some(ofport) = interface.ofport {
                interface.ineligible.extend(orders.of_port(ofport));
            }
        }
    }
}
