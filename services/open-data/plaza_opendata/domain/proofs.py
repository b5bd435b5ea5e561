"""What a proof must say before a release is published with it."""

from __future__ import annotations

from plaza_kit.errors import PlazaError, Unavailable
from plaza_kit.tlog.checkpoint import parse_checkpoint
from plaza_kit.tlog.leaf import parse_canonical
from plaza_kit.tlog.merkle import leaf_hash, verify_inclusion
from plaza_kit.tlog.proof import FileProof


class ProofNotUsable(Unavailable):
    """The ledger gave a proof that does not prove; it is asked again, and nothing is published meanwhile."""


def check_proof(proof: FileProof, event_id: str, sha256: str) -> None:
    """That the leaf is our event about this file, and lies in the tree of the checkpoint. The checkpoint's
    signature is for the reader to check, by a key of the reader's own. Raises ProofNotUsable."""
    try:
        event = parse_canonical(proof.leaf)
        data = event.get("data")
        if event.get("id") != event_id or not isinstance(data, dict) or data.get("sha256") != sha256:
            raise ProofNotUsable(f"the ledger's leaf for event {event_id} is about something else")
        checkpoint = parse_checkpoint(proof.checkpoint)
        if checkpoint.size != proof.tree_size:
            raise ProofNotUsable(
                f"the path is for {proof.tree_size} entries, the checkpoint for {checkpoint.size}"
            )
        leaf = leaf_hash(proof.leaf.encode())
        verify_inclusion(proof.leaf_index, proof.tree_size, leaf, proof.inclusion_path, checkpoint.root)
    except ProofNotUsable:
        raise
    except PlazaError as error:
        raise ProofNotUsable(f"the ledger's proof for event {event_id}: {error.message}") from error
