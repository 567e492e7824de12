//! From a name to addresses.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::options::{Family, Resolve};
use crate::target::Target;

/// Where the addresses are from.
pub enum Found {
    /// `--resolve`
    Given(Vec<SocketAddr>),
    /// The host is an address itself.
    Literal(SocketAddr),
    /// The system's resolver, the hosts file included.
    Looked(Vec<SocketAddr>),
}

impl Found {
    pub fn addresses(&self) -> &[SocketAddr] {
        match self {
            Self::Given(addresses) | Self::Looked(addresses) => addresses,
            Self::Literal(address) => std::slice::from_ref(address),
        }
    }
}

pub fn lookup(
    target: &Target,
    resolve: &[Resolve],
    family: Option<Family>,
    limit: Duration,
) -> io::Result<Found> {
    let fits = |address: &SocketAddr| match family {
        None => true,
        Some(Family::V4) => address.is_ipv4(),
        Some(Family::V6) => address.is_ipv6(),
    };
    let given: Vec<SocketAddr> = resolve
        .iter()
        .filter(|given| given.port == target.port && given.host.eq_ignore_ascii_case(&target.host))
        .map(|given| SocketAddr::new(given.address, given.port))
        .filter(fits)
        .collect();
    if !given.is_empty() {
        return Ok(Found::Given(given));
    }
    if let Ok(address) = target.host.parse::<IpAddr>() {
        let address = SocketAddr::new(address, target.port);
        return if fits(&address) {
            Ok(Found::Literal(address))
        } else {
            Err(none_left(target))
        };
    }
    let mut found = ask_system(target, limit)?;
    found.retain(fits);
    if found.is_empty() {
        return Err(none_left(target));
    }
    found.dedup();
    Ok(Found::Looked(found))
}

/// The system's resolver has no deadline, so it is left behind in a thread if it takes too long.
fn ask_system(target: &Target, limit: Duration) -> io::Result<Vec<SocketAddr>> {
    let (sender, receiver) = mpsc::channel();
    let (host, port) = (target.host.clone(), target.port);
    thread::spawn(move || {
        let found = (host.as_str(), port)
            .to_socket_addrs()
            .map(Iterator::collect);
        // Nobody listens after the deadline.
        let _ = sender.send(found);
    });
    match receiver.recv_timeout(limit) {
        Ok(found) => found,
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the resolver did not answer",
        )),
    }
}

fn none_left(target: &Target) -> io::Error {
    io::Error::other(format!(
        "{} has no address of the requested family",
        target.host
    ))
}
