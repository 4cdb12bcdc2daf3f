"""Records, seals and draws a simulated and a replayed session; shows each command that it runs.

Usage: python docs/demo.py FOLDER
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

SCRIPTS = Path(sysconfig.get_path("scripts"))
REAL_RECORDING = Path(__file__).resolve().parent.parent / "tests" / "data" / "hapt"


def run(*command: str) -> None:
    """Run one of wban's commands, as a person would type it."""
    print(f"\n$ {shlex.join(command)}", flush=True)
    subprocess.run([str(SCRIPTS / command[0]), *command[1:]], check=True)


def draw_session(folder: Path) -> Path:
    """Draw the one session below `folder` into a picture beside it."""
    session = next(folder.glob("*/session.h5")).parent
    run("wban-dataset", "plot", str(session), "-o", str(folder / "overview.png"))
    return session


def main(out: Path) -> None:
    """Fill `out` with two sessions and their pictures."""
    simulated, replayed = out / "simulated", out / "replayed"
    for folder in (simulated, replayed):
        shutil.rmtree(folder, ignore_errors=True)
    print("A simulated person wears simulated chips; the real drivers read them.")
    study = ("wban-collect", "simulate-study", "--subjects", "1", "--minutes", "2")
    run(*study, "--out", str(simulated))
    first = draw_session(simulated)
    print("\nA real person's motion, recorded by others, moves the simulated chips.")
    run("wban-collect", "start", "--replay", str(REAL_RECORDING), "--fast", "--out", str(replayed))
    second = draw_session(replayed)
    print(f"""
Look at     {simulated / "overview.png"}
and at      {replayed / "overview.png"}
Sessions    {first}
            {second}

Try next:
  . .venv/bin/activate
  wban-dataset inspect {first}
  wban-dataset verify {second}
  wban-collect start --subject S01 --activity eating --simulate       (real time; Ctrl-C ends it)
  wban-collect simulate-study --subjects 4 --minutes 10 --out study""")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python docs/demo.py FOLDER")
    main(Path(sys.argv[1]))
