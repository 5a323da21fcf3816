//! Finds the device for tensors by name. One binary works on machines with and without a GPU.

mod waiting;

use tch::{Cuda, Device};

pub use waiting::share_cores;

/// The device does not exist, or the name is not that of a device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot use the device `{name}`: {reason}")]
pub struct DeviceError {
    /// What was asked for.
    pub name: String,
    /// Why it cannot be used.
    pub reason: String,
}

/// The device of this name: `cpu`, `cuda`, `cuda:N`, or `auto` (CUDA where there is one).
///
/// The program is linked against libtorch's CPU part alone; its CUDA part is opened here, once,
/// when a GPU is requested, so that one binary serves both. Call this before the first tensor.
///
/// # Errors
/// [`DeviceError`] for another name, or a GPU that cannot be used.
pub fn device(name: &str) -> Result<Device, DeviceError> {
    let refuse = |reason: &str| DeviceError { name: name.into(), reason: reason.into() };
    if name == "cpu" {
        return Ok(Device::Cpu);
    }
    let index = match name {
        "auto" | "cuda" => 0,
        _ => name
            .strip_prefix("cuda:")
            .and_then(|index| index.parse().ok())
            .ok_or_else(|| refuse("expected `cpu`, `cuda`, `cuda:N` or `auto`"))?,
    };
    let opened = open_cuda_library();
    // A negative count says that there is none.
    let count = usize::try_from(Cuda::device_count()).unwrap_or(0);
    match (name, index < count, opened) {
        (_, true, _) => Ok(Device::Cuda(index)),
        ("auto", ..) => Ok(Device::Cpu),
        (_, _, Err(cause)) => Err(refuse(&format!(
            "libtorch's CUDA part could not be opened ({cause}); use `cpu`, or let the loader's \
             path lead to a CUDA build of the same libtorch"
        ))),
        _ => Err(refuse(&format!("this machine has {count} CUDA devices; use `cpu`"))),
    }
}

/// Opens `libtorch_cuda.so` from the loader's path, keeping its symbols for libtorch to find.
#[allow(unsafe_code, reason = "opening a shared library runs its initialisers")]
fn open_cuda_library() -> Result<(), libloading::Error> {
    #[cfg(unix)]
    {
        use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
        // SAFETY: libtorch's own library; its initialisers register kernels and nothing else, and
        // it is never closed.
        let library = unsafe { Library::open(Some("libtorch_cuda.so"), RTLD_NOW | RTLD_GLOBAL) }?;
        std::mem::forget(library);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_cannot_be_used_is_refused_with_the_choices() {
        assert_eq!(device("cpu").unwrap(), Device::Cpu);
        let error = device("gpu").unwrap_err().to_string();
        assert!(error.contains("`gpu`") && error.contains("cuda:N"), "{error}");
        // No machine has so many.
        let error = device("cuda:4096").unwrap_err().to_string();
        assert!(error.contains("use `cpu`"), "{error}");
    }
}
