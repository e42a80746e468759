//! A program with something to tell, for `sockshim demo` on a machine that has nothing else.
//!
//! The tool itself is never traced (it does not contain the shim), so the demo is a process of its
//! own: the tool runs itself, as `sockshim demo-program`, the way it runs any program. That process
//! is both ends of everything it says, so the story shows pipes with their two ends:
//!
//! 1. a request after which the client closes first, and for whose answer it has to wait;
//! 2. a request after which the server closes first;
//! 3. one datagram there and one back.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

/// The hidden verb that runs the program.
pub const VERB: &str = "demo-program";

/// How long the server thinks about its first answer: enough to stand out as time to first byte
/// among the microseconds of loopback, too short to bore.
const THINKING: Duration = Duration::from_millis(30);

/// Runs the client here and the server in a thread, and prints what the client was told.
pub fn program() -> Result<()> {
    // A machine without IPv4 on loopback is rare, but there are some.
    let loopback = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), SocketAddr::from((Ipv6Addr::LOCALHOST, 0))];
    let listener = TcpListener::bind(&loopback[..]).context("the demo's server has no address to listen on")?;
    let server_address = listener.local_addr()?;
    let server = thread::Builder::new().name("server".into()).spawn(move || serve(&listener))?;
    let said = talk(server_address).context("the demo's client")?;
    server.join().map_err(|_| anyhow!("the demo's server panicked"))?.context("the demo's server")?;
    exchange_datagrams(server_address).context("the demo's datagrams")?;
    let mut stdout = io::stdout().lock();
    said.iter().try_for_each(|line| writeln!(stdout, "the client was told: {line}"))?;
    Ok(())
}

/// Two connections, one after the other, and the end of the listener.
fn serve(listener: &TcpListener) -> io::Result<()> {
    let (mut client, _) = listener.accept()?;
    read_head(&mut client)?;
    thread::sleep(THINKING);
    answer(&mut client, "hello, and take your time", "keep-alive")?;
    // The client closes first: wait for its FIN.
    io::copy(&mut client, &mut io::sink())?;
    drop(client);

    let (mut client, _) = listener.accept()?;
    read_head(&mut client)?;
    answer(&mut client, "goodbye, I hang up first", "close")
}

fn answer(client: &mut TcpStream, text: &str, connection: &str) -> io::Result<()> {
    let len = text.len();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\nConnection: {connection}\r\n\r\n");
    client.write_all((head + text).as_bytes())
}

fn talk(server: SocketAddr) -> Result<[String; 2]> {
    let address = look_up(server);
    let mut stream = TcpStream::connect(address)?;
    ask(&mut stream, "/hello", "keep-alive")?;
    let hello = read_answer(&mut stream)?;
    drop(stream);

    let mut stream = TcpStream::connect(address)?;
    ask(&mut stream, "/goodbye", "close")?;
    let goodbye = read_answer(&mut stream)?;
    // The server closes first: wait for its FIN.
    io::copy(&mut stream, &mut io::sink())?;
    Ok([hello, goodbye])
}

/// Asks for `localhost` by name, for the sake of the story: a connection begins with its name. The
/// answer that fits the server is taken, so that no attempt on the other family fails first; a
/// machine that does not know the name still gets its demo.
fn look_up(server: SocketAddr) -> SocketAddr {
    let found = ("localhost", server.port()).to_socket_addrs();
    found.into_iter().flatten().find(|address| *address == server).unwrap_or(server)
}

fn ask(stream: &mut TcpStream, path: &str, connection: &str) -> io::Result<()> {
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\n\r\n");
    stream.write_all(head.as_bytes())
}

/// Reads until the empty line, and returns everything that came.
fn read_head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut got = Vec::new();
    let mut buffer = [0; 1024];
    while after_head(&got).is_none() {
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            len => got.extend_from_slice(&buffer[..len]),
        }
    }
    Ok(got)
}

/// Reads as much as Content-Length says, and returns the body.
fn read_answer(stream: &mut TcpStream) -> Result<String> {
    let mut got = read_head(stream)?;
    let body = after_head(&got).context("no head")?;
    let head = String::from_utf8_lossy(&got[..body]).into_owned();
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let end = body + length.context("no Content-Length")?.parse::<usize>()?;
    let have = got.len();
    got.resize(end.max(have), 0);
    stream.read_exact(&mut got[have..])?;
    Ok(String::from_utf8_lossy(&got[body..end]).into_owned())
}

/// Where the body begins.
fn after_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

/// Both sockets in one thread: what is sent on loopback is there when `send_to` returns.
fn exchange_datagrams(server: SocketAddr) -> io::Result<()> {
    let asked = UdpSocket::bind((server.ip(), 0))?;
    let asking = UdpSocket::bind((server.ip(), 0))?;
    let mut buffer = [0; 16];
    asking.send_to(b"ping", asked.local_addr()?)?;
    let (_, sender) = asked.recv_from(&mut buffer)?;
    asked.send_to(b"pong", sender)?;
    asking.recv_from(&mut buffer)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_conversations_take_place() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || serve(&listener));
        assert_eq!(talk(address).unwrap(), ["hello, and take your time", "goodbye, I hang up first"]);
        server.join().unwrap().unwrap();
        exchange_datagrams(address).unwrap();
    }

    #[test]
    fn a_client_that_leaves_early_ends_the_server_with_an_error() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        drop(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        assert_eq!(serve(&listener).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn the_body_begins_after_the_empty_line() {
        assert_eq!(after_head(b"a\r\n\r\nb"), Some(5));
        assert_eq!(after_head(b"a\r\n\r"), None);
    }
}
