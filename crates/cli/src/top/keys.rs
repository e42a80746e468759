//! What keys do.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use sockshim_reader::model::ConnId;

use super::state::{Page, Sort, State};

/// Characters of a filter: more do not fit into a line.
const MOST_FILTER: usize = 200;

/// What terminals send for keys that are no characters.
const SEQUENCES: [(&[u8], KeyCode); 18] = [
    (b"\x1b[A", KeyCode::Up),
    (b"\x1bOA", KeyCode::Up),
    (b"\x1b[B", KeyCode::Down),
    (b"\x1bOB", KeyCode::Down),
    (b"\x1b[C", KeyCode::Right),
    (b"\x1bOC", KeyCode::Right),
    (b"\x1b[D", KeyCode::Left),
    (b"\x1bOD", KeyCode::Left),
    (b"\x1b[H", KeyCode::Home),
    (b"\x1bOH", KeyCode::Home),
    (b"\x1b[1~", KeyCode::Home),
    (b"\x1b[F", KeyCode::End),
    (b"\x1bOF", KeyCode::End),
    (b"\x1b[4~", KeyCode::End),
    (b"\x1b[5~", KeyCode::PageUp),
    (b"\x1b[6~", KeyCode::PageDown),
    (b"\r", KeyCode::Enter),
    (b"\x7f", KeyCode::Backspace),
];

/// The keys that bytes of a terminal stand for. crossterm's own reader loses keys that come together with a new size
/// of the screen, and looks for them for ever on a terminal that is gone.
pub fn parse(mut bytes: &[u8]) -> Vec<KeyEvent> {
    let mut keys = Vec::new();
    let plain = |code| KeyEvent::new(code, KeyModifiers::NONE);
    while let Some((&first, behind)) = bytes.split_first() {
        if let Some((sequence, code)) = SEQUENCES.iter().find(|(sequence, _)| bytes.starts_with(sequence)) {
            keys.push(plain(*code));
            bytes = bytes.get(sequence.len()..).unwrap_or_default();
            continue;
        }
        let mut taken = 1;
        match (first, behind.first()) {
            // One that we do not know ends with a letter or a tilde.
            (0x1b, Some(b'[')) => {
                let end = behind.iter().skip(1).position(|byte| (0x40..=0x7e).contains(byte));
                taken = end.map_or(bytes.len(), |end| end + 3);
            }
            (0x1b, _) => keys.push(plain(KeyCode::Esc)),
            (3 | 4, _) => keys.push(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)),
            (..0x20, _) => {}
            _ => {
                let char = bytes.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next());
                taken = char.map_or(1, char::len_utf8);
                keys.extend(char.map(|char| plain(KeyCode::Char(char))));
            }
        }
        bytes = bytes.get(taken..).unwrap_or_default();
    }
    keys
}

/// Does what a key asks for. True if that is to quit. A page has so many rows.
pub fn press(state: &mut State, key: KeyEvent, rows: u16) -> bool {
    if key.kind == KeyEventKind::Release {
        return false;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return matches!(key.code, KeyCode::Char('c' | 'd'));
    }
    if state.typing {
        type_filter(state, key.code);
        return false;
    }
    state.message.clear();
    let page = isize::from(i16::try_from(rows.saturating_sub(6)).unwrap_or(10).max(1));
    match key.code {
        KeyCode::Char('q') => return true,
        KeyCode::Char(' ') => state.paused = !state.paused,
        KeyCode::Char('?' | 'h') => state.page = if state.page == Page::Help { Page::Connections } else { Page::Help },
        KeyCode::Esc | KeyCode::Backspace | KeyCode::Left => match state.page {
            Page::Connections => state.filter.clear(),
            _ => state.page = Page::Connections,
        },
        KeyCode::Down | KeyCode::Char('j') => go(state, 1),
        KeyCode::Up | KeyCode::Char('k') => go(state, -1),
        KeyCode::PageDown => go(state, page),
        KeyCode::PageUp => go(state, -page),
        KeyCode::Home => go(state, isize::MIN / 2),
        KeyCode::End => go(state, isize::MAX / 2),
        _ if state.page != Page::Connections => {}
        KeyCode::Char('b') => state.sort = Sort::Bytes,
        KeyCode::Char('r') => state.sort = Sort::Rate,
        KeyCode::Char('t') => state.sort = Sort::Time,
        KeyCode::Char('n') => state.sort = Sort::Name,
        KeyCode::Char('f' | '/') => state.typing = true,
        KeyCode::Enter | KeyCode::Right => open(state),
        _ => {}
    }
    false
}

fn type_filter(state: &mut State, code: KeyCode) {
    match code {
        KeyCode::Char(char) if state.filter.chars().count() < MOST_FILTER => state.filter.push(char),
        KeyCode::Backspace => _ = state.filter.pop(),
        KeyCode::Enter => state.typing = false,
        KeyCode::Esc => {
            state.typing = false;
            state.filter.clear();
        }
        _ => {}
    }
}

fn go(state: &mut State, lines: isize) {
    match state.page {
        // The first key marks the first line, whichever way it goes.
        Page::Connections if state.selected.is_none() => state.move_by(if lines == 1 { 0 } else { lines }),
        Page::Connections => state.move_by(lines),
        Page::Calls(id) => {
            let most = state.last_calls(id).count();
            state.scrolled = state.scrolled.saturating_add_signed(lines.saturating_neg()).min(most);
        }
        Page::Help => {}
    }
}

fn open(state: &mut State) {
    let shown: Vec<ConnId> = state.shown().iter().map(|connection| connection.id).collect();
    if let Some(id) = shown.get(state.position(&shown)) {
        (state.selected, state.page, state.scrolled) = (Some(*id), Page::Calls(*id), 0);
    }
}
