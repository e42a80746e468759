//! Who was started, and who introduced itself.

use super::story::*;
use super::*;

const PATH: (u8, u8, &[u8]) = (KIND_TEXT, ROLE_PATH, b"/bin/tool");

impl Story {
    /// A call to exec that has not come back.
    fn executes(&mut self, size: u64) {
        let mut entered = self.entered(Op::Execve, -1, 0);
        entered.call.size = size;
        let (kind, role, body) = PATH;
        entered.extensions.push(OwnedExtension { kind, role, part: 0, body: body.to_vec() });
        self.now_ns += 100;
        self.model.feed(&Event::Entered(entered));
    }

    fn spawns(&mut self, pid: u32) {
        self.call_with(Op::PosixSpawn, -1, 0, 0, &[PATH], |call| call.size = pid.into());
    }

    /// Pids of programs that were not followed.
    fn missing(&self) -> Vec<u32> {
        self.model.not_followed().iter().map(|launch| launch.pid).collect()
    }
}

#[test]
fn a_program_that_introduces_itself_is_followed() {
    let mut story = Story::new();
    story.executes(0);
    assert_eq!(story.missing(), [100]);
    story.process(2, 0, 100, 1, PROCESS_IMAGE);
    story.spawns(200);
    story.process(3, 0, 200, 100, PROCESS_IMAGE);
    assert_eq!(story.missing(), [0; 0]);
    // The call may be told later than what came of it.
    story.process = 2;
    let early = story.now_ns;
    story.now_ns += 50;
    story.process(4, 0, 201, 100, PROCESS_IMAGE);
    (story.now_ns, story.process) = (early, 2);
    story.spawns(201);
    assert_eq!(story.missing(), [0; 0]);
}

#[test]
fn one_that_does_not_is_not() {
    let mut story = Story::new();
    story.connected(3, 7);
    story.call_with(Op::Fcntl, 3, 7, 0, &[], |call| (call.arg, call.size) = (2, 0));
    story.spawns(200);
    story.process(2, 1, 101, 100, PROCESS_FORK);
    assert_eq!(story.missing(), [200]);
    let launch = &story.model.not_followed()[0];
    assert_eq!((launch.by, launch.op, &*launch.path), (1, Some(Op::PosixSpawn), &b"/bin/tool"[..]));
    assert_eq!(story.model.causes(story.of(7)), [Cause::NotFollowed(launch)]);
    story.process = 2;
    story.executes(0);
    assert_eq!(story.missing(), [200, 101]);
}

#[test]
fn a_call_that_fails_starts_nothing() {
    let mut story = Story::new();
    story.call_with(Op::PosixSpawn, -1, 0, 2, &[PATH], failed(2));
    story.call_with(Op::Execv, -1, 0, -1, &[PATH], failed(2));
    story.call_with(Op::System, -1, 0, -1, &[PATH], failed(2));
    assert_eq!(story.missing(), [0; 0]);
}

#[test]
fn a_thread_that_goes_on_was_not_replaced() {
    let mut story = Story::new();
    story.executes(0);
    story.call_with(Op::Socket, -1, 0, 3, &[], |call| call.seq = 1);
    assert_eq!(story.missing(), [0; 0]);
}

#[test]
fn what_a_vfork_child_executes_is_its_parents_child() {
    let mut story = Story::new();
    story.executes(EXEC_IN_VFORK);
    story.call_with(Op::Socket, -1, 0, 3, &[], |call| call.seq = 1);
    assert_eq!(story.missing(), [0]);
    story.process(2, 0, 200, 100, PROCESS_IMAGE);
    assert_eq!(story.missing(), [0; 0]);
}

#[test]
fn a_child_of_system_is_not_one_that_was_forked() {
    let mut story = Story::new();
    story.process(2, 1, 101, 100, PROCESS_FORK);
    story.process = 1;
    story.call(Op::System, -1, 0, 0, &[PATH]);
    story.process(3, 0, 101, 100, PROCESS_IMAGE);
    assert_eq!(story.missing(), [0], "the shell is another");
    story.process(4, 0, 102, 100, PROCESS_IMAGE);
    assert_eq!(story.missing(), [0; 0]);
}

#[test]
fn what_the_tool_saw_running_is_known_by_its_file() {
    let mut story = Story::new();
    story.spawns(200);
    story.model.seen_running(200, b"/usr/bin/tool");
    story.model.seen_running(300, b"/usr/bin/other");
    story.model.seen_running(100, b"/bin/p1");
    let paths: Vec<_> = story.model.not_followed().iter().map(|launch| &*launch.path).collect();
    assert_eq!((paths, story.missing()), (vec![&b"/usr/bin/tool"[..], b"/usr/bin/other"], vec![200, 300]));
}
