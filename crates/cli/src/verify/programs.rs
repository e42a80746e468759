//! Which program runs where in strace's account.

use std::collections::{HashMap, HashSet};

use super::strace::{Account, Call, Task, split, unquote};
use super::way::Ways;

/// The bit of clone(2) that makes the child run in its parent's memory while the parent waits.
const VFORK: &str = "CLONE_VFORK";

/// Which program each task runs, call by call: a task goes from one to the next by exec, and has its
/// first one from whoever made it.
#[derive(Default)]
pub struct Programs {
    /// By task: at which call it begins, the program's number.
    of_task: HashMap<u32, Vec<(usize, usize)>>,
    /// By task that `vfork` made: the call by which it got a program of its own.
    vforked: HashMap<u32, usize>,
    names: Vec<String>,
    with_shim: HashSet<usize>,
}

impl Programs {
    /// Follows every task from program to program.
    pub fn of(account: &Account, ways: &Ways<'_>) -> Programs {
        let tasks: HashMap<u32, &Task> = account.tasks.iter().map(|task| (task.tid, task)).collect();
        let made: HashSet<u32> = account.tasks.iter().flat_map(children).map(|child| child.tid).collect();
        let mut programs = Programs { names: vec!["the program".into()], ..Programs::default() };
        let mut waiting: Vec<(u32, usize)> =
            tasks.keys().filter(|tid| !made.contains(tid)).map(|tid| (*tid, 0)).collect();
        while let Some((tid, first)) = waiting.pop() {
            // A number that was used twice is followed once.
            let task = tasks.get(&tid).filter(|task| !programs.of_task.contains_key(&task.tid));
            let Some(task) = task else { continue };
            programs.follow(task, first, ways);
            for child in children(task) {
                if child.vforked {
                    let executed = tasks.get(&child.tid).and_then(|task| task.calls.iter().position(executes));
                    programs.vforked.insert(child.tid, executed.unwrap_or(usize::MAX));
                }
                waiting.push((child.tid, programs.at(tid, child.at).1));
            }
        }
        programs
    }

    /// Follows one task, which begins in the program `first`.
    fn follow(&mut self, task: &Task, first: usize, ways: &Ways<'_>) {
        let mut program = first;
        let mut segments = vec![(0, first)];
        for (at, call) in task.calls.iter().enumerate() {
            if ways.has_shim(&call.stack) {
                self.with_shim.insert(program);
            }
            if executes(call) {
                let path = split(&call.args).into_iter().find_map(unquote).unwrap_or_default();
                program = self.names.len();
                self.names.push(String::from_utf8_lossy(&path).into_owned());
                segments.push((at + 1, program));
            }
        }
        self.of_task.insert(task.tid, segments);
    }

    /// Whether a call was made between `vfork` and exec, and in which program.
    pub fn at(&self, tid: u32, call: usize) -> (bool, usize) {
        let segments = self.of_task.get(&tid).map_or(&[][..], Vec::as_slice);
        let program = segments.iter().rev().find(|(start, _)| *start <= call).map_or(0, |(_, program)| *program);
        (self.vforked.get(&tid).is_some_and(|executed| call < *executed), program)
    }

    /// Whether the shim is loaded in it.
    pub fn has_shim(&self, program: usize) -> bool {
        self.with_shim.contains(&program)
    }

    /// What people call it.
    pub fn name(&self, program: usize) -> &str {
        self.names[program].rsplit('/').next().unwrap_or_default()
    }
}

/// A task that another one made, by which of its calls.
struct Child {
    at: usize,
    tid: u32,
    vforked: bool,
}

fn children(task: &Task) -> impl Iterator<Item = Child> {
    let makes = |call: &&Call| matches!(call.name.as_str(), "fork" | "vfork" | "clone" | "clone3");
    task.calls.iter().enumerate().filter(move |(_, call)| makes(call)).filter_map(|(at, call)| {
        let tid = u32::try_from(call.ret?.0).ok()?;
        Some(Child { at, tid, vforked: call.name == "vfork" || call.args.contains(VFORK) })
    })
}

fn executes(call: &Call) -> bool {
    matches!(call.name.as_str(), "execve" | "execveat") && call.ret == Some((0, 0))
}
