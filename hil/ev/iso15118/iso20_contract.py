"""Plug & Charge of an ISO 15118-20 vehicle: its contract, its signatures. Pure.

Owns what is signed with which key: PnC_AReqAuthorizationMode alone [V2G20-1063], the
provisioning chain, and meter readings. Sources: refs/iso15118.md 6.
"""

from __future__ import annotations

from chargerd.vehicle.iso15118 import exi, signature
from chargerd.vehicle.iso15118.messages import common
from chargerd.vehicle.iso15118.messages.common_types import ListOfRootCertificateIDs
from chargerd.vehicle.iso15118.messages.declare import Complex
from chargerd.vehicle.iso15118.messages.xmldsig import Signature, X509IssuerSerial
from hil.ev.iso15118.car import Car
from hil.ev.iso15118.iso20 import Iso20Script
from hil.ev.iso15118.script import EvError, Script
from hil.ev.iso15118.wallet import Paper, Wallet


class Iso20ContractScript(Iso20Script):
    """Pays by contract where the station takes contracts, else by card."""

    def __init__(
        self,
        car: Car,
        wallet: Wallet,
        session_id: bytes = bytes(8),
        utc_offset_s: float = 0.0,
    ) -> None:
        super().__init__(car, session_id, utc_offset_s)
        self.wallet = wallet
        self.contract = False

    def authorise(self) -> Script:
        response = yield from self.say(common.AuthorizationSetupReq)
        if "PnC" not in response.AuthorizationServices:
            yield from self.by_card(response)
            return
        if self.profile.install:
            if not response.CertificateInstallationService:
                raise EvError("a contract is wanted, and the station has none")
            yield from self._install()
        self.contract = True
        paper = self.wallet.contract
        mode = common.PnC_AReqAuthorizationMode(
            Id="id1",
            GenChallenge=response.PnC_ASResAuthorizationMode.GenChallenge,
            ContractCertificateChain=common.ContractCertificateChain(
                Certificate=paper.leaf_der,
                SubCertificates=common.SubCertificates(
                    Certificate=list(paper.subs_der)
                ),
            ),
        )
        yield from self.until_authorised(
            SelectedAuthorizationService="PnC",
            PnC_AReqAuthorizationMode=mode,
            signature=self._sign("PnC_AReqAuthorizationMode", mode, paper),
        )

    def seal(self, data: common.SignedMeteringData) -> Signature | None:
        if not self.contract:
            return None
        return self._sign("SignedMeteringData", data, self.wallet.contract)

    def _sign(self, name: str, value: Complex, paper: Paper) -> Signature:
        fragment = exi.encode_fragment("common", name, value)
        return signature.sign({"id1": fragment}, paper.key, signature.ISO20)

    def _install(self) -> Script:
        """Ask for a contract; what comes is not opened [K: its sealing is not known],
        the vehicle goes on with the one in its folder."""
        paper, (issuer, serial) = self.wallet.provisioning, self.wallet.root
        chain = common.SignedCertificateChain(
            Id="id1",
            Certificate=paper.leaf_der,
            SubCertificates=common.SubCertificates(Certificate=list(paper.subs_der)),
        )
        response = yield from self.say(
            common.CertificateInstallationReq,
            OEMProvisioningCertificateChain=chain,
            ListOfRootCertificateIDs=ListOfRootCertificateIDs(
                RootCertificateID=[
                    X509IssuerSerial(X509IssuerName=issuer, X509SerialNumber=serial)
                ]
            ),
            MaximumContractCertificateChains=1,
            signature=self._sign("OEMProvisioningCertificateChain", chain, paper),
        )
        self.station["installed"] = response.ResponseCode
