//! DEFLATE read bit by bit (RFC 1951), for messages of permessage-deflate: the judge
//! of what the gateway compresses and of what it takes for compressed.
//!
//! Slow and plain on purpose, and without a line of the library that the gateway
//! inflates with. It also measures how far back a stream refers: zlib-rs accepts
//! distances that a window of its own should no longer hold.

#![forbid(unsafe_code)]

use std::{error, fmt};

/// What ends a message, and is not sent (RFC 7692 7.2.2).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
/// An empty last block: only a stream that is between two blocks ends with it.
const LAST_BLOCK: [u8; 2] = [0x03, 0x00];

const MAX_CODE_BITS: usize = 15;
const END_OF_BLOCK: usize = 256;
/// In this order come the lengths of the code of code lengths (3.2.7).
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// Why a message can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// These are not whole blocks.
    NotDeflate,
    /// It is longer than it may be.
    TooLong,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotDeflate => "these are not whole blocks of DEFLATE",
            Self::TooLong => "the message is longer than it may be",
        })
    }
}

impl error::Error for Refusal {}

/// A message, how far back its blocks refer, and in which form it came.
#[derive(Debug, PartialEq, Eq)]
pub struct Inflated {
    /// The message.
    pub bytes: Vec<u8>,
    /// The largest distance in bytes, 0 where there is none.
    pub farthest: usize,
    /// Whether its end is as RFC 7692 7.2.1 has it: nothing but the tail was left off.
    pub is_exact: bool,
}

/// Reads the message of a whole compressed `payload`, up to `limit` bytes. The forms
/// that the gateway takes beyond the RFC are taken here too: nothing at all, a last
/// block with nothing behind it, a tail that was sent.
///
/// # Errors
/// Why it can't be read.
pub fn inflate(payload: &[u8], limit: usize) -> Result<Inflated, Refusal> {
    let tail: &[u8] = if payload.ends_with(&TAIL) { &[] } else { &TAIL };
    let stream = &[payload, tail, &LAST_BLOCK].concat();
    let mut reader = Reader { stream, at: 0, bytes: Vec::new(), start: 0, farthest: 0, limit };
    while reader.at != payload.len() * 8 && reader.at != stream.len() * 8 {
        while !reader.block()? {}
        reader.align();
        reader.start = reader.bytes.len();
    }
    let is_exact = !tail.is_empty() && reader.at > payload.len() * 8;
    Ok(Inflated { bytes: reader.bytes, farthest: reader.farthest, is_exact })
}

struct Reader<'a> {
    stream: &'a [u8],
    /// The next bit, counted from the first.
    at: usize,
    bytes: Vec<u8>,
    /// Where the blocks began that may refer to each other.
    start: usize,
    farthest: usize,
    limit: usize,
}

impl Reader<'_> {
    /// Reads one block; whether it calls itself the last.
    fn block(&mut self) -> Result<bool, Refusal> {
        let is_last = self.bits(1)? == 1;
        match self.bits(2)? {
            0 => self.stored()?,
            1 => {
                let lengths = (0..288).map(|symbol| match symbol {
                    144..256 => 9,
                    256..280 => 7,
                    _ => 8,
                });
                let lengths: Vec<usize> = lengths.collect();
                self.coded(&Code::new(&lengths)?, &Code::new(&[5; 32])?)?;
            }
            2 => {
                let (literals, distances) = self.codes()?;
                self.coded(&literals, &distances)?;
            }
            _ => return Err(Refusal::NotDeflate),
        }
        Ok(is_last)
    }

    fn stored(&mut self) -> Result<(), Refusal> {
        self.align();
        let (len, complement) = (self.bits(16)?, self.bits(16)?);
        if len ^ complement != 0xffff {
            return Err(Refusal::NotDeflate);
        }
        for _ in 0..len {
            let byte = self.bits(8)? as u8;
            self.put(byte)?;
        }
        Ok(())
    }

    fn coded(&mut self, literals: &Code, distances: &Code) -> Result<(), Refusal> {
        loop {
            match self.symbol(literals)? {
                END_OF_BLOCK => return Ok(()),
                symbol @ 0..END_OF_BLOCK => self.put(symbol as u8)?,
                symbol => {
                    let len = self.length(symbol - 257)?;
                    let symbol = self.symbol(distances)?;
                    let distance = self.distance(symbol)?;
                    self.copy(len, distance)?;
                }
            }
        }
    }

    /// 3 to 258: after eight lengths, four at a time share their number of bits.
    fn length(&mut self, symbol: usize) -> Result<usize, Refusal> {
        match symbol {
            0..8 => Ok(3 + symbol),
            8..28 => {
                let extra = symbol / 4 - 1;
                Ok(3 + ((4 + symbol % 4) << extra) + self.bits(extra)?)
            }
            28 => Ok(258),
            _ => Err(Refusal::NotDeflate),
        }
    }

    /// 1 to 32,768: after four distances, two at a time share their number of bits.
    fn distance(&mut self, symbol: usize) -> Result<usize, Refusal> {
        match symbol {
            0..4 => Ok(1 + symbol),
            4..30 => {
                let extra = symbol / 2 - 1;
                Ok(1 + ((2 + symbol % 2) << extra) + self.bits(extra)?)
            }
            _ => Err(Refusal::NotDeflate),
        }
    }

    fn copy(&mut self, len: usize, distance: usize) -> Result<(), Refusal> {
        if distance > self.bytes.len() - self.start {
            return Err(Refusal::NotDeflate);
        }
        self.farthest = self.farthest.max(distance);
        for _ in 0..len {
            self.put(self.bytes[self.bytes.len() - distance])?;
        }
        Ok(())
    }

    /// The two codes of a block that brings its own (3.2.7).
    fn codes(&mut self) -> Result<(Code, Code), Refusal> {
        let (literals, distances) = (self.bits(5)? + 257, self.bits(5)? + 1);
        let count = self.bits(4)? + 4;
        if literals > 286 || distances > 30 {
            return Err(Refusal::NotDeflate);
        }
        let mut lengths = [0; 19];
        for symbol in &ORDER[..count] {
            lengths[*symbol] = self.bits(3)?;
        }
        let code = Code::new(&lengths)?;
        if !code.is_complete {
            return Err(Refusal::NotDeflate);
        }
        let lengths = self.code_lengths(&code, literals + distances)?;
        let (literals, distances) = lengths.split_at(literals);
        if literals[END_OF_BLOCK] == 0 {
            return Err(Refusal::NotDeflate);
        }
        Ok((Code::new(literals)?, Code::new(distances)?))
    }

    fn code_lengths(&mut self, code: &Code, count: usize) -> Result<Vec<usize>, Refusal> {
        let mut lengths: Vec<usize> = Vec::new();
        while lengths.len() < count {
            let (length, times) = match self.symbol(code)? {
                16 => (*lengths.last().ok_or(Refusal::NotDeflate)?, 3 + self.bits(2)?),
                17 => (0, 3 + self.bits(3)?),
                18 => (0, 11 + self.bits(7)?),
                length => (length, 1),
            };
            lengths.extend(std::iter::repeat_n(length, times));
        }
        if lengths.len() == count { Ok(lengths) } else { Err(Refusal::NotDeflate) }
    }

    /// Codes come with their first bit first.
    fn symbol(&mut self, code: &Code) -> Result<usize, Refusal> {
        let (mut value, mut first, mut index) = (0, 0, 0);
        for count in &code.counts[1..] {
            value |= self.bits(1)?;
            if value < first + count {
                return Ok(code.symbols[index + value - first]);
            }
            index += count;
            first = (first + count) << 1;
            value <<= 1;
        }
        Err(Refusal::NotDeflate)
    }

    /// A number of `count` bits, its last bit first.
    fn bits(&mut self, count: usize) -> Result<usize, Refusal> {
        let mut number = 0;
        for i in 0..count {
            let byte = self.stream.get(self.at / 8).ok_or(Refusal::NotDeflate)?;
            number |= usize::from(byte >> (self.at % 8) & 1) << i;
            self.at += 1;
        }
        Ok(number)
    }

    fn align(&mut self) {
        self.at = self.at.next_multiple_of(8);
    }

    fn put(&mut self, byte: u8) -> Result<(), Refusal> {
        if self.bytes.len() == self.limit {
            return Err(Refusal::TooLong);
        }
        self.bytes.push(byte);
        Ok(())
    }
}

/// A Huffman code, known by the lengths of its symbols alone (3.2.2).
struct Code {
    /// How many symbols have each length.
    counts: [usize; MAX_CODE_BITS + 1],
    /// The symbols that have one, by length and then by value.
    symbols: Vec<usize>,
    /// Whether every row of bits begins with a symbol, or there is none at all.
    is_complete: bool,
}

impl Code {
    fn new(lengths: &[usize]) -> Result<Self, Refusal> {
        let mut counts = [0; MAX_CODE_BITS + 1];
        for length in lengths {
            counts[*length] += 1;
        }
        counts[0] = 0;
        let mut free = 1_usize;
        for count in &counts[1..] {
            free = (free * 2).checked_sub(*count).ok_or(Refusal::NotDeflate)?;
        }
        let mut symbols: Vec<usize> = (0..lengths.len()).filter(|i| lengths[*i] > 0).collect();
        symbols.sort_by_key(|symbol| lengths[*symbol]);
        let is_complete = free == 0 || symbols.is_empty();
        // One symbol needs one bit, though it leaves half of the code unused.
        if !is_complete && counts[1] != symbols.len() {
            return Err(Refusal::NotDeflate);
        }
        Ok(Self { counts, symbols, is_complete })
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
