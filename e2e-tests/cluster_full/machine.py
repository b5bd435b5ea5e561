"""A department's machine client, as the department's own programs use it: it delivers files and asks what became."""

from __future__ import annotations

from dataclasses import dataclass

import httpx
from cluster import Cluster

FILE = b"no,name\n" + b"".join(b"%d,n%d\n" % (line, line) for line in range(1000))


@dataclass(eq=False)
class Machine:
    """Logs in with the secret of its namespace."""

    plaza: Cluster
    department: str

    def token(self, secret: str = "") -> str | None:
        """An access token; None when Keycloak refuses it. Without a secret: that of its namespace."""
        form = {
            "grant_type": "client_credentials",
            "client_id": f"{self.department}-worker",
            "client_secret": secret
            or self.plaza.secret("worker", "client-secret", f"dept-{self.department}"),
        }
        place = f"{self.plaza.issuer}/protocol/openid-connect/token"
        answer = httpx.post(place, data=form, trust_env=False, timeout=60)
        return str(answer.json()["access_token"]) if answer.is_success else None

    def order(self, content: bytes = FILE) -> tuple[str, str]:
        """A file to be read; answers the names of upload and run."""
        place = f"/departments/{self.department}/uploads"
        upload = self._ask("POST", place, params={"fileName": "a.csv"}, content=content)
        run = self._ask("POST", f"/{upload['name']}:infer", json={})
        return upload["name"], run["name"]

    def state(self, run: str) -> str:
        """Of a run."""
        return self._ask("GET", f"/{run}")["state"]

    def _ask(self, method: str, path: str, **more: object) -> dict[str, str]:
        headers = {"authorization": f"Bearer {self.token()}"}
        place = f"{self.plaza.api}{path}"
        answer = httpx.request(method, place, headers=headers, trust_env=False, timeout=60, **more)  # type: ignore[arg-type]
        found: dict[str, str] = answer.raise_for_status().json()
        return found
