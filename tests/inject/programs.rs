//! curl, wget, redis-cli and python.

use crate::{Web, inject, there};
use std::process::{Command, Stdio};

#[test]
fn the_second_connect_of_curl_is_refused() {
    if !there::there("curl") {
        return;
    }
    let Some(web) = Web::start("inject-curl") else { return };
    let page = web.page();
    let ran = inject("refused", &["connect:error=ECONNREFUSED:when=2+"], &["curl", "-sS", &page, &page]);
    assert_eq!((ran.code(), ran.stdout().as_str()), (Some(7), "hello\n"));
    let connects = ran.lines(" connect(");
    assert_eq!(connects.len(), 2, "{connects:?}");
    assert!(
        !connects[0].contains("(INJECTED)") && connects[1].contains("= -1 ECONNREFUSED (INJECTED)"),
        "{connects:?}"
    );
    assert_eq!(ran.injected(), 1);
    let report = ran.report();
    assert!(report.contains("injected: connect failed with ECONNREFUSED by rule 1"), "{report}");
    assert!(!report.contains("nobody listens there"), "the server was there: {report}");
}

#[test]
fn who_is_meant_is_told_by_peer_port_and_process() {
    if !there::there("curl") {
        return;
    }
    let Some(web) = Web::start("inject-who") else { return };
    let (page, port) = (web.page(), web.port());
    let rule = |what: &str| format!("connect:error=ETIMEDOUT:{what}");
    let own = std::process::id();
    for (number, (what, url, hit)) in [
        (format!("peer={}", web.address), &page, true),
        ("peer=127.0.0.1".to_owned(), &page, true),
        ("peer=127.0.0.2".to_owned(), &page, false),
        (format!("port={port}"), &page, true),
        ("port=1".to_owned(), &page, false),
        ("process=curl".to_owned(), &page, true),
        ("process=wget".to_owned(), &page, false),
        ("process=1".to_owned(), &page, true),
        (format!("process={own}"), &page, false),
        ("connection=1".to_owned(), &page, true),
        ("connection=2".to_owned(), &page, false),
    ]
    .into_iter()
    .enumerate()
    {
        let ran = inject(&format!("who-{number}"), &[&rule(&what)], &["curl", "-sS", url]);
        assert_eq!(
            ran.code(),
            Some(if hit { 28 } else { 0 }),
            "{what}: {}",
            String::from_utf8_lossy(&ran.output.stderr)
        );
        assert_eq!(ran.injected() > 0, hit, "{what}");
    }
}

#[test]
fn wget_is_led_elsewhere_and_told_other_names() {
    if !there::there("wget") {
        return;
    }
    let Some(web) = Web::start("inject-wget") else { return };
    let wget = |url: &str| ["wget", "-q", "-O", "-", "--tries=1", url].map(str::to_owned);
    let run = |name: &str, rule: &str, url: &str| {
        let command = wget(url);
        inject(name, &[rule], &command.each_ref().map(String::as_str))
    };
    let elsewhere = run("redirect", &format!("connect:redirect={}", web.address), "http://127.0.0.1:1/a.txt");
    assert_eq!((elsewhere.code(), elsewhere.stdout().as_str()), (Some(0), "hello\n"));
    let url = format!("http://no-such-host.invalid:{}/a.txt", web.port());
    let otherwise = run("answer", "getaddrinfo:answer=127.0.0.1", &url);
    assert_eq!((otherwise.code(), otherwise.stdout().as_str()), (Some(0), "hello\n"));
    let resolved = otherwise.lines("getaddrinfo(");
    assert!(resolved[0].contains("no-such-host.invalid") && resolved[0].contains("127.0.0.1"), "{resolved:?}");
    let fails = run("eai", "getaddrinfo:error=EAI_AGAIN:name=localhost", &format!("http://localhost:{}/", web.port()));
    assert_eq!((fails.code(), fails.injected()), (Some(4), 1));
    let slow = run("slow", "getaddrinfo:delay_enter=150ms", &format!("http://localhost:{}/a.txt", web.port()));
    // It is announced, and told when it is over.
    let told = slow.lines("getaddrinfo(");
    assert!(told.last().is_some_and(|line| line.contains("= 0 (DELAYED)")), "{told:?}");
    // Whom a name led to.
    for (number, (name, code)) in [("localhost", 4), ("elsewhere.example", 0)].into_iter().enumerate() {
        let url = format!("http://localhost:{}/a.txt", web.port());
        let ran = run(&format!("name-{number}"), &format!("connect:error=ETIMEDOUT:name={name}"), &url);
        assert_eq!(ran.code(), Some(code), "{name}");
    }
}

#[test]
fn redis_cli_reads_answers_in_pieces_and_loses_its_connection() {
    if !there::there("redis-server") || !there::there("redis-cli") {
        return;
    }
    // The port is free until somebody takes it: a server that found it taken ends, and another one is tried.
    let start = || {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
        let options = ["--bind", "127.0.0.1", "--port", &port, "--save", "", "--daemonize", "no"];
        let mut server = Command::new("redis-server").args(options).stdout(Stdio::piped()).spawn().unwrap();
        let said = std::io::BufReader::new(server.stdout.take().unwrap());
        let ready = std::io::BufRead::lines(said).map_while(Result::ok).any(|line| line.contains("Ready to accept"));
        if ready {
            return Some((server, port));
        }
        let _ = server.wait();
        None
    };
    let (mut server, port) = (0..5).find_map(|_| start()).expect("one of five ports was free");
    let cli = ["redis-cli", "-p", &port, "echo", "one two three four five"];
    let pieces = inject("redis-pieces", &["%received:short=3"], &cli);
    let reset = inject("redis-reset", &["%received:reset:after=8"], &cli);
    let _ = server.kill();
    let _ = server.wait();
    assert_eq!((pieces.code(), pieces.stdout().as_str()), (Some(0), "one two three four five\n"));
    assert!(pieces.injected() > 8, "{}", pieces.injected());
    assert_eq!(reset.code(), Some(1));
    let failed = reset.lines("ECONNRESET (INJECTED)");
    assert!(!failed.is_empty(), "{:?}", reset.lines("recv"));
    assert!(reset.report().contains("ended by ECONNRESET in the middle"), "{}", reset.report());
    assert!(!reset.report().contains("passed around us"), "{}", reset.report());
}

#[test]
fn python_accepts_until_descriptors_are_said_to_be_out() {
    if !there::there("python3") {
        return;
    }
    let script = "\
import socket
s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(5)
for i in range(4):
    c = socket.create_connection(s.getsockname())
    try:
        s.accept()[0].close(); print('accepted')
    except OSError as e:
        print(e.errno)
    c.close()
";
    let ran = inject("emfile", &["accept,accept4:error=EMFILE:when=2+2"], &["python3", "-c", script]);
    assert_eq!(ran.stdout(), "accepted\n24\naccepted\n24\n");
    assert_eq!(ran.injected(), 2);
}

#[test]
fn a_plan_comes_from_a_file_and_a_mistake_in_it_has_a_line() {
    let file = crate::scratch("inject").join("plan");
    std::fs::write(&file, "# accept fails\nseed=3\naccept:error=EMFILE\n").unwrap();
    let run = |text: &str| {
        std::fs::write(&file, text).unwrap();
        Command::new(crate::tool())
            .args(["run", "-q", "--inject-file"])
            .arg(&file)
            .args(["--", "true"])
            .output()
            .unwrap()
    };
    assert_eq!(run("# accept fails\nseed=3\naccept:error=EMFILE\n").status.code(), Some(0));
    let wrong = run("# accept fails\n\naccept:eror=EMFILE\n");
    let said = String::from_utf8_lossy(&wrong.stderr);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(said.contains("line 3: `eror=EMFILE` is no word of a rule") && said.contains("^^^^^^^^^^^"), "{said}");
}

#[test]
fn without_the_tool_the_environment_has_the_plan() {
    if !there::there("python3") {
        return;
    }
    let run = |plan: &str| {
        let script = "import socket\ntry: socket.socket(); print('made')\nexcept OSError as e: print(e.errno)";
        let mut python = Command::new("python3");
        python.args(["-c", script]).env("LD_PRELOAD", crate::built::shim()).env("SOCKSHIM_INJECT", plan);
        let output = python.output().unwrap();
        (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (out, err) = run("socket:error=EMFILE");
    assert_eq!(out, "24\n");
    assert!(err.contains("EMFILE (INJECTED)"), "{err}");
    let (out, err) = run("socket:error=EMFIL");
    assert_eq!(out, "made\n");
    assert!(err.contains("SOCKSHIM_INJECT: error=EMFIL is no errno"), "{err}");
}
