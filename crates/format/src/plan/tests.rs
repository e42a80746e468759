use super::*;

fn rule(text: &str) -> Rule {
    let plan = parse(text).unwrap_or_else(|mistake| panic!("{text}: {mistake} at {:?}", mistake.at));
    assert_eq!(plan.rules().len(), 1, "{text}");
    plan.rules()[0]
}

#[test]
fn a_rule_says_which_calls_and_what_becomes_of_them() {
    let one = rule("connect:error=ECONNREFUSED:when=2+");
    assert!(one.functions.has(Op::Connect) && one.functions.has(Op::UnderConnect) && !one.functions.has(Op::Bind));
    assert_eq!((one.answer, one.first, one.last, one.step), (Answer::Error(111), 2, u32::MAX, 1));
    let two = rule("read,recv:peer=127.0.0.1:6379:short=7:delay_enter=50ms:delay_exit=3");
    assert_eq!((two.short, two.delay_enter_ns, two.delay_exit_ns, two.peer.port), (7, 50_000_000, 3_000, 6379));
    assert!(two.functions.has(Op::UnderReadChk) && two.functions.has(Op::UnderRecvChk));
    let three = rule("connect:peer=[::1]:80:redirect=127.0.0.1:9000");
    assert_eq!((three.peer.ip[15], three.peer.port, three.redirect.port), (1, 80, 9000));
    assert_eq!(rule("getaddrinfo:name=example.org:error=EAI_AGAIN").answer, Answer::Resolver(-3));
    assert_eq!(rule("%sent:reset:after=64K:chance=0.5%").chance, 5_000);
    assert!(rule("%received:half_close").functions.iter().all(|op| op.direction().is_some()));
}

#[test]
fn when_counts_as_strace_does() {
    let due = |when: &str| {
        let rule = rule(&format!("close:error=EIO:when={when}"));
        (1..=9).filter(|n| rule.is_due(0, *n, 0)).collect::<Vec<u32>>()
    };
    assert_eq!(due("3"), [3]);
    assert_eq!(due("7+"), [7, 8, 9]);
    assert_eq!(due("2+3"), [2, 5, 8]);
    assert_eq!(due("2..4"), [2, 3, 4]);
    assert_eq!(due("2..8+3"), [2, 5, 8]);
}

#[test]
fn chance_is_the_same_for_the_same_seed() {
    let rule = rule("sendto:drop:chance=25%");
    let fates = |seed| (1..=4000).filter(|n| rule.is_due(0, *n, seed)).collect::<Vec<u32>>();
    assert_eq!(fates(42), fates(42));
    assert_ne!(fates(42), fates(43));
    assert!((800..1200).contains(&fates(42).len()), "{}", fates(42).len());
}

#[test]
fn a_plan_has_lines_comments_and_a_seed() {
    let plan = parse("# two rules\nseed=7\nconnect:error=EINTR # the first\n\naccept:error=EMFILE;close:error=EIO\n");
    let plan = plan.unwrap_or_else(|mistake| panic!("{mistake}"));
    assert_eq!((plan.seed, plan.rules().len()), (7, 3));
    assert_eq!(plan.functions().iter().count(), 3);
}

#[test]
fn a_mistake_points_at_the_word() {
    for (text, word) in [
        ("conect:error=EIO", "conect"),
        ("connect,clse:error=EIO", "clse"),
        ("connect:error=ECONREFUSED", "error=ECONREFUSED"),
        ("accept:error=EIO connect:peer=300.0.0.1:error=EIO", "peer=300.0.0.1"),
        ("connect:error=EIO:whn=2", "whn=2"),
        ("connect:when=0:error=EIO", "when=0"),
        ("connect:when=2", "connect:when=2"),
        ("connect:short=5", "connect:short=5"),
        ("connect:error=EAI_AGAIN", "connect:error=EAI_AGAIN"),
        ("execve:error=EIO", "execve"),
        ("sendto:drop:chance=101%", "chance=101%"),
        ("seed=x", "seed=x"),
        ("read:delay_enter=5h", "delay_enter=5h"),
    ] {
        let mistake = parse(text).expect_err(text);
        assert_eq!(&text[mistake.at], word, "{text}: {}", mistake.why);
    }
    let many = "close:error=EIO ".repeat(33);
    assert!(parse(&many).expect_err("33 rules").why.starts_with("one too many"));
}

#[test]
fn a_filter_chooses_and_does_nothing_else() {
    let plan = parse_filter("port=443 %communicate:fd=7,connect").map_err(|mistake| mistake.why);
    assert!(plan.is_err(), "a comma belongs to functions");
    let plan = parse_filter("port=443 %communicate,connect:fd=7:family=AF_INET6").expect("two rules");
    let [one, two] = plan.rules() else { panic!("{plan:?}") };
    assert!(one.functions.has(Op::Read) && one.functions.has(Op::Setsockopt) && !one.functions.has(Op::Fork));
    assert!(two.functions.has(Op::Connect) && two.functions.has(Op::Write) && !two.functions.has(Op::Close));
    assert_eq!((one.port, two.fd, two.family), (443, Some(7), 10));
    assert_eq!(rule("close:fd=3:error=EIO").fd, Some(3));
    for wrong in ["", "# nothing", "connect:error=EIO", "connect:when=2", "port=80:chance=5%", "read:after=7", "fd=x"] {
        assert!(parse_filter(wrong).is_err(), "{wrong}");
    }
    // A plan says of which functions.
    assert!(parse("port=80:error=EIO").is_err());
    assert!(parse("family=AF_INET").is_err() && parse("connect:family=AF_NONE:error=EIO").is_err());
    assert!(parse("%resolve:error=EAI_AGAIN").is_ok() && parse("getifaddrs:error=EAI_AGAIN").is_err());
}

#[test]
fn nothing_that_is_written_makes_it_panic() {
    for text in [
        "",
        ":",
        "::",
        "connect:",
        "connect::",
        "connect:=",
        "é:é=é",
        "connect:peer=[",
        "connect:peer=]:1",
        "%",
        "connect:error=",
        "read:short=é",
        "read:short=99999999999999999999G",
        "read:chance=é%",
        "read:chance=.%",
    ] {
        let _ = parse(text);
        for end in 0..text.len() {
            let _ = text.get(..end).map(parse);
        }
    }
}

#[test]
fn addresses_are_what_the_standard_library_takes_them_for() {
    for text in ["127.0.0.1", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1..2.3", "", "1.2.3.4 ", "0.0.0.0"] {
        let ours = parse(&format!("connect:silence:peer={text}")).ok().map(|plan| plan.rules()[0].peer.ip);
        let std = text.parse::<std::net::Ipv4Addr>().ok().map(|ip| ip.to_ipv6_mapped().octets());
        // Without a host it is a place anyhow, and a space ends a word.
        if !text.is_empty() && !text.ends_with(' ') {
            assert_eq!(ours, std, "{text}");
        }
    }
    let many = [
        "::",
        "::1",
        "1::",
        "1:2:3:4:5:6:7:8",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "1::2::3",
        "fe80::12ab:1",
        "12345::",
        "1:2:3:4::5:6:7:8",
        "1:2:3::5:6:7:8",
        ":1",
        "1:",
        "g::",
        ":::",
        "2001:db8::ff00:42:8329",
    ];
    for text in many {
        let ours = parse(&format!("connect:silence:peer=[{text}]")).ok().map(|plan| plan.rules()[0].peer.ip);
        assert_eq!(ours, text.parse::<std::net::Ipv6Addr>().ok().map(|ip| ip.octets()), "{text}");
    }
}
