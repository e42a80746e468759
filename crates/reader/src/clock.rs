//! Ticks to nanoseconds.

use crate::sys;
use sockshim_format::region::{CLOCK_MONOTONIC, CLOCK_TSC};
pub use sockshim_format::trace::Clock as Point;

/// The shortest time between two calibration points that gives a rate. A point is uncertain by some
/// 50 ns, so times are told to twice that as long as points are taken at twice the age of the last.
const BASELINE_NS: u64 = 20_000;

/// Turns ticks into nanoseconds, by the two calibration points that lie furthest apart.
///
/// Wall-clock time is the monotonic clock plus the offset of the first point: so an administrator
/// who sets the time in the middle of a run does not turn it around.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clock {
    kind: u32,
    first: Point,
    last: Option<Point>,
    rate: Option<Rate>,
}

/// How ticks become nanoseconds, between two calibration points. Both numbers are positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rate {
    ticks: i128,
    ns: i128,
    /// The same as a product, for the millions of times that a long trace asks.
    product: Option<Product>,
}

/// Multiplies by a fraction below one, without a division.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Product {
    ticks: u64,
    ns: u64,
    /// `ns / ticks` in units of 2^-64, rounded down.
    factor: u64,
}

impl Rate {
    fn of(first: Point, last: Point) -> Rate {
        let ticks = (i128::from(last.ticks) - i128::from(first.ticks)).max(1);
        let ns = (i128::from(last.mono_ns) - i128::from(first.mono_ns)).max(1);
        Rate { ticks, ns, product: Product::of(ticks, ns) }
    }

    fn scale(&self, ticks: i128) -> i128 {
        match (self.product, u64::try_from(ticks)) {
            (Some(product), Ok(ticks)) => product.scale(ticks).into(),
            _ => ticks.saturating_mul(self.ns) / self.ticks,
        }
    }
}

impl Product {
    /// None for a clock that ticks less than once a nanosecond.
    fn of(ticks: i128, ns: i128) -> Option<Product> {
        let (ticks, ns) = (u64::try_from(ticks).ok()?, u64::try_from(ns).ok()?);
        let factor = (u128::from(ns) << 64) / u128::from(ticks.max(1));
        // Below half the range nothing that `Rate::scale` multiplies is too large for it either, and twice `ticks`
        // fits into a word.
        let factor = u64::try_from(factor).ok().filter(|_| ns.max(ticks) <= u64::MAX / 2)?;
        Some(Product { ticks, ns, factor })
    }

    /// Exactly `ticks * ns / self.ticks`, rounded down.
    #[inline]
    fn scale(self, ticks: u64) -> u64 {
        // The factor is less than one unit short, so this is less than one short of the quotient: the number
        // that is wanted, or the one before it.
        let near = ((u128::from(ticks) * u128::from(self.factor)) >> 64) as u64;
        // What is left is less than two divisors, so the lower words of the products tell it.
        let left = ticks.wrapping_mul(self.ns).wrapping_sub(near.wrapping_mul(self.ticks));
        near + u64::from(left >= self.ticks)
    }
}

impl Clock {
    /// A clock of a region's or trace's kind, from its first point.
    pub fn new(kind: u32, first: Point) -> Clock {
        Clock { kind, first, last: None, rate: None }
    }

    /// The kind of clock that this machine offers, with the present as its first point.
    pub fn of_this_machine() -> Clock {
        let kind = if sys::time_stamp_is_invariant() { CLOCK_TSC } else { CLOCK_MONOTONIC };
        Clock::new(kind, now(kind))
    }

    /// CLOCK_TSC or CLOCK_MONOTONIC.
    pub fn kind(&self) -> u32 {
        self.kind
    }

    /// The first calibration point.
    pub fn first(&self) -> Point {
        self.first
    }

    /// The last calibration point, once there is one.
    pub fn last(&self) -> Option<Point> {
        self.last
    }

    /// Whether ticks can be told as time already.
    pub fn is_calibrated(&self) -> bool {
        self.kind != CLOCK_TSC || self.last.is_some()
    }

    /// Takes in a later point, if it lies further from the first one than what is known.
    pub fn calibrate(&mut self, point: Point) {
        let far = point.mono_ns.saturating_sub(self.first.mono_ns);
        let known = self.last.map_or(0, |last| last.mono_ns - self.first.mono_ns);
        if far >= BASELINE_NS && far > known && point.ticks > self.first.ticks {
            self.last = Some(point);
            self.rate = Some(Rate::of(self.first, point));
        }
    }

    /// A new calibration point, on the machine that records, when it is time for one: at twice the
    /// age of the last one.
    pub fn recalibrate(&mut self) -> Option<Point> {
        if self.kind != CLOCK_TSC {
            return None;
        }
        let point = self.now();
        let age = |point: Point| point.mono_ns.saturating_sub(self.first.mono_ns);
        if age(point) < self.last.map_or(BASELINE_NS, age).saturating_mul(2) {
            return None;
        }
        self.calibrate(point);
        (self.last == Some(point)).then_some(point)
    }

    /// The present in ticks, on the machine that records.
    pub fn now_ticks(&self) -> u64 {
        if self.kind == CLOCK_TSC { sys::time_stamp() } else { sys::monotonic_ns() }
    }

    /// The present as a calibration point, on the machine that records.
    pub fn now(&self) -> Point {
        now(self.kind)
    }

    /// Nanoseconds of CLOCK_MONOTONIC.
    #[inline]
    pub fn mono_ns(&self, ticks: u64) -> u64 {
        if self.kind != CLOCK_TSC {
            return ticks;
        }
        // Nearly all moments lie behind the first point.
        if let (Some(product), Some(since)) = (self.product(), ticks.checked_sub(self.first.ticks)) {
            return self.first.mono_ns.saturating_add(product.scale(since));
        }
        let ns = self.scale(i128::from(ticks) - i128::from(self.first.ticks));
        clamp(ns.saturating_add(i128::from(self.first.mono_ns)))
    }

    /// Nanoseconds since the epoch.
    #[inline]
    pub fn real_ns(&self, ticks: u64) -> u64 {
        // Nearly all moments lie behind the first point, in nearly all traces behind the epoch.
        if self.kind == CLOCK_TSC
            && self.first.real_ns >= self.first.mono_ns
            && let (Some(product), Some(since)) = (self.product(), ticks.checked_sub(self.first.ticks))
        {
            return self.first.real_ns.saturating_add(product.scale(since));
        }
        self.mono_to_real(self.mono_ns(ticks))
    }

    /// Nanoseconds since the epoch, for a moment of CLOCK_MONOTONIC.
    #[inline]
    pub fn mono_to_real(&self, mono_ns: u64) -> u64 {
        let (ahead, behind) = (self.first.real_ns, self.first.mono_ns);
        match ahead.checked_sub(behind) {
            Some(offset) => mono_ns.saturating_add(offset),
            None => mono_ns.saturating_sub(behind - ahead),
        }
    }

    /// A span of ticks in nanoseconds.
    #[inline]
    pub fn duration_ns(&self, ticks: u64) -> u64 {
        match self.product() {
            _ if self.kind != CLOCK_TSC => ticks,
            Some(product) => product.scale(ticks),
            None => clamp(self.scale(i128::from(ticks))),
        }
    }

    /// A span of nanoseconds in ticks.
    pub fn ticks_in(&self, ns: u64) -> u64 {
        match (self.kind, self.rate) {
            (CLOCK_TSC, Some(rate)) => clamp(i128::from(ns).saturating_mul(rate.ticks) / rate.ns),
            // Uncalibrated for the first millisecond only; 3 GHz is near enough until then.
            (CLOCK_TSC, None) => ns.saturating_mul(3),
            _ => ns,
        }
    }

    #[inline]
    fn product(&self) -> Option<Product> {
        self.rate?.product
    }

    fn scale(&self, ticks: i128) -> i128 {
        self.rate.map_or_else(|| ticks / 3, |rate| rate.scale(ticks))
    }
}

fn clamp(ns: i128) -> u64 {
    u64::try_from(ns.max(0)).unwrap_or(u64::MAX)
}

/// Reads the three clocks as closely together as they can be: of a few tries the one in which the
/// counter moved least in between, for an interrupt may fall into any of them.
fn now(kind: u32) -> Point {
    let mut best: Option<(u64, Point)> = None;
    for _ in 0..5 {
        let before = if kind == CLOCK_TSC { sys::time_stamp() } else { sys::monotonic_ns() };
        let mono_ns = sys::monotonic_ns();
        let after = if kind == CLOCK_TSC { sys::time_stamp() } else { mono_ns };
        let real_ns = sys::realtime_ns();
        let span = after.saturating_sub(before);
        let ticks = if kind == CLOCK_TSC { before + span / 2 } else { mono_ns };
        if best.is_none_or(|(least, _)| span < least) {
            best = Some((span, Point { ticks, mono_ns, real_ns }));
        }
    }
    best.map_or(Point { ticks: 0, mono_ns: 0, real_ns: 0 }, |(_, point)| point)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_become_time_over_the_widest_baseline() {
        let mut clock = Clock::new(CLOCK_TSC, Point { ticks: 1000, mono_ns: 500, real_ns: 1_000_000 });
        assert!(!clock.is_calibrated());
        clock.calibrate(Point { ticks: 1_501_000, mono_ns: 1_000_500, real_ns: 0 });
        clock.calibrate(Point { ticks: 20_001_000, mono_ns: 10_000_500, real_ns: 0 });
        clock.calibrate(Point { ticks: 5_000_000, mono_ns: 2_000_500, real_ns: 0 });
        assert_eq!(clock.duration_ns(2000), 1000);
        assert_eq!(clock.mono_ns(3000), 1500);
        assert_eq!(clock.real_ns(3000), 1_001_000);
        assert_eq!(clock.ticks_in(1000), 2000);
    }

    #[test]
    fn no_points_make_it_panic() {
        for (a, b) in [(0, u64::MAX), (u64::MAX, 0), (5, 5), (1, 2)] {
            for kind in [CLOCK_TSC, CLOCK_MONOTONIC, 77] {
                let mut clock = Clock::new(kind, Point { ticks: a, mono_ns: b, real_ns: a });
                clock.calibrate(Point { ticks: b, mono_ns: a, real_ns: b });
                clock.calibrate(Point { ticks: b, mono_ns: u64::MAX, real_ns: b });
                for ticks in [0, 1, u64::MAX] {
                    clock.real_ns(ticks);
                    clock.duration_ns(ticks);
                    clock.ticks_in(ticks);
                }
            }
        }
    }

    #[test]
    fn a_product_is_the_quotient() {
        let mut noise = crate::noise::noise();
        let mut number = || {
            let number = noise();
            number >> (number & 63)
        };
        let mut products = 0;
        for _ in 0..100_000 {
            let (ticks, span_ticks, span_ns) = (number(), number().max(1), number().max(1));
            let Some(product) = Product::of(span_ticks.into(), span_ns.into()) else { continue };
            let exact = u128::from(ticks) * u128::from(span_ns) / u128::from(span_ticks);
            assert_eq!(u128::from(product.scale(ticks)), exact, "{ticks} * {span_ns} / {span_ticks}");
            products += 1;
        }
        assert!(products > 10_000);
    }

    #[test]
    fn this_machine_keeps_time() {
        let mut clock = Clock::of_this_machine();
        std::thread::sleep(std::time::Duration::from_millis(3));
        clock.calibrate(clock.now());
        assert!(clock.is_calibrated());
        let real = clock.real_ns(clock.now_ticks());
        assert!(real.abs_diff(sys::realtime_ns()) < 1_000_000_000);
    }
}
