"""Test programs of cargo: built, listed, and run on chosen tests."""

import json
import os
import pathlib
import resource
import select
import shlex
import shutil
import signal
import subprocess
import tempfile
import time

# Cases of proptest that failed under a mutant must not be kept as files, nor made smaller.
SETTINGS = {
    "OMP_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "INSTA_UPDATE": "no",
    "PROPTEST_DISABLE_FAILURE_PERSISTENCE": "true",
    "PROPTEST_MAX_SHRINK_ITERS": "0",
    "RUST_BACKTRACE": "0",
}
MEMORY = 8 << 30
FILE_SIZE = 1 << 30


def build(copy, arguments):
    """Builds the test programs that `arguments` of `cargo test` name."""
    cargo = shlex.split(os.environ.get("CARGO", "cargo"))
    command = cargo + ["test", "--no-run", "--message-format", "json"] + arguments
    done = subprocess.run(command, cwd=copy, stdout=subprocess.PIPE, check=True)
    found = []
    for line in done.stdout.splitlines():
        artifact = json.loads(line) if line.startswith(b"{") else {}
        if artifact.get("reason") == "compiler-artifact" and artifact.get("executable"):
            folder = pathlib.Path(artifact["manifest_path"]).parent
            found.append(
                {
                    "name": f"{folder.name}/{artifact['target']['kind'][0]}/{artifact['target']['name']}",
                    "folder": str(folder),
                    "file": artifact["executable"],
                }
            )
    return found


def tests(program):
    """Names of the tests of `program` that are not ignored."""

    def names(*more):
        command = [program["file"], "--list", "--format", "terse", *more]
        listed = subprocess.run(command, cwd=program["folder"], capture_output=True, text=True, check=True)
        return [line.removesuffix(": test") for line in listed.stdout.splitlines() if line.endswith(": test")]

    ignored = set(names("--ignored"))
    return [name for name in names() if name not in ignored]


def limit():
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_SIZE, FILE_SIZE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run(program, names, seconds, variables):
    """Runs `names` on one thread until one fails, or nothing is printed for `seconds`.

    Returns how it ended (`passed`, `failed` or `timeout`) and the test that failed, if one can be named.
    """
    scratch = tempfile.mkdtemp(prefix="mutants-")
    environment = os.environ | SETTINGS | variables
    environment |= {"TMPDIR": scratch, "CARGO_MANIFEST_DIR": program["folder"]}
    process = subprocess.Popen(
        [program["file"], "--exact", "--test-threads=1", *names],
        cwd=program["folder"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=limit,
    )
    output, last = b"", time.monotonic()
    try:
        while True:
            ready, _, _ = select.select([process.stdout], [], [], max(0.0, last + seconds - time.monotonic()))
            if not ready:
                return "timeout", running(output)
            chunk = os.read(process.stdout.fileno(), 1 << 16)
            if not chunk:
                break
            output, last = output + chunk, time.monotonic()
            if b"... FAILED\n" in output:
                return "failed", running(output)
        return ("passed", None) if process.wait() == 0 else ("failed", running(output))
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
        shutil.rmtree(scratch, ignore_errors=True)


def running(output):
    """The last test that the output names."""
    named = [line for line in output.decode(errors="replace").splitlines() if line.startswith("test ")]
    return named[-1].split()[1] if named else None
