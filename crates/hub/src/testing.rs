//! A socket for unit tests whose room is set by the test.
