//! `run --metrics`: the numbers while the program runs, over HTTP.
//!
//! Two threads of the tool: one feeds a model of its own with the events, the other answers. Whoever drains the live region
//! hands the events over and goes on, however slowly somebody asks.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use sockshim_reader::{Event, Model};

use super::super::{About, Exporter, say};
use super::{Flavor, Tally};

/// Events that may wait to be counted.
const MOST_WAITING: u64 = 1 << 20;
/// Longer requests are none of Prometheus.
const MOST_BYTES: usize = 1 << 13;
const MOST_HEADERS: usize = 64;
/// Whoever takes longer to ask, or to take the answer, is not waited for: others want to ask, too.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where to listen: `127.0.0.1:9464`, `[::1]:9464`, and `:9464` or `localhost:9464` for the first of these.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    let port = text.strip_prefix("localhost:").or_else(|| text.strip_prefix(':'));
    let address = match port {
        Some(port) => port.parse().ok().map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)),
        None => text.parse().ok(),
    };
    address.ok_or_else(|| "an address such as 127.0.0.1:9464, or :0 for a free port of this machine alone".into())
}

/// A place to listen, before there is anything to tell.
pub struct Place {
    listener: TcpListener,
}

impl Place {
    /// Opens it, and says where it is: whoever asked for port 0 does not know.
    pub fn open(address: SocketAddr) -> Result<Place> {
        let listener = TcpListener::bind(address)
            .with_context(|| format!("cannot serve metrics at {address} (run --metrics); :0 takes a free port"))?;
        let address = listener.local_addr()?;
        let own = if address.ip().is_loopback() { "" } else { ", to whoever can reach this machine" };
        say(format!("metrics are at http://{address}/metrics{own}"));
        Ok(Place { listener })
    }

    /// Counts from now on, and answers.
    pub fn serve(self, about: &About<'_>) -> io::Result<Metrics> {
        let mut tally = Tally::default();
        tally.begin(about, &mut io::sink())?;
        let counted = Mutex::new(Counted { tally, model: Model::new() });
        let shared = Arc::new(Shared { counted, ..Shared::default() });
        let (events, receiver) = channel();
        let (counts, answers) = (shared.clone(), shared.clone());
        // Both end with the tool.
        thread::Builder::new().name("metrics".into()).spawn(move || count(&receiver, &counts))?;
        thread::Builder::new().name("metrics-http".into()).spawn(move || {
            for client in self.listener.incoming() {
                // One that has gone is none that waits.
                let _ = client.and_then(|client| answer(client, &answers));
            }
        })?;
        Ok(Metrics { events, shared })
    }
}

/// Takes events, and counts them elsewhere.
pub struct Metrics {
    events: Sender<Vec<Event>>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    counted: Mutex<Counted>,
    waiting: AtomicU64,
    /// Events that were not counted.
    behind: AtomicU64,
    lost: AtomicU64,
}

#[derive(Default)]
struct Counted {
    tally: Tally,
    model: Model,
}

impl Metrics {
    /// Takes events. Of those that are too many it takes only how many they are.
    pub fn events(&self, events: Vec<Event>) {
        let count = events.len() as u64;
        if self.shared.waiting.fetch_add(count, Relaxed) > MOST_WAITING || self.events.send(events).is_err() {
            self.shared.waiting.fetch_sub(count, Relaxed);
            self.shared.behind.fetch_add(count, Relaxed);
        }
    }

    /// Takes note of how many calls were lost so far.
    pub fn lost(&self, calls: u64) {
        self.shared.lost.store(calls, Relaxed);
    }
}

impl Shared {
    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn tell(&self, flavor: Flavor) -> String {
        let Counted { tally, model } = &mut *self.counted();
        // Who closed first may depend on when the other end did.
        model.find_ends();
        tally.tell(model, self.lost.load(Relaxed), self.behind.load(Relaxed), flavor)
    }
}

fn count(events: &Receiver<Vec<Event>>, shared: &Shared) {
    for events in events {
        let Counted { tally, model } = &mut *shared.counted();
        for event in &events {
            model.feed(event);
            tally.count(event, model);
            tally.forget(model);
        }
        shared.waiting.fetch_sub(events.len() as u64, Relaxed);
    }
}

/// Answers one request.
fn answer(mut client: TcpStream, shared: &Shared) -> io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    client.set_write_timeout(Some(PATIENCE))?;
    let deadline = Instant::now() + PATIENCE;
    let mut bytes = Vec::new();
    let mut buffer = [0; 1024];
    let (status, flavor) = loop {
        match client.read(&mut buffer)? {
            0 => return Ok(()),
            count => bytes.extend_from_slice(buffer.get(..count).unwrap_or_default()),
        }
        if let Some(found) = understand(&bytes) {
            break found;
        }
        if bytes.len() > MOST_BYTES || Instant::now() > deadline {
            break ("400 Bad Request", None);
        }
    };
    let (content_type, body) = match flavor {
        Some(flavor) => (flavor.content_type(), shared.tell(flavor)),
        None => ("text/plain; charset=utf-8", format!("{status}: the numbers are at /metrics\n")),
    };
    let allow = if status.starts_with("405") { "Allow: GET, HEAD\r\n" } else { "" };
    let len = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len}\r\n{allow}Connection: close\r\n\r\n"
    );
    client.write_all(head.as_bytes())?;
    if bytes.starts_with(b"HEAD ") { Ok(()) } else { client.write_all(body.as_bytes()) }
}

/// The status of the answer, and what it has to be if it is the numbers. None while the request is not all there.
fn understand(bytes: &[u8]) -> Option<(&'static str, Option<Flavor>)> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(bytes) {
        Ok(httparse::Status::Partial) => return None,
        Ok(httparse::Status::Complete(_)) => {}
        Err(_) => return Some(("400 Bad Request", None)),
    }
    if !matches!(request.method, Some("GET" | "HEAD")) {
        return Some(("405 Method Not Allowed", None));
    }
    if request.path.and_then(|path| path.split('?').next()) != Some("/metrics") {
        return Some(("404 Not Found", None));
    }
    let wants_open = request.headers.iter().any(|field| {
        let value = String::from_utf8_lossy(field.value);
        field.name.eq_ignore_ascii_case("Accept") && value.contains("application/openmetrics-text")
    });
    Some(("200 OK", Some(if wants_open { Flavor::Open } else { Flavor::Plain })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_host_is_of_this_machine_alone() {
        for (text, expected) in [
            (":0", "127.0.0.1:0"),
            (":9464", "127.0.0.1:9464"),
            ("localhost:9464", "127.0.0.1:9464"),
            ("[::1]:1", "[::1]:1"),
            ("0.0.0.0:80", "0.0.0.0:80"),
        ] {
            assert_eq!(address(text).unwrap().to_string(), expected);
        }
        for wrong in ["", "9464", ":", ":70000", "example.org:80", "127.0.0.1"] {
            assert!(address(wrong).unwrap_err().contains("127.0.0.1:9464"), "{wrong}");
        }
    }

    #[test]
    fn what_comes_too_fast_is_not_waited_for() {
        let (events, receiver) = channel();
        let shared = Arc::new(Shared { waiting: AtomicU64::new(MOST_WAITING), ..Shared::default() });
        let metrics = Metrics { events, shared };
        let lost = |count| vec![Event::Lost { process: 1, tid: 1, count }; 3];
        metrics.events(lost(1));
        metrics.events(lost(2));
        metrics.lost(7);
        let text = metrics.shared.tell(Flavor::Plain);
        assert!(
            text.contains("\nsockshim_uncounted_events_total 3\n") && text.contains("\nsockshim_lost_calls_total 7\n")
        );
        assert_eq!(receiver.try_iter().map(|events| events.len()).collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn a_request_is_understood_when_it_is_all_there() {
        let status = |text: &str| understand(text.as_bytes()).map(|(status, flavor)| (&status[..3], flavor));
        assert_eq!(status("GET /metrics HTTP/1.1\r\nHost: x\r\n"), None);
        assert_eq!(status("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), Some(("200", Some(Flavor::Plain))));
        let accept = "accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
        assert_eq!(status(&format!("GET /metrics?a HTTP/1.1\r\n{accept}\r\n\r\n")), Some(("200", Some(Flavor::Open))));
        assert_eq!(status("GET / HTTP/1.1\r\n\r\n"), Some(("404", None)));
        assert_eq!(status("POST /metrics HTTP/1.1\r\n\r\n"), Some(("405", None)));
        assert_eq!(status("\u{16}\u{3}\u{1}\r\n\r\n"), Some(("400", None)));
    }
}
