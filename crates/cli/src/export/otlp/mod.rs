//! OpenTelemetry: each connection is a span, its phases are the spans in it, and the two ends of a pipe are linked.
//!
//! Written as OTLP/JSON, one `ExportTraceServiceRequest` per line: what a collector's file exporter writes, and what is
//! posted to one, line by line, by [`send`]. Names are those of the semantic conventions; where these have none, they are
//! those of the rows ([`super::rows`]), behind `sockshim.`.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};

use sockshim_format::address::Address;
use sockshim_format::op::Phase;
use sockshim_reader::model::{ConnId, Connect, Connection, Role, Span, Verdict};
use sockshim_reader::{Event, Model};

use super::rows::Rows;
use super::{About, Ended, Exporter, Format, Known, keys};
use crate::views::{live, safe};
use ids::{Ids, Place};
use json::{Attributes, Link, Request, Told};

mod ids;
mod json;
pub mod send;
mod traceparent;

/// Spans of a request, about: as many as the batches of OpenTelemetry's own exporters have.
const SPANS: usize = 512;
/// Links of a span to what its requests say they are part of: OpenTelemetry's own limit.
const MOST_LINKS: usize = 128;

/// What the tool knows of this format.
pub const FORMAT: Format = Format {
    name: "otlp",
    extension: "otlp.json",
    about: "OpenTelemetry, a span per connection and phase: Jaeger, Tempo, collectors (--endpoint sends it)",
    example: "jq -c '.resourceSpans[].scopeSpans[].spans[] | {name, status}' x.otlp.json",
    is_binary: false,
    has_connections: false,
    looks_ahead: false,
    forgets: false,
    make: |_| Box::<Otlp>::default(),
};

/// Writes OTLP/JSON.
#[derive(Default)]
struct Otlp {
    rows: Rows,
    ids: Ids,
    host: String,
    run: String,
    start_ns: u64,
    /// What requests said that they are part of, by connection.
    parts_of: HashMap<ConnId, Vec<Place>>,
}

impl Exporter for Otlp {
    fn begin(&mut self, about: &About<'_>, _: &mut dyn Write) -> io::Result<()> {
        self.rows.begin(about);
        self.ids = Ids::of(about);
        self.run = format!("{:016x}{:016x}", about.id[0], about.id[1]);
        self.host = about.host.to_owned();
        self.start_ns = about.start_ns;
        Ok(())
    }

    fn event(&mut self, event: &Event, known: Known<'_>, _: &mut dyn Write) -> io::Result<()> {
        match event {
            Event::Process(info) => self.rows.renamed(info.process.process),
            Event::Call(call) => {
                let place = call.payload().and_then(|(_, payload)| traceparent::of_request(payload));
                if let (Some(place), Some(conn)) = (place, known.so_far.of_call(call)) {
                    let places = self.parts_of.entry(conn.id).or_default();
                    if places.len() < MOST_LINKS && !places.contains(&place) {
                        places.push(place);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, ended: &Ended<'_>, out: &mut dyn Write) -> io::Result<()> {
        let model = ended.model;
        let mut by_process: BTreeMap<u32, Vec<&Connection>> = BTreeMap::new();
        for conn in model.connections() {
            by_process.entry(conn.holders.first().map_or(0, |holder| holder.process)).or_default().push(conn);
        }
        let mut request = Request::default();
        for (process, connections) in by_process {
            let resource = self.resource(model, process);
            request.resource(&resource);
            for connection in connections {
                if request.spans() >= SPANS {
                    request.end(out)?;
                    request.resource(&resource);
                }
                self.connection(&mut request, connection, model);
            }
        }
        request.end(out)
    }
}

impl Otlp {
    /// The process that speaks for its connections.
    fn resource(&self, model: &Model, process: u32) -> Attributes {
        let mut resource = Attributes::default();
        let name = live::name(model, process);
        resource.string("service.name", &name);
        resource.string("service.instance.id", &format!("{}-{process}", self.run));
        if !self.host.is_empty() {
            resource.string("host.name", &self.host);
        }
        let Some(state) = model.process(process) else { return resource };
        resource.number("process.pid", state.pid.into());
        resource.string("process.executable.name", &name);
        let Some(info) = &state.info else { return resource };
        resource.number("process.parent_pid", info.process.ppid.into());
        if !info.exe.is_empty() {
            resource.string("process.executable.path", &String::from_utf8_lossy(&info.exe));
        }
        if !info.args.is_empty() {
            let args: Vec<String> = info.args.iter().map(|arg| String::from_utf8_lossy(arg).into_owned()).collect();
            resource.strings("process.command_args", &args);
            resource.string("process.command_line", &args.join(" "));
        }
        resource
    }

    /// A connection, and its phases in it.
    fn connection(&mut self, request: &mut Request, conn: &Connection, model: &Model) {
        let verdict = model.verdict(conn);
        let failed = verdict.is_failure().then(|| error_type(conn, verdict));
        let mut attributes = Attributes::default();
        attributes.string("sockshim.run", &self.run);
        self.rows.connection(&mut attributes, conn, model);
        who(&mut attributes, conn);
        if let Some(word) = &failed {
            attributes.string("error.type", word);
        }
        let sentence = model.sentence(conn, self.start_ns);
        attributes.string("sockshim.story", &sentence);

        let place = self.ids.root(conn.id);
        let other = conn.other_end.map(|other| Link { to: self.ids.root(other), what: "other_end" });
        let parts_of = self.parts_of.remove(&conn.id).unwrap_or_default();
        let parts_of = parts_of.into_iter().map(|to| Link { to, what: "traceparent" });
        let seen = conn.seen.unwrap_or(Span { start_ns: self.start_ns, end_ns: self.start_ns });
        let all = conn.phases.spans().fold(seen, |all, (_, span)| Span {
            start_ns: all.start_ns.min(span.start_ns),
            end_ns: all.end_ns.max(span.end_ns),
        });
        request.span(&Told {
            place,
            parent: None,
            name: &name(conn),
            span: all,
            attributes: &attributes,
            links: &other.into_iter().chain(parts_of).collect::<Vec<_>>(),
            error: failed.is_some().then_some(&*sentence),
        });
        for (phase, span) in conn.phases.spans() {
            let mut attributes = Attributes::default();
            describe_phase(phase, &mut attributes, conn);
            // What did not come to be connected is the fault of that phase, and what broke later of the next.
            let is_at = if conn.is_connected() { Phase::Communicate } else { Phase::Connect };
            let error = failed.as_ref().filter(|_| phase == is_at);
            if let Some(word) = error {
                attributes.string("error.type", word);
            }
            request.span(&Told {
                // 0 is the connection itself.
                place: place.child(phase as u64 + 1),
                parent: Some(place),
                name: &name_of_phase(phase, conn),
                span,
                attributes: &attributes,
                links: &[],
                error: error.map(|_| &*sentence),
            });
        }
    }
}

/// As .NET calls the spans of its sockets, which the semantic conventions have as the example.
fn name_of_phase(phase: Phase, conn: &Connection) -> String {
    match (phase, conn.role) {
        (Phase::Resolve, _) => format!("DNS lookup {}", peer_name(conn).unwrap_or_default()).trim_end().to_owned(),
        (Phase::Connect, Role::Passive) => "socket accept".to_owned(),
        (Phase::Connect, Role::Listener) => "socket listen".to_owned(),
        (Phase::Connect, _) => format!("socket connect {}", shown(conn.peer_address())).trim_end().to_owned(),
        (Phase::Disconnect, _) => "socket close".to_owned(),
        _ => format!("socket {}", phase.name()),
    }
}

fn describe_phase(phase: Phase, attributes: &mut Attributes, conn: &Connection) {
    match phase {
        Phase::Resolve => {
            if let Some(name) = peer_name(conn) {
                attributes.string("dns.question.name", &name);
            }
        }
        Phase::Connect => {
            let word = keys::transport(conn.domain, conn.kind, conn.protocol);
            if !word.is_empty() {
                attributes.string("network.transport", word);
            }
            end(attributes, "network.peer.address", "network.peer.port", conn.peer_address());
        }
        Phase::Communicate => {
            for (name, count) in [
                ("sockshim.sent_bytes", conn.sent.bytes),
                ("sockshim.sent_calls", conn.sent.calls),
                ("sockshim.sent_again", conn.sent.again),
                ("sockshim.received_bytes", conn.received.bytes),
                ("sockshim.received_calls", conn.received.calls),
                ("sockshim.received_again", conn.received.again),
            ] {
                attributes.number(name, count);
            }
        }
        _ => {}
    }
}

/// Who serves whom: by the name that was resolved, if one was.
fn who(attributes: &mut Attributes, conn: &Connection) {
    match (conn.role, peer_name(conn)) {
        (Role::Active | Role::Datagram, Some(name)) => {
            attributes.string("server.address", &name);
            if let Some(port) = conn.peer_address().and_then(Address::port) {
                attributes.number("server.port", port.into());
            }
        }
        (Role::Active, None) => end(attributes, "server.address", "server.port", conn.peer_address()),
        (Role::Passive, _) => {
            end(attributes, "server.address", "server.port", conn.local_address());
            end(attributes, "client.address", "client.port", conn.peer_address());
        }
        (Role::Listener, _) => end(attributes, "server.address", "server.port", conn.local_address()),
        (Role::Unknown | Role::Pair | Role::Datagram, _) => {}
    }
}

fn end(attributes: &mut Attributes, address_name: &str, port_name: &str, address: Option<Address<'_>>) {
    let Some(address) = address else { return };
    let mut host = Vec::new();
    super::text::host(&mut host, address);
    if host.is_empty() {
        return;
    }
    attributes.string(address_name, &String::from_utf8_lossy(&host));
    if let Some(port) = address.port() {
        attributes.number(port_name, port.into());
    }
}

/// What a failed connection failed of: by its errno, or by its verdict where the program gave up by itself.
fn error_type(conn: &Connection, verdict: Verdict) -> String {
    let errno = match conn.connect {
        Connect::Failed(errno) => errno,
        _ => conn.evidence.reset.map_or(0, |(_, errno)| errno),
    };
    keys::error_type(errno).map_or_else(|| verdict.word().replace('-', "_"), str::to_owned)
}

/// What a connection is called. A client's own port, which is another one each time, is no part of it.
fn name(conn: &Connection) -> String {
    let (local, peer) = (shown(conn.local_address()), shown(conn.peer_address()));
    let text = match conn.role {
        Role::Passive => format!("socket accepted on {local}"),
        Role::Listener => format!("socket listening on {local}"),
        Role::Pair => "socket pair".to_owned(),
        Role::Datagram if peer.is_empty() => format!("socket datagrams {local}"),
        _ => match (peer_name(conn), conn.peer_address().and_then(Address::port)) {
            (Some(name), Some(port)) => format!("socket {name}:{port}"),
            _ => format!("socket {peer}"),
        },
    };
    text.trim_end().to_owned()
}

fn shown(address: Option<Address<'_>>) -> String {
    let named = address.filter(|address| address.unix_path() != Some(&[]));
    named.map_or(String::new(), |address| address.to_string())
}

fn peer_name(conn: &Connection) -> Option<String> {
    conn.peer_name.as_ref().map(|name| safe(name))
}

#[cfg(test)]
mod tests;
