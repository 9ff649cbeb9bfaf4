"""Bidding zones of the European electricity market, by their usual names, with their EIC codes."""

import re

EIC = re.compile(r"\d\d[A-Z][0-9A-Z-]{12}[0-9A-Z]")
SIGNS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-"

CODES = {
    line.split()[0]: line.split()[1]
    for line in """
        AL      10YAL-KESH-----5
        AT      10YAT-APG------L
        BA      10YBA-JPCC-----D
        BE      10YBE----------2
        BG      10YCA-BULGARIA-R
        CH      10YCH-SWISSGRIDZ
        CY      10YCY-1001A0003J
        CZ      10YCZ-CEPS-----N
        DE_LU   10Y1001A1001A82H
        DK_1    10YDK-1--------W
        DK_2    10YDK-2--------M
        EE      10Y1001A1001A39I
        ES      10YES-REE------0
        FI      10YFI-1--------U
        FR      10YFR-RTE------C
        GB      10YGB----------A
        GR      10YGR-HTSO-----Y
        HR      10YHR-HEP------M
        HU      10YHU-MAVIR----U
        IE_SEM  10Y1001A1001A59C
        IT_CALA 10Y1001C--00096J
        IT_CNOR 10Y1001A1001A70O
        IT_CSUD 10Y1001A1001A71M
        IT_NORD 10Y1001A1001A73I
        IT_SARD 10Y1001A1001A74G
        IT_SICI 10Y1001A1001A75E
        IT_SUD  10Y1001A1001A788
        LT      10YLT-1001A0008Q
        LV      10YLV-1001A00074
        ME      10YCS-CG-TSO---S
        MK      10YMK-MEPSO----8
        NL      10YNL----------L
        NO_1    10YNO-1--------2
        NO_2    10YNO-2--------T
        NO_3    10YNO-3--------J
        NO_4    10YNO-4--------9
        NO_5    10Y1001A1001A48H
        PL      10YPL-AREA-----S
        PT      10YPT-REN------W
        RO      10YRO-TEL------P
        RS      10YCS-SERBIATSOV
        SE_1    10Y1001A1001A44P
        SE_2    10Y1001A1001A45N
        SE_3    10Y1001A1001A46L
        SE_4    10Y1001A1001A47J
        SI      10YSI-ELES-----O
        SK      10YSK-SEPS-----K
        UA      10Y1001C--00003F
        XK      10Y1001C--00100H
    """.strip().splitlines()
}
OTHER_NAMES = {"DE": "DE_LU", "LU": "DE_LU", "IE": "IE_SEM"}
"""Countries whose zone has another name."""


def eic_of(zone: str) -> str:
    """Return the EIC code of a zone given by name or code.

    Raises:
        ValueError: It is neither a known name nor a valid code.
    """
    text = zone.strip().upper()
    name = text.replace("-", "_")
    if (name := OTHER_NAMES.get(name, name)) in CODES:
        return CODES[name]
    if not EIC.fullmatch(text):
        raise ValueError(f"'{zone[:20]}' is neither an EIC code nor one of the zones {', '.join(CODES)}")
    if text[-1] != check_sign(text):
        raise ValueError(f"'{zone[:20]}' is no EIC code: its last sign does not fit the others")
    return text


def check_sign(code: str) -> str:
    """Return the check character of an EIC code, computed from those before it."""
    total = sum(SIGNS.index(sign) * weight for sign, weight in zip(code[:15], range(16, 1, -1), strict=True))
    return SIGNS[36 - (total - 1) % 37]
