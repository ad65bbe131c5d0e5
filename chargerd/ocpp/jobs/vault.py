"""The certificates and keys under `certificates_dir`: blocking hands of
`jobs/certificates.py`.

Owns what is written there. A private key is made here, written with mode 0600, and
never returned. What replaces something stands beside it until it has worked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509

from chargerd.config import Config
from chargerd.model import CertificateHash
from chargerd.ocpp.effects import OcppError
from chargerd.ocpp.jobs import certificates as work
from chargerd.ocpp.jobs import keys
from chargerd.ocpp.jobs.certificates import Held, Inventory, Value
from chargerd.trust import layout as files
from chargerd.trust.chain import anchor, issued
from chargerd.trust.errors import TrustError
from chargerd.trust.files import replace_file, sync
from chargerd.trust.name import certificate_hash, certificate_hashes
from chargerd.trust.staple import read_staple
from chargerd.trust.store import Kind, Root, TrustStore, called, read_root, readable

KINDS = {
    "V2GRootCertificate": Kind.V2G,
    "MORootCertificate": Kind.MO,
    "OEMRootCertificate": Kind.OEM,
    work.CSMS_ROOT: Kind.CSMS,
    "ManufacturerRootCertificate": Kind.MANUFACTURER,
}
_USES = {kind: use for use, kind in KINDS.items()} | {Kind.CSMS_BEFORE: work.CSMS_ROOT}
_CSMS = (Kind.CSMS, Kind.CSMS_BEFORE)


@dataclass(frozen=True, slots=True)
class Vault:
    """Each call reads or writes the disk."""

    folder: Path
    store: TrustStore
    chains: tuple[Path, ...] = ()  # of the configuration, shown to vehicles

    @classmethod
    def of(cls, config: Config) -> Vault:
        folder, words = config.ocpp.certificates_dir, config.vehicle.iso15118
        named = {
            Kind.V2G: words.v2g_roots,
            Kind.MO: words.mo_roots,
            Kind.OEM: words.oem_roots,
            Kind.CSMS: folder / files.CA,
        }
        more = {kind: place for kind, place in named.items() if place is not None}
        chains = tuple(pair.chain for pair in words.certificates)
        return cls(folder, TrustStore(folder, more), chains)

    def do(self, task: work.Task) -> tuple[list[Value], bool]:
        """The job's values, and whether a vehicle's connection may see a change.
        Raises OcppError for what cannot be done."""
        try:
            return self._do(task)
        except TrustError as error:
            raise OcppError(str(error)) from error
        except OSError as error:
            raise OcppError(f"certificates in {self.folder}: {error}") from error

    def _do(self, task: work.Task) -> tuple[list[Value], bool]:
        match task:
            case work.ReadCertificates():
                return [self.inventory()], False
            case work.InstallRoot():
                return [self.install(task), self.inventory()], True
            case work.DeleteCertificate():
                return [self.delete(task), self.inventory()], True
            case work.MakeKey():
                return [self.make_key(task)], False
            case work.TakeSigned():
                return [self.take(task), self.inventory()], True
            case work.Settle():
                settled = self.settle(task)
                return [settled, self.inventory()], False
            case work.KeepStaple():
                self.keep_staple(task)
                return [self.inventory()], True

    # What is here.

    def inventory(self) -> Inventory:
        roots: dict[tuple[str, x509.Certificate], Held] = {}
        for root in self.store.roots()[0]:
            use = _USES[root.kind]
            roots[use, root.certificate] = _held(use, [root.certificate] * 2)
        own = [
            self._chain_held(work.CHAIN, file, signing_use)
            for file, signing_use in self._secc()
        ]
        own.append(self._chain_held(work.STATION, self._station(), work.STATION))
        held = (*roots.values(), *(each for each in own if each is not None))
        return Inventory(held, tuple(self._staples()))

    def _station(self) -> Path:
        return files.station_pair(self.folder, spare=False)[0]

    def _secc(self) -> list[tuple[Path, str]]:
        """Chains shown to vehicles; only those that OCPP brought are renewed by it."""
        made = [
            (self.folder / files.SECC / f"{use}.pem", use)
            for use in (work.V2G, work.V2G20)
        ]
        return [(file, use) for file, use in made if file.is_file()] + [
            (file, "") for file in self.chains
        ]

    def _chain_held(self, use: str, file: Path, renewed_as: str) -> Held | None:
        try:
            path = readable(file.read_bytes())
        except (OSError, TrustError):
            return None  # who shows it says so
        kind = Kind.CSMS if use == work.STATION else Kind.V2G
        top = anchor(path[-1], self._certificates(kind))
        return _held(use, [*path, top or path[-1]], renewed_as)

    def _certificates(self, *kinds: Kind) -> list[x509.Certificate]:
        return [root.certificate for root in self.store.roots(*kinds)[0]]

    def _staples(self) -> Iterable[tuple[str, datetime]]:
        for file in sorted((self.folder / files.STAPLES).glob("*.der")):
            try:
                yield file.stem, read_staple(file.read_bytes()).until_utc
            except (OSError, TrustError):
                continue  # it is fetched anew

    # Roots.

    def install(self, task: work.InstallRoot) -> work.Installed:
        """M05."""
        pem = task.pem.encode()
        try:
            certificate = read_root(pem, task.now_utc)
            keys.check_strength(certificate)
        except TrustError as error:
            return work.Installed(str(error), "InvalidCertificate")
        kind = KINDS[task.use]
        old = self.store.roots(kind)[0]
        here = any(root.certificate == certificate for root in old)
        replaces = task.replaces and kind is Kind.CSMS and not here and bool(old)
        if replaces and not any(issued(certificate, root.certificate) for root in old):
            why = "the root that it would replace has not signed it"
            return work.Installed(why, "InvalidCertificate")
        if not here and not replaces and self.inventory().entries >= task.room:
            return work.Installed(f"{task.room} are here", "TooManyElements")
        if replaces:
            self._set_aside(old)
        self.store.add(kind, pem, None)
        if replaces:
            self.store.drop(old)
        return work.Installed()

    def _set_aside(self, old: list[Root]) -> None:
        """Until the new one has worked (M05.FR.12); what was there before goes."""
        earlier = self.store.roots(Kind.CSMS_BEFORE)[0]
        for root in old:
            self.store.add(Kind.CSMS_BEFORE, keys.pem(root.certificate), None)
        kept = [root.certificate for root in old]
        self.store.drop([root for root in earlier if root.certificate not in kept])

    # Any.

    def delete(self, task: work.DeleteCertificate) -> work.Deleted:
        """M04."""
        named = task.named
        if self._is(self._station(), Kind.CSMS, named):
            return work.Deleted("Failed", "the station's own certificate (M04.FR.06)")
        for file, renewed_as in self._secc():
            if self._is(file, Kind.V2G, named):
                if not renewed_as:
                    return work.Deleted("Failed", f"{file} is of the configuration")
                replace_file(file, None)
                return work.Deleted("Accepted")
        csms = self.store.roots(*_CSMS)[0]
        gone = [root for root in csms if root.is_called(named)]
        if gone and len(gone) == len(csms) and task.keep_csms:
            return work.Deleted("Failed", "it is the last root of the CSMS")
        return work.Deleted("Accepted" if self.store.remove(named) else "NotFound")

    def _is(self, file: Path, kind: Kind, named: CertificateHash) -> bool:
        try:
            path = readable(file.read_bytes())
        except (OSError, TrustError):
            return False
        above = path[1] if len(path) > 1 else None
        issuer = above or anchor(path[0], self._certificates(kind)) or path[0]
        return called(certificate_hash(path[0], issuer, named.algorithm), named)

    # Own keys.

    def make_key(self, task: work.MakeKey) -> work.Csr:
        key = keys.new_key(task.use)
        replace_file(self._pending(task.use), keys.key_pem(key))
        return work.Csr(keys.csr(key, task.subject), self._wanted_root(task.use))

    def _pending(self, use: str) -> Path:
        return self.folder / files.PENDING / f"{use}.key"

    def _wanted_root(self, use: str) -> CertificateHash | None:
        """Of the certificate in use now; else the newest root of that kind."""
        if use == work.STATION:
            return None  # asked for by A02.FR.27 for vehicles' certificates alone
        roots = self._certificates(Kind.V2G)
        for file, renewed_as in self._secc():
            if renewed_as == use:
                found = anchor(readable(file.read_bytes())[-1], roots)
                if found is not None:
                    return certificate_hash(found, found)
        best = max(roots, key=lambda each: each.not_valid_before_utc, default=None)
        return None if best is None else certificate_hash(best, best)

    def take(self, task: work.TakeSigned) -> work.Taken:
        """A02.FR.06 to .08: check a signed chain, put it in place with its key."""
        pending = self._pending(task.use)
        kind = Kind.CSMS if task.use == work.STATION else Kind.V2G
        try:
            key = pending.read_bytes()
            path = readable(task.chain_pem.encode())
            roots = self._certificates(kind)
            path = keys.check_signed(
                path, key, task.subject, roots, kind.value, task.now_utc
            )
        except FileNotFoundError:
            return work.Taken("its key is not here: it was not asked for")
        except TrustError as error:
            return work.Taken(str(error))
        whole = key + b"".join(keys.pem(each) for each in path)
        name = files.STATION_NEW
        if task.use != work.STATION:
            name = f"{files.SECC}/{task.use}.pem"
        replace_file(self.folder / name, whole)
        replace_file(pending, None)
        return work.Taken()

    def settle(self, task: work.Settle) -> work.Settled:
        """A02.FR.10, M05.FR.13: what is not in use goes."""
        new = self.folder / files.STATION_NEW
        discarded = renewed = roots_gone = False
        if task.shows_certificate and new.is_file():
            if task.spare_client:
                replace_file(new, None)
                discarded = True
            else:
                new.replace(self.folder / files.STATION)
                (self.folder / files.STATION_KEY).unlink(missing_ok=True)
                sync(self.folder)
                renewed = True
        before = self.store.roots(Kind.CSMS_BEFORE)[0]
        if before and not task.spare_root:
            self.store.drop(before)
            roots_gone = True
        return work.Settled(discarded, renewed, roots_gone)

    def keep_staple(self, task: work.KeepStaple) -> None:
        """M06: only good news, dated, about that certificate."""
        staple = read_staple(task.der)
        if f"{staple.serial:x}" != task.serial:
            raise OcppError("OCSP response: it is about another certificate")
        if task.now_utc is not None and not staple.fresh(task.now_utc):
            ended = staple.until_utc.isoformat()
            raise OcppError(f"OCSP response: it ended {ended}")
        replace_file(self.folder / files.STAPLES / f"{task.serial}.der", task.der)


def _held(use: str, path: list[x509.Certificate], renewed_as: str = "") -> Held:
    """Leaf first, its root last; a root alone comes twice."""
    leaf_name, *children = certificate_hashes(path)
    leaf = path[0]
    return Held(
        use,
        leaf_name,
        leaf.not_valid_after_utc,
        leaf.not_valid_before_utc,
        tuple(children)[:4],
        renewed_as,
    )
