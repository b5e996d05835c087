//! What the `virt` crate lacks: domain events, and addresses without a leak (its own `Interface::from_ptr` never frees the structures that
//! libvirt allocates). The only unsafe code here. Must not: decide anything.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::net::IpAddr;
use std::ptr;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::{Error, clear_error_callback};
use virt::{event, sys};

use super::LibvirtError;
use super::connection::refused;

/// The longest that [`turn`] waits, in ms.
const TICK_MS: c_int = 500;
/// Addresses of one interface that are taken; a guest's agent may claim any number.
const MAX_ADDRESSES: usize = 64;

/// Once in a process, before its first connection: libvirt's event loop, which [`turn`] turns, and no words of the library's own on stderr.
pub(super) fn prepare() -> Result<(), LibvirtError> {
    static DONE: OnceLock<Result<(), Error>> = OnceLock::new();
    let done = DONE.get_or_init(|| {
        clear_error_callback();
        event::event_register_default_impl()?;
        event::event_add_timeout(TICK_MS, |_, _| {}, ptr::null_mut()).map(drop)
    });
    done.clone().map_err(refused("its event loop"))
}

/// Waits for libvirt's next event, half a second at most, and lets it be heard.
pub(super) fn turn() -> Result<(), LibvirtError> {
    event::event_run_default_impl().map_err(refused("a turn of its event loop"))
}

/// Domain events of a connection. Each means no more than "look again".
pub(super) struct Events {
    connect: Connect,
    callbacks: Vec<c_int>,
    news: Arc<AtomicBool>,
}

impl Events {
    /// Listens to starts, stops and devices. A driver that lacks one of them is looked at now and then anyway.
    pub(super) fn listen(connect: &Connect) -> Result<Self, LibvirtError> {
        let news = Arc::new(AtomicBool::new(true));
        let mut this = Self { connect: connect.clone(), callbacks: Vec::new(), news };
        // SAFETY: both have the signature that libvirt calls for that kind of event; the cast to the generic one is how its header
        // (VIR_DOMAIN_EVENT_CALLBACK) wants them handed over.
        let [lifecycle, device] = unsafe {
            [
                std::mem::transmute::<*const c_void, sys::virConnectDomainEventGenericCallback>(on_lifecycle as _),
                std::mem::transmute::<*const c_void, sys::virConnectDomainEventGenericCallback>(on_device as _),
            ]
        };
        this.register(sys::VIR_DOMAIN_EVENT_ID_LIFECYCLE, lifecycle).map_err(refused("domain events"))?;
        for id in [sys::VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, sys::VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED] {
            let _looked_at_anyway = this.register(id, device);
        }
        Ok(this)
    }

    fn register(
        &mut self,
        id: sys::virDomainEventID,
        callback: sys::virConnectDomainEventGenericCallback,
    ) -> Result<(), Error> {
        let news = Arc::into_raw(Arc::clone(&self.news));
        // SAFETY: the connection lives in `self`; libvirt owns the reference behind `news` until it calls `forget`.
        let number = unsafe {
            sys::virConnectDomainEventRegisterAny(
                self.connect.as_ptr(),
                ptr::null_mut(),
                id as c_int,
                callback,
                news.cast_mut().cast(),
                Some(forget),
            )
        };
        if number < 0 {
            // SAFETY: libvirt did not take the reference.
            drop(unsafe { Arc::from_raw(news) });
            return Err(Error::last_error());
        }
        self.callbacks.push(number);
        Ok(())
    }

    /// Whether something happened since the last call.
    pub(super) fn news(&self) -> bool {
        self.news.swap(false, Ordering::Relaxed)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        for number in &self.callbacks {
            // SAFETY: the connection lives in `self`. That it may be broken is no matter: then libvirt only forgets the callback.
            let _broken = unsafe { sys::virConnectDomainEventDeregisterAny(self.connect.as_ptr(), *number) };
        }
    }
}

/// # Safety
/// `news` is what [`Events::register`] handed to libvirt.
unsafe fn note(news: *mut c_void) {
    // SAFETY: libvirt holds a reference to it for as long as it calls.
    unsafe { &*news.cast::<AtomicBool>() }.store(true, Ordering::Relaxed);
}

/// `virConnectDomainEventCallback`.
unsafe extern "C" fn on_lifecycle(
    _: sys::virConnectPtr,
    _: sys::virDomainPtr,
    _event: c_int,
    _detail: c_int,
    news: *mut c_void,
) -> c_int {
    // SAFETY: libvirt hands back what it was given.
    unsafe { note(news) };
    0
}

/// `virConnectDomainEventDeviceAddedCallback` and `...DeviceRemovedCallback`.
unsafe extern "C" fn on_device(_: sys::virConnectPtr, _: sys::virDomainPtr, _alias: *const c_char, news: *mut c_void) {
    // SAFETY: libvirt hands back what it was given.
    unsafe { note(news) };
}

/// `virFreeCallback`.
unsafe extern "C" fn forget(news: *mut c_void) {
    // SAFETY: libvirt calls it once for each reference that it was given.
    drop(unsafe { Arc::from_raw(news.cast_const().cast::<AtomicBool>()) });
}

/// MAC address (as text) and IP addresses of each interface, as far as that source tells; a refusal is nothing.
pub(super) fn addresses(domain: &Domain, source: sys::virDomainInterfaceAddressesSource) -> Vec<(String, Vec<IpAddr>)> {
    let mut first = ptr::null_mut();
    // SAFETY: the domain lives through the call; `first` takes the array.
    let count = unsafe { sys::virDomainInterfaceAddresses(domain.as_ptr(), &raw mut first, source, 0) };
    let mut found = Vec::new();
    for index in 0..usize::try_from(count).unwrap_or_default() {
        // SAFETY: libvirt says that the array has `count` elements; each is read once, then freed.
        unsafe {
            let interface = *first.add(index);
            found.extend(text((*interface).hwaddr).map(|mac| (mac, addresses_of(&*interface))));
            sys::virDomainInterfaceFree(interface);
        }
    }
    // SAFETY: the array itself is the caller's to free; libvirt allocates with malloc. Null after a refusal, which is fine.
    unsafe { libc::free(first.cast()) };
    found
}

/// # Safety
/// `interface` is as libvirt filled it.
unsafe fn addresses_of(interface: &sys::virDomainInterface) -> Vec<IpAddr> {
    let count = usize::try_from(interface.naddrs).unwrap_or_default().min(MAX_ADDRESSES);
    // SAFETY: it has `naddrs` addresses, each with a string.
    (0..count).filter_map(|index| unsafe { text((*interface.addrs.add(index)).addr) }?.parse().ok()).collect()
}

/// # Safety
/// `text` is null or a C string.
unsafe fn text(text: *const c_char) -> Option<String> {
    // SAFETY: as the caller says.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}
