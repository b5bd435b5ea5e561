"""What the verifier lets in, and each way of being refused."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from plaza_kit.errors import Unauthenticated, Unavailable
from plaza_kit.identity import BadToken, PrincipalKind, TokenExpired, TokenVerifier
from plaza_kit.identity.issuer_keys import REFETCH_SECONDS, REFRESH_SECONDS

ISSUER = "https://id.city.example/realms/plaza"
NOW = 1_795_000_000.0
RSA = RSAKey.generate_key(2048, {"kid": "rsa-1", "use": "sig", "alg": "RS256"})
OTHER_RSA = RSAKey.generate_key(2048, {"kid": "rsa-1"})
EC = ECKey.generate_key("P-256", {"kid": "ec-1", "use": "sig"})
ED = OKPKey.generate_key("Ed25519", {"kid": "ed-1", "use": "sig", "alg": "EdDSA"})
ENCRYPTION = RSAKey.generate_key(2048, {"kid": "enc-1", "use": "enc", "alg": "RSA-OAEP"})


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims(**changes: Any) -> dict[str, Any]:
    """A data officer's access token as Keycloak 26 writes it."""
    made: dict[str, Any] = {
        "exp": int(NOW) + 300,
        "iat": int(NOW),
        "iss": ISSUER,
        "aud": "plaza",
        "sub": "8932b441",
        "typ": "Bearer",
        "azp": "plaza-cli",
        "realm_access": {"roles": ["data-officer"]},
        "organization": ["ecology"],
        "name": "林清源",
        "preferred_username": "ecology-officer",
    }
    made |= changes
    return {name: value for name, value in made.items() if value is not None}


def signed(payload: dict[str, Any], key: Any = RSA, alg: str = "RS256", kid: str | None = None) -> str:
    header = {"alg": alg, "typ": "JWT", "kid": kid or key.kid}
    registry = jws.JWSRegistry(algorithms=["RS256", "ES256", "HS256", "Ed25519", "EdDSA", "RS512"])
    registry.get_alg = lambda name: registry.algorithms[name]  # type: ignore[method-assign]
    return jws.serialize_compact(header, json.dumps(payload), key, registry=registry)


class Issuer:
    """The issuer's two documents, with a count of how often each was asked for."""

    def __init__(self, *keys: Any) -> None:
        self.keys = list(keys)
        self.asked: list[str] = []
        self.away = False
        self.calls_itself = ISSUER

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path.rsplit("/", 1)[1])
        if self.away:
            raise httpx.ConnectError("refused")
        if self.asked[-1] == "openid-configuration":
            base = f"{ISSUER}/protocol/openid-connect"
            endpoints = {"jwks_uri": f"{base}/certs", "token_endpoint": f"{base}/token"}
            return httpx.Response(200, json={"issuer": self.calls_itself, **endpoints})
        return httpx.Response(200, json={"keys": [k.as_dict(private=False) for k in self.keys]})

    @property
    def key_requests(self) -> int:
        return self.asked.count("certs")


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def verifier_for(issuer: Issuer, clock: Clock | None = None, audience: str = "plaza") -> TokenVerifier:
    clock = clock or Clock()
    http = httpx.AsyncClient(transport=httpx.MockTransport(issuer))
    return TokenVerifier(ISSUER, audience, http=http, clock=clock, monotonic=clock)


async def why(token: str, issuer: Issuer | None = None) -> str:
    with pytest.raises(BadToken) as refusal:
        await verifier_for(issuer or Issuer(RSA, EC, ED, ENCRYPTION)).verify(token)
    assert token not in str(refusal.value)
    return refusal.value.facts["why"]


async def test_a_person_is_who_the_token_says() -> None:
    principal = await verifier_for(Issuer(RSA)).verify(token := signed(claims()))
    assert principal.name == "people/8932b441"
    assert (principal.kind, principal.username, principal.display_name) == (
        PrincipalKind.PERSON,
        "ecology-officer",
        "林清源",
    )
    assert principal.departments == {"ecology"}
    assert principal.roles == {"data-officer"}
    assert principal.client_id == "plaza-cli"
    assert principal.expires_at.timestamp() == NOW + 300
    assert principal.token == token
    assert token not in repr(principal)


@pytest.mark.parametrize(("key", "alg"), [(RSA, "RS256"), (EC, "ES256"), (ED, "EdDSA")])
async def test_each_allowed_algorithm(key: Any, alg: str) -> None:
    assert (await verifier_for(Issuer(RSA, EC, ED)).verify(signed(claims(), key, alg))).username


async def test_departments_as_a_map_too() -> None:
    token = signed(claims(organization={"ecology": {"id": "1"}, "health": {}}))
    assert (await verifier_for(Issuer(RSA)).verify(token)).departments == {"ecology", "health"}


async def test_audience_as_a_list_too() -> None:
    assert await verifier_for(Issuer(RSA)).verify(signed(claims(aud=["account", "plaza"])))


def machine(client: str, *roles: str, **changes: Any) -> dict[str, Any]:
    account = {"azp": client, "preferred_username": f"service-account-{client}", "name": None}
    return claims(**(account | {"realm_access": {"roles": list(roles)}} | changes))


async def test_a_departments_machine_and_a_service() -> None:
    verifier = verifier_for(Issuer(RSA))
    worker = await verifier.verify(signed(machine("ecology-worker", "department-machine")))
    assert (worker.kind, worker.name) == (PrincipalKind.MACHINE, "machines/ecology-worker")
    service = await verifier.verify(signed(machine("plaza-gateway", "plaza-service", organization=None)))
    assert (service.kind, service.name) == (PrincipalKind.SERVICE, "services/plaza-gateway")
    assert service.departments == frozenset()


@pytest.mark.parametrize(
    "contradiction",
    [
        claims(realm_access={"roles": ["plaza-service"]}),
        claims(realm_access={"roles": ["data-officer", "department-machine"]}),
        machine("ecology-worker", "department-machine", preferred_username="service-account-plaza-gateway"),
        machine("ecology-worker", "department-machine", organization=["ecology", "health"]),
        machine("ecology-worker", "department-machine", organization=None),
        machine("plaza-gateway", "plaza-service"),
        machine("ecology-worker", "plaza-service", "department-machine"),
        machine("ecology-worker"),
        claims(sub=None),
        claims(azp=None),
        claims(preferred_username=None),
        claims(exp=None),
        claims(exp="tomorrow"),
        claims(exp=True),
        claims(exp=float("nan")),
        claims(exp=10**30),
        claims(nbf=float("inf")),
        claims(realm_access={"roles": "city-administrator"}),
        claims(organization="ecology"),
    ],
)
async def test_claims_that_contradict_themselves_make_nobody(contradiction: dict[str, Any]) -> None:
    assert await why(signed(contradiction)) == "claims"


async def test_a_forged_signature() -> None:
    assert await why(signed(claims(), OTHER_RSA)) == "signature"


async def test_changed_claims_under_an_old_signature() -> None:
    head, _, tail = signed(claims()).split(".")
    changed = b64(json.dumps(claims(realm_access={"roles": ["city-administrator"]})).encode())
    assert await why(f"{head}.{changed}.{tail}") == "signature"


async def test_no_signature() -> None:
    head = b64(json.dumps({"alg": "none", "kid": "rsa-1"}).encode())
    assert await why(f"{head}.{b64(json.dumps(claims()).encode())}.") == "algorithm"


async def test_the_public_key_is_no_shared_secret() -> None:
    """CVE-2015-9235: an HMAC made with the published key."""
    head = b64(json.dumps({"alg": "HS256", "kid": "rsa-1"}).encode())
    body = f"{head}.{b64(json.dumps(claims()).encode())}"
    for secret in (RSA.as_pem(private=False), RSA.as_pem(private=False).strip()):
        mac = hmac.new(secret, body.encode(), hashlib.sha256).digest()
        assert await why(f"{body}.{b64(mac)}") == "algorithm"


async def test_a_shared_secret_in_the_key_set_is_not_a_key() -> None:
    shared = OctKey.generate_key(256, {"kid": "oct-1"})

    class Careless(Issuer):
        def __call__(self, request: httpx.Request) -> httpx.Response:
            answer = super().__call__(request)
            if self.asked[-1] != "certs":
                return answer
            return httpx.Response(
                200, json={"keys": [shared.as_dict(private=True), RSA.as_dict(private=False)]}
            )

    token = signed(claims(), shared, "HS256")
    assert await why(token, Careless(RSA)) == "algorithm"
    token = signed(claims(), RSA, "RS256", kid="oct-1")
    assert await why(token, Careless(RSA)) == "unknown_key"


async def test_an_algorithm_that_does_not_fit_the_key() -> None:
    assert await why(signed(claims(), EC, "ES256", kid="rsa-1")) == "signature"
    assert await why(signed(claims(), OTHER_RSA, "RS512")) == "algorithm"


async def test_a_key_for_encryption_signs_nothing() -> None:
    signing_twin = RSAKey.import_key({**ENCRYPTION.as_dict(private=True), "use": "sig", "alg": "RS256"})
    assert await why(signed(claims(), signing_twin, "RS256", kid="enc-1")) == "unknown_key"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"iss": "https://id.city.example/realms/other"}, "issuer"),
        ({"iss": ISSUER + "/"}, "issuer"),
        ({"iss": None}, "issuer"),
        ({"aud": "account"}, "audience"),
        ({"aud": ["account", "plaza-cli"]}, "audience"),
        ({"aud": None}, "audience"),
        ({"typ": "ID"}, "type"),
        ({"typ": "Refresh"}, "type"),
        ({"typ": None}, "type"),
        ({"nbf": int(NOW) + 31}, "not_yet_valid"),
    ],
)
async def test_meant_for_somebody_or_something_else(changes: dict[str, Any], expected: str) -> None:
    assert await why(signed(claims(**changes))) == expected


async def test_expiry_to_the_second_with_thirty_of_leeway() -> None:
    clock = Clock()
    verifier, token = verifier_for(Issuer(RSA), clock), signed(claims(nbf=int(NOW) + 30))
    await verifier.verify(token)
    clock.now = NOW + 300 + 29.9
    await verifier.verify(token)
    clock.now = NOW + 300 + 30
    with pytest.raises(TokenExpired) as refusal:
        await verifier.verify(token)
    assert refusal.value.facts == {"expired_seconds_ago": "30"}
    assert isinstance(refusal.value, Unauthenticated)


@pytest.mark.parametrize(
    "text", ["", "a.b", "a.b.c", "....", "e30.e30", "x" * 40_000, "é.é.é", "bnVsbA.e30.AA"]
)
async def test_what_is_no_token(text: str) -> None:
    with pytest.raises(BadToken) as refusal:
        await verifier_for(Issuer(RSA)).verify(text)
    assert refusal.value.facts["why"] in ("malformed", "algorithm")


@given(st.text(max_size=60) | st.from_regex(r"[\w-]{0,20}\.[\w-]{0,20}\.[\w-]{0,20}", fullmatch=True))
def test_no_text_breaks_the_verifier(text: str) -> None:
    async def verify() -> None:
        with pytest.raises(Unauthenticated):
            await verifier_for(Issuer(RSA)).verify(text)

    asyncio.run(verify())


async def test_a_flood_of_unknown_keys_costs_the_issuer_one_request_in_five_seconds() -> None:
    issuer, clock = Issuer(RSA), Clock()
    verifier = verifier_for(issuer, clock)
    await verifier.verify(signed(claims()))
    clock.now += REFETCH_SECONDS
    flood = [verifier.verify(signed(claims(), RSA, kid=f"unknown-{n}")) for n in range(50)]
    answers = await asyncio.gather(*flood, return_exceptions=True)
    assert {a.facts["why"] for a in answers if isinstance(a, BadToken)} == {"unknown_key"}
    assert len(answers) == 50
    assert issuer.key_requests == 2
    assert await verifier.verify(signed(claims())), "known keys serve during the flood"


async def test_a_new_key_is_found_by_its_first_token() -> None:
    issuer, clock = Issuer(RSA), Clock()
    verifier = verifier_for(issuer, clock)
    await verifier.verify(signed(claims()))
    issuer.keys = [RSA, EC]
    clock.now += REFETCH_SECONDS
    assert await verifier.verify(signed(claims(), EC, "ES256"))


async def test_many_first_callers_fetch_once() -> None:
    issuer = Issuer(RSA)
    verifier = verifier_for(issuer)
    await asyncio.gather(*(verifier.verify(signed(claims())) for _ in range(20)))
    assert issuer.asked == ["openid-configuration", "certs"]


async def test_an_issuer_away_keeps_nobody_out_whose_key_is_known() -> None:
    issuer, clock = Issuer(RSA), Clock()
    verifier = verifier_for(issuer, clock)
    await verifier.verify(signed(claims()))
    issuer.away = True
    clock.now += REFRESH_SECONDS + 1
    late = signed(claims(exp=int(clock.now) + 300))
    await verifier.verify(late)
    await asyncio.sleep(0.01)
    assert issuer.key_requests == 2, "it was asked again, beside the request"
    await verifier.verify(late)


async def test_a_key_taken_away_is_forgotten() -> None:
    issuer, clock = Issuer(RSA, EC), Clock()
    verifier = verifier_for(issuer, clock)
    await verifier.verify(signed(claims()))
    issuer.keys = [EC]
    clock.now += REFRESH_SECONDS + 1
    late = signed(claims(exp=int(clock.now) + 300))
    await verifier.verify(late)
    await asyncio.sleep(0.01)
    with pytest.raises(BadToken):
        await verifier.verify(late)
    await verifier.aclose()


async def test_without_any_key_the_answer_is_unavailable_and_the_issuer_left_in_peace() -> None:
    issuer, clock = Issuer(RSA), Clock()
    issuer.away = True
    verifier = verifier_for(issuer, clock)
    for _ in range(10):
        with pytest.raises(Unavailable, match=r"id\.city\.example"):
            await verifier.verify(signed(claims()))
    assert len(issuer.asked) == 1
    issuer.away = False
    clock.now += REFETCH_SECONDS
    assert await verifier.verify(signed(claims()))


async def test_a_discovery_document_of_somebody_else_is_not_believed() -> None:
    issuer = Issuer(RSA)
    issuer.calls_itself = "https://evil.example/realms/plaza"
    with pytest.raises(Unavailable, match="calls itself"):
        await verifier_for(issuer).verify(signed(claims()))
    assert issuer.key_requests == 0
