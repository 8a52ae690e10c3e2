//! What is wrong with one reader, as long as it is not made good, for people.

use parking_lot::Mutex;
use redcast_protocol::Channel;

/// What went wrong last with a reader's link, and with one of its channels.
#[derive(Debug, Default)]
pub(crate) struct Wrong(Mutex<Slots>);

#[derive(Debug, Default)]
struct Slots {
    link: Option<String>,
    channel: Option<(Channel, String)>,
}

impl Wrong {
    /// The link was lost, or can't be made.
    pub(crate) fn with_link(&self, sentence: String) {
        self.0.lock().link = Some(sentence);
    }

    /// There is a link, or none is missed.
    pub(crate) fn link_is_good(&self) {
        self.0.lock().link = None;
    }

    /// A channel can't be followed.
    pub(crate) fn with_channel(&self, channel: &Channel, sentence: String) {
        self.0.lock().channel = Some((channel.clone(), sentence));
    }

    /// A channel is followed.
    pub(crate) fn made_good(&self, channel: &Channel) {
        let mut slots = self.0.lock();
        if slots.channel.as_ref().is_some_and(|(wrong, _)| wrong == channel) {
            slots.channel = None;
        }
    }

    /// What to tell; without a link, that is what is wrong with the channels, too.
    pub(crate) fn sentence(&self) -> Option<String> {
        let slots = self.0.lock();
        let channel = slots.channel.as_ref().map(|(_, sentence)| sentence);
        slots.link.as_ref().or(channel).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trouble_is_told_until_it_is_made_good_and_no_other_ends_it() {
        let channel = |name: &str| Channel::parse(name).unwrap();
        let wrong = Wrong::default();
        wrong.with_channel(&channel("a"), "a is refused".to_owned());
        wrong.with_link("it is away".to_owned());
        assert_eq!(wrong.sentence().as_deref(), Some("it is away"));
        wrong.link_is_good();
        wrong.made_good(&channel("b"));
        assert_eq!(wrong.sentence().as_deref(), Some("a is refused"));
        wrong.made_good(&channel("a"));
        assert_eq!(wrong.sentence(), None);
    }
}
