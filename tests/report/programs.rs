//! Programs with many connections, and with slow ones: what the report says is what they say themselves.

use super::{Recorded, contains, row, there};
use sockshim_format::address::Address;
use sockshim_reader::model::{Connection, Role};
use std::collections::HashMap;

/// A server and its 200 clients in one event loop. Each client says who it is and what it exchanged.
const CLIENTS: &str = "
import asyncio
async def serve(reader, writer):
    writer.write((await reader.readline()) * 3)
    await writer.drain()
    await reader.read()
    writer.close()
async def ask(number, port):
    reader, writer = await asyncio.open_connection('127.0.0.1', port)
    text = b'x' * number + b'\\n'
    writer.write(text)
    answer = await reader.readexactly(3 * len(text))
    print(writer.get_extra_info('sockname')[1], len(text), len(answer))
    writer.close()
    await writer.wait_closed()
async def main():
    server = await asyncio.start_server(serve, '127.0.0.1', 0, backlog=200)
    port = server.sockets[0].getsockname()[1]
    await asyncio.gather(*(ask(number, port) for number in range(200)))
    while len(asyncio.all_tasks()) > 1:
        await asyncio.sleep(0)
    server.close()
asyncio.run(main())
";

/// A reader that sleeps before it reads, and a writer that therefore waits. Both say what they did.
const SLOW: &str = "
import socket, threading, time
listener = socket.create_server(('127.0.0.1', 0))
writer = socket.create_connection(listener.getsockname())
reader, _ = listener.accept()
listener.close()
def read():
    time.sleep(0.3)
    count = 0
    while part := reader.recv(1 << 16):
        count += len(part)
    print(count)
    reader.close()
thread = threading.Thread(target=read)
thread.start()
begin = time.monotonic_ns()
writer.sendall(bytes(32 << 20))
print(time.monotonic_ns() - begin)
writer.close()
thread.join()
";

fn port(address: &[u8]) -> u16 {
    Address(address).port().unwrap_or(0)
}

#[test]
fn two_hundred_clients_of_an_event_loop_are_as_they_say() {
    if !there("python3") {
        return;
    }
    let recorded = Recorded::run("asyncio", &["python3", "-c", CLIENTS]);
    let said: HashMap<u16, [u64; 2]> = recorded
        .stdout
        .lines()
        .map(|line| {
            let numbers: Vec<u64> = line.split(' ').map(|word| word.parse().unwrap()).collect();
            (numbers[0] as u16, [numbers[1], numbers[2]])
        })
        .collect();
    let model = recorded.model();
    let clients: Vec<&Connection> = model.connections().filter(|conn| conn.role == Role::Active).collect();
    assert_eq!((said.len(), clients.len()), (200, 200));
    for client in clients {
        let [sent, received] = said[&port(&client.local)];
        assert_eq!([client.sent.bytes, client.received.bytes], [sent, received], "{client:?}");
        let server = model.connection(client.other_end.unwrap()).unwrap();
        assert_eq!([server.received.bytes, server.sent.bytes], [sent, received], "{server:?}");
        assert_eq!(model.verdict(client).word(), "we-closed");
    }
    let report = recorded.says(&[]);
    // asyncio wakes itself by a socketpair.
    contains(row(&report, "sockets").unwrap(), &["201 pipes with both their ends", "1 listener"]);
    contains(row(&report, "fine").unwrap(), &["nothing failed", "all was closed", "no call was lost"]);
}

#[test]
fn a_slow_reader_keeps_its_writer_waiting() {
    if !there("python3") {
        return;
    }
    let recorded = Recorded::run("slow", &["python3", "-c", SLOW]);
    let mut said: Vec<u64> = recorded.stdout.lines().map(|line| line.parse().unwrap()).collect();
    said.sort_unstable();
    let [read, took_ns] = said[..] else { panic!("{}", recorded.stdout) };
    assert_eq!(read, 32 << 20);
    let model = recorded.model();
    let writer = model.connections().find(|conn| conn.role == Role::Active).unwrap();
    let reader = model.connection(writer.other_end.unwrap()).unwrap();
    assert_eq!([writer.sent.bytes, reader.received.bytes], [read, read]);
    // No longer than the program measured, and as long as the reader slept at least: the kernel takes less than that.
    let waited_ns = writer.waited_ns();
    assert!((250_000_000..=took_ns).contains(&waited_ns), "{waited_ns} of {took_ns}");
    contains(&recorded.says(&[]), &["client closed first", "32.0 MiB"]);
}
