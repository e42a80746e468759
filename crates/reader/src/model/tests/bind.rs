//! Addresses that are in use, and what comes after.

use super::lints::{none, only};
use super::*;

#[test]
fn an_address_that_is_in_use() {
    let bind = |reuse: bool, taken: bool| {
        let mut story = Story::new();
        if taken {
            story.socket(4, 8);
            story.call(Op::Bind, 4, 8, 0, &[(KIND_ADDRESS, ROLE_GIVEN, SERVER)]);
            story.call(Op::Listen, 4, 8, 0, &[]);
        }
        story.socket(3, 7);
        if reuse {
            let on = 1i32.to_ne_bytes();
            story.call_with(Op::Setsockopt, 3, 7, 0, &[(KIND_OPTION, 0, &on)], |call| call.arg = 1 << 16 | 2);
        }
        story.call_with(Op::Bind, 3, 7, -1, &[(KIND_ADDRESS, ROLE_GIVEN, SERVER)], failed(98));
        story.call(Op::Close, 3, 7, 0, &[]);
        if taken {
            story.call(Op::Close, 4, 8, 0, &[]);
        }
        story.model.finish(true);
        let lints = story.model.lints(story.of(7), 0);
        lints.into_iter().map(|lint| (lint.kind, lint.fact)).collect::<Vec<_>>()
    };
    let fact = "bind to 127.0.0.1:8080 met EADDRINUSE without SO_REUSEADDR";
    only(bind(false, false), LintKind::AddressInUse, fact);
    only(bind(false, true), LintKind::AddressInUse, &format!("{fact}, where #1 of this trace listens"));
    none(bind(true, false));
}

#[test]
fn an_address_that_was_in_use_and_another_that_was_free() {
    let other: &[u8] = &[2, 0, 0x1f, 0x91, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    let bind = |then: &dyn Fn(&mut Story)| {
        let mut story = Story::new();
        story.socket(3, 7);
        story.call_with(Op::Bind, 3, 7, -1, &[(KIND_ADDRESS, ROLE_GIVEN, SERVER)], failed(98));
        then(&mut story);
        story.call(Op::Close, 3, 7, 0, &[]);
        story.model.finish(true);
        let conn = story.of(7);
        let local = conn.local_address().unwrap().to_string();
        let lints: Vec<String> = story.model.lints(conn, 0).into_iter().map(|lint| lint.fact).collect();
        (story.model.sentence(conn, 0), local, lints)
    };
    let (sentence, local, lints) = bind(&|story| {
        story.call(Op::Bind, 3, 7, 0, &[(KIND_ADDRESS, ROLE_GIVEN, other)]);
    });
    assert_eq!((&sentence[..], &local[..]), ("closed without having been connected", "127.0.0.1:8081"));
    assert!(lints.is_empty(), "{lints:?}");
    // Port 0, and what the kernel made of it.
    let (_, local, lints) = bind(&|story| {
        let any: &[u8] = &[2, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        story.call(Op::Bind, 3, 7, 0, &[(KIND_ADDRESS, ROLE_GIVEN, any), (KIND_ADDRESS, ROLE_LOCAL, CLIENT)]);
    });
    assert_eq!((&local[..], lints), ("127.0.0.1:40000", vec![]));
    // Refused twice: the last one is told.
    let (sentence, local, lints) = bind(&|story| {
        story.call_with(Op::Bind, 3, 7, -1, &[(KIND_ADDRESS, ROLE_GIVEN, other)], failed(98));
    });
    assert_eq!((&sentence[..], &local[..]), ("bind failed: the address is in use (EADDRINUSE)", "127.0.0.1:8081"));
    assert_eq!(lints, ["bind to 127.0.0.1:8081 met EADDRINUSE without SO_REUSEADDR"]);
    // It goes on as a client, whose own address is another.
    let (_, local, lints) = bind(&|story| {
        let parts: [(u8, u8, &[u8]); 2] = [(KIND_ADDRESS, ROLE_GIVEN, other), (KIND_ADDRESS, ROLE_LOCAL, CLIENT)];
        story.call(Op::Connect, 3, 7, 0, &parts);
    });
    assert_eq!(local, "127.0.0.1:40000");
    assert_eq!(lints, ["bind to 127.0.0.1:8080 met EADDRINUSE without SO_REUSEADDR"]);
}
