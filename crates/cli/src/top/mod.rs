//! `sockshim top`: the connections and the blocked threads of a run, while it goes on.
//!
//! Top reads the trace that `run -o` writes, and grows with it. A program that it runs itself is under a
//! `sockshim run` of its own: what top does, or fails to do, is no danger to the recording.

mod blocked;
mod child;
mod draw;
mod follow;
mod keys;
mod screen;
mod state;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::Result;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use crate::entry::Exit;
use crate::flags::Top;
use crate::reading::warn;
use crate::views::safe;
use child::Program;
use follow::Follower;
use screen::Screen;
use state::State;

/// Exit status: there is no terminal.
const WRONG: u8 = 2;
/// A screen that no terminal tells the size of.
const COLUMNS: u16 = 80;
const LINES: u16 = 24;
/// How long rates are looked at for `--once`.
const A_SECOND: Duration = Duration::from_secs(1);

/// Shows a trace, or a program.
pub fn top(flags: &Top) -> Result<Exit> {
    if let Some(trace) = flags.trace.as_ref().filter(|_| flags.once) {
        return once(trace);
    }
    if !screen::is_there() {
        warn("top needs a terminal to draw on: --once prints one screen as text".into())?;
        return Ok(Exit::from(WRONG));
    }
    match &flags.trace {
        Some(trace) => {
            let follower = Follower::open(trace)?;
            watch(follower, None, &file_name(trace))?;
        }
        None => {
            let mut program = Program::start(flags)?;
            match program.trace()? {
                Ok(follower) => {
                    let watched = watch(follower, Some(&mut program), "");
                    program.finish()?;
                    watched?;
                }
                Err(status) => {
                    program.print_output()?;
                    return Ok(code(status));
                }
            }
        }
    }
    screen::die_if_asked();
    Ok(Exit::SUCCESS)
}

/// Draws until somebody quits.
fn watch(mut follower: Follower, mut program: Option<&mut Program>, name: &str) -> Result<()> {
    // Settled once: `--color`, NO_COLOR and what the terminal is are anstream's to judge.
    let color = anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never;
    let mut state = begin(&follower, name);
    let mut told = false;
    let mut screen = Screen::take()?;
    loop {
        if !state.paused {
            look(&mut follower, &mut state)?;
        }
        if !told && let Some(words) = program.as_mut().and_then(|program| program.words()) {
            (state.message, told) = (words, true);
        }
        if screen.turn(&mut state, color)? {
            return Ok(());
        }
    }
}

fn begin(follower: &Follower, name: &str) -> State {
    let trace = follower.trace();
    let command = trace.meta("command").map_or(String::new(), |command| safe(command.as_bytes()));
    let title = match (name, command.as_str()) {
        ("", command) => command.to_owned(),
        (name, "") => name.to_owned(),
        (name, command) => format!("{name}: {command}"),
    };
    State::new(title, trace.clock().first().real_ns)
}

/// Takes in what is new.
fn look(follower: &mut Follower, state: &mut State) -> Result<()> {
    follower.poll(&mut |event| state.event(event))?;
    if !follower.is_live() {
        state.model.finish(matches!(follower.trace().tail(), sockshim_reader::Tail::Ended(_)));
    }
    let end_ns = state.model.span().map_or(state.zero_ns, |span| span.end_ns);
    let now_ns = if follower.is_live() { follower.now_ns() } else { end_ns };
    state.tick(now_ns);
    state.stands = follower.state().into();
    Ok(())
}

/// One screen as text.
fn once(trace: &Path) -> Result<Exit> {
    let mut follower = Follower::open(trace)?;
    let mut state = begin(&follower, &file_name(trace));
    look(&mut follower, &mut state)?;
    if follower.is_live() {
        std::thread::sleep(A_SECOND);
        look(&mut follower, &mut state)?;
    }
    let text = text(&state, size());
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush())?;
    Ok(Exit::SUCCESS)
}

/// The screen as lines of text, without the line of keys.
fn text(state: &State, (columns, lines): (u16, u16)) -> String {
    let Ok(mut terminal) = Terminal::new(TestBackend::new(columns, lines));
    let Ok(_) = terminal.draw(|frame| draw::draw(frame, state, false));
    let buffer = terminal.backend().buffer();
    let rows = buffer.content.chunks(usize::from(columns.max(1)));
    let rows = rows.map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>().trim_end().to_owned());
    let mut rows: Vec<String> = rows.collect();
    rows.pop();
    // Room that nothing needed is no part of a text.
    while let Some(at) = rows.windows(2).position(|pair| pair.iter().all(String::is_empty)) {
        rows.remove(at);
    }
    while rows.last().is_some_and(String::is_empty) {
        rows.pop();
    }
    rows.into_iter().map(|row| row + "\n").collect()
}

/// Of the terminal, or what COLUMNS and LINES say.
fn size() -> (u16, u16) {
    let asked = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u16>().ok());
    let terminal = terminal_size::terminal_size_of(io::stdout());
    let columns = asked("COLUMNS").or(terminal.map(|(width, _)| width.0)).unwrap_or(COLUMNS);
    let lines = asked("LINES").or(terminal.map(|(_, height)| height.0)).unwrap_or(LINES);
    (columns.clamp(20, 500), lines.clamp(6, 1000))
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or(String::new(), |name| safe(name.as_encoded_bytes()))
}

/// As `run` ended, which could not run the program.
fn code(status: ExitStatus) -> Exit {
    Exit::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(crate::FAILED))
}
