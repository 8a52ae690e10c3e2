//! What a plot says, before it is drawn: groups of bars over one axis.

/// One plot.
#[derive(Debug)]
pub(super) struct Chart {
    pub(super) title: &'static str,
    /// What the marks mean.
    pub(super) legend: &'static str,
    /// What the axis measures, with the unit.
    pub(super) axis: &'static str,
    pub(super) scale: Scale,
    pub(super) groups: Vec<Group>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    Linear,
    Logarithmic,
}

/// The bars of one scenario.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) title: String,
    pub(super) bars: Vec<Bar>,
    pub(super) budget: Option<Budget>,
}

/// One server's figure.
#[derive(Debug)]
pub(super) struct Bar {
    pub(super) name: String,
    pub(super) colour: Colour,
    /// The value in words.
    pub(super) label: String,
    pub(super) value: f64,
    /// A second, larger value that the bar goes on to, paler.
    pub(super) reach: Option<f64>,
    /// The value of each run.
    pub(super) dots: Vec<f64>,
}

/// A line that a bar must not cross, or must reach.
#[derive(Debug)]
pub(super) struct Budget {
    pub(super) at: f64,
    pub(super) label: String,
}

/// Whose bar it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colour {
    Floor,
    Gateway,
    /// One of the others, counted from 0.
    Peer(usize),
}

impl Chart {
    /// Every value that must have a place on the axis.
    pub(super) fn values(&self) -> impl Iterator<Item = f64> {
        let of_bar = |bar: &Bar| {
            let marks = bar.dots.iter().copied().chain(bar.reach);
            marks.chain([bar.value]).collect::<Vec<f64>>()
        };
        self.groups.iter().flat_map(move |group| {
            let budget = group.budget.as_ref().map(|budget| budget.at);
            group.bars.iter().flat_map(of_bar).chain(budget)
        })
    }
}
