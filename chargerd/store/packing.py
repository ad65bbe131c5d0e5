"""Message bodies on flash: zlib with a preset dictionary of OCPP's own words. Pure.

A 3.2 kB TransactionEvent shrinks to a few hundred bytes, so that a row fits one page of
the file. A dictionary is part of the format: never change one, add the next number.
"""

from __future__ import annotations

import zlib

# The likeliest strings stand last: zlib reaches them with the shortest distances.
_DICTIONARY_1 = (
    b'"customData":{"vendorId":""},"reservationId":,"cableMaxCurrent":,'
    b'"numberOfPhasesUsed":,"idToken":{"idToken":"","type":"ISO14443"},"remoteStartId":'
    b',"stoppedReason":"EVDisconnected","stoppedReason":"Local","stoppedReason":"Remote"'
    b',"chargingState":"EVConnected","chargingState":"SuspendedEV","chargingState":'
    b'"SuspendedEVSE","chargingState":"Idle","eventType":"Started","eventType":"Ended",'
    b'"triggerReason":"CablePluggedIn","triggerReason":"Authorized","triggerReason":'
    b'"ChargingStateChanged","triggerReason":"OperationModeChanged","triggerReason":'
    b'"ChargingRateChanged","triggerReason":"LimitSet","triggerReason":"RemoteStart",'
    b'"operationMode":"ChargingOnly","operationMode":"CentralFrequency",'
    b'"signedMeterValue":{"signedMeterData":"","signingMethod":"","encodingMethod":"",'
    b'"publicKey":""},"context":"Transaction.Begin","context":"Transaction.End",'
    b'"context":"Sample.Clock","location":"EV","location":"Inlet","phase":"L1","phase":'
    b'"L2","phase":"L3","phase":"L1-N","phase":"L2-N","phase":"L3-N","measurand":'
    b'"Current.Import","measurand":"Current.Export","measurand":"Frequency","measurand":'
    b'"Current.Offered","measurand":"Power.Offered","measurand":"Power.Import.Offered",'
    b'"measurand":"Power.Export.Offered","measurand":"Display.PresentSOC","measurand":'
    b'"Power.Reactive.Import","measurand":"Power.Factor","measurand":"Setpoint",'
    b'"unit":"Percent","unit":"Hz","unit":"A","unit":"V","unit":"kWh","multiplier":0,'
    b'TransactionEvent\0{"eventType":"Updated","timestamp":"2026-01-01T00:00:00.000Z",'
    b'"triggerReason":"MeterValuePeriodic","seqNo":0,"offline":true,"transactionInfo":{'
    b'"transactionId":"","timeSpentCharging":0,"chargingState":"Charging",'
    b'"operationMode":"CentralSetpoint"},"evse":{"id":1,"connectorId":1},"meterValue":['
    b'{"timestamp":"2026-01-01T00:00:00.000Z","sampledValue":[{"value":0.0,"measurand":'
    b'"SoC","context":"Sample.Periodic","unitOfMeasure":{"unit":"Percent"},"location":'
    b'"EV"},{"value":0.0,"measurand":"Voltage","context":"Sample.Periodic",'
    b'"unitOfMeasure":{"unit":"V"},"phase":"L1-N"},{"value":0.0,"measurand":'
    b'"Energy.Active.Export.Register","context":"Sample.Periodic","unitOfMeasure":{'
    b'"unit":"Wh"}},{"value":0.0,"measurand":"Energy.Active.Import.Register","context":'
    b'"Sample.Periodic","location":"Outlet","unitOfMeasure":{"unit":"Wh"}},{"value":0.0,'
    b'"measurand":"Power.Active.Setpoint","context":"Sample.Periodic","unitOfMeasure":{'
    b'"unit":"W"}},{"value":0.0,"measurand":"Power.Active.Export","context":'
    b'"Sample.Periodic","location":"Outlet","unitOfMeasure":{"unit":"W"}},{"value":0.0,'
    b'"measurand":"Power.Active.Import","context":"Sample.Periodic","unitOfMeasure":{'
    b'"unit":"W"}}]}]}'
)
_FORMAT_1 = b"\x01"
_LEVEL = 9


class PackingError(ValueError):
    """A stored body that cannot be read back."""


def pack(body: bytes) -> bytes:
    """One format byte, then the compressed body."""
    packer = zlib.compressobj(_LEVEL, zdict=_DICTIONARY_1)
    return _FORMAT_1 + packer.compress(body) + packer.flush()


def unpack(packed: bytes) -> bytes:
    """The body again; PackingError if it was damaged or is of an unknown format."""
    if packed[:1] != _FORMAT_1:
        raise PackingError(f"stored body has the unknown format {packed[:1]!r}")
    unpacker = zlib.decompressobj(zdict=_DICTIONARY_1)
    try:
        body = unpacker.decompress(packed[1:]) + unpacker.flush()
    except zlib.error as error:
        raise PackingError(f"stored body is damaged: {error}") from error
    if not unpacker.eof:  # zlib checks its sum only at the end of the stream
        raise PackingError("stored body is cut short")
    return body
