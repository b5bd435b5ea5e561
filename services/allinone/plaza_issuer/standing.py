"""Who may still be here: accounts and clients of the realm, less those that were closed while the issuer ran."""

from __future__ import annotations

from .model import Account, AccountId, Client, ClientId, Realm
from .store import Store


def open_account(realm: Realm, store: Store, account_id: AccountId) -> Account | None:
    """The account, if it and the client that it may stand behind are open."""
    account = realm.accounts.get(account_id)
    if account is None or not account.enabled or store.is_closed(account.username):
        return None
    if account.client_id is not None and open_client(realm, store, account.client_id) is None:
        return None
    return account


def open_client(realm: Realm, store: Store, client_id: ClientId) -> Client | None:
    """The client, if it is open."""
    client = realm.clients.get(client_id)
    return client if client is not None and client.enabled and not store.is_closed(client_id) else None
