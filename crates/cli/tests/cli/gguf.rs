//! A model in GGUF becomes an HF folder.

use std::fs;
use std::path::Path;

use crate::program::{fails, succeeds};

#[test]
fn a_model_in_gguf_is_exported_as_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let model =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../policy/tests/parity/gguf/qwen3.gguf");
    // As `cargo xtask model smollm2` puts the real one.
    fs::create_dir_all(dir.path().join("target/smollm2")).unwrap();
    fs::copy(&model, dir.path().join("target/smollm2/model.gguf")).unwrap();
    for model in ["target/smollm2/model.gguf", "target/smollm2", "smollm2"] {
        succeeds(dir.path(), &["export", model, "--out", "hf"]);
        for file in [
            "config.json",
            "generation_config.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "chat_template.jinja",
            "model.safetensors",
        ] {
            assert!(dir.path().join("hf").join(file).is_file(), "{file}");
        }
        fs::remove_dir_all(dir.path().join("hf")).unwrap();
    }
    fs::write(dir.path().join("x.gguf"), "GGUF\x03\0\0\0").unwrap();
    let said = fails(dir.path(), &["export", "x.gguf", "--out", "hf"], 1);
    assert!(
        said.contains("`x.gguf` cannot be read") && said.contains("the file ends within"),
        "{said}"
    );
}
