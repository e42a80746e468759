//! Reading traces for people: the model of all of it, and what there is to say about the files themselves.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Result, anyhow};
use sockshim_reader::model::{ConnId, Connection};
use sockshim_reader::order::{Events, Next};
use sockshim_reader::stitch::{Offset, Shift, offset};
use sockshim_reader::{Error, Event, Model, Tail, Trace};

use crate::palette;
use crate::views::{count, safe};
use crate::watch;

mod end;

/// Runs that can be told apart in one model.
const MOST_RUNS: usize = 32;
/// Connections that are kept to be told of together. Of a trace with more they are told as they finish.
pub const MOST_KEPT: usize = 1 << 14;

/// The files of one run.
#[derive(Clone, Debug)]
pub struct Run {
    /// In whatever order.
    pub files: Vec<PathBuf>,
    /// What puts it in the terms of the first run.
    pub shift: Shift,
    /// By how much its clock is ahead of the first run's; `None` of the first, and where no pipe tells.
    pub clock: Option<Offset>,
}

impl Run {
    /// Takes all files for those of one run.
    pub fn only(files: &[PathBuf]) -> Vec<Run> {
        vec![Run { files: files.to_vec(), shift: Shift::default(), clock: None }]
    }

    /// Tells runs apart, and finds out how far their clocks are from the first one's.
    pub fn apart(files: &[PathBuf]) -> Result<Vec<Run>> {
        if let [_] = files {
            return Ok(Run::only(files));
        }
        let mut runs: Vec<([u64; 2], Vec<PathBuf>)> = Vec::new();
        for file in files {
            let id = Trace::open(file)?.id();
            match runs.iter_mut().find(|(known, _)| *known == id) {
                Some((_, files)) => files.push(file.clone()),
                None => runs.push((id, vec![file.clone()])),
            }
        }
        if runs.len() > MOST_RUNS {
            return Err(anyhow!(
                "these are files of {} runs: no more than {MOST_RUNS} can be told together",
                runs.len()
            ));
        }
        let runs = runs.into_iter().map(|(_, files)| files);
        let mut runs: Vec<Run> = runs.flat_map(|files| Run::only(&files)).collect();
        if runs.len() > 1 {
            set_clocks(&mut runs)?;
        }
        Ok(runs)
    }

    fn trace(&self) -> Result<Trace> {
        Ok(Trace::open_all(&self.files)?)
    }

    /// What the run is called: its last file.
    pub fn name(&self) -> String {
        let name = self.files.last().and_then(|file| file.file_name());
        name.map_or(String::new(), |name| safe(name.as_encoded_bytes()))
    }
}

/// From run to run, beginning with the first: two that never spoke may both have spoken with a third.
fn set_clocks(runs: &mut [Run]) -> Result<()> {
    let mut models = Vec::new();
    for (at, run) in runs.iter_mut().enumerate() {
        run.shift.run = u32::try_from(at).unwrap_or(0);
        let alone = Run { shift: Shift::default(), ..run.clone() };
        models.push(Opened::open(&[alone], false)?.read_all()?.model);
    }
    let mut set = vec![0];
    let mut next = 0;
    while let Some(&from) = set.get(next) {
        next += 1;
        for to in 0..runs.len() {
            let known = |at: usize| models.get(at).zip(runs.get(at));
            let Some(((ours, base), (theirs, _))) = known(from).zip(known(to)) else { continue };
            let Some(found) = offset(ours, theirs).filter(|_| !set.contains(&to)) else { continue };
            let clock = Offset {
                ns: found.ns.saturating_add(base.shift.ahead_ns),
                within_ns: match base.clock {
                    None => found.within_ns,
                    Some(base) => found.within_ns.zip(base.within_ns).map(|(a, b)| a.saturating_add(b)),
                },
                ..found
            };
            if let Some(run) = runs.get_mut(to) {
                (run.shift.ahead_ns, run.clock) = (clock.ns, Some(clock));
            }
            set.push(to);
        }
    }
    Ok(())
}

/// Who is told of each event.
pub type Each<'a> = dyn FnMut(&Model, &Event) -> io::Result<()> + 'a;

/// Traces that are open, and have not been read.
pub struct Opened(Vec<(Run, Events)>);

impl Opened {
    /// Opens runs. Payload is read if somebody wants to show it.
    pub fn open(runs: &[Run], payload: bool) -> Result<Opened> {
        let open = |run: &Run| {
            let trace = run.trace()?;
            Ok((run.clone(), if payload { Events::new(trace) } else { Events::without_payload(trace) }))
        };
        runs.iter().map(open).collect::<Result<_>>().map(Opened)
    }

    /// When the recording began; unknown of a region that lies there alone.
    pub fn begin_ns(&self) -> Option<u64> {
        let known = self.0.iter().filter_map(|(run, events)| {
            let trace = events.trace();
            let begin_ns = (!matches!(trace.tail(), Tail::Region { .. })).then_some(trace.clock().first().real_ns)?;
            Some(begin_ns.saturating_add_signed(run.shift.ahead_ns.saturating_neg()))
        });
        known.min()
    }

    /// Says on stderr what a trace begins with, if that is not the beginning of the run.
    pub fn tell(&self) -> io::Result<()> {
        for trace in self.0.iter().map(|(_, events)| events.trace()).filter(|trace| trace.calls_before() > 0) {
            let before = count(trace.calls_before(), "earlier call");
            note(match trace.keeps_newest() {
                true => format!("the newest of the run: {before} were overwritten (run --keep)"),
                false => format!("file {} of the run: {before} are in the files before it", trace.part()),
            })?;
        }
        Ok(())
    }

    /// Reads all of it, and hands each event on when the model has taken it in. All connections are kept.
    pub fn read(self, mut each: impl FnMut(&Model, &Event) -> io::Result<()>) -> Result<Reading> {
        self.read_into(Model::new(), &mut |_| Ok(()), Some(&mut each))
    }

    /// The same, for the model alone.
    pub fn read_all(self) -> Result<Reading> {
        self.read_into(Model::new(), &mut |_| Ok(()), None)
    }

    /// Reads all of it, and keeps the connections if they are not too many: see [`Reading::is_long`].
    pub fn read_in_bounds(self, each: Option<&mut Each<'_>>) -> Result<Reading> {
        let mut long = false;
        let mut bound = |model: &mut Model| {
            long |= model.finished().len() > MOST_KEPT;
            if long {
                model.forget(|_| false);
            }
            Ok(())
        };
        let mut reading = self.read_into(Model::new(), &mut bound, each)?;
        reading.long = long;
        Ok(reading)
    }

    /// `tidy` comes whenever connections may have finished, `each` behind it. Who wants no events has the model take in
    /// many calls at a time.
    fn read_into(
        self,
        mut model: Model,
        tidy: &mut dyn FnMut(&mut Model) -> io::Result<()>,
        each: Option<&mut Each<'_>>,
    ) -> Result<Reading> {
        let begin_ns = self.begin_ns();
        let Opened(mut runs) = self;
        let (mut calls, mut error) = (0, None);
        let is_call = |event: &Event| u64::from(matches!(event, Event::Call(_)));
        match (runs.as_mut_slice(), each) {
            ([(_, events)], None) => {
                while let Some(next) = events.next_all() {
                    match next {
                        Ok(Next::Event(event)) => {
                            model.feed(event);
                            calls += is_call(event);
                            tidy(&mut model)?;
                        }
                        Ok(Next::Calls(mut those)) => {
                            calls += those.left() as u64;
                            while those.left() > 0 {
                                model.feed_calls(&mut those);
                                tidy(&mut model)?;
                            }
                        }
                        Err(e) => error = Some(e),
                    }
                }
            }
            (runs, mut each) => {
                let mut take = |event: &Event| {
                    model.feed(event);
                    calls += is_call(event);
                    tidy(&mut model)?;
                    each.as_mut().map_or(Ok(()), |each| each(&model, event))
                };
                match runs {
                    [(_, events)] => {
                        while let Some(event) = events.next_ref() {
                            match event {
                                Ok(event) => take(event)?,
                                Err(e) => error = Some(e),
                            }
                        }
                    }
                    runs => merge(runs, &mut error, &mut |event| take(&event))?,
                }
            }
        }
        let over = runs.iter().all(|(_, events)| matches!(events.trace().tail(), Tail::Ended(_)));
        model.finish(over);
        let (mut missing, mut lost_calls, mut left_out, mut earlier_calls) = (0u64, 0u64, 0u64, 0u64);
        for (run, events) in &runs {
            let trace = events.trace();
            let (lost, lost_extensions) = trace.lost().unwrap_or_default();
            lost_calls = lost_calls.saturating_add(lost);
            left_out = left_out.saturating_add(trace.left_out());
            earlier_calls = earlier_calls.saturating_add(trace.calls_before());
            missing = missing.saturating_add(lost).saturating_add(lost_extensions).saturating_add(trace.calls_before());
            // Notes name processes by the numbers of their own run.
            let notes = trace.notes().map(|(key, value)| match (key, value.parse()) {
                ("io_uring", Ok(number)) => (key, run.shift.number(number).to_string()),
                _ => (key, value.to_owned()),
            });
            let notes: Vec<(&str, String)> = notes.collect();
            watch::tell(&mut model, notes.iter().map(|(key, value)| (*key, value.as_str())));
        }
        model.lost_in_all(missing);
        model.left_out_in_all(left_out);
        let zero_ns = begin_ns.or(model.span().map(|span| span.start_ns)).unwrap_or(0);
        Ok(Reading { model, calls, lost_calls, earlier_calls, zero_ns, runs, error, long: false })
    }
}

/// Hands on the events of several runs, by time.
fn merge(
    runs: &mut [(Run, Events)],
    error: &mut Option<Error>,
    take: &mut dyn FnMut(Event) -> io::Result<()>,
) -> io::Result<()> {
    let mut next = |(run, events): &mut (Run, Events)| loop {
        match events.next()? {
            Ok(mut event) => {
                run.shift.apply(&mut event);
                return Some(event);
            }
            Err(e) => *error = Some(e),
        }
    };
    let mut heads: Vec<Option<Event>> = runs.iter_mut().map(&mut next).collect();
    loop {
        let waiting = heads.iter().enumerate().filter_map(|(at, head)| Some((head.as_ref()?.time_ns(), at)));
        // What has no time of its own belongs to what was before it.
        let Some((_, first)) = waiting.min() else { return Ok(()) };
        let Some((head, run)) = heads.get_mut(first).zip(runs.get_mut(first)) else { return Ok(()) };
        if let Some(event) = std::mem::replace(head, next(run)) {
            take(event)?;
        }
    }
}

/// What traces tell.
pub struct Reading {
    /// Connections and processes; all that can be known afterwards is in it.
    pub model: Model,
    /// How many calls there are.
    pub calls: u64,
    /// Calls that were lost while they were recorded.
    pub lost_calls: u64,
    /// Calls that were overwritten, or are in files that were not given.
    pub earlier_calls: u64,
    /// The zero of times.
    pub zero_ns: u64,
    /// The runs, whose events have been given.
    runs: Vec<(Run, Events)>,
    /// Where one could not be read further.
    error: Option<Error>,
    long: bool,
}

impl Reading {
    /// Whether the connections were too many to be kept. The model has but the last of them.
    pub fn is_long(&self) -> bool {
        self.long
    }

    /// Hands over each connection, with the model as it was when it had finished. Of a long trace they come in the order
    /// in which they finished, and the files are read again for them.
    pub fn each(&self, mut each: impl FnMut(&Model, &Connection) -> io::Result<()>) -> Result<()> {
        if !self.long {
            return Ok(self.model.connections().try_for_each(|conn| each(&self.model, conn))?);
        }
        let mut all = |model: &mut Model| {
            for id in model.finished() {
                model.connection(*id).map_or(Ok(()), |conn| each(model, conn))?;
            }
            model.forget(|_| false);
            Ok(())
        };
        let rest = self.opened()?.read_into(self.model.again(), &mut all, None)?;
        Ok(rest.model.connections().try_for_each(|conn| each(&rest.model, conn))?)
    }

    /// Reads the files again for these connections of a long trace, and their other ends. Those that had not finished
    /// are in the model too.
    pub fn only(&self, ids: &BTreeSet<ConnId>) -> Result<Reading> {
        let mut tidy = |model: &mut Model| {
            let asked = |id: &ConnId| {
                let other = model.connection(*id).and_then(|conn| conn.other_end);
                ids.contains(id) || other.is_some_and(|other| ids.contains(&other))
            };
            let asked: BTreeSet<ConnId> = model.finished().iter().copied().filter(asked).collect();
            model.forget(|id| asked.contains(&id));
            Ok(())
        };
        self.opened()?.read_into(self.model.again(), &mut tidy, None)
    }

    fn opened(&self) -> Result<Opened> {
        let runs: Vec<Run> = self.runs().cloned().collect();
        Opened::open(&runs, false)
    }

    /// The runs.
    pub fn runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().map(|(run, _)| run)
    }

    /// What the first run executed.
    pub fn command(&self) -> Option<String> {
        let (_, events) = self.runs.first()?;
        events.trace().meta("command").map(|command| safe(command.as_bytes()))
    }

    /// What the files lack of the run, in words.
    pub fn lacking(&self) -> Vec<String> {
        let several = self.runs.len() > 1;
        let of_one = |(run, events): &(Run, Events)| {
            let name = if several { format!("{}: ", run.name()) } else { String::new() };
            let mut words = events.trace().lacking();
            words.extend(events.trace().goes_on().then(|| "the run goes on, and was not ended".to_owned()));
            words.into_iter().map(move |words| format!("{name}{words}")).collect::<Vec<String>>()
        };
        self.runs.iter().flat_map(of_one).collect()
    }

    /// Says on stderr what the files lack: calls that were lost, damage, an end.
    pub fn tell(self) -> Result<()> {
        for (run, events) in &self.runs {
            let file = run.files.last().map_or(String::new(), |file| file.display().to_string());
            end::tell(events.trace(), &file)?;
        }
        self.error.map_or(Ok(()), |error| Err(error.into()))
    }
}

/// A line on stderr that people should notice.
pub fn warn(text: String) -> io::Result<()> {
    let style = palette::WARNING;
    writeln!(anstream::stderr(), "{style}sockshim:{style:#} {text}")
}

/// A line on stderr for completeness.
pub fn note(text: String) -> io::Result<()> {
    let style = palette::FAINT;
    writeln!(anstream::stderr(), "{style}sockshim: {text}{style:#}")
}
