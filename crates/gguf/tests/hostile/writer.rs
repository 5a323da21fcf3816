//! A file in parts, of which a test may make any wrong.

/// A file; the counts and places that follow from the parts are written as they are stated here.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub(crate) version: u32,
    pub(crate) num_tensors: u64,
    pub(crate) num_settings: u64,
    /// Keys, kinds and the bytes of values.
    pub(crate) settings: Vec<(String, u32, Vec<u8>)>,
    pub(crate) tensors: Vec<Stated>,
    /// The bytes after the padding.
    pub(crate) data: Vec<u8>,
}

#[derive(Debug, Clone)]
pub(crate) struct Stated {
    pub(crate) name: String,
    /// Innermost axis first.
    pub(crate) axes: Vec<u64>,
    pub(crate) kind: u32,
    pub(crate) offset: u64,
}

impl Written {
    /// One setting, `a` = 7, and two tensors of floats: `t`, `[2, 3]`, and `u`, `[8]`.
    pub(crate) fn small() -> Self {
        let stated = |name: &str, axes: &[u64], offset| Stated {
            name: name.to_owned(),
            axes: axes.to_vec(),
            kind: 0,
            offset,
        };
        Self {
            version: 3,
            num_tensors: 2,
            num_settings: 1,
            settings: vec![("a".to_owned(), 4, 7u32.to_le_bytes().to_vec())],
            tensors: vec![stated("t", &[3, 2], 0), stated("u", &[8], 32)],
            data: (0..16u8).flat_map(|value| f32::from(value).to_le_bytes()).collect(),
        }
    }

    /// The same with another setting.
    pub(crate) fn with(mut self, key: &str, kind: u32, value: &[u8]) -> Self {
        self.num_settings += 1;
        self.settings.push((key.to_owned(), kind, value.to_vec()));
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(self.version.to_le_bytes());
        out.extend(self.num_tensors.to_le_bytes());
        out.extend(self.num_settings.to_le_bytes());
        let text = |out: &mut Vec<u8>, text: &str| {
            out.extend((text.len() as u64).to_le_bytes());
            out.extend(text.as_bytes());
        };
        for (key, kind, value) in &self.settings {
            text(&mut out, key);
            out.extend(kind.to_le_bytes());
            out.extend(value);
        }
        for tensor in &self.tensors {
            text(&mut out, &tensor.name);
            out.extend(u32::try_from(tensor.axes.len()).unwrap().to_le_bytes());
            out.extend(tensor.axes.iter().flat_map(|axis| axis.to_le_bytes()));
            out.extend(tensor.kind.to_le_bytes());
            out.extend(tensor.offset.to_le_bytes());
        }
        out.resize(out.len().next_multiple_of(32), 0);
        out.extend(&self.data);
        out
    }
}
