"""The forms of texts as regular expressions (RE2, whole value). Check digits and calendars come on top of some."""

from __future__ import annotations

from typing import Final

from plaza_quality.domain.checks import TextFormat

PROVINCE: Final = "(?:1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[1-3])"
"""First two digits of divisions (GB/T 2260); 83 stands in residence permits for residents of Taiwan."""
_MONTH_DAY: Final = "(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
_PLATE_PROVINCE: Final = "[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼]"
_SERIAL: Final = "[A-HJ-NP-Z0-9]"
"""Letters and digits of a plate: without I and O, which look like digits."""
_MOBILE: Final = r"(?:\+?86[- ]?)?1[3-9][0-9]{9}"
_FIXED: Final = (
    r"(?:\+?86[- ]?(?:0?[1-9][0-9]{1,2}[- ]?)?|(?:\(0[1-9][0-9]{1,2}\)|0[1-9][0-9]{1,2})[- ]?)?"
    r"[2-9][0-9]{6,7}(?:[-转][0-9]{1,6})?"
)
_BYTE: Final = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4: Final = rf"(?:{_BYTE}\.){{3}}{_BYTE}"
_H16: Final = "[0-9A-Fa-f]{1,4}"
_LS32: Final = f"(?:{_H16}:{_H16}|{_IPV4})"
_LABEL: Final = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"

PATTERNS: Final[dict[TextFormat, str]] = {
    TextFormat.RESIDENT_ID: f"{PROVINCE}[0-9]{{4}}[0-9]{{4}}{_MONTH_DAY}[0-9]{{3}}[0-9X]",
    TextFormat.SOCIAL_CREDIT_CODE: "[0-9A-HJ-NPQRTUWXY]{2}[0-9]{6}[0-9A-HJ-NPQRTUWXY]{10}",
    TextFormat.ORGANISATION_CODE: "[0-9A-Z]{8}-[0-9X]",
    TextFormat.MOBILE_PHONE: _MOBILE,
    TextFormat.PHONE: rf"{_MOBILE}|{_FIXED}|[48]00-?[0-9]{{3}}-?[0-9]{{4}}|[19][0-9]{{2,5}}",
    TextFormat.PLATE: "|".join(
        (
            # Five places, the last of which may be a word: trailer, learner's, police, Hong Kong, Macao, consulate.
            f"{_PLATE_PROVINCE}[A-HJ-Z]{_SERIAL}{{4}}(?:{_SERIAL}|[挂学警港澳领])",
            # New-energy: small vehicles begin with a letter, large ones end with one (GA 36-2018, 5.4).
            f"{_PLATE_PROVINCE}[A-HJ-Z][A-HJK]{_SERIAL}[0-9]{{4}}",
            f"{_PLATE_PROVINCE}[A-HJ-Z][0-9]{{5}}[A-HJK]",
            "使[0-9]{6}|[0-9]{6}使",
        )
    ),
    TextFormat.POSTCODE: "[0-8][0-9]{5}|99907[78]",
    # https://html.spec.whatwg.org/#valid-e-mail-address
    TextFormat.EMAIL: rf"[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]+@{_LABEL}(?:\.{_LABEL})+",
    TextFormat.URL: (
        rf"(?i:https?)://(?:{_LABEL}(?:\.{_LABEL})*\.?|{_IPV4}|\[[0-9A-Fa-f:.]+\])(?::[0-9]{{1,5}})?"
        r"(?:[/?#][^\x00-\x20\x7f\"<>\\^`{|}]*)?"
    ),
    TextFormat.UUID: "[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}",
    TextFormat.IPV4: _IPV4,
    # RFC 3986, 3.2.2: the places where `::` may stand.
    TextFormat.IPV6: "|".join(
        (
            f"(?:{_H16}:){{6}}{_LS32}",
            f"::(?:{_H16}:){{5}}{_LS32}",
            f"(?:{_H16})?::(?:{_H16}:){{4}}{_LS32}",
            f"(?:(?:{_H16}:){{0,1}}{_H16})?::(?:{_H16}:){{3}}{_LS32}",
            f"(?:(?:{_H16}:){{0,2}}{_H16})?::(?:{_H16}:){{2}}{_LS32}",
            f"(?:(?:{_H16}:){{0,3}}{_H16})?::{_H16}:{_LS32}",
            f"(?:(?:{_H16}:){{0,4}}{_H16})?::{_LS32}",
            f"(?:(?:{_H16}:){{0,5}}{_H16})?::{_H16}",
            f"(?:(?:{_H16}:){{0,6}}{_H16})?::",
        )
    ),
    TextFormat.DATE: "[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])",
    TextFormat.TIMESTAMP: (
        "[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])[T ](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
        r"(?:\.[0-9]{1,6})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])?"
    ),
    TextFormat.INTEGER: "[+-]?(?:0|[1-9][0-9]*)",
    TextFormat.DECIMAL: r"[+-]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?",
    TextFormat.DIVISION_CODE: f"{PROVINCE}[0-9]{{4}}(?:[0-9]{{3}}|[0-9]{{6}})?",
}
