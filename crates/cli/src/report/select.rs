//! Which connections a report tells of, and in which order.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use sockshim_format::address::{Address, Ip};
use sockshim_reader::Model;
use sockshim_reader::model::{ConnId, Connection, Role};

use crate::flags::{Order, Reached, Selection};
use crate::reading::MOST_KEPT;
use crate::views::report::Item;
use crate::views::{live, safe};

/// Values that are named where one was asked for that is not there.
const MOST: usize = 12;
/// Values that are remembered for that.
const MOST_THERE: usize = 1 << 14;

/// A condition: its flag, what was asked for, and what a connection has of it.
struct Filter {
    flag: &'static str,
    wanted: Vec<String>,
    has: fn(&Model, &Connection) -> Vec<String>,
    /// Its values are known beforehand, and none of them is wrong.
    may_be_nowhere: bool,
}

/// The connections and pipes that were asked for, in order. An error names a value that is nowhere, and those
/// that are there. `among` are the only ones that it can be, if that is known.
pub fn select<'a>(
    model: &'a Model,
    selection: &Selection,
    among: Option<&BTreeSet<ConnId>>,
) -> Result<Vec<Item<'a>>, String> {
    let filters = filters(selection);
    let mut there = There::of(&filters);
    if among.is_none() {
        model.connections().for_each(|conn| there.add(&filters, model, conn));
        there.check(&filters)?;
    }
    let of = |conn: &'a Connection| asked_for(&filters, model, conn);
    let mut items: Vec<Item<'a>> = model.connections().filter_map(of).collect();
    items.retain(|item| among.is_none_or(|among| among.contains(&item.near.id)));
    items.sort_by_key(|item| key(item, selection.sort));
    items.truncate(selection.top.unwrap_or(usize::MAX));
    Ok(items)
}

/// Picks the connections and pipes that were asked for among those of a long trace, which come one by one.
pub struct Picked<'a> {
    filters: Vec<Filter>,
    there: There,
    selection: &'a Selection,
    /// The first ones in order, by their near ends.
    best: BTreeSet<(Key, ConnId)>,
    /// How many there are.
    count: u64,
}

impl<'a> Picked<'a> {
    /// Nothing yet.
    pub fn new(selection: &'a Selection) -> Picked<'a> {
        let filters = filters(selection);
        Picked { there: There::of(&filters), filters, selection, best: BTreeSet::new(), count: 0 }
    }

    /// Looks at a connection. Its item, if it was asked for.
    pub fn take<'m>(&mut self, model: &'m Model, conn: &'m Connection) -> Option<Item<'m>> {
        self.there.add(&self.filters, model, conn);
        let item = asked_for(&self.filters, model, conn)?;
        self.count += 1;
        self.best.insert((key(&item, self.selection.sort), item.near.id));
        if self.best.len() > self.selection.top.unwrap_or(usize::MAX).min(MOST_KEPT) {
            self.best.pop_last();
        }
        Some(item)
    }

    /// The near ends, if they are few enough to be told in order. An error names a value that is nowhere.
    pub fn few(&self) -> Result<Option<BTreeSet<ConnId>>, String> {
        self.there.check(&self.filters)?;
        let few = self.count.min(self.selection.top.map_or(u64::MAX, |top| top as u64)) <= MOST_KEPT as u64;
        Ok(few.then(|| self.best.iter().map(|(_, id)| *id).collect()))
    }

    /// How many connections and pipes were asked for.
    pub fn count(&self) -> u64 {
        self.count
    }
}

/// The values of each filter that are there, as many as may be named.
struct There(Vec<(BTreeSet<String>, BTreeSet<String>)>);

impl There {
    fn of(filters: &[Filter]) -> There {
        There(filters.iter().map(|_| Default::default()).collect())
    }

    fn add(&mut self, filters: &[Filter], model: &Model, conn: &Connection) {
        for (filter, (there, found)) in filters.iter().zip(&mut self.0) {
            for value in (filter.has)(model, conn) {
                if filter.wanted.contains(&value) {
                    found.insert(value.clone());
                }
                if there.len() < MOST_THERE {
                    there.insert(value);
                }
            }
        }
    }

    fn check(&self, filters: &[Filter]) -> Result<(), String> {
        for (filter, (there, found)) in filters.iter().zip(&self.0).filter(|(filter, _)| !filter.may_be_nowhere) {
            if let Some(wrong) = filter.wanted.iter().find(|wanted| !found.contains(*wanted)) {
                return Err(format!("no connection has {} {wrong}; {}", filter.flag, named(there)));
            }
        }
        Ok(())
    }
}

/// The item of a connection that was asked for; of a pipe the first of the ends that fit speaks for it.
fn asked_for<'m>(filters: &[Filter], model: &'m Model, conn: &'m Connection) -> Option<Item<'m>> {
    let fits = |conn: &Connection| {
        filters.iter().all(|filter| (filter.has)(model, conn).iter().any(|value| filter.wanted.contains(value)))
    };
    let item = Item::of(model, conn);
    let first = || item.ends().filter(|end| end.id < conn.id).any(&fits);
    (fits(conn) && !first()).then_some(item)
}

fn filters(selection: &Selection) -> Vec<Filter> {
    let ports = selection.port.iter().map(u16::to_string).collect();
    let verdicts = selection.verdict.iter().map(|verdict| verdict.word().to_owned()).collect();
    let phases = selection.phase.iter().map(|phase| phase.word().to_owned()).collect();
    let filter =
        |flag, wanted, has| Filter { flag, wanted, has, may_be_nowhere: ["--phase", "--verdict"].contains(&flag) };
    let filters = [
        filter("--process", selection.process.clone(), processes),
        filter("--name", selection.name.clone(), |_, conn| name(conn)),
        filter("--address", selection.address.clone(), |_, conn| addresses(conn)),
        filter("--port", ports, |_, conn| ports_of(conn)),
        filter("--phase", phases, |_, conn| vec![reached(conn).word().to_owned()]),
        filter("--verdict", verdicts, |model, conn| vec![model.verdict(conn).word().to_owned()]),
    ];
    filters.into_iter().filter(|filter| !filter.wanted.is_empty()).collect()
}

/// Names and pids of the processes that used it.
fn processes(model: &Model, connection: &Connection) -> Vec<String> {
    let both = connection.holders.iter().map(|holder| [live::name(model, holder.process), holder.pid.to_string()]);
    both.flatten().collect()
}

fn reached(connection: &Connection) -> Reached {
    match &connection.phases {
        phases if phases.communicate.is_some() => Reached::Communicate,
        phases if phases.connect.is_some() => Reached::Connect,
        _ => Reached::Create,
    }
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

/// What items are ordered by: the most first, or else the earliest.
type Key = (Reverse<Option<u64>>, Option<u64>);

fn key(item: &Item<'_>, order: Order) -> Key {
    let begin = item.ends().filter_map(|end| end.seen).map(|span| span.start_ns).min();
    let most = match order {
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
    (Reverse(most), begin)
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
