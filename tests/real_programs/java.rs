//! OpenJDK: a ServerSocket and a Socket in one process, on two threads.

use crate::harness::{Mode, Scratch, installed};
use crate::recorded::{Recorded, both_ends, lived, ports};
use sockshim_reader::model::{FirstToClose, Role};

const PROGRAM: &str = "\
import java.io.*;
import java.net.*;

public class Exchange {
    static final int BYTES = 200000;

    static void serve(ServerSocket server) {
        try (Socket socket = server.accept()) {
            int bytes = 0;
            byte[] buffer = new byte[8192];
            for (int n; (n = socket.getInputStream().read(buffer)) > 0; bytes += n);
            new DataOutputStream(socket.getOutputStream()).writeInt(bytes);
        } catch (IOException e) {
            e.printStackTrace();
        }
    }

    public static void main(String[] arguments) throws Exception {
        try (ServerSocket server = new ServerSocket(0, 50, InetAddress.getByName(\"127.0.0.1\"))) {
            Thread thread = new Thread(() -> serve(server));
            thread.start();
            try (Socket socket = new Socket(\"127.0.0.1\", server.getLocalPort())) {
                System.err.println(socket.getLocalPort() + \" \" + socket.getPort());
                socket.getOutputStream().write(new byte[BYTES]);
                socket.shutdownOutput();
                System.out.println(new DataInputStream(socket.getInputStream()).readInt());
            }
            thread.join();
        }
    }
}
";

#[test]
fn java_serves_and_fetches() {
    if !installed("default-jdk-headless", &["java", "javac"]) {
        return;
    }
    let scratch = Scratch::new("java");
    scratch.write("Exchange.java", PROGRAM);
    scratch.run(Mode::Native, "javac", &["javac", "Exchange.java"]).is_good();
    let [_, run] = scratch.everywhere("java", |_| ["java", "-cp", ".", "Exchange"].map(str::to_owned).into());
    assert_eq!(run.is_good().text(), "200000\n");

    let recorded = Recorded::of(&run);
    let mut active = recorded.tcp(Role::Active);
    // The JDK tries out what the kernel can do with sockets that go nowhere.
    active.retain(|connection| connection.is_connected());
    let (ours, theirs) = (recorded.only(&active), recorded.only(&recorded.tcp(Role::Passive)));
    // Its sockets are AF_INET6, its addresses mapped ones.
    both_ends(ours, theirs);
    assert_eq!(ours.other_end, Some(theirs.id));
    assert_eq!(format!("{} {}", ports(ours).0, ports(ours).1), run.stderr.trim());
    assert_eq!((ours.sent.bytes, ours.received.bytes), (200_000, 4));
    lived(ours);
    lived(theirs);
    assert_eq!((ours.closed_first(), theirs.closed_first()), (FirstToClose::Us, FirstToClose::Peer));
    assert_eq!(ours.holders[0].name, "java");
    // Two threads did it.
    let threads = |socket| recorded.calls.iter().filter(move |call| call.call.socket == socket).map(|call| call.tid);
    assert!(threads(ours.socket).all(|ours| threads(theirs.socket).all(|theirs| ours != theirs)));
}
