//! Node: a server and its clients in one process, told by `socket.bytesRead` and `bytesWritten`.

use crate::harness::{Scratch, installed};
use crate::recorded::{Recorded, lived, ports};
use sockshim_reader::model::{FirstToClose, Role};

/// Five requests at once, each over a connection of its own.
const PROGRAM: &str = "\
const http = require('http');
const server = http.createServer((request, response) => {
  let bytes = 0;
  request.on('data', data => bytes += data.length);
  request.on('end', () => response.end('x'.repeat(100000) + bytes));
});
server.listen(0, '127.0.0.1', () => {
  const port = server.address().port;
  let left = 5;
  for (let i = 1; i <= 5; i++) {
    const request = http.request({ host: '127.0.0.1', port, method: 'POST', agent: false }, response => {
      const socket = response.socket, local = socket.localPort;
      let bytes = 0;
      response.on('data', data => bytes += data.length);
      response.on('end', () => {
        console.log(response.statusCode, bytes);
        console.error(port, local, socket.bytesWritten, socket.bytesRead);
        if (--left == 0) server.close();
      });
    });
    request.end('y'.repeat(20000));
  }
});
";

#[test]
fn node_serves_and_fetches() {
    if !installed("nodejs", &["node"]) {
        return;
    }
    let scratch = Scratch::new("node");
    scratch.write("program.js", PROGRAM);
    let [_, run] = scratch.everywhere("node", |_| ["node", "program.js"].map(str::to_owned).into());
    run.is_good();
    assert_eq!(run.text(), "200 100005\n".repeat(5));

    let recorded = Recorded::of(&run);
    let (active, passive) = (recorded.tcp(Role::Active), recorded.tcp(Role::Passive));
    let listener = recorded.only(&recorded.tcp(Role::Listener));
    assert_eq!((active.len(), passive.len(), listener.accepted), (5, 5, 5));
    for line in run.stderr.lines() {
        let told: Vec<u64> = line.split(' ').map(|word| word.parse().unwrap()).collect();
        let ours = active.iter().find(|connection| u64::from(ports(connection).0) == told[1]).unwrap();
        assert_eq!(u64::from(ports(ours).1), told[0]);
        assert_eq!((ours.sent.bytes, ours.received.bytes), (told[2], told[3]));
        let theirs = recorded.model.connection(ours.other_end.expect("the other end")).unwrap();
        assert_eq!((theirs.role, theirs.received.bytes, theirs.sent.bytes), (Role::Passive, told[2], told[3]));
        lived(ours);
        lived(theirs);
        // `Connection: close` asks the server to hang up.
        assert_eq!((ours.closed_first(), theirs.closed_first()), (FirstToClose::Peer, FirstToClose::Us));
    }
}
