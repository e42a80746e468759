//! `run --tls-keys`: what real programs encrypted is read by the real tshark with nothing but the file, and the
//! handshake is told as it was. Programs that are missing make their test print SKIPPED.

#[path = "../support/built.rs"]
mod built;
mod programs;
#[path = "../support/there.rs"]
mod there;

use built::{lines, root, scratch, succeed, tool};
use sockshim_reader::model::{Connection, Role};
use sockshim_reader::order::Events;
use sockshim_reader::{Model, Trace};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use there::there;

/// How every line of a key log of TLS 1.2 or 1.3 begins.
const LABELS: [&str; 6] = [
    "CLIENT_RANDOM ",
    "CLIENT_HANDSHAKE_TRAFFIC_SECRET ",
    "SERVER_HANDSHAKE_TRAFFIC_SECRET ",
    "CLIENT_TRAFFIC_SECRET_0 ",
    "SERVER_TRAFFIC_SECRET_0 ",
    "EXPORTER_SECRET ",
];

/// Whether programs are there that tests of several kinds need.
fn all_there(programs: &[&str]) -> bool {
    programs.iter().all(|program| match *program {
        // They know no --version, or say it with another status.
        "openssl" => {
            let found = Command::new("openssl").arg("version").output().is_ok();
            if !found {
                println!("SKIPPED: openssl is not installed");
            }
            found
        }
        program => there(program),
    })
}

/// A folder with a certificate for localhost, and a page.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Folder {
        let folder = scratch(&format!("tls.{}.{test}", std::process::id()));
        let words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
            -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout key -out certificate";
        succeed(Command::new("openssl").args(words.split_whitespace()).current_dir(&folder));
        fs::write(folder.join("page"), "a page that nobody reads on the way\n").unwrap();
        Folder(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A command that runs here, by itself or recorded into NAME.sst.
    fn command(&self, record: Option<(&str, &[&str])>, command: &[&str]) -> Command {
        let mut run = match record {
            None => Command::new(command[0]),
            Some((name, flags)) => {
                let mut run = Command::new(tool());
                run.args(["run", "-q", "-o"]).arg(self.path(name).with_extension("sst")).args(flags).arg("--");
                run.arg(command[0]);
                run
            }
        };
        // Nobody else collects keys, unless a test says so.
        run.args(&command[1..]).env_remove("SSLKEYLOGFILE").env_remove("NODE_OPTIONS").current_dir(&self.0);
        run
    }

    /// Runs a command by itself, then recorded with keys: the program must not notice.
    fn recorded(&self, name: &str, command: &[&str]) -> Recorded {
        let native = succeed(&mut self.command(None, command));
        let output = succeed(&mut self.command(Some((name, &["--tls-keys"])), command));
        assert_eq!(output.stdout, native.stdout, "{command:?}");
        self.kept(name, output)
    }

    fn kept(&self, name: &str, output: Output) -> Recorded {
        Recorded { trace: self.path(name).with_extension("sst"), output }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("kept: {}", self.0.display());
        } else {
            _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// A program that is running, and is ended at the end of the test if it has not ended by then.
struct Running {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Running {
    fn start(command: &mut Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        Running { child, said }
    }

    /// What follows `before` in its output, up to the end of the line.
    fn says(&mut self, before: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.said.read_line(&mut line).unwrap() > 0, "it ended and never said {before:?}");
            if let Some((_, rest)) = line.split_once(before) {
                return rest.trim().to_owned();
            }
        }
    }

    /// Waits for its end.
    fn ends(mut self) -> std::process::ExitStatus {
        let mut rest = Vec::new();
        self.said.read_to_end(&mut rest).unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            _ = self.child.kill();
            _ = self.child.wait();
        }
    }
}

/// `openssl s_server`, for so many connections: itself and its port.
fn s_server(folder: &Folder, record: Option<(&str, &[&str])>, connections: &str) -> (Running, String) {
    let words = ["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", "certificate", "-key", "key", "-WWW"];
    let command = [&words[..], &["-alpn", "http/1.1", "-naccept", connections]].concat();
    let mut server = Running::start(folder.command(record, &command).stderr(Stdio::null()));
    let port = server.says("ACCEPT 127.0.0.1:");
    (server, port)
}

/// A trace.
struct Recorded {
    trace: PathBuf,
    output: Output,
}

impl Recorded {
    /// The lines with keys.
    fn keys(&self) -> Vec<String> {
        let mut keys = Vec::new();
        Trace::open(&self.trace).unwrap().keys(&mut |lines| keys.extend_from_slice(lines)).unwrap();
        let lines = String::from_utf8(keys).unwrap();
        let wrong = lines.lines().find(|line| !LABELS.iter().any(|label| line.starts_with(label)));
        assert_eq!(wrong, None, "no line of a key log");
        lines.lines().map(str::to_owned).collect()
    }

    fn model(&self) -> Model {
        let mut model = Model::new();
        Events::without_payload(Trace::open(&self.trace).unwrap()).for_each(|event| model.feed(&event.unwrap()));
        model.finish(true);
        model
    }

    fn export(&self, format: &str, more: &[&str]) -> PathBuf {
        let file = self.trace.with_extension(format);
        succeed(
            Command::new(tool()).args(["export", "--format", format]).args(more).arg(&self.trace).arg("-o").arg(&file),
        );
        file
    }

    /// What tshark makes of it without being told anything: a field of the packets that a filter takes.
    fn tshark(&self, filter: &str, field: &str) -> Vec<String> {
        let file = self.export("pcapng", &[]);
        lines(Command::new("tshark").arg("-r").arg(file).args(["-Y", filter, "-T", "fields", "-e", field]))
    }
}

/// The connection that connected, or was accepted.
fn only(model: &Model, role: Role) -> &Connection {
    let mut all = model.connections().filter(|connection| connection.role == role && connection.tls.is_some());
    let first = all.next().expect("a connection with a handshake");
    assert!(all.next().is_none(), "more than one handshake");
    first
}

#[test]
fn wireshark_reads_what_curl_asked_for_and_only_if_keys_were_asked_for() {
    if !all_there(&["openssl", "curl", "tshark"]) {
        return;
    }
    let folder = Folder::new("curl");
    let (server, port) = s_server(&folder, None, "3");
    let url = format!("https://localhost:{port}/page");
    let curl = ["curl", "-s", "--cacert", "certificate", &url];
    let run = folder.recorded("curl", &curl);
    let said = String::from_utf8_lossy(&run.output.stderr).into_owned();
    assert!(said.lines().count() == 1 && said.contains("curl.sst can read what was encrypted"), "{said}");
    assert_eq!(run.tshark("http", "http.request.uri"), ["/page"]);
    assert_eq!(run.tshark("_ws.malformed || tcp.analysis.flags", "frame.number"), Vec::<String>::new());
    for file in [&run.trace, &run.export("pcapng", &[])] {
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
    // Given away without them, as the document says. editcap comes with tshark.
    let without = run.trace.with_extension("without");
    let file = run.export("pcapng", &[]);
    succeed(Command::new("editcap").arg("--discard-all-secrets").arg(file).arg(&without));
    let left = lines(Command::new("tshark").arg("-r").arg(&without).args(["-Y", "http"]));
    assert_eq!(left, Vec::<String>::new());
    // What keys waited in is gone.
    let region = Trace::open(&run.trace).unwrap().meta("region").map(PathBuf::from).unwrap();
    assert!(["keys", "keylog"].iter().all(|kind| !region.with_extension(kind).exists()), "{}", region.display());
    // Handed over once, though curl and the library both tell.
    let keys = run.keys();
    assert_eq!(keys.len(), 5, "{keys:?}");

    let output = succeed(&mut folder.command(Some(("plain", &["--snaplen", "65535"])), &curl));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let plain = folder.kept("plain", output);
    assert_eq!((plain.keys().len(), plain.tshark("http", "frame.number").len()), (0, 0));
    assert!(!plain.tshark("tls", "frame.number").is_empty(), "it was TLS all the same");
    assert!(server.ends().success());
}

#[test]
fn the_handshake_is_told_as_curl_tells_it() {
    if !all_there(&["openssl", "curl"]) {
        return;
    }
    let folder = Folder::new("handshake");
    let (server, port) = s_server(&folder, Some(("server", &["--tls-keys"])), "2");
    let url = format!("https://localhost:{port}/page");
    let times = "%{stderr}%{time_connect} %{time_appconnect} %{time_starttransfer}";
    for (version, most) in [("TLS 1.3", "1.3"), ("TLS 1.2", "1.2")] {
        let name = format!("client{most}");
        let curl = ["curl", "-s", "--cacert", "certificate", "--tls-max", most, "-w", times, &url];
        // Without keys: a larger preview is enough.
        let run = folder.kept(&name, succeed(&mut folder.command(Some((&name, &["--snaplen", "600"])), &curl)));
        let said = String::from_utf8_lossy(&run.output.stderr).into_owned();
        let told: Vec<f64> = said.split_whitespace().map(|time| time.parse().unwrap()).collect();
        assert!(told.len() == 3 && told.is_sorted(), "{told:?}");
        let model = run.model();
        let client = only(&model, Role::Active);
        let tls = client.tls.as_deref().unwrap();
        let connected_ns = client.phases.connect.unwrap().end_ns;
        let moments = [connected_ns, tls.start_ns, tls.end_ns.unwrap(), client.received.last_ns.unwrap()];
        assert!(moments.is_sorted(), "{moments:?}");
        assert_eq!(tls.version_name().as_deref(), Some(version));
        assert_eq!(tls.server_name.as_deref(), Some("localhost"));
        assert!(tls.offered.iter().any(|name| name == "http/1.1"), "{tls:?}");
        // TLS 1.3 encrypts what was agreed on.
        assert_eq!(tls.next_protocol.as_deref(), (most == "1.2").then_some("http/1.1"));

        let report = String::from_utf8(succeed(Command::new(tool()).arg("report").arg(&run.trace)).stdout).unwrap();
        assert!(report.contains(&format!("{version} localhost, ")) && report.contains("handshake "), "{report}");
        let rows = fs::read_to_string(run.export("jsonl", &["--connections"])).unwrap();
        let row = rows.lines().find(|row| row.contains("\"role\":\"active\"")).unwrap();
        let told = format!(
            "\"tls.protocol.name\":\"tls\",\"tls.protocol.version\":\"{most}\",\"tls.client.server_name\":\"localhost\","
        );
        assert!(row.contains(&told) && row.contains("\"tls_ns\":"), "{row}");
        let timeline = fs::read_to_string(run.export("chrome", &[])).unwrap();
        assert_eq!(timeline.matches("\"name\":\"TLS handshake\"").count(), 2);
    }
    assert!(server.ends().success());
    let server = Recorded { trace: folder.path("server.sst"), output: succeed(&mut Command::new("true")) };
    let model = server.model();
    let ends: Vec<_> = model.connections().filter(|connection| connection.role == Role::Passive).collect();
    let versions: Vec<_> = ends.iter().map(|end| end.tls.as_deref().and_then(|tls| tls.protocol())).collect();
    assert_eq!(versions, [Some(("tls", "1.3")), Some(("tls", "1.2"))]);
    assert!(ends.iter().all(|end| end.tls.as_deref().is_some_and(|tls| tls.duration_ns().is_some())));
}

#[test]
fn a_page_of_the_schema_has_every_field() {
    let schema = built::text("docs/jsonl.schema.json");
    let names = ["tls.protocol.name", "tls.protocol.version", "tls.client.server_name", "tls.next_protocol", "tls_ns"];
    names.iter().for_each(|name| assert!(schema.contains(&format!("\"{name}\"")), "{name}"));
}

#[test]
fn the_library_that_collects_needs_next_to_nothing() {
    let library = tool().parent().unwrap().join("deps/libsockshim_keylog.so");
    let symbols = |which: &str| -> Vec<(char, String)> {
        let lines = lines(Command::new("nm").args(["-D", which]).arg(&library));
        let of = |line: &String| {
            let mut words = line.split_whitespace().rev();
            let name = words.next()?.split('@').next()?.to_owned();
            Some((words.next()?.chars().next()?, name))
        };
        lines.iter().filter_map(of).collect()
    };
    let exported: Vec<String> = symbols("--defined-only").into_iter().map(|(_, name)| name).collect();
    let hooks = ["SSL_CTX_get_keylog_callback", "SSL_CTX_new", "SSL_CTX_new_ex", "SSL_CTX_set_keylog_callback"];
    assert_eq!(exported, hooks);
    // No libssl, no allocator, nothing of std: what is not here cannot be interposed, and takes no lock.
    const MAY: [&str; 5] = ["dladdr", "dlsym", "memcpy", "secure_getenv", "strlen"];
    let strange: Vec<_> = symbols("--undefined-only")
        .into_iter()
        .filter(|(kind, name)| *kind != 'w' && !MAY.contains(&&**name))
        .collect();
    assert!(strange.is_empty(), "it imports {strange:?}: is it linked by GNU ld, with LTO?");
    let dynamic = lines(Command::new("readelf").args(["-d", "-W"]).arg(&library));
    let needed: Vec<&String> = dynamic.iter().filter(|line| line.contains("(NEEDED)")).collect();
    assert!(matches!(&needed[..], [libc] if libc.contains("[libc.so.6]")), "{needed:?}");
}
