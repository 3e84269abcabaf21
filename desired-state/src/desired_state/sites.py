"""Well-known sites by name, so that a family can say `tiktok` and mean all of its domains.

Each domain stands for everything below it. The table is versioned: a new version renders differently and goes through a
trial like any other change. It holds only domains that belong to the site itself, not the clouds that also serve others.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from desired_state.model import Block

SITES_VERSION = 1

SITES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "bluesky": ("bsky.app", "bsky.network", "bsky.social"),
        "discord": (
            "dis.gd",
            "discord.co",
            "discord.com",
            "discord.dev",
            "discord.gg",
            "discord.gift",
            "discord.media",
            "discord.new",
            "discordapp.com",
            "discordapp.net",
            "discordcdn.com",
            "discordstatus.com",
        ),
        "disney-plus": ("bamgrid.com", "disney-plus.net", "disneyplus.com", "dssott.com"),
        "facebook": (
            "facebook.com",
            "facebook.net",
            "facebookmail.com",
            "fb.com",
            "fb.gg",
            "fb.me",
            "fb.watch",
            "fbcdn.net",
            "fbsbx.com",
            "m.me",
            "messenger.com",
        ),
        "fortnite": ("epicgames.com", "epicgames.dev", "fortnite.com", "fortnite.dev"),
        "instagram": ("cdninstagram.com", "ig.me", "instagram.com", "instagr.am"),
        "linkedin": ("licdn.com", "linkedin.com", "lnkd.in"),
        "minecraft": ("minecraft.net", "minecraftservices.com", "mojang.com"),
        "netflix": (
            "netflix.com",
            "netflix.net",
            "nflxext.com",
            "nflximg.com",
            "nflximg.net",
            "nflxso.net",
            "nflxvideo.net",
        ),
        "onlyfans": ("onlyfans.com",),
        "pinterest": ("pin.it", "pinimg.com", "pinterest.com"),
        "pornhub": ("phncdn.com", "phprcdn.com", "pornhub.com", "pornhub.org", "pornhubpremium.com"),
        "prime-video": ("aiv-cdn.net", "aiv-delivery.net", "amazonvideo.com", "primevideo.com", "pv-cdn.net"),
        "reddit": ("redd.it", "reddit.com", "redditmedia.com", "redditstatic.com"),
        "roblox": ("rbx.com", "rbxcdn.com", "rbxtrk.com", "roblox.cn", "roblox.com", "robloxlabs.com"),
        "snapchat": (
            "bitmoji.com",
            "sc-cdn.net",
            "sc-gw.com",
            "sc-jpl.com",
            "sc-prod.net",
            "snap-dev.net",
            "snap.com",
            "snapads.com",
            "snapchat.com",
            "snapkit.com",
        ),
        "spotify": ("pscdn.co", "scdn.co", "spotify.com", "spotify.link", "spotifycdn.com", "spotifycdn.net"),
        "steam": (
            "steam-chat.com",
            "steamcommunity.com",
            "steamcontent.com",
            "steamgames.com",
            "steampowered.com",
            "steamserver.net",
            "steamstatic.com",
            "steamusercontent.com",
        ),
        "telegram": ("t.me", "tdesktop.com", "telegra.ph", "telegram.me", "telegram.org", "telesco.pe"),
        "threads": ("threads.com", "threads.net"),
        "tiktok": (
            "byteoversea.com",
            "ibytedtos.com",
            "ibyteimg.com",
            "musical.ly",
            "muscdn.com",
            "tiktok.com",
            "tiktokcdn-eu.com",
            "tiktokcdn-us.com",
            "tiktokcdn.com",
            "tiktokd.net",
            "tiktokd.org",
            "tiktokv.com",
            "tiktokv.eu",
            "tiktokv.us",
            "tiktokw.us",
            "ttwstatic.com",
        ),
        "tumblr": ("tumblr.com",),
        "twitch": ("ext-twitch.tv", "jtvnw.net", "ttvnw.net", "twitch.tv", "twitchcdn.net", "twitchsvc.net"),
        "whatsapp": ("wa.me", "whatsapp.com", "whatsapp.net"),
        "x": ("periscope.tv", "pscp.tv", "t.co", "tweetdeck.com", "twimg.com", "twitter.com", "x.com"),
        "xhamster": ("xhamster.com", "xhcdn.com"),
        "xvideos": ("xvideos-cdn.com", "xvideos.com"),
        "youtube": (
            "googlevideo.com",
            "youtu.be",
            "youtube-nocookie.com",
            "youtube.com",
            "youtubei.googleapis.com",
            "youtubekids.com",
            "yt.be",
            "ytimg.com",
        ),
    }
)
"""Domains by site, in alphabetical order."""

OTHER_NAMES: Mapping[str, str] = MappingProxyType({
    "disney": "disney-plus",
    "epic": "fortnite",
    "epic-games": "fortnite",
    "fb": "facebook",
    "insta": "instagram",
    "messenger": "facebook",
    "snap": "snapchat",
    "tik-tok": "tiktok",
    "twitter": "x",
    "yt": "youtube",
})  # fmt: skip
"""What people also call a site, for "did you mean"."""


def blocked_domains(block: Block) -> frozenset[str]:
    """Return every domain that a block names, its sites expanded; a site that the table does not know adds none."""
    return block.domains.union(*(SITES.get(site, ()) for site in block.sites))
