//! `sockshim top` in a real terminal (tmux), with a real program that the test holds open.

#[path = "support/built.rs"]
mod built;
#[path = "support/there.rs"]
mod there;

use built::{root, scratch, succeed, tool};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use there::there;

const PATIENCE: Duration = Duration::from_secs(30);

/// The server, built once.
fn server() -> PathBuf {
    static BUILT: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    let build = || {
        let binary = scratch("top").join("server");
        succeed(Command::new("gcc").args(["-O1", "-o"]).arg(&binary).arg(root().join("tests/top/server.c")));
        binary
    };
    BUILT.get_or_init(build).clone()
}

/// Runs the server under `sockshim run -o`, and gives its port.
fn serve(name: &str) -> (Child, PathBuf, u16) {
    let trace = scratch("top").join(format!("{name}.sst"));
    _ = fs::remove_file(&trace);
    let mut run = Command::new(tool());
    run.args(["run", "-q", "-o"]).arg(&trace).arg("--").arg(server()).stdout(Stdio::piped());
    let mut child = run.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port = line.trim().strip_prefix("port ").expect(&line).parse().unwrap();
    (child, trace, port)
}

fn connect(port: u16) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.read_exact(&mut [0; 5]).unwrap();
    stream
}

fn end(mut child: Child) {
    succeed(Command::new("kill").arg(child.id().to_string()));
    child.wait().unwrap();
}

/// Looks until it is so.
fn until<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let begun = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) => assert!(begun.elapsed() < PATIENCE, "{what}:\n{seen}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A terminal of so many columns and lines, with a shell command in it.
struct Tmux {
    name: String,
}

impl Tmux {
    fn new(name: &str, (columns, lines): (u16, u16), command: &str) -> Tmux {
        let tmux = Tmux { name: format!("sockshim-{}-{name}", std::process::id()) };
        let (columns, lines) = (columns.to_string(), lines.to_string());
        let size = ["-x", columns.as_str(), "-y", lines.as_str()];
        let mut start = tmux.command(&["-f", "/dev/null", "new-session", "-d"]);
        succeed(start.args(size).args(["sh", "-c", command]));
        tmux
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        command.args(["-L", &self.name]).args(arguments).env_remove("TMUX");
        command
    }

    fn screen(&self) -> String {
        String::from_utf8(succeed(&mut self.command(&["capture-pane", "-p"])).stdout).unwrap()
    }

    fn keys(&self, keys: &[&str]) {
        succeed(self.command(&["send-keys"]).args(keys));
    }

    /// The pid of what the shell runs.
    fn child(&self) -> String {
        let shell = succeed(&mut self.command(&["list-panes", "-F", "#{pane_pid}"])).stdout;
        let shell = String::from_utf8(shell).unwrap().trim().to_owned();
        let child = succeed(Command::new("ps").args(["-o", "pid=", "--ppid", &shell])).stdout;
        String::from_utf8(child).unwrap().trim().to_owned()
    }

    fn shows(&self, words: &[&str]) -> String {
        until(&format!("the screen should show {words:?}"), || {
            let screen = self.screen();
            if words.iter().all(|word| screen.contains(word)) { Ok(screen) } else { Err(screen) }
        })
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        _ = self.command(&["kill-server"]).output();
    }
}

/// A shell command that runs top in a terminal with something on it, and tells what became of the terminal.
fn around(name: &str, arguments: &str) -> (String, PathBuf) {
    let folder = scratch("top").join(name);
    _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let command = format!(
        "cd {folder}; echo what was there before; stty -g >before; {tool} top {arguments}; echo ended with $?; \
         stty -g >after; echo done >done; cat",
        folder = folder.display(),
        tool = tool().display()
    );
    (command, folder)
}

/// The terminal is as it was, in its settings and on its screen.
fn assert_restored(tmux: &Tmux, folder: &std::path::Path) -> String {
    until("top should end", || fs::read(folder.join("done")).map_err(|_| tmux.screen()));
    let [before, after] = ["before", "after"].map(|name| fs::read_to_string(folder.join(name)).unwrap());
    assert_eq!(before, after);
    let screen = tmux.shows(&["what was there before", "ended with"]);
    assert!(!screen.contains("PHASE"), "{screen}");
    screen
}

#[test]
fn a_connection_and_a_blocked_thread_show_while_the_program_runs() {
    if !there("tmux") {
        return;
    }
    let (child, trace, port) = serve("live");
    let client = connect(port);
    let (command, folder) = around("live", &trace.display().to_string());
    let tmux = Tmux::new("live", (80, 24), &command);
    let local = client.local_addr().unwrap().to_string();
    let listener = format!("on 127.0.0.1:{port}");
    let screen = tmux.shows(&["live", &local, "5 B", "blocked in accept", &listener]);
    assert!(screen.contains("2 open of 2"), "{screen}");
    // What comes later shows too.
    let other = connect(port);
    tmux.shows(&["3 open of 3", &other.local_addr().unwrap().to_string()]);
    // It counts the seconds.
    tmux.shows(&["blocked in accept 1."]);
    tmux.keys(&["f", &local, "Enter", "Enter"]);
    tmux.shows(&["send(", "\"hello\"", "Esc back"]);
    succeed(&mut tmux.command(&["resize-window", "-x", "40", "-y", "12"]));
    tmux.keys(&["Escape", "Escape"]);
    let screen = tmux.shows(&["accept", "#1"]);
    assert!(screen.lines().count() <= 12, "{screen}");
    end(child);
    tmux.shows(&["0 open of 3", "ended"]);
    tmux.keys(&["q"]);
    let screen = assert_restored(&tmux, &folder);
    assert!(screen.contains("ended with 0"), "{screen}");
}

#[test]
fn a_program_that_top_runs_does_not_disturb_the_screen() {
    if !there("tmux") {
        return;
    }
    let program = format!("-- sh -c 'echo to the error output >&2; exec {}'", server().display());
    let (command, folder) = around("program", &program);
    let tmux = Tmux::new("program", (80, 24), &command);
    let screen = tmux.shows(&["live", "blocked in accept"]);
    assert!(!screen.contains("error output\n"), "{screen}");
    tmux.keys(&["q"]);
    // What the program wrote comes when the screen is its own again, and the program is gone.
    let screen = assert_restored(&tmux, &folder);
    assert!(screen.contains("to the error output") && screen.contains("port "), "{screen}");
}

#[test]
fn a_signal_leaves_the_terminal_as_it_was() {
    if !there("tmux") {
        return;
    }
    let (child, trace, _) = serve("signal");
    let (command, folder) = around("signal", &trace.display().to_string());
    let tmux = Tmux::new("signal", (60, 16), &command.replace(" top ", " top --color never "));
    tmux.shows(&["accept", "on 127.0.0.1"]);
    succeed(Command::new("kill").arg(tmux.child()));
    let screen = assert_restored(&tmux, &folder);
    assert!(screen.contains("ended with 143"), "{screen}");
    end(child);
}

#[test]
fn a_terminal_that_is_gone_ends_top_and_its_program() {
    if !there("tmux") {
        return;
    }
    let (command, _) = around("gone", &format!("-- {}", server().display()));
    let tmux = Tmux::new("gone", (80, 24), &command);
    tmux.shows(&["live", "blocked in accept"]);
    let top = tmux.child();
    let run = String::from_utf8(succeed(Command::new("ps").args(["-o", "pid=", "--ppid", &top])).stdout).unwrap();
    drop(tmux);
    for pid in [top.as_str(), run.trim()] {
        until("it should end", || match fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(stat) if !stat.contains(") Z ") => Err(stat),
            _ => Ok(()),
        });
    }
}

#[test]
fn a_program_that_is_not_there_is_told_as_run_does() {
    if !there("tmux") {
        return;
    }
    let (command, folder) = around("missing", "-- no-such-program-1b2c");
    let tmux = Tmux::new("missing", (80, 24), &command);
    let screen = assert_restored(&tmux, &folder);
    assert!(screen.contains("no-such-program-1b2c") && screen.contains("ended with 127"), "{screen}");
}

#[test]
fn run_tells_a_call_while_it_blocks() {
    if !there("tmux") {
        return;
    }
    let trace = scratch("top").join("lines.sst");
    let commands = [("lines", String::new()), ("lines-kept", format!("-o {}", trace.display()))];
    for (name, output) in commands {
        let command = format!("{} run {output} -- {}; cat", tool().display(), server().display());
        let tmux = Tmux::new(name, (100, 30), &command);
        let screen = tmux.shows(&["accept(3) ...\n"]);
        let column = |word: &str| {
            let columns: Vec<_> = screen.lines().filter(|line| line.contains(" connect  ")).collect();
            columns.iter().map(|line| line.find(word)).collect::<Vec<_>>()
        };
        let columns = column("connect ");
        assert!(columns.len() == 3 && columns.iter().all(|at| *at == columns[0]), "{screen}");
        let port = screen.split("port ").nth(1).unwrap().split_whitespace().next().unwrap().parse().unwrap();
        let _client = connect(port);
        // It is told again when it is over, with how long it took; the server then waits for the next client.
        tmux.shows(&["accept(3) = 4 <", "\"hello\""]);
        until("the second accept should be told", || {
            let screen = tmux.screen();
            if screen.matches("accept(3) ...\n").count() == 2 { Ok(()) } else { Err(screen) }
        });
    }
}

#[test]
fn one_screen_goes_into_a_script() {
    let (child, trace, port) = serve("once");
    let client = connect(port);
    let once = || {
        let mut once = Command::new(tool());
        once.args(["top", "--once"]).arg(&trace).env("COLUMNS", "80").env("LINES", "24");
        String::from_utf8(succeed(&mut once).stdout).unwrap()
    };
    let told = until("it is blocked in accept", || {
        let told = once();
        if told.contains("blocked in accept") { Ok(told) } else { Err(told) }
    });
    assert!(told.contains(&client.local_addr().unwrap().to_string()), "{told}");
    assert!(!told.contains('\u{1b}') && told.lines().all(|line| line.chars().count() <= 80), "{told}");
    end(child);
    let told = once();
    assert!(told.contains("0 open of 2") && told.contains("ended") && !told.contains("blocked"), "{told}");
}

#[test]
fn without_a_terminal_it_says_what_would_do() {
    let trace = scratch("top").join("no-terminal.sst");
    succeed(Command::new(tool()).args(["run", "-q", "-o"]).arg(&trace).args(["--", "true"]));
    let output = Command::new(tool()).arg("top").arg(&trace).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), &b""[..]), "{told}");
    assert!(told.contains("terminal") && told.contains("--once"), "{told}");
}
