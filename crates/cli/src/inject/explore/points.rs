//! The calls of a run that can be made to fail, and how a rule names each of them.

use std::collections::HashMap;

use sockshim_format::op::Op;
use sockshim_format::plan::may_fail;
use sockshim_reader::CallInfo;

/// A call, as far as a rule has to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// The function.
    pub op: Op,
    /// The process, by its number in the run.
    pub process: u32,
    /// The how manieth call of the function in the process, from 1 on.
    pub number: u32,
}

/// What is kept of a call of a run.
pub struct Called {
    pub op: Op,
    pub process: u32,
    pub start_ns: u64,
    /// A rule did something to it.
    pub injected: bool,
}

impl Called {
    /// `None` of a call that no rule counts.
    pub fn of(info: &CallInfo) -> Option<Called> {
        let op = info.op().map(Op::base).filter(|op| may_fail(*op))?;
        let injected = info.injected().next().is_some();
        Some(Called { op, process: info.process, start_ns: info.start_ns, injected })
    }
}

impl Point {
    /// The rule that makes this one call fail, or this one and all after it.
    pub fn rule(&self, fault: &str, persist: bool) -> String {
        let Point { op, process, number } = self;
        let on = if persist { "+" } else { "" };
        format!("{}:{fault}:when={number}{on}:process={process}", op.name())
    }
}

/// The calls of these functions, in the order in which they were made.
pub fn of(calls: &[Called], functions: &[Op]) -> Vec<Point> {
    let mut numbers: HashMap<(u32, Op), u32> = HashMap::new();
    let mut points = Vec::new();
    for call in calls {
        let number = numbers.entry((call.process, call.op)).or_default();
        *number += 1;
        if functions.contains(&call.op) {
            points.push(Point { op: call.op, process: call.process, number: *number });
        }
    }
    points
}
