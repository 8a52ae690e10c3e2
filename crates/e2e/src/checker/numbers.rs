//! A set of event numbers: they are dense and begin at 1, so a bit each is enough for
//! thousands of clients.

/// A set of numbers.
#[derive(Debug, Clone, Default)]
pub struct Numbers {
    words: Vec<u64>,
}

impl Numbers {
    /// Adds one; false if it was there already.
    pub fn insert(&mut self, number: u64) -> bool {
        let (word, bit) = place(number);
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        let is_new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        is_new
    }

    /// Whether it holds this one.
    pub fn contains(&self, number: u64) -> bool {
        let (word, bit) = place(number);
        self.words.get(word).is_some_and(|found| found & bit != 0)
    }

    /// How many it holds.
    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.words.clear();
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        let bits = |(word, &bits): (usize, &u64)| {
            let number = move |bit: u64| word as u64 * 64 + bit;
            (0..64).filter(move |bit| bits >> bit & 1 == 1).map(number)
        };
        self.words.iter().enumerate().flat_map(bits)
    }
}

fn place(number: u64) -> (usize, u64) {
    let word = usize::try_from(number / 64).expect("a small number");
    (word, 1 << (number % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_set() {
        let mut numbers = Numbers::default();
        assert!(numbers.is_empty());
        for number in [0, 63, 64, 1000] {
            assert!(numbers.insert(number) && numbers.contains(number));
        }
        assert!(!numbers.insert(64));
        assert!(!numbers.contains(65) && !numbers.contains(1 << 20));
        assert_eq!(numbers.len(), 4);
        assert_eq!(numbers.iter().collect::<Vec<_>>(), [0, 63, 64, 1000]);
        numbers.clear();
        assert!(numbers.is_empty());
    }
}
