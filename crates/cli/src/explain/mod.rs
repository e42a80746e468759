//! `--explain`: the story in plain sentences, for people who are learning.
//!
//! - [`fact`]: what there is to say, with its values and without words
//! - `calls`: the values of facts in a call; `tale`: what has been told of a connection, what waits to be summed up
//! - [`en`], [`zh`]: a function each that says a fact; [`lang`]: which of them
//! - [`page`]: lines of the terminal's width
//!
//! What is general, such as what a descriptor is, is said once: when it is first met.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use sockshim_format::op::{Op, Phase};
use sockshim_reader::model::{ConnId, Connect, Connection, Ending, Role};
use sockshim_reader::{CallInfo, Event, Model};

use crate::flags::Telling;
use crate::views::{Teller, live};
use crate::{out, palette};

mod calls;
pub mod en;
pub mod fact;
pub mod lang;
pub mod page;
mod tale;
pub mod zh;

use fact::{End, Fact, Lesson, Stage};
use lang::Lang;
use page::Page;
use tale::Tale;

/// Connects in the background that are followed at the same time: each call is compared with all of them.
const MAX_PENDING: usize = 1024;

/// Sockets that are told of one by one: of hundreds nobody wants to read the same story.
const MAX_TALES: usize = 24;

/// Narrates events as they come.
pub struct Explainer {
    lang: Lang,
    page: Page,
    /// The zero of the times that are printed.
    zero_ns: Option<u64>,
    /// The connections that are told of, with their roles; all of them, if it is not known beforehand.
    only: Option<BTreeMap<ConnId, Role>>,
    /// When the resolutions began that led to them.
    resolutions: Option<HashSet<u64>>,
    tales: BTreeMap<ConnId, Tale>,
    /// Sockets that are only counted, as there are too many.
    untold: HashSet<ConnId>,
    /// Faults that were told: of more like them it is known by then.
    injected: HashSet<(Op, u32, u32)>,
    /// Connects that went on in the background.
    pending: Vec<ConnId>,
    /// What waits for its turn, by time and by number.
    waiting: BTreeMap<(u64, u64), Waiting>,
    told: u64,
    /// When something was said last.
    last_ns: u64,
    /// Processes that have spoken.
    programs: HashSet<u32>,
    lessons: HashSet<Lesson>,
}

/// Who says something, and when.
#[derive(Clone, Copy)]
struct Speaker {
    /// The connection, what its end is called, and whether it is TCP.
    connection: Option<(ConnId, End, bool)>,
    process: u32,
    pid: u32,
    time_ns: u64,
}

impl Speaker {
    fn program(call: &CallInfo, time_ns: u64) -> Speaker {
        Speaker { connection: None, process: call.process, pid: call.pid, time_ns }
    }
}

/// A fact that waits for its turn: what a call did is told at the time when it was done, and calls come in the
/// order in which they began.
struct Waiting {
    speaker: Speaker,
    program: String,
    fact: Fact,
}

/// Tells the calls, or explains them, for `run`.
pub fn teller(flags: Telling, start_ns: u64) -> Box<dyn Teller> {
    let Telling { explain, lang } = flags;
    match explain {
        true => Box::new(Explainer::new(lang.unwrap_or_else(Lang::of_locale), Page::of_stderr(), Some(start_ns))),
        false => Box::new(live::Live::new(Some(start_ns), out::colors(&io::stderr()))),
    }
}

impl Teller for Explainer {
    fn event(&mut self, out: &mut dyn Write, model: &Model, event: &Event) -> io::Result<()> {
        // All that comes from now on is later.
        if let Some(time_ns) = event.time_ns() {
            self.say_until(out, time_ns)?;
        }
        match event {
            Event::Entered(call) => self.entered(model, call),
            Event::Call(call) => self.call(model, call),
            Event::Lost { process, count, .. } => {
                let time_ns = self.last_ns;
                let speaker = Speaker { connection: None, process: *process, pid: 0, time_ns };
                self.tell(model, speaker, [Fact::Lost { count: (*count).into() }]);
            }
            Event::Process(_) | Event::Mark(_) | Event::Left(_) | Event::Earlier(_) => {}
        }
        self.connects_that_ended(model, event);
        Ok(())
    }

    fn complete(&mut self, out: &mut dyn Write, time_ns: u64) -> io::Result<()> {
        self.say_until(out, time_ns)
    }

    fn end(&mut self, out: &mut dyn Write, model: &Model, _calls: u64) -> io::Result<()> {
        let (mut sent, mut received) = (0u64, 0u64);
        let last_ns = model.span().map_or(0, |span| span.end_ns);
        for id in self.tales.keys().chain(&self.untold).copied().collect::<Vec<_>>() {
            let Some(connection) = model.connection(id) else { continue };
            sent = sent.saturating_add(connection.sent.bytes);
            received = received.saturating_add(connection.received.bytes);
            let leaked_ns = match connection.ending {
                Ending::Leaked(time_ns) => Some(time_ns),
                Ending::Open | Ending::Closed(_) => None,
            };
            let Some(holder) = connection.holders.first() else { continue };
            let Some(tale) = self.tales.get_mut(&id) else { continue };
            let mut facts = tale.folded();
            if leaked_ns.is_some() && !tale.closed {
                let other_is_gone = calls::other_is_gone(model, connection);
                facts.push(Fact::LeftOpen { fd: holder.fd, other_is_gone, other: calls::other(connection) });
            }
            let (process, pid, time_ns) = (holder.process, holder.pid, leaked_ns.unwrap_or(last_ns));
            let speaker = Speaker { connection: self.named(connection), process, pid, time_ns };
            self.tell(model, speaker, facts);
        }
        self.say_until(out, u64::MAX)?;
        let sockets = (self.tales.len() + self.untold.len()) as u64;
        if sockets > 0 {
            writeln!(out)?;
            let text = self.lang.say(&Fact::Over { sockets, sent, received });
            self.page.say(out, "", ("", Style::new()), palette::STRONG, &text)?;
        }
        Ok(())
    }
}

impl Explainer {
    /// Tells times since `zero_ns`, or since the first event.
    pub fn new(lang: Lang, page: Page, zero_ns: Option<u64>) -> Explainer {
        Explainer {
            lang,
            page,
            zero_ns,
            only: None,
            resolutions: None,
            tales: BTreeMap::new(),
            untold: HashSet::new(),
            injected: HashSet::new(),
            pending: Vec::new(),
            waiting: BTreeMap::new(),
            told: 0,
            last_ns: 0,
            programs: HashSet::new(),
            lessons: HashSet::new(),
        }
    }

    /// Tells of these connections only, whose roles are known from the beginning.
    pub fn only<'a>(mut self, connections: impl Iterator<Item = &'a Connection>) -> Explainer {
        let (mut only, mut begun) = (BTreeMap::new(), HashSet::new());
        for connection in connections {
            only.insert(connection.id, connection.role);
            begun.extend(connection.phases.resolve.map(|span| span.start_ns));
        }
        (self.only, self.resolutions) = (Some(only), Some(begun));
        self
    }

    /// A call has begun and takes some time: in which state it leaves the program.
    fn entered(&mut self, model: &Model, call: &CallInfo) {
        let Some(connection) = model.of_call(call) else { return };
        self.tell_of(model, connection, call, call.start_ns, |tale| tale.entered(connection, call));
    }

    fn call(&mut self, model: &Model, call: &CallInfo) {
        let Some(op) = call.op().map(Op::base) else { return };
        let at_ns = calls::time_ns(op, call);
        let injections = call.injected().filter(|injected| self.injected.insert((op, injected.rule, injected.what)));
        let injections: Vec<Fact> = injections.map(|injected| Fact::Injected { op, injected }).collect();
        if self.is_asked_for(model.of_call(call)) {
            self.tell(model, Speaker::program(call, at_ns), injections);
        }
        if let Some(fact) = calls::resolution(op, call) {
            let asked_for = self.resolutions.as_ref().is_none_or(|begun| begun.contains(&call.start_ns));
            if asked_for {
                self.tell(model, Speaker::program(call, at_ns), [fact]);
            }
            return;
        }
        let subject = model.of_call(call);
        if subject.is_none()
            && let Some(fact) = calls::not_created(op, call).filter(|_| self.only.is_none())
        {
            self.tell(model, Speaker::program(call, at_ns), [fact]);
        }
        // What a call made or closed besides the socket that it is about.
        for (fd, socket) in calls::made(op, call) {
            let Some(made) = model.of_socket(socket) else { continue };
            self.tell_of(model, made, call, at_ns, |tale| tale.made(subject, made, op, fd, call));
        }
        for (fd, socket) in calls::closed(op, call) {
            let Some(closed) = model.of_socket(socket) else { continue };
            self.tell_of(model, closed, call, at_ns, |tale| tale.closed(model, closed, fd));
        }
        let Some(connection) = subject else { return };
        self.tell_of(model, connection, call, at_ns, |tale| tale.call(connection, op, call));
        let pends = connection.connect == Connect::Pending && self.pending.len() < MAX_PENDING;
        if pends && !self.pending.contains(&connection.id) {
            self.pending.push(connection.id);
        }
    }

    /// What a wait, or a question, has shown of connects that went on in the background.
    fn connects_that_ended(&mut self, model: &Model, event: &Event) {
        let Event::Call(call) = event else { return };
        let over = |id: &ConnId| model.connection(*id).is_none_or(|conn| conn.connect != Connect::Pending);
        let ended: Vec<ConnId> = self.pending.iter().copied().filter(over).collect();
        for id in ended {
            self.pending.retain(|other| *other != id);
            let Some(connection) = model.connection(id) else { continue };
            self.tell_of(model, connection, call, call.end_ns, |tale| tale.connect_over(connection));
        }
    }

    /// Tells what a call has added to the tale of a connection, if that is asked for.
    fn tell_of(
        &mut self,
        model: &Model,
        connection: &Connection,
        call: &CallInfo,
        time_ns: u64,
        facts: impl FnOnce(&mut Tale) -> Vec<Fact>,
    ) {
        if self.only.as_ref().is_some_and(|only| !only.contains_key(&connection.id)) {
            return;
        }
        if !self.tales.contains_key(&connection.id) && self.tales.len() >= MAX_TALES {
            if self.untold.is_empty() {
                let told = self.tales.len() as u64;
                self.tell(model, Speaker::program(call, time_ns), [Fact::Untold { told }]);
            }
            self.untold.insert(connection.id);
        } else {
            let facts = facts(self.tales.entry(connection.id).or_default());
            let connection = self.named(connection);
            self.tell(model, Speaker { connection, ..Speaker::program(call, time_ns) }, facts);
        }
    }

    /// Whether all is told, or this one is among those that are.
    fn is_asked_for(&self, connection: Option<&Connection>) -> bool {
        let among = |only: &BTreeMap<ConnId, Role>| connection.is_some_and(|conn| only.contains_key(&conn.id));
        self.only.as_ref().is_none_or(among)
    }

    fn named(&self, connection: &Connection) -> Option<(ConnId, End, bool)> {
        let known = self.only.as_ref().and_then(|only| only.get(&connection.id));
        Some((connection.id, calls::end(*known.unwrap_or(&connection.role)), calls::is_tcp(connection)))
    }

    /// Facts wait until nothing earlier can come.
    fn tell(&mut self, model: &Model, speaker: Speaker, facts: impl IntoIterator<Item = Fact>) {
        for fact in facts {
            self.told += 1;
            let program = match self.programs.contains(&speaker.process) {
                true => String::new(),
                false => live::name(model, speaker.process),
            };
            self.waiting.insert((speaker.time_ns, self.told), Waiting { speaker, program, fact });
        }
    }

    fn say_until(&mut self, out: &mut dyn Write, time_ns: u64) -> io::Result<()> {
        while let Some(first) = self.waiting.first_entry().filter(|first| first.key().0 <= time_ns) {
            let Waiting { speaker, program, fact } = first.remove();
            self.last_ns = speaker.time_ns;
            if self.programs.insert(speaker.process) {
                let name = Fact::Program { name: program, pid: speaker.pid };
                self.say(out, &Speaker { connection: None, ..speaker }, &name)?;
            }
            let stage = calls::stage(&fact);
            let tale = speaker.connection.and_then(|(id, ..)| self.tales.get_mut(&id));
            // A resolution comes before there is a connection.
            let begins = stage.filter(|stage| tale.is_none_or(|tale| tale.begins(*stage)));
            if let Some(stage) = begins {
                self.stage(out, &speaker, stage)?;
            }
            self.say(out, &speaker, &fact)?;
        }
        Ok(())
    }

    fn stage(&mut self, out: &mut dyn Write, speaker: &Speaker, stage: Stage) -> io::Result<()> {
        let color = match stage {
            Stage::Resolve => palette::phase(Phase::Resolve),
            Stage::Create => palette::phase(Phase::Create),
            Stage::Connect => palette::phase(Phase::Connect),
            Stage::Communicate => palette::STRONG,
            Stage::Disconnect => palette::phase(Phase::Disconnect),
        };
        let (voice, style) = self.voice(speaker);
        let text = self.lang.say(&Fact::Stage(stage));
        writeln!(out)?;
        self.page.say(out, "", (&voice, style), color.bold(), &text)?;
        self.teach(out, Lesson::Stage(stage))
    }

    /// Says a fact, and what is to be learned from it.
    fn say(&mut self, out: &mut dyn Write, speaker: &Speaker, fact: &Fact) -> io::Result<()> {
        let style = match fact {
            Fact::Failed { .. } | Fact::WasReset { .. } | Fact::Unresolved { .. } => palette::ERROR,
            Fact::LeftOpen { .. } | Fact::Lost { .. } | Fact::Injected { .. } => palette::WARNING,
            _ => Style::new(),
        };
        let (voice, color) = self.voice(speaker);
        let time = self.time(speaker.time_ns);
        self.page.say(out, &time, (&voice, color), style, &self.lang.say(fact))?;
        let tcp = speaker.connection.is_some_and(|(_, _, tcp)| tcp);
        calls::lesson(fact, tcp).map_or(Ok(()), |lesson| self.teach(out, lesson))
    }

    /// Says what is general, the first time.
    fn teach(&mut self, out: &mut dyn Write, lesson: Lesson) -> io::Result<()> {
        if !self.lessons.insert(lesson) {
            return Ok(());
        }
        self.page.say(out, "", ("", Style::new()), palette::FAINT, &self.lang.say(&Fact::Lesson(lesson)))
    }

    /// `#2 client`, each end in its own color.
    fn voice(&self, speaker: &Speaker) -> (String, Style) {
        let Some((id, end, _)) = speaker.connection else { return (String::new(), Style::new()) };
        let color = match end {
            End::Client => AnsiColor::Cyan.on_default().bold(),
            End::Server => AnsiColor::Magenta.on_default().bold(),
            End::Listener => AnsiColor::Magenta.on_default(),
            End::Datagram | End::Pair | End::Socket => palette::STRONG,
        };
        (format!("#{} {}", id.saturating_add(1), self.lang.voice(end)), color)
    }

    /// `5.236 ms` since the beginning.
    fn time(&mut self, time_ns: u64) -> String {
        let us = time_ns.saturating_sub(*self.zero_ns.get_or_insert(time_ns)) / 1000;
        match us {
            0..1_000_000 => format!("{}.{:03} ms", us / 1000, us % 1000),
            _ => format!("{}.{:06} s", us / 1_000_000, us % 1_000_000),
        }
    }
}

#[cfg(test)]
mod tests;
