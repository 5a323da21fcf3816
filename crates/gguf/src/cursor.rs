//! A place in the bytes of a file.

use crate::error::GgufError;

/// What is left of the bytes, from a place on.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, at: 0 }
    }

    /// Bytes from the beginning to this place.
    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    /// Number of bytes after this place.
    pub(crate) const fn left(&self) -> usize {
        self.rest.len()
    }

    /// The next `len` bytes.
    pub(crate) fn take(&mut self, len: u64, what: &'static str) -> Result<&'a [u8], GgufError> {
        let taken = usize::try_from(len).ok().and_then(|len| self.rest.split_at_checked(len));
        let Some((taken, rest)) = taken else {
            return Err(GgufError::Truncated { what, at: self.at, needed: len, left: self.left() });
        };
        self.rest = rest;
        self.at += taken.len();
        Ok(taken)
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(
        &mut self,
        what: &'static str,
    ) -> Result<[u8; N], GgufError> {
        let Some((taken, rest)) = self.rest.split_first_chunk::<N>() else {
            let (at, left) = (self.at, self.left());
            return Err(GgufError::Truncated { what, at, needed: N as u64, left });
        };
        self.rest = rest;
        self.at += N;
        Ok(*taken)
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, GgufError> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn u64(&mut self, what: &'static str) -> Result<u64, GgufError> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// A text after its length.
    pub(crate) fn text(&mut self, what: &'static str) -> Result<&'a str, GgufError> {
        let len = self.u64(what)?;
        let at = self.at;
        std::str::from_utf8(self.take(len, what)?).map_err(|_| GgufError::Text { what, at })
    }

    /// A count of things that take at least `least` bytes each.
    pub(crate) fn count(&mut self, least: usize, what: &'static str) -> Result<u64, GgufError> {
        let found = self.u64(what)?;
        self.check_count(found, least, what)?;
        Ok(found)
    }

    /// Accepts a count if the rest has room for so many things of at least `least` bytes each.
    pub(crate) fn check_count(
        &self,
        found: u64,
        least: usize,
        what: &'static str,
    ) -> Result<(), GgufError> {
        let room = self.left() / least;
        if usize::try_from(found).is_ok_and(|found| found <= room) {
            return Ok(());
        }
        Err(GgufError::Count { what, found, room })
    }
}
