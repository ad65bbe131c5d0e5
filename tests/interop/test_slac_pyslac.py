"""Our SLAC bytes beside those of PyPI `pyslac` 0.8.3, in a venv of its own.

Its pins conflict with ours. CM_SET_KEY differs by intent: pyslac sends the nonce AA..,
ISO 15118-3 Table A.8 wants zeros.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from chargerd.vehicle.slac import messages

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180)]

VENV = Path(__file__).parents[2] / "out" / "interop" / "pyslac"
EV, EVSE = bytes(range(1, 7)), bytes(range(0x11, 0x17))
RUN, NMK = bytes(range(0x21, 0x29)), bytes(range(0x40, 0x50))
GROUPS = [number % 60 for number in range(messages.GROUPS)]

SCRIPT = """
import json
from pyslac import messages as m
from pyslac.utils import generate_nid
ev, evse = bytes(range(1, 7)), bytes(range(0x11, 0x17))
run, nmk = bytes(range(0x21, 0x29)), bytes(range(0x40, 0x50))
groups = [n % 60 for n in range(58)]
req = m.MatchReq(ev, evse, run, mvf_length=0x3E00)
print(json.dumps({
    "nid": generate_nid(nmk).hex(),
    "parm_req": bytes(m.SlacParmReq(run).pack_big()).hex(),
    "parm_cnf": bytes(m.SlacParmCnf(forwarding_sta=ev, run_id=run).pack_big()).hex(),
    "start": bytes(m.StartAtennChar(
        num_sounds=10, time_out=6, resp_type=1, forwarding_sta=ev, run_id=run
    ).pack_big()).hex(),
    "profile": bytes(m.AttenProfile(ev, groups).pack_big()).hex(),
    "char": bytes(m.AtennChar(ev, run, 10, 58, groups).pack_big()).hex(),
    "char_rsp": bytes(m.AtennCharRsp(ev, run, 0, 0, 0).pack_big()).hex(),
    "match_req": bytes(req.pack_big()).hex(),
    "match_cnf": bytes(m.MatchCnf(
        ev, evse, run, generate_nid(nmk), nmk
    ).pack_big()).hex(),
    "set_key": bytes(m.SetKeyReq(generate_nid(nmk), nmk).pack_big()).hex(),
}))
"""


@pytest.fixture(scope="module")
def theirs() -> dict[str, bytes]:
    """What pyslac makes of the same values."""
    python = VENV / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True, timeout=60)
    if not list(VENV.glob("lib/*/site-packages/pyslac")):
        pip = [python, "-m", "pip", "install", "--quiet", "pyslac==0.8.3"]
        done = subprocess.run(pip, capture_output=True, timeout=120, check=False)
        if done.returncode:
            pytest.skip("pyslac 0.8.3 cannot be installed here")
    done = subprocess.run(
        [python, "-c", SCRIPT], capture_output=True, text=True, timeout=30, check=True
    )
    return {key: bytes.fromhex(text) for key, text in json.loads(done.stdout).items()}


def test_what_we_send_is_what_pyslac_sends(theirs: dict[str, bytes]) -> None:
    request = messages.MatchReq(bytes(17), EV, bytes(17), EVSE, RUN)
    assert messages.network_id(NMK) == theirs["nid"]
    assert messages.slac_parm_cnf(EV, RUN, 10, 0.6) == theirs["parm_cnf"]
    assert messages.atten_char_ind(EV, RUN, 10, GROUPS) == theirs["char"]
    assert messages.match_cnf(request, NMK) == theirs["match_cnf"]
    ours = messages.set_key_req(NMK)
    assert ours[:1] + b"\xaa" * 4 + ours[5:] == theirs["set_key"]


def test_what_pyslac_sends_is_read(theirs: dict[str, bytes]) -> None:
    assert messages.slac_parm_req(theirs["parm_req"]) == RUN
    start = messages.StartAttenChar.read(theirs["start"])
    assert start == messages.StartAttenChar(RUN, 10, 0.6)
    profile = messages.AttenProfile.read(theirs["profile"])
    assert profile == messages.AttenProfile(EV, bytes(GROUPS))
    response = messages.AttenCharRsp.read(theirs["char_rsp"])
    assert response == messages.AttenCharRsp(EV, RUN, 0)
    match = messages.MatchReq.read(theirs["match_req"])
    assert match == messages.MatchReq(bytes(17), EV, bytes(17), EVSE, RUN)
