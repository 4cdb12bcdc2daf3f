"""One page that a user can send back: what was found, and what it was found on."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from datetime import datetime
from html import escape
from importlib.metadata import distributions
from pathlib import Path

from wban_collect.config import Config, to_toml
from wban_collect.doctor.finding import Finding
from wban_dataset.recording.wording import counted

MARKS = {"ok": "✓", "warning": "!", "failure": "✗"}
PACKAGES = ("wban", "numpy", "h5py", "pyzmq", "click", "smbus2", "msgspec", "picamera2", "gpiod")
MODEL = Path("/proc/device-tree/model")

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; vertical-align: top; padding: .35rem .7rem .35rem 0;
  border-bottom: 1px solid #8884; }
.mark { font-weight: bold; }
.ok .mark { color: #1a7f37; } .warning .mark { color: #b26a00; } .failure .mark { color: #c62828; }
.remedy { color: #777; }
pre { overflow-x: auto; padding: 1rem; border: 1px solid #8884; border-radius: .4rem; }
"""


def report_page(findings: Sequence[Finding], config: Config) -> str:
    """Make the page: self-contained HTML, without names of people, addresses or keys."""
    counts = {verdict: sum(f.verdict == verdict for f in findings) for verdict in MARKS}
    made = f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}"
    about = "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in _about())
    rows = "".join(map(_row, findings))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>wban doctor, {made}</title><style>{_STYLE}</style></head><body>"
        f"<h1>wban doctor</h1><p>{made}: {counts['ok']} ok, "
        f"{counted(counts['warning'], 'warning')}, {counted(counts['failure'], 'failure')}.</p>"
        f"<h2>Found</h2><table><tbody>{rows}</tbody></table>"
        f"<h2>Machine</h2><table><tbody>{about}</tbody></table>"
        f"<h2>Configuration</h2><pre>{escape(_without_people(config))}</pre></body></html>\n"
    )


def _row(finding: Finding) -> str:
    remedy = f'<div class="remedy">{escape(finding.remedy)}</div>' if finding.remedy else ""
    return (
        f'<tr class="{finding.verdict}"><td class="mark">{MARKS[finding.verdict]} '
        f"{finding.verdict}</td><th>{escape(finding.area)}</th>"
        f"<td>{escape(finding.text)}{remedy}</td></tr>"
    )


def _about() -> list[tuple[str, str]]:
    installed = {d.metadata["Name"].lower(): d.version for d in distributions()}
    versions = [f"{name} {installed[name]}" for name in PACKAGES if name in installed]
    return [
        ("model", _model()),
        ("kernel", f"{platform.system()} {platform.release()} {platform.machine()}"),
        ("system", _system()),
        ("Python", platform.python_version()),
        ("packages", ", ".join(versions)),
    ]


def _model() -> str:
    try:
        return MODEL.read_text(encoding="utf-8").strip("\0\n ")
    except OSError:
        return "no device tree (no Raspberry Pi)"


def _system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "unknown")
    except OSError:
        return "unknown"


def _without_people(config: Config) -> str:
    """Give the configuration without subject and annotator: a report goes to strangers."""
    lines = to_toml(config).splitlines()
    return "\n".join(
        line for line in lines if not line.startswith(("subject =", "annotator =", "keys ="))
    )
