//! Which of the datagrams that were received have been told already, when they were sent.
//!
//! By where they come from, if the receiver knows; else by how many bytes the senders in the trace have sent to the
//! port where they were received.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use sockshim_format::address::Address;
use sockshim_reader::Model;
use sockshim_reader::model::{ConnId, Connection};

/// The sockets of a trace that send datagrams.
pub struct Senders {
    /// Their own addresses.
    from: HashSet<SocketAddr>,
    /// Addresses of the machines that were traced, as far as the trace knows them.
    here: HashSet<IpAddr>,
    /// Bytes that they have sent to each port there, less those that were received.
    on_the_way: HashMap<u16, u64>,
    /// AF_UNIX paths to which they send.
    paths: HashSet<Vec<u8>>,
}

impl Senders {
    /// Those of a trace that was read to its end.
    pub fn of(whole: &Model) -> Senders {
        let locals = whole.connections().filter_map(|conn| endpoint(&conn.local));
        let here = locals.map(|local| local.ip()).filter(|ip| !ip.is_unspecified()).collect();
        let mut senders = Senders { from: HashSet::new(), here, on_the_way: HashMap::new(), paths: HashSet::new() };
        for conn in whole.connections().filter(|conn| conn.kind == 2 && conn.sent.bytes > 0) {
            senders.from.extend(endpoint(&conn.local));
            let named: u64 = conn.datagram_peers.iter().map(|peer| peer.sent_bytes).sum();
            senders.send(&conn.peer, conn.sent.bytes.saturating_sub(named));
            for peer in &conn.datagram_peers {
                senders.send(&peer.address, peer.sent_bytes);
            }
        }
        senders
    }

    fn send(&mut self, to: &[u8], bytes: u64) {
        if bytes == 0 {
            return;
        }
        if let Some(to) = endpoint(to).filter(|to| self.is_here(to.ip())) {
            *self.on_the_way.entry(to.port()).or_default() += bytes;
        }
        self.paths.extend(Address(to).unix_path().filter(|path| !path.is_empty()).map(<[u8]>::to_vec));
    }

    /// Whether `bytes` that `conn` received, by its word from `peer`, were told when they were sent.
    pub fn have_told(&mut self, conn: &Connection, peer: Option<Address<'_>>, bytes: u64, whole: &Model) -> bool {
        let sends = |id: ConnId| whole.connection(id).is_some_and(|other| other.sent.bytes > 0);
        if conn.other_end.is_some_and(sends) {
            return true;
        }
        if conn.domain == libc::AF_UNIX {
            return Address(&conn.local).unix_path().is_some_and(|path| self.paths.contains(path));
        }
        let from = peer.or(conn.peer_address()).and_then(|Address(address)| endpoint(address));
        if from.is_some_and(|from| !self.are_at(from)) {
            return false;
        }
        let port = endpoint(&conn.local).map_or(0, |local| local.port());
        let left = self.on_the_way.get_mut(&port).filter(|left| **left >= bytes);
        let expected = left.map(|left| *left -= bytes).is_some();
        from.is_some() || expected
    }

    /// Whether one of them sends from there. One that is bound to all addresses does, if it is here.
    fn are_at(&self, from: SocketAddr) -> bool {
        let any = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        let by_any = || any.iter().any(|any: &IpAddr| self.from.contains(&SocketAddr::new(*any, from.port())));
        self.from.contains(&from) || (self.is_here(from.ip()) && by_any())
    }

    fn is_here(&self, ip: IpAddr) -> bool {
        ip.is_loopback() || ip.is_unspecified() || self.here.contains(&ip)
    }
}

/// Of IPv6 too where it carries an address of IPv4: the other end may be a socket of either.
fn endpoint(address: &[u8]) -> Option<SocketAddr> {
    let address = Address(address);
    Some(SocketAddr::new(address.ip()?.to_canonical(), address.port()?))
}
