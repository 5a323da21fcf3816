"""Test programs of cargo: built, listed, and run on chosen tests.

A program with libtorch takes longer to load than most tests take, so each is loaded once and forked for every run
(`server.c`).
"""

import json
import math
import os
import pathlib
import select
import shlex
import shutil
import signal
import subprocess
import tempfile
import time

# Cases of proptest that fail under a mutant must not be kept as files, nor made smaller for long (ms).
SETTINGS = {
    "OMP_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "INSTA_UPDATE": "no",
    "PROPTEST_DISABLE_FAILURE_PERSISTENCE": "true",
    "PROPTEST_MAX_SHRINK_TIME": "2000",
    "RUST_BACKTRACE": "0",
}
# A test that waits instead of computing is stopped after this many times its limit.
WAITING = 15.0


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


class Servers:
    """The test programs that are loaded, one process for each."""

    def __init__(self):
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="mutants-"))
        self.shim = self.scratch / "server.so"
        source = pathlib.Path(__file__).with_name("server.c")
        subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", self.shim, source, "-ldl"], check=True)
        self.processes = {}

    def close(self):
        for process in self.processes.values():
            process.stdin.close()
            process.wait()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def of(self, program):
        if program["name"] not in self.processes:
            environment = os.environ | SETTINGS
            environment |= {"LD_PRELOAD": str(self.shim), "CARGO_MANIFEST_DIR": program["folder"]}
            self.processes[program["name"]] = subprocess.Popen(
                [program["file"]],
                cwd=program["folder"],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
            )
        return self.processes[program["name"]]

    def run(self, program, test, seconds, variables):
        """Runs one test on one thread, for at most `seconds` of processor time.

        Processor time, because a busy machine makes a test wait. Returns how it ended (`passed`, `failed` or
        `timeout`) and the processor time.
        """
        server = self.of(program)
        output, folder = self.scratch / "output", self.scratch / "files"
        folder.mkdir()
        words = [str(output), str(math.ceil(seconds)), f"TMPDIR={folder}"]
        words += [f"{name}={value}" for name, value in variables.items()]
        words += ["", "--exact", "--test-threads=1", test]
        server.stdin.write(("\t".join(words) + "\n").encode())
        child = int(server.stdout.readline())
        stopped = not select.select([server.stdout], [], [], WAITING * seconds)[0]
        if stopped:
            os.killpg(child, signal.SIGKILL)
        status, milliseconds = map(int, server.stdout.readline().split())
        try:
            os.killpg(child, signal.SIGKILL)
        except ProcessLookupError:
            pass
        shutil.rmtree(folder, ignore_errors=True)
        code = os.waitstatus_to_exitcode(status)
        over = stopped or code in (-signal.SIGXCPU, -signal.SIGKILL)
        return "timeout" if over else "passed" if code == 0 else "failed", milliseconds / 1000
