//! What passed around us, and who was not followed, in words.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use sockshim_format::op::{Direction, Op};
use sockshim_reader::Model;
use sockshim_reader::model::{Cause, Connection, Launch};

use super::{bytes, count, safe};
use crate::target;

/// A line for each program that was not followed, if they are few.
pub fn all_not_followed(model: &Model) -> Vec<String> {
    const MOST: usize = 3;
    let all = model.not_followed();
    let mut lines: Vec<String> =
        all.iter().take(MOST).map(|launch| format!("not followed: {}", not_followed(launch))).collect();
    if all.len() > MOST {
        lines.push(format!("not followed: {} more", count((all.len() - MOST) as u64, "program")));
    }
    lines
}

/// What passed around us on a connection, and the likely reason: `12 B sent passed around us: stdio`.
pub fn words(model: &Model, connection: &Connection) -> Option<String> {
    let amount = amount(model, connection)?;
    Some(format!("{amount} passed around us: {}", causes(model, connection)))
}

/// `12 B sent and at least 340 B received`.
pub fn amount(model: &Model, connection: &Connection) -> Option<String> {
    let ways = [(Direction::Sent, "sent"), (Direction::Received, "received")];
    let told = ways.iter().filter_map(|(direction, word)| {
        let unseen = model.unseen(connection, *direction).filter(|unseen| unseen.bytes > 0)?;
        let least = if unseen.exact { "" } else { "at least " };
        Some(format!("{least}{} {word}", bytes(unseen.bytes)))
    });
    let told: Vec<String> = told.collect();
    (!told.is_empty()).then(|| told.join(" and "))
}

/// Why bytes passed around us, as far as it can be known: `stdio`, `this or that`.
pub fn causes(model: &Model, connection: &Connection) -> String {
    let word = |cause| match cause {
        Cause::Stdio => "stdio".into(),
        Cause::Asynchronous => "POSIX asynchronous I/O".into(),
        Cause::IoUring => "io_uring".into(),
        Cause::NotFollowed(launch) => format!("{}, which was not followed", program(launch)),
        Cause::StandardStream => "stdio, for it is a standard stream".into(),
        // liburing makes its system calls itself; who is linked with it leaves no other trace.
        Cause::OwnSystemCalls if holders(model, connection).any(target::is_linked_with_liburing) => "io_uring".into(),
        Cause::OwnSystemCalls => "system calls of its own".into(),
    };
    model.causes(connection).into_iter().map(word).collect::<Vec<String>>().join(", or ")
}

/// The executables of the processes that used a connection.
fn holders<'a>(model: &'a Model, connection: &'a Connection) -> impl Iterator<Item = &'a Path> {
    let processes = connection.holders.iter().filter_map(|holder| model.process(holder.process));
    processes.filter_map(|process| process.info.as_ref()).map(|info| Path::new(OsStr::from_bytes(&info.exe)))
}

/// A program that was not followed, and why: `/usr/bin/tool (pid 7): linked statically`.
pub fn not_followed(launch: &Launch) -> String {
    match why_not_followed(launch) {
        Some(why) => format!("{}: {why}", program(launch)),
        None => program(launch),
    }
}

/// Why, as far as its file tells.
pub fn why_not_followed(launch: &Launch) -> Option<String> {
    target::why_not_followed(&file(launch))
}

/// `/usr/bin/tool (pid 7)`, `sh -c 'tool | less'`.
pub fn program(launch: &Launch) -> String {
    let path = safe(&launch.path);
    let name = match launch.op {
        Some(Op::System | Op::Popen) => format!("sh -c '{path}'"),
        _ if path.is_empty() => "a program without a name".into(),
        _ => path,
    };
    match launch.pid {
        0 => name,
        pid => format!("{name} (pid {pid})"),
    }
}

fn file(launch: &Launch) -> Vec<u8> {
    match launch.op {
        Some(Op::System | Op::Popen) => b"/bin/sh".to_vec(),
        _ => launch.path.clone(),
    }
}
