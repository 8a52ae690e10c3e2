//! Which of a cluster's 16,384 slots a key or a shard channel belongs to (Redis Cluster
//! specification, "Key distribution model" and "Hash tags").

/// How many slots a cluster has.
pub(crate) const SLOTS: u16 = 16_384;

/// The generator of CRC16-XMODEM, as the specification names it.
const POLYNOMIAL: u16 = 0x1021;

/// What each value of the upper byte adds, computed once by the compiler.
const TABLE: [u16; 256] = table();

/// The slot of `name`.
pub(crate) fn slot_of(name: &str) -> u16 {
    let hashed = hash_tag(name).unwrap_or(name);
    crc16(hashed.as_bytes()) % SLOTS
}

/// The part between the first `{` and the first `}` behind it: it alone is hashed, unless
/// there is nothing between them.
pub(crate) fn hash_tag(name: &str) -> Option<&str> {
    let (_, behind) = name.split_once('{')?;
    let (tag, _) = behind.split_once('}')?;
    (!tag.is_empty()).then_some(tag)
}

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        let [upper, _] = crc.to_be_bytes();
        (crc << 8) ^ TABLE[usize::from(upper ^ byte)]
    })
}

const fn table() -> [u16; 256] {
    let mut table = [0; 256];
    let mut upper: u16 = 0;
    while upper < 256 {
        let mut crc = upper << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ POLYNOMIAL };
            bit += 1;
        }
        table[upper as usize] = crc;
        upper += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value of the specification's appendix A.
    #[test]
    fn the_check_value_of_the_specification_comes_out() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(crc16(b""), 0);
    }

    /// What `CLUSTER KEYSLOT` of a redis-server 7.0 answers.
    #[test]
    fn slots_are_those_that_redis_counts() {
        for (name, slot) in [
            ("somekey", 11_058),
            ("foo{hash_tag}", 2_515),
            ("foo", 12_182),
            ("bar", 5_061),
            ("hello", 866),
        ] {
            assert_eq!(slot_of(name), slot, "{name}");
        }
    }

    /// The examples of the specification.
    #[test]
    fn only_the_first_tag_with_something_in_it_counts() {
        assert_eq!(slot_of("{user1000}.following"), slot_of("{user1000}.followers"));
        assert_eq!(hash_tag("foo{}{bar}"), None);
        assert_eq!(hash_tag("foo{{bar}}zap"), Some("{bar"));
        assert_eq!(hash_tag("foo{bar}{zap}"), Some("bar"));
        assert_eq!(hash_tag("foo}bar{zap"), None);
    }
}
