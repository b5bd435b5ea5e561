"""The lifecycle rule of a department's bucket (Amazon S3 API, PutBucketLifecycleConfiguration)."""

from __future__ import annotations

from xml.etree import ElementTree

DAYS = 2
"""An upload that was begun so long ago is nobody's any more: runs are given up after hours."""
_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_RULE = "plaza-unfinished-uploads"
WANTED = (
    f'<LifecycleConfiguration xmlns="{_NAMESPACE}"><Rule><ID>{_RULE}</ID><Filter><Prefix></Prefix></Filter>'
    "<Status>Enabled</Status><AbortIncompleteMultipartUpload>"
    f"<DaysAfterInitiation>{DAYS}</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>"
    "</LifecycleConfiguration>"
)
"""The whole configuration: a rule of somebody else's could take away files before they are loaded."""


def is_one(answer: bytes) -> bool:
    """Is this a configuration at all? A gateway that does not know the question lists the bucket instead."""
    return _root(answer) is not None


def is_wanted(answer: bytes) -> bool:
    """Does the configuration say what is wanted, and nothing else?"""
    root = _root(answer)
    rules = [] if root is None else [rule for rule in root if _tag(rule) == "Rule"]
    if len(rules) != 1:
        return False
    said = {_tag(one): (one.text or "").strip() for one in rules[0].iter()}
    expires = {"Expiration", "NoncurrentVersionExpiration", "Transition"} & said.keys()
    scope = said.get("Prefix", "") == "" and "Tag" not in said
    return (
        said.get("Status") == "Enabled"
        and said.get("DaysAfterInitiation") == str(DAYS)
        and scope
        and not expires
    )


def _root(answer: bytes) -> ElementTree.Element | None:
    try:
        # From our own gateway, and ElementTree resolves no external entities.
        root = ElementTree.fromstring(answer)  # noqa: S314
    except ElementTree.ParseError:
        return None
    return root if _tag(root) == "LifecycleConfiguration" else None


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rsplit("}", 1)[-1]
