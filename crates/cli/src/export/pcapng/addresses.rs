//! Both ends of a connection as IP addresses, for a format that knows no others.
//!
//! AF_UNIX sockets get some of 127.0.0.0/8, which never leaves a machine: 127.64.0.0/10 stands for paths, each with
//! a name to show instead; 127.1.0.0/16 for sockets without one. Ends that are not known are 0.0.0.0, or loopback
//! where the other end is, with a port of the dynamic range that tells connections apart.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use sockshim_format::address::Address;
use sockshim_reader::model::{Connection, Role};

/// The port of AF_UNIX paths. It is nobody's in practice (tcpmux), so it suggests no protocol.
const PATH_PORT: u16 = 1;
const DYNAMIC_PORTS: u64 = 49_152;
const DYNAMIC_COUNT: u64 = 65_536 - DYNAMIC_PORTS;

/// Gives addresses to what has none, and remembers them.
#[derive(Default)]
pub struct Addresses {
    paths: HashMap<Vec<u8>, u32>,
    /// Names that were given since they were asked for.
    pub names: Vec<(IpAddr, String)>,
}

impl Addresses {
    /// The ends of a stream: the one that connects, and the other. `peer` is whom it connects to, if that is not
    /// whom it reached in the end.
    pub fn of_stream(&mut self, conn: &Connection, other: Option<&Connection>, peer: Option<Address<'_>>) -> Ends {
        // A path is known at one end only; the addresses of an IP connection mirror each other.
        let (active, passive) = match conn.role {
            Role::Passive => (other, Some(conn)),
            _ => (Some(conn), other),
        };
        let number = active.into_iter().chain(passive).map(|conn| conn.id).min().unwrap_or(conn.id);
        if conn.domain == libc::AF_UNIX || Address(&conn.peer).unix_path().is_some() {
            let named = |address| Address(address).unix_path().filter(|path| !path.is_empty());
            let path = peer.and_then(|peer| peer.unix_path()).or(active.and_then(|conn| named(&conn.peer)));
            let path = path.or(passive.and_then(|conn| named(&conn.local)));
            let far = match path {
                Some(path) => self.path(path),
                None => unnamed(number, 1),
            };
            return [unnamed(number, 0), far];
        }
        let endpoint = |address| Some(SocketAddr::new(Address(address).ip()?, Address(address).port()?));
        let asked = peer.and_then(|peer| Some(SocketAddr::new(peer.ip()?, peer.port()?)));
        // 0.0.0.0 connects to 127.0.0.1, as the kernel says.
        let asked = asked.filter(|peer| !peer.ip().is_unspecified());
        let far = asked.or(active.and_then(|conn| endpoint(&conn.peer)));
        let far = far.or(passive.and_then(|conn| endpoint(&conn.local)));
        let near = active.and_then(|conn| endpoint(&conn.local));
        let near = near.filter(|near| near.port() != 0).or(passive.and_then(|conn| endpoint(&conn.peer)));
        completed(near, far, conn.domain, number)
    }

    /// The ends of a datagram: the socket's own, and the other one.
    pub fn of_datagram(&mut self, conn: &Connection, peer: Option<Address<'_>>) -> Ends {
        let peer = peer.or(conn.peer_address());
        if conn.domain == libc::AF_UNIX {
            let mut end = |address: Option<Address<'_>>, side: u8| match address.and_then(Address::unix_path) {
                Some([]) | None => unnamed(conn.other_end.map_or(conn.id, |other| other.min(conn.id)), side),
                Some(path) => self.path(path),
            };
            let first = conn.other_end.is_none_or(|other| conn.id < other);
            let (near, far) = if first { (0, 1) } else { (1, 0) };
            return [end(conn.local_address(), near), end(peer, far)];
        }
        let endpoint = |address: Address<'_>| Some(SocketAddr::new(address.ip()?, address.port()?));
        completed(conn.local_address().and_then(endpoint), peer.and_then(endpoint), conn.domain, conn.id)
    }

    /// The address that stands for a path.
    fn path(&mut self, path: &[u8]) -> SocketAddr {
        let next = self.paths.len() as u32 + 1;
        let number = *self.paths.entry(path.to_vec()).or_insert(next);
        let ip = IpAddr::from((0x7f40_0000 | number & 0x3f_ffff).to_be_bytes());
        if number == next {
            self.names.push((ip, name(path)));
        }
        SocketAddr::new(ip, PATH_PORT)
    }
}

/// The end that connects, or that the call was about, and the other.
pub type Ends = [SocketAddr; 2];

/// `unix.run.docker.sock` for `/run/docker.sock`, `unix.@name` for one without a file.
fn name(path: &[u8]) -> String {
    let text = match path {
        [0, name @ ..] => format!(".@{}", crate::views::safe(name)),
        [b'/', ..] => crate::views::safe(path),
        path => format!(".{}", crate::views::safe(path)),
    };
    format!("unix{}", text.replace(['/', ' '], "."))
}

/// One of both ends without a name, of a socket of this number.
fn unnamed(number: usize, side: u8) -> SocketAddr {
    let number = number as u64;
    let [high, low] = ((number / DYNAMIC_COUNT) as u16).to_be_bytes();
    // The other end has the lowest bit of the second byte.
    let ip = IpAddr::from([127, if side == 0 { 1 } else { 2 }, high, low.saturating_add(1)]);
    SocketAddr::new(ip, (DYNAMIC_PORTS + number % DYNAMIC_COUNT) as u16)
}

/// Both ends, as far as they are known.
fn completed(near: Option<SocketAddr>, far: Option<SocketAddr>, domain: i32, number: usize) -> Ends {
    let any = |like: Option<SocketAddr>| match like {
        Some(SocketAddr::V4(_)) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        Some(SocketAddr::V6(_)) => Ipv6Addr::UNSPECIFIED.into(),
        None if domain == libc::AF_INET6 => Ipv6Addr::UNSPECIFIED.into(),
        None => Ipv4Addr::UNSPECIFIED.into(),
    };
    let port = (DYNAMIC_PORTS + number as u64 % DYNAMIC_COUNT) as u16;
    let fill = |end: Option<SocketAddr>, other: Option<SocketAddr>, port: u16| {
        let mut end = end.unwrap_or(SocketAddr::new(any(other), 0));
        if end.ip().is_unspecified() {
            let here = other.map(|other| other.ip()).filter(IpAddr::is_loopback);
            end.set_ip(here.unwrap_or(any(other.or(Some(end)))));
        }
        if end.port() == 0 {
            end.set_port(port);
        }
        end
    };
    [fill(near, far, port), fill(far, near, PATH_PORT)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_names_and_one_address_each() {
        let mut addresses = Addresses::default();
        let [a, b] = [b"/run/docker.sock".as_slice(), b"\0abs tract"].map(|path| addresses.path(path));
        assert_eq!(addresses.path(b"/run/docker.sock"), a);
        assert_eq!((a.to_string(), b.to_string()), ("127.64.0.1:1".into(), "127.64.0.2:1".into()));
        let names: Vec<&str> = addresses.names.iter().map(|(_, name)| &**name).collect();
        assert_eq!(names, ["unix.run.docker.sock", "unix.@abs.tract"]);
    }

    #[test]
    fn unknown_ends_are_where_the_other_end_is() {
        let text = |[near, far]: Ends| format!("{near} {far}");
        let parse = |text: &str| text.parse().ok();
        assert_eq!(text(completed(None, parse("127.0.0.1:80"), 2, 7)), "127.0.0.1:49159 127.0.0.1:80");
        assert_eq!(text(completed(parse("0.0.0.0:5"), parse("192.0.2.1:80"), 2, 7)), "0.0.0.0:5 192.0.2.1:80");
        assert_eq!(text(completed(parse("[::]:5"), parse("[::1]:80"), 10, 7)), "[::1]:5 [::1]:80");
        assert_eq!(text(completed(None, None, 10, 7)), "[::]:49159 [::]:1");
    }
}
