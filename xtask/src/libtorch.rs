//! Which libtorch the build uses: the fetched one, or one that the user's environment names.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::wheels::LIBTORCH_VERSION;

/// Where libtorch comes from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// `target/libtorch`, filled by set-up.
    Fetched,
    /// The user's own; the folder holds the shared libraries.
    Own(PathBuf),
}

/// What the environment says about libtorch, as torch-sys reads it.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    libtorch: Option<OsString>,
    libtorch_lib: Option<OsString>,
    use_pytorch: bool,
    virtual_env: bool,
    bypass_version_check: bool,
}

impl Environment {
    /// Reads this process's environment. The value that `.cargo/config.toml` gives to programs
    /// started by cargo does not count as the user's.
    pub(crate) fn read(fetched: &Path) -> Self {
        Self {
            libtorch: env::var_os("LIBTORCH").filter(|value| Path::new(value) != fetched),
            libtorch_lib: env::var_os("LIBTORCH_LIB"),
            use_pytorch: env::var_os("LIBTORCH_USE_PYTORCH").is_some(),
            virtual_env: env::var_os("VIRTUAL_ENV").is_some(),
            bypass_version_check: env::var_os("LIBTORCH_BYPASS_VERSION_CHECK").is_some(),
        }
    }

    /// The libtorch that the build will use, checked.
    ///
    /// # Errors
    /// The user's own is not there or of another version, or none can be fetched for this system.
    pub(crate) fn source(&self) -> Result<Source> {
        if self.use_pytorch {
            return self.of_python().map(Source::Own);
        }
        if let Some(libtorch) = &self.libtorch {
            return self.of_folder(Path::new(libtorch)).map(Source::Own);
        }
        if cfg!(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")) {
            return Ok(Source::Fetched);
        }
        bail!(
            "set-up fetches libtorch for Linux on x86-64 with glibc only, and this is {} on {}: \
             unpack libtorch {LIBTORCH_VERSION} yourself and set LIBTORCH to its folder, or install \
             torch=={LIBTORCH_VERSION} for python3 and set LIBTORCH_USE_PYTORCH=1",
            env::consts::OS,
            env::consts::ARCH
        )
    }

    fn of_folder(&self, folder: &Path) -> Result<PathBuf> {
        let shown = folder.display();
        if folder.is_relative() {
            bail!("LIBTORCH is `{shown}`: give the absolute path, build scripts run elsewhere");
        }
        let lib = self.libtorch_lib.as_deref().map_or(folder, Path::new).join("lib");
        let library = format!("{}torch_cpu{}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX);
        if !lib.join(&library).is_file() {
            bail!(
                "LIBTORCH is `{shown}`, but `{}` is not there: set it to the folder that holds \
                 `include` and `lib`, or unset it and let set-up fetch libtorch {LIBTORCH_VERSION}",
                lib.join(&library).display()
            );
        }
        match version_in(folder) {
            Some(version) => {
                self.check_version(&version, &format!("LIBTORCH is `{shown}`, which"))?;
            }
            None => eprintln!(
                "xtask: `{shown}` does not say its version; it should be {LIBTORCH_VERSION}"
            ),
        }
        Ok(lib)
    }

    fn of_python(&self) -> Result<PathBuf> {
        // The interpreter that torch-sys asks.
        let python = if self.virtual_env { "python" } else { "python3" };
        let script =
            "import os, torch; print(torch.__version__); print(os.path.dirname(torch.__file__))";
        let output = Command::new(python).args(["-c", script]).output().with_context(|| {
            format!("LIBTORCH_USE_PYTORCH is set, but `{python}` does not start: install it or unset the variable")
        })?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut lines = text.lines();
        let (true, Some(version), Some(folder)) =
            (output.status.success(), lines.next(), lines.next())
        else {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            bail!(
                "LIBTORCH_USE_PYTORCH is set, but `{python}` cannot import torch ({}): install \
                 torch=={LIBTORCH_VERSION} there, or unset the variable",
                said.lines().last().unwrap_or("no message")
            );
        };
        self.check_version(version, &format!("LIBTORCH_USE_PYTORCH is set, and `{python}`"))?;
        Ok(Path::new(folder).join("lib"))
    }

    fn check_version(&self, found: &str, subject: &str) -> Result<()> {
        let release = found.trim().split('+').next().unwrap_or_default();
        if release == LIBTORCH_VERSION || self.bypass_version_check {
            return Ok(());
        }
        bail!(
            "{subject} has torch {release}, and this project needs {LIBTORCH_VERSION}: point to \
             that version, or unset the variable and let set-up fetch it"
        )
    }
}

/// Version of an unpacked libtorch (`build-version`) or of a Python package's folder (`version.py`).
fn version_in(folder: &Path) -> Option<String> {
    if let Ok(version) = fs::read_to_string(folder.join("build-version")) {
        return Some(version.trim().to_owned());
    }
    let script = fs::read_to_string(folder.join("version.py")).ok()?;
    let line = script.lines().find(|line| line.starts_with("__version__"))?;
    Some(line.split(['\'', '"']).nth(1)?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that looks like libtorch, with `file` saying the version.
    fn folder(file: &str, content: &str) -> (tempfile::TempDir, Environment) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("lib")).unwrap();
        let library = format!("{}torch_cpu{}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX);
        fs::write(folder.path().join("lib").join(library), "").unwrap();
        fs::write(folder.path().join(file), content).unwrap();
        let environment =
            Environment { libtorch: Some(folder.path().into()), ..Environment::default() };
        (folder, environment)
    }

    #[test]
    fn an_own_libtorch_of_the_right_version_wins() {
        for (file, content) in
            [("build-version", "2.11.0+cpu\n"), ("version.py", "__version__ = '2.11.0+cu130'\n")]
        {
            let (folder, environment) = folder(file, content);
            assert_eq!(environment.source().unwrap(), Source::Own(folder.path().join("lib")));
        }
    }

    #[test]
    fn an_own_libtorch_of_another_version_is_refused_with_both_versions() {
        let (_folder, mut environment) = folder("build-version", "2.9.1+cpu\n");
        let text = environment.source().unwrap_err().to_string();
        assert!(text.contains("2.9.1") && text.contains("2.11.0"), "{text}");
        environment.bypass_version_check = true;
        environment.source().unwrap();
    }

    #[test]
    fn a_folder_without_libtorch_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let environment =
            Environment { libtorch: Some(folder.path().into()), ..Environment::default() };
        let text = environment.source().unwrap_err().to_string();
        assert!(text.contains("is not there"), "{text}");
    }

    #[test]
    fn a_relative_path_is_refused() {
        let environment =
            Environment { libtorch: Some("libtorch".into()), ..Environment::default() };
        let text = environment.source().unwrap_err().to_string();
        assert!(text.contains("absolute"), "{text}");
    }
}
