//! Real programs, each doing a little of everything it is known for.

use crate::harness::{Mode, Scratch, find, free_port, installed, noise, skipped, wait_for};
use crate::server::Server;
use crate::web::{Answer, Web};
use crate::{Audited, agreed};
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::{PermissionsExt, chown};

/// All of them, the slowest first.
pub const ALL: &[fn() -> Vec<Audited>] =
    &[postgres, java, ssh, nginx, git, redis, python, node, tls, socat, curl, wget];

const MODE: Mode = Mode::Verify;
/// libc asks nscd for users and groups, over a socket of its own.
const NAME_SERVICE: &[&str] = &["libc's name service"];

fn is_root(name: &str) -> bool {
    // SAFETY: no preconditions.
    let root = unsafe { libc::geteuid() } == 0;
    if !root {
        skipped(name, "it has to begin as root");
    }
    root
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

fn curl() -> Vec<Audited> {
    if !installed("curl", &["curl"]) {
        return vec![];
    }
    let scratch = Scratch::new("agree-curl");
    let page = || vec![("/page", Answer::Body(noise(30_000)))];
    let (four, six) = (Web::serve(Ipv4Addr::LOCALHOST.into(), page()), Web::serve(Ipv6Addr::LOCALHOST.into(), page()));
    let run = |name: &str, url: &str, status: i32| {
        let outcome = scratch.run(MODE, name, &["curl", "-s", "-o", "body", url]);
        agreed(outcome.exited(status), NAME_SERVICE)
    };
    vec![
        run("curl", &format!("http://localhost:{}/page", four.port), 0),
        run("curl, IPv6", &format!("http://[::1]:{}/page", six.port), 0),
        run("curl, refused", &format!("http://127.0.0.1:{}/", free_port()), 7),
    ]
}

fn wget() -> Vec<Audited> {
    if !installed("wget", &["wget"]) {
        return vec![];
    }
    let scratch = Scratch::new("agree-wget");
    let web = Web::serve(Ipv4Addr::LOCALHOST.into(), vec![("/page", Answer::Body(noise(30_000)))]);
    let url = format!("http://localhost:{}/page", web.port);
    vec![agreed(scratch.run(MODE, "wget", &["wget", "-q", "-O", "body", &url]).is_good(), NAME_SERVICE)]
}

fn tls() -> Vec<Audited> {
    if !installed("curl", &["curl"]) || !installed("openssl", &["openssl"]) {
        return vec![];
    }
    let scratch = Scratch::new("agree-tls");
    scratch.write("page", noise(30_000));
    let make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
        -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 -keyout key -out certificate";
    scratch.run(Mode::Native, "make", &words(make)).is_good();
    let server = "openssl s_server -accept 127.0.0.1:0 -naccept 1 -WWW -cert certificate -key key";
    let mut server = Server::start(&scratch, MODE, "openssl s_server", &words(server));
    let url = format!("https://127.0.0.1:{}/page", server.port("ACCEPT 127.0.0.1:"));
    let client = scratch.run(MODE, "curl, TLS", &["curl", "-s", "--cacert", "certificate", "-o", "body", &url]);
    vec![agreed(client.is_good(), NAME_SERVICE), agreed(server.outcome().is_good(), NAME_SERVICE)]
}

const PYTHON: &str = "\
import asyncio, socket, socketserver, subprocess, threading

class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(100):
            self.request.sendall(data)

with socketserver.ThreadingTCPServer(('127.0.0.1', 0), Echo) as server:
    threading.Thread(target=server.serve_forever, args=(0.01,)).start()
    for _ in range(3):
        with socket.create_connection(server.server_address) as client:
            client.sendall(b'hello')
            assert client.recv(100) == b'hello'
    server.shutdown()

ends = socket.socketpair()
with subprocess.Popen(['cat'], stdin=ends[0], stdout=ends[0]) as child:
    ends[0].close()
    ends[1].sendall(b'through a child')
    ends[1].shutdown(socket.SHUT_WR)
    assert ends[1].recv(100) == b'through a child'

async def serve(reader, writer):
    writer.write(await reader.readline())
    await writer.drain()
    writer.close()

async def main():
    server = await asyncio.start_server(serve, '127.0.0.1', 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b'line\\n')
    assert await reader.read() == b'line\\n'
    writer.close()
    server.close()
asyncio.run(main())

one, other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
one.bind(('127.0.0.1', 0))
other.sendto(b'datagram', one.getsockname())
data, peer = one.recvfrom(100)
one.sendmsg([b'an', b'swer'], [], 0, peer)
assert other.recvmsg(100)[0] == b'answer'
try:
    other.setblocking(False)
    other.recv(1)
except BlockingIOError:
    pass
";

fn python() -> Vec<Audited> {
    if !installed("python3", &["python3"]) {
        return vec![];
    }
    let scratch = Scratch::new("agree-python");
    scratch.write("program.py", PYTHON);
    // Debian's, so that no version manager's script stands in between.
    let python = if std::path::Path::new("/usr/bin/python3").exists() { "/usr/bin/python3" } else { "python3" };
    vec![agreed(scratch.run(MODE, "python", &[python, "program.py"]).is_good(), &["between vfork and exec"])]
}

fn redis() -> Vec<Audited> {
    if !installed("redis-server", &["redis-server", "redis-cli"]) {
        return vec![];
    }
    let scratch = Scratch::new("agree-redis");
    let port = free_port().to_string();
    let server = ["redis-server", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port", &port];
    let mut server = Server::start(&scratch, MODE, "redis-server", &server);
    server.says("Ready to accept connections");
    let client = scratch.run(MODE, "redis-cli", &["redis-cli", "-p", &port, "-r", "20", "set", "key", "value"]);
    vec![agreed(client.is_good(), &[]), agreed(server.stop(libc::SIGTERM).is_good(), &[])]
}

fn nginx() -> Vec<Audited> {
    if !installed("nginx", &["nginx"]) || !installed("curl", &["curl"]) || !is_root("nginx") {
        return vec![];
    }
    let scratch = Scratch::new("agree-nginx");
    fs::create_dir(scratch.file("pages")).unwrap();
    scratch.write("pages/page", noise(100_000));
    let port = free_port();
    let configuration = format!(
        "user www-data; worker_processes 2; daemon off; pid pid; error_log error;
         events {{ worker_connections 32; }}
         http {{
             access_log access; sendfile on;
             client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
             server {{ listen 127.0.0.1:{port}; root pages; }}
         }}"
    );
    scratch.write("conf", configuration);
    let prefix = scratch.path.display().to_string();
    let server = Server::start(&scratch, MODE, "nginx", &["nginx", "-p", &prefix, "-c", "conf"]);
    wait_for("nginx to listen", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    let page = format!("http://127.0.0.1:{port}/page");
    let client = scratch.run(MODE, "curl of nginx", &["curl", "-s", "-o", "b1", "-o", "b2", &page, &page]);
    vec![agreed(client.is_good(), NAME_SERVICE), agreed(server.stop(libc::SIGQUIT).is_good(), NAME_SERVICE)]
}

fn git() -> Vec<Audited> {
    if !installed("git", &["git"]) {
        return vec![];
    }
    let scratch = Scratch::new("agree-git");
    scratch.write(".gitconfig", "[user]\nname = a\nemail = a@localhost\n[init]\ndefaultBranch = main\n");
    let git = |line: &str| _ = scratch.run(Mode::Native, "make", &words(line)).is_good();
    git("git init -q source");
    scratch.write("source/data", noise(50_000));
    git("git -C source add data");
    git("git -C source commit -q -m first");
    git("git clone -q --bare source bare");
    let (port, base) = (free_port(), scratch.path.display().to_string());
    let daemon = format!("git daemon --listen=127.0.0.1 --verbose --export-all --port={port} --base-path={base}");
    let mut daemon = Server::start(&scratch, MODE, "git daemon", &words(&daemon));
    daemon.says("Ready to rumble");
    let url = format!("git://127.0.0.1:{port}/bare");
    let client = scratch.run(MODE, "git clone", &["git", "clone", "-q", &url, "clone"]);
    daemon.says("Disconnected");
    vec![
        agreed(client.is_good(), NAME_SERVICE),
        // The list of references leaves through stdio.
        agreed(&daemon.stop(libc::SIGTERM), &["stdio"]),
    ]
}

fn ssh() -> Vec<Audited> {
    if !installed("openssh-server", &["sshd"])
        || !installed("openssh-client", &["ssh", "ssh-keygen"])
        || !is_root("sshd")
    {
        return vec![];
    }
    // Its service would have made it.
    fs::create_dir_all("/run/sshd").unwrap();
    let scratch = Scratch::new("agree-ssh");
    for key in ["host", "user"] {
        let make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key];
        scratch.run(Mode::Native, "make", &make).is_good();
    }
    let (port, folder) = (free_port(), scratch.path.display().to_string());
    let configuration = format!(
        "ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder}/host\nPidFile none\nUsePAM no\nStrictModes no\n\
         AuthorizedKeysFile {folder}/user.pub\nPermitRootLogin prohibit-password\nSetEnv SHLVL=2\n"
    );
    // The level: bash takes itself for a login's first shell else, and reads what root has written for those.
    let file = scratch.write("configuration", configuration).display().to_string();
    let sshd = find("sshd").unwrap().display().to_string();
    let mut server = Server::start(&scratch, MODE, "sshd", &[&sshd, "-D", "-e", "-f", &file]);
    server.says("Server listening on 127.0.0.1 port ");
    let client = format!(
        "ssh -F none -i user -o BatchMode=yes -o IdentitiesOnly=yes -o StrictHostKeyChecking=no \
         -o UserKnownHostsFile=known -l root -p {port} 127.0.0.1 echo ok; exit 3"
    );
    let client = scratch.run(MODE, "ssh", &words(&client));
    assert_eq!(client.exited(3).text(), "ok\n");
    vec![agreed(&client, NAME_SERVICE), agreed(&server.stop(libc::SIGTERM), NAME_SERVICE)]
}

const NODE: &str = "\
const http = require('http');
const server = http.createServer((request, response) => {
  request.on('data', () => {}).on('end', () => response.end('x'.repeat(100000)));
});
server.listen(0, '127.0.0.1', () => {
  let left = 3;
  for (let i = 0; i < 3; i++) {
    const options = { host: 'localhost', family: 4, port: server.address().port, method: 'POST', agent: false };
    http.request(options, answer => answer.on('data', () => {}).on('end', () => --left || server.close())).end('y');
  }
});
";

fn node() -> Vec<Audited> {
    if !installed("nodejs", &["node"]) {
        return vec![];
    }
    let scratch = Scratch::new("agree-node");
    scratch.write("program.js", NODE);
    vec![agreed(scratch.run(MODE, "node", &["node", "program.js"]).is_good(), &[])]
}

const JAVA: &str = "\
import java.io.*;
import java.net.*;

public class Exchange {
    static void serve(ServerSocket server) {
        try (Socket socket = server.accept()) {
            int bytes = socket.getInputStream().readAllBytes().length;
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
                socket.getOutputStream().write(new byte[20000]);
                socket.shutdownOutput();
                System.out.println(new DataInputStream(socket.getInputStream()).readInt());
            }
            thread.join();
        }
    }
}
";

fn java() -> Vec<Audited> {
    if !installed("default-jdk-headless", &["java", "javac"]) {
        return vec![];
    }
    let scratch = Scratch::new("agree-java");
    scratch.write("Exchange.java", JAVA);
    scratch.run(Mode::Native, "javac", &["javac", "Exchange.java"]).is_good();
    let java = scratch.run(MODE, "java", &["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", ".", "Exchange"]);
    assert_eq!(java.is_good().text(), "20000\n");
    vec![agreed(&java, NAME_SERVICE)]
}

fn socat() -> Vec<Audited> {
    if !installed("socat", &["socat"]) {
        return vec![];
    }
    let scratch = Scratch::new("agree-socat");
    let data = noise(20_000);
    scratch.write("in", &data);
    let (port, path) = (free_port(), scratch.file("socket").display().to_string());
    let pairs = [
        ("TCP", format!("TCP-LISTEN:{port},bind=127.0.0.1"), format!("TCP:127.0.0.1:{port}"), "listening on "),
        ("UNIX", format!("UNIX-LISTEN:{path}"), format!("UNIX-CONNECT:{path}"), "listening on "),
        (
            "UDP",
            format!("UDP-RECV:{port},bind=127.0.0.1"),
            format!("UDP-SENDTO:127.0.0.1:{port}"),
            "starting data transfer",
        ),
    ];
    let mut all = Vec::new();
    for (kind, to, from, ready) in &pairs {
        let (file, open) = (scratch.file(&format!("out.{kind}")), format!("OPEN:out.{kind},creat,trunc"));
        let names = [format!("socat {kind}"), format!("socat {kind} server")];
        let mut server = Server::start(&scratch, MODE, &names[1], &["socat", "-d", "-d", "-u", to, &open]);
        server.says(ready);
        let client = scratch.run(MODE, &names[0], &["socat", "-u", "-b", "1000", "OPEN:in", from]);
        all.push(agreed(client.is_good(), &[]));
        wait_for("all that was sent", || {
            (file.metadata().map_or(0, |meta| meta.len()) >= data.len() as u64).then_some(())
        });
        // Datagrams have no end that could be seen.
        let server = if *kind == "UDP" { server.stop(libc::SIGTERM) } else { server.outcome() };
        assert!(fs::read(file).unwrap() == data, "{kind}");
        all.push(agreed(&server, &[]));
    }
    all
}

fn postgres() -> Vec<Audited> {
    const USER: &str = "postgres";
    let mut versions: Vec<_> = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().collect();
    versions.sort_by_key(std::fs::DirEntry::path);
    let bin = versions.last().map(|version| version.path().join("bin")).filter(|bin| bin.join("initdb").is_file());
    let Some(bin) = bin.filter(|_| installed("postgresql-client", &["psql"])) else {
        skipped("postgres", "postgresql is not installed");
        return vec![];
    };
    if !is_root("postgres") || find("setpriv").is_none() {
        return vec![];
    }
    let scratch = Scratch::new("agree-postgres");
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let user = passwd.lines().find_map(|line| line.strip_prefix(&format!("{USER}:"))).unwrap();
    let ids: Vec<u32> = user.split(':').skip(1).take(2).map(|id| id.parse().unwrap()).collect();
    let home = scratch.file("home");
    fs::create_dir(&home).unwrap();
    chown(&home, Some(ids[0]), Some(ids[1])).unwrap();
    fs::set_permissions(&home, PermissionsExt::from_mode(0o755)).unwrap();
    let (home, bin, port) = (home.display().to_string(), bin.display().to_string(), free_port());
    let as_user = format!("setpriv --reuid={USER} --regid={USER} --init-groups");
    let make = format!("{as_user} {bin}/initdb -D {home}/data -A trust --no-sync -E UTF8");
    scratch.run(Mode::Native, "initdb", &words(&make)).is_good();
    // The tool makes its region as that user, and finds the shim that lies beside it.
    let tool = crate::harness::copy_of_tool(&scratch).display().to_string();
    let server = format!(
        "{as_user} {tool} run -q --verify -o home/server.sst -- {bin}/postgres -D {home}/data \
         -c listen_addresses=127.0.0.1 -c fsync=off -c log_disconnections=on -c autovacuum=off -c port={port} \
         -c unix_socket_directories={home}"
    );
    let mut server = Server::start(&scratch, Mode::Native, "postgres", &words(&server));
    server.says("database system is ready to accept connections");
    let port = port.to_string();
    let psql = |name: &str, host: &str| {
        let query = "select repeat('x', 20000)";
        let client = ["psql", "-X", "-At", "-h", host, "-p", &port, "-U", USER, "-c", query];
        scratch.run(MODE, name, &client)
    };
    let clients = [psql("psql", "127.0.0.1"), psql("psql, UNIX", &home)];
    server.says("disconnection: ");
    let mut server = server.stop(libc::SIGINT);
    (server.trace, server.mode) = (scratch.file("home/server.sst"), MODE);
    let mut all: Vec<Audited> = clients.iter().map(|client| agreed(client.is_good(), NAME_SERVICE)).collect();
    all.push(agreed(server.is_good(), NAME_SERVICE));
    all
}
