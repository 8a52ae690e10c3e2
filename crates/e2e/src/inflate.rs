//! A strict judge of compressed messages: DEFLATE as RFC 1951 has it, in a window of the
//! agreed size. Slow, but it shares no code with the gateway, and it notices a look back
//! past the window, which the usual libraries forgive.

/// What ends a message's data and is not sent, RFC 7692 section 7.2.1.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// In which order the lengths of the code lengths' codes come, RFC 1951 section 3.2.7.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
const LONGEST_CODE: usize = 15;

/// Inflates a message's data in a window of so many bits, or says what is wrong with it.
pub fn inflated(data: &[u8], window_bits: u8) -> Result<Vec<u8>, String> {
    let data = [data, &TAIL].concat();
    let mut inflate = Inflate {
        bits: Bits { data: &data, at: 0 },
        payload: Vec::new(),
        window: 1 << window_bits,
    };
    // The end of the last byte is filled up with zeros.
    while inflate.bits.at.div_ceil(8) < data.len() {
        let is_last = inflate.bits.take(1)? == 1;
        match inflate.bits.take(2)? {
            0 => inflate.stored()?,
            1 => inflate.coded(&fixed())?,
            2 => {
                let codes = inflate.codes()?;
                inflate.coded(&codes)?;
            }
            _ => return Err("a block of no kind".to_owned()),
        }
        if is_last {
            // The message may go on with another stream (RFC 7692 section 7.2.3.4).
            inflate.bits.at = inflate.bits.at.next_multiple_of(8);
        }
    }
    Ok(inflate.payload)
}

struct Inflate<'a> {
    bits: Bits<'a>,
    payload: Vec<u8>,
    window: usize,
}

struct Bits<'a> {
    data: &'a [u8],
    at: usize,
}

/// How symbols are written: how many have a code of each length, and which, in order.
struct Code {
    counts: [u16; LONGEST_CODE + 1],
    symbols: Vec<u16>,
}

/// Those of literals and lengths, and of distances.
struct Codes(Code, Code);

impl Bits<'_> {
    /// The next bits, the first the lowest.
    fn take(&mut self, count: usize) -> Result<usize, String> {
        let mut value = 0;
        for place in 0..count {
            let byte = self.data.get(self.at / 8).ok_or("the data ends inside of a block")?;
            value |= usize::from(byte >> (self.at % 8) & 1) << place;
            self.at += 1;
        }
        Ok(value)
    }

    /// The next symbol; codes come with their highest bit first.
    fn symbol(&mut self, code: &Code) -> Result<usize, String> {
        let (mut value, mut first, mut index) = (0, 0, 0);
        for count in &code.counts[1..] {
            value |= self.take(1)?;
            let count = usize::from(*count);
            if value < first + count {
                return Ok(usize::from(code.symbols[index + value - first]));
            }
            index += count;
            first = (first + count) << 1;
            value <<= 1;
        }
        Err("a code that means nothing".to_owned())
    }
}

impl Code {
    /// From the length of each symbol's code; 0 means that it has none.
    fn of_lengths(lengths: &[u8]) -> Self {
        let mut counts = [0; LONGEST_CODE + 1];
        lengths.iter().for_each(|length| counts[usize::from(*length)] += 1);
        counts[0] = 0;
        let mut symbols: Vec<u16> = (0..)
            .zip(lengths)
            .filter(|(_, length)| **length > 0)
            .map(|(symbol, _)| symbol)
            .collect();
        symbols.sort_by_key(|symbol| lengths[usize::from(*symbol)]);
        Self { counts, symbols }
    }
}

fn fixed() -> Codes {
    let literals = [(8, 144), (9, 112), (7, 24), (8, 8)];
    let literals: Vec<u8> =
        literals.into_iter().flat_map(|(length, count)| vec![length; count]).collect();
    Codes(Code::of_lengths(&literals), Code::of_lengths(&[5; 30]))
}

impl Inflate<'_> {
    fn stored(&mut self) -> Result<(), String> {
        self.bits.at = self.bits.at.next_multiple_of(8);
        let (length, inverse) = (self.bits.take(16)?, self.bits.take(16)?);
        if length != !inverse & 0xffff {
            return Err("a stored block whose length is no length".to_owned());
        }
        for _ in 0..length {
            let byte = self.bits.take(8)?;
            self.push(byte);
        }
        Ok(())
    }

    /// The codes in front of a block that has its own.
    fn codes(&mut self) -> Result<Codes, String> {
        let literals = self.bits.take(5)? + 257;
        let distances = self.bits.take(5)? + 1;
        let mut lengths = [0; 19];
        for place in &ORDER[..self.bits.take(4)? + 4] {
            lengths[*place] = self.bits.take(3)? as u8;
        }
        let code = Code::of_lengths(&lengths);
        let mut lengths = Vec::new();
        while lengths.len() < literals + distances {
            let (length, times) = match self.bits.symbol(&code)? {
                16 => {
                    let last = *lengths.last().ok_or("nothing to repeat")?;
                    (last, 3 + self.bits.take(2)?)
                }
                17 => (0, 3 + self.bits.take(3)?),
                18 => (0, 11 + self.bits.take(7)?),
                length => (length as u8, 1),
            };
            lengths.resize(lengths.len() + times, length);
        }
        if lengths.len() > literals + distances {
            return Err("more codes than were announced".to_owned());
        }
        let distances = lengths.split_off(literals);
        Ok(Codes(Code::of_lengths(&lengths), Code::of_lengths(&distances)))
    }

    fn coded(&mut self, Codes(literals, distances): &Codes) -> Result<(), String> {
        loop {
            let length = match self.bits.symbol(literals)? {
                256 => return Ok(()),
                literal @ 0..256 => {
                    self.push(literal);
                    continue;
                }
                285 => 258,
                symbol @ 257..265 => symbol - 254,
                symbol @ 265..285 => {
                    let extra = (symbol - 261) / 4;
                    3 + ((4 + (symbol - 265) % 4) << extra) + self.bits.take(extra)?
                }
                symbol => return Err(format!("{symbol} is no length")),
            };
            let distance = match self.bits.symbol(distances)? {
                symbol @ 0..4 => symbol + 1,
                symbol @ 4..30 => {
                    let extra = symbol / 2 - 1;
                    1 + ((2 + symbol % 2) << extra) + self.bits.take(extra)?
                }
                symbol => return Err(format!("{symbol} is no distance")),
            };
            self.look_back(length, distance)?;
        }
    }

    fn look_back(&mut self, length: usize, distance: usize) -> Result<(), String> {
        let start =
            self.payload.len().checked_sub(distance).ok_or("a look before the beginning")?;
        if distance > self.window {
            return Err(format!("a look back by {distance} in a window of {}", self.window));
        }
        for at in start..start + length {
            self.payload.push(self.payload[at]);
        }
        Ok(())
    }

    fn push(&mut self, byte: usize) {
        self.payload.push(byte as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deflate::deflated;

    #[test]
    fn the_examples_of_the_rfc() {
        // RFC 7692 sections 7.2.3.1, 7.2.3.3 and 7.2.3.4.
        for data in [
            &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..],
            &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
        ] {
            assert_eq!(inflated(data, 9).as_deref(), Ok(&b"Hello"[..]), "{data:x?}");
        }
    }

    #[test]
    fn what_others_deflate_is_inflated() {
        let words = "one word after the other, ".repeat(5000);
        for payload in [&b""[..], b"a", &[7; 300], words.as_bytes(), &random(70_000)] {
            assert_eq!(inflated(&deflated(payload), 15).as_deref(), Ok(payload));
        }
    }

    #[test]
    fn a_look_back_past_the_window_is_noticed() {
        let payload = random(513).repeat(2);
        let data = deflated(&payload);
        assert!(data.len() < 600, "the second half is a look back at the first");
        assert_eq!(inflated(&data, 10), Ok(payload));
        let error = inflated(&data, 9).unwrap_err();
        assert_eq!(error, "a look back by 513 in a window of 512");
    }

    #[test]
    fn what_is_no_deflate_is_refused() {
        for data in [&[0xff][..], &[0x00, 0x05, 0x00, 0x05, 0x00], &[0x06, 0x00], &[0xf2, 0x48]] {
            assert!(inflated(data, 15).is_err(), "{data:x?}");
        }
    }

    /// Bytes without a pattern: xorshift64.
    fn random(count: usize) -> Vec<u8> {
        let numbers = std::iter::successors(Some(88_172_645_463_325_252_u64), |last| {
            let mixed = last ^ (last << 13);
            let mixed = mixed ^ (mixed >> 7);
            Some(mixed ^ (mixed << 17))
        });
        numbers.take(count).map(|number| number as u8).collect()
    }
}
