"""A full CSMS, PyPI `arthexis`, with a line of JSON for each order; in its own venv.

Arguments: FOLDER PORT STATION PASSWORD TOKEN. Owns no judgement: it passes orders to
the CSMS's own operations and tells what is in its database.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from typing import Any

FOLDER, PORT, STATION, PASSWORD, TOKEN = sys.argv[1:]
os.environ |= {
    "DJANGO_SETTINGS_MODULE": "arthexis.settings",
    "ARTHEXIS_DATA_DIR": FOLDER,
    "ARTHEXIS_ALLOWED_HOSTS": "127.0.0.1",
    "ARTHEXIS_SECRET_KEY": "of a test",
}


def serve() -> None:
    # Not before: all of them want the environment, and daphne its own event loop.
    import django
    from daphne.server import Server, twisted_loop
    from django.conf import settings
    from django.contrib.auth.hashers import make_password
    from django.core.management import call_command

    django.setup()
    settings.OCPP_ENROLLMENT_TOKEN_HASH = make_password(PASSWORD)
    call_command("migrate", interactive=False, verbosity=0)
    from apps.energy.models import CustomerAccount
    from arthexis.asgi import application

    CustomerAccount.objects.create(key="driver", name="Driver", ocpp_id_tag=TOKEN)

    async def with_slash(scope: Any, receive: Any, send: Any) -> None:
        """Its route ends in one; a station's address does not (part 4, 3.1.1)."""
        path = scope["path"].rstrip("/") + "/"
        await application({**scope, "path": path}, receive, send)

    server = Server(
        application=with_slash,
        endpoints=[f"tcp:port={PORT}:interface=127.0.0.1"],
        signal_handlers=False,
        ready_callable=lambda: say({"ready": True}),
    )
    threading.Thread(target=orders, args=(twisted_loop,), daemon=True).start()
    server.run()


def say(value: Any) -> None:
    sys.stdout.write(json.dumps(value, default=str) + "\n")
    sys.stdout.flush()


def orders(loop: asyncio.AbstractEventLoop) -> None:
    """Each line is answered before the next is read."""
    for line in sys.stdin:
        verb, *words = json.loads(line)
        if verb == "call":
            say(asyncio.run_coroutine_threadsafe(call(*words), loop).result())
        elif verb == "restrict":
            say(restrict())
        else:
            say(table())
    os._exit(0)


async def call(action: str, payload: dict[str, Any]) -> dict[str, Any]:
    """Through the CSMS's own validation and its record of operations."""
    from apps.ocpp.models import Charger
    from apps.ocpp.transport.operations import emit_v201_operation

    charger = await Charger.objects.aget(identity=STATION)
    done = await emit_v201_operation(charger=charger, action=action, payload=payload)
    return {
        "status": done.status,
        "response": done.response_payload,
        "error": f"{done.error_code} {done.error_description}".strip(),
    }


def restrict() -> dict[str, Any]:
    """From now on only known tokens may charge."""
    from apps.ocpp.models import Charger

    return {"changed": Charger.objects.update(authorization_mode="restricted")}


def table() -> dict[str, Any]:
    """What the CSMS holds: of transactions, of messages, of the station."""
    from apps.cards.models import AuthorizationAttempt
    from apps.ocpp.models import (
        ChargerConnection,
        InboundProtocolRequest,
        MeterReadingBatch,
        OcppTransaction,
    )

    return {
        "transactions": list(
            OcppTransaction.objects.order_by("pk").values(
                "remote_id", "id_tag", "recovery_state", "started_at", "stopped_at",
                "energy_kwh", "connector__number",
            )
        ),
        "inbound": list(
            InboundProtocolRequest.objects.order_by("pk").values_list(
                "action", "response_kind", "error_description"
            )
        ),
        "authorizations": list(
            AuthorizationAttempt.objects.order_by("pk").values_list(
                "presented_id", "accepted"
            )
        ),
        "batches": MeterReadingBatch.objects.count(),
        "links": list(ChargerConnection.objects.values_list("protocol", flat=True)),
    }  # fmt: skip


serve()
