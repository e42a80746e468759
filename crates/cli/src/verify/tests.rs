//! On what strace 6.1 really wrote.

use super::compare::compare;
use super::records::{Record, Records};
use super::strace::{Account, Call, split, unquote};
use super::way::{Way, Ways};
use super::{address, records};
use sockshim_format::op::{Op, Phase};
use sockshim_reader::{Audit, Verdict};

/// A receive that a signal interrupts and SA_RESTART restarts, with what the handler does; a wait
/// that ends with EINTR; a call that nothing returned from.
const INTERRUPTED: &str = r#"
recvfrom(3<socket:[30849]>, 0x7ffdbb7ea780, 1, 0, NULL, NULL) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)
 > /usr/lib/x86_64-linux-gnu/libc.so.6(recv+0x19) [0x10a929]
 > /usr/lib/libsockshim.so(recv+0x2bf) [0x3e76f]
 > /tmp/v/f(main+0x142) [0x1505]
write(4<socket:[30850]>, "h", 1)        = 1
 > /usr/lib/x86_64-linux-gnu/libc.so.6(__write+0x10) [0xf8350]
 > /usr/lib/libsockshim.so(sockshim::hooks::communicate::write+0x28d) [0x19bdd]
 > /tmp/v/f(on+0x27) [0x13c0]
 > /usr/lib/x86_64-linux-gnu/libc.so.6(__sigaction+0x40) [0x3c050]
 > /usr/lib/x86_64-linux-gnu/libc.so.6(recv+0x17) [0x10a927]
 > /usr/lib/libsockshim.so(recv+0x2bf) [0x3e76f]
 > /tmp/v/f(main+0x142) [0x1505]
rt_sigreturn({mask=[]})                 = 45
 > /usr/lib/x86_64-linux-gnu/libc.so.6(recv+0x17) [0x10a927]
recvfrom(3<socket:[30849]>, "h", 1, 0, NULL, NULL) = 1
 > /usr/lib/x86_64-linux-gnu/libc.so.6(recv+0x19) [0x10a929]
 > /usr/lib/libsockshim.so(recv+0x2bf) [0x3e76f]
 > /tmp/v/f(main+0x142) [0x1505]
poll([{fd=4<socket:[30850]>, events=POLLIN}], 1, -1) = ? ERESTART_RESTARTBLOCK (Interrupted by signal)
 > /usr/lib/x86_64-linux-gnu/libc.so.6(poll+0x10) [0xfc230]
 > /usr/lib/libsockshim.so(sockshim::hooks::wait::poll+0x24c) [0x1f54c]
rt_sigreturn({mask=[]})                 = -1 EINTR (Interrupted system call)
 > /usr/lib/x86_64-linux-gnu/libc.so.6(poll+0x10) [0xfc230]
poll([{fd=4<socket:[30850]>, events=POLLIN}], 1, 50) = ? ERESTART_RESTARTBLOCK (Interrupted by signal)
 > /usr/lib/x86_64-linux-gnu/libc.so.6(poll+0x10) [0xfc230]
restart_syscall(<... resuming interrupted poll ...>) = 0
 > /usr/lib/x86_64-linux-gnu/libc.so.6(poll+0x10) [0xfc230]
recvfrom(4<socket:[30850]>,  <unfinished ...>) = ?
+++ exited with 0 +++
"#;

fn account(tid: u32, text: &str) -> Account {
    let mut account = Account::default();
    account.task(tid, text.as_bytes()).unwrap();
    account
}

fn results(account: &Account) -> Vec<(&str, Option<(i64, u16)>)> {
    account.tasks.iter().flat_map(|task| &task.calls).map(|call| (call.name.as_str(), call.ret)).collect()
}

#[test]
fn an_interrupted_call_is_one_call() {
    let account = account(7, INTERRUPTED);
    let one = Some((1, 0));
    let expected =
        [("recvfrom", one), ("write", one), ("poll", Some((-1, 4))), ("poll", Some((0, 0))), ("recvfrom", None)];
    assert_eq!(results(&account), expected);
    assert!(account.tasks[0].calls[0].args.contains("\"h\""), "the arguments as they were at the end");
    assert!(account.tasks[0].calls[4].stack.is_empty());
}

#[test]
fn results_are_read_whatever_the_strings_say() {
    let lines = r#"
sendto(3<socket:[1]>, "a\") = 5", 7, 0, NULL, 0) = 7
fcntl(5<socket:[2]>, F_GETFL)           = 0x802 (flags O_RDWR|O_NONBLOCK)
accept4(3<socket:[3]>, {sa_family=AF_INET, sin_port=htons(47940), sin_addr=inet_addr("127.0.0.1")}, [16], SOCK_CLOEXEC) = 4<socket:[4]>
pselect6(5, [4<socket:[4]>], NULL, NULL, NULL, NULL) = 1 (in [4])
connect(5<socket:[5]>, {sa_family=AF_UNIX, sun_path="/x"}, 110) = -1 ENOENT (No such file or directory)
--- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=4, si_uid=0, si_status=0, si_utime=0, si_stime=0} ---
strace: Process 5 attached
"#;
    let account = account(1, lines);
    let expected = [
        ("sendto", Some((7, 0))),
        ("fcntl", Some((0x802, 0))),
        ("accept4", Some((4, 0))),
        ("pselect6", Some((1, 0))),
        ("connect", Some((-1, 2))),
    ];
    assert_eq!(results(&account), expected);
}

#[test]
fn arguments_are_split_outside_of_strings_and_structures() {
    let args = r#"3</tmp/a, b>, "x, \"y\", (", {a=1, b=[2, 3]}, 1<<3, [16 => 2]"#;
    assert_eq!(split(args), ["3</tmp/a, b>", r#""x, \"y\", (""#, "{a=1, b=[2, 3]}", "1<<3", "[16 => 2]"]);
    assert_eq!(split(""), Vec::<&str>::new());
    assert_eq!(unquote(r#""a\n\"\0\1772\\"..., 3"#).unwrap(), b"a\n\"\0\x7f2\\");
    assert_eq!(unquote("NULL"), None);
}

#[test]
fn addresses_are_the_same_on_both_sides() {
    let shown = |text: &str| address::of_strace(text);
    let mapped = r#"{sa_family=AF_INET6, sin6_port=htons(80), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, "::ffff:127.0.0.1", &sin6_addr), sin6_scope_id=0}"#;
    let four = [2, 0, 0, 80, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    assert!(shown(mapped).is_some());
    assert_eq!(shown(mapped), address::of_record(&four));
    let message =
        r#"{msg_name={sa_family=AF_UNIX, sun_path=@"a}b"}, msg_namelen=6, msg_iov=[{iov_base="{sa_family=AF_INET"#;
    assert_eq!(shown(message), address::of_record(b"\x01\0\0a}b"));
    assert_eq!(shown(r#"{msg_name=NULL, msg_iov=[{iov_base="{sa_family=AF_UNIX}", iov_len=9}]}"#), None);
    assert_eq!(shown(r#"{sa_family=AF_UNIX, sun_path="/tmp/x y"}"#), address::of_record(b"\x01\0/tmp/x y\0"));
    assert_eq!(shown("{sa_family=AF_UNIX}"), address::of_record(b"\x01\0"));
    assert_eq!(shown("{sa_family=AF_NETLINK, nl_pid=0, nl_groups=00000000}"), None);
}

/// This machine's libc, and offsets in it of functions.
fn libc_with(functions: &[*const ()]) -> (String, Vec<u64>) {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps.lines().find(|line| line.ends_with("/libc.so.6")).expect("this test runs on libc");
    let base = u64::from_str_radix(line.split('-').next().unwrap(), 16).unwrap();
    (line.split_whitespace().last().unwrap().into(), functions.iter().map(|f| *f as u64 - base + 4).collect())
}

#[test]
fn the_stack_tells_the_way() {
    let (libc, at) = libc_with(&[libc::send as *const (), libc::fputs as *const (), libc::getaddrinfo as *const ()]);
    let [send, fputs, resolve] = [at[0], at[1], at[2]].map(|at| format!(" > {libc}(name+0x4) [{at:#x}]\n"));
    let (shim, program) = (" > /x/libsockshim.so(send+0x1) [0x5]\n", " > /x/prog(main+0x1) [0x5]\n");
    let liar = " > /x/liar.so(send+0x1) [0x5]\n";
    let ways = [
        (format!("{shim}{program}"), Way::Own),
        (format!("{send}{shim}{program}"), Way::Hooked(vec![Op::Send, Op::UnderSend])),
        (format!("{send}{liar}{shim}{program}"), Way::Hooked(vec![Op::Send, Op::UnderSend])),
        (format!("{send}{resolve}{shim}{program}"), Way::Hooked(vec![Op::Getaddrinfo])),
        (format!("{send}{program}"), Way::Public(vec![Op::Send, Op::UnderSend])),
        (format!("{send}{fputs}{program}"), Way::Libc("stdio".into())),
        (program.to_owned(), Way::Raw("prog".into())),
        (" > unexpected_backtracing_error [0x5]\n".into(), Way::Raw("code in no file".into())),
        (send.clone(), Way::Unknown),
        (String::new(), Way::Unknown),
    ];
    for (stack, way) in ways {
        let account = account(1, &format!("write(3<socket:[1]>, \"x\", 1) = 1\n{stack}"));
        assert_eq!(Ways::new(&account).of(&account.tasks[0].calls[0].stack), way, "{stack}");
    }
}

fn record(seq: u32, class: &'static str, fd: i32, ret: i64) -> Record {
    Record { process: 1, seq, name: class, class, fd, ret: Some((ret, 0)), ..Record::default() }
}

/// Each line with the stack of a call that went through the shim.
fn hooked(lines: &[&str]) -> Account {
    let (libc, at) = libc_with(&[libc::write as *const ()]);
    let stack = format!("\n > {libc}(write+0x4) [{:#x}]\n > /x/libsockshim.so(write+0x1) [0x5]\n", at[0]);
    account(7, &lines.iter().map(|line| format!("{line}{stack}")).collect::<String>())
}

fn compared(account: &Account, records: Vec<Record>) -> Audit {
    compare(account, &Records::of_thread(7, records)).audit
}

#[test]
fn a_file_that_had_the_same_number_is_not_taken_for_the_socket() {
    let account =
        hooked(&["close(5<socket:[1]>) = 0", "close(5</a>) = 0", "close(6<socket:[2]>) = 0", "close(5</b>) = 0"]);
    let audit = compared(&account, vec![record(0, "close", 5, 0), record(1, "close", 6, 0)]);
    assert_eq!(audit.to_string(), "seen 2 close\n");
}

#[test]
fn what_differs_is_wrong_and_what_is_alone_is_missed_or_invented() {
    let lines =
        ["write(3<socket:[1]>, \"abc\", 3) = 3", "write(3<socket:[1]>, \"d\", 1) = 1", "close(3<socket:[1]>) = 0"];
    let account = hooked(&lines);
    let first = || Record { payload: b"abc".to_vec(), ..record(0, "write", 3, 3) };
    let [second, close] = [record(1, "write", 3, 1), record(2, "close", 3, 0)];
    let all = || vec![first(), second.clone(), close.clone()];
    assert_eq!(compared(&account, all()).to_string(), "seen 1 close\nseen 2 write\n");
    type Change = fn(&mut Vec<Record>);
    let changes: [(Change, Verdict, &str); 6] = [
        (|records| records[0].ret = Some((2, 0)), Verdict::Wrong, "write"),
        (|records| records[0].ret = Some((3, 4)), Verdict::Wrong, "write"),
        (|records| records[0].payload = b"axc".to_vec(), Verdict::Wrong, "write"),
        (|records| _ = records.remove(1), Verdict::Missed, "write"),
        (|records| records[2].fd = 4, Verdict::Missed, "close"),
        (|records| records.push(record(3, "read", 3, 0)), Verdict::Invented, "read"),
    ];
    for (change, verdict, name) in changes {
        let mut records = all();
        change(&mut records);
        let audit = compared(&account, records);
        assert_eq!(audit.of(verdict).collect::<Vec<_>>(), [(name, 1)], "{audit}");
    }
    // One that was entered and never returned may have ended before the kernel was asked.
    let mut records = all();
    records.push(Record { ret: None, ..record(3, "read", 3, 0) });
    assert!(compared(&account, records).agrees());
}

#[test]
fn addresses_are_compared() {
    let address =
        |port: u32| format!("{{sa_family=AF_INET, sin_port=htons({port}), sin_addr=inet_addr(\"127.0.0.1\")}}");
    let connect = format!("connect(3<socket:[1]>, {}, 16) = 0", address(80));
    let name = format!("getsockname(3<socket:[1]>, {}, [16]) = 0", address(81));
    let account = hooked(&[&connect, &name]);
    let told = |port: u8| address::of_record(&[2, 0, 0, port, 127, 0, 0, 1]);
    let records = |one, other| {
        let connect = Record { address: one, ..record(0, "connect", 3, 0) };
        vec![connect, Record { address: other, ..record(1, "getsockname", 3, 0) }]
    };
    let audit = |one, other| compared(&account, records(one, other)).to_string();
    assert_eq!(audit(told(80), told(81)), "seen 1 connect\nseen 1 getsockname\n");
    assert_eq!(audit(told(80), told(82)), "seen 1 connect\nwrong 1 getsockname\n");
    // It is not asked with --no-edges; what was given is known.
    assert_eq!(audit(told(80), None), "seen 1 connect\nseen 1 getsockname\n");
    assert_eq!(audit(None, None), "seen 1 getsockname\nwrong 1 connect\n");
}

#[test]
fn a_child_of_vfork_records_nothing_before_it_executes() {
    let (libc, at) = libc_with(&[libc::close as *const ()]);
    let close =
        |fd: u32| format!("close({fd}<socket:[1]>) = 0\n > {libc}(close+0x4) [{:#x}]\n > /x/p(f+0x1) [0x5]\n", at[0]);
    let mut account = account(7, "vfork() = 8\n > /x/libsockshim.so(begin+0x1) [0x5]\n");
    let execve = "execve(\"/bin/static\", [\"s\"], 0x7ffd /* 3 vars */) = 0\n";
    account.task(8, format!("{}{execve}{}", close(3), close(4)).as_bytes()).unwrap();
    let audit = compared(&account, vec![]);
    assert_eq!(audit.to_string(), "unseen 1 between vfork and exec\nunseen 1 static, without the shim\n");
}

#[test]
fn every_function_that_is_one_system_call_is_known() {
    // What makes any number of system calls, and is recorded as a whole.
    const WHOLE: &[Op] = &[
        Op::Bindresvport,
        Op::Dprintf,
        Op::Sockatmark,
        Op::AioRead,
        Op::AioWrite,
        Op::LioListio,
        Op::Closefrom,
        Op::Fclose,
        Op::Fcloseall,
        Op::Pclose,
        Op::Freopen,
        Op::Fdopen,
        Op::Isfdtype,
    ];
    for op in Op::ALL {
        let whole = WHOLE.contains(&op.base()) || matches!(op.phase(), Phase::Resolve | Phase::Process);
        assert_eq!(records::class_of(*op).is_none(), whole, "{}: compared, or recorded as a whole?", op.symbol());
    }
    let asked: Vec<&str> = super::TRACED.trim_start_matches("trace=").split(',').collect();
    for name in records::ALWAYS.iter().chain(records::ON_SOCKETS) {
        let call = Call { name: (*name).into(), ..Call::default() };
        // strace's class `network` has the calls of sockets.
        let known = asked.contains(&call.name.as_str()) || records::NETWORK.contains(name);
        assert!(known && records::class(&call.name) == Some(*name), "{name}");
    }
}
