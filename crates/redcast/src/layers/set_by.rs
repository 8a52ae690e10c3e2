//! Which layer a value came from, read from the place that is kept with it.

/// The layers, from the weakest to the strongest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SetBy {
    Default,
    File,
    Variable,
    Flag,
}

impl SetBy {
    /// Reads a place as the layers write it: `FILE:LINE:COLUMN`, a variable's name, a flag
    /// with its dashes, or none for a default.
    pub(super) fn of(place: Option<&str>) -> Self {
        match place {
            None => Self::Default,
            // Before the dashes, with which a file's name may begin, too.
            Some(place) if place.contains(':') => Self::File,
            Some(place) if place.starts_with("--") => Self::Flag,
            Some(_) => Self::Variable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_tells_its_layer() {
        let weakest_first = [
            (None, SetBy::Default),
            (Some("--redcast.toml:1:1"), SetBy::File),
            (Some("REDCAST_LOG__LEVEL"), SetBy::Variable),
            (Some("--log-level"), SetBy::Flag),
        ];
        for (place, layer) in weakest_first {
            assert_eq!(SetBy::of(place), layer, "{place:?}");
        }
        assert!(weakest_first.is_sorted_by_key(|(_, layer)| *layer));
    }
}
