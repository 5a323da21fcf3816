//! The program, libraries and machine that a part of a run was made with.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tch::Device;

/// Program, library and machine, as far as results depend on them bit by bit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Environment {
    /// Version of this crate.
    sidereal: String,
    /// The commit that the program was built from, if `SIDEREAL_COMMIT` was set for the compiler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    commit: Option<String>,
    /// Version of the libtorch that is loaded, if its folder states it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    libtorch: Option<String>,
    /// `cpu`, `cuda:0`, …
    device: String,
    /// Threads within an operation of libtorch.
    threads: i32,
}

impl Environment {
    /// The environment of this process.
    pub(crate) fn current(device: Device) -> Self {
        Self {
            sidereal: env!("CARGO_PKG_VERSION").to_owned(),
            commit: option_env!("SIDEREAL_COMMIT").map(str::to_owned),
            libtorch: loaded_libtorch(),
            device: device_name(device),
            threads: tch::get_num_threads(),
        }
    }

    /// What has changed since `earlier` environments: by name, the earlier values and the current
    /// one.
    pub(crate) fn changes<'e>(
        &self,
        earlier: impl IntoIterator<Item = &'e Self>,
    ) -> BTreeMap<&'static str, (BTreeSet<String>, String)> {
        let mut changes = BTreeMap::new();
        for earlier in earlier {
            for ((name, before), (_, now)) in earlier.fields().into_iter().zip(self.fields()) {
                if before != now {
                    let (all, _) = changes.entry(name).or_insert((BTreeSet::new(), now));
                    all.insert(before);
                }
            }
        }
        changes
    }

    fn fields(&self) -> [(&'static str, String); 5] {
        let known = |value: &Option<String>| value.clone().unwrap_or_else(|| "unknown".to_owned());
        [
            ("sidereal", self.sidereal.clone()),
            ("commit", known(&self.commit)),
            ("libtorch", known(&self.libtorch)),
            ("device", self.device.clone()),
            ("threads", self.threads.to_string()),
        ]
    }
}

/// A device as it is named to choose it: `cpu`, `cuda:0`, …
pub(crate) fn device_name(device: Device) -> String {
    match device {
        Device::Cuda(index) => format!("cuda:{index}"),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// Version of the libtorch that this process has loaded, from the files beside its library. Only
/// Linux says which one this is.
fn loaded_libtorch() -> Option<String> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let library = maps.lines().find_map(|line| {
        let path = Path::new(line.get(line.find('/')?..)?);
        path.file_name()?.to_str()?.starts_with("libtorch_cpu.").then_some(path)
    })?;
    version_in(library.parent()?.parent()?)
}

/// The version that a folder of libtorch, or of Python's torch, states.
fn version_in(folder: &Path) -> Option<String> {
    if let Ok(text) = fs::read_to_string(folder.join("build-version")) {
        return Some(text.trim().to_owned());
    }
    let text = fs::read_to_string(folder.join("version.py")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("__version__"))?;
    Some(line.trim_matches(|c: char| " ='\"".contains(c)).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_by_name_with_all_earlier_values() {
        let now = Environment::current(Device::Cpu);
        assert_eq!(now.device, "cpu");
        assert!(now.changes([&now]).is_empty());
        let [mut two, mut three] = [now.clone(), now.clone()];
        (two.threads, three.threads) = (now.threads + 2, now.threads + 3);
        three.device = "cuda:1".to_owned();
        let changes = now.changes([&now, &two, &three]);
        assert_eq!(changes.keys().copied().collect::<Vec<_>>(), ["device", "threads"]);
        assert_eq!(changes["threads"].0.len(), 2);
        assert_eq!(changes["device"], (BTreeSet::from(["cuda:1".to_owned()]), "cpu".to_owned()));
    }

    #[test]
    fn the_version_is_read_beside_the_library() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(version_in(dir.path()), None);
        fs::write(dir.path().join("version.py"), "x = 1\n__version__ = '2.1.0+cpu'\n").unwrap();
        assert_eq!(version_in(dir.path()).unwrap(), "2.1.0+cpu");
        fs::write(dir.path().join("build-version"), "2.2.0\n").unwrap();
        assert_eq!(version_in(dir.path()).unwrap(), "2.2.0");
    }
}
