//! Addresses, as strace shows them and as a record has them, in one form.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sockshim_format::address::Address;

use super::strace::{split, unquote};

/// An address that both can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// An IPv4-mapped one as IPv4.
    Ip(IpAddr, u16),
    /// As [`Address::unix_path`].
    Unix(Vec<u8>),
}

/// Of a record.
pub fn of_record(bytes: &[u8]) -> Option<Told> {
    let address = Address(bytes);
    match (address.ip(), address.port()) {
        (Some(ip), Some(port)) => Some(Told::Ip(ip, port)),
        _ => Some(Told::Unix(address.unix_path()?.to_vec())),
    }
}

/// The first one that a call's arguments show, outside of strings. None for families that are not told.
pub fn of_strace(argument: &str) -> Option<Told> {
    let body = braces(argument)?;
    let fields = split(body);
    let field = |name: &str| fields.iter().find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
    let port = |text: &str| text.strip_prefix("htons(")?.strip_suffix(')')?.parse().ok();
    match field("sa_family")? {
        "AF_INET" => {
            let ip = field("sin_addr")?.strip_prefix("inet_addr(")?;
            let ip: Ipv4Addr = String::from_utf8(unquote(ip)?).ok()?.parse().ok()?;
            Some(Told::Ip(ip.into(), port(field("sin_port")?)?))
        }
        "AF_INET6" => {
            // inet_pton(AF_INET6, "::1", &sin6_addr)
            let call = fields.iter().find(|field| field.starts_with("inet_pton("))?;
            let ip: Ipv6Addr = String::from_utf8(unquote(&call[call.find('"')?..])?).ok()?.parse().ok()?;
            let ip = ip.to_ipv4_mapped().map_or(IpAddr::from(ip), IpAddr::from);
            Some(Told::Ip(ip, port(field("sin6_port")?)?))
        }
        "AF_UNIX" => Some(Told::Unix(match field("sun_path") {
            None => Vec::new(),
            Some(path) => match path.strip_prefix('@') {
                Some(name) => [b"\0".as_slice(), &unquote(name)?].concat(),
                None => unquote(path)?,
            },
        })),
        _ => None,
    }
}

/// What stands between the braces that begin with `sa_family`.
fn braces(argument: &str) -> Option<&str> {
    let mut quoted = false;
    let bytes = argument.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if quoted => at += 1,
            b'"' => quoted = !quoted,
            b'{' if !quoted && argument[at..].starts_with("{sa_family=") => {
                let body = &argument[at + 1..];
                // A brace inside would be in a string.
                let mut quoted = false;
                let mut escaped = false;
                let end = body.bytes().position(|byte| {
                    let ends = byte == b'}' && !quoted;
                    quoted ^= byte == b'"' && !escaped;
                    escaped = byte == b'\\' && !escaped;
                    ends
                })?;
                return Some(&body[..end]);
            }
            _ => {}
        }
        at += 1;
    }
    None
}
