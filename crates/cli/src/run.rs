//! `sockshim run` and `sockshim demo`: sets the shim up, starts the program, and drains the live
//! region until the program and those that it left behind are gone.

use std::collections::HashSet;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use sockshim_format::region::{CHUNK_BYTES, KEPT, SLOT_BYTES};
use sockshim_reader::{Batch, Event, Flow, Model, Region, RegionOptions, TraceWriter};

use crate::Embedded;
use crate::door::Door;
use crate::entry::Exit;
use crate::explain::teller;
use crate::export::About;
use crate::export::prometheus::serve::{Metrics, Place};
use crate::export::stream::Stream;
use crate::flags::{Recording, Run};
use crate::out::{self, Out};
use crate::reading::MOST_KEPT;
use crate::spawn::{self, Child, Variable};
use crate::tls_keys::{self, TlsKeys};
use crate::verify::Verifier;
use crate::views::Teller;
use crate::wait::{pidfd, wait_readable};
use crate::watch::Watch;
use crate::{inject, palette, room, shim, target};
use aside::Aside;
use beside::{Beside, Most, Who, processor_of};
use pace::Pace;

mod aside;
mod beside;
mod end;
mod file;
mod pace;

/// How often threads and processes that are gone are looked for.
const RECLAIM_EVERY: Duration = Duration::from_millis(200);

/// Records after which the chunks that they were in are given back: nearly a block of the trace.
const PART: u64 = 7_500;

/// Where records go.
struct Sink<'a> {
    writer: Option<&'a mut TraceWriter>,
    /// What went wrong first.
    error: &'a mut Option<io::Error>,
    flow: Option<&'a mut Flow>,
    /// Who has recorded most of it.
    most: Most,
}

impl Sink<'_> {
    fn take(&mut self, batch: &Batch<'_>) {
        self.most.add((batch.process, batch.pid, batch.tid), batch.slots.len() as u64);
        self.write(|writer| writer.batch(batch));
        if let Some(flow) = &mut self.flow {
            flow.feed(batch, false);
        }
    }

    fn write(&mut self, todo: impl FnOnce(&mut TraceWriter) -> io::Result<()>) {
        if let Some(writer) = &mut self.writer
            && let Err(error) = todo(writer)
        {
            self.error.get_or_insert(error);
        }
    }
}

/// Runs the program and tells its story; ends as it ends.
pub fn run(flags: &Run, embedded: &Embedded) -> Result<Exit> {
    let target = target::inspect(&flags.command[0])?;
    for warning in &target.warnings {
        say(palette::WARNING, warning);
    }
    let mut shim = shim::locate(embedded.shim)?;
    if flags.recording.tls_keys {
        shim = tls_keys::preloaded(&shim, &shim::locate_keylog(embedded.keylog)?);
    }
    let plan = inject::plan(&flags.faults.rules, &flags.faults.plans)?;
    let verifier = flags.verify.then(Verifier::begin).transpose()?;
    let metrics = flags.recording.metrics.map(Place::open).transpose()?;
    let (mut session, mut variables) = Session::begin(flags, verifier, metrics, plan.as_deref())?;
    variables.extend(plan.map(|plan| (inject::VARIABLE.into(), plan.into())));
    let child = match spawn::spawn(&target, &flags.command, &shim, &variables, session.verifier.as_ref()) {
        Ok(child) => child,
        Err(refusal) => {
            session.discard();
            return Err(refusal.into());
        }
    };
    let status = session.follow(child)?;
    let agrees = session.end(status)?;
    if status.success() && !agrees {
        return Ok(Exit::FAILURE);
    }
    spawn::exit_like(status)
}

/// One line of the tool's own on stderr.
fn say(style: anstyle::Style, text: &str) {
    // Without stderr there is nobody to tell.
    let _ = writeln!(anstream::stderr(), "{style}sockshim:{style:#} {text}");
}

/// A run: the region that the program records into, and where it goes from there.
struct Session {
    region: Region,
    region_path: PathBuf,
    /// None when it could not be opened: then a program of another user is not followed.
    door: Option<Door>,
    trace: Option<(TraceWriter, PathBuf)>,
    keys: Option<TlsKeys>,
    /// What went wrong with the trace first; the program runs on, and is told afterwards.
    trace_error: Option<io::Error>,
    flow: Flow,
    model: Model,
    /// There are more connections than the model is asked to keep.
    many: bool,
    live: Option<Box<dyn Teller>>,
    out: Out,
    stream: Option<Stream>,
    metrics: Option<Metrics>,
    verifier: Option<Verifier>,
    /// Calls that are done, whether printed or not.
    calls: u64,
    watch: Watch,
}

impl Session {
    /// Makes the region and the trace, and the environment that leads the shim to them.
    fn begin(
        flags: &Run,
        verifier: Option<Verifier>,
        metrics: Option<Place>,
        plan: Option<&str>,
    ) -> Result<(Box<Session>, Vec<Variable>)> {
        let Recording { output, quiet, snaplen_bytes, region_bytes, edges, follow, .. } = flags.recording.clone();
        let limit = flags.recording.limit();
        let options = RegionOptions {
            bytes: region_bytes,
            snaplen_bytes: snaplen_bytes.into(),
            edges,
            ..RegionOptions::default()
        };
        let (region, region_path) = room::make_region(&options)?;
        let region_text = region_path.to_string_lossy().into_owned();
        let command = flags.command.iter().map(|a| a.to_string_lossy()).collect::<Vec<_>>().join(" ");
        let host = nix::sys::utsname::uname().map(|u| u.nodename().to_string_lossy().into_owned()).unwrap_or_default();
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let boot_id = boot_id.trim();
        let snaplen = snaplen_bytes.to_string();
        let mut meta = vec![
            ("command", command.as_str()),
            ("tool_version", env!("CARGO_PKG_VERSION")),
            ("host", host.as_str()),
            ("boot_id", boot_id),
            ("region", region_text.as_str()),
            ("snaplen", snaplen.as_str()),
        ];
        meta.extend(plan.map(|plan| ("inject", plan)));
        let clock = region.clock().clone();
        let start_ns = clock.first().real_ns;
        let about = About { command: &command, host: &host, boot_id, id: region.header().id, part: 1, start_ns };
        let stream = flags.recording.jsonl.as_ref().map(|target| Stream::open(target, &about)).transpose();
        let keys = || flags.recording.tls_keys.then(|| TlsKeys::begin(&region_path)).transpose();
        let metrics = || metrics.map(|place| place.serve(&about)).transpose().context("cannot serve metrics");
        // The trace last: what was in its file stays if anything else cannot be had.
        let trace = || output.map(|path| file::create(path, &meta, region.header(), limit)).transpose();
        let opened = stream.and_then(|stream| Ok((stream, metrics()?, keys()?, trace()?)));
        let (stream, metrics, keys, trace) = opened.inspect_err(|_| room::remove(&region_path))?;
        let mut variables: Vec<Variable> = vec![("SOCKSHIM_REGION".into(), region_path.clone().into())];
        if !follow {
            variables.push(("SOCKSHIM_FOLLOW".into(), "off".into()));
        }
        if let Some(path) = trace.as_ref().and_then(|(_, path)| std::path::absolute(path).ok()) {
            variables.push((KEPT.into(), path.into()));
        }
        if let (Some(keys), Some((_, path))) = (&keys, &trace) {
            variables.extend_from_slice(keys.variables());
            let text = "TLS keys are collected: whoever can read";
            say(palette::WARNING, &format!("{text} {} can read what was encrypted", path.display()));
        }
        let session = Box::new(Session {
            keys,
            flow: Flow::new(clock),
            region,
            trace,
            trace_error: None,
            model: Model::new(),
            many: false,
            // Who asks for sentences wants to read them.
            live: (!quiet || flags.telling.explain).then(|| teller(flags.telling, start_ns)),
            out: out::stderr(),
            stream,
            metrics,
            verifier,
            calls: 0,
            watch: Watch::new(Instant::now()),
            door: Door::open(&region_path).ok(),
            region_path,
        });
        Ok((session, variables))
    }

    /// Nothing ran: leaves nothing behind.
    fn discard(self) {
        room::remove(&self.region_path);
        if let Some((writer, _)) = self.trace {
            writer.discard();
        }
    }

    /// Drains until the program has ended, and then until what it left running has.
    fn follow(&mut self, mut child: Child) -> Result<ExitStatus> {
        let (mut aside, mut beside) = (Aside::new(self.room_bytes()), Beside::new());
        let exited = pidfd(child.id());
        let program = child.id() as i32;
        let mut reclaimed = Instant::now();
        let mut pace = Pace::new(reclaimed, self.longest_pause(), self.room_bytes() / SLOT_BYTES as u64);
        let (mut status, mut ended, mut asked_for) = (None, true, true);
        loop {
            if status.is_none() && ended {
                status = child.wait_nonblocking().context("cannot wait for the program")?;
            }
            if status.is_some() {
                aside.end();
                beside.end();
            }
            if asked_for {
                self.let_in(program);
            }
            let begun = Instant::now();
            let asked = self.region.asked();
            let (records, most) = self.pass(reclaimed.elapsed() >= RECLAIM_EVERY || status.is_some())?;
            if self.trace.is_some() && self.trace_error.is_none() {
                self.region.answer(asked);
            }
            if reclaimed.elapsed() >= RECLAIM_EVERY {
                // What it then says of itself is told at the end.
                let _ = self.verifier.as_ref().is_some_and(Verifier::tells_too_much);
                reclaimed = Instant::now();
            }
            let now = Instant::now();
            if self.watch.is_due(now) {
                self.watch.look(&self.region.alive(), now);
            }
            if let Some(status) = status
                && (spawn::signal_after_exit().is_some() || self.region.alive().is_empty())
            {
                return Ok(status);
            }
            let is_beside = beside.looked(begun, aside.is(), || self.processor_of(most.who()?));
            aside.looked(begun, records, self.may_be_late(), is_beside);
            let end = exited.as_ref().filter(|_| status.is_none()).map(OwnedFd::as_fd);
            let pause = pace.pause(begun, records).unwrap_or_default();
            [ended, asked_for] = wait_readable([end, self.door.as_ref().map(Door::as_fd)], pause);
            // Where the kernel has no descriptor for the end of a process, it has to be asked each time.
            ended |= exited.is_none();
        }
    }

    /// Where a thread runs, if that can be asked from here.
    fn processor_of(&mut self, (process, pid, tid): Who) -> Option<usize> {
        // Those of another pid namespace are not among them.
        self.region.alive().contains(&(process, pid)).then(|| processor_of(pid, tid)).flatten()
    }

    /// Hands the region out to processes of this run that may not open it.
    fn let_in(&mut self, program: i32) {
        while let Some(asker) = self.door.as_ref().and_then(Door::asker) {
            let mut ours: HashSet<i32> = self.region.alive().into_iter().map(|(_, pid)| pid as i32).collect();
            ours.insert(program);
            // Whom it fails is no process of ours, or has gone away.
            let _ = asker.answer(self.region.file(), &ours);
        }
    }

    /// How late somebody may be told of a call, or the trace, where nobody is and the region has room meanwhile.
    fn longest_pause(&self) -> Duration {
        if self.is_told() || self.room_bytes() < 16 << 20 { pace::LIVE } else { pace::UNSEEN }
    }

    /// Whether nobody waits for what is recorded: neither who is told, nor a test that asks for it in process.
    fn may_be_late(&self) -> bool {
        self.longest_pause() == pace::UNSEEN && self.region.asked() == 0
    }

    /// Bytes of the region that records can be in.
    fn room_bytes(&self) -> u64 {
        u64::from(self.region.header().chunk_count) * CHUNK_BYTES as u64
    }

    /// Whether anybody but the trace is told of calls as they happen.
    fn is_told(&self) -> bool {
        self.live.is_some() || self.stream.is_some() || self.metrics.is_some() || self.verifier.is_some()
    }

    /// One look at the region: what is new goes into the trace, the model and the live view.
    fn pass(&mut self, reclaim: bool) -> Result<(u64, Most)> {
        let told = self.is_told();
        let Session { region, trace, trace_error, flow, metrics, keys, .. } = self;
        if let (Some(keys), Some((writer, _))) = (keys, &mut *trace)
            && let Err(error) = keys.keep(reclaim, writer)
        {
            trace_error.get_or_insert(error);
        }
        let writer = trace.as_mut().map(|(writer, _)| writer);
        // Where nobody looks the records go into the trace as they are, which is much faster.
        let mut sink = Sink { writer, error: trace_error, flow: told.then_some(&mut *flow), most: Most::default() };
        let mut pass = region.begin();
        while region.part(&mut pass, PART, &mut |batch| sink.take(&batch)) {
            sink.write(TraceWriter::flush);
            region.give_back();
        }
        let mut drained = region.end(pass);
        if reclaim {
            drained.records += region.reclaim(&mut |batch| sink.take(&batch)).records;
        }
        let most = sink.most;
        let complete_ns = region.clock().real_ns(drained.complete_ticks);
        flow.set_clock(region.clock());
        flow.end_pass(Some(complete_ns), false);
        if let Some((writer, _)) = trace
            && let Err(error) = writer.end_pass(drained.complete_ticks)
        {
            trace_error.get_or_insert(error);
        }
        region.give_back();
        if reclaim && let Some((writer, _)) = trace {
            writer.alive(&region.alive());
        }
        if let Some(metrics) = metrics {
            metrics.lost(region.lost().0);
        }
        self.tell();
        if let Some(live) = &mut self.live {
            // As above: a terminal that is gone ends nothing.
            let _ = live.complete(&mut self.out, complete_ns).and_then(|()| self.out.flush());
        }
        Ok((drained.records, most))
    }

    /// Feeds the model with what is in order by now, and prints it.
    fn tell(&mut self) {
        let Session { flow, model, live, out, stream, metrics, verifier, many, calls, .. } = self;
        if !flow.has_next() {
            return;
        }
        let mut counted = Vec::new();
        while let Some(event) = flow.next_ref() {
            if let Some(verifier) = verifier {
                verifier.event(event);
            }
            model.feed(event);
            *calls += u64::from(matches!(event, Event::Call(_)));
            if let Some(stream) = stream {
                stream.event(event, model);
            }
            // A terminal that is gone does not end the program, nor its trace.
            if live.as_mut().is_some_and(|live| live.event(out, model, event).is_err()) {
                *live = None;
            }
            if metrics.is_some() {
                counted.push(event.clone());
            }
            // The list at the end has room for so many.
            *many |= model.finished().len() > MOST_KEPT;
            if *many || live.is_none() {
                model.forget(|_| false);
            }
        }
        if out.flush().is_err() {
            *live = None;
        }
        if let Some(stream) = stream {
            stream.flush();
        }
        if let Some(metrics) = metrics {
            metrics.events(counted);
        }
    }
}
