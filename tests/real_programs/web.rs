//! An HTTP/1.1 server in this process: nobody traces it, and it counts what really passes.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A connection, as the server saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub peer: SocketAddr,
    /// Its requests: method and path.
    pub requests: Vec<String>,
    pub received_bytes: u64,
    pub sent_bytes: u64,
}

/// What a path answers.
pub enum Answer {
    /// 200, with this body.
    Body(Vec<u8>),
    /// 302, to this place.
    Moved(String),
}

pub struct Web {
    pub port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Web {
    /// Serves `pages` until this process ends; what is not in it is 404, a POST is told how much came.
    pub fn serve(ip: IpAddr, pages: Vec<(&str, Answer)>) -> Web {
        let listener = TcpListener::bind((ip, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let pages = Arc::new(pages.into_iter().map(|(path, answer)| (path.to_owned(), answer)).collect());
        let theirs = seen.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (pages, seen) = (Arc::clone(&pages), Arc::clone(&theirs));
                std::thread::spawn(move || {
                    let stream = stream.unwrap();
                    // A client that hangs must not keep its story from being told.
                    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                    let place = {
                        let mut seen = seen.lock().unwrap();
                        let peer = stream.peer_addr().unwrap();
                        seen.push(Seen { peer, requests: vec![], received_bytes: 0, sent_bytes: 0 });
                        seen.len() - 1
                    };
                    let note = |f: &dyn Fn(&mut Seen)| f(&mut seen.lock().unwrap()[place]);
                    while exchange(&stream, &pages, &note).is_some() {}
                });
            }
        });
        Web { port, seen }
    }

    /// The connection that came from this port.
    #[track_caller]
    pub fn of_port(&self, port: u16) -> Seen {
        let seen = self.seen.lock().unwrap();
        let found = seen.iter().rev().find(|seen| seen.peer.port() == port);
        found.unwrap_or_else(|| panic!("nobody came from port {port}: {seen:?}")).clone()
    }
}

/// Changes what is told of a connection.
type Note<'a> = dyn Fn(&dyn Fn(&mut Seen)) + 'a;

/// One request and its answer; `None` when there are no more. Counts before it answers, so that
/// whoever has the answer finds the counts.
fn exchange(stream: &TcpStream, pages: &HashMap<String, Answer>, note: &Note) -> Option<()> {
    let mut reader = BufReader::with_capacity(1, stream);
    let (mut head, mut received, mut length) = (Vec::new(), 0, 0);
    loop {
        let mut line = String::new();
        let n = reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        received += n as u64;
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
        head.push(line);
    }
    let mut words = head[0].split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let (status, extra, body) = match pages.get(&path) {
        _ if method == "POST" => ("200 OK", String::new(), format!("{length} bytes came\n").into_bytes()),
        Some(Answer::Body(body)) => ("200 OK", String::new(), body.clone()),
        Some(Answer::Moved(to)) => ("302 Found", format!("Location: {to}\r\n"), b"moved\n".to_vec()),
        None => ("404 Not Found", String::new(), b"no such page\n".to_vec()),
    };
    let mut answer = format!("HTTP/1.1 {status}\r\n{extra}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
    answer.extend(body);
    note(&|seen| {
        seen.requests.push(format!("{method} {path}"));
        seen.received_bytes += received + length as u64;
        seen.sent_bytes += answer.len() as u64;
    });
    (&mut &*stream).write_all(&answer).ok()
}
