"""Damaged or malicious sound files, each made from a seed, for `tools.hostile.decoder`.

Complete files come from the `ffmpeg` program; joins, tags and damage are made here, byte by byte.
"""

from __future__ import annotations

import random
import subprocess
import threading
from pathlib import Path

SECONDS = 1.5
TITLE = "PLACEHOLDER"  # replaced by as many bytes that are not UTF-8
RUDE = "Bj\xf6rk \xe9\xff\xfe \x80".encode("latin-1")
assert len(RUDE) == len(TITLE)

# name: (channels, rate, options of the encoder). The ending is the container.
SPOKEN = ["-ac", "1", "-ar", "8000"]
RECIPES: dict[str, list[str]] = {
    "s16.wav": ["-c:a", "pcm_s16le"],
    "u8.wav": ["-c:a", "pcm_u8"],
    "s24.wav": ["-c:a", "pcm_s24le"],
    "f32.wav": ["-c:a", "pcm_f32le"],
    "alaw.wav": ["-c:a", "pcm_alaw"],
    "msadpcm.wav": ["-c:a", "adpcm_ms"],
    "ima.wav": ["-c:a", "adpcm_ima_wav"],
    "mono.wav": ["-c:a", "pcm_s16le", "-ac", "1"],
    "six.wav": ["-c:a", "pcm_s16le", "-ac", "6"],
    "s16.w64": ["-c:a", "pcm_s16le"],
    "s16.aiff": ["-c:a", "pcm_s16be"],
    "s16.au": ["-c:a", "pcm_s16be"],
    "alac.caf": ["-c:a", "alac"],
    "stereo.flac": [],
    "mono.flac": ["-ac", "1", "-ar", "22050"],
    "stereo.mp3": ["-b:a", "96k"],
    "mono.mp3": ["-b:a", "48k", "-ac", "1"],
    "slow.mp3": ["-b:a", "32k", "-ar", "22050"],
    "bare.mp3": ["-write_xing", "0", "-id3v2_version", "0"],
    "stereo.mp2": [],
    "mono.mp2": ["-ac", "1", "-b:a", "64k"],
    "stereo.aac": [],
    "mono.aac": ["-ac", "1"],
    "six.aac": ["-ac", "6"],
    "slow.aac": ["-ar", "22050"],
    "stereo.latm": ["-c:a", "aac", "-f", "latm"],
    "mono.latm": ["-c:a", "aac", "-ac", "1", "-f", "latm"],
    "aac.m4a": [],
    "alac.m4a": ["-c:a", "alac"],
    "front.m4a": ["-movflags", "faststart"],
    "parts.mp4": ["-c:a", "aac", "-movflags", "frag_keyframe+empty_moov"],
    "s16.mov": ["-c:a", "pcm_s16le"],
    "vorbis.ogg": ["-c:a", "libvorbis"],
    "mono.ogg": ["-c:a", "libvorbis", "-ac", "1", "-ar", "22050"],
    "flac.oga": ["-c:a", "flac"],
    "stereo.opus": ["-c:a", "libopus"],
    "mono.opus": ["-c:a", "libopus", "-ac", "1"],
    "speech.spx": ["-c:a", "libspeex", "-ac", "1", "-ar", "16000"],
    "aac.mka": ["-c:a", "aac"],
    "vorbis.webm": ["-c:a", "libvorbis"],
    "aac.ts": ["-c:a", "aac"],
    "six.ts": ["-c:a", "ac3", "-ac", "6"],
    "stereo.ts": ["-c:a", "ac3"],
    "mp2.ts": ["-c:a", "mp2"],
    "six.ac3": ["-ac", "6"],
    "stereo.ac3": [],
    "stereo.eac3": [],
    "six.dts": ["-c:a", "dca", "-strict", "-2", "-ac", "6", "-ar", "48000"],
    "stereo.dts": ["-c:a", "dca", "-strict", "-2", "-ar", "48000"],
    "wma.wma": ["-c:a", "wmav2"],
    "mp3.avi": ["-c:a", "libmp3lame"],
    "mp3.flv": ["-c:a", "libmp3lame"],
    "stereo.wv": [],
    "stereo.tta": [],
    "s16.voc": ["-c:a", "pcm_s16le"],
    "s16.nut": ["-c:a", "pcm_s16le"],
    "speech.gsm": ["-c:a", "libgsm", *SPOKEN],
    "g722.wav": ["-c:a", "g722", "-ac", "1", "-ar", "16000"],
    "mulaw.au": ["-c:a", "pcm_mulaw", "-ac", "1"],
    "sbc.sbc": ["-c:a", "sbc"],
    "aptx.aptx": ["-c:a", "aptx"],
}
# what changes midway: channels, rate, layout, codec, container
JOINS = [
    ("stereo.mp3", "mono.mp3"), ("mono.mp3", "stereo.mp3"), ("stereo.mp3", "slow.mp3"), ("stereo.mp2", "mono.mp2"),
    ("stereo.aac", "mono.aac"), ("six.aac", "stereo.aac"), ("stereo.aac", "slow.aac"), ("stereo.latm", "mono.latm"),
    ("six.ac3", "stereo.ac3"), ("stereo.ac3", "six.ac3"), ("stereo.ac3", "stereo.eac3"), ("six.dts", "stereo.dts"),
    ("six.ts", "stereo.ts"), ("stereo.ts", "mp2.ts"), ("aac.ts", "six.ts"), ("vorbis.ogg", "mono.ogg"),
    ("vorbis.ogg", "flac.oga"), ("stereo.opus", "mono.opus"), ("stereo.flac", "mono.flac"), ("s16.wav", "mono.wav"),
    ("stereo.mp3", "stereo.aac"), ("stereo.mp3", "stereo.ac3"), ("stereo.wv", "stereo.tta"), ("aac.m4a", "alac.m4a"),
    ("s16.au", "mulaw.au"), ("six.wav", "stereo.mp3"),
]  # fmt: skip


class Corpus:
    """Complete and joined files, made on first use and kept in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._contents: dict[str, bytes] = {}
        self._making = threading.RLock()
        self.missing: list[str] = []  # recipes that this ffmpeg cannot follow

    def content(self, name: str) -> bytes:
        """Return the bytes of a recipe's file; empty if this ffmpeg cannot make it."""
        with self._making:
            if name not in self._contents:
                self._contents[name] = self._make(name)
            return self._contents[name]

    def _make(self, name: str) -> bytes:
        path = self.folder / name
        sound = "0.3*sin(2*PI*330*t)*(0.6+0.4*sin(2*PI*3*t))+0.05*random(0)"
        source = ["-f", "lavfi", "-i", f"aevalsrc='{sound}|{sound}':s=44100:d={SECONDS}"]
        texts = ["-metadata", f"title={TITLE}", "-metadata", f"artist={TITLE}"]
        texts += ["-write_id3v1", "1"] if name.endswith("mp3") else []
        command = ["ffmpeg", "-v", "error", "-y", *source, *texts, *RECIPES[name], path]
        made = subprocess.run(command, capture_output=True, timeout=60)
        if made.returncode:
            self.missing.append(name)
        content = path.read_bytes() if made.returncode == 0 else b""
        path.unlink(missing_ok=True)
        return content

    def mutant(self, seed: int, number: int) -> tuple[str, bytes]:
        """Make damaged file `number`: a name that describes the damage, with its ending, and the content."""
        rng = random.Random(f"{seed}/{number}")
        if rng.random() < 0.3:
            first, second = JOINS[number % len(JOINS)]
            data = self.content(first) + self.content(second)
            name, how = first, f"join-{second}"
        else:
            name = list(RECIPES)[number % len(RECIPES)]
            data, how = self.content(name), "alone"
        if not data:
            return self.mutant(seed, number + 1)
        if rng.random() < 0.3:
            data = data.replace(TITLE.encode(), RUDE)
        changes = rng.choices(list(MUTATIONS), k=rng.choice([0, 1, 1, 2, 3]))
        for change in changes:
            data = bytes(MUTATIONS[change](bytearray(data), rng))
        stem, _, ending = name.partition(".")
        return f"{number:05}-{stem}-{how.replace('.', '-')}-{'-'.join(changes) or 'whole'}.{ending}", data


def flip_bits(data: bytearray, rng: random.Random) -> bytearray:
    for _ in range(rng.choice([1, 3, 20, 200])):
        if data:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return data


def edit_one_frame(data: bytearray, rng: random.Random) -> bytearray:
    """Change channel mode, rate or layer in the header of one frame, which once caused a SIGSEGV."""
    syncs = [
        b"\xff\xfb",
        b"\xff\xfd",
        b"\xff\xf1",
        b"\xff\xf3",
        b"\x0b\x77",
        b"\x7f\xfe",
        b"OggS",
        b"\xff\xf8",
        b"\x56\xe0",
    ]
    sync = rng.choice([sync for sync in syncs if sync in data] or [b""])
    places = []
    at = data.find(sync) if sync else -1
    while at >= 0 and len(places) < 500:
        places.append(at)
        at = data.find(sync, at + 1)
    for place in rng.sample(places, min(len(places), 2)):
        byte = place + rng.choice([1, 2, 3, 3, 3, 4, 5, 6])
        if byte < len(data):
            data[byte] ^= rng.choice([0xC0, 0x80, 0x40, 0x0C, 0x08, 0x30, 1 << rng.randrange(8)])
    return data


def truncate(data: bytearray, rng: random.Random) -> bytearray:
    return data[: rng.randrange(len(data) + 1)]


def zero_run(data: bytearray, rng: random.Random) -> bytearray:
    at = rng.randrange(len(data) + 1)
    length = rng.choice([16, 1000, 20_000, 2_000_000])
    return data[:at] + bytes(length) + (data[at:] if rng.random() < 0.5 else data[at + length :])


def noise_run(data: bytearray, rng: random.Random) -> bytearray:
    at = rng.randrange(len(data) + 1)
    noise = rng.randbytes(rng.choice([4, 64, 3000]))
    return data[:at] + noise + data[at + len(noise) :]


def double_header(data: bytearray, rng: random.Random) -> bytearray:
    at = rng.randrange(len(data) + 1)
    return data[:at] + data[: rng.choice([64, 512, 4096])] + data[at:]


def swap_parts(data: bytearray, rng: random.Random) -> bytearray:
    first, second = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    return data[first:second] + data[:first] + data[second:]


def edit_number(data: bytearray, rng: random.Random) -> bytearray:
    """Set a number of the header to an extreme value."""
    for _ in range(rng.choice([1, 1, 2, 4])):
        at = rng.randrange(0, max(1, min(len(data) - 4, 600)))
        size = rng.choice([1, 2, 4])
        value = rng.choice(
            [0, 1, (1 << 8 * size) - 1, 1 << (8 * size - 1), (1 << (8 * size - 1)) - 1, rng.getrandbits(8 * size)]
        )
        data[at : at + size] = value.to_bytes(size, rng.choice(["little", "big"]))
    return data


MUTATIONS = {
    function.__name__: function
    for function in (
        flip_bits, edit_one_frame, truncate, zero_run, noise_run, double_header, swap_parts, edit_number,
    )
}  # fmt: skip


def playlist(seed: int, number: int, own_name: str, other: str, port: int) -> str:
    """Make playlist `number`: it names itself, another local file, or a port of loopback."""
    rng = random.Random(f"list {seed}/{number}")
    place = rng.choice(
        [own_name, other, f"./{other}", f"file:{other}", f"http://127.0.0.1:{port}/a.mp3", f"tcp://127.0.0.1:{port}",
         f"concat:{other}|{other}", f"subfile,,start,0,end,9999,,:{other}", "data:audio/mp3;base64,AAAA", "/dev/zero",
         f"crypto:{other}", "../" * rng.randrange(9) + other]
    )  # fmt: skip
    lines = rng.choice(
        [
            ["#EXTM3U", "#EXT-X-TARGETDURATION:10", "#EXTINF:10,", place, *["#EXTINF:10,", place] * rng.randrange(50)],
            ["#EXTM3U", "#EXT-X-STREAM-INF:BANDWIDTH=128000", place],
            ["#EXTM3U", '#EXT-X-KEY:METHOD=AES-128,URI="' + place + '"', "#EXTINF:10,", place, "#EXT-X-ENDLIST"],
            ["#EXTM3U", '#EXT-X-MAP:URI="' + place + '"', "#EXT-X-TARGETDURATION:1", "#EXTINF:1,", place],
            ["#EXTM3U", f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",URI="{place}"', "#EXTINF:1,", place],
            ["ffconcat version 1.0", *[f"file '{place}'"] * rng.randrange(1, 9)],
            ["v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=x", "c=IN IP4 127.0.0.1", "t=0 0", f"m=audio {port} RTP/AVP 0"],
            ["v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=x", "c=IN IP4 224.2.2.2/255", f"m=audio {port} RTP/AVP 96",
             "a=rtpmap:96 opus/48000/2"],
            ['<?xml version="1.0"?>', '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><AdaptationSet>',
             f"<Representation id='1'><BaseURL>{place}</BaseURL></Representation></AdaptationSet></Period></MPD>"],
            ['<?xml version="1.0"?>', f"<AssetMap><Path>{place}</Path></AssetMap>"],
            ["[playlist]", f"File1={place}", "NumberOfEntries=1", "Version=2"],
            ["# VobSub index file, v7", "size: 720x576", "id: en, index: 0", "timestamp: 00:00:00:000, filepos: 0"],
        ]
    )  # fmt: skip
    text = rng.choice(["\n", "\r\n"]).join(lines) + "\n"
    return rng.choice(["", "\ufeff", "\n \n", ""]) + text * rng.choice([1, 1, 1, 40])
