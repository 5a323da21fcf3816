//! Files, plain or compressed.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;
use std::rc::Rc;

use flate2::read::MultiGzDecoder;

use crate::DataError;

/// First bytes of a gzip member and of a zstd frame.
const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// First bytes of a zstd frame to skip: the first one is `0x50` to `0x5f`.
const ZSTD_SKIPPABLE: [u8; 3] = [0x2a, 0x4d, 0x18];
/// Largest window that a zstd frame may ask for: 128 MiB, the largest that `zstd` itself makes by
/// default.
const ZSTD_WINDOW_LOG: u32 = 27;
/// Compressed bytes read at once.
const BUFFER: usize = 1 << 16;

/// Opens a file; gzip (also of several members) and zstd (also of several frames) are recognised by
/// their first bytes, whatever the name, and decompressed.
///
/// # Errors
/// [`DataError::Io`].
pub(super) fn open(path: &Path) -> Result<Box<dyn Read + Send>, DataError> {
    let decoded = || -> io::Result<Box<dyn Read + Send>> {
        let mut file = File::open(path)?;
        let mut head = [0; 4];
        let mut len = 0;
        while len < head.len() {
            match file.read(&mut head[len..])? {
                0 => break,
                read => len += read,
            }
        }
        let file = Cursor::new(head).take(len as u64).chain(file);
        Ok(if head.starts_with(&GZIP) {
            Box::new(MultiGzDecoder::new(BufReader::with_capacity(BUFFER, file)))
        } else if head == ZSTD || (head[0] >> 4 == 5 && head[1..] == ZSTD_SKIPPABLE) {
            let mut decoder = zstd::Decoder::new(file)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        } else {
            Box::new(file)
        })
    };
    decoded().map_err(|source| DataError::io(path, source))
}

/// Input of which only a limited number of bytes may be read until the limit is set again. A few
/// compressed bytes can make a row or an entry without an end, which must not fill the memory.
pub(super) struct Limited {
    input: Box<dyn Read + Send>,
    left: Rc<Cell<usize>>,
}

impl Limited {
    /// The input, and what sets the limit. A reader with a buffer may be that much ahead.
    pub(super) fn new(input: Box<dyn Read + Send>, max: usize) -> (Self, Rc<Cell<usize>>) {
        let left = Rc::new(Cell::new(max));
        (Self { input, left: Rc::clone(&left) }, left)
    }
}

impl Read for Limited {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        let left = self.left.get().checked_sub(read).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "a row is longer than the policy allows")
        })?;
        self.left.set(left);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plain.json"); // the name says nothing
        std::fs::write(&path, bytes).unwrap();
        let mut out = Vec::new();
        open(&path).unwrap().read_to_end(&mut out)?;
        Ok(out)
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(text).unwrap();
        out.finish().unwrap()
    }

    #[test]
    fn plain_gzip_and_zstd_read_the_same() {
        let text = b"a line\nanother\n".repeat(9000);
        let zstd = zstd::encode_all(&text[..], 3).unwrap();
        for bytes in [text.clone(), gzip(&text), zstd] {
            assert!(read(&bytes).unwrap() == text);
        }
    }

    #[test]
    fn several_members_or_frames_are_one_text() {
        let frame = |text: &[u8]| zstd::encode_all(text, 3).unwrap();
        let skipped = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
        assert_eq!(read(&[gzip(b"ab"), gzip(b"c")].concat()).unwrap(), b"abc");
        assert_eq!(read(&[frame(b"ab"), frame(b"c")].concat()).unwrap(), b"abc");
        assert_eq!(read(&[&skipped[..], &frame(b"ab")].concat()).unwrap(), b"ab");
    }

    #[test]
    fn short_files_are_plain_and_cut_ones_an_error() {
        for text in [&b""[..], b"\x1f", b"abc"] {
            assert_eq!(read(text).unwrap(), text);
        }
        let whole = gzip(&b"some text".repeat(100));
        assert!(read(&whole[..whole.len() - 5]).is_err());
        let whole = zstd::encode_all(&b"some text"[..], 3).unwrap();
        assert!(read(&whole[..whole.len() - 5]).is_err());
    }
}
