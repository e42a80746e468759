//! Native against traced. What differs is run again, alone, before it is called a difference.

use crate::suite::{Ran, Suite, Way};
use crate::tally::tally;
use std::collections::BTreeSet;
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How often a test that differs is run again, both ways.
const AGAIN: usize = 5;

/// What is the matter with a test that differed.
enum Verdict {
    /// It was the same each time it ran again: the machine was busy the first time.
    SameAgain,
    /// It is not the same twice without us.
    DiffersNatively,
    /// It is our doing.
    Different,
}

/// Runs each suite without us and in each of the ways, a few at a time, and asserts that every test
/// has the same outcome.
pub fn all(suites: &[Suite], ways: &[Way], lanes: usize) {
    if suites.is_empty() {
        return;
    }
    let every_way = || [Way::Native].iter().chain(ways);
    let runs: Vec<(&Suite, Way)> = suites.iter().flat_map(|suite| every_way().map(move |way| (suite, *way))).collect();
    let ran = in_lanes(&runs, lanes, |(suite, way)| suite.run(*way, &[]));

    // The machine is quiet from here on.
    let (mut tests, mut identical, mut calls) = (0, 0, 0);
    let (mut natively, mut different) = (Vec::new(), Vec::new());
    for (suite, ran) in suites.iter().zip(ran.chunks(1 + ways.len())) {
        let (native, others) = ran.split_first().expect("the native run");
        let good = different.len();
        different.extend(native.wrong.iter().map(|wrong| format!("{}, native: {wrong}", suite.name)));
        for (way, traced) in ways.iter().zip(others) {
            let name = format!("{}, {way:?}", suite.name);
            different.extend(traced.wrong.iter().map(|wrong| format!("{name}: {wrong}")));
            let differing = differing(native, traced);
            let mut same = native.outcomes.len() + differing.iter().filter(|id| native.outcome(id) == NEVER).count();
            tests += same;
            for (test, verdict) in again(suite, *way, native, traced, &differing) {
                let list = match verdict {
                    Verdict::SameAgain => continue,
                    Verdict::DiffersNatively => &mut natively,
                    Verdict::Different => &mut different,
                };
                list.push(format!("{name}: {test}"));
                same -= 1;
            }
            identical += same;
            calls += traced.calls;
            println!("{name}: {same} tests identical, {} ran again, {} calls recorded", differing.len(), traced.calls);
        }
        // What went wrong is for whoever wants to know why.
        let places = ran.iter().map(|ran| ran.folder.display().to_string()).collect::<Vec<_>>();
        if different.len() > good {
            println!("{}: see {}", suite.name, places.join(", "));
        } else {
            places.iter().for_each(|place| _ = fs::remove_dir_all(place));
        }
    }
    natively.iter().for_each(|test| println!("differs natively: {test}"));
    tally(&format!(
        "suites={} tests={tests} identical={identical} differs_natively={} calls_in_suites={calls}",
        suites.len(),
        natively.len()
    ));
    assert!(different.is_empty(), "different under the shim:\n{}", different.join("\n"));
    assert!(identical > 0 && calls > 0, "nothing has run, or nothing is on record");
}

/// Does something for each item, a few at a time, and gives the results in the order of the items.
fn in_lanes<T: Sync, R: Send + Sync>(items: &[T], lanes: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::from_iter(items.iter().map(|_| None)));
    std::thread::scope(|scope| {
        for _ in 0..lanes {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(number) else { break };
                    let result = work(item);
                    results.lock().unwrap()[number] = Some(result);
                }
            });
        }
    });
    results.into_inner().unwrap().into_iter().flatten().collect()
}

/// The outcome of a test that a run does not know.
const NEVER: &str = "never began";

impl Ran {
    fn outcome(&self, test: &str) -> &str {
        self.outcomes.get(test).map_or(NEVER, String::as_str)
    }
}

/// The tests whose outcomes are not the same.
fn differing<'a>(native: &'a Ran, traced: &'a Ran) -> BTreeSet<&'a str> {
    let tests = native.outcomes.keys().chain(traced.outcomes.keys()).map(String::as_str);
    tests.filter(|test| native.outcome(test) != traced.outcome(test)).collect()
}

/// Runs what differed again, and says what it is.
fn again<'a>(
    suite: &Suite,
    way: Way,
    native: &Ran,
    traced: &Ran,
    differing: &BTreeSet<&'a str>,
) -> Vec<(&'a str, Verdict)> {
    if differing.is_empty() {
        return Vec::new();
    }
    if !native.wrong.is_empty() || !traced.wrong.is_empty() {
        // It crashed or hung, and what differs is all that was to come behind: no need to see it again.
        return differing.iter().map(|test| (*test, Verdict::Different)).collect();
    }
    // The second of two tests with one id comes with the first. Other names with a blank are those of
    // set-ups, which come only with everything.
    let some: BTreeSet<&str> = differing.iter().map(|id| id.split_once(" #").map_or(*id, |(id, _)| id)).collect();
    let some: Vec<&str> = if some.iter().any(|id| id.contains(' ')) { vec![] } else { some.into_iter().collect() };
    let rounds: Vec<[Ran; 2]> = (0..AGAIN).map(|_| [Way::Native, way].map(|way| suite.run(way, &some))).collect();
    let verdict = |test: &&'a str| {
        let natively: Vec<&str> = rounds.iter().map(|[native, _]| native.outcome(test)).collect();
        let with_us: Vec<&str> = rounds.iter().map(|[_, traced]| traced.outcome(test)).collect();
        let (first, then) = (native.outcome(test), traced.outcome(test));
        println!("{}, {way:?}: {test}: natively {first:?}, with us {then:?}", suite.name);
        println!("    again, natively {natively:?}, with us {with_us:?}");
        let verdict = if natively.iter().any(|outcome| *outcome != first) {
            Verdict::DiffersNatively
        } else if with_us.iter().all(|outcome| *outcome == first) {
            Verdict::SameAgain
        } else {
            Verdict::Different
        };
        (*test, verdict)
    };
    let verdicts = differing.iter().map(verdict).collect();
    rounds.iter().flatten().for_each(|ran| _ = fs::remove_dir_all(&ran.folder));
    verdicts
}
