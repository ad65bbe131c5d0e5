"""Words for the generated declarations: what types mean, and the units of fields.

Owns no structure. Units are told only where the standard's own names tell them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

MODULES = {
    "xmldsig": "XML signature (W3C xmldsig-core), as DIN and ISO 15118 import it.",
    "common_types": "ISO 15118-20 CommonTypes: what every -20 schema set shares.",
    "din": "DIN 70121: DC charging without contract.",
    "iso2": "ISO 15118-2: AC and DC charging, with contract.",
    "common": "ISO 15118-20 CommonMessages: the frame of a session, schedules, prices.",
    "ac": "ISO 15118-20 AC: charging and discharging through the vehicle's inverter.",
    "dc": "ISO 15118-20 DC: charging and discharging through the station's inverter.",
    "acdp": "ISO 15118-20 ACDP: charging through an automatic connection device.",
    "wpt": "ISO 15118-20 WPT: wireless power transfer.",
}
# Simple types whose names do not fall into words by themselves.
CONSTANTS = {
    "eMAID": "EMAID_TEXT",  # EMAID is a class
    "dHpublickey": "DH_PUBLIC_KEY",
    "dHParams": "DH_PARAMS",
    "dhPublicKey": "DH_PUBLIC_KEY",
    "bssid": "BSSID",
    "ipaddress": "IP_ADDRESS",
}


def choice_name(names: Sequence[str]) -> str:
    """What the options of a choice have in common, of their last two words."""
    split = [re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name) for name in names]
    common: list[str] = []
    for words in zip(*(reversed(words) for words in split), strict=False):
        if len(set(words)) > 1 or len(common) == 2:
            break
        common.insert(0, words[0].lower())
    return "_".join(common) or "value"


def about(module: str, name: str) -> str:
    """One sentence on a type; the same type may mean different things in two sets."""
    if (text := ABOUT.get(f"{module}.{name}", ABOUT.get(name))) is not None:
        return text
    if name.endswith("List"):
        return f"List of {name.removesuffix('List')}."
    if name.endswith("Stack"):
        return f"What holds during one interval: {name.removesuffix('Stack')}."
    raise KeyError(f"no words for {module}.{name}: add them to exi_words.py")


def units(module: str, fields: Sequence[tuple[str, str]]) -> list[str]:
    """Lines such as "V: EVTargetVoltage."; fields are (name, name of the type)."""
    by_unit: dict[str, list[str]] = {}
    for name, kind in fields:
        for pattern, unit in UNITS:
            if kind in NUMBERS and re.search(pattern, name):
                if unit and not (module == "wpt" and unit in ("s", "Hz")):
                    by_unit.setdefault(unit, []).append(name)
                break
    return [f"{unit}: {', '.join(names)}." for unit, names in by_unit.items()]


# Types whose values are numbers that have a unit.
NUMBERS = {
    *("RationalNumberType", "PhysicalValueType", "PMaxType", "percentValueType"),
    *("byte", "short", "int", "long", "durationType", "startType"),
    *("unsignedByte", "unsignedShort", "unsignedInt", "unsignedLong"),
}
# The first that is found in a field's name decides; "" = the name does not tell.
UNITS = (
    (r"Ramp|Fee$|PowerClass|Natural|Tolerance$", ""),
    (
        r"Time_?[Ss]tamp|TimeAnchor|CheckOutTime|DateTimeNow|TMeter",
        "s since 1970 (UTC)",
    ),
    (r"ReadingVARh", "varh"),
    (r"ReadingWh|^MeterReading", "Wh"),
    (r"SO[Cc]$|Percentage", "%"),
    (r"Time|Delay|Duration|^duration|^start$|EntryStart|FeePeriod", "s"),
    (r"ReactivePower", "var"),
    (r"Power|PMax", "W"),
    (r"Current", "A"),
    (r"Voltage", "V"),
    (r"Energy|EAmount", "Wh"),
    (r"Frequency", "Hz"),
)

BOTH_WAYS = "The same with limits of discharge, as magnitudes."

ABOUT = {
    # XML signature
    "CanonicalizationMethod": "How SignedInfo is written before it is signed.",
    "DSAKeyValue": "A DSA public key; ISO 15118 does not use it.",
    "DigestMethod": "The hash of a reference.",
    "KeyInfo": "Which key signed; ISO 15118 leaves it out.",
    "KeyValue": "A public key as such.",
    "Manifest": "References that the application checks by itself.",
    "Object": "Anything carried inside a signature; ISO 15118 leaves it out.",
    "PGPData": "An OpenPGP key; ISO 15118 does not use it.",
    "RSAKeyValue": "An RSA public key; ISO 15118 does not use it.",
    "Reference": "One signed fragment: its Id (URI), its hash.",
    "RetrievalMethod": "Where a key can be had.",
    "SPKIData": "A SPKI key; ISO 15118 does not use it.",
    "Signature": "Signature of a message's fragment, in the message's header.",
    "SignatureMethod": "The signature's algorithm.",
    "SignatureProperties": "Statements about the signature.",
    "SignatureProperty": "One statement about the signature.",
    "SignatureValue": "The signature: r and s, one after the other.",
    "SignedInfo": "What is signed: methods and hashes of the fragments.",
    "Transform": "One step before a fragment is hashed; ISO 15118: canonical EXI.",
    "Transforms": "The steps before a fragment is hashed.",
    "X509Data": "Certificates or what tells which.",
    "X509IssuerSerial": "A certificate told by its issuer and serial number.",
    # the frame of DIN and -2
    "V2G_Message": "The one document of the set: header and body.",
    "Body": "Holds at most one message.",
    "BodyBase": "What every message in a Body is.",
    "MessageHeader": "Session, and the signature of the body where there is one.",
    "Notification": "What was wrong with the message before.",
    "Entry": "Base of an entry in a schedule.",
    "Interval": "Base of a stretch of time.",
    "RelativeTimeInterval": "From `start` on (after the schedule begins), for"
    " `duration`.",
    "PhysicalValue": "Value times 10 to the power of Multiplier, in Unit.",
    "Parameter": "One named value; exactly one of the fields is set.",
    "ParameterSet": "One way a service can be had.",
    "ServiceParameterList": "The ways a service can be had.",
    # sessions
    "SessionSetupReq": "Opens a session; SessionID 0 for a new one, else resumes.",
    "SessionSetupRes": "Session is open: whether new or resumed, and who we are.",
    "SessionStopReq": "Ends or pauses the session.",
    "SessionStopRes": "Session is ended or paused.",
    "SessionStop": "Ends the session (element SessionStopReq).",
    "ServiceDiscoveryReq": "Asks what the station offers.",
    "ServiceDiscoveryRes": "What the station offers.",
    "ServiceDetailReq": "Asks for the parameters of one service.",
    "ServiceDetailRes": "The parameter sets of one service.",
    "ServicePaymentSelectionReq": "The services and the payment the vehicle takes.",
    "ServicePaymentSelectionRes": "Whether the choice is accepted.",
    "PaymentServiceSelectionReq": "The services and the payment the vehicle takes.",
    "PaymentServiceSelectionRes": "Whether the choice is accepted.",
    "ServiceSelectionReq": "The services the vehicle takes.",
    "ServiceSelectionRes": "Whether the choice is accepted.",
    "PaymentDetailsReq": "The contract the vehicle wants to pay with.",
    "PaymentDetailsRes": "The challenge the vehicle has to sign.",
    "ContractAuthenticationReq": "Asks whether charging is allowed; repeated.",
    "ContractAuthenticationRes": "Whether charging is allowed, or still being found"
    " out.",
    "iso2.AuthorizationReq": "Asks whether charging is allowed; signed with a"
    " contract.",
    "AuthorizationReq": "How the driver authorises: by other means or by contract.",
    "AuthorizationRes": "Whether charging is allowed, or still being found out.",
    "AuthorizationSetupReq": "Asks how a driver may authorise here.",
    "AuthorizationSetupRes": "How a driver may authorise here.",
    "ChargeParameterDiscoveryReq": "The vehicle's limits and needs.",
    "ChargeParameterDiscoveryRes": "The station's limits and schedules.",
    "common_types.ChargeParameterDiscoveryReq": "Base: the vehicle's limits.",
    "common_types.ChargeParameterDiscoveryRes": "Base: the station's limits.",
    "PowerDeliveryReq": "Starts or stops the flow of power, or asks to renegotiate.",
    "PowerDeliveryRes": "Whether power can flow.",
    "ChargingStatusReq": "AC loop: how is it going?",
    "ChargingStatusRes": "AC loop: meter, limits, what the station wants.",
    "MeteringReceiptReq": "The vehicle signs what the meter said.",
    "MeteringReceiptRes": "Whether the receipt is accepted.",
    "MeteringConfirmationReq": "The vehicle signs what the meter said.",
    "MeteringConfirmationRes": "Whether the receipt is accepted.",
    "CableCheckReq": "Asks for the insulation test; repeated until it is finished.",
    "CableCheckRes": "How far the insulation test is.",
    "PreChargeReq": "Asks for the battery's voltage at the outlet; repeated.",
    "PreChargeRes": "The voltage at the outlet.",
    "CurrentDemandReq": "DC loop: the current and voltage the vehicle wants now.",
    "CurrentDemandRes": "DC loop: the present current and voltage, and the limits met.",
    "WeldingDetectionReq": "The vehicle opens its contactors and asks for the voltage.",
    "WeldingDetectionRes": "The voltage at the outlet.",
    "CertificateInstallationReq": "Asks for a contract certificate.",
    "CertificateInstallationRes": "A contract certificate and its encrypted private"
    " key.",
    "CertificateUpdateReq": "Asks for a newer contract certificate.",
    "CertificateUpdateRes": "A newer contract certificate and its private key.",
    # services, certificates
    "Service": "One service on offer.",
    "ServiceTag": "A service's number, name and kind.",
    "ServiceTagList": "Services beside charging.",
    "ServiceCharge": "The charging service on offer.",
    "ChargeService": "The charging service on offer.",
    "SelectedService": "One service taken, and which of its parameter sets.",
    "SupportedEnergyTransferMode": "The energy transfer modes on offer.",
    "PaymentOptions": "The ways to pay on offer.",
    "PaymentOptionList": "The ways to pay on offer.",
    "ListOfRootCertificateIDs": "The root certificates the vehicle has.",
    "CertificateChain": "A certificate (DER) and those between it and its root.",
    "SignedCertificateChain": "A certificate chain that can be signed (has an Id).",
    "ContractCertificateChain": "A contract certificate (DER) and those above it.",
    "SubCertificates": "Certificates (DER) between the leaf and the root.",
    "ContractSignatureEncryptedPrivateKey": "The contract's private key, encrypted.",
    "DiffieHellmanPublickey": "The public key (uncompressed point) of the key"
    " exchange.",
    "EMAID": "The contract's identifier.",
    # states and limits of DIN and -2
    "EVSEStatus": "Base: the state of the station.",
    "common_types.EVSEStatus": "What the station asks the vehicle to do, and how soon.",
    "AC_EVSEStatus": "What an AC station asks the vehicle to do; its residual current.",
    "DC_EVSEStatus": "What a DC station asks the vehicle to do; insulation, state.",
    "EVStatus": "Base: the state of the vehicle.",
    "DC_EVStatus": "The state of the vehicle and its battery.",
    "EVChargeParameter": "Base: the vehicle's limits.",
    "AC_EVChargeParameter": "The vehicle's limits and need in AC.",
    "DC_EVChargeParameter": "The vehicle's limits and need in DC.",
    "EVSEChargeParameter": "Base: the station's limits.",
    "AC_EVSEChargeParameter": "The station's limits in AC.",
    "DC_EVSEChargeParameter": "The station's limits in DC.",
    "EVPowerDeliveryParameter": "Base: the vehicle's state when power starts or stops.",
    "DC_EVPowerDeliveryParameter": "The vehicle's state when DC power starts or stops.",
    "MeterInfo": "A reading of the station's meter.",
    # schedules of DIN and -2
    "SASchedules": "Base: schedules of the secondary actor.",
    "SAScheduleList": "The schedules on offer.",
    "SAScheduleTuple": "One schedule on offer: power limits, and prices.",
    "PMaxSchedule": "Power limits over time.",
    "PMaxScheduleEntry": "The power limit of one interval.",
    "SalesTariff": "Prices over time.",
    "SalesTariffEntry": "The price of one interval.",
    "ConsumptionCost": "What power above `startValue` costs.",
    "Cost": "One cost: `amount` times 10 to the power of `amountMultiplier`.",
    "ChargingProfile": "The power the vehicle means to take over time.",
    "ProfileEntry": "The power the vehicle means to take from a time on.",
    # -20, shared
    "V2GMessage": "Base of every message.",
    "V2GRequest": "Base of every request.",
    "V2GResponse": "Base of every response.",
    "common_types.MessageHeader": "Session, time of sending, signature of a fragment.",
    "RationalNumber": "Value times 10 to the power of Exponent.",
    "ChargeLoopReq": "Base of the charge loop's requests.",
    "ChargeLoopRes": "Base of the charge loop's responses.",
    "CLReqControlMode": "Base: the vehicle's part of the loop in one control mode.",
    "CLResControlMode": "Base: the station's part of the loop in one control mode.",
    "Scheduled_CLReqControlMode": "Base: the vehicle follows a schedule.",
    "Scheduled_CLResControlMode": "Base: the vehicle follows a schedule.",
    "Dynamic_CLReqControlMode": "Base: the station sets the power. Energy requests may"
    " be"
    " negative: a full battery that may be emptied.",
    "Dynamic_CLResControlMode": "Base: the station sets the power.",
    "DisplayParameters": "What the station may show the driver.",
    "common_types.MeterInfo": "A reading of the station's meter, both directions.",
    "DetailedCost": "One item of the bill.",
    "DetailedTax": "One tax of the bill.",
    "Receipt": "What the session has cost.",
    # -20 CommonMessages
    "EIM_ASResAuthorizationMode": "By other means than the vehicle: nothing to tell.",
    "PnC_ASResAuthorizationMode": "By contract: the challenge the vehicle has to sign.",
    "EIM_AReqAuthorizationMode": "By other means than the vehicle: nothing to tell.",
    "PnC_AReqAuthorizationMode": "By contract: the challenge and the certificate;"
    " signed.",
    "SupportedProvidersList": "The contract providers the station knows.",
    "ScheduleExchangeReq": "What energy the vehicle needs, and by when.",
    "ScheduleExchangeRes": "Schedules and prices, or the aims of the dynamic mode.",
    "Dynamic_SEReqControlMode": "The needs when the station sets the power.",
    "Dynamic_SEResControlMode": "The aims when the station sets the power.",
    "Scheduled_SEReqControlMode": "The needs when the vehicle follows a schedule.",
    "Scheduled_SEResControlMode": "The schedules on offer.",
    "ScheduleTuple": "One schedule on offer, for charging and for discharging.",
    "ChargingSchedule": "Power over time, and prices.",
    "PowerSchedule": "Power over time.",
    "PowerScheduleEntry": "Power of one interval; negative is discharge.",
    "EVEnergyOffer": "What the vehicle would give, and for how much.",
    "EVPowerSchedule": "Power the vehicle would give over time.",
    "EVPowerScheduleEntry": "Power of one interval; negative is discharge.",
    "EVAbsolutePriceSchedule": "What the vehicle's energy costs over time.",
    "EVPriceRule": "What energy costs from a power on.",
    "EVPowerProfile": "The power the vehicle means to take over time.",
    "Dynamic_EVPPTControlMode": "The station sets the power: nothing to tell.",
    "Scheduled_EVPPTControlMode": "The schedule the vehicle has chosen.",
    "PriceSchedule": "Base of prices over time.",
    "PriceLevelSchedule": "Prices as levels, without money.",
    "PriceLevelScheduleEntry": "Price level of one interval.",
    "AbsolutePriceSchedule": "Prices in money: energy, taxes, overstay, extras.",
    "PriceRule": "What energy and parking cost from a power on.",
    "TaxRule": "One tax and what it is put on.",
    "OverstayRule": "What it costs to stay after charging.",
    "OverstayRuleList": "What it costs to stay after charging, and when it begins.",
    "AdditionalService": "One extra and its price.",
    "SignedMeteringData": "The meter's reading as the vehicle signs it.",
    "Dynamic_SMDTControlMode": "The station set the power: nothing to tell.",
    "Scheduled_SMDTControlMode": "The schedule the vehicle followed.",
    "SignedInstallationData": "A contract and its encrypted key; the provider signs"
    " it.",
    "TargetPosition": "Where the vehicle should stand.",
    "VehicleCheckInReq": "The vehicle comes to a parking place.",
    "VehicleCheckInRes": "Where the parking place is.",
    "VehicleCheckOutReq": "The vehicle is about to leave.",
    "VehicleCheckOutRes": "Whether the vehicle may leave.",
    # -20 AC
    "AC_ChargeParameterDiscoveryReq": "The vehicle's limits in AC.",
    "AC_ChargeParameterDiscoveryRes": "The station's limits in AC.",
    "AC_CPDReqEnergyTransferMode": "The vehicle's limits when charging.",
    "AC_CPDResEnergyTransferMode": "The station's limits when charging.",
    "BPT_AC_CPDReqEnergyTransferMode": "The vehicle's limits in both directions,"
    " as magnitudes.",
    "BPT_AC_CPDResEnergyTransferMode": "The station's limits in both directions,"
    " as magnitudes.",
    "AC_ChargeLoopReq": "AC loop, the vehicle's part.",
    "AC_ChargeLoopRes": "AC loop, the station's part.",
    "Scheduled_AC_CLReqControlMode": "The vehicle follows a schedule: its limits and"
    " present power; negative power is discharge.",
    "Scheduled_AC_CLResControlMode": "The vehicle follows a schedule: the station's"
    " target"
    " is a wish; negative power is discharge.",
    "Dynamic_AC_CLReqControlMode": "The station sets the power: the vehicle's limits"
    " and"
    " present power; negative power is discharge.",
    "Dynamic_AC_CLResControlMode": "The station sets the power by"
    " EVSETargetActivePower;"
    " negative is discharge.",
    "BPT_Scheduled_AC_CLReqControlMode": BOTH_WAYS,
    "BPT_Scheduled_AC_CLResControlMode": "The same, both directions.",
    "BPT_Dynamic_AC_CLReqControlMode": BOTH_WAYS,
    "BPT_Dynamic_AC_CLResControlMode": "The same, both directions.",
    # -20 DC
    "DC_ChargeParameterDiscoveryReq": "The vehicle's limits in DC.",
    "DC_ChargeParameterDiscoveryRes": "The station's limits in DC.",
    "DC_CPDReqEnergyTransferMode": "The vehicle's limits when charging.",
    "DC_CPDResEnergyTransferMode": "The station's limits when charging.",
    "BPT_DC_CPDReqEnergyTransferMode": "The vehicle's limits in both directions,"
    " as magnitudes.",
    "BPT_DC_CPDResEnergyTransferMode": "The station's limits in both directions,"
    " as magnitudes.",
    "DC_CableCheckReq": "Asks for the insulation test; repeated until it is finished.",
    "DC_CableCheckRes": "How far the insulation test is.",
    "DC_PreChargeReq": "Asks for the battery's voltage at the outlet; repeated.",
    "DC_PreChargeRes": "The voltage at the outlet.",
    "DC_ChargeLoopReq": "DC loop, the vehicle's part.",
    "DC_ChargeLoopRes": "DC loop, the station's part; negative EVSEPresentCurrent is"
    " discharge.",
    "DC_WeldingDetectionReq": "The vehicle opens its contactors and asks for the"
    " voltage.",
    "DC_WeldingDetectionRes": "The voltage at the outlet.",
    "Scheduled_DC_CLReqControlMode": "The vehicle sets the current: EVTargetCurrent,"
    " negative is discharge.",
    "Scheduled_DC_CLResControlMode": "The vehicle sets the current: the station's"
    " limits.",
    "Dynamic_DC_CLReqControlMode": "The station sets the current: the vehicle's"
    " limits.",
    "Dynamic_DC_CLResControlMode": "The station sets the current: its own limits.",
    "BPT_Scheduled_DC_CLReqControlMode": BOTH_WAYS,
    "BPT_Scheduled_DC_CLResControlMode": BOTH_WAYS,
    "BPT_Dynamic_DC_CLReqControlMode": BOTH_WAYS,
    "BPT_Dynamic_DC_CLResControlMode": BOTH_WAYS,
    # -20 ACDP
    "ACDP_ConnectReq": "Asks to connect.",
    "ACDP_ConnectRes": "How far connecting is.",
    "ACDP_DisconnectReq": "Asks to let go; what it holds is as in ACDP_ConnectReq.",
    "ACDP_DisconnectRes": "How far letting go is; what it holds is as above.",
    "ACDP_SystemStatusReq": "The vehicle's technical state.",
    "ACDP_SystemStatusRes": "The connection device's technical state.",
    "ACDP_VehiclePositioningReq": "Asks where the vehicle stands.",
    "ACDP_VehiclePositioningRes": "How far the vehicle stands from its place.",
    "EVTechnicalStatus": "The vehicle's technical state.",
    # -20 WPT
    "AlternativeSECC": "Another station the vehicle may rather be at.",
    "WPT_AlignmentCheckReq": "Asks to check that the coils are aligned.",
    "WPT_AlignmentCheckRes": "Whether the coils are aligned.",
    "WPT_ChargeLoopReq": "Wireless loop, the vehicle's part.",
    "WPT_ChargeLoopRes": "Wireless loop, the station's part.",
    "WPT_ChargeParameterDiscoveryReq": "The vehicle coil's limits.",
    "WPT_ChargeParameterDiscoveryRes": "The station coil's limits.",
    "WPT_CoordinateXYZ": "A place in three directions.",
    "WPT_EVPCPowerControlParameter": "The vehicle's side of the power control.",
    "WPT_SPCPowerControlParameter": "The station's side of the power control.",
    "WPT_FinePositioningReq": "Positioning goes on: what the vehicle has received.",
    "WPT_FinePositioningRes": "Positioning goes on: what the station has received.",
    "WPT_FinePositioningSetupReq": "The positioning methods of the vehicle.",
    "WPT_FinePositioningSetupRes": "The positioning methods of the station.",
    "WPT_LF_DataPackage": "One package of low-frequency positioning.",
    "WPT_LF_ReceiverData": "What the receivers of low-frequency positioning are.",
    "WPT_LF_RxData": "What one receiver has received.",
    "WPT_LF_RxRSSI": "How strongly one transmitter was received.",
    "WPT_LF_SystemSetupData": "Set-up of low-frequency positioning, one side.",
    "WPT_LF_TransmitterData": "What the transmitters of low-frequency positioning are.",
    "WPT_LF_TxData": "What one transmitter sends.",
    "WPT_PairingReq": "Pairing: the code the vehicle has observed.",
    "WPT_PairingRes": "Pairing: whether this is the station at the vehicle's coil.",
    "WPT_TxRxPackageSpecData": "How packages are sent.",
    "WPT_TxRxPulseOrder": "The place of one transmitter in the pulse sequence.",
    "WPT_TxRxSpecData": "Where one antenna is and how it points.",
}
