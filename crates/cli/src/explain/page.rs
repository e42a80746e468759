//! The page that the narration is written on: the time, who speaks, and sentences that are broken between words,
//! or between Chinese characters.

use std::io::{self, Write};

use anstyle::Style;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::lang::GLUE;
use crate::palette;

/// Columns of the time, with the gap behind it.
const TIME: usize = 13;
/// Columns of the speaker. One whose name is longer moves its text to the right.
const VOICE: usize = 14;
/// Longer lines are tiresome to read.
const MOST: usize = 100;
/// What is shorter cannot be read.
const LEAST: usize = 50;

/// Punctuation that begins no line, and that ends none.
const CLOSING: &str = "，。；：、！？）”》」,.;:!?)";
const OPENING: &str = "（“《「(";

/// A page of so many columns.
pub struct Page {
    columns: usize,
}

impl Page {
    /// As wide as COLUMNS says, or the terminal that stderr is.
    pub fn of_stderr() -> Page {
        let asked = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        let terminal = || Some(usize::from(terminal_size::terminal_size_of(io::stderr())?.0.0));
        Page::of(asked.or_else(terminal).unwrap_or(MOST))
    }

    /// As wide as this, if that can be read.
    pub fn of(columns: usize) -> Page {
        Page { columns: columns.clamp(LEAST, MOST) }
    }

    /// A sentence, with the time and the speaker in front of it; both may be empty.
    pub fn say(
        &self,
        out: &mut dyn Write,
        time: &str,
        (voice, color): (&str, Style),
        style: Style,
        text: &str,
    ) -> io::Result<()> {
        let faint = palette::FAINT;
        let indent = TIME + VOICE.max(voice.width() + 2);
        let room = self.columns.saturating_sub(indent);
        for (at, line) in lines(text, room).iter().enumerate() {
            match at {
                0 if voice.is_empty() && time.is_empty() => write!(out, "{:indent$}", "")?,
                0 => {
                    let gap = indent - TIME - voice.width();
                    write!(out, "{faint}{time:>11}{faint:#}  {color}{voice}{color:#}{:gap$}", "")?;
                }
                _ => write!(out, "{:indent$}", "")?,
            }
            let line = line.replace(GLUE, " ");
            writeln!(out, "{style}{line}{style:#}")?;
        }
        Ok(())
    }
}

/// Breaks a text into lines of so many columns.
fn lines(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut line, mut width) = (String::new(), 0);
    for piece in pieces(text) {
        let needed = piece.trim_end().width();
        if width > 0 && width + needed > columns {
            lines.push(std::mem::take(&mut line).trim_end().to_owned());
            width = 0;
        }
        // A word that no line has room for, such as a long path, is broken anywhere.
        for char in piece.chars() {
            let wide = char.width().unwrap_or(0);
            if width > 0 && width + wide > columns && char != ' ' {
                lines.push(std::mem::take(&mut line).trim_end().to_owned());
                width = 0;
            }
            line.push(char);
            width += wide;
        }
    }
    lines.push(line.trim_end().to_owned());
    lines
}

/// What a line cannot be broken within: words, each with the blank behind it, and single wide characters, with
/// the punctuation that belongs to them.
fn pieces(text: &str) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    let mut last = None;
    for char in text.chars() {
        let glued = match last {
            None => false,
            Some(_) if CLOSING.contains(char) || char == ' ' => true,
            Some(last) if OPENING.contains(last) => true,
            Some(' ') => false,
            Some(last) => !wide(last) && !wide(char) && !OPENING.contains(char),
        };
        match pieces.last_mut() {
            Some(piece) if glued => piece.push(char),
            _ => pieces.push(char.into()),
        }
        last = Some(char);
    }
    pieces
}

fn wide(char: char) -> bool {
    char.width() == Some(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(columns: usize, voice: &str, text: &str) -> String {
        let mut out = Vec::new();
        Page::of(columns).say(&mut out, "1.234 ms", (voice, Style::new()), Style::new(), text).unwrap();
        String::from_utf8(out).unwrap().replace("\u{1b}[2m", "").replace("\u{1b}[0m", "")
    }

    #[test]
    fn texts_begin_in_the_same_column_in_both_scripts() {
        let column = |text: &str, of: char| text[..text.find(of).unwrap()].width();
        assert_eq!(column(&said(80, "#2 client", "X"), 'X'), TIME + VOICE);
        assert_eq!(column(&said(80, "#2 客户端", "X"), 'X'), TIME + VOICE);
        assert_eq!(column(&said(80, "", "X"), 'X'), TIME + VOICE);
    }

    #[test]
    fn lines_break_between_words_and_between_characters() {
        assert_eq!(lines("one two, three", 9), ["one two,", "three"]);
        assert_eq!(lines("描述符 5 现在指代一个 TCP 套接字。", 12), ["描述符 5 现", "在指代一个", "TCP 套接字。"]);
        // Punctuation goes down with the character in front of it, or behind it.
        assert_eq!(lines("一二三四。", 8), ["一二三", "四。"]);
        assert_eq!(lines("一二（三）", 6), ["一二", "（三）"]);
        assert_eq!(lines("abcdefghij", 4), ["abcd", "efgh", "ij"]);
    }

    #[test]
    fn no_line_is_wider_than_the_page() {
        let text = "主机名 localhost 解析为 127.0.0.1，用时 85 µs。The pipe is open (really) and nobody knows it yet.";
        for columns in LEAST..=MOST {
            let wide = said(columns, "#12 客户端", text).lines().map(UnicodeWidthStr::width).max();
            assert!(wide <= Some(columns), "{columns}: {wide:?}");
        }
    }
}
