//! Which program runs where in strace's account.

use std::collections::{HashMap, HashSet};

use super::strace::{Account, split, unquote};
use super::way::Ways;

/// The bit of clone(2) that makes the child run in its parent's memory while the parent waits.
const VFORK: &str = "CLONE_VFORK";

/// Which program each task runs, call by call: a task goes from one to the next by exec, and has its
/// first one from whoever made it.
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
        let mut made: HashMap<u32, Vec<(usize, u32, bool)>> = HashMap::new();
        let mut children = HashSet::new();
        for task in &account.tasks {
            for (at, call) in task.calls.iter().enumerate() {
                if !matches!(call.name.as_str(), "fork" | "vfork" | "clone" | "clone3") {
                    continue;
                }
                if let Some(child) = call.ret.and_then(|(ret, _)| u32::try_from(ret).ok()) {
                    let vfork = call.name == "vfork" || call.args.contains(VFORK);
                    made.entry(task.tid).or_default().push((at, child, vfork));
                    children.insert(child);
                }
            }
        }
        let mut programs = Programs {
            of_task: HashMap::new(),
            vforked: HashMap::new(),
            names: vec!["the program".into()],
            with_shim: HashSet::new(),
        };
        let roots = account.tasks.iter().filter(|task| !children.contains(&task.tid));
        let mut waiting: Vec<(u32, usize)> = roots.map(|task| (task.tid, 0)).collect();
        while let Some((tid, first)) = waiting.pop() {
            let task = account.tasks.iter().find(|task| task.tid == tid);
            // A number that was used twice is followed once.
            let Some(task) = task.filter(|task| !programs.of_task.contains_key(&task.tid)) else { continue };
            let mut segments = vec![(0, first)];
            let mut program = first;
            for (at, call) in task.calls.iter().enumerate() {
                if ways.has_shim(&call.stack) {
                    programs.with_shim.insert(program);
                }
                if matches!(call.name.as_str(), "execve" | "execveat") && call.ret == Some((0, 0)) {
                    let path = split(&call.args).iter().find_map(|arg| unquote(arg)).unwrap_or_default();
                    program = programs.names.len();
                    programs.names.push(String::from_utf8_lossy(&path).into_owned());
                    segments.push((at + 1, program));
                }
            }
            for (at, child, vfork) in made.get(&tid).into_iter().flatten() {
                let program = segments.iter().rev().find(|(start, _)| start <= at).map_or(first, |(_, p)| *p);
                if *vfork {
                    let of_child = account.tasks.iter().find(|task| task.tid == *child);
                    let executed = of_child.and_then(|task| {
                        task.calls.iter().position(|c| c.name.starts_with("execve") && c.ret == Some((0, 0)))
                    });
                    programs.vforked.insert(*child, executed.unwrap_or(usize::MAX));
                }
                waiting.push((*child, program));
            }
            programs.of_task.insert(tid, segments);
        }
        programs
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
