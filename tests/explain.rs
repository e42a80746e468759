//! `--explain` tells what happened, in both languages: numbers of descriptors, bytes, who closed first.

#[path = "support/built.rs"]
mod built;
#[path = "support/http_server.rs"]
mod http_server;
#[path = "support/there.rs"]
mod there;

use built::{scratch, succeed, tool};
use http_server::http_server;
use sockshim_reader::model::{Connection, Role};
use sockshim_reader::order::Events;
use sockshim_reader::{Model, Trace};
use std::path::PathBuf;
use std::process::Command;
use there::there;

/// A run that was recorded while it was explained.
struct Told {
    trace: PathBuf,
    live: String,
    model: Model,
}

impl Told {
    fn of(test: &str, verb: &str, language: &str, program: &[&str]) -> Told {
        let trace = scratch("explain").join(format!("{test}-{language}.sst"));
        let mut command = Command::new(tool());
        command.args([verb, "--explain", "--lang", language, "--color", "never", "-o"]).arg(&trace);
        let output = succeed(command.args(program).env("COLUMNS", "100"));
        let mut model = Model::new();
        Events::new(Trace::open(&trace).unwrap()).for_each(|event| model.feed(&event.unwrap()));
        model.finish(true);
        Told { trace, live: words(&output.stderr), model }
    }

    fn report(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(tool());
        command.args(["report", "--explain", "--color", "never"]).args(arguments).arg(&self.trace);
        words(&succeed(&mut command).stdout)
    }

    fn of_role(&self, role: Role) -> impl Iterator<Item = &Connection> {
        self.model.connections().filter(move |conn| conn.role == role)
    }
}

/// Words with one blank between them: lines may be broken anywhere. In Chinese that is between any characters.
fn words(text: &[u8]) -> String {
    String::from_utf8(text.to_vec()).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn contains(text: &str, part: &str) {
    let squeeze = |text: &str| text.replace(' ', "");
    assert!(squeeze(text).contains(&squeeze(part)), "no {part:?} in\n{text}");
}

/// `1,234`.
fn thousands(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", thousands(number / 1000), number % 1000),
    }
}

#[test]
fn the_demo_is_explained_as_it_happens_and_afterwards() {
    for language in ["en", "zh"] {
        let told = Told::of("demo", "demo", language, &[]);
        let english = language == "en";
        for (live, text) in [(true, told.live.clone()), (false, told.report(&["--lang", language]))] {
            // As it happens a call that waits is told when it is over, and what it makes gets its number then; read afterwards,
            // it is where it began.
            let number = |conn: &Connection| if live { String::new() } else { format!("#{} ", conn.id + 1) };
            for conn in told.of_role(Role::Active) {
                let (fd, port) = (conn.holders[0].fd, conn.peer_address().unwrap().port().unwrap());
                contains(
                    &text,
                    &match english {
                        true => format!("descriptor {fd} now names a TCP socket; nobody is at the other end yet."),
                        false => format!("描述符 {fd} 现在指代一个 TCP 套接字，另一端还没有人。"),
                    },
                );
                let (ip, local) = ("127.0.0.1", conn.local_address().unwrap());
                contains(
                    &text,
                    &match english {
                        true => format!("the name localhost stands for {ip}, and port {port} says which socket there."),
                        false => format!("主机名 localhost 对应 {ip}，端口 {port} 指明是哪个套接字。"),
                    },
                );
                contains(
                    &text,
                    &match english {
                        true => format!("Our own end is {local}."),
                        false => format!("我方这一端是 {local}。"),
                    },
                );
                contains(
                    &text,
                    &match english {
                        true => format!("{}client It wrote {} bytes: “GET /", number(conn), conn.sent.bytes),
                        false => format!("{}客户端 写了 {} 字节：“GET /", number(conn), conn.sent.bytes),
                    },
                );
            }
            // As demo.rs has it: in the first conversation the client hangs up first, in the second the server.
            let hangs_up = |end: &str, conn: &Connection, other: &str| match english {
                true => format!("{}{end} close: we hang up first, and the {other} is told with a FIN.", number(conn)),
                false => format!("{}{end} close：我方先挂断，发出 FIN 通知{other}。", number(conn)),
            };
            let (client, server) = if english { ("client", "server") } else { ("客户端", "服务器") };
            let first = told.of_role(Role::Active).find(|conn| conn.sent.bytes == 64).unwrap();
            let second = told.of_role(Role::Passive).find(|conn| conn.received.bytes == 61).unwrap();
            contains(&text, &hangs_up(client, first, server));
            contains(&text, &hangs_up(server, second, client));
            let phases = if english {
                ["Phase 1 of 4: create.", "Phase 2 of 4: connect.", "Phase 3 of 4", "Phase 4 of 4"]
            } else {
                ["第一阶段（共四个）：创建。", "第二阶段（共四个）：连接。", "第三阶段", "第四阶段"]
            };
            phases.iter().for_each(|phase| contains(&text, phase));
            let all = told.model.connections();
            let (sent, received) =
                all.fold((0, 0), |(sent, received), conn| (sent + conn.sent.bytes, received + conn.received.bytes));
            contains(
                &text,
                &match english {
                    true => format!("That was all: 7 sockets, {sent} bytes sent and {received} received."),
                    false => format!("讲完了：共 7 个套接字，发送 {sent} 字节，接收 {received} 字节。"),
                },
            );
        }
    }
}

#[test]
fn one_connection_is_explained_alone_with_both_its_ends() {
    let told = Told::of("one", "demo", "en", &[]);
    let client = told.of_role(Role::Active).next().unwrap();
    let server = client.other_end.unwrap();
    let text = told.report(&["--lang", "en", "--connection", &(client.id + 1).to_string()]);
    contains(&text, "The name localhost was resolved to 127.0.0.1.");
    contains(&text, "That was all: 2 sockets,");
    for conn in told.model.connections() {
        let named = text.contains(&format!("#{} ", conn.id + 1));
        assert_eq!(named, conn.id == client.id || conn.id == server, "#{}\n{text}", conn.id + 1);
    }
}

#[test]
fn the_locale_chooses_the_language() {
    let demo = |variables: &[(&str, &str)]| {
        let mut command = Command::new(tool());
        command.args(["demo", "--explain"]).env_remove("LC_ALL").env_remove("LC_MESSAGES").env_remove("LANG");
        words(&succeed(command.envs(variables.iter().copied())).stderr)
    };
    contains(&demo(&[("LANG", "zh_CN.UTF-8")]), "讲完了：");
    contains(&demo(&[("LANG", "zh_CN.UTF-8"), ("LC_ALL", "C.UTF-8")]), "That was all:");
}

#[test]
fn curl_is_explained() {
    if !there("curl") || !there("python3") {
        return;
    }
    let folder = scratch("explain/http");
    std::fs::write(folder.join("page.txt"), "0123456789".repeat(40_000)).unwrap();
    let (mut server, port) = http_server(&folder).expect("python3 -m http.server does not serve");
    let url = format!("http://127.0.0.1:{port}/page.txt");
    let told: Vec<Told> = ["en", "zh"]
        .into_iter()
        .map(|language| Told::of("curl", "run", language, &["--", "curl", "-s", &url, "-o", "/dev/null"]))
        .collect();
    server.kill().unwrap();
    server.wait().unwrap();
    for (told, english) in told.iter().zip([true, false]) {
        let conn = told.of_role(Role::Active).next().unwrap();
        let (fd, bytes, sent) = (conn.holders[0].fd, thousands(conn.received.bytes), conn.sent.bytes);
        assert!(conn.received.bytes > 400_000, "{bytes}");
        let parts = match english {
            true => [
                format!("socket: descriptor {fd} now names a TCP socket; nobody is at the other end yet."),
                format!("connect: the way to 127.0.0.1:{port} is being opened. The call did not wait for it."),
                format!("and port {port} says which socket there. The pipe is open after"),
                format!("It wrote {sent} bytes: “GET /page.txt HTTP/1.1”."),
                format!("{sent} bytes sent and {bytes} received."),
            ],
            false => [
                format!("socket：描述符 {fd} 现在指代一个 TCP 套接字，另一端还没有人。"),
                format!("connect：开始建立到 127.0.0.1:{port} 的连接，调用没有等结果就返回了。"),
                format!("端口 {port} 指明是哪个套接字。"),
                format!("写了 {sent} 字节：“GET /page.txt HTTP/1.1”。"),
                format!("个套接字，发送 {sent} 字节，接收 {bytes} 字节。"),
            ],
        };
        parts.iter().for_each(|part| contains(&told.live, part));
    }
}

#[test]
fn what_is_refused_says_why() {
    let Ok(listener) = std::net::TcpListener::bind("127.0.0.1:0") else { return println!("SKIPPED: no IPv4") };
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port}");
    let explained = |language: &str| {
        let mut command = Command::new(tool());
        command.args(["run", "--explain", "--lang", language, "--", "bash", "-c", &script]);
        words(&command.output().unwrap().stderr)
    };
    contains(&explained("en"), &format!("connect to 127.0.0.1:{port} failed (ECONNREFUSED): nobody listens there."));
    contains(&explained("zh"), &format!("connect（127.0.0.1:{port}）失败（ECONNREFUSED）：那里没有人监听。"));
}
