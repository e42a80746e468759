//! What the kernel says of a connection while it is open, by `ss`.

use super::{Recorded, there};
use sockshim_format::address::Address;
use sockshim_reader::model::Role;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};

#[test]
fn ss_says_the_same_of_an_open_connection() {
    if !there("ss") || !there("python3") {
        return;
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = format!(
        "import socket, subprocess\n\
         s = socket.create_connection(('127.0.0.1', {port}))\n\
         s.sendall(b'hello\\n')\n\
         s.recv(8)\n\
         subprocess.run(['ss', '-tienHO', 'state', 'established', 'dport', '=', ':{port}'])"
    );
    let recorded = std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut client, _) = listener.accept().unwrap();
            let mut request = [0; 6];
            client.read_exact(&mut request).unwrap();
            client.write_all(b"goodbye\n").unwrap();
            // Until it has been looked at.
            assert_eq!(client.read(&mut request).unwrap(), 0);
        });
        Recorded::run("ss", &["python3", "-c", &script])
    });
    let model = recorded.model();
    let of_python = |conn: &&sockshim_reader::model::Connection| {
        conn.role == Role::Active && Address(&conn.peer).port() == Some(port) && conn.is_connected()
    };
    let conn = model.connections().find(of_python).unwrap();
    let [line] = recorded.stdout.lines().collect::<Vec<_>>()[..] else { panic!("{}", recorded.stdout) };
    let words: Vec<&str> = line.split_whitespace().collect();
    // Receive queue, send queue, both ends.
    assert_eq!(words[..2], ["0", "0"], "{line}");
    let port_of = |address: &[u8]| format!("127.0.0.1:{}", Address(address).port().unwrap());
    assert_eq!(words[2..4], [port_of(&conn.local), port_of(&conn.peer)], "{line}");
    let told =
        |key: &str| words.iter().find_map(|word| word.strip_prefix(key)).unwrap_or_else(|| panic!("{key} in {line}"));
    assert_eq!(told("bytes_sent:"), conn.sent.bytes.to_string(), "{line}");
    assert_eq!(told("bytes_received:"), conn.received.bytes.to_string(), "{line}");
    assert_eq!(told("sk:"), format!("{:x}", conn.socket), "{line}");
    assert_eq!((conn.sent.bytes, conn.received.bytes), (6, 8));
}
