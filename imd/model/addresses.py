"""Which network addresses a receiver may have. Pure judgement: resolving and connecting are `http`'s.

Receivers' URLs come from configuration alone, yet a name can be pointed anywhere by whoever answers for it. So the
address is judged after resolving, and in every spelling under which a v4 address hides in a v6 one.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address

_NEVER = {
    "link-local": ("169.254.0.0/16", "fe80::/10"),
    # Alibaba, AWS, Google, Oracle, Azure: where clouds hand out credentials beside 169.254.169.254.
    "a metadata service": ("100.100.100.200", "fd00:ec2::/32", "fd20:ce::254", "192.0.0.192", "168.63.129.16"),
    "no single host": ("224.0.0.0/4", "240.0.0.0/4", "ff00::/8"),
}
_PRIVATE = {
    "this host": ("127.0.0.0/8", "0.0.0.0/8", "::1", "::"),
    "private": (
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "192.0.0.0/24", "198.18.0.0/15", "fc00::/7", "fec0::/10",
    ),
    "carrier-grade NAT": ("100.64.0.0/10",),
}  # fmt: skip

Nets = tuple[tuple[str, IPv4Network | IPv6Network], ...]


def _nets(table: dict[str, tuple[str, ...]]) -> Nets:
    return tuple(
        (kind, IPv6Network(text) if ":" in text else IPv4Network(text))
        for kind, texts in table.items()
        for text in texts
    )


_NEVER_NETS = _nets(_NEVER)
_PRIVATE_NETS = _nets(_PRIVATE)

_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))  # RFC 6052, RFC 8215
_COMPATIBLE = IPv6Network("::/96")  # RFC 4291 2.5.5.1, long deprecated, still parsed

_NUMBERS = re.compile(r"(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+))*\.?", re.IGNORECASE)
_CANONICAL = re.compile(r"(0|[1-9][0-9]{0,2})(\.(0|[1-9][0-9]{0,2})){3}")


def refused(address: str, allow_private: bool) -> str | None:
    """Why this resolved address (text, v6 scope allowed) must not be connected to; None if it may."""
    spellings = _spellings(ip_address(address))
    for kind, net in _NEVER_NETS if allow_private else _NEVER_NETS + _PRIVATE_NETS:
        if any(spelling.version == net.version and spelling in net for spelling in spellings):
            return kind
    return None


def never(host: str) -> str:
    """What a URL's host is if it is an address that no receiver may have, whatever `allow_private` says; "" for a name
    and for any other address."""
    try:
        return refused(host, allow_private=True) or ""
    except ValueError:
        return "an odd spelling of an address" if odd_literal(host) else ""


def odd_literal(host: str) -> bool:
    """True for numbers that C libraries read as an IPv4 address although nobody writes one so: 2130706433, 0x7f.1,
    0177.0.0.1, 127.1. No honest configuration needs them."""
    return _NUMBERS.fullmatch(host) is not None and _CANONICAL.fullmatch(host) is None


def _spellings(address: Address) -> tuple[Address, ...]:
    """The address itself and the v4 address it carries within, if any."""
    if isinstance(address, IPv4Address):
        return (address,)
    plain = IPv6Address(int(address))  # without its scope
    carried = plain.ipv4_mapped or plain.sixtofour or (plain.teredo[1] if plain.teredo else None)
    if carried is None and any(plain in net for net in (*_NAT64, _COMPATIBLE)):
        carried = IPv4Address(int(plain) & 0xFFFFFFFF)
    return (plain,) if carried is None else (plain, carried)
