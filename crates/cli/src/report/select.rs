//! Which connections a report tells of, and in which order.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use sockshim_format::address::{Address, Ip};
use sockshim_reader::Model;
use sockshim_reader::model::{Connection, Role};

use crate::flags::{Order, Selection};
use crate::views::report::Item;
use crate::views::{live, safe};

/// Values that are named where one was asked for that is not there.
const MOST: usize = 12;

/// A condition: its flag, what was asked for, and what a connection has of it.
struct Filter<'a> {
    flag: &'static str,
    wanted: Vec<String>,
    has: fn(&'a Model, &'a Connection) -> Vec<String>,
}

/// The connections and pipes that were asked for, in order. An error names a value that is nowhere, and those
/// that are there.
pub fn select<'a>(model: &'a Model, selection: &Selection) -> Result<Vec<Item<'a>>, String> {
    let filters = filters(selection);
    for filter in filters.iter().filter(|filter| filter.flag != "--verdict") {
        let there: BTreeSet<String> = model.connections().flat_map(|conn| (filter.has)(model, conn)).collect();
        if let Some(wrong) = filter.wanted.iter().find(|wanted| !there.contains(*wanted)) {
            return Err(format!("no connection has {} {wrong}; {}", filter.flag, named(&there)));
        }
    }
    let fits = |conn: &'a Connection| {
        filters.iter().all(|filter| (filter.has)(model, conn).iter().any(|value| filter.wanted.contains(value)))
    };
    let mut seen = BTreeSet::new();
    let mut items = Vec::new();
    for connection in model.connections().filter(|conn| fits(conn)) {
        let item = Item::of(model, connection);
        if seen.insert(item.near.id) {
            items.push(item);
        }
    }
    sort(&mut items, selection.sort);
    items.truncate(selection.top.unwrap_or(usize::MAX));
    Ok(items)
}

fn filters<'a>(selection: &Selection) -> Vec<Filter<'a>> {
    let ports = selection.port.iter().map(u16::to_string).collect();
    let verdicts = selection.verdict.iter().map(|verdict| verdict.word().to_owned()).collect();
    let filters = vec![
        Filter { flag: "--process", wanted: selection.process.clone(), has: processes },
        Filter { flag: "--name", wanted: selection.name.clone(), has: |_, conn| name(conn) },
        Filter { flag: "--address", wanted: selection.address.clone(), has: |_, conn| addresses(conn) },
        Filter { flag: "--port", wanted: ports, has: |_, conn| ports_of(conn) },
        Filter { flag: "--verdict", wanted: verdicts, has: |model, conn| vec![model.verdict(conn).word().to_owned()] },
    ];
    filters.into_iter().filter(|filter| !filter.wanted.is_empty()).collect()
}

/// Names and pids of the processes that used it.
fn processes(model: &Model, connection: &Connection) -> Vec<String> {
    let both = connection.holders.iter().map(|holder| [live::name(model, holder.process), holder.pid.to_string()]);
    both.flatten().collect()
}

fn name(connection: &Connection) -> Vec<String> {
    connection.peer_name.iter().map(|name| safe(name)).collect()
}

/// IP addresses and paths, of either side.
fn addresses(connection: &Connection) -> Vec<String> {
    let datagrams = connection.datagram_peers.iter().map(|peer| peer.address.as_slice());
    let all = [connection.local.as_slice(), connection.peer.as_slice()].into_iter().chain(datagrams);
    let told = all.filter(|address| !address.is_empty()).filter_map(|address| match Address(address).ip() {
        Some(ip) => Some(Ip(ip).to_string()),
        None if Address(address).unix_path() == Some(&[]) => None,
        None => Some(Address(address).to_string()),
    });
    told.collect()
}

fn ports_of(connection: &Connection) -> Vec<String> {
    let datagrams = connection.datagram_peers.iter().map(|peer| peer.address.as_slice());
    let all = [connection.local.as_slice(), connection.peer.as_slice()].into_iter().chain(datagrams);
    all.filter_map(|address| Address(address).port()).map(|port| port.to_string()).collect()
}

/// `there are: curl, nginx`. Numbers are left to the end: people rather know names.
fn named(there: &BTreeSet<String>) -> String {
    let mut values: Vec<&String> = there.iter().collect();
    values.sort_by_key(|value| value.bytes().all(|byte| byte.is_ascii_digit()));
    let mut words: Vec<&str> = values.iter().take(MOST).map(|value| value.as_str()).collect();
    if values.len() > MOST {
        words.push("...");
    }
    match words.as_slice() {
        [] => "none has any".into(),
        words => format!("there are: {}", words.join(", ")),
    }
}

/// The earliest first, or else the most first.
fn sort(items: &mut [Item<'_>], order: Order) {
    let begin = |item: &Item<'_>| item.ends().filter_map(|end| end.seen).map(|span| span.start_ns).min();
    let most = |item: &Item<'_>| match order {
        Order::Start => None,
        Order::Duration => item.ends().filter_map(|end| end.seen).map(|span| span.duration_ns()).max(),
        // An accept waits for its client, and a listener only sets itself up.
        Order::Connect => item
            .ends()
            .filter(|end| !matches!(end.role, Role::Passive | Role::Listener))
            .filter_map(|end| end.phases.connect.map(|span| span.duration_ns()))
            .max(),
        Order::FirstByte => item.near.first_byte_ns,
        Order::Bytes => Some(item.near.sent.bytes.saturating_add(item.near.received.bytes)),
        Order::Calls => Some(item.ends().map(|end| end.calls).fold(0, u64::saturating_add)),
    };
    items.sort_by_key(|item| (Reverse(most(item)), begin(item)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_are_there_are_named_and_the_rest_is_counted_on() {
        let there = |values: &[&str]| named(&values.iter().map(|value| (*value).to_owned()).collect());
        assert_eq!(there(&[]), "none has any");
        assert_eq!(there(&["12", "curl", "nginx"]), "there are: curl, nginx, 12");
        let many: Vec<String> = (0..20).map(|at| format!("p{at:02}")).collect();
        let many = there(&many.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(many.ends_with("p11, ..."), "{many}");
    }
}
