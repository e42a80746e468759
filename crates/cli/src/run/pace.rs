//! How often the region is looked at.

use std::time::{Duration, Instant};

/// Records that one look is to find at first. They are what one look is worth, and all that the traced program writes
/// before its memory comes round again: 256 KiB.
const WANTED: f64 = 4_000.0;
/// Each look takes a processor from somebody, and what that one had in its caches. So of a program that is busy for long one look
/// finds more: so many more with each second. Not at once, for each page that is used for the first time costs as much as hundreds
/// of records (docs/PERFORMANCE.md).
const MORE_A_SECOND: f64 = 20_000.0;
/// As many as this at most, which is 4 MiB, and a sixteenth of what the region holds.
const MOST_WANTED: f64 = 64_000.0;
/// The longest pause between two looks where somebody is told, and so how late that is.
pub const LIVE: Duration = Duration::from_millis(10);
/// Where all goes into a trace alone. A look costs more than what it finds in a program that is not busy.
pub const UNSEEN: Duration = Duration::from_millis(40);
/// The shortest. More than is wanted has come by then: the next look follows at once.
const SHORTEST: Duration = Duration::from_millis(1);

/// When to look again.
pub struct Pace {
    looked: Instant,
    pause: Duration,
    longest: Duration,
    wanted: f64,
    most_wanted: f64,
}

impl Pace {
    /// Begins now, when nobody knows how busy the program will be.
    /// The region has room for so many records.
    pub fn new(now: Instant, longest: Duration, room: u64) -> Pace {
        let most_wanted = (room as f64 / 16.0).clamp(WANTED, MOST_WANTED);
        Pace { looked: now, pause: SHORTEST, longest, wanted: WANTED, most_wanted }
    }

    /// Takes note of a look that was begun then and found so many records. None: look again at once.
    pub fn pause(&mut self, begun: Instant, records: u64) -> Option<Duration> {
        let elapsed = begun.saturating_duration_since(std::mem::replace(&mut self.looked, begun));
        // A program that begins to be busy shall not find us asleep for long: twice as long at most as the last time.
        let most = (self.pause * 2).min(self.longest);
        if records as f64 > self.wanted / 2.0 {
            self.wanted = (self.wanted + MORE_A_SECOND * elapsed.as_secs_f64()).min(self.most_wanted);
        }
        let due = elapsed.mul_f64(self.wanted / records.max(1) as f64).min(most);
        self.pause = due.max(SHORTEST);
        (due >= SHORTEST).then_some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pauses, each as long as was asked for, while so many records come in each millisecond.
    fn pauses(pace: &mut Pace, now: &mut Instant, each: f64) -> Vec<Option<Duration>> {
        let mut slept = SHORTEST;
        let mut next = || {
            *now += slept;
            let pause = pace.pause(*now, (slept.as_secs_f64() * 1e3 * each) as u64);
            slept = pause.unwrap_or(Duration::from_micros(100));
            pause
        };
        (0..8).map(|_| next()).collect()
    }

    #[test]
    fn the_busier_the_program_the_sooner_the_next_look() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now, LIVE, 1 << 20);
        assert_eq!(pauses(&mut pace, &mut now, 0.0).last(), Some(&Some(LIVE)), "nothing");
        assert_eq!(pauses(&mut pace, &mut now, 100.0).last(), Some(&Some(LIVE)), "a hundred thousand a second");
        let busy = pauses(&mut pace, &mut now, 1000.0);
        let last = busy.last().copied().flatten().map(|pause| pause.as_micros());
        assert!(last.is_some_and(|us| (3_900..5_000).contains(&us)), "a million a second: {busy:?}");
        assert_eq!(pauses(&mut pace, &mut now, 10_000.0).last(), Some(&None), "ten million a second");
        // When it becomes quiet it is left alone little by little.
        assert_eq!(pauses(&mut pace, &mut now, 0.0).first(), Some(&Some(SHORTEST * 2)));
    }

    #[test]
    fn a_look_at_what_is_busy_for_long_finds_more() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now, UNSEEN, 1 << 20);
        let mut last =
            |each| pauses(&mut pace, &mut now, each).last().copied().flatten().map(|pause| pause.as_millis());
        assert_eq!(last(2000.0), Some(2));
        (0..400).for_each(|_| _ = last(2000.0));
        assert_eq!(last(2000.0), Some(32), "64,000 at two million a second");
        assert_eq!(last(100.0), Some(40), "a hundred thousand a second");
        let mut pace = Pace::new(now, UNSEEN, 1 << 14);
        let mut last =
            |each| pauses(&mut pace, &mut now, each).last().copied().flatten().map(|pause| pause.as_millis());
        (0..400).for_each(|_| _ = last(2000.0));
        assert_eq!(last(2000.0), Some(2), "a region of 1 MiB");
    }
}
