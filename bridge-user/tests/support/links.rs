//! Links of a snapshot by name, and waiting with an end.

use std::time::Duration;

use bridge_user::source::{HostSnapshot, Link};

/// The link of this name, which must be there.
pub(crate) fn named<'a>(snapshot: &'a HostSnapshot, name: &str) -> &'a Link {
    snapshot.links.iter().find(|link| link.name == name).unwrap_or_else(|| panic!("{name} is not there: {snapshot:?}"))
}

/// What comes within ten seconds.
pub(crate) async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), what).await.unwrap()
}
