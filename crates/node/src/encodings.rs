//! How many members of a channel get its events in which way, so that nothing is
//! encoded or compressed that nobody gets.

use redcast_hub::{Compressed, Encoding, Form};
use redcast_wire::Window;

/// Members by encoding. A quiet one gets what a raw one gets, and is counted as one; so is
/// a tracked one, and once more by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Encodings([u32; PLACES]);

/// Raw ones and envelopes, without compression and in each window.
const TRACKED: usize = 2 * (1 + Window::ALL.len());
const PLACES: usize = TRACKED + 1;

impl Encodings {
    pub(crate) fn change(&mut self, Encoding { form, window }: Encoding, by: i32) {
        let count = &mut self.0[place(form, window)];
        *count = count.saturating_add_signed(by);
        if form == Form::Tracked {
            let tracked = &mut self.0[TRACKED];
            *tracked = tracked.saturating_add_signed(by);
        }
    }

    /// Whether members want to know how far they have come.
    pub(crate) fn has_tracked(&self) -> bool {
        self.0[TRACKED] > 0
    }

    /// Whether members of this form agreed on this window.
    pub(crate) fn has(&self, form: Form, window: Window) -> bool {
        self.0[place(form, Some(window))] > 0
    }

    /// Whether members of this form are left to whom none of the `compressed` frames goes.
    pub(crate) fn need_plain(&self, form: Form, compressed: &Compressed) -> bool {
        let lacks = |window| self.has(form, window) && compressed.get(form, window).is_none();
        self.0[place(form, None)] > 0 || Window::ALL.into_iter().any(lacks)
    }
}

fn place(form: Form, window: Option<Window>) -> usize {
    let form = usize::from(form == Form::Envelope);
    form * (1 + Window::ALL.len()) + window.map_or(0, |window| 1 + window as usize)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn encoding(form: Form, window: Option<Window>) -> Encoding {
        Encoding { form, window }
    }

    fn wanted(window: Option<Window>) -> [bool; 2] {
        Window::ALL.map(|each| window == Some(each))
    }

    #[test]
    fn a_plain_frame_is_needed_by_whoever_gets_no_compressed_one() {
        let mut encodings = Encodings::default();
        let none = Compressed::default();
        assert!(!encodings.need_plain(Form::Raw, &none));
        encodings.change(encoding(Form::Quiet, Some(Window::Wide)), 1);
        assert!(encodings.has(Form::Raw, Window::Wide));
        assert!(!encodings.has(Form::Raw, Window::Narrow));
        assert!(encodings.need_plain(Form::Raw, &none));
        assert!(!encodings.need_plain(Form::Envelope, &none));
        let mut compressed = Compressed::default();
        compressed.insert(Form::Raw, Window::Wide, Bytes::from_static(b"smaller"));
        assert!(!encodings.need_plain(Form::Raw, &compressed));
        encodings.change(encoding(Form::Raw, Some(Window::Narrow)), 1);
        assert!(encodings.need_plain(Form::Raw, &compressed));
        encodings.change(encoding(Form::Raw, Some(Window::Narrow)), -1);
        encodings.change(encoding(Form::Raw, None), 1);
        assert!(encodings.need_plain(Form::Raw, &compressed));
    }

    #[test]
    fn who_has_left_no_longer_counts() {
        for form in [Form::Raw, Form::Quiet, Form::Envelope, Form::Tracked] {
            for window in [None, Some(Window::Narrow), Some(Window::Wide)] {
                let mut encodings = Encodings::default();
                encodings.change(encoding(form, window), 1);
                assert_eq!(Window::ALL.map(|each| encodings.has(form, each)), wanted(window));
                assert!(encodings.need_plain(form, &Compressed::default()));
                encodings.change(encoding(form, window), -1);
                assert_eq!(encodings, Encodings::default());
            }
        }
    }
}
