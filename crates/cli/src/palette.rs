//! Colors for people. They repeat what the words say already, so nothing is lost without them.
//!
//! Only the terminal's own colors: people have chosen them to be readable on their background.

use anstyle::{AnsiColor, Style};
use sockshim_format::op::Phase;

/// A call that failed, a connection that was reset or leaked.
pub const ERROR: Style = AnsiColor::Red.on_default().bold();
/// What the tool wants to be noticed: records lost, traffic unseen.
pub const WARNING: Style = AnsiColor::Yellow.on_default().bold();
/// Who speaks and to whom: names, addresses, headings.
pub const STRONG: Style = Style::new().bold();
/// What is there for completeness: times, descriptors, previews.
pub const FAINT: Style = Style::new().dimmed();

/// The color of a phase. Bytes passing are most of the lines, and plain; what frames them has
/// color; what only surrounds them is faint.
pub const fn phase(phase: Phase) -> Style {
    match phase {
        Phase::Resolve => AnsiColor::Magenta.on_default(),
        Phase::Create => AnsiColor::Green.on_default(),
        Phase::Connect => AnsiColor::Cyan.on_default(),
        Phase::Communicate => Style::new(),
        Phase::Disconnect => AnsiColor::Yellow.on_default(),
        Phase::Wait | Phase::Control | Phase::Process => FAINT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phases_of_a_connection_can_be_told_apart() {
        let phases = [Phase::Resolve, Phase::Create, Phase::Connect, Phase::Communicate, Phase::Disconnect];
        for (at, one) in phases.iter().enumerate() {
            for other in &phases[at + 1..] {
                assert_ne!(phase(*one), phase(*other));
            }
            assert_ne!(phase(*one), ERROR);
        }
    }
}
