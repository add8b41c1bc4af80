//! From values to places, and the ticks between.

/// An axis from one pixel to another.
#[derive(Clone, Copy, Debug)]
pub struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
    first_px: f64,
    last_px: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Scale {
    Linear,
    Logarithmic,
}

/// Numbers that ticks are at, in each power of ten.
const STEPS: [f64; 3] = [1.0, 2.0, 5.0];
/// Most ticks of a linear axis.
const TICKS_MAX: f64 = 12.0;
/// A logarithmic axis of up to so many powers of ten names 2 and 5 too.
const DECADES_NAMED: f64 = 2.5;

/// A value with a line of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tick {
    /// Where.
    pub value: f64,
    /// Whether it is told in figures.
    pub named: bool,
}

impl Axis {
    /// From 0 to `high`.
    pub fn linear(high: f64, first_px: f64, last_px: f64) -> Self {
        Self { scale: Scale::Linear, low: 0.0, high: high.max(1e-9), first_px, last_px }
    }

    /// Around the values from `low` to `high`, which are above 0.
    pub fn logarithmic(low: f64, high: f64, first_px: f64, last_px: f64) -> Self {
        let below = steps_around(low).rev().find(|step| *step <= low);
        let above = steps_around(high * 1.000_001).find(|step| *step >= high);
        let (low, high) = (below.unwrap_or(low), above.unwrap_or(high));
        let high = if high > low { high } else { low * 10.0 };
        Self { scale: Scale::Logarithmic, low, high, first_px, last_px }
    }

    /// The pixel of a value.
    pub fn px(&self, value: f64) -> f64 {
        let value = value.clamp(self.low, self.high);
        let share = match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Logarithmic => (value / self.low).ln() / (self.high / self.low).ln(),
        };
        self.first_px + share * (self.last_px - self.first_px)
    }

    /// From low to high.
    pub fn ticks(&self) -> Vec<Tick> {
        match self.scale {
            Scale::Linear => {
                let every = every(self.high);
                let count = (self.high / every + 1e-9) as usize;
                let tick = |number| Tick { value: number as f64 * every, named: true };
                (0..=count).map(tick).collect()
            }
            Scale::Logarithmic => {
                let all = (self.high / self.low).log10() <= DECADES_NAMED;
                let within = |step: &f64| *step >= self.low * 0.999 && *step <= self.high * 1.001;
                let from = self.low.log10().floor() as i32;
                let to = self.high.log10().ceil() as i32;
                let steps = (from..=to).flat_map(decade).filter(within);
                steps.map(|value| Tick { value, named: all || is_power_of_ten(value) }).collect()
            }
        }
    }
}

/// Between two ticks of an axis up to `high`.
fn every(high: f64) -> f64 {
    let from = (high / TICKS_MAX).log10().floor() as i32;
    (from..from + 3).flat_map(decade).find(|step| high / step <= TICKS_MAX).unwrap_or(high)
}

/// 1, 2 and 5 times a power of ten, and of its neighbours.
fn steps_around(value: f64) -> impl DoubleEndedIterator<Item = f64> {
    let power = value.log10().floor() as i32;
    (power - 1..=power + 1).flat_map(decade)
}

fn decade(power: i32) -> impl DoubleEndedIterator<Item = f64> {
    STEPS.into_iter().map(move |step| step * 10_f64.powi(power))
}

fn is_power_of_ten(value: f64) -> bool {
    (value.log10() - value.log10().round()).abs() < 1e-6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(axis: &Axis, named_only: bool) -> Vec<f64> {
        let ticks = axis.ticks().into_iter().filter(|tick| tick.named || !named_only);
        ticks.map(|tick| (tick.value * 1e6).round() / 1e6).collect()
    }

    #[test]
    fn a_linear_axis_has_round_ticks() {
        let axis = Axis::linear(30.0, 100.0, 400.0);
        assert_eq!(values(&axis, true), [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0]);
        assert_eq!((axis.px(0.0), axis.px(15.0), axis.px(99.0)), (100.0, 250.0, 400.0));
        assert_eq!(values(&Axis::linear(0.3, 0.0, 1.0), true).len(), 7);
        for high in [0.1, 1.0, 59.0, 61.0, 3_600.0, 86_400.0] {
            let ticks = Axis::linear(high, 0.0, 1.0).ticks().len();
            assert!((4..=13).contains(&ticks), "{high}: {ticks}");
        }
    }

    #[test]
    fn a_logarithmic_axis_is_around_its_values() {
        let axis = Axis::logarithmic(130.0, 40_000.0, 400.0, 0.0);
        assert_eq!(values(&axis, true), [100.0, 1_000.0, 10_000.0]);
        assert_eq!(values(&axis, false).last(), Some(&50_000.0));
        assert_eq!((axis.px(100.0), axis.px(50_000.0)), (400.0, 0.0));
        let middle = axis.px((100.0_f64 * 50_000.0).sqrt());
        assert!((middle - 200.0).abs() < 1e-6, "{middle}");
    }

    #[test]
    fn a_narrow_one_names_more() {
        let axis = Axis::logarithmic(150.0, 900.0, 400.0, 0.0);
        assert_eq!(values(&axis, true), [100.0, 200.0, 500.0, 1_000.0]);
    }

    #[test]
    fn one_value_alone_has_room() {
        for value in [1.0, 100.0, 123.0] {
            let axis = Axis::logarithmic(value, value, 400.0, 0.0);
            assert!(axis.px(value).is_finite() && axis.ticks().len() > 1, "{axis:?}");
        }
    }
}
