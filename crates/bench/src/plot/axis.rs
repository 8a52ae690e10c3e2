//! Where an axis begins and ends and which numbers stand at it.

use super::chart::{Chart, Colour, Scale};

/// A logarithmic axis shows this much at most: less than a millionth of the largest
/// value is nothing, and a stray tiny one must not push all others to the far end.
const DECADES: i32 = 6;

/// How many intervals a linear axis is cut into at most.
const INTERVALS: f64 = 8.0;

/// An axis that holds all values of a chart.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    pub(super) scale: Scale,
    pub(super) start: f64,
    pub(super) end: f64,
    pub(super) ticks: Vec<f64>,
}

impl Axis {
    pub(super) fn of(chart: &Chart) -> Self {
        let largest = chart.values().fold(0.0, f64::max);
        match chart.scale {
            Scale::Logarithmic if largest > 0.0 => Self::logarithmic(chart, largest),
            _ => Self::linear(largest),
        }
    }

    fn linear(largest: f64) -> Self {
        let end = if largest > 0.0 { largest * 1.02 } else { 1.0 };
        let step = round_up(end / INTERVALS);
        let ticks = (0..=INTERVALS as u32).map(|tick| f64::from(tick) * step);
        let ticks = ticks.filter(|tick| *tick <= end).collect();
        Self { scale: Scale::Linear, start: 0.0, end, ticks }
    }

    /// From a round number below the least bar, which would have no length otherwise.
    /// The floor's, which may be next to nothing, does not widen the axis.
    fn logarithmic(chart: &Chart, largest: f64) -> Self {
        let bars = chart.groups.iter().flat_map(|group| &group.bars);
        let least = bars
            .filter(|bar| bar.colour != Colour::Floor && bar.value > 0.0)
            .map(|bar| bar.value)
            .fold(largest, f64::min)
            .max(largest / 10f64.powi(DECADES));
        let (start, end) = (round_down(least * 0.7), largest * 1.15);
        let (first, last) = (start.log10().floor() as i32, end.log10().ceil() as i32);
        let between: &[f64] = if last - first <= 4 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let ticks = (first..=last)
            .flat_map(|power| between.iter().map(move |times| times * 10f64.powi(power)))
            .filter(|tick| (start..=end).contains(tick))
            .collect();
        Self { scale: Scale::Logarithmic, start, end, ticks }
    }

    /// Where a value lies: 0 is the start, 1 the end, and nothing is beyond them.
    pub(super) fn share(&self, value: f64) -> f64 {
        let Self { start, end, .. } = *self;
        let value = value.clamp(start, end);
        match self.scale {
            Scale::Linear => (value - start) / (end - start),
            Scale::Logarithmic => (value / start).log10() / (end / start).log10(),
        }
    }
}

/// The next of 1, 2, 5, 10, 20 and so on.
fn round_up(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let times = [1.0, 2.0, 5.0].into_iter().find(|times| times * power >= step);
    times.unwrap_or(10.0) * power
}

/// The last of 1, 2, 5, 10, 20 and so on.
fn round_down(value: f64) -> f64 {
    let power = 10f64.powi(value.log10().floor() as i32);
    let times = [5.0, 2.0, 1.0].into_iter().find(|times| times * power <= value);
    times.unwrap_or(1.0) * power
}

/// A tick in words, as short as can be.
pub(super) fn tick_label(value: f64) -> String {
    let (value, unit) = match value {
        value if value >= 1e9 => (value / 1e9, "G"),
        value if value >= 1e6 => (value / 1e6, "M"),
        value if value >= 1e4 => (value / 1e3, "k"),
        value => (value, ""),
    };
    // Steps are sums of binary fractions; what is left of 0.30000000000000004 is 0.3.
    let rounded = format!("{value:.6}");
    format!("{}{unit}", rounded.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::chart::{Bar, Group};

    fn chart(scale: Scale, values: &[f64]) -> Chart {
        let bar = |value: &f64| Bar {
            name: "gateway".to_owned(),
            colour: Colour::Gateway,
            label: String::new(),
            value: *value,
            reach: None,
            dots: Vec::new(),
        };
        let bars = values.iter().map(bar).collect();
        let groups = vec![Group { title: String::new(), bars, budget: None }];
        Chart { title: "", legend: "", axis: "", scale, groups }
    }

    fn labels(scale: Scale, values: &[f64]) -> String {
        let ticks = Axis::of(&chart(scale, values)).ticks;
        ticks.iter().map(|tick| tick_label(*tick)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ticks_are_round_numbers_within_the_axis() {
        assert_eq!(labels(Scale::Linear, &[1.38, 1.2]), "0 0.2 0.4 0.6 0.8 1 1.2 1.4");
        assert_eq!(labels(Scale::Linear, &[1_000_000.0]), "0 200k 400k 600k 800k 1M");
        assert_eq!(labels(Scale::Logarithmic, &[1.5, 140.0]), "1 2 5 10 20 50 100");
        assert_eq!(labels(Scale::Logarithmic, &[0.2, 40_000.0]), "0.1 1 10 100 1000 10k");
    }

    #[test]
    fn a_value_has_its_place_and_none_is_outside() {
        let axis = Axis::of(&chart(Scale::Logarithmic, &[2.0, 100.0 / 1.15]));
        assert!((axis.share(10.0) - 0.5).abs() < 1e-9, "{axis:?}");
        assert_eq!([-1.0, 0.0, 1e12].map(|value| axis.share(value)), [0.0, 0.0, 1.0]);
        let axis = Axis::of(&chart(Scale::Linear, &[100.0]));
        assert!((axis.share(51.0) - 0.5).abs() < 1e-9, "{axis:?}");
        assert_eq!([-1.0, 0.0, 1e12].map(|value| axis.share(value)), [0.0, 0.0, 1.0]);
    }

    #[test]
    fn the_floor_does_not_widen_a_logarithmic_axis() {
        let mut chart = chart(Scale::Logarithmic, &[1e-3, 1.5, 140.0]);
        chart.groups[0].bars[0].colour = Colour::Floor;
        assert_eq!(Axis::of(&chart).ticks[0], 1.0);
    }

    #[test]
    fn nothing_and_less_than_nothing_have_an_axis() {
        for scale in [Scale::Linear, Scale::Logarithmic] {
            for values in [&[][..], &[0.0], &[-3.0], &[0.0, 1e12], &[1e-300], &[1e-12, 1e12]] {
                let axis = Axis::of(&chart(scale, values));
                assert!(axis.start < axis.end && axis.end.is_finite(), "{values:?}: {axis:?}");
                assert!((1..30).contains(&axis.ticks.len()), "{values:?}: {axis:?}");
                assert!(values.iter().all(|value| (0.0..=1.0).contains(&axis.share(*value))));
            }
        }
    }
}
